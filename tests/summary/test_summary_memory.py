"""Bytes: by hand, against autograd's own graph, against files that were written."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from torch import Tensor, nn

from mirada.data.pixels.preprocessing import Preprocessing
from mirada.modelfile import Architecture, Card, save_model
from mirada.models import create_model
from mirada.samples import Classes
from mirada.summary import summarize, trace
from mirada.summary.memory import Living, Memory, file_bytes
from mirada.summary.undrawn import undrawn

# Predicting ------------------------------------------------------------------------------------------------------


def test_the_peak_by_hand() -> None:
    """The image lives as long as its caller wants it: 256 bytes; then 512, 512 and 1,024."""
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Sigmoid(), nn.Conv2d(2, 4, 1))
    memory = summarize(network, (1, 8, 8)).memory
    assert memory.maps == 256 + 512 + 1024
    assert memory.parameters == memory.trainable == 4 * (4 + 12)


def test_views_take_nothing_and_work_in_place_neither() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(128, 1))
    assert summarize(network, (1, 8, 8)).memory.maps == 256 + 512 + 4


class Skip(nn.Module):
    """Holds its input until the end."""

    def forward(self, x: Tensor) -> Tensor:
        return x.exp().exp() + x


def test_a_skip_keeps_its_input_alive() -> None:
    """At its end: the image, what came in, the branch, and the sum of both."""
    assert summarize(nn.Sequential(nn.Sigmoid(), Skip()), (1, 5, 5)).memory.maps == 4 * 100


def test_the_type_of_the_weights_counts() -> None:
    wide, narrow = (
        summarize(nn.Sequential(nn.Conv2d(1, 2, 3, dtype=dtype), nn.Tanh()), (1, 6, 6))
        for dtype in (torch.float64, torch.bfloat16)
    )
    assert wide.memory.maps == 4 * narrow.memory.maps
    assert wide.memory.training_maps == 4 * (narrow.memory.training_maps or 0)
    assert [row.activation_bytes for row in narrow.rows] == [2 * 32, 2 * 32]


# Training --------------------------------------------------------------------------------------------------------


def test_the_peak_of_training_by_hand() -> None:
    """Nothing goes but the first convolution's output, which no one needs again once the sigmoid has been taken."""
    network = nn.Sequential(
        nn.Conv2d(1, 2, 1), nn.Sigmoid(), nn.Conv2d(2, 4, 1), nn.ReLU(inplace=True), nn.Flatten()
    )
    memory = summarize(network, (1, 8, 8)).memory
    assert memory.training_maps == 256 + 512 + 1024
    network.append(
        nn.Linear(256, 64)
    )  # which keeps its input, as the activation keeps its output: the same values
    assert summarize(network, (1, 8, 8)).memory.training_maps == 256 + 512 + 1024 + 256


def graph(output: Tensor) -> list[Tensor]:
    """What the functions of autograd's graph say that they hold, but numbers of the code, which are tensors to them."""
    waiting, met, held = [output.grad_fn], set(), []
    while waiting:
        function = waiting.pop()
        if function is None or function in met:
            continue
        met.add(function)
        for name in dir(function):
            if name.startswith("_saved_"):
                value = getattr(function, name)
                values = value if isinstance(value, tuple) else (value,)
                held += [item for item in values if torch.is_tensor(item) and item.ndim]
        waiting += [following for following, _ in function.next_functions]
    return held


@pytest.mark.parametrize(
    "name", ["mlp", "lenet5", "lenet5_1998", "resnet20", "googlenet", "inception_v3", "densenet121"]
)
def test_what_is_alive_after_the_way_forward_is_what_the_graph_holds(name: str) -> None:
    """Beside the images and the outputs."""
    torch.manual_seed(0)
    side = 75 if name in ("googlenet", "inception_v3", "densenet121") else None
    network = create_model(name, image_size=side, num_classes=10).train()
    images = torch.rand(2, network.in_channels, *network.image_size)
    own = [*network.parameters(), *network.buffers()]
    with Living([images], besides=own) as living:
        outputs = network(images)
    storages = {t.untyped_storage()._cdata: t.untyped_storage() for t in [images, outputs, *graph(outputs)]}
    for tensor in own:
        storages.pop(tensor.untyped_storage()._cdata, None)
    assert living.bytes == sum(storage.nbytes() for storage in storages.values())
    assert living.bytes // 2 <= (summarize(network).memory.training_maps or 0) <= 1.2 * living.bytes / 2


