"""Which files are images that are read, told from a name and a first look; and what to do about those that are not.

A file without an extension may be an image; so may one called by a number, as DICOM's are by their identifiers. DICOM
is known by its content, whatever it is called.
"""

import re
from pathlib import Path

from PIL import features

from mirada.data.pixels.dicom import is_dicom

HEAD = 512  # bytes
NO_FRAME = (0xC4, 0xC8, 0xCC)  # of JPEG's markers from 0xC0 to 0xCF
PLAIN_FRAMES = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)  # sequential and progressive, of either coding
# What Pillow reads where it was built with the library: extension → its format, and how such a file begins.
JP2, CODESTREAM, AVIF = rb"\0\0\0\x0cjP  \r\n\x87\n", rb"\xff\x4f\xff\x51", rb".{4}ftypavi[fs].{8,300}meta"
OPTIONAL = {
    extension: ("JPEG2000", re.compile(rb"%b|%b" % (JP2, CODESTREAM), re.DOTALL))
    for extension in (".j2c", ".j2k", ".jp2", ".jpc", ".jpf", ".jpx")
    if features.check("jpg_2000")
} | {
    extension: ("AVIF", re.compile(AVIF, re.DOTALL))
    for extension in (".avif", ".avifs")
    if features.check("avif")
}  # fmt: skip
EXTENSIONS = frozenset((
    ".apng", ".bmp", ".dcm", ".dicom", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".mpo", ".pbm", ".pgm", ".png",
    ".pnm", ".ppm", ".tif", ".tiff", ".webp", *OPTIONAL,
))  # fmt: skip

