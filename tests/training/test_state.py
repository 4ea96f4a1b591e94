"""The state of training: by name, there and back, and going on from it gives the same weights."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from mirada.compute import Compute
from mirada.errors import CheckpointError
from mirada.models import create_model
from mirada.samples import Classes
from mirada.training.freezing import freeze
from mirada.training.loss import make_loss
from mirada.training.optimizer import Optimizer
from mirada.training.state import Best, TrainState
from mirada.training.step import Batch, slices, train_step
from mirada.training.stepping import Adam, NotesMomentum, Rmsprop, RmspropTF, Sgd, Stepping

CPU = Compute(torch.device("cpu"), "float32")
LOSS = make_loss("cross_entropy", Classes(("a", "b", "c")), outputs=3)


def state_of(stepping: Stepping, seed: int = 0) -> TrainState:
    """Of a network with batch normalization, whose statistics are part of it."""
    torch.manual_seed(seed)
    network = create_model("resnet20", num_classes=3).train()
    return TrainState(network=network, optimizer=Optimizer(network, stepping))


def batch(number: int, count: int = 4) -> Batch:
    random = torch.Generator().manual_seed(number)
    images = torch.randn(count, 3, 32, 32, generator=random)
    return Batch(images, torch.arange(count) % 3, None, seed=number)


def steps(state: TrainState, numbers: range) -> None:
    for number in numbers:
        train_step(state, batch(number), 0.01, loss=LOSS, compute=CPU)


def copied(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in tensors.items()}


EVERY = [
    Adam(),
    Sgd(),
    NotesMomentum(),
    NotesMomentum(as_printed=True),
    Rmsprop(momentum=0.5),
    RmspropTF(momentum=0.5),
]


@pytest.mark.parametrize("stepping", EVERY, ids=lambda each: each.kind)
def test_going_on_from_a_file_is_going_on(stepping: Stepping, tmp_path: Path) -> None:
    whole = state_of(stepping)
    steps(whole, range(3))
    whole.epoch, whole.best = 7, Best(5, (0.75, -0.25))
    whole.plateaus, whole.lowered = 2, 6
    whole.micro_batch = 3  # halved where memory ran out: it goes on so
    save_file({name: value.contiguous() for name, value in whole.tensors().items()}, tmp_path / "state")
    steps(whole, range(3, 5))
    other = state_of(stepping, seed=1)
    other.restore(load_file(tmp_path / "state"))
    assert (other.epoch, other.step, other.best) == (7, 3, Best(5, (0.75, -0.25)))
    assert (other.plateaus, other.lowered, other.micro_batch) == (2, 6, 3)
    steps(other, range(3, 5))
    for name, value in whole.tensors().items():
        assert torch.equal(value, other.tensors()[name]), name


def test_names_say_what_they_are() -> None:
    state = state_of(Adam())
    own = state.network.state_dict()
    assert {name for name in state.tensors() if name.startswith("network.")} == {
        f"network.{name}" for name in own
    }
    moments = {name.removeprefix("optimizer.") for name in state.tensors() if name.startswith("optimizer.")}
    expected = {
        f"{name}.{moment}"
        for name, _ in state.network.named_parameters()
        for moment in ("mean", "square", "count")
    }
    assert moments == expected
    freeze(state.network, ("stem",))
    frozen = TrainState(network=state.network, optimizer=Optimizer(state.network, Adam()))
    assert not any(name.startswith("optimizer.stem.") for name in frozen.tensors())
    assert state.judged is state.network


def test_another_state_changes_nothing() -> None:
    state, other = state_of(Adam()), state_of(Sgd(), seed=1)
    before = copied(state.tensors())
    with pytest.raises(
        CheckpointError, match=r"^The state is that of another network or optimizer: optimizer\."
    ):
        state.restore(other.tensors())
    wrong = copied(state_of(Adam(), seed=1).tensors())
    wrong["network.head.linear.bias"] = torch.zeros(4)
    with pytest.raises(CheckpointError, match=r"head\.linear\.bias has the shape \(4,\) and not \(3,\)\.$"):
        state.restore(wrong)
    for name, value in state.tensors().items():
        assert torch.equal(value, before[name]), name


# Slices ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "size", "lengths"),
    [
        (8, 0, [8]), (8, 8, [8]), (8, 9, [8]), (8, 4, [4, 4]), (8, 3, [3, 3, 2]), (7, 3, [3, 4]), (4, 3, [4]),
        (2, 1, [1, 1]), (1, 0, [1]), (1, 3, [1]), (3, 2, [3]),
    ],
)  # fmt: skip
def test_no_slice_of_one_that_nobody_asked_for(count: int, size: int, lengths: list[int]) -> None:
    """Batch normalization cannot train on one image: the last one joins the slice before it."""
    found = list(slices(count, size))
    assert [part.stop - part.start for part in found] == lengths
    assert [row for part in found for row in range(part.start, part.stop)] == list(range(count))


def test_a_step_counts_and_says_the_loss() -> None:
    state = state_of(Sgd(momentum=0.0))
    twin = create_model("resnet20", num_classes=3).train()
    twin.load_state_dict(state.network.state_dict())
    shown = batch(0)
    expected = torch.nn.functional.cross_entropy(twin(shown.images), shown.targets)
    found = train_step(state, shown, 0.1, loss=LOSS, compute=CPU)
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    assert state.step == 1 and state.epoch == 0
