"""Cross-validation on tiny data: every image tested once, by a network that had not seen it, and judged together."""

import csv
import json
import shutil
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, mean_absolute_error

from mirada import cross_validate, load_data, load_model, suspect_labels, train
from mirada.data.examples.hands import write_ages
from mirada.data.examples.shapes import write_shapes
from mirada.errors import CheckpointError, DataError, InvalidArgument, RecipeError, TrainingError
from mirada.evaluation.predictions import Predictions
from mirada.events import EpochDone, Evaluated, Event, FoldStarted
from mirada.jobs.folds import Folds, _parts
from mirada.jobs.gallery import _sections
from mirada.jobs.suspects import suspects_of
from mirada.pages import write_report
from mirada.runs.listing import list_runs
from mirada.runs.reader import RunContents, read_run
from mirada.samples import Classes
from mirada.training import loop
from mirada.training.recipe import recipe_for

pytestmark = pytest.mark.usefixtures("module_cache")
QUICK: dict[str, Any] = {
    "model": "lenet5",
    "epochs": 1,
    "image_size": 32,
    "batch_size": 16,
    "device": "cpu",
    "precision": "float32",
}


@pytest.fixture(scope="module")
def ages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_ages(root, count=30, size=48)
    return root / "ages.csv"


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of its images cannot be read."""
    root = tmp_path_factory.mktemp("data")
    write_shapes(root, count=40, size=32)
    next((root / "train").rglob("*.png")).write_bytes(b"not an image")
    return root / "train"


@pytest.fixture(scope="module")
def of_ages(ages: Path, tmp_path_factory: pytest.TempPathFactory) -> Folds:
    index = load_data(ages, target="age (months)", group="patient", covariates="male")
    return cross_validate(index, folds=3, output=tmp_path_factory.mktemp("runs") / "folds", **QUICK)


def table(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_every_image_is_tested_once_and_by_a_network_that_had_not_seen_it(of_ages: Folds) -> None:
    tested: Counter[str] = Counter()
    for run in of_ages.runs:
        rows = table(run.folder / "splits.csv")
        groups = {
            split: {row["group"] for row in rows if row["split"] == split}
            for split in ("train", "val", "test")
        }
        assert not groups["test"] & (groups["train"] | groups["val"]) and groups["val"]
        tested.update(row["path"] for row in rows if row["split"] == "test")
    assert len(tested) == 30 and set(tested.values()) == {1}


def test_all_are_judged_together(of_ages: Folds) -> None:
    pooled = Predictions.from_csv(of_ages.folder / "predictions.csv", unit="months")
    own = [Predictions.from_csv(run.folder / "predictions.csv").of_split("test") for run in of_ages.runs]
    assert pooled.paths == tuple(path for each in own for path in each.paths)
    np.testing.assert_array_equal(pooled.outputs, np.concatenate([each.outputs for each in own]))
    np.testing.assert_array_equal(pooled.covariates, np.concatenate([each.covariates for each in own]))
    assert pooled.groups == tuple(group for each in own for group in each.groups)
    assert of_ages.evaluation and of_ages.evaluation.n == 30
    mae = next(metric for metric in of_ages.evaluation.metrics if metric.key == "mae")
    assert mae.value == pytest.approx(mean_absolute_error(pooled.targets, pooled.outputs[:, 0]))
    assert mae.unit == "months" and mae.low is not None and mae.low < mae.value


def test_the_spread_is_that_of_networks_that_were_not_trained_on_an_image(of_ages: Folds) -> None:
    """Those that the image tested, or helped to choose the epoch of."""
    own = [Predictions.from_csv(run.folder / "predictions.csv") for run in of_ages.runs]
    pooled = Predictions.from_csv(of_ages.folder / "predictions.csv")
    assert "spread" in pooled.columns
    for path, spread in zip(pooled.paths, pooled.spreads[:, 0], strict=True):
        said = [each.outputs[each.paths.index(path), 0] for each in own if path in each.paths]
        assert np.isnan(spread) if len(said) == 1 else spread == pytest.approx(np.std(said, ddof=1))
    assert 0 < np.isfinite(pooled.spreads).sum() < len(pooled)


def test_the_mean_of_the_folds_has_intervals_by_what_they_had_not_seen(of_ages: Folds) -> None:
    pooled = Predictions.from_csv(of_ages.folder / "predictions.csv", unit="months")
    sizes = np.sort(abs(pooled.outputs - pooled.values)[:, 0])
    learnt = load_model(of_ages.ensemble_path, device="cpu").card.conformal
    assert learnt and learnt.n == 30 and learnt.half_widths == (sizes[int(np.ceil(31 * 0.9)) - 1],)
    report = of_ages.report_path.read_text(encoding="utf-8")
    assert "Its answers have intervals: ±" in report
    folds = read_run(of_ages.folder)
    assert folds.intervals == learnt


def test_a_full_disk_at_the_end_leaves_the_report(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise CheckpointError("ensemble.safetensors: cannot be written (No space left on device).")

    monkeypatch.setattr("mirada.jobs.folds.save_ensemble", full)
    with pytest.raises(CheckpointError, match="No space left"):
        cross_validate(shapes, folds=2, output=tmp_path / "run", **QUICK)
    report = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "fold-2/report.html" in report and "ensemble.safetensors" not in report


def test_the_report_has_every_fold(of_ages: Folds) -> None:
    page = of_ages.report_path.read_text(encoding="utf-8")
    assert "on 30 test images of 3 folds" in page and "Cross-validation" in page
    for run in of_ages.runs:
        assert f'href="{run.folder.name}/report.html"' in page and run.report_path.exists()
    command = json.loads((of_ages.folder / "environment.json").read_text())["command"]
    assert command.endswith("--folds 3") and "--group patient" in command


def test_suspect_labels_are_ranked_from_what_had_not_seen_them(of_ages: Folds) -> None:
    rows = table(of_ages.folder / "suspects.csv")
    assert {row["path"] for row in rows} == {row["path"] for row in table(of_ages.folder / "predictions.csv")}
    pooled = Predictions.from_csv(of_ages.folder / "predictions.csv", unit="months")
    assert of_ages.suspects and of_ages.suspects.ranked == suspect_labels(pooled).ranked
    assert 'href="suspects.html"' in of_ages.report_path.read_text(encoding="utf-8")
    page = of_ages.folder / "suspects.html"
    before = page.read_bytes()
    assert b"cross-validation with 3 folds" in before
    page.unlink()
    assert suspects_of(of_ages.folder) and page.read_bytes() == before
    assert suspects_of(of_ages.runs[0].folder) is None  # of one run, whose network has learnt its labels


def test_the_folds_show_images_of_each_and_what_the_first_was_shown(of_ages: Folds) -> None:
    run = read_run(of_ages.folder)
    assert run.maps and run.sheet
    for section in ("wrong", "typical"):
        own = [item for item in run.maps if item.section == section]
        assert Counter(item.image.partition("/")[0] for item in own) == {f"fold-{k}": 2 for k in (1, 2, 3)}
    assert all((of_ages.folder / name).is_file() for item in run.maps for name in (item.image, item.overlay))
    ages = {row["path"]: float(row["target"]) for row in table(of_ages.runs[0].folder / "splits.csv")}
    assert {float(label.partition(" ")[0]) for label in run.sheet.labels} <= {
        float(f"{age:.4g}") for age in ages.values()
    }
    html = (of_ages.folder / "report.html").read_text()
    assert html.count('class="pair"') == 12 and 'id="images"' in html


def test_the_surest_are_shown_class_by_class() -> None:
    """Without turns the six surest of these would all be of one class."""
    n = 30
    targets = np.repeat([0, 1, 2], 10)
    outputs = np.full((n, 3), 0.0)
    sure = np.repeat([0.99, 0.9, 0.8], 10) - np.arange(n) / 1e4
    outputs[:] = ((1 - sure) / 2)[:, None]
    outputs[np.arange(n), targets] = sure
    found = Predictions(
        paths=tuple(f"{row}.png" for row in range(n)),
        splits=("test",) * n,
        target=Classes(("a", "b", "c")),
        targets=targets,
        outputs=outputs,
    )
    assert [row for section, row in _sections(found) if section == "typical"] == [0, 10, 20, 1, 11, 21]


def test_a_fold_can_be_made_again(of_ages: Folds, ages: Path, tmp_path: Path) -> None:
    first = of_ages.runs[1]
    options = {"target": "age (months)", "group": "patient", "covariates": "male"}
    index = load_data(ages, **options, split=first.folder / "splits.csv")  # type: ignore[arg-type]
    again = train(index, output=tmp_path / "again", **QUICK)
    assert (again.folder / "predictions.csv").read_bytes() == (first.folder / "predictions.csv").read_bytes()
    command = json.loads((first.folder / "environment.json").read_text())["command"]
    assert f"--split {first.folder / 'splits.csv'}" in command


def test_classes_and_a_file_that_cannot_be_read(shapes: Path, tmp_path: Path) -> None:
    heard: list[Event] = []
    done = cross_validate(shapes, folds=2, output=tmp_path / "folds", on_event=heard.append, **QUICK)
    rows = table(done.folder / "predictions.csv")
    images = len(list(shapes.rglob("*.png")))
    assert len(rows) == images - 1 and done.evaluation and done.evaluation.n == images - 1
    truth, said = ([row[key] for row in rows] for key in ("target", "predicted"))
    assert done.evaluation.metrics[0].value == pytest.approx(accuracy_score(truth, said))
    assert [event.fold for event in heard if isinstance(event, FoldStarted)] == [1, 2]
    assert isinstance(heard[-1], Evaluated) and heard[-1].n == images - 1
    data = json.loads((done.folder / "data.json").read_text())
    assert sum(data["counts"]["test"].values()) == images - 1 and len(data["excluded"]) == 1
    assert "accuracy" in done.report_path.read_text(encoding="utf-8")


def test_interrupted_in_the_second_fold(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    validate = loop.validate
    heard: list[Event] = []

    def press(*arguments: Any) -> Any:
        if FoldStarted(2, 3) in heard:
            signal.raise_signal(signal.SIGINT)
        return validate(*arguments)

    monkeypatch.setattr(loop, "validate", press)
    done = cross_validate(
        shapes, folds=3, output=tmp_path / "folds", on_event=heard.append, **QUICK | {"epochs": 2}
    )
    assert len(done.runs) == 2 and done.missing == ("fold-2", "fold-3") and not done.complete
    assert done.runs[0].evaluations and done.runs[1].outcome.reason == "interrupted"
    judged = done.runs[0].evaluations["test"].n
    assert done.evaluation and done.evaluation.n == judged and done.suspects is None
    assert not done.ensemble_path.exists() and suspects_of(done.folder) is None
    page = done.report_path.read_text(encoding="utf-8")
    assert f"on {judged} test images of 1 of the 3 folds" in page
    images = len(list(shapes.rglob("*.png"))) - 1
    assert (
        "Training was interrupted after 1 of 3 folds. Not finished are fold-2, fold-3, so "
        f"{images - judged} images of {images} are not judged." in page
    )
    assert 'href="fold-1/report.html"' in page and "samples.jpg) is not" not in page
    own = done.runs[1].report_path.read_text(encoding="utf-8")
    assert "Training was interrupted after" in own and "of 2 epochs" in own
    (state,) = list_runs(tmp_path)
    assert state.state == "interrupted"


def test_a_fold_that_fails(shapes: Path, tmp_path: Path) -> None:
    """The page of all says which, why, and how the others did."""
    heard: list[Event] = []

    def disturb(event: Event) -> None:
        heard.append(event)
        if isinstance(event, EpochDone) and FoldStarted(2, 3) in heard:
            raise TrainingError("The loss is no longer a number.")

    with pytest.raises(TrainingError, match="no longer a number"):
        cross_validate(shapes, folds=3, output=tmp_path / "folds", on_event=disturb, **QUICK)
    page = (tmp_path / "folds" / "report.html").read_text(encoding="utf-8")
    assert "Training ended after 1 of 3 folds: The loss is no longer a number." in page
    assert "Not finished are fold-2, fold-3." in page and 'href="fold-1/report.html"' in page
    (state,) = list_runs(tmp_path)
    assert state.state == "failed"


def test_killed_between_epochs(shapes: Path, tmp_path: Path) -> None:
    """Nothing can be written any more: what is there was written when the fold began, also for ``mirada report``."""
    folder, copy = tmp_path / "folds", tmp_path / "killed"
    heard: list[Event] = []

    def keep(event: Event) -> None:
        heard.append(event)
        if isinstance(event, EpochDone) and FoldStarted(2, 2) in heard and not copy.exists():
            shutil.copytree(folder, copy)

    cross_validate(shapes, folds=2, output=folder, on_event=keep, **QUICK | {"epochs": 2})
    page = (copy / "report.html").read_text(encoding="utf-8")
    said = "The run was killed after 1 of 2 folds, or is still running: its end is not recorded."
    assert said in page and "Not finished is fold-2." in page
    assert 'href="fold-1/report.html"' in page and 'id="sheet"' in page
    assert said in write_report(copy).read_text(encoding="utf-8")
    assert "The run was killed after 1 of 2 epochs, or is still running" in write_report(
        copy / "fold-2"
    ).read_text(encoding="utf-8")
    (state,) = (each for each in list_runs(tmp_path) if each.path == copy)
    assert state.state == "killed"


def test_folds_know_from_the_start_what_they_are(of_ages: Folds, shapes: Path, tmp_path: Path) -> None:
    """Whoever reads the folder of folds while they train finds data, network and command."""
    found: list[RunContents] = []
    pages: list[str] = []

    def hear(event: Event) -> None:
        if isinstance(event, EpochDone) and not found:
            found.append(read_run(tmp_path / "folds"))
            pages.append(write_report(tmp_path / "folds").read_text(encoding="utf-8"))

    cross_validate(shapes, folds=2, output=tmp_path / "folds", on_event=hear, **QUICK)
    (begun,) = found
    assert begun.network.name == "lenet5" and begun.data.numeric is False and begun.data.folds == ()
    assert begun.begun == FoldStarted(1, 2) and begun.missing == ("fold-1", "fold-2")
    assert begun.environment.command.endswith("--folds 2") and begun.environment.seconds is None
    assert "1 of 2 folds begun, not judged together" in pages[0] and "each run has a report in" in pages[0]
    done = read_run(tmp_path / "folds")
    assert done.missing == ()
    assert [fold.folder for fold in done.data.folds] == ["fold-1", "fold-2"] and done.environment.seconds
    assert done.data.counts == begun.data.counts
    states = {state.path.name: state.state for state in list_runs(tmp_path)}
    assert states == {"folds": "finished"}


def test_each_fold_has_a_temperature_of_its_own(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page of all folds says which, and what the probabilities were before them."""
    fitted = iter((1.25, 0.8))
    monkeypatch.setattr("mirada.inference.model.fit_temperature", lambda *_, **__: next(fitted))
    done = cross_validate(shapes, folds=2, output=tmp_path / "folds", **QUICK)
    assert done.evaluation and done.evaluation.calibration
    assert done.evaluation.calibration.temperatures == (1.25, 0.8)
    before = done.evaluation.calibration.before
    assert before and before.log_loss != done.evaluation.calibration.after.log_loss
    page = done.report_path.read_text(encoding="utf-8")
    assert "Each fold’s outputs are divided by its own temperature (1.25, 0.800), fitted on" in page
    assert "no temperature was applied" not in page


