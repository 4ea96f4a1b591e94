"""Top-model surgery on tiny data: what is kept, what is drawn, what it cost, and that the result is a run like any."""

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import mirada
from mirada.cli import run as command_line
from mirada.data.cache import open_cache
from mirada.data.examples.hands import write_ages
from mirada.data.examples.shapes import write_shapes
from mirada.errors import InvalidArgument, RecipeError
from mirada.evaluation.paired import Difference, same_images
from mirada.inference.model import load_model
from mirada.jobs import surgery
from mirada.jobs import train as job
from mirada.jobs.surgery import MapGrid, Surgery, SurgeryRecord, to_cam
from mirada.jobs.train import Run, train
from mirada.modelfile import load_card, load_network
from mirada.runs.listing import state_of
from mirada.training import loop
from mirada.training.validation import validate

pytestmark = pytest.mark.usefixtures("module_cache")
QUICK: dict[str, Any] = {"batch_size": 16, "device": "cpu", "precision": "float32"}
SHORT = {**QUICK, "epochs": 2}


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "shapes"
    write_shapes(root, count=80, size=32)
    return root


@pytest.fixture(scope="module")
def trained(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(
        shapes,
        model="lenet5",
        epochs=3,
        image_size=32,
        output=tmp_path_factory.mktemp("runs") / "before",
        **QUICK,
    )


@pytest.fixture(scope="module")
def cut(shapes: Path, trained: Run, tmp_path_factory: pytest.TempPathFactory) -> Surgery:
    """With the trained stages as they were, so that they can be compared."""
    output = tmp_path_factory.mktemp("runs") / "cut"
    return to_cam(
        trained.folder, shapes, width=8, output=output, settings={**QUICK, "epochs": 2, "freeze": ["all"]}
    )


def test_the_trained_stages_keep_their_weights(trained: Run, cut: Surgery) -> None:
    before, after = (load_network(run.model_path).network.state_dict() for run in (trained, cut.run))
    kept = [name for name in before if name.startswith(("stem.", "stage1."))]
    assert len(kept) == 4
    assert all(torch.equal(before[name], after[name]) for name in kept)
    assert after["stage2.cam.weight"].shape == (8, 16, 3, 3)
    assert after["head.linear.weight"].shape == (4, 8)


def test_the_result_is_an_ordinary_model_that_is_explained_exactly(shapes: Path, cut: Surgery) -> None:
    model = load_model(cut.run.folder)
    assert model.card.architecture.options == {"head": "cam", "cam_after": "stage1", "cam_width": 8}
    image = next(shapes.rglob("test/*/*.png"))
    (seen,) = model.explain([str(image)])
    assert seen.method.key == "exact"
    assert seen.map.shape == (10, 10)
    assert seen.completeness_error is not None and seen.completeness_error < 1e-5
    assert cut.run.report_path.exists()
    assert (
        "Top-model surgery of model.safetensors: lenet5 is cut behind stage1"
        in cut.run.report_path.read_text()
    )


def test_what_it_cost_is_counted_on_the_same_test_images(shapes: Path, trained: Run, cut: Surgery) -> None:
    """By hand: the answers of both models for the images of the test folder."""
    test = sorted(str(path) for path in (shapes / "test").rglob("*.png"))
    true = np.array([Path(path).parent.name for path in test])
    right = []
    for run in (trained, cut.run):
        table = load_model(run.model_path).predict(test)
        right.append(np.array(table.classes)[table.predicted] == true)
    (cost,) = cut.record.cost
    assert (cost.n, cut.record.split, cut.record.taught) == (len(test), "test", 0)
    assert cost.first == pytest.approx(right[0].mean())
    assert cost.second == pytest.approx(right[1].mean())


def test_the_maps_before_and_now(cut: Surgery) -> None:
    assert (cut.record.before.method, cut.record.before.size) == ("Grad-CAM", (5, 5))
    assert cut.record.now is not None and cut.record.now.size == (10, 10)
    assert cut.record.now.completeness_error is not None and cut.record.now.completeness_error < 1e-5
    written = json.loads((cut.run.folder / "surgery.json").read_text())
    assert (written["network"], written["after"], written["now"]["size"]) == ("lenet5", "stage1", [10, 10])


def test_the_splits_are_those_of_the_training(shapes: Path, trained: Run, cut: Surgery) -> None:
    """Also where the data come without any: the model knows its images by content."""
    assert (trained.folder / "splits.csv").read_text() == (cut.run.folder / "splits.csv").read_text()
    began = load_card(cut.run.model_path).began_with
    assert began is not None and began.file == "model.safetensors"


def test_sentences_of_a_cost_by_hand() -> None:
    cost = Difference(
        name="mae", unit="months", n=60, first=34.93, second=50.11, difference=15.18, low=-1.5, high=20.23,
        p_value=0.012, test="sign flips", only_first=40, only_second=20, luck=None, called="cannot tell", reason="",
    )  # fmt: skip
    grid = MapGrid(method="Grad-CAM", size=(5, 4), completeness_error=None)
    record = SurgeryRecord(
        model="m",
        network="lenet5",
        after="stage1",
        width=8,
        grid=(10, 8),
        before=grid,
        split="test",
        cost=(cost,),
        taught=3,
    )
    first, second = (line.replace("\u00a0", " ") for line in record.sentences)
    assert first == (
        "Mean absolute error on 60 test images: 34.9 months before, 50.1 months now, +15.2 months "
        "(95 % interval −1.5 to +20.2, p = 0.012, sign flips)."
    )
    assert second == "3 of these images had taught the model before the surgery, so its figure is too good."


def test_test_images_stay_test_images_wherever_they_lie(trained: Run, tmp_path: Path, shapes: Path) -> None:
    """All images in one folder per class: those that taught the model teach the cut one, the others test it."""
    for image in shapes.rglob("t*/*/*.png"):
        target = tmp_path / "flat" / image.parent.name
        target.mkdir(parents=True, exist_ok=True)
        (target / f"{image.parts[-3]}-{image.name}").write_bytes(image.read_bytes())
    done = to_cam(trained.folder, tmp_path / "flat", width=4, output=tmp_path / "run", settings=SHORT)
    assert done.run.predictions is not None
    test = done.run.predictions.of_split("test")
    assert len(test) > 0 and all(Path(path).name.startswith("test-") for path in test.paths)
    assert done.record.taught == 0


def test_numbers_cost_an_error_in_their_unit(tmp_path: Path) -> None:
    write_ages(tmp_path / "ages", count=60, size=48)
    before = train(
        tmp_path / "ages" / "ages.csv",
        model="simplecnn",
        epochs=2,
        image_size=32,
        output=tmp_path / "before",
        **QUICK,
    )
    done = to_cam(before.folder, tmp_path / "ages" / "ages.csv", output=tmp_path / "run", settings=SHORT)
    (cost,) = done.record.cost
    assert (cost.name, cost.unit) == ("mae", "months")
    assert before.evaluations["test"].metrics[0].name == "mae"
    assert cost.first == pytest.approx(before.evaluations["test"].metrics[0].value)
    assert cost.second == pytest.approx(done.run.evaluations["test"].metrics[0].value)
    assert done.record.width == 128  # four times the 32 maps


def test_what_cannot_be_cut_is_refused(shapes: Path, trained: Run, cut: Surgery, tmp_path: Path) -> None:
    with pytest.raises(
        InvalidArgument, match=r"^The maps of lenet5 are exact already, on 10 × 10\. No stage has"
    ):
        to_cam(cut.run.folder, shapes, output=tmp_path / "run")
    with pytest.raises(
        InvalidArgument, match=r'^lenet5 has no stage "stage9" with places\. Did you mean "stage1"'
    ):
        to_cam(trained.folder, shapes, after="stage9", output=tmp_path / "run")
    with pytest.raises(RecipeError, match=r"^`head` is decided by the surgery\. Leave it out\.$"):
        to_cam(trained.folder, shapes, output=tmp_path / "run", settings={"head": "dense"})
    plain = train(shapes, model="mlp", epochs=1, image_size=32, output=tmp_path / "mlp", **QUICK)
    with pytest.raises(
        InvalidArgument, match=r"^mlp keeps no places of the image, so there is nothing to cut\."
    ):
        to_cam(plain.folder, shapes, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_exact_maps_get_finer_by_an_earlier_cut(shapes: Path, tmp_path: Path) -> None:
    before = train(shapes, model="resnet20", epochs=1, image_size=32, output=tmp_path / "before", **QUICK)
    with pytest.raises(
        InvalidArgument, match=r"exact already, on 8 × 8\. .*: stage1 \(32 × 32\), stage2 \(16 × 16\)\.$"
    ):
        to_cam(before.folder, shapes, output=tmp_path / "run")
    done = to_cam(before.folder, shapes, after="stage2", width=8, output=tmp_path / "run", settings=SHORT)
    assert done.record.now is not None
    assert (done.record.before.size, done.record.now.size) == ((8, 8), (16, 16))


def test_an_ensemble_is_cut_one_by_one(shapes: Path, tmp_path: Path) -> None:
    folds = mirada.cross_validate(
        shapes / "train", folds=2, model="lenet5", epochs=1, image_size=32, output=tmp_path / "folds", **QUICK
    )
    with pytest.raises(InvalidArgument, match=r"holds 2 networks, and one is cut at a time"):
        to_cam(folds.folder, shapes)


def test_the_verb_says_what_it_cost(
    shapes: Path, trained: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["surgery", str(trained.folder), str(shapes), "--epochs", "2", "--width", "4", "--device", "cpu"]
    assert command_line([*words, "--set", "batch_size=16", "--output", str(tmp_path / "run")]) == 0
    *_, cost, maps, report = capsys.readouterr().out.strip().split("\n")
    assert cost.startswith("Accuracy on 16 test images: ") and " before, " in cost and " now, " in cost
    assert maps.startswith(
        "Maps: Grad-CAM, 5 × 5 before; class activation map (exact), 10 × 10 now; they add up to the output within "
    )
    assert report == str(tmp_path / "run" / "report.html")
    assert (
        command_line(
            ["explain", str(tmp_path / "run"), str(shapes / "test"), "--output", str(tmp_path / "m")]
        )
        == 0
    )
    with Image.open(next((tmp_path / "m").glob("*.png"))) as picture:
        assert picture.size[0] > 32


def test_stopped_and_killed_it_goes_on_to_the_same_end(
    shapes: Path,
    trained: Run,
    cut: Surgery,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Stopped in its first epoch, killed before any image was decoded, and killed before the two were compared."""
    folder, early, late = tmp_path / "cut", tmp_path / "early", tmp_path / "late"

    def killed(index: Any, *arguments: Any, **named: Any) -> Any:
        shutil.copytree(folder, early)
        return open_cache(index, *arguments, **named)

    def pressed(*arguments: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return validate(*arguments)

    options = ["--width", "8", "--epochs", "2", "--device", "cpu", "--output", str(folder)]
    for text in ("freeze=all", "batch_size=16", "precision=float32"):
        options += ["--set", text]
    with monkeypatch.context() as patch:
        patch.setattr(job, "open_cache", killed)
        patch.setattr(loop, "validate", pressed)
        assert command_line(["surgery", str(trained.folder), str(shapes), *options]) == 75
    assert capsys.readouterr().err.endswith(f"Go on with: mirada train --resume {folder}\n")
    assert state_of(folder).state == "interrupted" and state_of(early).state == "killed"
    assert not (folder / "surgery.json").exists()

    def compared(*arguments: Any, **named: Any) -> Any:
        shutil.copytree(folder, late)
        return same_images(*arguments, **named)

    monkeypatch.setattr(surgery, "same_images", compared)
    assert command_line(["train", "--resume", str(folder)]) == 0
    monkeypatch.undo()
    assert state_of(late).resumable and (late / "digests.json").exists()
    for path in (early, late):
        assert command_line(["train", "--resume", str(path)]) == 0
    for path in (folder, early, late):
        assert state_of(path).state == "finished"
        for name in ("digests.json", "surgery.json", "splits.csv"):
            assert (path / name).read_text() == (cut.run.folder / name).read_text(), (path, name)
        notes = json.loads((path / "data.json").read_text())["notes"]
        assert [notes.count(each) for each in cut.record.sentences] == [1, 1]
        assert cut.record.sentences[1] in (path / "report.html").read_text()
