"""Levels as a file stores them: ramps made by hand in every depth, with and without a sign, against what they hold."""

import re
import struct
import zlib
from typing import Any, Literal

import numpy as np
import pytest
from image_files import chunk, png
from numpy.typing import NDArray

from mirada.data.pixels.decode import DecodeError, decode, open_upright, read_header
from mirada.data.pixels.preprocessing import Preprocessing

ORDERS: dict[str, Literal["<", ">"]] = {"little-endian": "<", "big-endian": ">"}
UNKNOWN = (
    "not an image in a format that is read (AVIF, BMP, DICOM, GIF, JPEG, JPEG2000, PNG, PPM, TIFF, WEBP)"
)


def seen(data: bytes, window: str = "full", depth: int = 16, channels: int = 1) -> NDArray[Any]:
    """The whole image as a network sees it, at its own size; 0 … 1."""
    pre = Preprocessing(
        mode="L" if channels == 1 else "RGB",
        size=read_header(data).size,
        window=window,
        depth=depth,  # type: ignore[arg-type]
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
    )
    shades: NDArray[Any] = decode(data, pre) / (2**depth - 1)
    return shades[..., 0] if channels == 1 else shades


def ramp(values: NDArray[Any], low: float, high: float) -> NDArray[np.float64]:
    return np.clip((values.astype(np.float64) - low) / (high - low), 0, 1)


def require_shades(data: bytes, window: str, want: NDArray[np.float64]) -> None:
    """The same for a network of either depth and for the eye, to half a step of each."""
    np.testing.assert_allclose(seen(data, window), want, rtol=0, atol=0.51 / 65_535)
    np.testing.assert_allclose(seen(data, window, depth=8), want, rtol=0, atol=0.51 / 255)
    upright = np.asarray(open_upright(data, window=window))
    np.testing.assert_allclose(upright[..., 1] / 255, want, rtol=0, atol=0.51 / 255)


def tiff(
    values: NDArray[Any], photometric: int | None = 1, order: Literal["<", ">"] = "<", packed: bool = False
) -> bytes:
    """A TIFF, (H, W) or (H, W, samples); ``packed`` by deflate, which libtiff reads."""
    height, width, samples = (*values.shape, 1)[:3]
    body = values.astype(values.dtype.newbyteorder(order)).tobytes()
    body = zlib.compress(body) if packed else body
    short, long = 3, 4
    tags = [
        (256, long, width), (257, long, height), (258, short, values.dtype.itemsize * 8),
        (259, short, 8 if packed else 1), (262, short, photometric), (273, long, 8), (277, short, samples),
        (278, long, height), (279, long, len(body)),
        (339, short, {"u": 1, "i": 2, "f": 3, "c": 6}[values.dtype.kind]),
    ]  # fmt: skip
    entries = [
        struct.pack(order + "HHI", tag, kind, 1)
        + struct.pack(order + ("H2x" if kind == short else "I"), value)
        for tag, kind, value in tags
        if value is not None
    ]
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8 + len(body))
    return start + body + struct.pack(order + "H", len(entries)) + b"".join(entries) + bytes(4)


def pgm(values: NDArray[Any], highest: int, *, plain: bool = False) -> bytes:
    """A PGM or, (H, W, 3), a PPM; ``plain`` in decimal digits."""
    kind = {(2, True): 2, (3, True): 3, (2, False): 5, (3, False): 6}[values.ndim, plain]
    start = f"P{kind} {values.shape[1]} {values.shape[0]} {highest}\n".encode()
    if plain:
        return start + " ".join(map(str, values.ravel())).encode() + b"\n"
    return start + values.astype("u1" if highest < 256 else ">u2").tobytes()


def png_16(samples: NDArray[Any], colour: int) -> bytes:
    """A PNG of 16 bits, (H, W, samples)."""
    return png(samples.astype(">u2"), 16, colour)


