"""DICOM, value by value: files written here as ramps, in every way of storing that is read, against formulas."""

import io
import re
import struct
import sys
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_files import LOSSLESS, NATIVE, coded, dicom, item
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import Decoder
from pydicom.pixels.processing import apply_modality_lut, apply_windowing
from pydicom.uid import (
    MPEG2MPML,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from mirada.data.pixels import dicom as module
from mirada.data.pixels.decode import DecodeError, Header, decode, open_upright, read_file, read_header
from mirada.data.pixels.dicom import DicomFacts, dicom_facts, is_dicom, read_dicom, windowed
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.data.pixels.window import shades

DEPTHS = [(8, False), (10, False), (12, False), (16, False), (8, True), (12, True), (16, True)]
SYNTAXES = {syntax.keyword: syntax for syntax in LOSSLESS}


def ramp(bits: int, *, signed: bool = False, shape: tuple[int, int] = (6, 35)) -> NDArray[Any]:
    """From the lowest to the highest value of these bits, line by line."""
    lowest = -(2 ** (bits - 1)) if signed else 0
    values = np.rint(np.linspace(lowest, lowest + 2**bits - 1, shape[0] * shape[1])).reshape(shape)
    return values.astype(f"{'i' if signed else 'u'}{1 if bits <= 8 else 2}")


def to(size: tuple[int, int], mode: str = "L", **fields: Any) -> Preprocessing:
    channels = 3 if mode == "RGB" else 1
    return Preprocessing(
        mode=mode,  # type: ignore[arg-type]
        size=size,
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
        **fields,
    )


def reason(data: bytes) -> str:
    """Why it cannot be decoded; the same in every way of reading."""
    reasons = set()
    for attempt in (lambda: decode(data, to((4, 4))), lambda: open_upright(data)):
        with pytest.raises(DecodeError) as caught:
            attempt()
        reasons.add(str(caught.value))
    (only,) = reasons
    return only


# --- stored values ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(("bits", "signed"), DEPTHS)
def test_every_stored_value_is_read(bits: int, signed: bool, syntax: str) -> None:
    values = ramp(bits, signed=signed)
    raw = read_dicom(dicom(values, bits=bits, syntax=SYNTAXES[syntax]))
    np.testing.assert_array_equal(raw.values, values)
    assert raw.values.dtype.isnative
    assert (raw.bits, raw.full) == (bits, (values.min(), values.max()))


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(("bits", "signed"), DEPTHS)
def test_the_whole_way_to_16_and_8_bits(bits: int, signed: bool, photometric: str, syntax: str) -> None:
    values = ramp(bits, signed=signed)
    data = dicom(values, bits=bits, photometric=photometric, syntax=SYNTAXES[syntax])
    unit = (values.astype(float) - values.min()) / (2**bits - 1)
    if photometric == "MONOCHROME1":
        unit = 1 - unit
    deep = decode(data, to(values.shape, window="full", depth=16))
    np.testing.assert_allclose(deep[..., 0], unit * 65535, atol=0.51)  # float32 may miss a tie by a hair
    shallow = decode(data, to(values.shape, "RGB", window="full"))
    np.testing.assert_array_equal(shallow, np.repeat(np.rint(unit * 255)[..., None], 3, axis=-1))
    np.testing.assert_array_equal(np.asarray(open_upright(data, window="full"))[..., 0], shallow[..., 0])


def test_bits_above_those_stored_are_passed_over() -> None:
    """Old files keep overlays there."""
    values = ramp(12)
    data = dicom(values | np.uint16(0x8000), bits=12)
    np.testing.assert_array_equal(read_dicom(data).values, values)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless])
def test_what_lies_above_the_bits_stored_is_an_overlay_only_where_it_is_one(syntax: UID) -> None:
    """Next to them, too; and levels are not cut off where the file says too few bits, or a sign that is not there."""
    values = ramp(12)
    drawn = values.copy()
    drawn[2] |= 0x1000
    drawn[4:] |= 0x8000
    np.testing.assert_array_equal(read_dicom(dicom(drawn, bits=12, syntax=syntax)).values, values)
    too_few = dicom(values, bits=10, syntax=syntax)
    no_sign = dicom(values.astype(np.int16), bits=12, syntax=syntax)
    colours = dicom(np.stack([values] * 3, axis=-1), bits=10, photometric="RGB", syntax=syntax)
    for data, bits in ((too_few, 10), (no_sign, 12), (colours, 10)):
        assert reason(data) == (
            f"its levels need more than the {bits} bits that it says are stored (DICOM's Bits Stored), or have no sign "
            f"where it says so (Pixel Representation)"
        )


