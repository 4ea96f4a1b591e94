"""Near duplicates: changed copies of a picture are found, other pictures are not, in little memory."""

import io
import tracemalloc
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from mirada.data.checks import near
from mirada.data.checks.near import _pairs, dhash, near_groups, thumbnail_values
from mirada.data.pixels.decode import open_upright, read_file
from mirada.events import Progress


def scene(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """A made-up photo: coarse noise and finer noise upon it, smooth."""
    rng = np.random.default_rng(seed)
    whole = np.zeros((size[1], size[0]))
    for cells, weight in ((4, 3), (9, 2), (24, 1)):
        field = Image.fromarray(rng.normal(size=(cells, cells)).astype(np.float32))
        whole += weight * np.asarray(field.resize(size, Image.Resampling.BICUBIC))
    low, high = np.quantile(whole, (0.02, 0.98))
    return Image.fromarray((255 * np.clip((whole - low) / (high - low), 0, 1)).astype(np.uint8))


def groups(images: Sequence[Image.Image]) -> list[list[int]]:
    grey = [image.convert("L") for image in images]
    hashes = np.array([dhash(image) for image in grey], dtype=np.uint64)
    return near_groups(hashes, np.stack([thumbnail_values(image) for image in grey]))


def compressed(image: Image.Image) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=30)
    return Image.open(io.BytesIO(stream.getvalue()))


def cropped(image: Image.Image, share: float) -> Image.Image:
    """Without ``share`` of each side, a third of that on the left and at the top."""
    width, height = image.size
    left, top = share * width / 3, share * height / 3
    return image.crop(
        (round(left), round(top), round(left + (1 - share) * width), round(top + (1 - share) * height))
    )


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "compressed": compressed,
    "half": lambda image: image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS),
    "small": lambda image: image.resize((64, 48)),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.15),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.8),
    "contrast": lambda image: ImageEnhance.Contrast(image).enhance(1.2),
    "grey": lambda image: image.convert("L"),
    "cropped": lambda image: cropped(image, 0.02),
    "all at once": lambda image: compressed(cropped(COPIES["brighter"](image), 0.01).resize((150, 110))),
}  # fmt: skip


def test_the_hash_is_what_it_is_said_to_be() -> None:
    image = scene(0)
    cells = np.asarray(image, dtype=np.float64)[:240, :315].reshape(8, 30, 9, 35).mean(axis=(1, 3))
    bits = "".join("1" if right > left else "0" for row in cells for left, right in pairwise(row))
    assert dhash(image.crop((0, 0, 315, 240))) == int(bits, 2)


def test_close_hashes_are_found_as_by_comparing_all_with_all() -> None:
    """Up to 7 bits for certain; every pair once; and nothing that is further apart."""
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, 300, dtype=np.uint64)
    for row in range(150, 300):  # changed in up to 12 bits
        flips = sum(1 << int(bit) for bit in rng.choice(64, rng.integers(0, 13), replace=False))
        hashes[row] = int(hashes[row - 150]) ^ flips
    apart = np.array([[(int(a) ^ int(b)).bit_count() for b in hashes] for a in hashes])
    found = [
        (int(min(a, b)), int(max(a, b)))
        for first, second, _, _ in _pairs(hashes, np.full(300, 10))
        for a, b in zip(first, second, strict=True)
    ]
    assert len(found) == len(set(found))
    closest = {(a, b) for a, b in np.argwhere(np.triu(apart <= 7, 1)).tolist()}
    assert len(closest) > 60
    assert closest <= set(found) <= {(a, b) for a, b in np.argwhere(np.triu(apart <= 10, 1)).tolist()}


def test_the_comparison_tells_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near, "TICK", -1)
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**63, 200).astype(np.uint64)
    thumbs = rng.integers(0, 256, (200, 32, 32)).astype(np.uint8)
    told: list[Progress] = []
    near_groups(hashes, thumbs, on_event=told.append)
    assert {(event.what, event.total) for event in told} == {("comparing", 8 * 200)}  # in 8 bands
    done = [event.done for event in told]
    assert done == sorted(done) and 1200 < done[-1] <= 1600