def planes(values: NDArray[Any], photometric: int, order: Literal["<", ">"], rows: int) -> bytes:
    """A TIFF of (H, W, samples) that holds one colour after the other, each in strips of so many ``rows``."""
    height, width, samples = values.shape
    strips = [
        values[top : top + rows, :, sample].astype(values.dtype.newbyteorder(order)).tobytes()
        for sample in range(samples)
        for top in range(0, height, rows)
    ]
    body, count = b"".join(strips), len(strips)
    begins = np.cumsum([8, *map(len, strips)])[:-1]
    bits, offsets = 8 + len(body), 8 + len(body) + 2 * samples
    entries = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, samples, bits), (259, 4, 1, 1), (262, 4, 1, photometric),
        (273, 4, count, offsets), (277, 4, 1, samples), (278, 4, 1, rows), (279, 4, count, offsets + 4 * count),
        (284, 4, 1, 2),
    ] + ([(338, 4, 1, 2)] if samples == 4 and photometric == 2 else [])  # fmt: skip
    tail = struct.pack(f"{order}{samples}H{count}I{count}I", *[values.dtype.itemsize * 8] * samples, *begins,
                       *map(len, strips))  # fmt: skip
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8 + len(body) + len(tail))
    listed = b"".join(struct.pack(order + "HHII", *entry) for entry in entries)
    return start + body + tail + struct.pack(order + "H", len(entries)) + listed + bytes(4)


# --- colours plane by plane ---------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("rows", [6, 4], ids=["a strip a plane", "several"])
@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_colours_plane_by_plane_are_those_pixel_by_pixel(
    kind: str, rows: int, order: Literal["<", ">"]
) -> None:
    """Pillow takes every byte of 16-bit planes for a pixel; tifffile writes them so where the channels come first."""
    shades = np.random.default_rng(0).integers(0, 256, (6, 10, 3))
    levels = (shades * 257 if kind == "u2" else shades).astype(kind)
    np.testing.assert_array_equal(np.asarray(open_upright(planes(levels, 2, order, rows))), shades)
    opaque = np.concatenate([levels, np.full((6, 10, 1), np.iinfo(kind).max, kind)], axis=-1)
    np.testing.assert_array_equal(np.asarray(open_upright(planes(opaque, 2, order, rows))), shades)


def test_cielab_plane_by_plane_is_refused() -> None:
    """Pillow forgets the sign of a and b there."""
    with pytest.raises(DecodeError, match="CIELAB colours plane by plane is not read; save it as 8-bit RGB"):
        open_upright(planes(np.full((4, 4, 3), 100, np.uint8), 8, "<", 4))


# --- TIFF with and without a sign -----------------------------------------------------------------------------


def test_32_bits_without_a_sign_go_beyond_2_to_the_31() -> None:
    levels = np.linspace(0, 4.095e9, 40).astype(np.uint32).reshape(4, 10)
    for data in (tiff(levels), tiff(levels, packed=True)):
        for window in ("file", "0..4.095e9", "0%..100%"):
            require_shades(data, window, ramp(levels, 0, 4.095e9))
        assert read_header(data).bits == 32
    with pytest.raises(
        DecodeError, match=r"^values from 0 to 4,095,000,000 are outside of the full range 0 … 65,535;"
    ):
        seen(tiff(levels), "full")


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
@pytest.mark.parametrize("bits", [8, 16])
def test_the_lowest_of_levels_with_a_sign_is_black(bits: int, packed: bool, order: Literal["<", ">"]) -> None:
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    levels = np.linspace(low, high, 256).round().astype(f"i{bits // 8}").reshape(16, 16)
    data = tiff(levels, order=order, packed=packed)
    for window in ("full", "file", f"{low}..{high}"):
        require_shades(data, window, ramp(levels, low, high))
    require_shades(data, "-20..100", ramp(levels, -20, 100))
    assert read_header(data).bits == bits
    if bits == 8:
        require_shades(data, "auto", ramp(levels, low, high))
        colour = seen(data, "full", channels=3)
        np.testing.assert_allclose(
            colour, np.stack([ramp(levels, low, high)] * 3, axis=-1), atol=0.51 / 65_535
        )


@pytest.mark.parametrize("bits", [8, 16])
def test_a_window_counts_in_stored_levels_where_0_is_white(bits: int) -> None:
    levels = np.arange(256, dtype=f"u{bits // 8}").reshape(16, 16)
    white_first, black_first = tiff(levels, photometric=0), tiff(levels)
    for window, low, high in (("0..200", 0, 200), ("100..150", 100, 150), ("file", 0, 255)):
        require_shades(black_first, window, ramp(levels, low, high))
        require_shades(white_first, window, 1 - ramp(levels, low, high))
    require_shades(white_first, "full", 1 - ramp(levels, 0, 2**bits - 1))


def test_a_tiff_that_does_not_say_what_0_is_is_windowed_as_it_is_shown() -> None:
    """Pillow shows 8 bits as if 0 were white."""
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    data = tiff(levels, photometric=None)
    require_shades(data, "full", 1 - ramp(levels, 0, 255))
    require_shades(data, "0..200", 1 - ramp(levels, 0, 200))