def test_a_sign_that_is_not_carried_on_above_the_bits_stored_is_a_sign() -> None:
    values = ramp(12, signed=True)
    cut = (values & 0x0FFF).astype(np.int16)
    assert (cut != values).any()
    np.testing.assert_array_equal(read_dicom(dicom(cut, bits=12)).values, values)


def test_a_lossy_jpeg_is_near() -> None:
    values = np.asarray(Image.fromarray(ramp(8, shape=(8, 8))).resize((64, 48), Image.Resampling.BICUBIC))
    data = dicom(values, syntax=JPEGBaseline8Bit)
    assert np.abs(decode(data, to((48, 64)))[..., 0].astype(int) - values).max() <= 6


def test_one_bit_is_black_and_white() -> None:
    data = dicom(np.array([[0b00001111, 0b01010101]], dtype=np.uint8), elements={
        "BitsAllocated": 1, "BitsStored": 1, "HighBit": 0, "Columns": 16,
    })  # fmt: skip
    want = [255] * 4 + [0] * 4 + [255, 0] * 4
    np.testing.assert_array_equal(decode(data, to((1, 16)))[0, :, 0], want)


# --- the modality's unit -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("slope", "intercept"), [(1, -1024), (2.5, 0), (-1, 4095), (0.25, -3)])
@pytest.mark.parametrize(("bits", "signed"), [(12, False), (16, False), (12, True)])
def test_slope_and_intercept(bits: int, signed: bool, slope: float, intercept: float) -> None:
    values = ramp(bits, signed=signed)
    elements = {"RescaleSlope": slope, "RescaleIntercept": intercept}
    raw = read_dicom(dicom(values, bits=bits, elements=elements))
    want = values.astype(float) * slope + intercept
    np.testing.assert_array_equal(raw.values, want)
    assert raw.full == (want.min(), want.max())
    got = decode(dicom(values, bits=bits, elements=elements), to(values.shape, window="-200..800", depth=16))
    np.testing.assert_allclose(got[..., 0], np.clip((want + 200) / 1000, 0, 1) * 65535, atol=0.51)


OPTIONAL = (
    "RescaleSlope",
    "RescaleIntercept",
    "WindowCenter",
    "NumberOfFrames",
    "HighBit",
    "PixelPaddingRangeLimit",
)


@pytest.mark.filterwarnings("ignore:A value of 'None'")  # pydicom's, about Number of Frames
@pytest.mark.parametrize("empty", [(), *combinations(OPTIONAL, 1), *combinations(OPTIONAL, 2), OPTIONAL])
def test_an_element_without_a_value_is_like_one_that_is_not_there(empty: tuple[str, ...]) -> None:
    said = {"PixelPaddingValue": 4095, "RescaleSlope": 1, "RescaleIntercept": 0}
    want = decode(dicom(ramp(12), bits=12, elements=said), to((6, 35)))
    got = decode(dicom(ramp(12), bits=12, elements=said | dict.fromkeys(empty)), to((6, 35)))
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("syntax", [syntax.keyword for syntax in NATIVE])
@pytest.mark.parametrize("depth", [8, 12, 16])
@pytest.mark.parametrize("signed", [False, True])
def test_a_modality_table(signed: bool, depth: int, syntax: str) -> None:
    """With a first value that is not 0: what lies below gets the first entry, what lies above the last."""
    values = np.arange(-50, 190, dtype=np.int16).reshape(12, 20)
    values = values if signed else (values + 50).astype(np.uint16)
    first = -20 if signed else 30
    table = np.rint(np.sqrt(np.arange(100) / 99) * (2**depth - 1)).astype(int)
    lut = item(LUTDescriptor=[100, first, depth], LUTData=table.tolist(), ModalityLUTType="US")
    lut["LUTDescriptor"].VR = "SS" if signed else "US"
    lut["LUTData"].VR = "US"
    raw = read_dicom(dicom(values, syntax=SYNTAXES[syntax], elements={"ModalityLUTSequence": [lut]}))
    np.testing.assert_array_equal(raw.values, table[np.clip(values.astype(int) - first, 0, 99)])
    assert (raw.bits, raw.full) == (depth, (0, 2**depth - 1))


def test_rescaling_is_pydicoms() -> None:
    data = dicom(ramp(12), bits=12, elements={"RescaleSlope": 1.5, "RescaleIntercept": -7})
    dataset = dcmread(io.BytesIO(data))
    np.testing.assert_array_equal(read_dicom(data).values, apply_modality_lut(dataset.pixel_array, dataset))


