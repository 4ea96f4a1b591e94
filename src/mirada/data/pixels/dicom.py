"""DICOM files → pixels in the unit of their modality, with the file's own window; and the facts beside them.

The order is the standard's grayscale pipeline (PS3.4 N.2): stored values → modality LUT (PS3.3 C.11.1: slope and
intercept, or a table) → VOI LUT or window (C.11.2) → inversion for MONOCHROME1. Of several windows the first
that has a width is used. pydicom reads the file and decodes its pixels; it is imported when the first DICOM file is
met.

The patient's identifier never leaves this module: what others see is a hash of it. Twelve digits tell patients apart;
they do not hide an identifier from someone who can try all that are possible.
"""

import io
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from mmap import mmap
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from mirada.data.pixels.bounds import require_as_large, require_short_runs
from mirada.data.pixels.raw import DecodeError, Raw, Shades, Values, as_real, require_size

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Result = TypeVar("Result")

MAX_INFLATED = 128 * 2**20
MAX_READS = 500_000  # of the stream: one or two for each element, of which real files have thousands
MAX_FRAGMENTS = 100_000  # of compressed pixels
STRIP = 64  # rows
INFLATED = b"1.2.840.10008.1.2.1\0\0\0"
DEFLATED = b"1.2.840.10008.1.2.1.99"  # the transfer syntax of a file that is compressed as a whole
EXPLICIT, IMPLICIT = b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2\0"  # whether elements name their type
MARK = b"DICM"
# Group 0002 or 0008, an element up to (…,0018), and its type or a short length.
WITHOUT_PREAMBLE = re.compile(rb"[\2\x08]\0[\0-\x18]\0(?:[A-Z]{2}|.\0\0\0)", re.DOTALL)
GREY = ("MONOCHROME1", "MONOCHROME2")
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
COLOURS = ("Red", "Green", "Blue")
ABOVE_ZERO = float(np.nextafter(0, 1))
LOWEST_WIDTH = {"LINEAR": 1.0, "LINEAR_EXACT": ABOVE_ZERO, "SIGMOID": ABOVE_ZERO}


@dataclass(frozen=True)
class DicomFacts:
    """What a DICOM file says of its image. ``frame`` counts from 0 and is the one that is shown.

    ``patient`` is a hash of the patient's identifier, 12 hexadecimal digits, or empty. ``spacing_mm`` is the distance
    of rows and of columns in millimetres, or None; of a projection, at the detector. ``size`` is (height, width).
    """

    patient: str
    spacing_mm: tuple[float, float] | None
    size: tuple[int, int]
    bits: int
    photometric: str
    frames: int
    frame: int
    syntax: str


def is_dicom(data: bytes) -> bool:
    """Whether these are the bytes of a DICOM file: by the mark after its preamble, or else by its first element."""
    return data[128:132] == MARK or bool(WITHOUT_PREAMBLE.match(data))


def read_dicom(data: bytes, frame: int | None = None) -> Raw:
    """The pixels of a frame: by default the file's representative one (0028,6010), else that in the middle.

    Grey values are in the modality's unit, such as Hounsfield's; colours are RGB. Raises ``DecodeError``.
    """
    return _reading(lambda: _raw(_dataset(data), frame))


def dicom_facts(data: bytes | mmap, frame: int | None = None) -> DicomFacts:
    """What the file says of its image, without decoding it; of a mapped file, without reading it all.

    Raises ``DecodeError``.
    """
    return _reading(lambda: _facts(_dataset(data, pixels=False), frame))


def _reading(read: Callable[[], Result]) -> Result:
    """The result of ``read``, with every exception of pydicom's as a ``DecodeError``."""
    try:
        return read()
    except (DecodeError, MemoryError):
        raise
    except ImportError as error:
        raise DecodeError(
            'DICOM is read by pydicom, which is not installed: pip install "mirada[dicom]"'
        ) from error
    except Exception as error:  # a damaged element may raise nearly anything, wherever it is first used
        raise DecodeError("damaged, or of an unusual kind (its DICOM elements cannot be read)") from error