@pytest.mark.parametrize(
    ("values", "order", "kind"),
    [
        (np.zeros((2, 3), np.float64), "<", "64-bit real numbers"),
        (np.zeros((2, 3), np.float16), "<", "16-bit real numbers"),
        (np.zeros((2, 3), np.uint64), "<", "64-bit whole numbers"),
        (np.zeros((2, 3), np.complex64), "<", "64-bit complex numbers"),
        (np.zeros((2, 3), np.float64), ">", "big-endian 64-bit real numbers"),
        (np.zeros((2, 3), np.uint32), ">", "big-endian 32-bit whole numbers"),
        (np.zeros((2, 3, 2), np.uint16), "<", "2 × 16-bit whole numbers"),
        (np.zeros((2, 3, 3), np.float32), "<", "3 × 32-bit real numbers"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_tiff_that_is_not_read_says_what_it_is(
    values: NDArray[Any], order: Literal["<", ">"], kind: str
) -> None:
    wanted = "32-bit real numbers" if values.ndim == 2 else "8-bit RGB"
    data = tiff(values, order=order)
    for attempt in (read_header, open_upright):
        with pytest.raises(DecodeError) as caught:
            attempt(data)
        assert str(caught.value) == f"a TIFF of {kind} is not read; save it as {wanted}"


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_32_bits_are_read_in_either_order(order: Literal["<", ">"], packed: bool) -> None:
    """Pillow reverses the bytes of big-endian files that are compressed."""
    values = np.linspace(-70_000, 90_000, 60).reshape(6, 10)
    for kind in (np.float32, np.int32):
        data = tiff(values.astype(kind), order=order, packed=packed)
        require_shades(data, "-70000..90000", ramp(values.astype(kind), -70_000, 90_000))


@pytest.mark.parametrize(
    "data", [b"II*\0", b"II*\0" + bytes(60), b"MM\0+" + bytes(3), tiff(np.zeros((2, 2), "u1"), 77)]
)
def test_a_tiff_whose_tags_make_no_sense_is_not_said_to_be_of_another_format(data: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        open_upright(data)
    assert str(caught.value) == (
        "a TIFF that is damaged, or of an unusual kind (its tags make no sense or are not known)"
    )


# --- PGM and PPM ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plain", [False, True], ids=["bytes", "digits"])
@pytest.mark.parametrize("highest", [1, 100, 254, 255, 256, 1000, 4095, 65_534, 65_535])
def test_a_window_counts_in_the_levels_of_a_pgm(highest: int, plain: bool) -> None:
    levels = np.linspace(0, highest, 280).round().astype(np.uint16).reshape(14, 20)
    data = pgm(levels, highest, plain=plain)
    middle = highest // 2 + 1
    require_shades(data, f"0..{highest}", ramp(levels, 0, highest))
    require_shades(data, f"0..{middle}", ramp(levels, 0, middle))
    require_shades(data, "full", levels / highest)
    assert read_header(data).bits == (8 if highest < 256 else 16)


def test_every_level_of_a_pgm_of_12_bits_is_kept() -> None:
    levels = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    for plain in (False, True):
        np.testing.assert_array_equal(np.rint(seen(pgm(levels, 4095, plain=plain), "0..4095") * 4095), levels)


def test_a_pgm_above_its_own_highest_level_is_not_full() -> None:
    data = pgm(np.array([[0, 1000, 5000]]), 4095)
    np.testing.assert_allclose(seen(data, "0..5000"), [[0, 0.2, 1]], atol=1e-5)
    with pytest.raises(
        DecodeError, match=r"^values from 0 to 5,000 are outside of the full range 0 … 4,095;"
    ):
        seen(data, "full")


@pytest.mark.parametrize("highest", [100, 4095])
def test_a_window_counts_in_the_levels_of_a_ppm_as_far_as_8_bits_tell_them_apart(highest: int) -> None:
    levels = np.linspace(0, highest, 30).round().astype(np.uint16).reshape(2, 5, 3)
    half = highest // 2
    got = seen(pgm(levels, highest), f"0..{half}", channels=3)
    np.testing.assert_allclose(got, ramp(levels, 0, half), atol=1e-4 if highest < 256 else 1 / 128)


# --- 16 bits in PNG -------------------------------------------------------------------------------------------


def with_alpha(levels: NDArray[Any], alpha: NDArray[Any] | int) -> bytes:
    return png_16(np.stack([levels, np.broadcast_to(alpha, levels.shape)], axis=-1), colour=4)


def test_grey_with_alpha_keeps_its_16_bits() -> None:
    levels = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    data = with_alpha(levels, 0xFFFF)
    assert read_header(data)[:4] == ("PNG", "LA", (64, 64), 16)
    np.testing.assert_array_equal(np.rint(seen(data, "0..4095") * 4095), levels)
    require_shades(data, "full", levels / 65_535)
    without = png_16(levels[..., None], colour=0)
    for window in ("auto", "file", "1%..99%"):
        np.testing.assert_array_equal(seen(data, window), seen(without, window))


def test_what_is_transparent_is_white_and_counts_for_no_window() -> None:
    levels = np.linspace(1000, 3000, 400).astype(np.uint16).reshape(20, 20)
    alpha = np.full_like(levels, 0xFFFF)
    alpha[0], alpha[1], alpha[2] = 0, 0x8000, 1
    hidden = levels.copy()
    hidden[0] = 65_535
    want = 1 - alpha / 65_535 * (1 - ramp(levels, levels[1:].min(), 3000))
    for window in ("file", f"{levels[1:].min()}..3000"):
        require_shades(with_alpha(hidden, alpha), window, want)
    np.testing.assert_array_equal(seen(with_alpha(levels, 0), "auto"), 1)


@pytest.mark.parametrize("before", [b"IDAT", b"IEND"])
@pytest.mark.parametrize("orientation", [3, 6])
def test_grey_with_alpha_is_turned_upright(orientation: int, before: bytes) -> None:
    levels = np.arange(0, 60_000, 1000, dtype=np.uint16).reshape(6, 10)
    exif = b"II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 0x0112, 3, 1, orientation) + bytes(4)
    start = with_alpha(levels, 0xFFFF)
    place = start.index(before) - 4
    data = start[:place] + chunk(b"eXIf", exif) + start[place:]
    want = np.rot90(levels, 2 if orientation == 3 else -1)
    pre = Preprocessing(mode="L", size=want.shape, window="full", depth=16, mean=(0.0,), std=(1.0,))
    np.testing.assert_array_equal(decode(data, pre)[..., 0], want)
    assert read_header(data) == ("PNG", "LA", (6, 10), 16, 1, orientation)


def test_a_window_counts_in_the_levels_of_16_bit_colours_by_their_upper_byte() -> None:
    levels = np.linspace(0, 65_535, 48).astype(np.uint16).reshape(4, 4, 3)
    for data in (png_16(levels, colour=2), tiff(levels, photometric=2)):
        got = seen(data, "0..40000", channels=3)
        np.testing.assert_allclose(got, ramp((levels >> 8) * 257.0, 0, 40_000), atol=1e-5)


# --- DICOM without its beginning ------------------------------------------------------------------------------


def test_a_dicom_file_without_its_preamble_is_read() -> None:
    files = pytest.importorskip("dicom_files", reason="DICOM needs pydicom", exc_type=ImportError)
    levels = np.arange(0, 4000, 100, dtype=np.uint16).reshape(5, 8)
    for syntax in files.LOSSLESS:
        whole = files.dicom(levels, bits=12, syntax=syntax)
        assert read_header(whole[132:]) == read_header(whole)
        require_shades(whole[132:], "full", levels / 4095)


def test_a_dicom_file_without_its_meta_elements_is_read_unless_it_is_compressed() -> None:
    files = pytest.importorskip("dicom_files", reason="DICOM needs pydicom", exc_type=ImportError)
    levels = np.arange(0, 4000, 100, dtype=np.uint16).reshape(5, 8)

    def data_set(syntax: str) -> bytes:
        whole: bytes = files.dicom(levels, bits=12, syntax=syntax)
        return whole[144 + int.from_bytes(whole[140:144], "little") :]

    for syntax in (files.ImplicitVRLittleEndian, files.ExplicitVRLittleEndian):
        require_shades(data_set(syntax), "full", levels / 4095)
    with pytest.raises(
        DecodeError, match=r"^compressed in a way that it does not name \(it has lost its DICOM meta"
    ):
        open_upright(data_set(files.RLELossless))


@pytest.mark.parametrize(
    "data", [b"\x08\0", b"\2\0" * 40, b"\x08\0\x05\0cs\x0a\0ISO_IR 100", b"\x08\0\x40\0CS\2\0AB"]
)
def test_what_only_begins_like_dicom_is_of_no_known_format(data: bytes) -> None:
    with pytest.raises(DecodeError, match=re.escape(UNKNOWN)):
        open_upright(data)