# --- windows ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("centre", "width", "black_to", "white_above"),
    [(2048, 4096, 0, 4095), (2048, 1, 2047.5, 2047.5), (0, 100, -50, 49), (0, 1, -0.5, -0.5)],
)
def test_the_examples_of_the_standard(
    centre: float, width: float, black_to: float, white_above: float
) -> None:
    """PS3.3 C.11.2.1.2.1, the note under its equation."""
    x = np.arange(-100, 4300, 0.25)
    y = windowed(x, "LINEAR", centre, width)
    assert (y[x <= black_to] == 0).all() and (y[x > white_above] == 1).all()
    between = (x > black_to) & (x <= white_above)
    np.testing.assert_allclose(
        y[between], (x[between] - black_to) / max(white_above - black_to, 1), atol=1e-6
    )


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("centre", "width"), [(40, 400), (1500, 3000.5), (300, 1), (-100, 2)])
def test_windows_are_pydicoms(function: str, centre: float, width: float) -> None:
    values = ramp(12)
    elements = {"WindowCenter": centre, "WindowWidth": width, "VOILUTFunction": function}
    dataset = item(PhotometricInterpretation="MONOCHROME2", BitsStored=12, PixelRepresentation=0, **elements)
    with np.errstate(over="ignore"):
        want = apply_windowing(values, dataset) / 4095
    data = dicom(values, bits=12, elements=elements)
    for window in ("auto", "file"):
        np.testing.assert_allclose(shades(read_dicom(data), window), want, atol=2e-6)
    np.testing.assert_allclose(decode(data, to(values.shape, depth=16))[..., 0], want * 65535, atol=0.65)


def test_the_window_is_in_the_modalitys_unit() -> None:
    hounsfield = np.array([[-1024, -160, 40, 239, 3071]])
    stored = (hounsfield + 1024).astype(np.uint16)
    elements = {"RescaleSlope": 1, "RescaleIntercept": -1024, "WindowCenter": 40, "WindowWidth": 400}
    got = shades(read_dicom(dicom(stored, bits=12, elements=elements)), "auto")
    np.testing.assert_allclose(got, [[0, 0, 200 / 399, 1, 1]], atol=1e-6)


def test_of_several_windows_the_first_is_used() -> None:
    data = dicom(ramp(12), bits=12, elements={"WindowCenter": [1000, 40], "WindowWidth": [2001, 400]})
    want = np.clip((ramp(12) - 999.5) / 2000 + 0.5, 0, 1)
    np.testing.assert_allclose(shades(read_dicom(data), "auto"), want, atol=1e-6)


@pytest.mark.parametrize(
    ("centres", "widths"),
    [
        ([0, 1000], [0, 2001]),
        ([0, 40, 1000], [0, -5, 2001]),
        (["", 1000], ["", 2001]),
        ([7, 1000], [0.5, 2001]),
    ],
)
def test_a_window_without_a_width_is_none(centres: list[float], widths: list[float]) -> None:
    """The next one counts; if there is no other, the file is shown as one that has no window."""
    values = ramp(12)
    several = dicom(values, bits=12, elements={"WindowCenter": centres, "WindowWidth": widths})
    want = dicom(values, bits=12, elements={"WindowCenter": 1000, "WindowWidth": 2001})
    np.testing.assert_array_equal(shades(read_dicom(several), "auto"), shades(read_dicom(want), "auto"))
    first = dicom(values, bits=12, elements={"WindowCenter": centres[0], "WindowWidth": widths[0]})
    for window in ("auto", "file"):
        got, none = (shades(read_dicom(data), window) for data in (first, dicom(values, bits=12)))
        np.testing.assert_array_equal(got, none)


@pytest.mark.parametrize("depth", [8, 12, 16])
@pytest.mark.parametrize("as_bytes", [False, True])
@pytest.mark.parametrize("syntax", [syntax.keyword for syntax in NATIVE])
def test_a_voi_table_comes_before_a_window(depth: int, as_bytes: bool, syntax: str) -> None:
    values = ramp(10)
    table = np.rint((np.arange(600) / 599) ** 2 * (2**depth - 1)).astype(np.uint16)
    order = ">" if SYNTAXES[syntax] == ExplicitVRBigEndian else "<"
    lut = item(LUTDescriptor=[600, 200, depth])
    lut.LUTData = table.astype(f"{order}u2").tobytes() if as_bytes else table.tolist()
    lut["LUTDescriptor"].VR, lut["LUTData"].VR = "US", "OW" if as_bytes else "US"
    elements = {"VOILUTSequence": [lut], "WindowCenter": 5, "WindowWidth": 10}
    data = dicom(values, bits=10, syntax=SYNTAXES[syntax], elements=elements)
    want = table[np.clip(values.astype(int) - 200, 0, 599)] / (2**depth - 1)
    np.testing.assert_allclose(shades(read_dicom(data), "auto"), want, atol=1e-6)


