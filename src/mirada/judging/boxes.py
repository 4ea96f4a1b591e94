"""A person's own boxes for the images of a sample, in pixels of the photos on which maps are drawn."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mirada.data.index import Index
from mirada.data.sources import load_data
from mirada.data.sources.listing import images_near
from mirada.data.sources.voc import read_voc, voc_files
from mirada.errors import DataError, InvalidArgument, counted
from mirada.judging.localisation import Corners
from mirada.samples import Box, Numbers, Source
from mirada.text import listed


class OwnBoxes(NamedTuple):
    """The boxes of each file, or the file of its mask, by its full path."""

    by_file: Mapping[Path, tuple[Box, ...]]
    masks: Mapping[Path, Path] = {}


def boxes_of_index(index: Index) -> OwnBoxes:
    """Those that came with the data; none for data without boxes."""
    return OwnBoxes({(index.root / path).resolve(): found for path, found in index.boxes.items()})


def boxes_at(path: Path, index: Index) -> OwnBoxes:
    """The boxes of a table (CSV) or of a folder of annotations (VOC), or a folder of masks, for the images of an index.

    Args:
        path: What ``mirada.load_data`` reads boxes of; or a folder of PNG files called as the images are, white or any
            level but 0 on the object.
        index: The images.

    Raises:
        InvalidArgument: There are no boxes or masks, they are of other images, or the images are of a number.
        DataError: They cannot be read.
    """
    if isinstance(index.target, Numbers):
        raise InvalidArgument(
            f"{path}: boxes say where a class is, and the map of a number has nothing to be compared with them. Leave "
            f"them out."
        )
    images = [(index.root / each).resolve() for each in index.paths]
    described = path.is_file() or any(any(path.rglob(f"*.{ending}")) for ending in ("xml", "csv", "tsv"))
    if not described and (masks := sorted(path.rglob("*.png"))):
        found = OwnBoxes({}, _masks(masks, path, index, images))
        kind, own, count = "masks", set(found.masks), len(masks)
    else:
        found = _annotated(path, index, images) or boxes_of_index(load_data(Source(path=path)))
        kind, own, count = "boxes", set(found.by_file), len(found.by_file)
    if not own:
        raise InvalidArgument(
            f"{path}: has no {kind} of the {counted(len(index), 'test image')} of {index.origin}. Give a table with "
            f"a row for each box, a folder of VOC's XML files, or a folder of masks (PNG) called as the images are."
        )
    if own.isdisjoint(images):
        raise InvalidArgument(
            f"{path}: has {kind} of {counted(count, 'image')}, and none of them is one of the "
            f"{counted(len(index), 'test image')} of {index.origin}. Give the {kind} of these images."
        )
    return found


def _annotated(path: Path, index: Index, images: Sequence[Path]) -> OwnBoxes | None:
    """The boxes of a folder of VOC's XML without its images, which are known by their names; None for anything else.

    Raises ``DataError`` for a file that is no annotation.
    """
    files = voc_files(path) if path.is_dir() else []
    if not files or images_near(path):
        return None
    alone = Counter(image.name for image in images)
    by_name = {image.name: image for image in images if alone[image.name] == 1}
    by_stem = {image.stem: image for image in by_name.values()}
    found = {}
    for file in files:
        try:
            annotation = read_voc(file)
        except DataError as error:
            raise DataError(f"{file}: {error}.") from error
        image = by_name.get(annotation.filename) or by_stem.get(file.stem)
        if image and annotation.boxes:
            found[image] = annotation.boxes
    if not found:
        raise InvalidArgument(
            f"{path}: has {counted(len(files), 'XML file')}, and none of them names one of the "
            f"{counted(len(index), 'test image')} of {index.origin}. Give the boxes of these images."
        )
    return OwnBoxes(found)


def mask_of(file: Path, original: tuple[int, int], shown: tuple[int, int]) -> NDArray[np.bool_]:
    """A mask on the photo as it is shown: true where its level is above half of its highest one.

    Args:
        file: The mask.
        original: (height, width) of the upright image.
        shown: (height, width) of the photo on which the map lies.

    Raises:
        InvalidArgument: The mask has another size than its image, or colours, or cannot be read.
    """
    try:
        with Image.open(file) as opened:
            opened.load()
            image = opened if opened.mode in ("P", "1", "L", "I;16", "I") else opened.convert("RGB")
    except (OSError, SyntaxError) as error:
        raise InvalidArgument(f"{file}: the mask cannot be read ({error}).") from error
    if (image.height, image.width) != original:
        raise InvalidArgument(
            f"{file}: a mask must have the size of its image, {original[1]} × {original[0]}. "
            f"Got {image.width} × {image.height}."
        )
    levels = np.asarray(image)
    if levels.ndim == 3:
        if np.ptp(levels, axis=2).any():
            raise InvalidArgument(
                f"{file}: is in colours, and a mask has levels alone: 0 outside the object."
            )
        levels = levels[..., 0]
    above: NDArray[np.bool_] = levels > levels.max(initial=0) / 2
    scaled = Image.fromarray(above).resize((shown[1], shown[0]), Image.Resampling.NEAREST)
    return np.asarray(scaled, dtype=np.bool_)


def _masks(masks: Sequence[Path], folder: Path, index: Index, images: Sequence[Path]) -> dict[Path, Path]:
    """The mask of each image: the one at the same place below its folder, or else the only one of its name."""
    placed = {mask.relative_to(folder).with_suffix("").as_posix(): mask for mask in masks}
    names = Counter(mask.stem for mask in masks)
    alone = {mask.stem: mask for mask in masks if names[mask.stem] == 1}
    own = Counter(image.stem for image in images)
    found = {}
    for path, image in zip(index.paths, images, strict=True):
        mask = placed.get(Path(path).with_suffix("").as_posix())
        if mask is None and own[image.stem] == 1:
            mask = alone.get(image.stem)
        if mask is not None and mask.resolve() != image:
            found[image] = mask
    return found


def place(
    boxes: Sequence[Box], true: str, names: Sequence[str], original: tuple[int, int], shown: tuple[int, int]
) -> tuple[Corners, ...]:
    """The boxes of the true class on the photo as it is shown; those of all labels where no label is a class.

    Args:
        boxes: Of one image, in pixels of the upright file.
        true: Its class.
        names: The labels that are classes, of all boxes of the sample.
        original: (height, width) of the upright file.
        shown: (height, width) of the photo on which the map lies.
    """
    tall, wide = shown[0] / original[0], shown[1] / original[1]
    own = [box for box in boxes if not names or box.label == true]
    return tuple((box.left * wide, box.top * tall, box.right * wide, box.bottom * tall) for box in own)


def labels_that_are_classes(boxes: OwnBoxes, classes: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """The labels of boxes that are classes of the model, and what is to be said where none is.

    Boxes called ``lesion`` beside the classes benign and malignant say where to look, whatever the class.
    """
    labels = sorted({box.label for found in boxes.by_file.values() for box in found})
    known = tuple(label for label in labels if label in classes)
    if known or not labels:
        return known, ""
    return (
        (),
        f"the boxes are labelled {listed(labels, 3)}, which is no class of the model: taken for every class",
    )
