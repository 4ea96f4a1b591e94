"""Small files that unpack to gigabytes or take minutes: each ends in a sentence before anything is decoded.

What a hostile file costs is bounded by what is known of it beforehand, so the sentences are what is tested; that a
limit is reached before memory or time is, ``test_odd_images`` measures.
"""

import gzip
import io
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from image_files import chunk
from PIL import Image

from mirada.data.pixels.arrays import images_of, npz_names, read_idx, read_image, read_npz
from mirada.data.pixels.bounds import images_in
from mirada.data.pixels.decode import DecodeError, EncodedFrame, decode, open_upright, read_header
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.errors import DataError

PNG = b"\x89PNG\r\n\x1a\n"


def png(width: int, height: int, lines: bytes, between: bytes = b"") -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return PNG + header + between + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def tiff(pages: int, *, entry: bytes = b"") -> bytes:
    """Grey of 8 × 8, which all pages share; with a further tag in each."""
    tags = ((256, 3, 1, 8), (257, 3, 1, 8), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8),
            (278, 3, 1, 8), (279, 4, 1, 64))  # fmt: skip
    body = b"".join(struct.pack("<HHII", *tag) for tag in tags) + entry
    size, start = 2 + len(body) + 4, 8 + 64
    directories = [
        struct.pack("<H", len(body) // 12)
        + body
        + struct.pack("<I", start + (page + 1) * size if page + 1 < pages else 0)
        for page in range(pages)
    ]
    return b"II*\0" + struct.pack("<I", start) + bytes(64) + b"".join(directories)


def jpeg(scans: int, side: int = 16) -> bytes:
    """Progressive, with its last scan as often as it takes."""
    stream = io.BytesIO()
    Image.new("L", (side, side)).save(stream, "JPEG", progressive=True)
    whole = stream.getvalue()
    last = whole[whole.rindex(b"\xff\xda") : -2]
    return whole[:-2] + last * (scans - whole.count(b"\xff\xda")) + b"\xff\xd9"


def animation(frames: int, side: int = 4) -> bytes:
    stream = io.BytesIO()
    Image.new("L", (side, side)).save(stream, "GIF")
    whole = stream.getvalue()
    return whole[:-1] + whole[whole.index(b",\0\0\0\0") : -1] * (frames - 1) + b";"


def reason(data: bytes | EncodedFrame) -> str:
    """Why it is refused, in the same words by whatever decodes it."""
    said = set()
    for attempt in (lambda: decode(data, Preprocessing()), lambda: open_upright(data)):
        with pytest.raises(DecodeError) as caught:
            attempt()
        said.add(str(caught.value))
    assert len(said) == 1
    return said.pop()


@pytest.mark.parametrize("kind", [b"tEXt", b"abCd", b"IDAT"])
def test_a_png_of_a_hundred_thousand_chunks(kind: bytes) -> None:
    body = b"k\0v" if kind == b"tEXt" else b""
    assert reason(png(8, 8, bytes(72), chunk(kind, body) * 100_000)) == (
        "more than the limit of 100,000 chunks (a decompression bomb?)"
    )
    assert decode(png(8, 8, bytes(72), chunk(kind, body) * 1000), Preprocessing()).shape == (224, 224, 3)


def test_an_image_of_millions_of_rows() -> None:
    assert (
        reason(png(1, 11_000_000, bytes(22_000_000)))
        == "11,000,000 rows are more than the limit of 10 million"
    )


def test_a_jpeg_of_too_many_scans() -> None:
    assert reason(jpeg(101)) == "101 scans are more than the limit of 100 (a decompression bomb?)"
    assert decode(jpeg(90), Preprocessing()).shape == (224, 224, 3)
    assert reason(jpeg(90, 4000)) == "90 scans of 16 million pixels take too long (a decompression bomb?)"


def test_a_tiff_of_too_many_pages_or_tags() -> None:
    assert reason(tiff(10_001)) == "more than the limit of 10,000 images in a file"
    assert read_header(tiff(300)).frames == 300
    megabytes = bytes(30 * 2**20)
    tags = b"".join(struct.pack("<HHII", 60_000 + tag, 1, len(megabytes), 8) for tag in range(3))
    assert reason(tiff(1, entry=tags) + megabytes) == "tags of more than 64 MiB (a decompression bomb?)"


def test_pages_in_a_circle_are_counted_once() -> None:
    data = bytearray(tiff(2))
    data[-4:] = struct.pack("<I", 72)
    assert images_in(bytes(data)) == 2
    assert decode(bytes(data), Preprocessing()).shape == (224, 224, 3)


@pytest.mark.parametrize("count", [1, 2, 70])
def test_images_are_counted_as_pillow_counts_them(count: int) -> None:
    for data in (animation(count), tiff(count)):
        assert images_in(data) == Image.open(io.BytesIO(data)).n_frames == count


def test_a_late_frame_of_a_large_animation() -> None:
    data = animation(13, 9000)
    assert read_header(data).frames == 13
    assert reason(EncodedFrame(data, "", 12)) == (
        "frame 12 of an animation comes after 972 million pixels, more than the limit of 1,000 million"
    )


@pytest.mark.parametrize("kind", [b"P1", b"P2", b"P3"])
def test_pixels_written_as_digits(kind: bytes) -> None:
    digits = kind + b"\n10000 2000\n" + (b"" if kind == b"P1" else b"255\n") + b"1 " * 6_000_000
    assert reason(digits) == "11 MiB of digits are more than the limit of 10 MiB; save it in binary form"


def test_exif_whose_tags_share_their_bytes() -> None:
    """Each is small; read one by one, they would be gigabytes."""
    tags = b"".join(struct.pack("<HHII", 1000 + tag, 1, 60_000, 0) for tag in range(1500))
    exif = b"II*\0" + struct.pack("<IH", 8, 1500) + tags + bytes(50_000)
    stream = io.BytesIO()
    Image.new("L", (8, 8)).save(stream, "PNG", exif=b"Exif\0\0" + exif)
    assert reason(stream.getvalue()) == "tags of more than 64 MiB (a decompression bomb?)"


# --- arrays -------------------------------------------------------------------------------------------------


def npz(file: Path, header: str, body: bytes, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(file, "w", method) as archive:
        text = header.encode().ljust(117) + b"\n"
        archive.writestr("x.npy", b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + body)
    return file


def header(shape: tuple[int, ...]) -> str:
    return f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}"


def refused(call: object) -> str:
    with pytest.raises(DataError) as caught:
        call()  # type: ignore[operator]
    return str(caught.value)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
@pytest.mark.parametrize("shape", [(200, 10**9), (1000, 1000, 1000), (2**40, 2**40, 2**40)])
def test_an_array_larger_than_it_may_be(tmp_path: Path, shape: tuple[int, ...], method: int) -> None:
    file = npz(tmp_path / "x.npz", header(shape), bytes(1000), method)
    for said in (refused(lambda: read_npz(file, "x")), refused(lambda: images_of(file, "x"))):
        assert "GB, more than can be held in memory (a decompression bomb?)." in said


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_damaged_members_of_every_compression(tmp_path: Path, method: int) -> None:
    whole = npz(
        tmp_path / "x.npz", header((50, 8, 8)), np.random.default_rng(1).bytes(3200), method
    ).read_bytes()
    for place in range(30, len(whole) - 80, 97):
        data = bytearray(whole)
        data[place : place + 4] = b"\xff\0\xff\0"
        (tmp_path / "x.npz").write_bytes(data)
        assert str(tmp_path / "x.npz") in refused(lambda: read_npz(tmp_path / "x.npz", "x"))


def test_a_zip_of_another_version_or_of_millions_of_members(tmp_path: Path) -> None:
    file = npz(tmp_path / "x.npz", header((2, 4, 4)), bytes(32))
    data = bytearray(file.read_bytes())
    data[data.index(b"PK\1\2") + 6] = 86
    file.write_bytes(data)
    assert "is no NPZ file that can be read (zip file version 8.6)" in refused(lambda: npz_names(file))
    data[data.index(b"PK\5\6") + 12 : data.index(b"PK\5\6") + 16] = struct.pack("<I", 5 * 2**20)
    file.write_bytes(data)
    assert "its list of members is longer than 4 MiB" in refused(lambda: npz_names(file))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("shape", [(65_536,) * 4, (0, 28, 28), (2**31, 28, 28)])
def test_idx_whose_header_says_what_cannot_be(tmp_path: Path, shape: tuple[int, ...], packed: bool) -> None:
    data = struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape) + bytes(784)
    file = tmp_path / ("x-idx3-ubyte.gz" if packed else "x-idx3-ubyte")
    file.write_bytes(gzip.compress(data) if packed else data)
    said = refused(lambda: read_idx(file))
    assert "its header says" in said or "GB, more than can be held in memory" in said


