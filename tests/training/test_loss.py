"""Every loss against its formula in NumPy, and how many outputs a task needs."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mirada import reference as ref
from mirada.checkpoint import Card
from mirada.data.preprocessing import Preprocessing
from mirada.errors import RecipeError
from mirada.training.loss import make_loss, outputs_for
from mirada.training.recipe import Recipe

Array = NDArray[np.float64]


def card_of(outputs: int, **changes: Any) -> Card:
    values: dict[str, Any] = {
        "model": "lenet5",
        "num_classes": outputs,
        "in_channels": 3,
        "image_size": (32, 32),
        "task": "classification",
        "classes": tuple("abcdefg"[: max(2, outputs)]),
        "preprocessing": Preprocessing(),
    }
    return Card(**(values | changes))


def value_and_gradient(loss: str, card: Card, raw: Array, targets: NDArray[Any]) -> tuple[float, Array]:
    leaf = torch.tensor(raw, requires_grad=True)
    value = make_loss(Recipe(loss=loss), card)(leaf, torch.from_numpy(targets))
    assert value.shape == ()
    value.backward()
    assert leaf.grad is not None
    return value.item(), leaf.grad.numpy()


def by_differences(function: Any, raw: Array, h: float = 1e-6) -> Array:
    gradient = np.zeros_like(raw)
    for place in np.ndindex(raw.shape):
        step = np.zeros_like(raw)
        step[place] = h
        gradient[place] = (function(raw + step) - function(raw - step)) / (2 * h)
    return gradient


def assert_same(ours: tuple[float, Array], formula: Any, raw: Array) -> None:
    np.testing.assert_allclose(ours[0], formula(raw), rtol=1e-12)
    np.testing.assert_allclose(ours[1], by_differences(formula, raw), rtol=1e-6, atol=1e-9)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


@pytest.fixture
def raw() -> Array:
    return np.random.default_rng(3).normal(scale=2.0, size=(6, 4))


LABELS = np.array([0, 1, 2, 3, 1, 1])
YES_NO = np.array([0, 1, 1, 0, 1, 0])


@pytest.mark.parametrize("loss", ["auto", "cross_entropy"])
def test_cross_entropy(raw: Array, loss: str) -> None:
    ours = value_and_gradient(loss, card_of(4), raw, LABELS)
    np.testing.assert_allclose(ours[0], ref.cross_entropy(raw, LABELS), rtol=1e-12)
    np.testing.assert_allclose(ours[1], ref.cross_entropy_backward(raw, LABELS), rtol=1e-10)
    assert_same(ours, lambda z: np.mean(np.log(np.exp(z).sum(1)) - z[np.arange(6), LABELS]), raw)


@pytest.mark.parametrize("loss", ["auto", "binary_cross_entropy"])
def test_binary_cross_entropy(raw: Array, loss: str) -> None:
    def formula(z: Array) -> float:
        p = sigmoid(z[:, 0])
        return float(-np.mean(YES_NO * np.log(p) + (1 - YES_NO) * np.log(1 - p)))

    assert_same(value_and_gradient(loss, card_of(1), raw[:, :1], YES_NO), formula, raw[:, :1])


@pytest.mark.parametrize(("loss", "power"), [("mse", 2), ("mae", 1)])
def test_distances_of_probabilities(raw: Array, loss: str, power: int) -> None:
    """Of the softmax from one-hot targets, or of the sigmoid from 0 and 1."""

    def softmax(z: Array) -> float:
        p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
        return float(np.mean(np.abs(p - np.eye(4)[LABELS]) ** power))

    def yes_no(z: Array) -> float:
        return float(np.mean(np.abs(sigmoid(z[:, 0]) - YES_NO) ** power))

    assert_same(value_and_gradient(loss, card_of(4), raw, LABELS), softmax, raw)
    assert_same(value_and_gradient(loss, card_of(1), raw[:, :1], YES_NO), yes_no, raw[:, :1])


@pytest.mark.parametrize(("loss", "power"), [("auto", 2), ("mse", 2), ("mae", 1)])
def test_a_number_in_units_of_its_standard_deviation(raw: Array, loss: str, power: int) -> None:
    months = np.array([10.0, 120.0, 228.0, 60.0, 90.0, 91.5])
    card = card_of(1, task="regression", classes=(), unit="months", target_mean=100.0, target_std=40.0)

    def formula(z: Array) -> float:
        return float(np.mean(np.abs(z[:, 0] - (months - 100.0) / 40.0) ** power))

    assert_same(value_and_gradient(loss, card, raw[:, :1], months), formula, raw[:, :1])
    wanted = torch.from_numpy((months - 100.0) / 40.0)[:, None]  # what makes the loss zero …
    assert make_loss(Recipe(loss=loss), card)(wanted, torch.from_numpy(months)).item() == 0.0
    np.testing.assert_allclose(card.read_outputs(wanted)[:, 0], months)  # … is what is read as the target


@pytest.mark.parametrize("outputs", [1, 4])
def test_large_outputs_stay_finite(outputs: int) -> None:
    raw = torch.full((2, outputs), -1e4)
    raw[:, 0] = 1e4
    value = make_loss(Recipe(), card_of(outputs))(raw, torch.tensor([0, 0]))
    assert value.isfinite()


BINARY, CROSS = "binary_cross_entropy", "cross_entropy"


@pytest.mark.parametrize(
    ("model", "loss", "task", "classes", "outputs"),
    [
        ("lenet5", "auto", "classification", 10, 10),
        ("lenet5", "auto", "classification", 2, 2),
        ("lenet5", BINARY, "classification", 2, 1),
        ("lenet5", "mse", "classification", 2, 2),
        ("lenet5", "auto", "regression", 0, 1),
        ("lenet5", "mae", "regression", 0, 1),
        ("simplecnn", "auto", "classification", 2, 1),  # its paper has one output
        ("simplecnn", "mse", "classification", 2, 1),
        ("simplecnn", BINARY, "classification", 2, 1),
        ("simplecnn", CROSS, "classification", 2, 2),
        ("simplecnn", "auto", "classification", 3, 3),
        ("simplecnn", "mse", "regression", 0, 1),
    ],
)
def test_outputs(model: str, loss: Any, task: str, classes: int, outputs: int) -> None:
    assert outputs_for(Recipe(model=model, loss=loss), task, classes) == outputs


@pytest.mark.parametrize("loss", [BINARY, CROSS])
def test_a_number_has_no_cross_entropy(loss: Any) -> None:
    with pytest.raises(
        RecipeError, match=rf'^The loss "{loss}" is for classes; for a number choose mae or mse\.$'
    ):
        outputs_for(Recipe(loss=loss), "regression", 0)


@pytest.mark.parametrize("classes", [1, 3, 10])
def test_binary_cross_entropy_is_for_two_classes(classes: int) -> None:
    text = rf'^The loss "{BINARY}" is for two classes; there are {classes}\. Choose cross_entropy\.$'
    with pytest.raises(RecipeError, match=text):
        outputs_for(Recipe(loss=BINARY), "classification", classes)
