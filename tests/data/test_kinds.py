"""Files by their first bytes and names: what is read, and what is said of the rest."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mirada.data.pixels.decode import DecodeError, decode, read_header
from mirada.data.pixels.kinds import why_unread
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.data.sources import load_data
from mirada.data.sources.listing import image_files

ISO = b"\0\0\0\x18ftyp"
UNREAD = {
    "a.heic": (ISO + b"heic", "HEIC"),
    "b.HIF": (b"?", "HEIC"),
    "c.avif": (ISO + b"avif", "AVIF"),
    "d.jp2": (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    "e.cr2": (b"II*\0", "raw data"),
    "f.NEF": (b"MM\0*", "raw data"),
    "g.nii": (b"\x5c\1\0\0", "NIfTI"),
    "h.nii.gz": (b"\x1f\x8b", "NIfTI"),
    "i.jxl": (b"\xff\x0a", "JPEG XL"),
    "j.psd": (b"8BPS", "Photoshop"),
    "k.svg": (b"<svg", "SVG"),
    "l.mov": (ISO + b"qt  ", "video"),
    "m.jpeg2": (ISO + b"heix", "HEIC"),  # by its content
    "n.czi": (b"ZISRAWFILE", "microscope"),
}


@pytest.mark.parametrize("name", UNREAD)
def test_a_format_that_is_not_read_is_named_with_what_to_do(tmp_path: Path, name: str) -> None:
    begins, kind = UNREAD[name]
    (tmp_path / name).write_bytes(begins + bytes(60))
    said = why_unread(tmp_path / name)
    assert kind in said and "is not read; " in said and "not an image" not in said


def test_what_is_no_image_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    assert why_unread(tmp_path / "notes.txt") == "not an image by its extension (.txt)"


def test_heic_under_the_name_of_a_jpeg_is_named_where_it_is_decoded() -> None:
    with pytest.raises(DecodeError, match="HEIC"):
        decode(ISO + b"heic" + bytes(60), Preprocessing())


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"<!DOCTYPE html>\n<html><body>404", "a web page, sent in place of an image, is not read; download it again"),
        (b"\xef\xbb\xbf\n<HTML>", "a web page, sent in place of an image, is not read; download it again"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS is not read; fetch the file itself"),
        (b"PK\x03\x04" + bytes(30), "an archive is not read; unpack it"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(21), "a damaged PNG (its header makes no sense)"),
        (b"\xff\xd8\xff" + bytes(40), "a damaged JPEG (its header makes no sense)"),
        (b"GIF8" + bytes(40), "a damaged GIF (its header makes no sense)"),
    ],
)  # fmt: skip
def test_what_lies_under_the_name_of_an_image_is_called_what_it_is(data: bytes, said: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(data, Preprocessing())
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(("extension", "kind", "options"), [
    (".avif", "AVIF", {"quality": 95}),
    (".jp2", "JPEG2000", {"irreversible": False}),
    (".j2k", "JPEG2000", {"no_jp2": True}),
])  # fmt: skip
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_what_pillow_decodes_is_read(
    tmp_path: Path, extension: str, kind: str, options: dict[str, object], mode: str
) -> None:
    ramp = Image.fromarray(np.linspace(0, 255, 48 * 64).reshape(48, 64).astype(np.uint8)).convert(mode)
    file = tmp_path / f"x{extension}"
    ramp.save(file, kind, **options)
    assert image_files(tmp_path)[0] == [file]
    got = decode(file.read_bytes(), Preprocessing(size=(48, 64)))
    assert np.abs(got.astype(int) - np.asarray(ramp.convert("RGB"))).max() <= 6
    header = read_header(file.read_bytes())
    assert (header.format, header.size, header.frames) == (kind, (48, 64), 1)


def test_a_grey_jpeg_2000_of_16_bits_keeps_them() -> None:
    values = np.linspace(0, 65_535, 48 * 64).reshape(48, 64).astype(np.uint16)
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "JPEG2000", irreversible=False)
    pre = Preprocessing(mode="L", size=(48, 64), depth=16, window="full", mean=(0.0,), std=(1.0,))
    np.testing.assert_array_equal(decode(stream.getvalue(), pre)[..., 0], values)


def picture(seed: int, side: int = 16, dtype: type = np.uint8) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 200, (side, side)).astype(dtype))


@pytest.mark.parametrize("extension", [".tif", ".gif", ".png", ".apng", ".webp"])
def test_files_of_several_images_are_in_a_note(tmp_path: Path, extension: str) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(2):
            rest = [picture(number + 10), picture(number + 20)] if name == "a" else []
            options = {"save_all": True, "append_images": rest} if rest else {}
            picture(number).save(tmp_path / name / f"{number}{extension}", **options)
    pages = [note for note in load_data(tmp_path).notes if note.startswith("pages: ")]
    if extension == ".png":  # of which millions may lie there, and hardly one is an animation
        assert not pages
    else:
        assert len(pages) == 1 and pages[0].startswith("pages: 2 files have several images or frames; of a/0")


def test_images_that_their_own_values_stretch_are_in_a_note(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(2):
            picture(number, dtype=np.uint16).save(tmp_path / name / f"{number}.png")
    assert any(
        note.startswith("window: images of 16 bits such as a/0.png") for note in load_data(tmp_path).notes
    )


@pytest.mark.parametrize(
    ("marker", "bits", "said"),
    [
        (0xC1, 12, "a JPEG of 12 bits is not read; export it as TIFF or PNG"),
        (0xC0, 12, "a JPEG of 12 bits is not read; export it as TIFF or PNG"),
        (0xC3, 8, "a lossless or hierarchical JPEG is not read; convert it to JPEG or PNG"),
        (0xC3, 16, "a JPEG of 16 bits is not read; export it as TIFF or PNG"),
    ],
)
def test_a_jpeg_of_a_rare_kind_is_not_called_damaged(marker: int, bits: int, said: str) -> None:
    stream = io.BytesIO()
    picture(0).save(stream, "JPEG")
    data = bytearray(stream.getvalue())
    frame = data.index(b"\xff\xc0")
    data[frame + 1], data[frame + 4] = marker, bits
    with pytest.raises(DecodeError) as caught:
        decode(bytes(data), Preprocessing())
    assert str(caught.value) == said
