"""Averages of weights against PyTorch's, and a run in which the averaged network is the one that is judged and kept."""

import signal
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

import mirada
from mirada.compute import Compute
from mirada.data.examples.shapes import write_shapes
from mirada.errors import RecipeError
from mirada.events import EpochDone, Event, HowToRead, LayersThawed
from mirada.jobs.memory import Room
from mirada.layers.network import Network
from mirada.modelfile import Architecture, load_network
from mirada.models import create_model
from mirada.runs.folder import LAST
from mirada.runs.reader import read_run
from mirada.samples import Classes
from mirada.training.averaged import AveragedNetwork
from mirada.training.averages import Ema, LastWeights, Polyak, epochs_before
from mirada.training.freezing import freeze
from mirada.training.loss import make_loss
from mirada.training.optimizer import Optimizer
from mirada.training.recipe import Recipe
from mirada.training.state import TrainState
from mirada.training.step import Batch, train_step
from mirada.training.stepping import Sgd

CPU = Compute(torch.device("cpu"), "float32")
LOSS = make_loss("cross_entropy", Classes(("a", "b", "c")), outputs=3)


def state_of(
    averaging: Ema | Polyak, first: int = 0, seed: int = 0, freezing: tuple[str, ...] = ()
) -> TrainState:
    torch.manual_seed(seed)
    network = create_model("resnet20", num_classes=3)
    frozen = freeze(network, freezing)
    return TrainState(
        network=network,
        optimizer=Optimizer(network, Sgd(momentum=0.9)),
        average=AveragedNetwork(network, averaging, first),
        frozen=frozen,
    )


def stepped(state: TrainState, number: int) -> None:
    random = torch.Generator().manual_seed(number)
    images = torch.randn(4, 3, 32, 32, generator=random)
    state.learn()
    train_step(state, Batch(images, torch.arange(4) % 3, None, seed=number), 0.05, loss=LOSS, compute=CPU)


def by_the_formula(decay: float) -> Any:
    """W̄ ← W̄ + (1 − d)(W − W̄) with d = min(decay, (1 + n) / (10 + n)), as torch's class takes it."""

    def averaged(mean: Tensor, value: Tensor, count: Tensor | int) -> Tensor:
        d = min(decay, (1 + int(count)) / (10 + int(count)))
        return mean + (1 - d) * (value - mean)

    return averaged


@pytest.mark.parametrize("first", [0, 2])
@pytest.mark.parametrize("averaging", [Ema(decay=0.25), Ema(decay=0.999), Polyak()], ids=str)
def test_the_average_is_that_of_torchs_class(averaging: Ema | Polyak, first: int) -> None:
    state = state_of(averaging, first)
    how = by_the_formula(averaging.decay) if isinstance(averaging, Ema) else None
    theirs = AveragedModel(state.network, avg_fn=how, use_buffers=True)
    for number in range(1, 7):
        stepped(state, number)
        if number <= first:
            assert state.judged is state.network
            continue
        theirs.update_parameters(state.network)
        assert isinstance(state.judged, Network) and state.judged is not state.network
        for name, value in state.judged.state_dict().items():
            expected = theirs.module.state_dict()[name]
            if value.is_floating_point():
                torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-7)
            else:
                assert value == number  # a counter goes on as it does in the network that learns


def test_the_network_that_learns_learns_as_without_an_average() -> None:
    with_average, without = state_of(Ema()), state_of(Ema())
    without.average = None
    for number in range(3):
        stepped(with_average, number)
        stepped(without, number)
    assert without.judged is without.network
    for name, value in without.network.state_dict().items():
        assert torch.equal(with_average.network.state_dict()[name], value), name


def test_frozen_parts_are_the_same_to_the_last_bit_until_they_thaw() -> None:
    state = state_of(Ema(decay=0.9), freezing=("stem", "stage1"))
    for number in range(3):
        stepped(state, number)
    for name, value in state.judged.state_dict().items():
        same = torch.equal(value, state.network.state_dict()[name])
        frozen = name.startswith(("stem.", "stage1."))
        assert same == (frozen or not value.is_floating_point()), name
    for parameter in state.network.stage1.parameters():  # type: ignore[union-attr]
        parameter.requires_grad_(True)
    state.frozen = freeze(state.network, ("stem",))
    state.optimizer.include(state.network, {})
    stepped(state, 3)
    own, theirs = state.judged.state_dict(), state.network.state_dict()
    assert all(torch.equal(own[name], theirs[name]) for name in own if name.startswith("stem."))
    assert not all(torch.equal(own[name], theirs[name]) for name in own if name.startswith("stage1."))


def test_a_state_with_an_average_goes_on_from_its_tensors() -> None:
    whole = state_of(Polyak(), first=1)
    for number in range(3):
        stepped(whole, number)
    other = state_of(Polyak(), first=1, seed=1)
    other.restore({name: value.clone() for name, value in whole.tensors().items()})
    for state in (whole, other):
        stepped(state, 3)
    assert any(name.startswith("average.") for name in whole.tensors())
    for name, value in whole.tensors().items():
        assert torch.equal(value, other.tensors()[name]), name