def test_folds_that_cannot_begin_leave_nothing(shapes: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="too small"):
        cross_validate(shapes, folds=2, output=tmp_path / "folds", **QUICK | {"image_size": 8})
    assert not (tmp_path / "folds").exists()


@pytest.mark.parametrize("folds", [1, 0, -2])
def test_fewer_than_two_folds(shapes: Path, tmp_path: Path, folds: int) -> None:
    with pytest.raises(InvalidArgument, match=f"at least 2. Got {folds}"):
        cross_validate(shapes, folds=folds, output=tmp_path / "folds", **QUICK)
    assert not (tmp_path / "folds").exists()


def test_too_few_for_so_many_folds(shapes: Path, ages: Path, tmp_path: Path) -> None:
    """Before anything is trained."""
    with pytest.raises(DataError, match="32 images are too few for 1000 folds; one would be empty"):
        cross_validate(shapes, folds=1000, output=tmp_path / "folds", **QUICK)
    index = load_data(ages, target="age (months)")
    sites = replace(index, groups=tuple("ABC"[row % 3] for row in range(len(index))))
    with pytest.raises(DataError, match="3 groups are too few for 4 folds"):
        cross_validate(sites, folds=4, output=tmp_path / "folds", **QUICK)
    two = sites.take(np.flatnonzero(np.array(sites.groups) != "C"))
    with pytest.raises(DataError, match=r"^Fold 1 of 2 leaves too little .* belong to one group \("):
        cross_validate(two, folds=2, output=tmp_path / "folds", **QUICK)
    assert not (tmp_path / "folds").exists()


