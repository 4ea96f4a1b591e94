"""Every loss against its formula in NumPy, and how many outputs a task needs."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mirada import reference as ref
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.errors import RecipeError
from mirada.modelfile import Architecture, Card
from mirada.models import CATALOGUE, create_model, facts, find
from mirada.models.lenet import RadialBasis
from mirada.samples import Classes, Numbers, Scaling, Target
from mirada.training.demands import require_fitting, usual_loss
from mirada.training.loss import (
    RUBBISH,
    Loss,
    balanced_weights,
    chosen_loss,
    make_loss,
    map_loss,
    outputs_for,
)
from mirada.training.recipe import Recipe

Array = NDArray[np.float64]


def target_of(task: str, count: int) -> Target:
    """Numbers, or so many classes."""
    names = tuple(f"c{number}" for number in range(count))
    return Classes(names) if task == "classification" else Numbers(names or ("",))


def card_of(outputs: int, *, model: str = "lenet5", **changes: Any) -> Card:
    values: dict[str, Any] = {
        "architecture": Architecture(model=model, outputs=outputs, in_channels=3, image_size=(32, 32)),
        "target": Classes(tuple("abcdefg"[: max(2, outputs)])),
        "preprocessing": Preprocessing(),
    }
    return Card(**(values | changes))


def loss_of(recipe: Recipe, card: Card, weights: torch.Tensor | None = None) -> Loss:
    """The recipe's loss of targets in their unit."""
    name = chosen_loss(recipe.loss, card.target, usual_loss(recipe))
    loss = make_loss(
        name,
        card.target,
        outputs=card.architecture.outputs,
        label_smoothing=recipe.label_smoothing,
        class_weights=weights,
    )
    scaling = card.target_scaling
    if scaling is None:
        return loss
    return lambda raw, targets: loss(raw, torch.from_numpy(scaling.forward(targets.numpy())))


def outputs_of(recipe: Recipe, target: Target) -> int:
    """The outputs that a recipe's network needs, if loss and target go together."""
    require_fitting(recipe, target)
    return outputs_for(target, recipe.loss, yes_or_no=find(recipe.model).num_classes == 1)


def value_and_gradient(
    loss: str, card: Card, raw: Array, targets: NDArray[Any], **settings: Any
) -> tuple[float, Array]:
    leaf = torch.tensor(raw, requires_grad=True)
    value = loss_of(Recipe(model=card.architecture.model, loss=loss, **settings), card)(
        leaf, torch.from_numpy(targets)
    )
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


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_label_smoothing(raw: Array, smoothing: float) -> None:
    """q′ = (1 − ε)δ + ε/K, for K classes and for a single output of two classes."""
    found = value_and_gradient("cross_entropy", card_of(4), raw, LABELS, label_smoothing=smoothing)
    np.testing.assert_allclose(
        found[0], ref.cross_entropy(raw, LABELS, label_smoothing=smoothing), rtol=1e-12
    )
    np.testing.assert_allclose(
        found[1],
        ref.cross_entropy_backward(raw, LABELS, label_smoothing=smoothing),
        rtol=1e-10,
        atol=1e-15,
    )

    def yes_no(z: Array) -> float:
        """The same two classes as two outputs, the logit and 0."""
        two = np.concatenate((np.zeros_like(z), z), axis=1)
        return ref.cross_entropy(two, YES_NO, label_smoothing=smoothing)

    assert_same(
        value_and_gradient("auto", card_of(1), raw[:, :1], YES_NO, label_smoothing=smoothing),
        yes_no,
        raw[:, :1],
    )


@pytest.mark.parametrize("loss", ["auto", "map"])
def test_map(raw: Array, loss: str) -> None:
    """LeCun et al. 1998, eq. 9, written with the distances y; for their network ``auto`` is the same."""
    distances = RUBBISH - 2 + raw  # near j, where every term counts

    def formula(z: Array) -> float:
        y = -z
        competition = np.log(np.exp(-RUBBISH) + np.exp(-y).sum(1))
        return float(np.mean(y[np.arange(6), LABELS] + competition))

    card = card_of(4, model="lenet5_1998")
    assert_same(value_and_gradient(loss, card, -distances, LABELS), formula, -distances)


def test_map_draws_to_the_code_and_pushes_off_only_what_is_near() -> None:
    """Of codes much farther than j none matters; one much nearer is pushed as hard as the right one is drawn."""
    distances = torch.tensor([[60.0, 90.0, 80.0], [30.0, 1.0, 90.0], [0.0, 70.0, 60.0]], requires_grad=True)
    (pull,) = torch.autograd.grad(map_loss(-distances, torch.tensor([0, 0, 0])) * 3, distances)
    wanted = torch.tensor([[1.0, 0, 0], [1, -1, 0], [0, 0, 0]])  # far; nearer to another code; at its own
    torch.testing.assert_close(pull, wanted, rtol=0, atol=1e-4)


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
    card = card_of(1, target=Numbers(unit="months"), target_scaling=Scaling((100.0,), (40.0,)))

    def formula(z: Array) -> float:
        return float(np.mean(np.abs(z[:, 0] - (months - 100.0) / 40.0) ** power))

    for smoothing in (0.0, 0.1):  # a network's own recipe may smooth labels, which a number has none of
        found = value_and_gradient(loss, card, raw[:, :1], months[:, None], label_smoothing=smoothing)
        assert_same(found, formula, raw[:, :1])
    wanted = torch.from_numpy((months - 100.0) / 40.0)[:, None]  # what makes the loss zero …
    assert loss_of(Recipe(loss=loss), card)(wanted, torch.from_numpy(months[:, None])).item() == 0.0
    np.testing.assert_allclose(card.read_outputs(wanted)[:, 0], months)  # … is what is read as the target


