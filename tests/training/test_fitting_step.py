"""A step that does not fit into memory is taken in slices, and is the same step."""

import pytest
import torch
from torch import Tensor, nn

from mirada.compute import choose
from mirada.errors import TrainingError
from mirada.events import Event, SlicesHalved
from mirada.models import create_model
from mirada.samples import Classes
from mirada.training.loss import make_loss
from mirada.training.optimizer import Optimizer
from mirada.training.state import TrainState
from mirada.training.step import Batch, fitting_step, train_step
from mirada.training.stepping import Sgd

CPU = choose("cpu", "float32")
CLASSES = Classes(("a", "b", "c"))


def made(model: str, micro_batch: int = 0) -> TrainState:
    torch.manual_seed(0)
    size = {"image_size": 32} if model == "lenet5" else {}
    network = create_model(model, num_classes=3, **size)
    state = TrainState(
        network=network, optimizer=Optimizer(network, Sgd(momentum=0.9)), micro_batch=micro_batch
    )
    network.train()
    return state


def batch_of(state: TrainState, count: int = 12) -> Batch:
    generator = torch.Generator().manual_seed(1)
    channels = next(state.network.parameters()).shape[1]
    images = torch.randn(count, channels, 32, 32, generator=generator)
    return Batch(images, torch.randint(3, (count,), generator=generator), None, 5)


def room_for(network: nn.Module, most: int) -> list[int]:
    """From now on the network runs out of memory with more than so many images; what came is noted."""
    seen: list[int] = []

    def hook(module: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
        seen.append(len(arguments[0]))
        if len(arguments[0]) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")

    list(network.children())[-1].register_forward_hook(hook)  # the last part: those before have run already
    return seen


def same(one: nn.Module, other: nn.Module) -> None:
    for key, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[key]), key


@pytest.mark.parametrize(
    ("model", "most", "size"), [("lenet5", 3, 3), ("lenet5", 5, 3), ("lenet5", 1, 1), ("resnet20", 3, 3)]
)
def test_the_step_is_that_in_slices_of_the_size_that_fits(model: str, most: int, size: int) -> None:
    """Bit by bit that of ``micro_batch`` said from the start: weights, moments, running statistics."""
    loss = make_loss("cross_entropy", CLASSES, outputs=3)
    short, said = made(model), made(model, size)
    seen, events = room_for(short.network, most), list[Event]()
    batch = batch_of(short)
    for _ in range(2):
        one = fitting_step(short, batch, 0.1, loss=loss, compute=CPU, on_event=events.append)
        other = train_step(said, batch, 0.1, loss=loss, compute=CPU, micro_batch=size)
        assert torch.equal(one, other)
    same(short.network, said.network)
    assert short.micro_batch == size and max(seen[-12 // size :]) <= most
    halved = [event for event in events if isinstance(event, SlicesHalved)]
    assert [event.after for event in halved][-1] == size and halved[0].before == 12
    assert f"micro_batch={halved[0].after}" in halved[0].text
    assert ("batch normalization" in halved[0].text) == (model == "resnet20")


@pytest.mark.parametrize(("model", "least"), [("lenet5", 1), ("resnet20", 2)])
def test_where_nothing_fits_one_sentence_says_so(model: str, least: int) -> None:
    state = made(model)
    room_for(state.network, 0)
    before = {key: value.clone() for key, value in state.network.state_dict().items() if "weight" in key}
    loss = make_loss("cross_entropy", CLASSES, outputs=3)
    with pytest.raises(TrainingError, match=f"even for {least} image.* at a time. Take smaller images"):
        fitting_step(state, batch_of(state), 0.1, loss=loss, compute=CPU)
    assert all(torch.equal(value, state.network.state_dict()[key]) for key, value in before.items())
