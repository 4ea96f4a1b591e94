"""Localisation beside examples that were worked out by hand, and on drawn shapes, whose boxes are known."""

from pathlib import Path

import numpy as np
import pytest

from mirada.data.examples.shapes import write_shapes
from mirada.data.sources import load_data
from mirada.errors import InvalidArgument
from mirada.judging.localisation import (
    Corners,
    Located,
    best_iou,
    box_of,
    centred,
    centred_box_accuracy,
    energy_inside,
    iou,
    localisation,
    max_box_accuracy,
    pointing,
)

# Two parts above a fifth of 10: the left one has six pixels, the right one three, and higher values.
HAND = np.array(
    [
        [0, 0, 0, 0, 0, 0, 0, 0],
        [0, 3, 3, 0, 0, 0, 1, 0],
        [0, 4, 5, 0, 0, 10, 9, 0],
        [0, 3, 2, 0, 0, 8, 1, 0],
        [0, 1, 0, 0, 0, 0, 0, 0],
        [-9, 0, 0, 0, 0, 0, 0, -9],
    ],
    dtype=np.float32,
)
TRUTH: Corners = (1, 1, 5, 4)  # 4 × 3 pixels


def inside(shape: tuple[int, int], box: Corners) -> np.ndarray:
    left, top, right, bottom = map(int, box)
    mask = np.zeros(shape, dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


def test_the_box_of_the_hand_made_map() -> None:
    """The largest part, and not the one with the highest values; 2 is exactly a fifth of 10 and belongs to it."""
    assert box_of(HAND) == (1, 1, 3, 4)
    assert box_of(HAND, 0.5) == (5, 2, 7, 4)  # 5 stands alone at the left: 10, 9, 8 are three
    assert iou((1, 1, 3, 4), TRUTH) == 6 / 12
    assert iou((5, 2, 7, 4), TRUTH) == 0
    assert iou((0, 0, 3, 3), (1, 1, 4, 4)) == 4 / 14
    assert best_iou((1, 1, 3, 4), [TRUTH, (1, 1, 3, 5)]) == 6 / 8


def test_measures_of_the_hand_made_map() -> None:
    mask = inside(HAND.shape, TRUTH)
    assert energy_inside(HAND, mask) == 20 / 50  # 3 + 3 + 4 + 5 + 3 + 2 of all that is positive
    assert pointing(HAND, mask, 0) == 0  # the maximum is at (2, 5), the box ends at column 4
    assert pointing(HAND, mask, 0.9) == 0 and pointing(HAND, mask, 1) == 1


def test_max_box_accuracy_of_the_hand_made_map() -> None:
    """V1: the largest part reaches an IoU of 0.5 up to a threshold of 0.2. V2: no box reaches 0.7 at any threshold."""
    image = Located(HAND, (TRUTH,), right=True)
    # At thresholds below 0.1, 1 at (4, 1) joins the left part: 2 × 4 pixels, IoU 6 / 14.
    assert best_iou(box_of(HAND, 0.05), [TRUTH]) == 6 / 14
    assert max_box_accuracy([image]) == (1.0, pytest.approx(2 / 3))
    far = Located(HAND, ((0, 0, 8, 6),), right=True)  # 48 pixels; the largest box of a part has 8
    assert max_box_accuracy([far]) == (0, 0)
    # At one threshold for both images, only one of two is right at an IoU of 0.5.
    assert max_box_accuracy([image, far])[0] == 0.5


def test_a_centred_box_and_its_accuracy() -> None:
    assert centred((6, 8), 0.5) == (2, 1.5, 6, 4.5)
    assert centred_box_accuracy([Located(HAND, ((2, 1.5, 6, 4.5),), right=True)]) == (1, 1)
    assert centred_box_accuracy([Located(HAND, ((0, 0, 1, 1),), right=True)]) == (0, 0)


def test_an_empty_map_is_a_miss_and_shared_maxima_count_in_part() -> None:
    mask = inside((4, 4), (0, 0, 2, 4))
    for empty in (np.zeros((4, 4)), np.full((4, 4), -3.0), np.full((4, 4), np.nan)):
        heat = empty.astype(np.float32)
        assert (box_of(heat), pointing(heat, mask, 0), energy_inside(heat, mask)) == (None, 0, 0)
    assert pointing(np.ones((4, 4), np.float32), mask, 0) == 0.5


def test_what_the_network_did_not_see_is_no_evidence() -> None:
    heat = HAND.copy()
    heat[:, :5] = np.nan
    assert box_of(heat) == (5, 2, 7, 4) and energy_inside(heat, inside(heat.shape, TRUTH)) == 0


def drawn(shift: int, count: int = 30) -> list[Located]:
    """Maps that are 1 on boxes away from the middle, moved by some pixels; half of the answers are wrong."""
    draw = np.random.default_rng(0)
    images = []
    for number in range(count):
        left, top = draw.integers(0, 12, 2)
        box = (left, top, left + 10, top + 8)
        heat = np.zeros((32, 32), np.float32)
        heat[top : top + 8, left + shift : left + 10 + shift] = 1
        images.append(Located(heat, (tuple(map(float, box)),), right=number % 2 == 0))
    return images


def test_maps_on_the_objects_pass_and_maps_elsewhere_fail() -> None:
    good = localisation(drawn(0))
    assert good.outcome == "pass" and good.p_value is not None and good.p_value < 0.001
    numbers = {each.name: each.value for each in good.quantities}
    assert good.per_image == (1,) * 30 and numbers["pointing game"] == 1 and numbers["energy inside"] == 1
    assert numbers["MaxBoxAcc V1"] == 1 and numbers["MaxBoxAcc V2"] == 1
    assert numbers["ILSVRC localisation error, top 1, with it"] == 0.5  # every second answer is wrong
    assert localisation(drawn(11)).outcome == "fail"


def test_random_maps_fail_and_constant_maps_tell_nothing() -> None:
    draw = np.random.default_rng(1)
    boxes = [image.boxes for image in drawn(0)]
    noise = [Located(draw.random((32, 32)).astype(np.float32), box, right=True) for box in boxes]
    assert localisation(noise).outcome == "fail"
    constant = localisation([Located(np.ones((32, 32), np.float32), box, right=True) for box in boxes])
    assert (constant.outcome, constant.left_out) == ("cannot tell", 30)
    blank = localisation([Located(np.zeros((32, 32), np.float32), box, right=True) for box in boxes])
    assert blank.outcome == "fail"  # misses, and no image less
    assert {each.name: each.value for each in blank.quantities}["pointing game"] == 0


def test_images_without_a_box_are_counted_and_empty_masks_as_well() -> None:
    images = drawn(0)
    images[3] = Located(images[3].heat, (), right=True)
    images[4] = Located(images[4].heat, images[4].boxes, right=True, mask=np.zeros((32, 32), bool))
    found = localisation(images)
    assert (found.images, found.left_out) == (28, 2)
    with pytest.raises(InvalidArgument, match="None of the images has a box"):
        localisation([Located(HAND, (), right=True)])
    assert localisation(drawn(0, 9)).outcome == "cannot tell"


def test_drawn_shapes_have_the_boxes_that_are_in_their_table(tmp_path: Path) -> None:
    """A map that is the difference from the ground's colour at the corners finds the shape, and passes."""
    write_shapes(tmp_path / "shapes", count=40, size=48)
    index = load_data(tmp_path / "shapes")
    from PIL import Image

    images = []
    for row, path in enumerate(index.paths):
        pixels = np.asarray(Image.open(index.path(row)), dtype=np.float32).mean(axis=2)
        ground = np.median(np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]))
        heat = np.maximum(np.abs(pixels - ground) - 50, 0)
        boxes = tuple((box.left, box.top, box.right, box.bottom) for box in index.boxes[path])
        images.append(Located(heat.astype(np.float32), boxes, right=True))
    found = localisation(images)
    numbers = {each.name: each.value for each in found.quantities}
    assert found.outcome == "pass" and found.images == 40
    paper = numbers["IoU, box above 20 % of the maximum (the paper's)"]
    assert paper is not None and paper > 0.95
