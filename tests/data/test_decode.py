"""Bytes → pixels: what every kind of file becomes, against values made by hand and Pillow's own resizing."""

import io
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_files import png
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageOps

from mirada.data.pixels import decode as module
from mirada.data.pixels.arrays import container, digest, read_image
from mirada.data.pixels.clahe import clahe
from mirada.data.pixels.decode import (
    EXTENSIONS,
    FORMATS,
    DecodeError,
    EncodedFrame,
    Header,
    decode,
    decode_array,
    open_upright,
    read_file,
    read_header,
)
from mirada.data.pixels.fit import placement
from mirada.data.pixels.preprocessing import Preprocessing

Pixels = NDArray[np.uint8]
BILINEAR = Image.Resampling.BILINEAR
UNKNOWN = (
    "not an image in a format that is read (AVIF, BMP, DICOM, GIF, JPEG, JPEG2000, PNG, PPM, TIFF, WEBP)"
)
HEADER = "damaged (its header makes no sense)"
BODY = "damaged, or of an unusual kind (its pixel data cannot be decoded)"
SHORT = "truncated (the file ends before the image does)"


def to(size: tuple[int, int], mode: str = "RGB", policy: str = "stretch", **fields: Any) -> Preprocessing:
    channels = 3 if mode == "RGB" else 1
    return Preprocessing(
        mode=mode,  # type: ignore[arg-type]
        size=size,
        policy=policy,  # type: ignore[arg-type]
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
        **fields,
    )


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def noise(height: int = 13, width: int = 17, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def smooth(height: int, width: int) -> Image.Image:
    """A photo-like image: noise blown up."""
    return Image.fromarray(noise(6, 5)).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize(("least", "side"), [(None, 256), (112, 128), (128, 128), (129, 256), (20, 32)])
def test_a_jpeg_is_shown_as_small_as_is_asked_and_no_smaller(least: int | None, side: int) -> None:
    """The decoder halves while the sides stay at least so long; the picture stays what it is."""
    ramp = np.broadcast_to(np.linspace(0, 255, 256, dtype=np.uint8)[None, :, None], (256, 256, 3))
    shown = open_upright(encoded(Image.fromarray(np.ascontiguousarray(ramp)), "JPEG"), least=least)
    assert shown.size == (side, side)
    want = np.linspace(0, 255, 256).reshape(side, -1).mean(axis=1)
    np.testing.assert_allclose(np.asarray(shown)[side // 2, :, 1], want, atol=3)


# --- colour -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["BMP", "PNG", "PPM", "TIFF"])
def test_a_lossless_file_gives_its_own_pixels(kind: str) -> None:
    pixels = noise()
    data = encoded(Image.fromarray(pixels), kind)
    np.testing.assert_array_equal(decode(data, to((13, 17))), pixels)
    np.testing.assert_array_equal(np.asarray(open_upright(data)), pixels)


def test_grey_is_the_luma_of_itu_601() -> None:
    pixels = noise()
    grey = decode(encoded(Image.fromarray(pixels), "PNG"), to((13, 17), "L"))
    assert grey.shape == (13, 17, 1)
    np.testing.assert_allclose(grey[..., 0], pixels @ [0.299, 0.587, 0.114], atol=1)


def test_a_grey_file_as_rgb_has_three_equal_channels() -> None:
    pixels = noise()[..., 0]
    colour = decode(encoded(Image.fromarray(pixels), "PNG"), to((13, 17)))
    np.testing.assert_array_equal(colour, np.stack([pixels] * 3, axis=-1))


def test_one_bit_is_black_and_white() -> None:
    bits = noise()[..., 0] > 127
    data = encoded(Image.fromarray(bits), "PNG")
    np.testing.assert_array_equal(decode(data, to((13, 17), "L"))[..., 0], bits * 255)


def test_cmyk_becomes_rgb() -> None:
    inks = np.zeros((4, 4, 4), dtype=np.uint8)
    inks[0, :, 0], inks[1, :, 1], inks[2, :, 2], inks[3, :, 3] = 255, 255, 255, 255
    data = encoded(Image.fromarray(inks, "CMYK"), "TIFF")
    want = [(0, 255, 255), (255, 0, 255), (255, 255, 0), (0, 0, 0)]
    np.testing.assert_array_equal(decode(data, to((4, 4)))[:, 0], want)
    grey = decode(data, to((4, 4), "L"))[:, 0, 0]
    np.testing.assert_allclose(grey, np.array(want) @ [0.299, 0.587, 0.114], atol=1)


def test_a_cmyk_jpeg_is_not_inverted() -> None:
    data = encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95)
    np.testing.assert_allclose(decode(data, to((16, 16)))[8, 8], (255, 0, 0), atol=4)


def test_a_palette_with_a_transparent_colour_lies_on_white() -> None:
    image = Image.fromarray(np.array([[0, 1, 2]], dtype=np.uint8), "P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    data = encoded(image, "PNG", transparency=1)
    np.testing.assert_array_equal(decode(data, to((1, 3)))[0], [(255, 0, 0), (255, 255, 255), (0, 0, 255)])


def test_a_palette_without_transparency_keeps_its_colours() -> None:
    image = Image.fromarray(np.array([[0, 1, 2]], dtype=np.uint8), "P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    for kind in ("PNG", "GIF", "BMP", "TIFF"):
        np.testing.assert_array_equal(decode(encoded(image, kind), to((1, 3)))[0], np.eye(3) * 255)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_alpha_is_laid_on_white(mode: str) -> None:
    channels = len(mode)
    pixels = np.zeros((1, 3, channels), dtype=np.uint8)
    pixels[0, :, -1] = (0, 128, 255)
    grey = decode(encoded(Image.fromarray(pixels, mode), "PNG"), to((1, 3)))[0]
    np.testing.assert_allclose(grey, [[255] * 3, [127] * 3, [0] * 3], atol=1)


def test_16_bit_colour_is_read_by_its_upper_byte() -> None:
    wide = np.random.default_rng(0).integers(0, 65536, (5, 7, 3), dtype=np.uint16)
    data = png(wide.astype(">u2"), 16, 2)
    np.testing.assert_array_equal(decode(data, to((5, 7))), wide >> 8)


def test_a_colour_mode_without_a_way_is_named() -> None:
    data = encoded(Image.new("LAB", (2, 2)), "TIFF")
    with pytest.raises(DecodeError, match=r"^colour mode LAB cannot be converted to L$"):
        decode(data, to((2, 2), "L"))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame_is_read(kind: str) -> None:
    red, blue = Image.new("RGB", (4, 4), "red"), Image.new("RGB", (4, 4), "blue")
    data = encoded(red, kind, save_all=True, append_images=[blue])
    np.testing.assert_allclose(decode(data, to((4, 4)))[2, 2], (255, 0, 0), atol=3)


# --- more than 8 bits ----------------------------------------------------------------------------------------

RAMP = np.arange(0, 65536, 1261, dtype=np.uint16).reshape(4, -1)


def pil(values: NDArray[Any], mode: str) -> Image.Image:
    return Image.frombytes(mode, values.shape[::-1], values.tobytes())


def tagged_white_is_zero(data: bytes) -> bytes:
    """A little-endian TIFF with PhotometricInterpretation 0 in place of 1."""
    entry = struct.pack("<HHIHH", 262, 3, 1, 1, 0)
    assert data.count(entry) == 1
    return data.replace(entry, struct.pack("<HHIHH", 262, 3, 1, 0, 0))


DEEP_FILES = {
    "png": png(RAMP.astype(">u2"), 16, 0),
    "tiff": encoded(pil(RAMP, "I;16"), "TIFF"),
    "big-endian tiff": encoded(pil(RAMP.astype(">u2"), "I;16B"), "TIFF"),
    "deflated tiff": encoded(pil(RAMP, "I;16"), "TIFF", compression="tiff_adobe_deflate"),
    "32-bit tiff": encoded(pil(RAMP.astype(np.int32), "I"), "TIFF"),
    "pgm": f"P5 {RAMP.shape[1]} {RAMP.shape[0]} 65535\n".encode() + RAMP.astype(">u2").tobytes(),
}  # fmt: skip


@pytest.mark.parametrize("name", DEEP_FILES)
def test_16_bit_grey_keeps_every_level(name: str) -> None:
    deep = decode(DEEP_FILES[name], to(RAMP.shape, "L", window="full", depth=16))
    assert deep.dtype == np.uint16
    np.testing.assert_array_equal(deep[..., 0], RAMP)
    colour = decode(DEEP_FILES[name], to(RAMP.shape, window="full", depth=16))
    np.testing.assert_array_equal(colour, np.stack([RAMP] * 3, axis=-1))
    shallow = decode(DEEP_FILES[name], to(RAMP.shape, "L", window="full"))
    assert shallow.dtype == np.uint8
    np.testing.assert_array_equal(shallow[..., 0], np.rint(RAMP / 257))


def test_a_12_bit_x_ray_in_a_16_bit_file_is_neither_black_nor_white() -> None:
    levels = np.random.default_rng(0).normal(1500, 400, (60, 50)).clip(0, 4095).astype(np.uint16)
    data = png(levels.astype(">u2"), 16, 0)
    low, high = np.percentile(levels, (0.5, 99.5), method="inverted_cdf")
    want = np.clip((levels.astype(float) - low) / (high - low), 0, 1)
    np.testing.assert_allclose(decode(data, to((60, 50), "L"))[..., 0], want * 255, atol=0.501)
    np.testing.assert_allclose(decode(data, to((60, 50), "L", depth=16))[..., 0], want * 65535, atol=0.51)
    np.testing.assert_allclose(np.asarray(open_upright(data))[..., 1], want * 255, atol=0.501)


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize(
    ("window", "low", "high"), [("1000..3000", 1000, 3000), ("file", 0, 64311), ("full", 0, 65535)]
)
def test_a_window_is_laid_on_before_the_depth_is_reduced(
    depth: int, window: str, low: int, high: int
) -> None:
    top = 2**depth - 1
    want = np.rint(np.clip((RAMP.astype(float) - low) / (high - low), 0, 1) * top)
    got = decode(DEEP_FILES["png"], to(RAMP.shape, "L", window=window, depth=depth))
    np.testing.assert_allclose(
        got[..., 0], want, atol=1 if window == "1000..3000" else 0
    )  # ties may go either way


def test_a_window_holds_for_8_bits_too() -> None:
    grey = noise()[..., 0]
    data = encoded(Image.fromarray(grey), "PNG")
    want = np.clip((grey - 50.0) / 101, 0, 1)
    np.testing.assert_array_equal(
        decode(data, to((13, 17), "L", window="50..151"))[..., 0], np.rint(want * 255)
    )
    np.testing.assert_array_equal(
        np.asarray(open_upright(data, window="50..151"))[..., 2], np.rint(want * 255)
    )
    colour = encoded(Image.fromarray(noise()), "PNG")
    want = np.clip((noise() - 50.0) / 101, 0, 1)
    np.testing.assert_array_equal(decode(colour, to((13, 17), window="50..151")), np.rint(want * 255))


def test_8_bits_at_16_are_the_same_shades() -> None:
    data = encoded(Image.fromarray(noise()), "PNG")
    np.testing.assert_array_equal(decode(data, to((13, 17), depth=16)), noise().astype(np.uint16) * 257)


def test_real_numbers_are_read_by_their_own_range() -> None:
    values = np.random.default_rng(0).normal(-3, 7, (20, 30)).astype(np.float32)
    low, high = float(values.min()), float(values.max())
    data = encoded(Image.fromarray(values), "TIFF")
    got = decode(data, to((20, 30), "L", window="file", depth=16))[..., 0]
    np.testing.assert_allclose(got, (values - low) / (high - low) * 65535, atol=0.52)
    unit = encoded(Image.fromarray(np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)), "TIFF")
    got = decode(unit, to((16, 16), "L", window="full"))[..., 0]
    np.testing.assert_array_equal(got, np.arange(256).reshape(16, 16))


def test_real_numbers_without_any_are_refused_and_gaps_are_black() -> None:
    values = np.array([[np.nan, 1, 2, np.inf]], dtype=np.float32)
    data = encoded(Image.fromarray(values), "TIFF")
    np.testing.assert_array_equal(decode(data, to((1, 4), "L", window="file")).ravel(), [0, 0, 255, 255])
    with pytest.raises(DecodeError, match=r"^none of its pixels is a number \(all are NaN or infinite\)$"):
        decode(encoded(Image.fromarray(values[:, :1]), "TIFF"), to((1, 1)))


def test_integers_beyond_16_bits_need_a_window() -> None:
    data = encoded(Image.fromarray(np.array([[-5, 32_000, 70_000]], dtype=np.int32)), "TIFF")
    np.testing.assert_array_equal(decode(data, to((1, 3), "L")).ravel(), [0, 117, 255])
    with pytest.raises(
        DecodeError, match=r"^values from -5 to 70,000 are outside of the full range 0 … 65,535; "
    ):
        decode(data, to((1, 3), window="full"))


def test_a_tiff_whose_zero_is_white_is_inverted() -> None:
    data = tagged_white_is_zero(DEEP_FILES["tiff"])
    got = decode(data, to(RAMP.shape, "L", window="full", depth=16))
    np.testing.assert_array_equal(got[..., 0], 65535 - RAMP)
    eight = tagged_white_is_zero(encoded(Image.fromarray(noise()[..., 0]), "TIFF"))
    np.testing.assert_array_equal(decode(eight, to((13, 17), "L"))[..., 0], 255 - noise()[..., 0])


@pytest.mark.parametrize(
    ("original", "size"), [((40, 30), (20, 20)), ((30, 41), (16, 24)), ((50, 20), (13, 29))]
)
@pytest.mark.parametrize("policy", ["stretch", "pad", "frame", "crop"])
def test_deep_images_are_sized_like_others_but_finer(
    original: tuple[int, int], size: tuple[int, int], policy: str
) -> None:
    grey = np.random.default_rng(0).integers(0, 256, original).astype(np.uint8)
    shallow = encoded(Image.fromarray(grey), "PNG")
    deep = png((grey.astype(np.uint16) * 257).astype(">u2"), 16, 0)
    want = decode(shallow, to(size, "L", policy)).astype(float)
    fine = decode(deep, to(size, "L", policy, window="full", depth=16)) / 257
    assert np.abs(fine - want).max() < 1.01  # Pillow rounds 8 bits twice, once per axis
    assert len(np.unique(fine)) > len(np.unique(want))
    np.testing.assert_allclose(decode(shallow, to(size, "L", policy, depth=16)) / 257, fine, atol=1.01 / 257)
    np.testing.assert_allclose(decode(deep, to(size, "L", policy, window="full")), fine, atol=0.51)


def test_resizing_keeps_levels_that_8_bits_do_not_have() -> None:
    """The mean of 1000 and 1001, twice over."""
    stripes = np.tile(np.array([1000, 1001], dtype=np.uint16), (8, 8))
    data = png(stripes.astype(">u2"), 16, 0)
    got = decode(data, to((1, 1), "L", window="0..2000", depth=16))
    assert got.item() == round(1000.5 / 2000 * 65535)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_deep_tiff_is_turned_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    for image in (
        pil(RAMP, "I;16"),
        pil(RAMP.astype(">u2"), "I;16B"),
        Image.fromarray(RAMP.astype(np.float32)),
    ):
        data = encoded(image, "TIFF", exif=exif)
        want = UPRIGHT[orientation](RAMP)
        got = decode(data, to(want.shape, "L", window="0..65535", depth=16))
        np.testing.assert_array_equal(got[..., 0], want)


def test_clahe_is_applied_to_the_picture_and_not_to_its_padding() -> None:
    grey = (np.random.default_rng(0).normal(90, 8, (60, 30)).clip(0, 255)).astype(np.uint8)
    data = encoded(Image.fromarray(grey), "PNG")
    plain, equal = (decode(data, to((60, 60), "L", "pad", clahe=limit))[..., 0] for limit in (0.0, 4.0))
    assert (equal[:, :15] == 0).all() and (equal[:, 45:] == 0).all()
    want = np.rint(clahe(grey.astype(np.float32) / 255, 4.0) * 255)
    np.testing.assert_array_equal(equal[:, 15:45], want)
    assert equal[:, 15:45].std() > 2 * plain[:, 15:45].std()


def test_clahe_keeps_the_differences_of_colours() -> None:
    pixels = np.random.default_rng(0).integers(100, 140, (48, 48, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(pixels), "PNG")
    equal = decode(data, to((48, 48), clahe=2.0)).astype(int)
    difference = pixels[..., 0].astype(int) - pixels[..., 1]
    np.testing.assert_allclose(equal[..., 0] - equal[..., 1], difference, atol=1)
    assert np.abs(equal - pixels).max() > 5
    luma = (pixels @ np.float32([0.299, 0.587, 0.114])).astype(np.float32) / 255
    np.testing.assert_allclose(equal @ np.array([0.299, 0.587, 0.114]), clahe(luma, 2.0) * 255, atol=1)


# --- arrays -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["stretch", "pad", "frame", "crop"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_an_array_is_the_file_that_holds_it(policy: str, mode: str, channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 41, channels), dtype=np.uint8)
    pre = to((16, 24), mode, policy)
    data = encoded(Image.fromarray(pixels[..., 0] if channels == 1 else pixels), "PNG")
    np.testing.assert_array_equal(decode_array(pixels, pre), decode(data, pre))
    np.testing.assert_array_equal(decode_array(pixels[:, ::-1][:, ::-1], pre), decode(data, pre))


def test_deep_arrays_are_windowed_like_files() -> None:
    for window in ("auto", "full", "100..9000"):
        pre = to((4, 13), "L", window=window, depth=16)
        np.testing.assert_array_equal(decode_array(RAMP, pre), decode(DEEP_FILES["png"], pre))
    real = (RAMP / 65535).astype(np.float32)
    got = decode_array(real, to((4, 13), "L", window="full", depth=16))
    np.testing.assert_array_equal(got[..., 0], RAMP)
    for kind in (np.float64, np.float16):
        again = decode_array(real.astype(kind), to((4, 13), "L", window="full"))[..., 0]
        np.testing.assert_allclose(again, RAMP / 257, atol=0.6)


def test_arrays_of_bits_and_of_deep_colours() -> None:
    bits = noise()[..., 0] > 127
    np.testing.assert_array_equal(decode_array(bits, to((13, 17), "L"))[..., 0], bits * 255)
    colour = np.random.default_rng(0).integers(0, 65536, (5, 7, 3), dtype=np.uint16)
    np.testing.assert_array_equal(decode_array(colour, to((5, 7), depth=16)), colour)
    luma = decode_array(colour, to((5, 7), "L", depth=16))[..., 0]
    np.testing.assert_allclose(luma, colour @ [0.299, 0.587, 0.114], atol=0.6)


@pytest.mark.parametrize("white", [1.0, 65535])
def test_alpha_of_deep_arrays_is_laid_on_white(white: float) -> None:
    kind = np.float32 if white == 1 else np.uint16
    pixels = np.array([[[0, 0, 0, 0], [0, 0.4 * white, white, 0.5 * white], [0, 0, white, white]]]).astype(
        kind
    )
    got = decode_array(pixels, to((1, 3)))
    np.testing.assert_allclose(got[0], [[255] * 3, [127.5, 178.5, 255], [0, 0, 255]], atol=0.51)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.zeros(5, np.uint8), "an array of 5 is no image: "),
        (np.zeros((4, 4, 2), np.uint8), "an array of 4 × 4 × 2 is no image: "),
        (np.zeros((0, 4), np.uint8), "an array of 0 × 4 is no image: "),
        (np.zeros((2, 2, 2, 3), np.uint8), "an array of 2 × 2 × 2 × 3 is no image: "),
        (
            np.zeros((4, 4), np.int64),
            "an array of int64 is not read: expected bool, uint8, uint16 or real numbers",
        ),
        (np.zeros((4, 4), np.complex64), "an array of complex64 is not read: "),
    ],
)
def test_an_array_that_is_no_image_says_why(values: NDArray[Any], reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_array(values, to((8, 8)))
    assert str(caught.value).startswith(reason)


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP"])
def test_a_frame_is_chosen_by_its_number(kind: str, tmp_path: Path) -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    first, *rest = (Image.new("RGB", (4, 4), colour) for colour in colours)
    file = tmp_path / "frames.img"
    file.write_bytes(encoded(first, kind, save_all=True, append_images=rest))
    for number, colour in enumerate(colours):
        data = read_file(tmp_path / f"frames.img#{number}")
        np.testing.assert_allclose(decode(data, to((4, 4)))[2, 2], colour, atol=3)
        np.testing.assert_allclose(np.asarray(open_upright(data))[2, 2], colour, atol=3)
    with pytest.raises(DecodeError, match=r"^there is no frame 3, counted from 0$"):
        decode(read_file(tmp_path / "frames.img#3"), to((4, 4)))


def test_a_file_of_frames_is_read_once_until_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "all#1.tiff"
    for colours in (("red", "lime"), ("blue", "white")):
        first, *rest = (Image.new("RGB", (4, 4), colour) for colour in colours)
        file.write_bytes(encoded(first, "TIFF", save_all=True, append_images=rest))
        frames = [read_image(tmp_path / f"all#1.tiff#{number}") for number in range(2)]
        assert isinstance(frames[0], EncodedFrame) and isinstance(frames[1], EncodedFrame)
        assert frames[0].content is frames[1].content and frames[0].content == file.read_bytes()
        assert digest(frames[0]) != digest(frames[1])
        for frame, colour in zip(frames, colours, strict=True):
            assert open_upright(frame).getpixel((2, 2)) == ImageColor.getrgb(colour)
    assert container(tmp_path / "all#1.tiff#0") == file


def test_a_name_with_a_number_sign_is_a_name_first(tmp_path: Path) -> None:
    file = tmp_path / "photo.png#1"
    file.write_bytes(encoded(Image.fromarray(noise()), "PNG"))
    assert read_file(file) == file.read_bytes()
    with pytest.raises(DecodeError, match=r"^cannot be read \(no such file or directory\)$"):
        read_file(tmp_path / "gone.dcm#1")


def test_a_header_says_what_a_file_is() -> None:
    assert read_header(DEEP_FILES["png"]) == Header("PNG", "I;16", (4, 13), 16, 1, 1)
    real = encoded(Image.fromarray(np.zeros((2, 3), np.float32)), "TIFF")
    assert read_header(real) == Header("TIFF", "F", (2, 3), 32, 1, 1)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encoded(Image.fromarray(noise()), "JPEG", exif=exif)
    assert read_header(turned) == Header("JPEG", "RGB", (13, 17), 8, 1, 6)
    red, blue = Image.new("RGB", (4, 4), "red"), Image.new("RGB", (4, 4), "blue")
    assert read_header(encoded(red, "GIF", save_all=True, append_images=[blue])).frames == 2
    with pytest.raises(DecodeError, match=r"^the file is empty$"):
        read_header(b"")


# --- orientation --------------------------------------------------------------------------------------------

# What a viewer does for each EXIF orientation, in words of NumPy.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
    0: lambda a: a,  # there is no such orientation, yet there are such photos
    9: lambda a: a,
}


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation_is_applied(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(Image.fromarray(noise()), kind, exif=exif, **options)
    want = UPRIGHT[orientation](noise())
    np.testing.assert_array_equal(np.asarray(open_upright(data)), want)
    np.testing.assert_array_equal(decode(data, to(want.shape[:2])), want)
    upright = encoded(Image.fromarray(np.ascontiguousarray(want)), "PNG")
    for policy in ("pad", "crop"):
        narrow = to((30, 21), policy=policy)
        np.testing.assert_array_equal(decode(data, narrow), decode(upright, narrow))


def test_a_png_that_says_how_it_is_turned_behind_its_pixels() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(Image.fromarray(noise()), "PNG", exif=exif)
    start = data.index(b"eXIf") - 4  # a chunk: length, name, content, checksum
    end = start + 12 + int.from_bytes(data[start : start + 4])
    last = data.index(b"IEND") - 4
    assert end <= data.index(b"IDAT")
    moved = data[:start] + data[end:last] + data[start:end] + data[last:]
    assert read_header(moved).orientation == 6
    np.testing.assert_array_equal(np.asarray(open_upright(moved)), np.rot90(noise(), -1))


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation_is_applied_to_a_reduced_jpeg(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = smooth(243, 325)  # an eighth of it ends within a pixel
    turned = decode(encoded(photo, "JPEG", quality=95, exif=exif), to((24, 24)))
    upright = Image.fromarray(np.ascontiguousarray(UPRIGHT[orientation](np.asarray(photo))))
    np.testing.assert_allclose(turned, upright.resize((24, 24), BILINEAR), atol=8)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, about the EXIF
def test_no_damaged_exif_makes_a_good_photo_unreadable() -> None:
    """Pillow's own exif_transpose, which writes the EXIF again, fails on some of these."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x011A] = 6, "Maker", 72.0
    random = np.random.default_rng(0)
    image = Image.fromarray(noise())
    failures = 0
    for _ in range(400):
        broken = bytearray(exif.tobytes())
        for place in random.integers(14, len(broken), 3):
            broken[place] = random.choice((0, 1, 7, 255))
        data = encoded(image, "JPEG", exif=bytes(broken))
        assert sorted(open_upright(data).size) == [13, 17]
        try:
            ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
        except Exception:
            failures += 1
    assert failures > 0


# --- size ---------------------------------------------------------------------------------------------------

GEOMETRIES = [
    ((40, 30), (20, 20)),
    ((30, 41), (16, 24)),
    ((7, 5), (33, 20)),
    ((1, 9), (8, 8)),
    ((50, 20), (13, 29)),
]


@pytest.mark.parametrize(("original", "size"), GEOMETRIES)
def test_stretch_is_pillows_resize(original: tuple[int, int], size: tuple[int, int]) -> None:
    image = Image.fromarray(noise(*original))
    np.testing.assert_array_equal(decode(encoded(image, "PNG"), to(size)), image.resize(size[::-1], BILINEAR))


@pytest.mark.parametrize(("original", "size"), GEOMETRIES)
def test_pad_is_the_whole_image_between_black_bars(original: tuple[int, int], size: tuple[int, int]) -> None:
    image = Image.fromarray(noise(*original))
    (height, width), (top, left) = placement(original, size, "pad")  # as the maps are placed
    assert min(top, left) == 0
    want = np.zeros((*size, 3), dtype=np.uint8)
    want[top : top + height, left : left + width] = image.resize((width, height), BILINEAR)
    np.testing.assert_array_equal(decode(encoded(image, "PNG"), to(size, policy="pad")), want)


@pytest.mark.parametrize(("original", "size"), GEOMETRIES)
def test_crop_is_the_middle_of_the_scaled_image(original: tuple[int, int], size: tuple[int, int]) -> None:
    image = Image.fromarray(noise(*original))
    (height, width), (top, left) = placement(original, size, "crop")
    scaled = np.asarray(image.resize((width, height), BILINEAR)).astype(int)
    want = scaled[-top : size[0] - top, -left : size[1] - left]
    got = decode(encoded(image, "PNG"), to(size, policy="crop"))
    np.testing.assert_allclose(got, want, atol=1)


@pytest.mark.parametrize(("original", "resize"), [((300, 400), 256), ((90, 61), 235), ((224, 224), 224)])
def test_what_weights_are_judged_on_is_the_middle_of_a_larger_image(
    original: tuple[int, int], resize: int
) -> None:
    """By Pillow: the shorter side is brought to ``resize``, and the middle 224 × 224 cut out."""
    image = Image.fromarray(noise(*original))
    scale = resize / min(original)
    height, width = (round(side * scale) for side in original)
    left, top = (width - 224) // 2, (height - 224) // 2
    want = image.resize((width, height), BILINEAR).crop((left, top, left + 224, top + 224))
    got = decode(encoded(image, "PNG"), to((224, 224), policy="crop", resize=resize))
    np.testing.assert_allclose(got.astype(int), np.asarray(want).astype(int), atol=1)


@pytest.mark.parametrize("depth", [8, 16])
def test_a_digit_is_framed_as_it_is(depth: int) -> None:
    """28 pixels lie in the middle of 32 and keep their values; what is larger is shrunk, and nothing is enlarged."""
    digit = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
    found = decode_array(digit, to((32, 32), "L", "frame", depth=depth))[..., 0]
    np.testing.assert_array_equal(found, np.pad(digit.astype(found.dtype) * (257 if depth == 16 else 1), 2))
    odd = decode_array(digit[:27, :], to((32, 32), "L", "frame"))[..., 0]
    np.testing.assert_array_equal(odd, np.pad(digit[:27], ((2, 3), (2, 2))))
    wide = np.random.default_rng(1).integers(0, 256, (20, 64), dtype=np.uint8)
    pre = to((32, 32), "L", "frame")
    np.testing.assert_array_equal(decode_array(wide, pre), decode_array(wide, to((32, 32), "L", "pad")))


def test_cropping_a_thread_of_pixels_takes_no_memory() -> None:
    """Scaled as a whole it would be 64 × 6.4 million pixels, 1.2 GB."""
    pixels = decode(encoded(Image.new("RGB", (100_000, 1), "red"), "PNG"), to((64, 64), policy="crop"))
    assert (pixels == (255, 0, 0)).all()


@pytest.mark.parametrize("policy", ["stretch", "pad", "frame", "crop"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_reduced_jpeg_looks_like_the_whole_one(shared_data: Path, policy: str, mode: str) -> None:
    for photo in sorted((shared_data / "photos").iterdir())[:4]:
        data = photo.read_bytes()
        reduced = decode(data, to((56, 48), mode, policy)).astype(int)
        opened = module._open(data, mode, draft=112)
        assert (
            isinstance(opened.image, Image.Image) and opened.image.width < opened.size[0]
        )  # or nothing is shown
        whole = decode(encoded(open_upright(data), "PNG"), to((56, 48), mode, policy)).astype(int)
        assert np.abs(reduced - whole).mean() < 0.8, photo.name


# --- files that cannot be used ------------------------------------------------------------------------------


def test_a_name_that_lies_is_no_matter(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(encoded(Image.fromarray(noise()), "WEBP", lossless=True))
    np.testing.assert_array_equal(decode(read_file(tmp_path / "photo.png"), to((13, 17))), noise())


def truncated(kind: str) -> bytes:
    data = encoded(Image.fromarray(noise(64, 64)), kind)
    return data[: len(data) // 2]


CASES = {
    "empty": (b"", "the file is empty"),
    "text": (b"not an image at all", UNKNOWN),
    "other format": (encoded(Image.new("RGB", (2, 2)), "TGA"), UNKNOWN),
    "cut JPEG": (truncated("JPEG"), SHORT),
    "cut PNG": (truncated("PNG"), SHORT),
    "cut BMP": (truncated("BMP"), SHORT),
    "header": (b"P6 4x 4 255\n" + bytes(48), HEADER),
    "odd BMP": (b"BM" + bytes(12) + struct.pack("<IIIHHIIIIII", 40, 2, 2, 1, 2, 0, 16, 0, 0, 0, 0) + bytes(64),
                "of a kind that is not read: BMP pixel depth (2)"),
    "bomb": (b"P5 40000 40000 255\n", "more than 178 million pixels (a decompression bomb?)"),
    "large": (b"P5 12000 9000 255\n",
              "12,000 × 9,000 pixels are more than the limit of 100 million for this kind of image"),
    "large and deep": (b"P5 8000 9000 65535\n",
                       "8,000 × 9,000 pixels are more than the limit of 40 million for this kind of image"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_decoded_says_why(case: str) -> None:
    data, reason = CASES[case]
    for attempt in (lambda: decode(data, to((8, 8))), lambda: open_upright(data)):
        with pytest.raises(DecodeError) as caught:
            attempt()
        assert str(caught.value) == reason


def test_broken_compressed_data_says_so() -> None:
    data = bytearray(encoded(smooth(64, 64), "TIFF", compression="tiff_deflate"))
    data[60:400] = bytes(340)
    with pytest.raises(DecodeError) as caught:
        decode(bytes(data), to((8, 8)))
    assert str(caught.value) == BODY


def test_a_text_note_that_unpacks_to_gigabytes_is_refused(shared_data: Path) -> None:
    data = (shared_data / "odd-images" / "png_decompression_dos.png").read_bytes()
    with pytest.raises(DecodeError, match=r"^its text notes unpack to more than a megabyte"):
        decode(data, to((8, 8)))


def test_a_lack_of_memory_is_not_blamed_on_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(MemoryError):
        decode(b"x", to((8, 8)))


def test_files_that_cannot_be_read_say_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DecodeError, match=r"^cannot be read \(no such file or directory\)$"):
        read_file(tmp_path / "gone.png")
    with pytest.raises(DecodeError, match=r"^not a plain file$"):
        read_file(tmp_path)
    (tmp_path / "large.png").write_bytes(bytes(2 * 2**20))
    monkeypatch.setattr(module, "MAX_BYTES", 2**20)
    with pytest.raises(DecodeError, match=r"^2 MiB is more than the limit of 512 MiB$"):
        read_file(tmp_path / "large.png")


def test_every_format_that_is_read_has_its_extensions() -> None:
    Image.init()
    known = Image.registered_extensions()
    assert {known[extension] for extension in EXTENSIONS - {".dcm", ".dicom"}} == {*FORMATS, "MPO"}


def test_every_odd_image_is_an_image_or_has_a_clean_reason(shared_data: Path) -> None:
    opened = 0
    # What Pillow, libtiff and C say about themselves, and no user wants to hear.
    internal = ("decoder error", "Plugin", "object", "chunk", "_", "unpack requires", "0x", "b'")
    for file in sorted((shared_data / "odd-images").iterdir()):
        for mode, policy in (("RGB", "pad"), ("L", "crop")):
            try:
                pixels = decode(file.read_bytes(), to((24, 32), mode, policy))
            except DecodeError as error:
                reason = str(error)
                assert reason and not any(word in reason for word in internal), f"{file.name}: {reason}"
                assert reason[-1] not in ". " and len(reason) < 110
                continue
            opened += 1
            assert pixels.shape == (24, 32, 1 if mode == "L" else 3) and pixels.dtype == np.uint8
    assert opened > 2 * 200


def test_damage_of_any_kind_is_a_decode_error_and_nothing_else() -> None:
    grey = Image.fromarray(noise()[..., 0])
    colour = Image.fromarray(noise())
    files = [encoded(colour, kind) for kind in FORMATS]
    files += [encoded(grey.convert(mode), "PNG") for mode in ("1", "P", "LA")]
    files += [encoded(colour, "TIFF", compression=name) for name in ("tiff_lzw", "jpeg", "packbits")]
    random = np.random.default_rng(1)
    refused = 0
    for _ in range(600):
        data = bytearray(files[random.integers(len(files))])
        for place in random.integers(0, min(len(data), 300), random.integers(1, 6)):
            data[place] = random.integers(256)
        try:
            pixels = decode(bytes(data), to((8, 9), policy="crop"))
        except DecodeError as error:
            assert str(error)
            refused += 1
            continue
        assert pixels.shape == (8, 9, 3)
    assert 100 < refused < 600


def test_nothing_is_written_to_the_terminal(shared_data: Path) -> None:
    """libtiff writes from C, and Pillow's log through Python's last resort; a new process has neither set up."""
    code = """
import sys, warnings
from pathlib import Path
from mirada.data.pixels.decode import DecodeError, open_upright
warnings.simplefilter("ignore")
for file in sorted(Path(sys.argv[1]).glob("*.tif*")):
    try:
        open_upright(file.read_bytes())
    except DecodeError:
        pass
print("our own words", file=sys.stderr)
"""
    command = [sys.executable, "-c", code, str(shared_data / "odd-images")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "our own words\n")