def test_the_epochs_before() -> None:
    starts = {start: epochs_before(Polyak(start=start), 10) for start in (0.0, 0.25, 0.5, 0.99)}
    assert starts == {0.0: 0, 0.25: 2, 0.5: 5, 0.99: 9}
    assert epochs_before(Polyak(start=0.9), 1) == 0 and epochs_before(LastWeights(), 10) == 10


def test_settings() -> None:
    recipe = Recipe().with_settings({"average": "ema", "average.decay": 0.9})
    assert recipe.average == Ema(decay=0.9) and recipe.with_settings({"average": "none"}) == Recipe()
    assert Recipe().with_settings(recipe.to_dict()) == recipe
    with pytest.raises(
        RecipeError, match=r'^settings: none takes no `decay`. Leave it out, or choose average = "ema"'
    ):
        Recipe().with_settings({"average.decay": 0.9})
    with pytest.raises(RecipeError, match=r"`decay` must be a number from 0 to below 1. Got 1.0"):
        Recipe().with_settings({"average": {"kind": "ema", "decay": 1.0}})
    with pytest.raises(RecipeError, match=r'`average` cannot be "swa"'):
        Recipe().with_settings({"average": "swa"})


def test_an_average_takes_memory_of_its_own() -> None:
    plan = Architecture(model="lenet5", outputs=2, in_channels=1, image_size=(32, 32))
    rooms = [Room(plan, Recipe().with_settings({"average": kind}), CPU, 10) for kind in ("none", "ema")]
    assert rooms[1]._moments == rooms[0]._moments + 1


# A run ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "shapes"
    write_shapes(root, count=60, size=32)
    return root


def run(shapes: Path, output: Path, **settings: Any) -> tuple[mirada.Run, list[Event]]:
    events: list[Event] = []
    known = {"epochs": 3, "image_size": 32, "batch_size": 16, "device": "cpu", "precision": "float32"}
    done = mirada.train(
        shapes, model="resnet20", output=output, on_event=events.append, **{**known, **settings}
    )
    return done, events


@pytest.mark.usefixtures("module_cache")
def test_the_averaged_network_is_validated_and_kept(shapes: Path, tmp_path: Path) -> None:
    plain, silent = run(shapes, tmp_path / "plain")
    again, events = run(shapes, tmp_path / "ema", average="ema", **{"average.decay": 0.5})
    assert not any(isinstance(event, HowToRead) for event in silent)
    (said,) = [event.text for event in events if isinstance(event, HowToRead)]
    assert said.startswith("From epoch 1 on, what is validated and kept has averaged weights")
    assert said in read_run(again.folder).beginnings and said in unescape(
        again.report_path.read_text(encoding="utf-8")
    )
    last, card = load_network(plain.folder / LAST)
    averaged, _ = load_network(again.folder / LAST)
    assert card.recipe["average"] == {"kind": "none"}
    different = [
        name
        for name, value in last.state_dict().items()
        if not torch.equal(value, averaged.state_dict()[name])
    ]
    assert any("running_mean" in name for name in different) and "head.linear.weight" in different
    losses = [[row["train_loss"] for row in read_run(done.folder).epochs] for done in (plain, again)]
    assert losses[0] == losses[1]  # what learns is the same
    found = [[row["val_loss"] for row in read_run(done.folder).epochs] for done in (plain, again)]
    assert found[0] != found[1]


@pytest.mark.usefixtures("module_cache")
def test_what_is_kept_and_thawed_is_averaged_as_what_is_not(shapes: Path, tmp_path: Path) -> None:
    """Kept features, a second phase, and patience that waits until there is an average."""
    settings: dict[str, Any] = {
        "thaw": "stage3",
        "thaw_after": 0.5,
        "epochs": 4,
        "average": "polyak",
        "patience": 1,
    }
    once, events = run(shapes, tmp_path / "once", **settings)
    again, _ = run(shapes, tmp_path / "again", **settings)
    assert any(isinstance(event, LayersThawed) for event in events)
    assert len(read_run(once.folder).epochs) >= 3
    one, other = (load_network(done.model_path)[0].state_dict() for done in (once, again))
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


@pytest.mark.usefixtures("module_cache")
def test_an_interrupted_run_leaves_the_average(shapes: Path, tmp_path: Path) -> None:
    """Of all steps until then; going on until the end of the epoch would leave the same as a run of one epoch."""

    def press(event: Event) -> None:
        if isinstance(event, EpochDone):
            signal.raise_signal(signal.SIGINT)

    settings = {
        "model": "resnet20",
        "image_size": 32,
        "batch_size": 16,
        "device": "cpu",
        "precision": "float32",
    }
    stopped = mirada.train(
        shapes, output=tmp_path / "stopped", on_event=press, epochs=5, average="polyak",
        schedule="constant", warmup=0, **{**settings, "average.start": 0.0},
    )  # fmt: skip
    whole = mirada.train(
        shapes, output=tmp_path / "whole", epochs=1, average="polyak",
        schedule="constant", warmup=0, **{**settings, "average.start": 0.0},
    )  # fmt: skip
    assert stopped.outcome.reason == "interrupted" and stopped.outcome.epochs == 1
    one, other = (load_network(run.folder / LAST)[0].state_dict() for run in (stopped, whole))
    for name, value in one.items():
        assert torch.equal(value, other[name]), name