def test_a_table_of_65536_entries() -> None:
    """Its number is written as 0, because 65,536 needs 17 bits."""
    table = np.arange(65535, -1, -1)
    lut = item(LUTDescriptor=[0, 0, 16], LUTData=table.tolist())
    lut["LUTDescriptor"].VR, lut["LUTData"].VR = "US", "OW"
    lut.LUTData = table.astype("<u2").tobytes()
    data = dicom(ramp(16), elements={"VOILUTSequence": [lut]})
    np.testing.assert_allclose(shades(read_dicom(data), "auto"), 1 - ramp(16) / 65535, atol=1e-6)


def test_monochrome1_is_inverted_after_its_window() -> None:
    elements = {"WindowCenter": 100.5, "WindowWidth": 101}
    values = np.array([[0, 50, 100, 125, 150, 4000]], dtype=np.uint16)
    got = shades(read_dicom(dicom(values, bits=12, photometric="MONOCHROME1", elements=elements)), "auto")
    np.testing.assert_allclose(got, [[1, 1, 0.5, 0.25, 0, 0]], atol=1e-6)


def test_without_a_window_of_its_own_a_deep_file_is_shown_by_percentiles() -> None:
    values = ramp(12, shape=(50, 60))
    raw = read_dicom(dicom(values, bits=12))
    np.testing.assert_array_equal(shades(raw, "auto"), shades(raw, "0.5%..99.5%"))
    eight = ramp(8) // 2
    np.testing.assert_array_equal(decode(dicom(eight), to(eight.shape))[..., 0], eight)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_what_lies_outside_of_the_scanners_circle_is_black_and_not_counted(photometric: str) -> None:
    values = np.full((10, 10), -2000, dtype=np.int16)
    values[2:8, 2:8] = np.arange(36).reshape(6, 6)
    elements = {"PixelPaddingValue": -2000, "RescaleSlope": 1, "RescaleIntercept": -1024}
    data = dicom(values, photometric=photometric, elements=elements)
    got = decode(data, to((10, 10), window="file"))[..., 0]
    assert (got[values == -2000] == 0).all()
    want = np.rint(np.arange(36).reshape(6, 6) / 35 * 255)
    np.testing.assert_array_equal(got[2:8, 2:8], want if photometric == "MONOCHROME2" else 255 - want)


# --- colour -------------------------------------------------------------------------------------------------

COLOURS = np.random.default_rng(0).integers(0, 256, (9, 14, 3), dtype=np.uint8)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_rgb(syntax: str) -> None:
    data = dicom(COLOURS, photometric="RGB", syntax=SYNTAXES[syntax])
    np.testing.assert_array_equal(decode(data, to((9, 14), "RGB")), COLOURS)
    np.testing.assert_array_equal(np.asarray(open_upright(data)), COLOURS)
    grey = decode(data, to((9, 14)))[..., 0]
    np.testing.assert_allclose(grey, COLOURS @ [0.299, 0.587, 0.114], atol=1)


def test_rgb_plane_by_plane() -> None:
    planes = np.ascontiguousarray(np.moveaxis(COLOURS, -1, 0)).reshape(COLOURS.shape)
    data = dicom(planes, photometric="RGB", elements={"PlanarConfiguration": 1})
    np.testing.assert_array_equal(decode(data, to((9, 14), "RGB")), COLOURS)


@pytest.mark.parametrize("bits", [12, 16])
def test_deep_rgb_keeps_its_depth(bits: int) -> None:
    values = np.random.default_rng(0).integers(0, 2**bits, (5, 7, 3)).astype(np.uint16)
    data = dicom(values, bits=bits, photometric="RGB")
    got = decode(data, to((5, 7), "RGB", depth=16))
    np.testing.assert_array_equal(got, np.rint(values / (2**bits - 1) * 65535))


@pytest.mark.parametrize("syntax", [*(syntax.keyword for syntax in NATIVE), "RLELossless"])
def test_ybr_becomes_rgb(syntax: str) -> None:
    """PS3.3 C.7.6.3.1.2, inverted."""
    y, cb, cr = np.moveaxis(COLOURS.astype(float), -1, 0)
    want = np.stack(
        [y + 1.402 * (cr - 128), y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128), y + 1.772 * (cb - 128)]
    )
    data = dicom(COLOURS, photometric="YBR_FULL", syntax=SYNTAXES[syntax])
    got = decode(data, to((9, 14), "RGB"))
    np.testing.assert_allclose(got, np.moveaxis(np.clip(want, 0, 255), 0, -1), atol=1.01)


def test_halved_colours_become_rgb() -> None:
    """YBR_FULL_422: two Y for one Cb and one Cr."""
    pixels = np.array([[[76, 29, 85, 255]]], dtype=np.uint8)  # Y Y Cb Cr of two reds
    data = dicom(pixels.reshape(1, 4), photometric="YBR_FULL_422", elements={
        "SamplesPerPixel": 3, "PlanarConfiguration": 0, "Rows": 1, "Columns": 2,
    })  # fmt: skip
    got = decode(data, to((1, 2), "RGB"))[0]
    np.testing.assert_allclose(got, [(254, 0, 0), (207, 0, 0)], atol=1)


