"""DICOM files made by hand, for tests: an array and the elements that say how it is meant."""

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

pydicom = pytest.importorskip("pydicom", reason='DICOM needs pydicom: pip install "mirada[dicom]"')

from pydicom.dataset import Dataset, FileMetaDataset  # noqa: E402
from pydicom.encaps import encapsulate  # noqa: E402
from pydicom.uid import (  # noqa: E402
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
    generate_uid,
)

NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
LOSSLESS = (*NATIVE, RLELossless, JPEG2000Lossless)


def dicom(
    values: NDArray[Any],
    *,
    bits: int = 0,
    photometric: str = "MONOCHROME2",
    syntax: UID = ExplicitVRLittleEndian,
    frames: int = 1,
    elements: dict[str, Any] | None = None,
) -> bytes:
    """A file of ``values`` (H, W), (H, W, 3), or with ``frames`` > 1 (frames, H, W); ``elements`` by keyword."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"  # secondary capture
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid(
        entropy_srcs=["test"]
    )
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    shape = values.shape[1:] if frames > 1 else values.shape
    dataset.Rows, dataset.Columns = shape[:2]
    dataset.SamplesPerPixel = 3 if len(shape) == 3 else 1
    if dataset.SamplesPerPixel == 3:
        dataset.PlanarConfiguration = 0
    if frames > 1:
        dataset.NumberOfFrames = frames
    dataset.PhotometricInterpretation = photometric
    dataset.BitsAllocated = values.dtype.itemsize * 8
    dataset.BitsStored = bits or dataset.BitsAllocated
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(values.dtype.kind == "i")
    for keyword, value in (elements or {}).items():
        setattr(dataset, keyword, value)
    _set_pixels(dataset, values, syntax)
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def item(**elements: Any) -> Dataset:
    """An item of a sequence."""
    made = Dataset()
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


def coded(values: NDArray[Any], kind: str, **options: Any) -> bytes:
    """One frame as a JPEG or JPEG 2000 stream."""
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, kind, **options)
    return stream.getvalue()


def _set_pixels(dataset: Dataset, values: NDArray[Any], syntax: UID) -> None:
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    native = np.ascontiguousarray(values).astype(values.dtype.newbyteorder(order)).tobytes()
    dataset.PixelData = native + b"\0" * (len(native) % 2)
    dataset["PixelData"].VR = "OB" if values.dtype.itemsize == 1 else "OW"
    if syntax == RLELossless:
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian  # what it is until it is compressed
        dataset.compress(RLELossless, generate_instance_uid=False)
    elif syntax == JPEG2000Lossless:
        unsigned = values.view(
            f"u{values.dtype.itemsize}"
        )  # all that Pillow writes; pydicom gives the sign back
        dataset.PixelData = encapsulate([coded(unsigned, "JPEG2000", irreversible=False)])
    elif syntax == JPEGBaseline8Bit:
        dataset.PixelData = encapsulate([coded(values, "JPEG", quality=95)])
