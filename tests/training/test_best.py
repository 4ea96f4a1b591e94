"""The best model is in its file at the end, and not written more often than it is worth."""

from pathlib import Path

import pytest
import torch

from mirada.data.pixels.preprocessing import Preprocessing
from mirada.modelfile import Architecture, Card, load_network
from mirada.samples import Classes
from mirada.training import best as module
from mirada.training.best import keeping_best

CARD = Card(
    architecture=Architecture(model="resnet20", outputs=2, in_channels=1, image_size=(16, 16)),
    target=Classes(("a", "b")),
    preprocessing=Preprocessing(mode="L", size=(16, 16), mean=(0.5,), std=(0.5,)),
)


def changed(network: torch.nn.Module, value: float) -> None:
    with torch.no_grad():
        network.head.linear.bias.fill_(value)


def failed(why: str) -> None:
    raise AssertionError(why)


def kept(file: Path) -> float:
    return float(load_network(file)[0].head.linear.bias[0].detach())


def test_the_last_best_one_is_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    network, file = CARD.architecture.build(), tmp_path / "model.safetensors"
    with keeping_best(file, CARD, failed) as best:
        assert not file.exists()
        seen = []
        for seconds, value in ((0, 1.0), (1, 2.0), (3, 3.0), (6, 4.0), (7, 5.0)):
            clock[0] = 100.0 + seconds
            changed(network, value)
            best.take(network)
            seen.append(kept(file))
        assert seen == [1.0, 1.0, 1.0, 4.0, 4.0]
        changed(network, 6.0)  # an epoch that is no better
        before = {name: value.clone() for name, value in network.state_dict().items()}
    assert kept(file) == 5.0
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_also_where_training_fails(tmp_path: Path) -> None:
    network, file = CARD.architecture.build(), tmp_path / "model.safetensors"
    with pytest.raises(KeyboardInterrupt), keeping_best(file, CARD, failed) as best:
        for value in (1.0, 2.0):
            changed(network, value)
            best.take(network)
        changed(network, float("nan"))
        raise KeyboardInterrupt
    assert kept(file) == 2.0
