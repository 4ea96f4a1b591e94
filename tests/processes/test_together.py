"""Two processes on one machine, by gloo: what they say to each other, and that they train as one does."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))
from launching import start

from mirada.data.examples.shapes import write_shapes
from mirada.errors import InvalidArgument
from mirada.processes.ranks import ALONE, expected, here, joined

WORKER = Path(__file__).parent / "worker.py"
CASES = (
    "lenet5",
    "adam",
    "augmented",
    "mixup",
    "cutmix",
    "balanced",
    "average",
    "slices",
    "uneven",
    "resnet20",
    "joint",
)
TOLERANCE = 2e-6  # of a weight, beside the largest of its tensor: sums of float32 in another order
Told = dict[str, Tensor]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int, int], Told]:
    """What a process of so many has written down of a case: all cases are trained once, by one and by two."""
    root = tmp_path_factory.mktemp("together")
    write_shapes(root / "shapes", count=60, size=32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIRADA_CACHE", str(root / "cache"))
        for size in (1, 2):
            processes = start(size, WORKER, root / "shapes", root, "exchange", *CASES)
            assert [each.wait(300) for each in processes] == [0] * size
    return lambda case, size, rank: load_file(root / f"{case}-{size}-{rank}.safetensors")


def test_words(told: Callable[[str, int, int], Told]) -> None:
    for rank in range(2):
        said = told("exchange", 2, rank)
        assert said["sum"].tolist() == [[3, 3]] * 3 and said["count"].tolist() == [1]
        assert said["same"].tolist() == [0, 1, 2, 3]
        assert said["gathered"].tolist() == [[0, 0, 0]] * 2
        assert said["any"].tolist() == [True, False]
        assert bytes(said["told"].tolist()).decode() == "año 0" and said["empty"].tolist() == [0]
        assert not said["compiler"].any()  # as of one process: no second of importing PyTorch's compiler


@pytest.mark.parametrize("case", CASES)
def test_two_processes_train_as_one(case: str, told: Callable[[str, int, int], Told]) -> None:
    """The same steps, losses, weights and predictions, but for the order in which float32 adds up.

    Batch normalization sees half of the batch in each process, so there only the beginning is the same.
    """
    one, first, second = told(case, 1, 0), told(case, 2, 0), told(case, 2, 1)
    assert torch.equal(first["losses"], second["losses"]) and torch.equal(first["raw"], second["raw"])
    for name in one:
        if name.startswith("weights."):
            assert torch.equal(first[name], second[name]), name  # the very same bits in both
    assert torch.equal(first["seen"][:, 1:], one["seen"][:, 1:])
    assert torch.equal(first["seen"][:, 0] + second["seen"][:, 0], one["seen"][:, 0])
    if case == "resnet20":
        assert first["losses"][0] != one["losses"][0]
        return
    if case == "joint":  # whose step is that of one process; normalization then makes much of the last bits
        torch.testing.assert_close(first["losses"][:3], one["losses"][:3], rtol=3e-6, atol=0)
        for name in ("weights.stem.norm.running_mean", "weights.stem.norm.running_var"):
            torch.testing.assert_close(first[name], one[name], rtol=1e-4, atol=1e-4)
        return
    torch.testing.assert_close(first["losses"], one["losses"], rtol=1e-5, atol=0)
    tolerance = TOLERANCE if case != "adam" else 1e-4  # which divides small gradients by small ones
    for name, value in one.items():
        if name.startswith("weights.") and value.is_floating_point():
            assert float((first[name] - value).abs().max()) <= tolerance * float(value.abs().max()), name
    torch.testing.assert_close(first["raw"], one["raw"], rtol=1e-4, atol=1e-4)


def test_a_batch_too_small_for_all(told: Callable[[str, int, int], Told]) -> None:
    """Of 3 images the second process has none: with fewer than two, batch normalization could not train."""
    assert told("uneven", 2, 0)["seen"][1].tolist() == [3, 3, 1]
    assert told("uneven", 2, 1)["seen"][1].tolist() == [0, 3, 1]


def test_alone_nothing_is_asked() -> None:
    with joined() as ranks:
        assert ranks is ALONE and here() is ALONE and ranks.first
        assert ranks.any(True) and not ranks.any(False) and ranks.told("x") == "x"
        assert ranks.share(7) == slice(0, 7)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"RANK": "0"}, "WORLD_SIZE is not there"),
        ({"RANK": "0", "WORLD_SIZE": "2"}, "MASTER_ADDR is not there"),
        ({"RANK": "a", "WORLD_SIZE": "2", "MASTER_ADDR": "a", "MASTER_PORT": "1"}, "they are no numbers"),
    ],
)
def test_half_of_torchruns_variables(variables: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidArgument, match=said):
        expected(variables)


def test_how_many_are_expected() -> None:
    all_there = {"RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "a", "MASTER_PORT": "1"}
    assert expected({}) == 1 and expected({"RANK": "0", "WORLD_SIZE": "1"}) == 1 and expected(all_there) == 4
