"""A kernel that slides: against PyTorch and SciPy, as a matrix, and as the notes count weights."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from lesson_pages import data_of, values_of
from numpy.typing import NDArray
from PIL import Image
from scipy.linalg import toeplitz
from scipy.signal import correlate2d
from sklearn.datasets import load_digits

from mirada.errors import InvalidArgument
from mirada.jobs.lessons import teach
from mirada.lessons import Material
from mirada.lessons.convolution import DIGIT, KERNELS, PHOTO_SIDE, lesson, line, slide

WAYS = [(8, 3, 1, 0), (8, 3, 2, 1), (7, 5, 3, 2), (5, 5, 1, 0), (6, 2, 4, 1)]
Array = NDArray[np.float64]


def torch_map(image: Array, kernel: Array, stride: int, padding: int) -> Array:
    tensors = (torch.tensor(each[None, None]) for each in (image, kernel))
    found = torch.nn.functional.conv2d(*tensors, stride=stride, padding=padding)
    return np.asarray(found[0, 0])


@pytest.mark.parametrize(("side", "k", "stride", "padding"), WAYS)
def test_the_map_and_the_matrix_are_pytorchs_convolution(
    side: int, k: int, stride: int, padding: int
) -> None:
    random = np.random.default_rng(side)
    image, kernel = random.normal(size=(side, side)), random.normal(size=(k, k))
    found = slide(image, kernel, stride=stride, padding=padding)
    expected = torch_map(image, kernel, stride, padding)
    np.testing.assert_allclose(found.map, expected, atol=1e-12)
    np.testing.assert_allclose(found.matrix @ image.ravel(), expected.ravel(), atol=1e-12)
    if stride == 1 and padding == 0:
        np.testing.assert_allclose(found.map, correlate2d(image, kernel, mode="valid"), atol=1e-12)


def test_a_kernel_that_does_not_fit_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="does not fit"):
        slide(np.ones((2, 2)), np.ones((3, 3)))


def test_the_line_is_that_of_the_notes() -> None:
    """s₁ = w₂x₁ + w₃x₂ … s₅ = w₁x₄ + w₂x₅, a Toeplitz matrix of 13 edges; 3 weights against 25."""
    x, w = np.array([2.0, 3.0, 5.0, 7.0, 11.0]), np.array([0.1, 10.0, -1.0])
    found = line(x, w)
    w1, w2, w3 = w
    expected = [
        w2 * x[0] + w3 * x[1],
        *(w1 * x[i - 1] + w2 * x[i] + w3 * x[i + 1] for i in (1, 2, 3)),
        w1 * x[3] + w2 * x[4],
    ]
    np.testing.assert_allclose(found.s, expected)
    np.testing.assert_allclose(found.matrix, toeplitz([w2, w1, 0, 0, 0], [w2, w3, 0, 0, 0]))
    np.testing.assert_allclose(found.matrix @ x, found.s)
    assert (found.shared, found.local, found.dense) == (3, 13, 25)
    assert line(x, np.array([0.0, 1.0, 0.0])).local == 13  # a weight of 0 is a weight


def test_the_counts_are_those_of_the_notes_and_the_digit_is_real() -> None:
    found = lesson(Material())
    assert (found.counts.convolution, found.counts.dense) == (156, 4_821_600)
    np.testing.assert_array_equal(found.slide.image, load_digits().images[3])
    np.testing.assert_array_equal(found.slide.image, DIGIT)


def test_a_photo_comes_along_in_grey_and_small(tmp_path: Path) -> None:
    Image.new("RGB", (640, 320), (200, 100, 50)).save(tmp_path / "wide.png")
    found = lesson(Material(image=tmp_path / "wide.png"))
    assert found.photo.shape == (PHOTO_SIDE // 2, PHOTO_SIDE)
    assert np.unique(found.photo).tolist() == [124]  # ITU-R 601: 0.299·200 + 0.587·100 + 0.114·50
    page = teach("convolution", Material(image=tmp_path / "wide.png")).html
    assert 'id="after"' in page and data_of(page)["photo"]
    assert 'id="after"' not in teach("convolution", Material()).html


def test_the_page_shows_the_numbers_and_the_script_the_same(browsed: Callable[..., str]) -> None:
    found = lesson(Material())
    page = teach("convolution", Material(), "es").html
    for shown in (values_of(page), values_of(browsed(page))):
        for (i, j), value in np.ndenumerate(found.slide.map):
            assert shown[f"H{i + 1},{j + 1}"] == [value]
        for place, value in enumerate(found.line.s):
            assert shown[f"s{place + 1}"] == [value]


CHANGED = """
const set = (id, value, event) => {
  const field = document.querySelector(id);
  field.value = value;
  field.dispatchEvent(new Event(event));
};
set("#kernels", "KERNEL", "change"); set("#stride", STRIDE, "input"); set("#padding", PADDING, "input");
set('[data-edit="w1"]', "0.5", "input");
"""


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [("sharpen", 2, 1), ("blur", 1, 2), ("spots", 4, 0)]
)
def test_what_is_changed_is_computed_anew(
    kernel: str, stride: int, padding: int, browsed: Callable[..., str]
) -> None:
    script = CHANGED.replace("KERNEL", kernel).replace("STRIDE", str(stride)).replace("PADDING", str(padding))
    shown = values_of(browsed(teach("convolution", Material()).html, script))
    begin = lesson(Material())
    expected = torch_map(begin.slide.image, np.array(KERNELS[kernel]), stride, padding)
    assert shown["V"] == [len(expected)]
    places = {name: value for name, value in shown.items() if name.startswith("H")}
    assert len(places) == expected.size
    for (i, j), value in np.ndenumerate(expected):
        assert places[f"H{i + 1},{j + 1}"] == pytest.approx([value], abs=6e-3)
    moved = line(begin.line.x, np.array([0.5, *begin.line.w[1:]]))
    assert [shown[f"s{place}"] for place in range(1, 6)] == [[value] for value in moved.s]
