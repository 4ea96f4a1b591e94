"""The script that waits for a GPU: what it says where there is none, and that every line of it runs."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mirada.cli.pairs import setting
from mirada.data.examples.shapes import write_shapes
from mirada.training.recipe import recipe_for

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def script(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(BENCHMARKS / "gpu.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU, on which it would measure")
def test_without_a_gpu_it_says_so_in_one_sentence() -> None:
    done = script()
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr.startswith("No CUDA device here, so nothing was measured;")
        and done.stderr.count("\n") == 1
    )


def test_the_settings_for_cifar_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    gpu = importlib.import_module("gpu")
    said = [text for option, text in zip(gpu.CIFAR, gpu.CIFAR[1:], strict=False) if option == "--set"]
    recipe = recipe_for("resnet18").with_settings(dict(map(setting, said)))
    assert (recipe.optimizer.lr, recipe.schedule.kind, recipe.augment.horizontal_flip) == (
        0.2,
        "one_cycle",
        "alternate",
    )


@pytest.mark.slow
def test_every_line_runs_on_a_processor(tmp_path: Path) -> None:
    write_shapes(tmp_path / "shapes", count=40, size=32)
    results = tmp_path / "results.jsonl"
    done = script("--smoke", "--cifar", str(tmp_path / "shapes"), "--results", str(results))
    assert done.returncode == 0, done.stderr
    assert "mirada, as it steps" in done.stdout and "CIFAR-10: " in done.stdout.splitlines()[-1]
    assert not results.exists()