@pytest.mark.parametrize("kind", ["YBR_FULL_422", "RGB"])
def test_a_colour_jpeg(kind: str) -> None:
    image = Image.fromarray(COLOURS).resize((64, 48), Image.Resampling.BICUBIC)
    values = np.asarray(image)
    data = dicom(values, photometric=kind, syntax=JPEGBaseline8Bit)
    if kind == "RGB":  # stored as RGB inside of the JPEG as well
        stream = coded(values, "JPEG", quality=95, keep_rgb=True)
        data = dicom(values, photometric=kind, syntax=JPEGBaseline8Bit, elements={})
        data = _with_frames(data, [stream])
    got = decode(data, to((48, 64), "RGB")).astype(int)
    assert np.abs(got - values).mean() < 7  # colours at half the resolution


@pytest.mark.parametrize("kind", ["YBR_RCT", "YBR_ICT"])
def test_a_colour_jpeg_2000(kind: str) -> None:
    stream = coded(COLOURS, "JPEG2000", irreversible=False, mct=1)
    data = _with_frames(dicom(COLOURS, photometric=kind, syntax=JPEG2000Lossless), [stream])
    np.testing.assert_array_equal(decode(data, to((9, 14), "RGB")), COLOURS)


def _with_frames(data: bytes, streams: list[bytes]) -> bytes:
    dataset = dcmread(io.BytesIO(data))
    dataset.PixelData = encapsulate(streams)
    stream = io.BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("syntax", [syntax.keyword for syntax in NATIVE])
def test_a_palette(depth: int, syntax: str) -> None:
    order = ">" if SYNTAXES[syntax] == ExplicitVRBigEndian else "<"
    tables = np.random.default_rng(1).integers(0, 2**depth, (3, 200)).astype(np.uint16)
    kind = "u1" if depth == 8 else f"{order}u2"
    elements: dict[str, Any] = {}
    for name, table in zip(("Red", "Green", "Blue"), tables, strict=True):
        elements[f"{name}PaletteColorLookupTableDescriptor"] = [200, 10, depth]
        elements[f"{name}PaletteColorLookupTableData"] = table.astype(kind).tobytes()
    indices = ramp(8)
    data = dicom(indices, photometric="PALETTE COLOR", syntax=SYNTAXES[syntax], elements=elements)
    want = np.moveaxis(tables[:, np.clip(indices.astype(int) - 10, 0, 199)], 0, -1)
    got = decode(data, to(indices.shape, "RGB", depth=16))
    np.testing.assert_array_equal(got, want if depth == 16 else want * 257)
    shallow = decode(data, to(indices.shape, "RGB"))
    np.testing.assert_array_equal(shallow, np.rint(want / (257 if depth == 16 else 1)))


def test_a_palette_in_segments() -> None:
    """A discrete segment of 2 entries and a linear one of 8 (PS3.3 C.7.9.2)."""
    segments = np.array([0, 2, 0, 100, 1, 8, 900], dtype="<u2").tobytes()
    elements: dict[str, Any] = {}
    for name in ("Red", "Green", "Blue"):
        elements[f"{name}PaletteColorLookupTableDescriptor"] = [10, 0, 16]
        elements[f"Segmented{name}PaletteColorLookupTableData"] = segments
    data = dicom(np.arange(10, dtype=np.uint8).reshape(2, 5), photometric="PALETTE COLOR", elements=elements)
    got = decode(data, to((2, 5), "RGB", depth=16))[..., 1].ravel()
    np.testing.assert_array_equal(got, [0, 100, *range(200, 1000, 100)])


# --- frames and facts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless])
def test_a_frame_is_chosen(syntax: UID, tmp_path: Path) -> None:
    volume = np.arange(5 * 6 * 7, dtype=np.uint16).reshape(5, 6, 7)
    file = tmp_path / "scan.dcm"
    file.write_bytes(dicom(volume, frames=5, syntax=syntax))
    pre = to((6, 7), window="0..65535", depth=16)
    np.testing.assert_array_equal(decode(read_file(file), pre)[..., 0], volume[2])
    assert dicom_facts(file.read_bytes()).frame == 2
    for number in range(5):
        data = read_file(tmp_path / f"scan.dcm#{number}")
        np.testing.assert_array_equal(decode(data, pre)[..., 0], volume[number])
    assert reason(read_file(tmp_path / "scan.dcm#5")) == "there is no frame 5: it has 5, counted from 0"