TO_JPEG = "convert it to JPEG or PNG"
TO_TIFF = "export it as TIFF or PNG"
AGAIN = "download it again"
DAMAGED_JP2 = "JPEG 2000 that is damaged, or of another part of the standard,"
SLICES = "export its slices as PNG, TIFF or DICOM"
ISO = rb".{4}ftyp"
# What an image format that is not read begins with, what it is called, and what to do. The first that fits counts.
UNREAD = tuple((re.compile(begins, re.DOTALL), f"{name} is not read; {remedy}") for begins, name, remedy in (
    (ISO + rb"(avi[fs])", "AVIF that is damaged, or that Pillow was built without,", TO_JPEG),
    (ISO + rb"crx ", "CR3 (a camera's raw data)", TO_TIFF),
    (ISO + rb"(hei[cfmsx]|hev[cmsx]|mif1|msf1)", "HEIC (a phone's photo format)", TO_JPEG),
    (ISO + rb"|\x1a\x45\xdf\xa3|RIFF.{4}AVI ", "a video", "export its frames as images"),
    (rb"II\*\0.{4}CR|II\x1a\0\0\0HEAPCCDR", "CR2 (a camera's raw data)", TO_TIFF),
    (rb"IIU\0|IIR[OS]|FUJIFILMCCD-RAW|\0MRM", "a camera's raw data", TO_TIFF),
    (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", DAMAGED_JP2, TO_JPEG),
    (rb"\xff\x0a|\0\0\0\x0cJXL ", "JPEG XL", TO_JPEG),
    (rb"II\xbc", "JPEG XR", TO_JPEG),
    (rb"\xff\xd8\xff\xf7", "JPEG-LS", TO_JPEG),
    (rb"\x5c\x01\0\0|\0\0\x01\x5c|\x1c\x02\0\0n[i+]2|.{344}n[i+]1\0", "NIfTI (a volume)", SLICES),
    (rb"NRRD000", "NRRD (a volume)", SLICES),
    (rb"ObjectType *=|NDims *=", "MetaImage (a volume)", SLICES),
    (rb"SIMPLE  =", "FITS", TO_TIFF),
    (rb"8BPS", "a Photoshop document", TO_JPEG),
    (rb"v/1\x01", "OpenEXR", TO_TIFF),
    (rb"#\?R(ADIANC|GB)E", "Radiance HDR", TO_TIFF),
    (rb"%PDF", "PDF", "export its pages as PNG"),
    (rb"(\xef\xbb\xbf)?\s*<(\?xml[^>]*>\s*(<!--.*?-->\s*|<!DOCTYPE[^>]*>\s*)*<)?svg", "SVG", "export it as PNG"),
    (rb"(\xef\xbb\xbf)?\s*<(?i:!doctype html|html|head|body)", "a web page, sent in place of an image,", AGAIN),
    (rb"version https://git-lfs", "a pointer of Git LFS", "fetch the file itself: git lfs pull"),
    (rb"PK\x03\x04|7z\xbc\xaf|Rar!", "an archive", "unpack it"),
    (rb"qoif", "QOI", TO_JPEG),
    (rb"DDS ", "DDS", TO_JPEG),
    (rb"AT&TFORM", "DjVu", "export its pages as PNG"),
    (rb"\x89HDF\r\n\x1a\n", "HDF5", "export its images as PNG, TIFF or NPZ"),
    (rb"\x93NUMPY", "NPY (an array)", "save images and labels in one NPZ file"),
))  # fmt: skip
# How an image in a format that is read begins, though what follows may make no sense.
BEGINNINGS = ((b"\x89PNG", "PNG"), (b"\xff\xd8\xff", "JPEG"), (b"GIF8", "GIF"), (b"RIFF", "WEBP"))
# And by extension, for what its first bytes do not tell.
NAMED = {
    extension: f"{name} is not read; {remedy}"
    for extensions, name, remedy in (
        (".heic .heif .hif", "HEIC (a phone's photo format)", TO_JPEG),
        (".3fr .arw .cr2 .cr3 .crw .dng .erf .iiq .kdc .mef .mos .mrw .nef .nrw", "a camera's raw data", TO_TIFF),
        (".orf .pef .raf .raw .rw2 .sr2 .srf .srw .x3f", "a camera's raw data", TO_TIFF),
        (".nii .nii.gz .hdr .img", "NIfTI or Analyze (a volume)", SLICES),
        (".nrrd .nhdr .mha .mhd .mgh .mgz .mnc", "a volume", SLICES),
        (".jxl", "JPEG XL", TO_JPEG),
        (".jxr .wdp .hdp", "JPEG XR", TO_JPEG),
        (".jls", "JPEG-LS", TO_JPEG),
        (".j2c .j2k .jp2 .jpc .jpf .jpm .jpx", DAMAGED_JP2, TO_JPEG),
        (".avif .avifs", "AVIF that is damaged, or that Pillow was built without,", TO_JPEG),
        (".psd .psb", "a Photoshop document", TO_JPEG),
        (".svg .svgz", "SVG", "export it as PNG"),
        (".ico .cur .icns", "an icon", TO_JPEG),
        (".tga .pcx .sgi .rgb .dds .qoi .xbm .xpm .eps .wmf .emf", "a picture of this kind", TO_JPEG),
        (".exr .pfm", "a picture of real numbers of this kind", TO_TIFF),
        (".fits .fit .fts", "FITS", TO_TIFF),
        (".czi .lif .nd2 .oib .oif .vsi .mrxs .zvi .ims", "a microscope's own format", TO_TIFF),
        (".mp4 .mov .avi .mkv .webm .m4v .wmv .mpg .mpeg", "a video", "export its frames as images"),
        (".pdf", "PDF", "export its pages as PNG"),
        (".npy", "NPY (an array)", "save images and labels in one NPZ file"),
    )
    for extension in extensions.split()
}  # fmt: skip


def unread_kind(head: bytes) -> str:
    """The format of a file that is not read, by its first bytes, and what to do; empty if it is not known.

    >>> unread_kind(b"8BPS" + bytes(20))
    'a Photoshop document is not read; convert it to JPEG or PNG'
    """
    return next((sentence for begins, sentence in UNREAD if begins.match(head[:HEAD])), "")


def damaged_kind(head: bytes) -> str:
    """That a file begins as one in a format that is read, and goes on as none; empty for any other file.

    >>> damaged_kind(b"\\x89PNG and so on")
    'a damaged PNG (its header makes no sense)'
    """
    found = next((name for begins, name in BEGINNINGS if head.startswith(begins)), "")
    return f"a damaged {found} (its header makes no sense)" if found else ""


def unread_jpeg(content: bytes) -> str:
    """What a JPEG is that Pillow does not decode, by its frame header, and what to do; empty for any other file."""
    place = 2
    while content[:2] == b"\xff\xd8" and place + 5 <= len(content) and content[place] == 0xFF:
        marker, length = content[place + 1], int.from_bytes(content[place + 2 : place + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in NO_FRAME:
            bits = content[place + 4]
            if bits != 8:
                return f"a JPEG of {bits} bits is not read; {TO_TIFF}"
            return "" if marker in PLAIN_FRAMES else f"a lossless or hierarchical JPEG is not read; {TO_JPEG}"
        place += 2 + length
    return ""


def why_unread(file: Path) -> str:
    """Why a file is no image that is read, told from its name and its first bytes; empty if it may be one."""
    extension = file.suffix.lower()
    if not extension or extension[1:].isdecimal() or (extension in EXTENSIONS and extension not in OPTIONAL):
        return ""
    head = _head(file)
    if is_dicom(head) or (extension in OPTIONAL and OPTIONAL[extension][1].match(head)):
        return ""
    named = NAMED.get("".join(file.suffixes[-2:]).lower()) or NAMED.get(extension)
    shown = file.suffix.encode("utf-8", "backslashreplace").decode()
    return unread_kind(head) or named or f"not an image by its extension ({shown})"


def _head(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(HEAD)
    except (OSError, ValueError):
        return b""
