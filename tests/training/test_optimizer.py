"""Each step against the reference's formula, and the learning rate against torch's schedulers."""

import copy
import itertools
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mirada import reference as ref
from mirada.compute import choose
from mirada.errors import RecipeError
from mirada.jobs.memory import Room
from mirada.modelfile import Architecture
from mirada.models import create_model
from mirada.summary.table import OPTIMIZERS as TOTALS
from mirada.training.optimizer import Optimizer
from mirada.training.recipe import Recipe
from mirada.training.schedules import OneCycle, learning_rate
from mirada.training.stepping import OPTIMIZERS, Adam, Sgd

Array = NDArray[np.float64]


def recipe_of(**changes: object) -> Recipe:
    return Recipe().with_settings(changes)


# Optimizers ----------------------------------------------------------------------------------------------


def gradients(shape: tuple[int, ...]) -> Iterator[Tensor]:
    random = torch.Generator().manual_seed(0)
    while True:
        yield torch.randn(shape, generator=random, dtype=torch.float64)


def trained(layer: nn.Linear, recipe: Recipe, steps: int) -> nn.Linear:
    """Steps with made-up gradients, the same for the weight here and for the formula."""
    optimizer = Optimizer(layer, recipe.optimizer)
    for gradient in itertools.islice(gradients((2, 3)), steps):
        layer.weight.grad, layer.bias.grad = gradient.clone(), gradient[:, 0].clone()
        optimizer.step(recipe.optimizer.lr)
    return layer


