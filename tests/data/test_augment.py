"""Augmentation against scipy's affine_transform with matrices composed here, pixel by pixel; and its random numbers."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage, stats
from torch import Tensor

from mirada.data.augment import Augmentation, in_turn
from mirada.data.batches import generator
from mirada.data.draw import Draw
from mirada.errors import InvalidArgument
from mirada.training.recipe import augment_preset

SHAPES = [(20, 20), (17, 30), (31, 12)]
EVERYTHING = Augmentation(
    rotation=40, shear=20, zoom=0.3, shift=0.2, horizontal_flip=True, vertical_flip=True, crop=0.3
)
SCIPY_MODE = {"edge": "nearest", "reflect": "reflect", "black": "grid-constant"}


def batch(n: int, shape: tuple[int, int], channels: int = 2, seed: int = 0) -> Tensor:
    """Random pictures that are smooth enough for float32 coordinates not to matter."""
    random = np.random.default_rng(seed).uniform(0, 255, (n, channels, *shape))
    return torch.from_numpy(ndimage.gaussian_filter(random, (0, 0, 1, 1))).float()


def pixels(*shape: int) -> Tensor:
    """Whole numbers from 0 to 255."""
    return torch.from_numpy(generator(0).integers(0, 256, shape)).float()


def warped(image: Tensor, to_input: NDArray[np.float64], mode: str = "nearest") -> NDArray[np.float64]:
    """``image`` (C, H, W) read at ``to_input`` (2, 3): offsets from the centre in pixels, x first, out → in."""
    centre = (np.array(image.shape[1:]) - 1) / 2
    matrix = to_input[::-1, 1::-1]  # row first
    offset = centre + to_input[::-1, 2] - matrix @ centre
    planes = image.double().numpy()
    return np.stack([ndimage.affine_transform(p, matrix, offset, order=1, mode=mode) for p in planes])


def rotation(degrees: float) -> NDArray[np.float64]:
    a = math.radians(degrees)
    return np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]])


def shear(degrees: float) -> NDArray[np.float64]:
    return np.array([[1, math.tan(math.radians(degrees))], [0, 1]])


def drawn(augmentation: Augmentation, n: int, seed: int = 0) -> dict[str, NDArray[np.float64]]:
    """The parameters of each sample, found again in its matrix: rotation · shear · zoom and flip."""
    draw = augmentation.draw(n, generator(seed))
    m = draw.matrices
    # A vertical flip is found as a horizontal one, and both flips as none, turned by 180° in addition.
    flip_x = np.where(np.linalg.det(m[:, :, :2]) < 0, -1, 1)
    angle = np.degrees(np.arctan2(m[:, 1, 0] * flip_x, m[:, 0, 0] * flip_x))
    rest = np.stack([rotation(-a) @ k for a, k in zip(angle, m[:, :, :2], strict=True)])
    return {
        "rotation": angle,
        "shear": np.degrees(np.arctan(rest[:, 0, 1] / rest[:, 1, 1])),
        "zoom_x": rest[:, 0, 0],
        "zoom_y": rest[:, 1, 1],
        "shift_x": m[:, 0, 2] / 2,
        "shift_y": m[:, 1, 2] / 2,
        "width": draw.crop[:, 0],
        "height": draw.crop[:, 1],
        "x": draw.crop[:, 2],
        "y": draw.crop[:, 3],
        "brightness": draw.brightness,
        "contrast": draw.contrast,
    }


# --- geometry -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("settings", "matrix"),
    [
        ({"rotation": 50}, lambda p: rotation(p["rotation"])),
        ({"shear": 40}, lambda p: shear(p["shear"])),
        ({"zoom": 0.5}, lambda p: np.diag([p["zoom_x"], p["zoom_y"]])),
        ({"shift": 0.3}, lambda p: np.eye(2)),
    ],
)
def test_each_motion_alone_is_scipys(shape: tuple[int, int], settings: dict[str, Any], matrix: Any) -> None:
    augmentation = Augmentation(**settings)
    images = batch(4, shape)
    got = augmentation.apply(images, augmentation.draw(4, generator(3)))
    assert (got - images).abs().amax(dim=(1, 2, 3)).median() > 5  # something moved
    params = drawn(augmentation, 4, seed=3)
    for row in range(4):
        one = {name: values[row] for name, values in params.items()}
        shift = [one["shift_x"] * shape[1], one["shift_y"] * shape[0]]
        want = warped(images[row], np.column_stack([matrix(one), shift]))
        np.testing.assert_allclose(got[row], want, atol=0.05)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("fill", SCIPY_MODE)
def test_all_motions_are_one_matrix_and_one_warp(shape: tuple[int, int], fill: str) -> None:
    """crop · (rotation · shear · zoom and flip, then shift): what is cropped out fills the image, and is turned."""
    augmentation = Augmentation(**{**vars(EVERYTHING), "fill": fill})
    images = batch(12, shape)
    got = augmentation.apply(images, augmentation.draw(12, generator(1)))
    params = drawn(augmentation, 12, seed=1)
    size = np.array(shape[::-1])
    assert min(params["zoom_x"]) < 0 < max(params["zoom_x"])  # some are flipped
    for row in range(12):
        one = {name: values[row] for name, values in params.items()}
        linear = rotation(one["rotation"]) @ shear(one["shear"]) @ np.diag([one["zoom_x"], one["zoom_y"]])
        shift = size * (one["shift_x"], one["shift_y"])
        crop = np.diag([one["width"], one["height"]])
        centre = size / 2 * (one["x"], one["y"])
        to_input = np.column_stack([crop @ linear, crop @ shift + centre])
        np.testing.assert_allclose(got[row], warped(images[row], to_input, SCIPY_MODE[fill]), atol=0.1)


def test_a_rotation_of_a_wide_image_turns_a_circle_into_itself() -> None:
    y, x = np.mgrid[:40, :90]
    circle = 255.0 / (1 + np.exp(np.hypot(x - 44.5, y - 19.5) - 12))
    images = torch.from_numpy(circle).float().expand(8, 1, 40, 90)
    augmentation = Augmentation(rotation=180)
    np.testing.assert_allclose(augmentation.apply(images, augmentation.draw(8, generator(0))), images, atol=4)


@pytest.mark.parametrize("shape", SHAPES)
def test_flips_are_exact(shape: tuple[int, int]) -> None:
    images = pixels(32, 3, *shape)
    augmentation = Augmentation(horizontal_flip=True, vertical_flip=True)
    draw = augmentation.draw(32, generator(0))
    got = augmentation.apply(images, draw).round()
    seen = set()
    for row in range(32):
        flips = tuple(axis for axis, k in ((2, 0), (1, 1)) if draw.matrices[row, k, k] < 0)
        seen.add(flips)
        assert torch.equal(got[row], images[row].flip(flips))
    assert len(seen) == 4


def test_one_flip_leaves_the_other_axis_alone() -> None:
    images = batch(40, (9, 14))
    for name, axis in (("horizontal_flip", 3), ("vertical_flip", 2)):
        augmentation = Augmentation(**{name: True})
        got = augmentation.apply(images, augmentation.draw(40, generator(0)))
        same = (got - images).abs().amax(dim=(1, 2, 3)) < 0.01
        flipped = (got - images.flip(axis)).abs().amax(dim=(1, 2, 3)) < 0.01
        assert torch.equal(same, ~flipped)
        assert 10 < same.sum() < 30


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("fill", SCIPY_MODE)
def test_a_draw_of_nothing_leaves_the_pixels(shape: tuple[int, int], fill: str) -> None:
    images = pixels(2, 3, *shape)
    nothing = Augmentation(fill=fill)  # type: ignore[arg-type]
    draw = nothing.draw(2, generator(0))
    assert not nothing.warps and not nothing.recolours
    assert nothing.apply(images, draw) is images
    moving = Augmentation(rotation=10, crop=0.5, brightness=0.5, fill=fill)  # type: ignore[arg-type]
    np.testing.assert_allclose(moving.apply(images, draw), images, atol=0.01)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_crop_is_that_part_of_the_image(shape: tuple[int, int]) -> None:
    """Each output pixel's centre lies at the same share of the crop as of the output."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    ramps = torch.from_numpy(np.stack([x, y])).float().expand(16, 2, *shape)  # each pixel holds its place
    augmentation = Augmentation(crop=0.2)
    draw = augmentation.draw(16, generator(0))
    got = augmentation.apply(ramps, draw).double().numpy()
    for row, (width, height, centre_x, centre_y) in enumerate(draw.crop):
        left = shape[1] * ((centre_x + 1 - width) / 2)
        top = shape[0] * ((centre_y + 1 - height) / 2)
        assert left > -1e-4 and top > -1e-4
        assert left + width * shape[1] < shape[1] + 1e-4 and top + height * shape[0] < shape[0] + 1e-4
        want_x = np.clip(left + width * (x + 0.5) - 0.5, 0, shape[1] - 1)
        want_y = np.clip(top + height * (y + 0.5) - 0.5, 0, shape[0] - 1)
        np.testing.assert_allclose(got[row], [want_x, want_y], atol=1e-3)