@pytest.mark.parametrize("name", ["lenet5_1998", "resnet20", "inception_v3", "densenet121"])
def test_the_meta_device_takes_as_much_as_the_processor(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """There batch normalization is our own."""
    with undrawn():
        network = create_model(name, image_size=75 if name in ("inception_v3", "densenet121") else None)
    monkeypatch.setattr(trace, "FEW_PIXELS", 10**9)
    here = summarize(network).memory
    monkeypatch.setattr(trace, "FEW_PIXELS", 0)
    assert summarize(network).memory == here


def test_frozen_layers_keep_less() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Sigmoid(), nn.Sigmoid(), nn.Conv2d(2, 1, 1))
    everything = summarize(network, (1, 8, 8)).memory
    network[0].requires_grad_(False)
    part = summarize(network, (1, 8, 8)).memory
    assert (everything.training_maps, part.training_maps) == (256 + 512 + 512 + 256, 256 + 512 + 512)
    assert (part.parameters, part.trainable) == (everything.parameters, 4 * 3)
    network.requires_grad_(False)
    frozen = summarize(network, (1, 8, 8)).memory
    assert frozen.training_maps == frozen.maps


def test_memory_grows_with_the_batch_and_training_counts_each_weight_three_times() -> None:
    memory = Memory(parameters=100, trainable=80, buffers=7, maps=50, training_maps=60, file=0)
    assert memory.predicting(4) == 100 + 7 + 4 * 50
    assert memory.training(4) == 100 + 80 + 80 + 7 + 4 * 60
    assert memory.training(4, moments=2) == 100 + 80 + 2 * 80 + 7 + 4 * 60  # Adam


class OnlyEval(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            raise NotImplementedError
        return x


def test_a_network_that_cannot_train() -> None:
    summary = summarize(OnlyEval(), (3,))
    assert summary.memory.training_maps is None
    assert summary.to_dict()["training_bytes"] is None


# The model file ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "weights",
    [
        {},
        {"a": torch.zeros(3, dtype=torch.float16), "é": torch.zeros(2, 2, dtype=torch.int64), "b": torch.zeros(())},
        {str(dtype): torch.zeros(n, dtype=dtype) for n, dtype in enumerate([
            torch.uint8, torch.bfloat16, torch.bool, torch.float64, torch.int32, torch.float32, torch.int8,
        ])},
    ],
)  # fmt: skip
def test_the_size_of_a_file_of_weights(weights: dict[str, Tensor]) -> None:
    assert file_bytes(weights) == len(save(weights))


@pytest.mark.parametrize("name", ["lenet5", "resnet20", "googlenet_bn", "densenet121"])
def test_the_size_of_a_networks_weights(name: str) -> None:
    with undrawn("cpu"):
        network = create_model(name)
    assert summarize(network).memory.file == len(save(dict(network.state_dict())))


def test_a_model_file_takes_a_description_more(tmp_path: Path) -> None:
    network = create_model("resnet20", num_classes=2)
    card = Card(
        architecture=Architecture(model="resnet20", outputs=2, in_channels=3, image_size=(32, 32)),
        target=Classes(("cat", "dog")),
        preprocessing=Preprocessing(mode="RGB", size=(32, 32)),
    )
    save_model(tmp_path / "model.safetensors", network, card)
    written = (tmp_path / "model.safetensors").stat().st_size
    assert 0 < written - summarize(network).memory.file < 0.01 * written


# Without values ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["lenet5_1998", "resnet18", "inception_v4", "bonet_simple"])
def test_an_undrawn_network_has_the_same_summary(name: str) -> None:
    with undrawn():
        meta = create_model(name)
    with undrawn("cpu"):
        zeros = create_model(name)
    assert all(parameter.is_meta for parameter in meta.parameters())
    first = next(zeros.parameters())
    assert not first.is_meta
    assert not first.any()
    torch.manual_seed(1)
    state = torch.get_rng_state()
    with undrawn("cpu"):
        create_model("lenet5")
    assert torch.equal(torch.get_rng_state(), state)
    assert str(summarize(meta)) == str(summarize(zeros)) == str(summarize(create_model(name)))