@pytest.fixture
def layer() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(3, 2).double()


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_sgd_is_the_formula_of_the_notes_corrected(layer: nn.Linear, momentum: float, decay: float) -> None:
    """v ← μ·v − α·(g + λ·W), W ← W + v; the bias without λ."""
    weight, bias = layer.weight.detach().numpy().copy(), layer.bias.detach().numpy().copy()
    v, u = np.zeros_like(weight), np.zeros_like(bias)
    for gradient in itertools.islice(gradients((2, 3)), 5):
        g = gradient.numpy()
        weight, v = ref.sgd_step(weight, g + decay * weight, velocity=v, lr=0.1, momentum=momentum)
        bias, u = ref.sgd_step(bias, g[:, 0], velocity=u, lr=0.1, momentum=momentum)
    trained(layer, recipe_of(optimizer="sgd", lr=0.1, momentum=momentum, weight_decay=decay), 5)
    np.testing.assert_allclose(layer.weight.detach().numpy(), weight, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(layer.bias.detach().numpy(), bias, rtol=1e-12, atol=1e-14)


def test_adam(layer: nn.Linear) -> None:
    weight = layer.weight.detach().numpy().copy()
    mean, square = np.zeros_like(weight), np.zeros_like(weight)
    for step, gradient in enumerate(itertools.islice(gradients((2, 3)), 5), start=1):
        weight, mean, square = ref.adam_step(
            weight, gradient.numpy(), mean=mean, square=square, step=step, lr=0.01
        )
    trained(layer, recipe_of(optimizer="adam", lr=0.01), 5)
    np.testing.assert_allclose(layer.weight.detach().numpy(), weight, rtol=1e-10, atol=1e-12)


def test_rmsprop(layer: nn.Linear) -> None:
    weight = layer.weight.detach().numpy().copy()
    square = np.zeros_like(weight)
    for gradient in itertools.islice(gradients((2, 3)), 5):
        weight, square = ref.rmsprop_step(weight, gradient.numpy(), square=square, lr=0.01)
    trained(layer, recipe_of(optimizer="rmsprop", lr=0.01, momentum=0.0), 5)
    np.testing.assert_allclose(layer.weight.detach().numpy(), weight, rtol=1e-10, atol=1e-12)


def test_rmsprop_has_the_momentum_of_the_recipe(layer: nn.Linear) -> None:
    other = nn.Linear(3, 2).double()
    other.load_state_dict(layer.state_dict())
    trained(layer, recipe_of(optimizer="rmsprop", momentum=0.9), 3)
    trained(other, recipe_of(optimizer="rmsprop", momentum=0.0), 3)
    assert not torch.equal(layer.weight, other.weight)


@pytest.mark.parametrize("name", ["sgd", "adam", "rmsprop"])
@pytest.mark.parametrize("model", ["lenet5", "resnet18"])
def test_weights_decay_and_biases_and_norms_do_not(name: str, model: str) -> None:
    network = create_model(model, num_classes=3)
    optimizer = Optimizer(network, recipe_of(optimizer=name, weight_decay=0.5).optimizer)
    decay = {id(p): optimizer.weight_decay(name) for name, p in optimizer.parameters.items()}
    for layer in network.modules():
        for kind, parameter in layer.named_parameters(recurse=False):
            weight = isinstance(layer, nn.Conv2d | nn.Linear) and kind == "weight"
            assert decay.pop(id(parameter)) == (0.5 if weight else 0.0)
    assert not decay


def test_frozen_weights_are_left_out() -> None:
    network = create_model("lenet5")
    network.stem.requires_grad_(False)
    optimizer = Optimizer(network, Adam())
    assert sum(p.numel() for p in optimizer.parameters.values()) == 61_706 - 156


@pytest.mark.parametrize("clip", [0.5, 100.0])
def test_a_long_gradient_is_shortened_to_the_norm(layer: nn.Linear, clip: float) -> None:
    """g ← g · min(1, c / ‖g‖), the norm over weights and biases together (Pascanu et al. 2012, Alg. 1)."""
    weight, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
    gradient = next(gradients((2, 3)))
    layer.weight.grad, layer.bias.grad = gradient.clone(), gradient[:, 0].clone()
    norm = float((gradient.square().sum() + gradient[:, 0].square().sum()).sqrt())
    assert 0.5 < norm < 100
    Optimizer(layer, Sgd(momentum=0.0), clip).step(0.1)
    factor = min(1.0, clip / norm)
    torch.testing.assert_close(layer.weight, weight - 0.1 * factor * gradient, rtol=1e-5, atol=0)
    torch.testing.assert_close(layer.bias, bias - 0.1 * factor * gradient[:, 0], rtol=1e-5, atol=0)


PEERS = {
    "sgd": lambda groups: torch.optim.SGD(groups, lr=0.01, momentum=0.9),
    "adam": lambda groups: torch.optim.Adam(groups, lr=0.01),
    "adamw": lambda groups: torch.optim.AdamW(groups, lr=0.01),
    "rmsprop": lambda groups: torch.optim.RMSprop(groups, lr=0.01, momentum=0.9),
}


def assert_the_same_steps(
    layer: nn.Linear, ours: Optimizer, other: nn.Linear, theirs: torch.optim.Optimizer
) -> None:
    """Five steps at a rate of 0.01 with the same gradients leave the same weights and biases, each time."""
    for gradient in itertools.islice(gradients((2, 3)), 5):
        for pair in (layer, other):
            pair.weight.grad, pair.bias.grad = gradient.clone(), gradient[:, 0].clone()
        ours.step(0.01)
        theirs.step()
        torch.testing.assert_close(layer.weight, other.weight, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(layer.bias, other.bias, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", PEERS)
def test_every_step_is_that_of_torchs_class(layer: nn.Linear, name: str) -> None:
    other = nn.Linear(3, 2).double()
    other.load_state_dict(layer.state_dict())
    theirs = PEERS[name](
        [{"params": [other.weight], "weight_decay": 0.1}, {"params": [other.bias], "weight_decay": 0.0}]
    )
    momentum = {} if name.startswith("adam") else {"momentum": 0.9}
    ours = Optimizer(layer, recipe_of(optimizer=name, lr=0.01, weight_decay=0.1, **momentum).optimizer)
    assert_the_same_steps(layer, ours, other, theirs)


def test_nesterovs_rule_is_torchs(layer: nn.Linear) -> None:
    other = nn.Linear(3, 2).double()
    other.load_state_dict(layer.state_dict())
    theirs = torch.optim.SGD(other.parameters(), lr=0.01, momentum=0.9, nesterov=True)
    ours = Optimizer(layer, recipe_of(optimizer="sgd", lr=0.01, weight_decay=0, nesterov=True).optimizer)
    assert_the_same_steps(layer, ours, other, theirs)


@pytest.mark.parametrize("name", PEERS)
def test_what_has_no_gradient_stays_and_does_not_age(layer: nn.Linear, name: str) -> None:
    optimizer = Optimizer(layer, recipe_of(optimizer=name, weight_decay=0.1).optimizer)
    before = layer.weight.detach().clone()
    layer.bias.grad = torch.ones(2, dtype=torch.float64)
    optimizer.step(0.01)
    assert torch.equal(layer.weight, before)
    assert {key: float(state["count"]) for key, state in optimizer.state.items()} == {"weight": 0, "bias": 1}
    optimizer.zero_grad()
    assert layer.bias.grad is None


def by_hand(rule: Callable[[Array, Array], None], weight: Array, steps: int, decay: float) -> Array:
    """The weight after a rule, (weight, gradient) → changed weight, has taken steps in float64."""
    weight = weight.copy()
    for gradient in itertools.islice(gradients((2, 3)), steps):
        rule(weight, gradient.numpy() + decay * weight)
    return weight


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("printed", [False, True])
def test_the_notes_rule_as_printed_and_corrected(layer: nn.Linear, decay: float, printed: bool) -> None:
    """Ten steps; the previous gradient is added as printed, the previous step as it is meant."""
    memory = np.zeros((2, 3))

    def rule(weight: Array, gradient: Array) -> None:
        nonlocal memory
        step = -0.01 * gradient + 0.9 * memory
        weight += step
        memory = gradient if printed else step

    expected = by_hand(rule, layer.weight.detach().numpy(), 10, decay)
    settings = {"optimizer": "notes", "lr": 0.01, "as_printed": printed, "weight_decay": decay}
    trained(layer, recipe_of(**settings), 10)
    np.testing.assert_allclose(layer.weight.detach().numpy(), expected, rtol=1e-12, atol=1e-14)


def test_the_notes_rule_corrected_keeps_its_speed_when_the_rate_changes(layer: nn.Linear) -> None:
    """Which is where it parts from PyTorch's form: after a step at 0.1 there is one at 0, which goes on by μ · v."""
    optimizer = Optimizer(layer, recipe_of(optimizer="notes", momentum=0.5).optimizer)
    before = layer.weight.detach().clone()
    for rate in (0.1, 0.0):
        layer.weight.grad = torch.ones_like(layer.weight)
        optimizer.step(rate)
    torch.testing.assert_close(layer.weight.detach(), before - 0.1 - 0.05)


def test_the_notes_rule_as_printed_runs_away_and_corrected_it_does_not() -> None:
    """On L = w²/2 from w = 1 with the rate 0.1 and μ = 0.9; 1.4·10⁵ after 30 steps, as computed by hand."""
    ends = {}
    for printed in (True, False):
        line = nn.Linear(1, 1, bias=False).double()
        nn.init.ones_(line.weight)
        optimizer = Optimizer(line, recipe_of(optimizer="notes", as_printed=printed).optimizer)
        for _ in range(30):
            line.weight.grad = line.weight.detach().clone()
            optimizer.step(0.1)
        ends[printed] = abs(line.weight.item())
    w, before = 1.0, 0.0
    for _ in range(30):
        w, before = w - 0.1 * w + 0.9 * before, w
    assert ends[True] == pytest.approx(abs(w), rel=1e-9) and ends[True] > 1e4
    assert ends[False] < 0.5


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("eps", [1e-10, 1.0])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_tensorflows_rmsprop(layer: nn.Linear, momentum: float, eps: float, decay: float) -> None:
    """ε within the root, the rate within the momentum, the mean of squares from 1 on; ten steps."""
    square, motion = np.ones((2, 3)), np.zeros((2, 3))

    def rule(weight: Array, gradient: Array) -> None:
        nonlocal square, motion
        square = 0.9 * square + 0.1 * gradient**2
        motion = momentum * motion + 0.045 * gradient / np.sqrt(square + eps)
        weight -= motion

    expected = by_hand(rule, layer.weight.detach().numpy(), 10, decay)
    settings = {"optimizer": "rmsprop_tf", "lr": 0.045, "momentum": momentum, "eps": eps}
    trained(layer, recipe_of(**settings, weight_decay=decay), 10)
    np.testing.assert_allclose(layer.weight.detach().numpy(), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("alpha", "eps"), [(0.9, 1.0), (0.5, 1e-3)])
def test_rmsprop_takes_its_share_and_its_epsilon(layer: nn.Linear, alpha: float, eps: float) -> None:
    theirs = copy.deepcopy(layer)
    optimizer = torch.optim.RMSprop([theirs.weight], lr=0.045, alpha=alpha, eps=eps, momentum=0.9)
    for gradient in itertools.islice(gradients((2, 3)), 10):
        theirs.weight.grad = gradient.clone()
        optimizer.step()
    trained(layer, recipe_of(optimizer="rmsprop", lr=0.045, alpha=alpha, eps=eps, momentum=0.9), 10)
    torch.testing.assert_close(layer.weight, theirs.weight, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_tables_of_memory_know_every_optimizer(name: str) -> None:
    """How many numbers a weight has beside its gradient; RMSprop's were once counted as one."""
    moments = (
        len(Optimizer(nn.Linear(2, 1), OPTIMIZERS[name]()).state["weight"]) - 1
    )  # beside the count of steps
    assert TOTALS[name][1] == moments
    plan = Architecture(model="lenet5", outputs=2, in_channels=1, image_size=(32, 32))
    assert Room(plan, recipe_of(optimizer=name), choose("cpu", "float32"), 10)._moments == moments


# Learning rate -------------------------------------------------------------------------------------------


def rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    return learning_rate(
        recipe.schedule, recipe.optimizer.lr, step, steps_per_epoch=steps_per_epoch, epochs=recipe.epochs
    )


def rates(recipe: Recipe, steps_per_epoch: int) -> list[float]:
    return [rate(recipe, step, steps_per_epoch) for step in range(recipe.epochs * steps_per_epoch)]


def scheduled(make: type, steps: int, lr: float, **options: float) -> list[float]:
    """What a scheduler of torch's gives at every step."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler = make(optimizer, **options)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def test_constant() -> None:
    assert rates(recipe_of(lr=0.5, epochs=3), 4) == [0.5] * 12


def test_warmup_by_hand() -> None:
    """Two epochs of two steps: a quarter, a half, three quarters, all of it."""
    assert rates(recipe_of(lr=0.5, epochs=3, warmup=2), 2) == [0.125, 0.25, 0.375, 0.5, 0.5, 0.5]
    assert rates(recipe_of(lr=0.5, epochs=2, warmup=0.5), 4)[:4] == [0.25, 0.5, 0.5, 0.5]


def test_cosine_by_hand() -> None:
    ours = rates(recipe_of(lr=2.0, epochs=4, schedule="cosine"), 1)
    np.testing.assert_allclose(ours, [2.0, 1 + 0.5**0.5, 1.0, 1 - 0.5**0.5], rtol=1e-12)


@pytest.mark.parametrize(("epochs", "steps_per_epoch"), [(5, 7), (1, 10), (30, 1)])
def test_cosine_is_torchs(epochs: int, steps_per_epoch: int) -> None:
    total = epochs * steps_per_epoch
    theirs = scheduled(torch.optim.lr_scheduler.CosineAnnealingLR, total, 0.3, T_max=total)
    ours = rates(recipe_of(lr=0.3, epochs=epochs, schedule="cosine"), steps_per_epoch)
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


def test_cosine_begins_where_the_warmup_ends() -> None:
    ours = rates(recipe_of(lr=0.3, epochs=5, schedule="cosine", warmup=1), 8)
    np.testing.assert_allclose(ours[:8], 0.3 * np.arange(1, 9) / 8, rtol=1e-12)
    theirs = scheduled(torch.optim.lr_scheduler.CosineAnnealingLR, 32, 0.3, T_max=32)
    np.testing.assert_allclose(ours[8:], theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("warmup", [0, 0.3, 1, 2.5, 10])
@pytest.mark.parametrize("schedule", ["constant", "cosine", "poly", "exponential", "step", "plateau"])
def test_rates_stay_between_nothing_and_the_rate(warmup: float, schedule: str) -> None:
    """Also where the warm-up is as long as the run, or longer."""
    ours = rates(recipe_of(lr=0.3, epochs=3, schedule=schedule, warmup=warmup), 3)
    assert all(0 < rate <= 0.3 for rate in ours)
    assert max(ours) == pytest.approx(0.3 if warmup <= 3 else 0.3 * 9 / 30)


def test_the_rate_is_a_function_of_the_step_alone() -> None:
    recipe = recipe_of(lr=0.3, epochs=5, schedule="cosine", warmup=1)
    there = [rate(recipe, step, 8) for step in range(40)]
    back = [rate(recipe, step, 8) for step in reversed(range(40))]
    assert there == back[::-1]


def test_time_is_keras() -> None:
    """lr / (1 + decay · t), the first step being number 0; with the notes' numbers over 150 epochs of 15 steps."""
    ours = rates(recipe_of(lr=0.002, epochs=150, schedule="time", decay=2e-4), 15)
    np.testing.assert_allclose(ours, 0.002 * (1.0 / (1.0 + 2e-4 * np.arange(150 * 15))), rtol=1e-12)
    assert ours[0] == 0.002 and ours[-1] == pytest.approx(0.002 / 1.4498)


def test_time_begins_where_the_warmup_ends() -> None:
    ours = rates(recipe_of(lr=1.0, epochs=3, schedule="time", decay=1.0, warmup=1), 2)
    np.testing.assert_allclose(ours, [0.5, 1.0, 1.0, 1 / 2, 1 / 3, 1 / 4], rtol=1e-12)


@pytest.mark.parametrize(("epochs", "per_epoch"), [(9, 7), (12, 1)])
def test_schedules_are_torchs(epochs: int, per_epoch: int) -> None:
    """Step, milestones, power and one cycle, over all steps of a run."""
    total = epochs * per_epoch
    schedulers = torch.optim.lr_scheduler
    pairs = [
        (
            {"schedule": "step", "step_size": 2, "gamma": 0.3},
            schedulers.StepLR,
            {"step_size": 2 * per_epoch, "gamma": 0.3},
        ),
        (
            {"schedule": "multi_step", "milestones": [3, 7], "gamma": 0.2},
            schedulers.MultiStepLR,
            {"milestones": [3 * per_epoch, 7 * per_epoch], "gamma": 0.2},
        ),
        ({"schedule": "poly", "power": 0.5}, schedulers.PolynomialLR, {"total_iters": total, "power": 0.5}),
        ({"schedule": "one_cycle"}, schedulers.OneCycleLR, {"max_lr": 0.3, "total_steps": total}),
        (
            {"schedule": "one_cycle", "rise": 0.45, "begin": 10, "end": 100},
            schedulers.OneCycleLR,
            {
                "max_lr": 0.3,
                "total_steps": total,
                "pct_start": 0.45,
                "div_factor": 10,
                "final_div_factor": 100,
            },
        ),
        (
            {"schedule": "exponential", "gamma": 0.9},
            schedulers.ExponentialLR,
            {"gamma": 0.9 ** (1 / per_epoch)},
        ),
    ]
    for settings, make, options in pairs:
        theirs = scheduled(make, total, 0.3, **options)
        ours = rates(recipe_of(lr=0.3, epochs=epochs, **settings), per_epoch)
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12, err_msg=str(settings))


def test_parts_of_an_epoch_are_steps() -> None:
    half = recipe_of(lr=1.0, epochs=2, schedule="step", step_size=0.5, gamma=0.5)
    assert rates(half, 4) == [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]
    after = recipe_of(lr=1.0, epochs=2, schedule="multi_step", milestones="0.75,1.5", warmup=0.25)
    assert rates(after, 4) == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.1, 0.01])


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        ("30,x", "'30,x'"),
        ([0], r"\[0\]"),
        ([-1.0], r"\[-1"),
        ({"a": 1}, "'a'"),
        ([True], "True"),
        (["nan"], "nan"),
    ],
)
def test_milestones_are_numbers_above_0(value: object, wrong: str) -> None:
    with pytest.raises(
        RecipeError, match=f"`milestones` must be numbers above 0, such as 30,60. Got .*{wrong}"
    ):
        recipe_of(schedule="multi_step", milestones=value)