def _dataset(data: bytes | mmap, *, pixels: bool = True) -> "Dataset":
    from pydicom import dcmread
    from pydicom.uid import UID

    data = _with_preamble(data)
    end_of_meta = 144 + int.from_bytes(data[140:144], "little")  # the length that its first element states
    syntax = data[144:end_of_meta]
    if DEFLATED in syntax:  # inflated here, for pydicom would do it without a limit
        data = data[:144] + syntax.replace(DEFLATED, INFLATED) + _inflated(data[end_of_meta:])
    stream: Any = _Stream(data)
    dataset = dcmread(stream, stop_before_pixels=not pixels)
    if DEFLATED in syntax:
        dataset.file_meta.TransferSyntaxUID = UID(DEFLATED.decode())
    return dataset


class _Stream:
    """Bytes or a map to read from, up to ``MAX_READS`` times: millions of empty elements would take minutes."""

    def __init__(self, data: bytes | mmap) -> None:
        self._stream = io.BytesIO(data) if isinstance(data, bytes) else data
        self._left = MAX_READS

    def read(self, size: int = -1) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise DecodeError(f"more than the limit of {MAX_READS:,} DICOM elements (a decompression bomb?)")
        return self._stream.read(size)

    def seek(self, offset: int, whence: Literal[0, 1, 2] = 0) -> int:
        self._stream.seek(offset, whence)
        return self._stream.tell()

    def tell(self) -> int:
        return self._stream.tell()


def _with_preamble(data: bytes | mmap) -> bytes | mmap:
    """The whole file to a data set that was saved without its beginning; by its first element if it has no syntax."""
    if data[128:132] == MARK:
        return data
    if data[:1] == b"\2":  # the meta elements, which name the syntax
        return bytes(128) + MARK + data[:]
    syntax = EXPLICIT if data[4:6].isalpha() else IMPLICIT
    element = struct.pack("<HH2sH", 2, 0x10, b"UI", len(syntax)) + syntax
    length = struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(element))
    return bytes(128) + MARK + length + element + data[:]


def _inflated(deflated: bytes) -> bytes:
    """A deflated data set. Raises ``DecodeError`` if it is far larger than it seems."""
    data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(deflated, MAX_INFLATED + 1)
    if len(data) > MAX_INFLATED:
        raise DecodeError("it unpacks to more than 128 MiB (a decompression bomb?)")
    return data


def _require_few_fragments(dataset: "Dataset") -> None:
    """Raises ``DecodeError`` if compressed pixels are in millions of pieces; pydicom would count them for minutes."""
    content, place = dataset.PixelData, 0
    for _ in range(MAX_FRAGMENTS):
        if place + 8 > len(content):
            return
        place += 8 + int.from_bytes(content[place + 4 : place + 8], "little")
    raise DecodeError(f"its pixels are in more than {MAX_FRAGMENTS:,} fragments (a decompression bomb?)")


def _require_no_more(dataset: "Dataset", frame: int) -> None:
    """Raises ``DecodeError`` if a compressed frame holds more than the file says: a decoder would unpack it all."""
    from pydicom.encaps import get_frame
    from pydicom.uid import RLELossless

    offsets = None
    if "ExtendedOffsetTable" in dataset and "ExtendedOffsetTableLengths" in dataset:
        offsets = (dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths)
    count = int(dataset.get("NumberOfFrames") or 1)
    coded = get_frame(dataset.PixelData, frame, extended_offsets=offsets, number_of_frames=count)
    if dataset.file_meta.TransferSyntaxUID == RLELossless:
        require_short_runs(coded, int(dataset.Rows) * int(dataset.Columns))
    else:
        require_as_large(coded, int(dataset.Rows), int(dataset.Columns))


# --- pixels -------------------------------------------------------------------------------------------------