@pytest.mark.parametrize(("outputs", "model"), [(1, "lenet5"), (4, "lenet5"), (4, "lenet5_1998")])
def test_large_outputs_stay_finite(outputs: int, model: str) -> None:
    raw = torch.full((2, outputs), -1e4)
    raw[:, 0] = 1e4
    value = loss_of(Recipe(model=model), card_of(outputs, model=model))(raw, torch.tensor([0, 0]))
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
        ("lenet5_1998", "auto", "classification", 2, 2),
        ("lenet5_1998", "map", "classification", 26, 26),
        ("lenet5_1998", "auto", "regression", 0, 1),
    ],
)
def test_outputs(model: str, loss: Any, task: str, classes: int, outputs: int) -> None:
    assert outputs_of(Recipe(model=model, loss=loss), target_of(task, classes)) == outputs


@pytest.mark.parametrize("loss", [BINARY, CROSS, "map"])
def test_a_number_has_no_cross_entropy(loss: Any) -> None:
    with pytest.raises(
        RecipeError, match=rf'^The loss "{loss}" is for classes; for a number choose mae, mse or huber\.$'
    ):
        outputs_of(Recipe(model="lenet5_1998", loss=loss), target_of("regression", 0))


@pytest.mark.parametrize("model", ["lenet5", "simplecnn", "resnet18"])
def test_map_is_for_distances(model: str) -> None:
    text = rf'^The loss "map" is for distances to codes, which lenet5_1998 puts out and this {model} does not\. Choose '
    with pytest.raises(RecipeError, match=text + r"cross_entropy\.$"):
        outputs_of(Recipe(model=model, loss="map"), target_of("classification", 2))


def test_whose_outputs_are_distances() -> None:
    """The networks that end in codes, and no others."""
    with torch.device("meta"):
        ends = {name: list(create_model(name).head.modules())[-1] for name in CATALOGUE if "net" in name}
    assert [name for name, end in ends.items() if isinstance(end, RadialBasis)] == ["lenet5_1998"]
    assert [name for name in CATALOGUE if facts(name).loss == "map"] == ["lenet5_1998"]


def test_a_head_of_averages_puts_out_no_distances() -> None:
    """So ``auto`` is cross-entropy, and ``map`` is refused."""
    recipe = Recipe(model="lenet5_1998", options={"head": "average"})
    assert facts("lenet5_1998").loss_with(recipe.options) == "cross_entropy"
    with pytest.raises(RecipeError, match=r"^The loss \"map\" is for distances to codes"):
        outputs_of(replace(recipe, loss="map"), target_of("classification", 10))


@pytest.mark.parametrize(
    ("model", "loss", "named"),
    [("lenet5", "mse", "mse"), ("simplecnn", "mae", "mae"), ("lenet5_1998", "auto", "map")],
)
def test_only_cross_entropy_smooths_labels(model: str, loss: Any, named: str) -> None:
    text = rf'^`label_smoothing` goes with cross-entropy and not with the loss "{named}"\. Set it to 0\. Got 0\.1\.$'
    with pytest.raises(RecipeError, match=text):
        outputs_of(Recipe(model=model, loss=loss, label_smoothing=0.1), target_of("classification", 2))
    recipe = Recipe(model=model, label_smoothing=0.1)
    assert outputs_of(recipe, target_of("regression", 0)) == 1


@pytest.mark.parametrize("classes", [1, 3, 10])
def test_binary_cross_entropy_is_for_two_classes(classes: int) -> None:
    text = rf'^The loss "{BINARY}" is for two classes; there are {classes}\. Choose cross_entropy\.$'
    with pytest.raises(RecipeError, match=text):
        outputs_of(Recipe(loss=BINARY), target_of("classification", classes))


# Numbers with few large errors, several numbers, rare classes ----------------------------------------------


def huber(error: Array) -> Array:
    """Huber 1964, eq. 2.1, with k = 1."""
    size = np.abs(error)
    return np.where(size <= 1, error**2 / 2, size - 0.5)


