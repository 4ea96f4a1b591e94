"""Two phases: the head first, then parts before it at smaller rates; what learns already goes on as it is."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from mirada.compute import Compute
from mirada.data.cache import open_cache
from mirada.data.index import Index
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.errors import RecipeError
from mirada.events import EpochDone, Event, FeaturesPlanned, LayersThawed
from mirada.modelfile import Architecture, Card
from mirada.models import create_model
from mirada.runs.folder import RunFolder
from mirada.samples import Classes
from mirada.training.begin import begin
from mirada.training.feed import Feed
from mirada.training.freezing import freeze
from mirada.training.loop import Training, fit
from mirada.training.optimizer import Optimizer
from mirada.training.phases import Phase, phases_of, rates_told, stage_factors
from mirada.training.recipe import Recipe
from mirada.training.stepping import Adam, Rmsprop, Sgd, Stepping

CPU = Compute(torch.device("cpu"), "float32")
SIDE = 16


def phases(model: str = "resnet20", **settings: Any) -> tuple[Phase, ...]:
    network = create_model(model, num_classes=2)
    return phases_of(network, Recipe(model=model).with_settings({"epochs": 10, **settings}))


def test_one_phase_without_thaw() -> None:
    (phase,) = phases(freeze="stem")
    assert (phase.first, phase.last, phase.frozen.place, phase.factors) == (1, 10, "stem", {})


def test_two_phases() -> None:
    head, both = phases(thaw="stage3")
    assert (head.first, head.last, head.frozen.names) == (1, 3, ("stem", "stage1", "stage2", "stage3"))
    assert (both.first, both.last, both.frozen.names) == (4, 10, ("stem", "stage1", "stage2"))
    assert both.frozen.place == "stage2" and both.factors == {"stage3": 0.1}
    assert str(both) == "from epoch 4 on: stage3 learns at 0.1 × the learning rate"


def test_rates_fall_from_the_head_to_the_stem() -> None:
    _, both = phases(thaw="stage3,stage1,stage2", thaw_rate=0.5)
    assert both.factors == {"stage3": 0.5, "stage2": 0.25, "stage1": 0.125} and both.frozen.place == "stem"
    _, whole = phases(thaw="all", freeze="stage3,stage2")
    assert whole.frozen.names == () and list(whole.factors) == ["stage3", "stage2"]


def test_progressive_thaws_one_part_after_the_other() -> None:
    """Each with an equal share of the epochs, and at the same rates as if all were thawed together."""
    found = phases(thaw="progressive", thaw_rate=0.5, epochs=12, thaw_after=0.3)
    assert [(each.first, each.last) for each in found] == [(1, 4), (5, 6), (7, 8), (9, 10), (11, 12)]
    assert [each.factors for each in found] == [
        {}, {"stage3": 0.5}, {"stage2": 0.25}, {"stage1": 0.125}, {"stem": 0.0625},
    ]  # fmt: skip
    assert [each.frozen.place for each in found] == ["stage3", "stage2", "stage1", "stem", ""]
    _, *two = phases(thaw="progressive,stage2,stage3", epochs=3)
    assert [(each.first, each.last, each.factors) for each in two] == [
        (2, 2, {"stage3": 0.1}), (3, 3, {"stage2": pytest.approx(0.01)}),
    ]  # fmt: skip


@pytest.mark.parametrize("epochs", range(5, 40))
def test_every_phase_has_an_epoch_and_every_epoch_a_phase(epochs: int) -> None:
    found = phases(thaw="progressive", epochs=epochs)
    assert found[0].first == 1 and found[-1].last == epochs
    assert all(each.first <= each.last for each in found)
    assert all(before.last + 1 == after.first for before, after in pairwise(found))


def test_statistics_of_thawed_parts_follow_or_stay() -> None:
    def learning(statistics: str) -> list[str]:
        network = create_model("resnet20", num_classes=2)
        *_, last = phases_of(
            network,
            Recipe(model="resnet20", epochs=4).with_settings(
                {"thaw": "progressive,stage2,stage3", "thaw_statistics": statistics}
            ),
        )
        last.frozen.train(network)
        return [
            name.partition(".")[0]
            for name, layer in network.named_modules()
            if isinstance(layer, torch.nn.BatchNorm2d) and layer.training
        ]

    assert set(learning("follow")) == {"stage2", "stage3"}
    assert learning("keep") == []


@pytest.mark.parametrize(
    ("epochs", "share", "before"), [(2, 0.01, 1), (2, 0.99, 1), (10, 0.25, 2), (10, 0.5, 5), (3, 0.3, 1)]
)
def test_each_phase_has_an_epoch(epochs: int, share: float, before: int) -> None:
    head, both = phases(thaw="stage3", epochs=epochs, thaw_after=share)
    assert (head.last, both.first, both.last) == (before, before + 1, epochs)


WRONG: dict[str, dict[str, Any]] = {
    'thaw: the network has no part "stage9". Did you mean "stage': {"thaw": "stage9"},
    "thaw: the head learns from the start, so leave it out. Got stage3, head.": {"thaw": "stage3,head"},
    "thaw: stage3 is not frozen, so it learns from the start. Name it in `freeze`, too": {
        "thaw": "stage3", "freeze": "stem",
    },
    "thaw: takes at least 2 epochs, one before and one after it. Got `epochs` = 1.": {
        "thaw": "stage3", "epochs": 1,
    },
    "thaw: takes at least 3 epochs, one before and one after each of stage3, stage2. Got `epochs` = 2.": {
        "thaw": "progressive,stage3,stage2", "epochs": 2,
    },
    'thaw: the network has no part "progresive". Did you mean "progressive"?': {"thaw": "progresive"},
    "settings: `thaw_statistics` cannot be \"drop\". Known: follow, keep.": {"thaw_statistics": "drop"},
    "freeze: the head has to learn, so leave it out. Got head.": {"thaw": "stage3", "freeze": "head"},
    "settings: `thaw_after` must be a number above 0 and below 1. Got 1": {"thaw_after": 1},
    "settings: `thaw_rate` must be a number above 0 and at most 1. Got 0": {"thaw_rate": 0},
}  # fmt: skip


@pytest.mark.parametrize(("said", "settings"), WRONG.items())
def test_what_cannot_be_thawed(said: str, settings: dict[str, Any]) -> None:
    with pytest.raises(RecipeError) as error:
        phases(**settings)
    assert str(error.value).startswith(said)


# The optimizer ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stepping",
    [Adam(weight_decay=0.01), Sgd(weight_decay=0.01), Rmsprop(momentum=0.5)],
    ids=lambda each: each.kind,
)
def test_what_learns_goes_on_and_what_is_thawed_begins(stepping: Stepping) -> None:
    """By two optimizers of torch, one for each group, the second of which begins later."""
    classes = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD, "rmsprop": torch.optim.RMSprop}
    given = {"lr": 0.1, **({} if stepping.kind == "adam" else {"momentum": stepping.momentum})}  # type: ignore[union-attr]

    def network() -> torch.nn.Sequential:
        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.Linear(3, 4, bias=False), torch.nn.Linear(4, 2, bias=False))

    ours, theirs = network(), network()
    ours[0].requires_grad_(False)
    optimizer = Optimizer(ours, stepping)
    others = [
        classes[stepping.kind](theirs[1].parameters(), **given, weight_decay=stepping.weight_decay),
        classes[stepping.kind](
            theirs[0].parameters(), **{**given, "lr": 0.025}, weight_decay=stepping.weight_decay
        ),
    ]
    for step in range(6):
        if step == 3:
            ours[0].requires_grad_(True)
            optimizer.include(ours, {"0": 0.25})
        random = torch.Generator().manual_seed(step)
        gradients = [torch.randn(each.shape, generator=random) for each in theirs.parameters()]
        for net in (ours, theirs):
            for parameter, gradient in zip(net.parameters(), gradients, strict=True):
                parameter.grad = gradient.clone() if parameter.requires_grad else None
        optimizer.step(0.1)
        for other in others[: 1 if step < 3 else 2]:
            other.step()
    for one, two in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-6, atol=1e-7)


# A whole run -----------------------------------------------------------------------------------------------


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., tuple[Training, list[Event]]]:
    random = np.random.default_rng(0)
    names = tuple(f"{number:02}.png" for number in range(14))
    for number, name in enumerate(names):
        pixels = random.integers(0, 120, (SIDE, SIDE, 3), dtype=np.uint8) + 130 * (number % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / name)
    index = Index(
        root=tmp_path, paths=names, targets=np.arange(14) % 2, splits=np.repeat(["train", "val"], [10, 4]),
        target=Classes(("dark", "bright")),
    )  # fmt: skip

    def made(**settings: Any) -> tuple[Training, list[Event]]:
        cache = open_cache(index, Preprocessing(size=(SIDE, SIDE)), directory=tmp_path / "caches")
        recipe = Recipe(model="resnet20").with_settings(
            {"image_size": SIDE, "epochs": 4, "batch_size": 5, "augment": "photos", "views": 2, **settings}
        )
        card = Card(
            architecture=Architecture(model="resnet20", outputs=2, in_channels=3, image_size=(SIDE, SIDE)),
            target=index.target,
            preprocessing=replace(cache.preprocessing, mean=(0.4,) * 3, std=(0.3,) * 3),
            recipe=recipe.to_dict(),
        )
        torch.manual_seed(0)
        network = card.architecture.build()
        feed = Feed(
            cache=cache, card=card, compute=CPU, augmentation=replace(recipe.augment, horizontal_flip=True),
            batch_size=5, seed=0,
        )  # fmt: skip
        events: list[Event] = []
        folder = RunFolder.create(tmp_path / f"run{len(list(tmp_path.iterdir()))}")
        return begin(network, phases_of(network, recipe), feed, recipe, folder, events.append), events

    return made


def weights(training: Training) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in training.state.network.state_dict().items()}


def test_the_second_phase_moves_what_is_thawed(make: Callable[..., tuple[Training, list[Event]]]) -> None:
    training, events = make(thaw="stage3", thaw_after=0.5)
    before = weights(training)
    moved: dict[int, set[str]] = {}

    def watch(event: Event) -> None:
        events.append(event)
        moved[training.state.step] = {
            name.partition(".")[0]
            for name, value in weights(training).items()
            if not torch.equal(value, before[name])
        }

    outcome = fit(replace(training, on_event=watch))
    assert outcome.reason == "finished" and outcome.epochs == 4
    assert moved[4] == {"head"} and moved[8] == {"head", "stage3"}  # 2 steps an epoch
    (thawed,) = [event for event in events if isinstance(event, LayersThawed)]
    assert (thawed.epoch, thawed.names) == (3, ("stage3",))
    assert thawed.parameters == sum(value.numel() for value in training.state.network.stage3.parameters())
    assert thawed.text == (
        "from epoch 3 on: stage3 learns at 0.1 × the learning rate; the statistics of its batch normalization follow "
        "the images again."
    )
    places = [event.place for event in events if isinstance(event, FeaturesPlanned)]
    assert places == ["stage3", "stage2"]
    assert int(training.state.optimizer.state["head.linear.weight"]["count"]) == 8
    assert {
        int(state["count"]) for name, state in training.state.optimizer.state.items() if "stage3" in name
    } == {4}


def test_both_phases_are_the_same_with_and_without_what_is_kept(
    make: Callable[..., tuple[Training, list[Event]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, _ = make(thaw="stage2,stage3")
    fit(kept)
    monkeypatch.setattr("mirada.training.kept._lack_of_room", lambda store, missing: "there is no room")
    each_time, events = make(thaw="stage2,stage3")
    fit(each_time)
    assert all(not event.folder for event in events if isinstance(event, FeaturesPlanned))
    for name, value in weights(kept).items():
        torch.testing.assert_close(value, weights(each_time)[name], rtol=1e-4, atol=1e-5, msg=name)


def test_patience_waits_for_the_second_phase(
    make: Callable[..., tuple[Training, list[Event]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mirada.training.loop.score", lambda found, target: (0.0, 0.0))  # nothing gets better
    training, events = make(thaw="stage3", epochs=8, thaw_after=0.5, patience=1)
    outcome = fit(training)
    assert (outcome.reason, outcome.epochs, outcome.best_epoch) == ("early", 5, 1)
    assert any(isinstance(event, LayersThawed) for event in events)


def test_all_may_be_thawed(make: Callable[..., tuple[Training, list[Event]]]) -> None:
    training, _ = make(thaw="all", epochs=2, thaw_rate=1)
    before = weights(training)
    fit(training)
    assert training.feed.features is None
    after = weights(training)
    moved = {name.partition(".")[0] for name, value in after.items() if not torch.equal(value, before[name])}
    assert moved == {"stem", "stage1", "stage2", "stage3", "head"}


def test_each_part_moves_from_its_own_phase_on(make: Callable[..., tuple[Training, list[Event]]]) -> None:
    """And its batch normalization keeps its statistics, where they are to stay; which of both is said."""
    training, events = make(thaw="progressive,stage2,stage3", epochs=3, thaw_statistics="keep")
    before, moved = weights(training), {}

    def watch(event: Event) -> None:
        events.append(event)
        if isinstance(event, EpochDone):
            after = weights(training)
            moved[event.epoch] = {name for name in after if not torch.equal(after[name], before[name])}

    fit(replace(training, on_event=watch))
    parts = [{name.partition(".")[0] for name in moved[epoch]} for epoch in (1, 2, 3)]
    assert parts == [{"head"}, {"head", "stage3"}, {"head", "stage3", "stage2"}]
    assert not any("running" in name for name in moved[3])
    assert [event.text for event in events if isinstance(event, LayersThawed)] == [
        "from epoch 2 on: stage3 learns at 0.1 × the learning rate; its batch normalization keeps the statistics that "
        "it has.",
        "from epoch 3 on: stage2 learns at 0.01 × the learning rate; its batch normalization keeps the statistics that "
        "it has.",
    ]
    assert [event.place for event in events if isinstance(event, FeaturesPlanned)] == [
        "stage3", "stage2", "stage1",
    ]  # fmt: skip


def test_stage_rate_falls_from_the_head_to_the_stem() -> None:
    """By hand: a plain step of SGD moves each part by its factor times what it moves without."""
    factors = {"stem": 0.5**4, "stage1": 0.5**3, "stage2": 0.5**2, "stage3": 0.5, "head": 1.0}
    recipe = Recipe(model="resnet20").with_settings({"optimizer": "sgd", "stage_rate": 0.5})
    torch.manual_seed(0)
    network = create_model("resnet20", num_classes=2)
    assert stage_factors(network, recipe) == factors
    assert stage_factors(network, replace(recipe, stage_rate=1.0)) == {}
    said = "head 1 ×, stage3 0.5 ×, stage2 0.25 ×, stage1 0.125 ×, stem 0.0625 × the learning rate"
    assert rates_told(network, recipe) == [f"stage_rate: {said}."]
    assert rates_told(network, replace(recipe, stage_rate=1.0)) == []
    some = create_model("resnet20", num_classes=2)
    freeze(some, ("stem", "stage2"))
    assert rates_told(some, recipe) == [
        "stage_rate: head 1 ×, stage3 0.5 ×, stage1 0.125 × the learning rate."
    ]
    optimizer = Optimizer(network, Sgd(momentum=0.0, weight_decay=0.0), 0.0, factors)
    before = {name: value.clone() for name, value in network.named_parameters()}
    network(torch.randn(4, 3, 16, 16)).square().mean().backward()
    optimizer.step(0.1)
    for name, value in network.named_parameters():
        expected = before[name] - 0.1 * factors[name.partition(".")[0]] * value.grad
        torch.testing.assert_close(value.detach(), expected, rtol=1e-6, atol=1e-8)
    with pytest.raises(RecipeError, match="`stage_rate` and `thaw` do not go together"):
        stage_factors(network, replace(recipe, thaw=("stage3",)))