def _raw(dataset: "Dataset", frame: int | None) -> Raw:
    if not any(keyword in dataset for keyword in PIXELS):
        raise DecodeError("a DICOM file without an image")
    require_size(dataset.Rows, dataset.Columns)
    number = _frame(dataset, frame)
    photometric = dataset.get("PhotometricInterpretation") or "(none)"
    if photometric in GREY:
        return _grey(dataset, number)
    if photometric == "PALETTE COLOR":
        return _palette(dataset, _stored(dataset, number))
    if photometric in COLOUR:
        bits = _bits_stored(dataset)
        return Raw(_stored(dataset, number)[..., :3], bits, (0, 2**bits - 1))
    raise DecodeError(f"of a kind that is not read: DICOM's photometric interpretation {photometric}")


def _stored(dataset: "Dataset", frame: int) -> Values:
    """The values of one frame as they are stored, decompressed; YBR becomes RGB."""
    from pydicom.pixels.utils import pixel_array

    syntax = dataset.file_meta.TransferSyntaxUID
    plugin = _plugin(dataset)
    if "PixelData" in dataset and dataset["PixelData"].is_undefined_length and not syntax.is_encapsulated:
        raise DecodeError("compressed in a way that it does not name (it has lost its DICOM meta elements)")
    if "PixelData" in dataset and syntax.is_encapsulated:
        _require_few_fragments(dataset)
    try:
        if "PixelData" in dataset and syntax.is_encapsulated:
            _require_no_more(dataset, frame)
        stored = pixel_array(
            dataset,
            index=frame,
            decoding_plugin=plugin,
            correct_unused_bits=False,  # pydicom would cut off what is above Bits Stored without looking
        )
        stored = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    except (DecodeError, MemoryError):
        raise
    except Exception as error:  # each decoder has its own
        raise DecodeError(f"truncated or damaged pixel data ({syntax.name})") from error
    return _within_bits(stored, _bits_stored(dataset))


def _plugin(dataset: "Dataset") -> str:
    """The decoder of pydicom's that is used; "" for the one there is.

    Pillow where it can, so that pixels do not depend on what else is installed. Raises ``DecodeError`` if there is
    none.
    """
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.pixels.decoders.gdcm import DECODER_DEPENDENCIES as READ_BY_GDCM
    from pydicom.uid import JPEG2000TransferSyntaxes, JPEGExtended12Bit

    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:  # video, or no image at all
        raise DecodeError(f"compressed in a way that is not read here: {syntax.name}") from None
    bits, colours = _bits_stored(dataset), int(dataset.get("SamplesPerPixel") or 1)
    if not syntax.is_encapsulated:
        return ""
    usable = list(decoder.available_plugins)
    if syntax == JPEGExtended12Bit and bits != 8:
        usable = [name for name in usable if name not in ("pillow", "gdcm")]
        if not usable:
            raise DecodeError(
                f"compressed in a way that is not read here: {syntax.name} of {bits} bits; DCMTK's dcmdjpeg stores it "
                f"uncompressed"
            )
    if syntax in JPEG2000TransferSyntaxes and colours > 1 and bits > 8:
        usable = [name for name in usable if name != "pillow"]  # it gives 8 bits of them
    if usable:
        return "pillow" if "pillow" in usable else usable[0]
    gdcm = '; python-gdcm reads it: pip install "mirada[dicom]"'
    remedy = gdcm if syntax in READ_BY_GDCM else "; save it uncompressed"
    raise DecodeError(f"compressed in a way that is not read here: {syntax.name}{remedy}")