# --- brightness and contrast --------------------------------------------------------------------------------


def test_brightness_and_contrast_follow_their_formula() -> None:
    images = batch(6, (9, 11), channels=3)
    augmentation = Augmentation(brightness=0.6, contrast=0.7)
    draw = augmentation.draw(6, generator(0))
    kept = images.clone()
    x, mean = images.double().numpy(), images.double().numpy().mean(axis=(1, 2, 3), keepdims=True)
    contrast, brightness = (v.reshape(-1, 1, 1, 1) for v in (draw.contrast, draw.brightness))
    want = np.clip(((x - mean) * contrast + mean) * brightness, 0, 255)
    np.testing.assert_allclose(augmentation.apply(images, draw), want, atol=1e-3)
    assert torch.equal(images, kept)
    assert want.max() == 255


def test_saturation_moves_values_from_the_grey_of_their_pixel_before_all_else() -> None:
    images = batch(6, (9, 11), channels=3)
    augmentation = Augmentation(brightness=0.6, contrast=0.7, saturation=0.8)
    draw = augmentation.draw(6, generator(0))
    x = images.double().numpy()
    contrast, brightness, saturation = (
        v.reshape(-1, 1, 1, 1) for v in (draw.contrast, draw.brightness, draw.saturation)
    )
    grey = x.mean(axis=1, keepdims=True)
    coloured = (x - grey) * saturation + grey
    mean = x.mean(axis=(1, 2, 3), keepdims=True)
    want = np.clip(((coloured - mean) * contrast + mean) * brightness, 0, 255)
    np.testing.assert_allclose(augmentation.apply(images, draw), want, atol=1e-3)
    assert np.abs(want - np.clip(((x - mean) * contrast + mean) * brightness, 0, 255)).max() > 20