def test_the_representative_frame_is_shown_first() -> None:
    volume = np.arange(5 * 6 * 7, dtype=np.uint16).reshape(5, 6, 7)
    data = dicom(volume, frames=5, elements={"RepresentativeFrameNumber": 5})
    np.testing.assert_array_equal(read_dicom(data).values, volume[4])


def test_what_differs_from_frame_to_frame_is_taken_from_the_frame() -> None:
    volume = np.tile(np.arange(6, dtype=np.uint16).reshape(2, 3), (2, 1, 1))
    frames = [
        item(
            PixelValueTransformationSequence=[item(RescaleSlope=slope, RescaleIntercept=1)],
            FrameVOILUTSequence=[item(WindowCenter=5.5, WindowWidth=10 * slope + 1)],
        )
        for slope in (1, 3)
    ]
    shared = item(PixelMeasuresSequence=[item(PixelSpacing=[0.5, 0.75])])
    elements = {"PerFrameFunctionalGroupsSequence": frames, "SharedFunctionalGroupsSequence": [shared]}
    data = dicom(volume, frames=2, elements=elements)
    for number, slope in enumerate((1, 3)):
        raw = read_dicom(data, number)
        np.testing.assert_array_equal(raw.values, volume[number] * float(slope) + 1)
        want = np.clip((raw.values - 5) / (10 * slope) + 0.5, 0, 1)
        np.testing.assert_allclose(shades(raw, "auto"), want, atol=1e-6)
    assert dicom_facts(data).spacing_mm == (0.5, 0.75)


def test_the_facts_of_a_file() -> None:
    data = dicom(ramp(12), bits=12, photometric="MONOCHROME1", elements={
        "PatientID": "MRN 4711", "PatientName": "Doe^Jane", "ImagerPixelSpacing": [0.14, 0.15],
    })  # fmt: skip
    facts = dicom_facts(data)
    assert re.fullmatch("[0-9a-f]{12}", facts.patient)
    assert facts == DicomFacts(
        facts.patient, (0.14, 0.15), (6, 35), 12, "MONOCHROME1", 1, 0, "Explicit VR Little Endian"
    )
    assert "4711" not in repr(facts) and "Doe" not in repr(facts)
    assert read_header(data) == Header("DICOM", "MONOCHROME1", (6, 35), 12, 1, 1)


def test_the_hash_tells_patients_apart_and_nothing_else() -> None:
    def patient(**elements: str) -> str:
        return dicom_facts(dicom(ramp(8), elements=elements)).patient

    assert patient(PatientID="1") == patient(PatientID=" 1 ", PatientName="Doe^Jane")
    others = {patient(PatientID="1"), patient(PatientID="2"), patient(PatientID="1", IssuerOfPatientID="B")}
    assert len(others) == 3
    assert patient() == patient(PatientID="") == ""
    assert patient(PatientID="1") == "b0c5b075d9de"  # groups in saved splits depend on it


@pytest.mark.parametrize("suffix", ["", ".dcm", ".dicom", ".png"])
def test_it_is_known_by_its_bytes(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"IM000001{suffix}"
    file.write_bytes(dicom(COLOURS, photometric="RGB"))
    assert is_dicom(read_file(file))
    np.testing.assert_array_equal(decode(read_file(file), to((9, 14), "RGB")), COLOURS)


# --- compressions -----------------------------------------------------------------------------------------------

SAMPLES = Path(pydicom.__file__).parent / "data" / "test_files"  # pydicom's own
needs_gdcm = pytest.mark.skipif(
    find_spec("gdcm") is None,
    reason='JPEG Lossless and JPEG-LS need python-gdcm: pip install "mirada[dicom]"',
)


@needs_gdcm
@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("MR_small_jpeg_ls_lossless.dcm", "MR_small.dcm"),
        ("SC_rgb_jpeg_gdcm.dcm", "SC_rgb_rle.dcm"),  # JPEG Lossless
    ],
)
def test_lossless_jpeg_is_read_to_the_last_bit(name: str, plain: str) -> None:
    got, want = (read_dicom((SAMPLES / file).read_bytes()).values for file in (name, plain))
    np.testing.assert_array_equal(got, want)


@needs_gdcm
def test_damaged_lossless_jpeg_is_pixels_or_a_reason() -> None:
    random = np.random.default_rng(2)
    whole = (SAMPLES / "MR_small_jpeg_ls_lossless.dcm").read_bytes()
    refused = 0
    for _ in range(60):
        data = bytearray(whole)
        for place in random.integers(len(whole) - 3000, len(whole), 3):
            data[place] = random.integers(256)
        try:
            assert decode(bytes(data), to((8, 8))).shape == (8, 8, 1)
        except DecodeError as error:
            assert str(error)
            refused += 1
    assert refused > 0


