"""Several seeds: the same split, runs that ``train`` would make, and how much of a figure is luck."""

import csv
import json
import re
import shutil
from dataclasses import replace
from math import sqrt
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest
import torch

from mirada import train, train_seeds
from mirada.cli import run
from mirada.data.examples.shapes import write_shapes
from mirada.errors import DataError, InvalidArgument
from mirada.evaluation.evaluate import Measured
from mirada.evaluation.seeds import STUDENT, seed_spreads
from mirada.events import EpochDone, Event, SeedStarted
from mirada.jobs.seeds import Seeds
from mirada.modelfile import load_network
from mirada.pages import write_report
from mirada.runs.listing import list_runs

pytestmark = pytest.mark.usefixtures("module_cache")
QUICK: dict[str, Any] = {
    "model": "lenet5", "epochs": 1, "image_size": 32, "batch_size": 16, "device": "cpu", "precision": "float32",
}  # fmt: skip


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "shapes"
    write_shapes(root, count=60, size=32)
    return root / "train"


@pytest.fixture(scope="module")
def several(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Seeds:
    return train_seeds(shapes, seeds=3, output=tmp_path_factory.mktemp("runs") / "seeds", **QUICK)


def splits(folder: Path) -> dict[str, str]:
    with (folder / "splits.csv").open(newline="", encoding="utf-8") as stream:
        return {row["path"]: row["split"] for row in csv.DictReader(stream)}


def test_the_same_split_and_other_weights(several: Seeds) -> None:
    assert [run.folder.name for run in several.runs] == ["seed-0", "seed-1", "seed-2"]
    first, *others = (splits(run.folder) for run in several.runs)
    assert all(other == first for other in others) and set(first.values()) == {"train", "val", "test"}
    weights = [load_network(run.model_path).network.state_dict() for run in several.runs]
    assert not any(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert [run.predictions.paths for run in several.runs if run.predictions] == [
        several.runs[0].predictions.paths if several.runs[0].predictions else ()
    ] * 3


def test_the_first_run_is_the_one_that_train_makes(several: Seeds, shapes: Path, tmp_path: Path) -> None:
    alone = train(shapes, output=tmp_path / "run", **QUICK)
    before = load_network(alone.model_path).network.state_dict()
    after = load_network(several.runs[0].model_path).network.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert (alone.folder / "predictions.csv").read_bytes() == (
        several.runs[0].folder / "predictions.csv"
    ).read_bytes()


def test_the_spread_is_that_of_the_runs(several: Seeds) -> None:
    values = [run.evaluations["test"].metrics[0].value for run in several.runs]
    (accuracy,) = (each for each in several.spreads if each.name == "accuracy")
    found = [value for value in values if value is not None]
    assert accuracy.seeds == 3 and accuracy.mean == pytest.approx(mean(found))
    assert accuracy.deviation == pytest.approx(stdev(found))
    assert (accuracy.least, accuracy.most) == (min(found), max(found))
    assert accuracy.luck == pytest.approx(4.303 * sqrt(2) * stdev(found))


def test_the_page_and_the_listing(several: Seeds) -> None:
    page = several.report_path.read_text(encoding="utf-8").replace("\xa0", " ")
    n = several.runs[0].evaluations["test"].n
    assert "3 runs on the same split, which differ in their seed alone" in page
    assert "is no improvement" in page and f"over 3 seeds on {n} test images" in page
    for one in several.runs:
        assert f'href="{one.folder.name}/report.html"' in page
    assert "evaluation.json is not in" not in page
    before = several.report_path.read_bytes()
    assert write_report(several.folder).read_bytes() == before
    (state,) = (each for each in list_runs(several.folder.parent) if each.path == several.folder)
    assert state.state == "finished" and state.judged and state.judged.n == n
    assert state.by_seed == tuple(run.evaluations["test"].metrics[0].value for run in several.runs)
    command = json.loads((several.folder / "environment.json").read_text())["command"]
    assert command.endswith("--seeds 3")


def test_what_holds_of_some_of_the_seeds_is_said_of_all(several: Seeds, tmp_path: Path) -> None:
    """How many have learnt nothing, and that the test was no honest one: on the page, and in each table."""
    copy = tmp_path / "seeds"
    shutil.copytree(several.folder, copy)
    events, data = copy / "events.jsonl", copy / "data.json"
    text = re.sub(r'"constant": \d', '"constant": 2', events.read_text(encoding="utf-8"))
    events.write_text(text.replace('"trained_on": 0', '"trained_on": 4'), encoding="utf-8")
    data.write_text(
        data.read_text(encoding="utf-8").replace('"trained_on": 0', '"trained_on": 4'), encoding="utf-8"
    )
    page = write_report(copy).read_text(encoding="utf-8")
    n = several.runs[0].evaluations["test"].n
    marked = f"no honest test: 4 of these {n} images were used in training"
    for said in ("2 of 3 networks always give the same answer: they have learnt nothing", marked):
        assert page.count(said) >= 2  # at the top, and in the paragraph for a paper
    for name, rows in (("members", 3 * len(several.spreads)), ("seeds", len(several.spreads))):
        with (copy / "tables" / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
            remarks = [row["remark"] for row in csv.DictReader(stream)]
        assert set(remarks) == {marked} and len(remarks) >= rows


def test_interrupted(shapes: Path, tmp_path: Path) -> None:
    heard: list[Event] = []

    def press(event: Event) -> None:
        heard.append(event)
        if isinstance(event, EpochDone) and SeedStarted(1, 2, 3) in heard:
            raise KeyboardInterrupt

    done = train_seeds(shapes, seeds=3, output=tmp_path / "seeds", on_event=press, **QUICK)
    assert (tmp_path / "seeds" / "seed-0" / "report.html").exists()
    assert done.spreads == () and done.missing == ("seed-1", "seed-2") and not done.complete
    page = done.report_path.read_text(encoding="utf-8")
    assert "2 of 3 seeds begun, not compared" in page
    assert "Training was interrupted after 1 of 3 seeds. Not finished are seed-1, seed-2." in page
    assert 'href="seed-0/report.html"' in page


def test_interrupted_after_two(shapes: Path, tmp_path: Path) -> None:
    """Two runs can be compared; the third is named."""
    heard: list[Event] = []

    def press(event: Event) -> None:
        heard.append(event)
        if isinstance(event, SeedStarted) and event.number == 3:
            raise KeyboardInterrupt

    done = train_seeds(shapes, seeds=3, output=tmp_path / "seeds", on_event=press, **QUICK)
    assert [each.seeds for each in done.spreads if each.name == "accuracy"] == [2]
    assert done.missing == ("seed-2",)
    page = done.report_path.read_text(encoding="utf-8")
    n = done.runs[0].evaluations["test"].n
    assert f"over 2 seeds on {n} test images" in page
    assert "Training was interrupted after 2 of 3 seeds. Not finished is seed-2." in page
    (state,) = list_runs(tmp_path)
    assert state.state == "interrupted"


@pytest.mark.parametrize("seeds", [1, 0, -1])
def test_fewer_than_two(shapes: Path, tmp_path: Path, seeds: int) -> None:
    with pytest.raises(InvalidArgument, match=f"at least 2. Got {seeds}"):
        train_seeds(shapes, seeds=seeds, output=tmp_path / "seeds", **QUICK)
    assert not (tmp_path / "seeds").exists()


def test_a_folder_that_exists(shapes: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="exists already"):
        train_seeds(shapes, seeds=2, output=tmp_path, **QUICK)


def measured(value: float | None, low: float | None = 0.1, high: float | None = 0.9) -> Measured:
    return Measured("accuracy", value, low, high, "")


def test_what_is_not_defined_in_all_runs_is_left_out() -> None:
    assert seed_spreads([[measured(0.5)], [measured(None)]]) == ()
    (alike,) = seed_spreads([[measured(0.5)], [measured(0.5)]])
    assert alike.deviation == 0 and alike.luck == 0 and alike.interval == (0.1, 0.9)
    (without,) = seed_spreads([[measured(0.5)], [replace(measured(0.6), low=None, high=None)]])
    assert without.interval is None and without.luck == pytest.approx(12.706 * 0.1, rel=1e-3)
    (many,) = seed_spreads([[measured(value / 100)] for value in range(40)])
    assert many.luck == pytest.approx(1.96 * sqrt(2) * many.deviation)


def test_the_quantiles_are_students() -> None:
    from scipy.stats import t  # type: ignore[import-untyped]

    assert pytest.approx(STUDENT, abs=1e-3) == [t.ppf(0.975, df) for df in range(1, 31)]


def test_on_the_command_line(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ["--model", "lenet5", "--epochs", "1", "--image-size", "32", "--device", "cpu"]
    assert run(["train", str(shapes), *options, "--seeds", "2", "--output", "runs/both"]) == 0
    told = "".join(capsys.readouterr())
    assert "a smaller difference is no improvement" in told and "seed 1, 2 of 2" in told
    assert run(["runs"]) == 0
    listed = " ".join(capsys.readouterr().out.split())
    assert "both" in listed and re.search(r"accuracy .* test images, [\d.]+% to [\d.]+% with 2 seeds", listed)
    assert run(["train", str(shapes), *options, "--seeds", "2", "--folds", "2"]) == 2
    assert "do not go together" in capsys.readouterr().err
