"""A person's own boxes for the images of a sample, in pixels of the photos on which maps are drawn."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mirada.data.index import Index
from mirada.data.sources import load_data
from mirada.errors import InvalidArgument, counted
from mirada.judging.localisation import Corners
from mirada.samples import Box, Source
from mirada.text import listed


class OwnBoxes(NamedTuple):
    """The boxes of each file, by its full path, and what is said of how they were read."""

    by_file: Mapping[Path, tuple[Box, ...]]
    note: str


def boxes_of_index(index: Index) -> OwnBoxes:
    """Those that came with the data; none for data without boxes."""
    return OwnBoxes({(index.root / path).resolve(): found for path, found in index.boxes.items()}, "")


def boxes_at(path: Path, index: Index) -> OwnBoxes:
    """The boxes of a table (CSV) or of a folder of annotations (VOC), which are to belong to the images of an index.

    Args:
        path: What ``mirada.load_data`` reads boxes of.
        index: The images.

    Raises:
        InvalidArgument: There are no boxes, or they are of other images.
        DataError: They cannot be read.
    """
    found = load_data(Source(path=path))
    if not found.boxes:
        raise InvalidArgument(
            f"{path}: has no boxes. Give a table with a row for each box, or a folder of VOC's XML files."
        )
    boxes = boxes_of_index(found)
    own = {(index.root / each).resolve() for each in index.paths}
    if not own & boxes.by_file.keys():
        raise InvalidArgument(
            f"{path}: has boxes of {counted(len(boxes.by_file), 'image')}, and none of them is one of the "
            f"{counted(len(index), 'test image')} of {index.origin}. Give the boxes of these images."
        )
    return boxes


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