@pytest.mark.parametrize("name", ["JPGExtended.dcm", "JPEG-lossy.dcm"])
def test_jpeg_of_12_bits_is_not_called_damaged(name: str) -> None:
    assert reason((SAMPLES / name).read_bytes()) == (
        "compressed in a way that is not read here: JPEG Extended (Process 2 and 4) of 12 bits; DCMTK's dcmdjpeg "
        "stores it uncompressed"
    )


# --- files that cannot be used ------------------------------------------------------------------------------


def test_without_pydicom_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    data = dicom(ramp(8))
    for name in [name for name in sys.modules if name.partition(".")[0] == "pydicom"]:
        monkeypatch.setitem(sys.modules, name, None)
    assert reason(data) == 'DICOM is read by pydicom, which is not installed: pip install "mirada[dicom]"'


@pytest.mark.parametrize(
    ("syntax", "remedy"),
    [
        (JPEGLSLossless, '; python-gdcm reads it: pip install "mirada[dicom]"'),
        (JPEGLosslessSV1, '; python-gdcm reads it: pip install "mirada[dicom]"'),
        (HTJ2KLossless, "; save it uncompressed"),
        (MPEG2MPML, ""),
    ],
)
def test_a_compression_that_is_not_read_is_named(
    syntax: UID, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Decoder, "available_plugins", ())  # with nothing but pydicom installed
    data = dicom(ramp(8), syntax=ExplicitVRLittleEndian)
    dataset = dcmread(io.BytesIO(data))
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate([b"1234"])
    dataset["PixelData"].is_undefined_length = True
    stream = io.BytesIO()
    dataset.save_as(stream)
    assert reason(stream.getvalue()) == f"compressed in a way that is not read here: {syntax.name}{remedy}"


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        (
            {"WindowCenter": 1, "WindowWidth": 5, "VOILUTFunction": "CUBIC"},
            "its window makes no sense (DICOM's CUBIC of width 5)",
        ),
        ({"PhotometricInterpretation": "HSV"}, "of a kind that is not read: DICOM's photometric interpretation HSV"),
        (
            {"Rows": 60_000, "Columns": 60_000},
            "60,000 × 60,000 pixels are more than the limit of 40 million for this kind of image",
        ),
        ({"PhotometricInterpretation": ""}, "of a kind that is not read: DICOM's photometric interpretation (none)"),
        ({"RescaleSlope": 0}, "its rescaling makes no sense (DICOM's Rescale Slope 0, Intercept 0)"),
        (
            {"BitsStored": 17},
            "17 bits of each pixel are stored in 16 (DICOM's Bits Stored and Bits Allocated)",
        ),
        (
            {"HighBit": 15},
            "its High Bit is 15, and with 12 Bits Stored it must be 11: which bits are the picture is not clear",
        ),
        ({"Rows": 600}, "truncated or damaged pixel data (Explicit VR Little Endian)"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_says_so(elements: dict[str, Any], expected: str) -> None:
    assert reason(dicom(ramp(12), bits=12, elements=elements)) == expected


def short_table() -> Any:
    """Of which its descriptor says more than there is."""
    lut = item(LUTDescriptor=[600, 200, 12], LUTData=[1, 2, 3])
    lut["LUTDescriptor"].VR = lut["LUTData"].VR = "US"
    return lut


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        (
            {"WindowCenter": 1, "WindowWidth": 5, "VOILUTFunction": "CUBIC"},
            "its window makes no sense (DICOM's CUBIC of width 5)",
        ),
        ({"VOILUTSequence": [short_table()]}, "a lookup table of 600 entries of 12 bits holds 3"),
    ],
)
def test_a_rule_that_makes_no_sense_matters_only_where_it_is_used(
    elements: dict[str, Any], expected: str
) -> None:
    values = ramp(12)
    plain, odd = dicom(values, bits=12), dicom(values, bits=12, elements=elements)
    for window in ("full", "1%..99%", "100..900"):
        np.testing.assert_array_equal(
            decode(odd, to(values.shape, window=window)), decode(plain, to(values.shape, window=window))
        )
    for window in ("auto", "file"):
        with pytest.raises(DecodeError) as caught:
            decode(odd, to(values.shape, window=window))
        assert str(caught.value) == expected


def test_a_file_without_an_image_says_so() -> None:
    dataset = dcmread(io.BytesIO(dicom(ramp(8))))
    del dataset.PixelData
    stream = io.BytesIO()
    dataset.save_as(stream)
    assert reason(stream.getvalue()) == "a DICOM file without an image"


