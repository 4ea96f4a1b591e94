"""Bytes → pixels: what every kind of file becomes, against values made by hand and Pillow's own resizing."""

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from mirada.data import decode as module
from mirada.data.decode import EXTENSIONS, FORMATS, DecodeError, decode, open_upright, read_file
from mirada.data.preprocessing import Preprocessing
from mirada.explain.overlay import _geometry

Pixels = NDArray[np.uint8]
BILINEAR = Image.Resampling.BILINEAR
UNKNOWN = f"not an image in a format that is read ({', '.join(FORMATS)})"
HEADER = "damaged (its header makes no sense)"
BODY = "damaged, or of an unusual kind (its pixel data cannot be decoded)"
SHORT = "truncated (the file ends before the image does)"


def to(size: tuple[int, int], mode: str = "RGB", policy: str = "stretch") -> Preprocessing:
    channels = 3 if mode == "RGB" else 1
    return Preprocessing(
        mode=mode,  # type: ignore[arg-type]
        size=size,
        policy=policy,  # type: ignore[arg-type]
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
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


def png(rows: NDArray[np.generic], depth: int, colour: int) -> bytes:
    """A PNG made by hand; ``rows`` holds the bytes of each line."""
    height, width = rows.shape[0], rows.shape[1]

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(lines))
        + chunk(b"IEND", b"")
    )


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


def test_16_bit_grey_is_read_by_its_upper_byte() -> None:
    ramp = np.arange(0, 65536, 1261, dtype=np.uint16).reshape(4, -1)
    want = (ramp >> 8).astype(np.uint8)
    size = ramp.shape
    little, big = ramp.astype("<u2"), ramp.astype(">u2")
    tiff_big = encoded(Image.frombytes("I;16B", size[::-1], big.tobytes()), "TIFF")
    with Image.open(io.BytesIO(tiff_big)) as image:
        assert image.mode == "I;16B"
    files = {
        "png": png(big, 16, 0),
        "tiff": encoded(Image.fromarray(little), "TIFF"),
        "big-endian tiff": tiff_big,
        "pgm": f"P5 {size[1]} {size[0]} 65535\n".encode() + big.tobytes(),
    }
    for name, data in files.items():
        np.testing.assert_array_equal(decode(data, to(size, "L"))[..., 0], want, err_msg=name)
        np.testing.assert_array_equal(decode(data, to(size))[..., 1], want, err_msg=name)


def test_16_bit_colour_is_read_by_its_upper_byte() -> None:
    wide = np.random.default_rng(0).integers(0, 65536, (5, 7, 3), dtype=np.uint16)
    data = png(wide.astype(">u2"), 16, 2)
    np.testing.assert_array_equal(decode(data, to((5, 7))), wide >> 8)


def test_integers_beyond_16_bits_are_refused() -> None:
    values = np.array([[-5, 70_000]], dtype=np.int32)
    with pytest.raises(DecodeError, match=r"^integer pixels from -5 to 70,000 are outside of 16 bits$"):
        decode(encoded(Image.fromarray(values), "TIFF"), to((1, 2)))


def test_floating_point_is_refused() -> None:
    data = encoded(Image.fromarray(np.ones((2, 2), dtype=np.float32)), "TIFF")
    with pytest.raises(DecodeError, match=r"^floating-point pixels have no declared range$"):
        decode(data, to((2, 2)))


def test_a_colour_mode_without_a_way_is_named() -> None:
    data = encoded(Image.new("LAB", (2, 2)), "TIFF")
    with pytest.raises(DecodeError, match=r"^colour mode LAB cannot be converted to L$"):
        decode(data, to((2, 2), "L"))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame_is_read(kind: str) -> None:
    red, blue = Image.new("RGB", (4, 4), "red"), Image.new("RGB", (4, 4), "blue")
    data = encoded(red, kind, save_all=True, append_images=[blue])
    np.testing.assert_allclose(decode(data, to((4, 4)))[2, 2], (255, 0, 0), atol=3)


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
    (height, width), (top, left) = _geometry(size, "pad", original)  # as the maps are placed
    assert min(top, left) == 0
    want = np.zeros((*size, 3), dtype=np.uint8)
    want[top : top + height, left : left + width] = image.resize((width, height), BILINEAR)
    np.testing.assert_array_equal(decode(encoded(image, "PNG"), to(size, policy="pad")), want)


@pytest.mark.parametrize(("original", "size"), GEOMETRIES)
def test_crop_is_the_middle_of_the_scaled_image(original: tuple[int, int], size: tuple[int, int]) -> None:
    image = Image.fromarray(noise(*original))
    (height, width), (top, left) = _geometry(size, "crop", original)
    scaled = np.asarray(image.resize((width, height), BILINEAR)).astype(int)
    want = scaled[-top : size[0] - top, -left : size[1] - left]
    got = decode(encoded(image, "PNG"), to(size, policy="crop"))
    np.testing.assert_allclose(got, want, atol=1)


def test_cropping_a_thread_of_pixels_takes_no_memory() -> None:
    """Scaled as a whole it would be 64 × 6.4 million pixels, 1.2 GB."""
    pixels = decode(encoded(Image.new("RGB", (100_000, 1), "red"), "PNG"), to((64, 64), policy="crop"))
    assert (pixels == (255, 0, 0)).all()


@pytest.mark.parametrize("policy", ["stretch", "pad", "crop"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_reduced_jpeg_looks_like_the_whole_one(shared_data: Path, policy: str, mode: str) -> None:
    for photo in sorted((shared_data / "photos").iterdir())[:4]:
        data = photo.read_bytes()
        reduced = decode(data, to((56, 48), mode, policy)).astype(int)
        opened = module._open(data, (mode, 112))
        assert opened.image.width < opened.size[0]  # or nothing is shown
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
    "large": (b"P5 12000 9000 255\n", "12,000 × 9,000 pixels are more than the limit of 100 million"),
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
    assert {known[extension] for extension in EXTENSIONS} == {*FORMATS, "MPO"}


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
from mirada.data.decode import DecodeError, open_upright
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