def _bits_stored(dataset: "Dataset") -> int:
    """How many bits of each value are the picture, its lowest; 32 for real numbers.

    Raises ``DecodeError`` if there is no room for them, or not where they are said to be.
    """
    if "PixelData" not in dataset:
        return 32
    allocated = int(dataset.BitsAllocated)
    bits = int(dataset.get("BitsStored") or allocated)
    if not 1 <= bits <= allocated:
        raise DecodeError(
            f"{bits} bits of each pixel are stored in {allocated} (DICOM's Bits Stored and Bits Allocated)"
        )
    high = dataset.get("HighBit")
    if high not in (None, bits - 1) and not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        # Read from either end of the word, it would be another picture; such files exist of both kinds.
        raise DecodeError(
            f"its High Bit is {high}, and with {bits} Bits Stored it must be {bits - 1}: which bits are the picture is "
            f"not clear"
        )
    return bits


def _within_bits(stored: Values, bits: int) -> Values:
    """The lowest ``bits`` of each value, with their sign; what lies above them may be an overlay of old.

    Raises ``DecodeError`` if it rather belongs to the picture, which is seen by its being smoother with it, down or
    across: levels that have lost their upper bits jump from white to black.
    """
    spare = stored.dtype.itemsize * 8 - bits
    if spare <= 0 or stored.dtype.kind not in "iu":
        return stored
    kept: Values = np.right_shift(np.left_shift(stored, spare), spare)
    if not np.array_equal(kept, stored) and (_roughness(stored) < _roughness(kept)).any():
        raise DecodeError(
            f"its levels need more than the {bits} bits that it says are stored (DICOM's Bits Stored), or have no sign "
            f"where it says so (Pixel Representation)"
        )
    return kept


def _roughness(values: Values) -> NDArray[np.int64]:
    """The sum of all steps from a pixel to the next, down and across; strip by strip, to spare memory."""
    total = np.zeros(2, dtype=np.int64)
    for top in range(0, len(values), STRIP):
        strip = values[top : top + STRIP + 1].astype(np.int64)  # with the first row of the next
        total += [np.abs(np.diff(strip, axis=0)).sum(), np.abs(np.diff(strip[:STRIP], axis=1)).sum()]
    return total


def _frame(dataset: "Dataset", frame: int | None) -> int:
    """The frame to show, counted from 0."""
    count = int(dataset.get("NumberOfFrames") or 1)
    if frame is None:
        shown = int(dataset.get("RepresentativeFrameNumber") or 0)  # counted from 1
        return shown - 1 if 1 <= shown <= count else count // 2
    if frame >= count:
        raise DecodeError(f"there is no frame {frame}: it has {count:,}, counted from 0")
    return frame


def _grey(dataset: "Dataset", frame: int) -> Raw:
    stored = _stored(dataset, frame)
    bits = 32 if stored.dtype.kind == "f" else _bits_stored(dataset)
    lowest = -(2 ** (bits - 1)) if dataset.get("PixelRepresentation") else 0
    full = np.array([0.0, 1.0] if stored.dtype.kind == "f" else [lowest, lowest + 2**bits - 1])
    rescaling = _module(dataset, frame, "PixelValueTransformationSequence")
    if dataset.get("ModalityLUTSequence"):
        first, table, bits = _table(dataset.ModalityLUTSequence[0], _byte_order(dataset))
        values, full = _looked_up(stored, first, table), np.array([0, 2**bits - 1])
    else:
        values, full = (_rescaled(part, rescaling) for part in (stored, full))
    return Raw(
        values=_without_padding(dataset, stored, values),
        bits=bits,
        full=(float(full.min()), float(full.max())),
        voi=_voi(dataset, frame),
        inverted=dataset.PhotometricInterpretation == "MONOCHROME1",
    )


def _rescaled(values: Values, rescaling: "Dataset") -> Values:
    """Slope · value + intercept; an element without a value is like one that is not there."""
    slope = _number(rescaling.get("RescaleSlope"), 1)
    intercept = _number(rescaling.get("RescaleIntercept"), 0)
    if slope == 0 or not np.isfinite((slope, intercept)).all():
        raise DecodeError(
            f"its rescaling makes no sense (DICOM's Rescale Slope {slope:g}, Intercept {intercept:g})"
        )
    if (slope, intercept) == (1, 0):
        return values
    return as_real(values) * slope + intercept