def test_a_file_that_unpacks_to_gigabytes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_INFLATED", 2**20)
    data = dicom(np.zeros((2000, 2000), np.uint8), syntax=DeflatedExplicitVRLittleEndian)
    assert len(data) < 10_000
    assert reason(data) == "it unpacks to more than 128 MiB (a decompression bomb?)"


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, about odd elements
def test_damage_of_any_kind_is_a_decode_error_and_nothing_else() -> None:
    elements = {"WindowCenter": 1000, "WindowWidth": 2000, "RescaleSlope": 2, "RescaleIntercept": 1}
    files = [dicom(ramp(12), bits=12, syntax=syntax, elements=elements) for syntax in LOSSLESS]
    random = np.random.default_rng(1)
    refused = 0
    for _ in range(400):
        data = bytearray(files[random.integers(len(files))])
        for place in random.integers(132, min(len(data), 700), random.integers(1, 5)):
            data[place] = random.integers(256)
        if random.integers(4) == 0:
            del data[random.integers(140, len(data)) :]
        try:
            pixels = decode(bytes(data), to((8, 9)))
        except DecodeError as error:
            assert str(error)
            refused += 1
            continue
        assert pixels.shape == (8, 9, 1)
    assert 40 < refused < 400


def with_elements(data: bytes, count: int) -> bytes:
    """A file with so many empty private elements before its pixels, all different."""
    pixels = data.index(struct.pack("<HH", 0x7FE0, 0x10))
    extra = b"".join(
        struct.pack("<HH2sH", 0x1001 + 2 * (number >> 15), 0x8000 | number & 0x7FFF, b"SH", 0)
        for number in range(count)
    )
    return data[:pixels] + extra + data[pixels:]


def test_a_file_of_too_many_elements_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """pydicom would take minutes for millions of them."""
    np.testing.assert_array_equal(read_dicom(with_elements(dicom(ramp(8)), 20_000)).values, ramp(8))
    monkeypatch.setattr(module, "MAX_READS", 10_000)
    assert reason(with_elements(dicom(ramp(8)), 20_000)) == (
        "more than the limit of 10,000 DICOM elements (a decompression bomb?)"
    )


def test_pixels_in_hundreds_of_thousands_of_fragments_are_refused() -> None:
    dataset = dcmread(io.BytesIO(dicom(ramp(8), syntax=RLELossless)))
    dataset.PixelData = b"\xfe\xff\x00\xe0\0\0\0\0" * 100_001
    dataset["PixelData"].is_undefined_length = True
    stream = io.BytesIO()
    dataset.save_as(stream)
    assert (
        reason(stream.getvalue()) == "its pixels are in more than 100,000 fragments (a decompression bomb?)"
    )


def test_a_deflated_file_is_read_like_one_that_is_not_and_keeps_its_name() -> None:
    data = dicom(ramp(12), bits=12, syntax=DeflatedExplicitVRLittleEndian)
    np.testing.assert_array_equal(read_dicom(data).values, ramp(12))
    assert dicom_facts(data).syntax == DeflatedExplicitVRLittleEndian.name


def test_a_patient_is_one_however_the_letters_are_composed() -> None:
    values = np.zeros((4, 4), dtype=np.uint8)
    spellings = ("Mu\u0308ller 1", "M\u00fcller  1", " M\u00fcller 1 ")
    utf8 = {"SpecificCharacterSet": "ISO_IR 192"}
    patients = {
        dicom_facts(dicom(values, elements={**utf8, "PatientID": name})).patient for name in spellings
    }
    assert len(patients) == 1 and "" not in patients
    assert dicom_facts(dicom(values, elements={**utf8, "PatientID": "Muller 1"})).patient not in patients


def _with_frame(frame: bytes, syntax: UID) -> bytes:
    """8 × 8 grey, by its header."""
    dataset = pydicom.dcmread(io.BytesIO(dicom(np.zeros((8, 8), np.uint8), syntax=syntax)))
    dataset.PixelData = encapsulate([frame])
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


@pytest.mark.parametrize(("kind", "syntax"), [("JPEG", JPEGBaseline8Bit), ("JPEG2000", JPEG2000Lossless)])
def test_a_compressed_frame_larger_than_its_file_says_is_refused_undecoded(kind: str, syntax: UID) -> None:
    frame = coded(np.zeros((64, 300), np.uint8), kind)
    with pytest.raises(DecodeError, match=r"300 × 64 compressed pixels, and says that they are 8 × 8"):
        read_dicom(_with_frame(frame, syntax))
    assert read_dicom(_with_frame(coded(np.zeros((8, 8), np.uint8), kind), syntax)).values.shape == (8, 8)


def test_run_lengths_of_more_than_the_file_says_are_refused_undecoded() -> None:
    header = struct.pack("<16I", 1, 64, *[0] * 14)
    with pytest.raises(DecodeError, match="run lengths are of more pixels"):
        read_dicom(_with_frame(header + b"\x81\0" * 1000, RLELossless))
    literal = header + b"\x3f" + bytes(range(64))
    assert read_dicom(_with_frame(literal, RLELossless)).values.ravel().tolist() == list(range(64))