def test_gzip_is_unpacked_no_further_than_the_header_says(tmp_path: Path) -> None:
    file = tmp_path / "x-idx3-ubyte.gz"
    file.write_bytes(gzip.compress(struct.pack(">HBB3I", 0, 8, 3, 2, 4, 4) + bytes(50 * 10**6)))
    assert "48 bytes, and there are 49 or more" in refused(lambda: read_idx(file))


@pytest.mark.parametrize("kind", ["npz", "idx"])
def test_a_file_that_is_cut_short_while_it_is_read_is_a_sentence(tmp_path: Path, kind: str) -> None:
    """Through a memory map, the process would be killed (SIGBUS)."""
    file = tmp_path / ("x.npz" if kind == "npz" else "x-idx3-ubyte")
    values = np.random.default_rng(0).integers(256, size=(100, 64, 64), dtype=np.uint8)
    if kind == "npz":
        np.savez(file, x=values)
    else:
        file.write_bytes(struct.pack(">HBB3I", 0, 8, 3, *values.shape) + values.tobytes())
    address = tmp_path / f"{file.name}#{'x-' if kind == 'npz' else ''}90"
    np.testing.assert_array_equal(read_image(address), values[90])
    images = images_of(file, "x" if kind == "npz" else "")
    with file.open("r+b") as stream:
        stream.truncate(10_000)
    with pytest.raises(DecodeError, match="has become shorter since it was opened"):
        images[90]
    with pytest.raises(DataError):
        read_image(address)


@pytest.mark.parametrize("side", [64, 32768])
def test_tiles_of_a_tiff_that_are_larger_than_it_may_be(side: int) -> None:
    pixels = zlib.compress(bytes(64 * 64))
    tags = ((256, 3, 1, 8), (257, 3, 1, 8), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1), (277, 3, 1, 1),
            (322, 4, 1, side), (323, 4, 1, side), (324, 4, 1, 8), (325, 4, 1, len(pixels)))  # fmt: skip
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    content = b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels + directory
    if side == 64:
        assert open_upright(content).size == (8, 8)
    else:
        with pytest.raises(DecodeError, match="32,768 × 32,768 pixels are more than the limit"):
            open_upright(content)