@pytest.mark.parametrize("name", COPIES)
def test_changed_copies_are_found_and_nothing_else(name: str) -> None:
    images = [scene(seed) for seed in range(40)]
    found = groups([*images, *map(COPIES[name], images)])
    assert all(len(pair) == 2 and pair[1] - pair[0] == 40 for pair in found)
    assert len(found) >= 38


def test_copies_of_copies_are_one_group() -> None:
    image = scene(7)
    copies = [change(image) for change in COPIES.values()]
    assert groups([scene(1), image, scene(2), *copies]) == [[1, *range(3, 3 + len(copies))]]


def test_plain_pictures_must_be_equal() -> None:
    """Drawings of few lines are much alike; two of them are the same only if they are."""
    drawings = []
    for shift in (0, 1, 0):
        values = np.zeros((64, 64), dtype=np.uint8)
        values[10:50, 30 + shift : 36 + shift] = 255
        drawings.append(Image.fromarray(values))
    assert groups(drawings) == [[0, 2]]


def test_images_without_detail_are_no_copies_of_each_other() -> None:
    assert groups([Image.new("L", (50, 50), value) for value in (0, 0, 128, 255)]) == []
    assert near_groups(np.empty(0, dtype=np.uint64), np.empty((0, 32, 32), dtype=np.uint8)) == []


def test_the_order_does_not_matter() -> None:
    images = [scene(seed) for seed in range(12)]
    images += [cropped(image, 0.02) for image in images[:6]]
    order = np.random.default_rng(0).permutation(len(images))
    shuffled = groups([images[row] for row in order])
    assert sorted(sorted(int(order[row]) for row in group) for group in shuffled) == groups(images)


def crowd(count: int) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
    """So many slightly different frames of one scene, as of a video: all pairs are near."""
    rng = np.random.default_rng(0)
    frame = thumbnail_values(scene(0)).astype(np.int64)
    noise = rng.integers(-2, 3, (count, 32, 32))
    return np.full(count, dhash(scene(0)), dtype=np.uint64), np.clip(frame + noise, 0, 255).astype(np.uint8)


def peak_memory(count: int) -> int:
    hashes, thumbs = crowd(count)
    tracemalloc.start()
    found = near_groups(hashes, thumbs)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [len(group) for group in found] == [count]
    return peak


@pytest.mark.slow
def test_memory_does_not_grow_with_the_pairs() -> None:
    """Twice the images are four times the pairs: 4.5 million, as two columns 72 MB each."""
    assert peak_memory(6000) < 1.5 * peak_memory(3000)


def files(root: Path, pattern: str) -> list[Image.Image]:
    return [open_upright(read_file(file)) for file in sorted(root.glob(pattern)) if file.is_file()]


@pytest.mark.slow
def test_no_two_of_many_different_real_images_are_paired(shared_data: Path) -> None:
    """Cats and dogs, and X-rays of hands, which are much alike: looked at by eye, none is there twice."""
    assert groups(files(shared_data, "cats-dogs/*/*/*.jpg")) == []
    assert groups(files(shared_data, "boneage/images/*.png")) == []


def test_a_real_photo_that_is_there_twice(shared_data: Path) -> None:
    """raccoon-52 and raccoon-74 are one photo, compressed twice; 99 others are not."""
    names = sorted((shared_data / "raccoon").rglob("*.jpg"))
    found = groups([open_upright(read_file(name)) for name in names])
    assert [[names[row].stem for row in group] for group in found] == [["raccoon-52", "raccoon-74"]]


@pytest.mark.parametrize(
    ("pattern", "name", "least"),
    [("photos/*", name, 0.97) for name in COPIES if name not in ("cropped", "all at once")]
    + [("boneage/images/*0.png", name, 0.97) for name in COPIES if name not in ("cropped", "all at once")]
    + [
        ("photos/*", "cropped", 0.85),
        ("boneage/images/*0.png", "cropped", 0.85),
        ("photos/*", "all at once", 0.9),
    ],
)
def test_copies_of_real_images_are_found(pattern: str, name: str, least: float, shared_data: Path) -> None:
    images = files(shared_data, pattern)
    found = groups([*images, *map(COPIES[name], images)])
    pairs = [group for group in found if len(group) == 2 and group[1] - group[0] == len(images)]
    assert len(found) == len(pairs)
    assert len(pairs) >= least * len(images) > 30