def _number(value: Any, otherwise: float) -> float:
    """An element's number, or what it means that there is none."""
    return otherwise if value is None or value == "" else float(value)


def _without_padding(dataset: "Dataset", stored: Values, values: Values) -> Values:
    """NaN where the file says that nothing was measured (PS3.3 C.7.5.1.1.2): outside of a scanner's circle."""
    padding = dataset.get("PixelPaddingValue")
    if padding is None:
        return values
    limit = dataset.get("PixelPaddingRangeLimit")
    low, high = sorted((int(padding), int(padding if limit is None else limit)))
    outside = (stored >= low) & (stored <= high)
    if not outside.any() or outside.all():
        return values
    measured = as_real(values)
    measured[outside] = np.nan
    return measured


def _palette(dataset: "Dataset", indices: Values) -> Raw:
    """Colours of a table per channel; of 8 or 16 bits."""
    if "SegmentedRedPaletteColorLookupTableData" in dataset:
        from pydicom.pixels.processing import apply_color_lut

        colours = apply_color_lut(indices, dataset)[..., :3]
        bits = colours.dtype.itemsize * 8
        return Raw(colours, bits, (0, 2**bits - 1))
    channels, bits = [], 8
    for colour in COLOURS:
        descriptor = dataset[f"{colour}PaletteColorLookupTableDescriptor"].value
        data = dataset[f"{colour}PaletteColorLookupTableData"].value
        first, table, bits = _entries(descriptor, data, _byte_order(dataset))
        channels.append(_looked_up(indices, first, table))
    return Raw(
        np.stack(channels, axis=-1).astype(np.uint8 if bits == 8 else np.uint16), bits, (0, 2**bits - 1)
    )


# --- lookup tables and windows -------------------------------------------------------------------------------


def _voi(dataset: "Dataset", frame: int) -> Callable[[Values], Shades] | None:
    """The file's rule from values to shades, if it has one: a table, or else its first window that has a width.

    Whether the rule makes sense is asked when it is used: an image shown by another window does not need it.
    """
    module = _module(dataset, frame, "FrameVOILUTSequence")
    if module.get("VOILUTSequence"):
        entries, order = module.VOILUTSequence[0], _byte_order(dataset)
        return lambda values: _reading(lambda: _by_table(values, entries, order))
    function = str(module.get("VOILUTFunction") or "LINEAR").upper()
    window = _window(function, module.get("WindowCenter"), module.get("WindowWidth"))
    return (lambda values: windowed(values, function, *window)) if window else None


def _window(function: str, centres: Any, widths: Any) -> tuple[float, float] | None:
    """Centre and width of the first window that is one; many devices write a width of 0 for none."""
    for pair in zip(np.atleast_1d(centres), np.atleast_1d(widths), strict=False):
        centre, width = (_number(value, np.nan) for value in pair)
        if np.isfinite((centre, width)).all() and width >= LOWEST_WIDTH.get(function, ABOVE_ZERO):
            return centre, width
    return None


def _by_table(values: Values, item: "Dataset", byte_order: str) -> Shades:
    first, table, bits = _table(item, byte_order)
    return _looked_up(values, first, (table / (2**bits - 1)).astype(np.float32))


def windowed(values: Values, function: str, centre: float, width: float) -> Shades:
    """DICOM's window functions (PS3.3 C.11.2.1.2 and C.11.2.1.3), scaled to 0 … 1; any shape.

    LINEAR        (x − (c − 0.5)) / (w − 1) + 0.5, clipped; for w = 1, 1 above c − 0.5 and 0 elsewhere
    LINEAR_EXACT  (x − c) / w + 0.5, clipped
    SIGMOID       1 / (1 + exp(−4 (x − c) / w))

    Raises ``DecodeError`` for any other function.
    """
    if function not in LOWEST_WIDTH:
        raise DecodeError(f"its window makes no sense (DICOM's {function} of width {width:g})")
    x = as_real(values)
    if function == "SIGMOID":
        shade = 1 / (1 + np.exp(np.clip(-4 * (x - centre) / width, -80, 80)))
    else:
        if function == "LINEAR":
            centre, width = centre - 0.5, width - 1
        shade = np.clip((x - centre) / width + 0.5, 0, 1) if width else np.where(x > centre, 1, 0)
    return np.asarray(shade, dtype=np.float32)


