"""The norms of gradients: those of plain PyTorch, kept by epoch, and nothing that is learnt changes."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mirada.cli import run
from mirada.errors import DataError
from mirada.inference.model import load_model
from mirada.runs.folder import RunFolder
from mirada.runs.reader import read_gradients
from mirada.training.watch import GradientNorms

OPTIONS = ["--model", "lenet5", "--epochs", "2", "--batch-size", "8", "--image-size", "32", "--device", "cpu"]


@pytest.fixture(scope="module")
def photos(
    tmp_path_factory: pytest.TempPathFactory, module_cache: None, write_noise: Callable[..., None]
) -> Path:
    """40 images of noise in two classes, one brighter than the other."""
    root = tmp_path_factory.mktemp("data") / "photos"
    write_noise(root, 20)
    return root


def test_a_norm_is_the_mean_over_steps_of_what_pytorch_computes() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 36, 3))
    watch, expected = GradientNorms(network), []
    for _ in range(3):
        network.zero_grad()
        network(torch.randn(4, 1, 8, 8)).square().mean().backward()
        watch.see()
        expected.append([np.sqrt((network[layer].weight.grad.numpy() ** 2).sum()) for layer in (0, 3)])
    found = watch.take()
    assert list(found) == ["0", "3"]
    assert list(found.values()) == pytest.approx(np.mean(expected, axis=0), rel=1e-6)
    network[0].weight.grad = None  # a layer that does not learn
    watch.see()
    assert list(watch.take()) == ["3"] and watch.take() == {}


def test_a_run_keeps_them_by_epoch_and_learns_the_same(photos: Path, tmp_path: Path) -> None:
    assert run(["train", str(photos), *OPTIONS, "--output", str(tmp_path / "plain")]) == 0
    watched = [*OPTIONS, "--set", "watch=gradients", "--output", str(tmp_path / "watched")]
    assert run(["train", str(photos), *watched]) == 0
    one, other = (load_model(tmp_path / name).network.state_dict() for name in ("plain", "watched"))
    assert all(torch.equal(value, other[key]) for key, value in one.items())
    assert not (tmp_path / "plain/gradients.csv").exists()
    layers = [name.removesuffix(".weight") for name, value in other.items() if value.dim() > 1]
    with (tmp_path / "watched/gradients.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["epoch"], row["layer"]) for row in rows] == [
        (epoch, each) for epoch in "12" for each in layers
    ]
    assert all(float(row["norm"]) > 0 for row in rows)
    page = (tmp_path / "watched/report.html").read_text()
    assert "Gradients by layer" in page and f"epoch 2, {layers[0]} (1 of {len(layers)} layers)" in page
    assert "Gradients by layer" not in (tmp_path / "plain/report.html").read_text()


def test_an_epoch_that_is_trained_again_takes_the_place_of_its_rows(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    for epoch, norm in ((1, 1.0), (2, 2.0), (3, 3.0), (2, 5.0)):
        folder.watched(epoch, {"a": norm, "c": 2 * norm})
    assert read_gradients(tmp_path / "run/gradients.csv") == {
        1: {"a": 1.0, "c": 2.0},
        2: {"a": 5.0, "c": 10.0},
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("epoch,layer\n1,a\n", "the column norm is missing"),
        ("epoch,layer,norm\n1,a,much\n", "row 1 should have a number"),
        ("epoch,layer,norm\n1.5,a,2\n", "row 1 has no epoch number"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "gradients.csv"
    file.write_text(text)
    with pytest.raises(DataError, match=told):
        read_gradients(file)


def test_other_words_are_refused(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", str(photos), *OPTIONS, "--set", "watch=weights"]) == 2
    assert "watch" in capsys.readouterr().err
