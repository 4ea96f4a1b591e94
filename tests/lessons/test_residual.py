"""The skip connection: against PyTorch's autograd, path by path and as a whole; gradients through depth."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from lesson_pages import page_of, values_of

from mirada.lessons import Material
from mirada.lessons.residual import GAINS, WIRINGS, ToyPass, gradient_norms, lesson, toy_pass
from mirada.pages.lessons.residual import cells_of
from mirada.reference import ToyWeights


def autograd(x0: torch.Tensor, weights: list[torch.Tensor], target: torch.Tensor, *, skip: str) -> np.ndarray:
    """∂L/∂W₀ by PyTorch; ``skip`` is "none", "whole", or "alone": added, but the other path is cut for gradients."""
    w0, wa, wb = (each.clone().requires_grad_() for each in weights)
    x1 = torch.relu(x0 @ w0)
    long = torch.relu((x1.detach() if skip == "alone" else x1) @ wa) @ wb
    x3 = torch.relu(long + (x1 if skip != "none" else 0))
    ((x3 - target) ** 2).sum().backward()
    assert w0.grad is not None
    return np.asarray(w0.grad)


@pytest.mark.parametrize("seed", range(4))
def test_each_path_and_their_sum_are_autograds(seed: int) -> None:
    random = np.random.default_rng(seed)
    x0, target = random.normal(size=(3, 4)), random.normal(size=(3, 5))
    weights = ToyWeights(*(random.normal(size=size) for size in ((4, 5), (5, 6), (6, 5))))
    tensors = torch.tensor(x0), [torch.tensor(each) for each in weights], torch.tensor(target)
    plain, skip = (toy_pass(x0, weights, target=target, skip=each) for each in (False, True))
    np.testing.assert_allclose(plain.gradient, autograd(*tensors, skip="none"), atol=1e-12)
    np.testing.assert_allclose(skip.gradient, autograd(*tensors, skip="whole"), atol=1e-12)
    np.testing.assert_allclose(skip.around, autograd(*tensors, skip="alone"), atol=1e-12)
    for each in (plain, skip):
        np.testing.assert_allclose(each.numeric, each.gradient, atol=1e-4)
    assert not plain.around.any()


def test_small_weights_silence_the_plain_network_alone() -> None:
    found = lesson(Material())
    small = ToyWeights(found.weights.w0, found.weights.wa / 100, found.weights.wb / 100)
    plain, skip = (toy_pass(found.x0, small, target=found.target, skip=each) for each in (False, True))
    assert np.abs(plain.gradient).max() < 1e-3 < 1 < np.abs(skip.gradient).max()


def test_gradients_through_depth_are_as_the_page_says() -> None:
    """He et al. 2015: in a plain network each layer multiplies the gradient by about its gain."""
    found = {(row.wiring, row.gain): row.norms for row in lesson(Material()).depth}
    assert set(found) == {(wiring, gain) for wiring in WIRINGS for gain in GAINS}
    for gain in GAINS:
        per_layer = found["plain", gain][1] ** (1 / 30)
        assert per_layer == pytest.approx(gain, rel=0.15)
        assert found["dense", gain][1] > 0.1
        assert all(norms[-1] == pytest.approx(1) for norms in found.values())
    assert found["plain", 0.6][1] < 1e-6 and 0.5 < found["residual", 0.6][1] < 2
    assert found["residual", 1.0][1] > 50


def test_few_layers_are_followed_as_well() -> None:
    assert len(gradient_norms("dense", 1.0, layers=3).norms) == 3
    assert gradient_norms("plain", 0.8, seed=1) != gradient_norms("plain", 0.8)


def agree(shown: dict[str, list[float]], passes: tuple[ToyPass, ...]) -> None:
    for each in passes:
        for name, value in cells_of(each).items():
            assert shown[name] == pytest.approx([value], abs=1e-4), name


CHANGED = """
const edit = (id, value) => {
  const field = document.querySelector(id);
  field.value = value;
  field.dispatchEvent(new Event("input"));
};
edit('[data-edit="W021"]', "-0.9"); edit('[data-edit="T12"]', "2"); edit("#factor", "2.5");
"""


@pytest.mark.slow
def test_the_page_computes_the_same(browsed: Callable[..., str]) -> None:
    found = lesson(Material())
    page = page_of("residual", "es")
    agree(values_of(page), (found.plain, found.skip))
    agree(values_of(browsed(page)), (found.plain, found.skip))
    w0, target = found.weights.w0.copy(), found.target.copy()
    w0[1, 0], target[0, 1] = -0.9, 2.0
    weights = ToyWeights(w0, 2.5 * found.weights.wa, 2.5 * found.weights.wb)
    expected = tuple(toy_pass(found.x0, weights, target=target, skip=each) for each in (False, True))
    agree(values_of(browsed(page, CHANGED)), expected)