def test_huber_is_in_standard_deviations(raw: Array) -> None:
    months = np.array([10.0, 120.0, 228.0, 60.0, 90.0, 91.5])
    card = card_of(1, target=Numbers(unit="months"), target_scaling=Scaling((100.0,), (40.0,)))
    found = value_and_gradient("huber", card, raw[:, :1], months[:, None])
    assert (np.abs(raw[:, 0] - (months - 100) / 40) > 1).any() and (
        np.abs(raw[:, 0] - (months - 100) / 40) < 1
    ).any()
    assert_same(found, lambda z: float(np.mean(huber(z[:, 0] - (months - 100) / 40))), raw[:, :1])


@pytest.mark.parametrize(("loss", "formula"), [("auto", np.square), ("mae", np.abs), ("huber", huber)])
def test_several_numbers_each_in_its_own_deviation(raw: Array, loss: str, formula: Any) -> None:
    """An unknown one costs nothing and pulls at nothing; the mean is over all of them."""
    means, stds = np.array([100.0, 1.5, -3.0]), np.array([40.0, 0.25, 7.0])
    true = means + stds * np.random.default_rng(1).normal(size=(6, 3))
    card = card_of(
        3, target=Numbers(("age", "height", "depth")), target_scaling=Scaling(tuple(means), tuple(stds)),
    )  # fmt: skip

    def expected(z: Array) -> float:
        return float(np.nansum(formula(z - (true - means) / stds)) / 18)

    assert_same(value_and_gradient(loss, card, raw[:, :3], true), expected, raw[:, :3])
    true[[0, 0, 4], [0, 2, 1]] = np.nan
    found = value_and_gradient(loss, card, raw[:, :3], true)
    assert_same(found, expected, raw[:, :3])
    assert (found[1][np.isnan(true)] == 0).all() and (found[1][~np.isnan(true)] != 0).all()


WEIGHTS = np.array([0.5, 2.0, 1.0, 3.0])


@pytest.mark.parametrize(
    ("loss", "smoothing"), [("auto", 0.0), ("cross_entropy", 0.1), ("mse", 0.0), ("mae", 0.0)]
)
def test_class_weights(raw: Array, loss: str, smoothing: float) -> None:
    """Σ w_t · loss / N: so that the slices of a batch add up to the whole."""
    recipe, card = Recipe(model="lenet5", loss=loss, label_smoothing=smoothing), card_of(4)
    outputs, labels = torch.from_numpy(raw), torch.from_numpy(LABELS)
    plain, weighted = loss_of(recipe, card), loss_of(recipe, card, torch.from_numpy(WEIGHTS))
    rows = [plain(outputs[n : n + 1], labels[n : n + 1]).item() for n in range(6)]
    assert weighted(outputs, labels).item() == pytest.approx(np.mean(WEIGHTS[LABELS] * rows), rel=1e-12)
    halves = weighted(outputs[:2], labels[:2]) * 2 / 6 + weighted(outputs[2:], labels[2:]) * 4 / 6
    assert halves.item() == pytest.approx(weighted(outputs, labels).item(), rel=1e-12)


def test_class_weights_of_one_output_and_of_distances(raw: Array) -> None:
    weights = torch.tensor([0.25, 4.0], dtype=torch.float64)
    logits, labels = torch.from_numpy(raw[:, :1]), torch.from_numpy(YES_NO)
    found = loss_of(Recipe(model="simplecnn"), card_of(1), weights)(logits, labels).item()
    p = sigmoid(raw[:, 0])
    rows = -np.where(YES_NO == 1, np.log(p), np.log(1 - p))
    assert found == pytest.approx(np.mean(np.where(YES_NO == 1, 4.0, 0.25) * rows), rel=1e-12)
    outputs, labels = torch.from_numpy(raw), torch.from_numpy(LABELS)
    card = card_of(4, model="lenet5_1998")
    found = loss_of(Recipe(model="lenet5_1998"), card, torch.from_numpy(WEIGHTS))(outputs, labels).item()
    expected = np.mean(WEIGHTS[LABELS] * map_loss(outputs, labels, "none").numpy())
    assert found == pytest.approx(expected, rel=1e-12)


def test_balanced_weights_are_scikit_learns() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    labels = np.random.default_rng(0).choice(4, size=200, p=[0.6, 0.25, 0.1, 0.05])
    found = balanced_weights(labels, 4).numpy()
    np.testing.assert_allclose(
        found, compute_class_weight("balanced", classes=np.arange(4), y=labels), rtol=1e-6
    )
    assert found[labels].mean() == pytest.approx(1.0)


def test_what_goes_with_classes_and_what_with_numbers() -> None:
    assert outputs_of(Recipe(loss="huber"), target_of("regression", 3)) == 3
    with pytest.raises(
        RecipeError, match=r'^The loss "huber" is for numbers; for classes choose cross_entropy\.$'
    ):
        outputs_of(Recipe(loss="huber"), target_of("classification", 3))
    for setting in ("class_weights", "sampling"):
        with pytest.raises(
            RecipeError, match=rf'^`{setting}` = "balanced" is for classes, and the target is a number'
        ):
            outputs_of(Recipe().with_settings({setting: "balanced"}), target_of("regression", 0))