@pytest.mark.parametrize("wait", [1, 3])
def test_a_plateau_lowers_the_rate_as_torchs_scheduler_does(wait: int) -> None:
    """Which waits one epoch longer than its ``patience``; scores of 40 epochs that rise and stand still."""
    random = np.random.default_rng(0)
    scores = (np.cumsum(random.random(40) * (random.random(40) < 0.4)) + random.normal(0, 0.02, 40)).tolist()
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.8)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode="max", factor=0.5, patience=wait - 1, threshold=0, eps=0
    )
    recipe = recipe_of(lr=0.8, epochs=40, schedule="plateau", gamma=0.5, wait=wait)
    plateaus, best, since = 0, -np.inf, 0
    expected = []
    for epoch, score in enumerate(scores, start=1):
        optimizer.step()
        theirs.step(score)
        expected.append(optimizer.param_groups[0]["lr"])
        if score > best:
            best, since = score, epoch
        if epoch - since >= wait:
            plateaus, since = plateaus + 1, epoch
        rate = learning_rate(recipe.schedule, 0.8, epoch, steps_per_epoch=1, epochs=40, plateaus=plateaus)
        assert rate == pytest.approx(expected[-1], rel=1e-12), epoch
    assert expected[-1] <= 0.8 * 0.5**2


def test_one_cycle_has_no_warmup_of_its_own() -> None:
    assert (
        recipe_of(schedule="cosine", warmup=2).with_settings({"schedule": "one_cycle"}).schedule == OneCycle()
    )
    with pytest.raises(RecipeError, match="one_cycle takes no `warmup`"):
        recipe_of(schedule="one_cycle", warmup=1)