def test_saturation_is_drawn_uniformly_and_changes_no_other_draw() -> None:
    """Also not what is erased: a seed means the same whether colours change or not."""
    less = replace(EVERYTHING, erase=0.5)
    one, other = (settings.draw(5000, generator(3)) for settings in (less, replace(less, saturation=0.4)))
    for name in ("matrices", "crop", "brightness", "contrast", "erased"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert (one.saturation == 1).all() and Augmentation(saturation=0.1).recolours
    assert stats.kstest(other.saturation, stats.uniform(0.6, 0.8).cdf).pvalue > 0.01


def test_values_stay_between_0_and_255() -> None:
    images = (pixels(64, 3, 12, 10) > 127) * 255.0
    augmentation = Augmentation(**{**vars(EVERYTHING), "brightness": 1.0, "contrast": 1.0})
    got = augmentation.apply(images, augmentation.draw(64, generator(0)))
    assert got.shape == images.shape and got.dtype == torch.float32
    assert got.min() >= 0 and got.max() <= 255


# --- what is erased -----------------------------------------------------------------------------------------


def test_a_rectangle_gives_way_to_noise_and_all_else_stays() -> None:
    """Of 2 to 40 % of the area, up to the rounding to whole pixels; in the share of images that was asked for."""
    images = torch.full((400, 3, 40, 50), 300.0)  # which no noise is
    augmentation = Augmentation(erase=0.5)
    draw = augmentation.draw(400, generator(0))
    got = augmentation.apply(images, draw)
    assert torch.equal(images, torch.full_like(images, 300.0))
    erased = got != 300
    assert torch.equal(erased.any(dim=1), erased.all(dim=1))  # in all colours alike
    hit = erased.flatten(1).any(dim=1)
    assert abs(hit.float().mean().item() - 0.5) < 0.07
    for row in torch.nonzero(hit).flatten().tolist():
        ys, xs = torch.nonzero(erased[row, 0], as_tuple=True)
        height, width = int(ys.max() - ys.min()) + 1, int(xs.max() - xs.min()) + 1
        assert height * width == len(ys)  # a rectangle
        assert abs(height - draw.erased[row, 1] * 40) <= 1 and abs(width - draw.erased[row, 0] * 50) <= 1
    shares = draw.erased[draw.erased[:, 0] > 0]
    area, ratio = shares[:, 0] * shares[:, 1], shares[:, 0] / shares[:, 1]
    assert stats.kstest(area, stats.uniform(0.02, 0.38).cdf).pvalue > 0.01
    assert ratio.max() <= 1 / 0.3 + 1e-6 and ratio.min() >= 0.3 - 1e-6
    noise = got[erased].numpy()
    assert stats.kstest(noise[::97], stats.uniform(0, 255).cdf).pvalue > 0.01


def test_erasing_changes_no_other_draw() -> None:
    """So that the settings can be compared, and what was drawn before stays as it was."""
    one, other = (settings.draw(7, generator(3)) for settings in (EVERYTHING, replace(EVERYTHING, erase=1.0)))
    for name in ("matrices", "crop", "brightness", "contrast"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert one.erased.shape == (7, 0) and other.erased.shape == (7, 5)


def test_an_erased_image_does_not_depend_on_its_neighbours() -> None:
    augmentation, images = Augmentation(erase=0.8), pixels(6, 2, 20, 20)
    draw = augmentation.draw(6, generator(0))
    together, again = augmentation.apply(images, draw), augmentation.apply(images, draw)
    assert torch.equal(together, again)
    for row in range(6):
        alone = augmentation.apply(images[row : row + 1], Draw(*(part[row : row + 1] for part in draw)))
        assert torch.equal(alone[0], together[row])


# --- flips by turns -----------------------------------------------------------------------------------------


def test_two_turns_show_each_image_both_ways() -> None:
    starts = generator(0).random(5000)
    first, second, third = (in_turn(starts, turn) for turn in (1, 2, 3))
    np.testing.assert_array_equal(second, ~first)
    np.testing.assert_array_equal(third, first)
    assert abs(first.mean() - 0.5) < 0.02
    augmentation = Augmentation(horizontal_flip="alternate")
    draw = augmentation.draw(5000, generator(1), first)
    np.testing.assert_array_equal(draw.matrices[:, 0, 0] < 0, first)
    assert augmentation.alternates and augmentation.warps and str(augmentation) == "horizontal flip alternate"


# --- the random numbers -------------------------------------------------------------------------------------


def test_each_draw_is_uniform_around_nothing() -> None:
    settings = Augmentation(rotation=30, shear=10, zoom=0.2, shift=0.1, brightness=0.3, contrast=0.4)
    params = drawn(settings, 5000)
    spans = {
        "rotation": (-30, 30), "shear": (-10, 10), "zoom_x": (0.8, 1.2), "zoom_y": (0.8, 1.2),
        "shift_x": (-0.1, 0.1), "shift_y": (-0.1, 0.1), "brightness": (0.7, 1.3), "contrast": (0.6, 1.4),
    }  # fmt: skip
    for name, (low, high) in spans.items():
        assert params[name].min() >= low - 1e-4 and params[name].max() <= high + 1e-4, name
        assert stats.kstest(params[name], stats.uniform(low, high - low).cdf).pvalue > 0.01, name


def test_flips_happen_half_of_the_time() -> None:
    draw = Augmentation(horizontal_flip=True, vertical_flip=True).draw(5000, generator(0))
    for axis in (0, 1):
        assert abs(np.mean(draw.matrices[:, axis, axis] < 0) - 0.5) < 0.02


@pytest.mark.parametrize("smallest", [0.08, 0.35, 0.9])
def test_crops_keep_to_their_area_and_shape_and_lie_anywhere(smallest: float) -> None:
    params = drawn(Augmentation(crop=smallest), 5000)
    area, ratio = params["width"] * params["height"], params["width"] / params["height"]
    assert stats.kstest(area, stats.uniform(smallest, 1 - smallest).cdf).pvalue > 0.01
    assert ratio.max() <= 4 / 3 + 1e-5 and ratio.min() >= 3 / 4 - 1e-5
    assert abs(np.log(ratio).mean()) < 0.01
    small = area < 3 / 4  # where every shape fits
    if small.any():
        span = math.log(4 / 3)
        assert stats.kstest(np.log(ratio[small]), stats.uniform(-span, 2 * span).cdf).pvalue > 0.01
    for side, centre in (("width", "x"), ("height", "y")):
        assert params[side].max() <= 1 + 1e-6
        room = 1 - params[side]
        assert stats.kstest(params[centre] / room, stats.uniform(-1, 2).cdf).pvalue > 0.01


def test_the_draws_of_a_sample_do_not_depend_on_each_other() -> None:
    params = drawn(Augmentation(**{**vars(EVERYTHING), "brightness": 0.2, "contrast": 0.2}), 5000)
    columns = [
        params[n] for n in ("rotation", "shear", "shift_x", "shift_y", "x", "y", "brightness", "contrast")
    ]
    columns += [np.abs(params["zoom_x"]), np.abs(params["zoom_y"]), params["width"] * params["height"]]
    correlation = np.corrcoef(columns) - np.eye(len(columns))
    assert np.abs(correlation).max() < 0.06


def test_samples_of_a_batch_are_augmented_each_in_its_own_way() -> None:
    image = batch(1, (16, 16)).expand(8, -1, -1, -1)
    got = EVERYTHING.apply(image, EVERYTHING.draw(8, generator(0))).flatten(1)
    distances = torch.cdist(got, got) + 1e6 * torch.eye(8)
    assert distances.min() > 50
    rows = EVERYTHING.draw(1000, generator(0)).matrices[:, 0, 1]
    assert abs(np.corrcoef(rows[:-1], rows[1:])[0, 1]) < 0.1


def test_a_sample_does_not_depend_on_its_neighbours() -> None:
    images = batch(5, (12, 15))
    draw = EVERYTHING.draw(5, generator(0))
    together = EVERYTHING.apply(images, draw)
    for row in range(5):
        alone = EVERYTHING.apply(images[row : row + 1], Draw(*(part[row : row + 1] for part in draw)))
        torch.testing.assert_close(alone[0], together[row])


def test_the_seed_decides() -> None:
    images = batch(4, (10, 10))
    settings = Augmentation(**{**vars(EVERYTHING), "brightness": 0.2, "contrast": 0.2})
    first, again, other = (settings.apply(images, settings.draw(4, generator(0, s))) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert (first - other).abs().amax(dim=(1, 2, 3)).min() > 5


def test_memory_order_is_no_matter() -> None:
    images = batch(3, (10, 14), channels=3)
    draw = EVERYTHING.draw(3, generator(0))
    last = EVERYTHING.apply(images.contiguous(memory_format=torch.channels_last), draw)
    torch.testing.assert_close(last, EVERYTHING.apply(images, draw), check_stride=False)


def test_the_notes_example_is_a_named_preset() -> None:
    """shear_range = 0.2, zoom_range = 0.2, horizontal_flip = True; rescaling belongs to the preprocessing.

    It flips unless names tell left from right.
    """
    assert augment_preset("notes") == Augmentation(shear=0.2, zoom=0.2, horizontal_flip="auto")


@pytest.mark.parametrize("preset", ["none", "notes", "photos", "digits"])
def test_every_preset_can_be_used(preset: str) -> None:
    augmentation = augment_preset(preset)
    assert augmentation.warps == (preset != "none")


# --- what is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "values", "rule"),
    [
        ("rotation", (-1, 181, math.nan, "10", None, True), "a number from 0 to 180"),
        ("shear", (-0.1, 81, math.inf), "a number from 0 to 80"),
        ("zoom", (-0.1, 0.96), "a number from 0 to 0.95"),
        ("shift", (-0.1, 1.1), "a number from 0 to 1"),
        ("brightness", (-0.1, 1.1, [0.8, 1.2]), "a number from 0 to 1"),
        ("contrast", (-0.1, 1.1), "a number from 0 to 1"),
        ("saturation", (-0.1, 1.1, math.nan), "a number from 0 to 1"),
        ("crop", (0, 1.1, -1, math.nan, "half"), "a number above 0 and at most 1"),
        ("horizontal_flip", ("yes", 1, None), "auto, alternate, true, false"),
        ("erase", (-0.1, 1.1), "a number from 0 to 1"),
        ("mixup", (-0.1, 101, math.nan), "a number from 0 to 100"),
        ("cutmix", (-0.1, True), "a number from 0 to 100"),
        ("vertical_flip", ("no", 0.5), "true, false"),
    ],
)
def test_every_setting_is_checked(name: str, values: tuple[Any, ...], rule: str) -> None:
    for value in values:
        with pytest.raises(InvalidArgument) as caught:
            Augmentation(**{name: value})
        assert str(caught.value) == f"`{name}` of Augmentation must be {rule}. Got {value!r}."


def test_a_fill_that_there_is_not() -> None:
    with pytest.raises(InvalidArgument) as caught:
        Augmentation(fill="nearest")  # type: ignore[arg-type]
    assert str(caught.value) == ('`fill` of Augmentation cannot be "nearest". Known: black, edge, reflect.')


def test_the_ends_of_every_range_are_allowed() -> None:
    Augmentation(
        rotation=180, shear=80, zoom=0.95, shift=1, crop=1e-3, brightness=1, contrast=1, fill="reflect"
    )
    assert not Augmentation(rotation=0, crop=1).warps