def _table(item: "Dataset", byte_order: str) -> tuple[int, NDArray[Any], int]:
    """A modality or VOI LUT: the value that its first entry is for, its entries, and their bits."""
    return _entries(item.LUTDescriptor, item["LUTData"].value, byte_order)


def _entries(descriptor: Any, data: Any, byte_order: str) -> tuple[int, NDArray[Any], int]:
    """A lookup table, from its parts; ``descriptor`` is (number, 0 for 65,536; first value; bits of an entry)."""
    number, first, bits = (int(part) for part in descriptor)
    number = number or 2**16
    if isinstance(data, bytes):
        kind = "u1" if len(data) < 2 * number else f"{byte_order}u2"
        table: NDArray[Any] = np.frombuffer(data, dtype=kind)[:number]
    else:
        table = np.atleast_1d(np.asarray(data)).astype(np.uint16)
    if len(table) != number or not 1 <= bits <= 16:
        raise DecodeError(f"a lookup table of {number:,} entries of {bits} bits holds {len(table):,}")
    return first, table, bits


def _byte_order(dataset: "Dataset") -> str:
    return ">" if dataset.original_encoding[1] is False else "<"


def _looked_up(values: Values, first: int, table: NDArray[Any]) -> NDArray[Any]:
    """``table[value − first]``; what is beyond its ends gets the first or the last entry."""
    place = np.nan_to_num(np.rint(values), nan=first).astype(np.int64) - first
    return table[np.clip(place, 0, len(table) - 1)]


# --- facts --------------------------------------------------------------------------------------------------


def _module(dataset: "Dataset", frame: int, sequence: str) -> "Dataset":
    """Where elements that may differ from frame to frame are: the frame's, those of all frames, or the file's."""
    groups = (dataset.get("PerFrameFunctionalGroupsSequence") or [])[frame : frame + 1]
    for group in (*groups, *(dataset.get("SharedFunctionalGroupsSequence") or [])):
        if group.get(sequence):
            return group[sequence].value[0]  # type: ignore[no-any-return]
    return dataset


def _facts(dataset: "Dataset", frame: int | None) -> DicomFacts:
    number = _frame(dataset, frame)
    return DicomFacts(
        patient=_hashed(dataset),
        spacing_mm=_spacing(_module(dataset, number, "PixelMeasuresSequence")),
        size=(int(dataset.Rows), int(dataset.Columns)),
        bits=int(dataset.get("BitsStored") or dataset.get("BitsAllocated") or 32),
        photometric=str(dataset.get("PhotometricInterpretation") or ""),
        frames=int(dataset.get("NumberOfFrames") or 1),
        frame=number,
        syntax=dataset.file_meta.TransferSyntaxUID.name,
    )


def _hashed(dataset: "Dataset") -> str:
    """A code of who the patient is: equal for one identifier of one hospital, "" if there is none."""
    identifier, issuer = (
        " ".join(
            normalize("NFC", str(dataset.get(keyword) or "")).split()
        )  # one patient, however it is encoded
        for keyword in ("PatientID", "IssuerOfPatientID")
    )
    if not identifier:
        return ""
    return blake2b(f"{issuer}\n{identifier}".encode(), digest_size=6, person=b"mirada.patient").hexdigest()


def _spacing(measures: "Dataset") -> tuple[float, float] | None:
    for keyword in SPACINGS:
        if measures.get(keyword):
            row, column = (float(value) for value in measures[keyword].value)
            return row, column
    return None
