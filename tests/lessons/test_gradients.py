"""Back-propagation through one convolution: against PyTorch's autograd, and as the notes print it."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from lesson_pages import number_of, values_of

from mirada.errors import InvalidArgument
from mirada.jobs.lessons import teach
from mirada.lessons import Material
from mirada.lessons.gradients import GradientExample, Product, TermSum, convolution_gradients, lesson
from mirada.pages.lessons.gradients import values_by_name

EXAMPLES = [(3, 2), (5, 3), (4, 4), (6, 1)]


def example(size: int, kernel: int) -> GradientExample:
    random = np.random.default_rng(size)
    places = size - kernel + 1
    arrays = (random.normal(size=(side, side)) for side in (size, kernel, places))
    x, weight, target = arrays
    return convolution_gradients(x, weight, bias=0.3, target=target)


@pytest.mark.parametrize(("size", "kernel"), EXAMPLES)
def test_every_gradient_is_that_of_autograd(size: int, kernel: int) -> None:
    found = example(size, kernel)
    x, weight = (torch.tensor(array[None, None], requires_grad=True) for array in (found.x, found.weight))
    bias = torch.tensor([found.bias], dtype=torch.float64, requires_grad=True)
    h = torch.nn.functional.conv2d(x, weight, bias)
    h.retain_grad()
    loss = ((h - torch.tensor(found.target)) ** 2).sum() / 2
    loss.backward()
    assert found.loss == pytest.approx(loss.item())
    np.testing.assert_allclose(found.h, h.detach().numpy()[0, 0])
    for array, entries in (
        (h.grad, [TermSum("", (), float(each)) for each in found.dh.ravel()]),
        (weight.grad, found.dweight),
        (x.grad, found.dx),
        (bias.grad, [found.dbias]),
    ):
        assert array is not None
        np.testing.assert_allclose([entry.value for entry in entries], array.numpy().ravel(), atol=1e-12)


@pytest.mark.parametrize(("size", "kernel"), EXAMPLES)
def test_the_sums_written_out_are_the_values_and_differences_agree(size: int, kernel: int) -> None:
    found = example(size, kernel)
    cells = values_by_name(found) | {"1": 1.0}
    for entry in (*found.forward, *found.gradients):
        total = sum(cells[product.left] * cells[product.right] for product in entry.products)
        bias = 0.0 if entry in found.gradients else found.bias
        assert total + bias == pytest.approx(entry.value, abs=1e-12), entry.name
    assert 0 < found.largest_difference < 1e-7


def test_the_terms_are_those_of_the_notes() -> None:
    """Eq. (1) and the four equations for ∂W of §2.2.1, in their order."""
    found = lesson(Material())
    written = {e.name: [(p.left, p.right) for p in e.products] for e in (*found.forward, *found.dweight)}
    assert written["H12"] == [("W11", "X12"), ("W12", "X13"), ("W21", "X22"), ("W22", "X23")]
    assert written["dW11"] == [("X11", "dH11"), ("X12", "dH12"), ("X21", "dH21"), ("X22", "dH22")]
    assert written["dW12"] == [("X12", "dH11"), ("X13", "dH12"), ("X22", "dH21"), ("X23", "dH22")]
    assert written["dW21"] == [("X21", "dH11"), ("X22", "dH12"), ("X31", "dH21"), ("X32", "dH22")]
    assert written["dW22"] == [("X22", "dH11"), ("X23", "dH12"), ("X32", "dH21"), ("X33", "dH22")]
    assert found.dx[0].products == (Product("W11", "dH11"),)
    assert len(found.dx[4].products) == 4


def test_a_target_of_another_shape_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="shape of the map"):
        convolution_gradients(np.ones((3, 3)), np.ones((2, 2)), bias=0.0, target=np.ones((1, 2)))


@pytest.mark.parametrize("language", ["en", "es"])
def test_the_page_shows_the_numbers(language: str) -> None:
    cells = values_by_name(lesson(Material()))
    shown = values_of(teach("gradients", Material(), language).html)
    assert shown.keys() >= {name for name in cells if name[0] != "T"}
    for name, texts in shown.items():
        assert texts == pytest.approx([cells[name]] * len(texts), abs=5.01e-5), (
            name
        )  # four decimals are shown


EDIT = """
const field = document.querySelector('[data-edit="X22"]');
field.value = "LETTER"; field.dispatchEvent(new Event("input"));
document.querySelector("#step").click();
"""


@pytest.mark.parametrize(("language", "written"), [("en", "-2.5"), ("es", "−2,5")])
def test_the_script_computes_them_anew(language: str, written: str, browsed: Callable[..., str]) -> None:
    """One pixel edited, then one step of gradient descent: what NumPy and PyTorch's formula say."""
    begin = lesson(Material())
    page = teach("gradients", Material(), language).html
    untouched = values_of(browsed(page))
    assert untouched == values_of(page)
    x = begin.x.copy()
    x[1, 1] = -2.5
    edited = convolution_gradients(x, begin.weight, bias=begin.bias, target=begin.target)
    slope = np.array([entry.value for entry in edited.dweight]).reshape(2, 2)
    stepped = convolution_gradients(
        x, begin.weight - 0.02 * slope, bias=begin.bias - 0.02 * edited.dbias.value, target=begin.target
    )
    shown = browsed(page, EDIT.replace("LETTER", written))
    cells = values_by_name(stepped)
    for name, texts in values_of(shown).items():
        assert texts == pytest.approx([cells[name]] * len(texts), abs=5.01e-5), name
    assert shown.count('class="same"') == 14 and 'class="differs"' not in shown
    assert number_of(written) == -2.5