def test_splits_of_its_own(shapes: Path, tmp_path: Path) -> None:
    """A validation split is drawn anew for each fold, so that its images are tested, too; a test split is refused."""
    with pytest.raises(DataError, match="has 8 test images of its own"):
        cross_validate(shapes.parent, folds=2, output=tmp_path / "folds", **QUICK)
    index = load_data(shapes)
    splits = index.splits.copy()
    splits[::3] = "val"
    done = cross_validate(replace(index, splits=splits), folds=2, output=tmp_path / "folds", **QUICK)
    assert done.evaluation and done.evaluation.n == len(index) - 1  # one cannot be read


def test_as_many_folds_as_groups(ages: Path) -> None:
    """Each is a fold, if they are as many; nothing is trained to find that out."""
    index = load_data(ages, target="age (months)")
    index = replace(index, groups=tuple("ABCDE"[row % 5] for row in range(len(index))))
    parts = _parts(index, 5, recipe_for("lenet5"))
    tested = [{part.groups[row] for row in part.rows("test")} for part in parts]
    assert sorted(tested, key=min) == [{"A"}, {"B"}, {"C"}, {"D"}, {"E"}]


def test_weights_that_have_seen_a_later_fold_are_refused_before_the_first(
    of_ages: Folds, ages: Path, tmp_path: Path
) -> None:
    """The network of the first fold has not seen the images of that one, but those of all others."""
    index = load_data(ages, target="age (months)", group="patient", covariates="male")
    heard: list[Event] = []
    start = QUICK | {"weights": str(of_ages.runs[0].model_path)}
    with pytest.raises(
        RecipeError, match=r"^Fold 2 of 3: `weights`: not an honest test: \d+ of the \d+ test"
    ):
        cross_validate(index, folds=3, output=tmp_path / "folds", on_event=heard.append, **start)
    assert not heard and not (tmp_path / "folds").exists()


def test_a_folder_that_exists(shapes: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="exists already"):
        cross_validate(shapes, folds=2, output=tmp_path, **QUICK)
