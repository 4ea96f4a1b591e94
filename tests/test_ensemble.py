"""Several networks in one model file: their mean, how far they are apart, where they look, and what they have seen."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open

from mirada import cross_validate, evaluate, train
from mirada.cli import run
from mirada.compute import choose
from mirada.data.examples.shapes import write_shapes
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.errors import CheckpointError, ContaminationWarning, InvalidArgument
from mirada.evaluation.conformal import Conformal
from mirada.evaluation.predictions import Predictions, spread_columns
from mirada.evaluation.threshold import Threshold
from mirada.inference.ensemble import joint_card
from mirada.inference.model import Model, load_model
from mirada.inference.similar import load_training_features, predict_with_similar
from mirada.inference.trained_on import remembered
from mirada.jobs.folds import Folds
from mirada.modelfile import (
    Architecture,
    Card,
    Member,
    Together,
    load_card,
    load_members,
    load_network,
    save_ensemble,
    save_model,
)
from mirada.models import joining
from mirada.models.digest import with_digest
from mirada.samples import Classes, Covariate, Numbers, Scaling

pytestmark = pytest.mark.usefixtures("module_cache")
QUICK: dict[str, Any] = {
    "model": "lenet5", "epochs": 1, "image_size": 32, "batch_size": 16, "device": "cpu", "precision": "float32",
}  # fmt: skip
NET = Architecture(
    model="resnet20", options={"head": "average"}, outputs=3, in_channels=3, image_size=(32, 32)
)
PIXELS = Preprocessing(size=(32, 32), mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25))
CARD = Card(architecture=NET, target=Classes(("ash", "birch", "cedar")), preprocessing=PIXELS)


def write_ensemble(
    file: Path,
    members: Sequence[Member],
    conformal: Conformal | None = None,
    threshold: Threshold | None = None,
) -> None:
    """An ensemble of networks that are not in files yet."""
    with TemporaryDirectory() as folder:
        sources = [Path(folder) / str(place) for place in range(len(members))]
        for source, each in zip(sources, members, strict=True):
            save_model(source, *each)
        save_ensemble(file, sources, Together(conformal, threshold))


def member(seed: int, card: Card = CARD) -> Member:
    """Random weights."""
    torch.manual_seed(seed)
    return Member(card.architecture.build().eval(), card)


def classes() -> list[Member]:
    """Each with a scale of its own, and a temperature."""
    other = replace(PIXELS, mean=(0.1, 0.2, 0.3), std=(0.5, 0.4, 0.6))
    return [
        member(0),
        member(1, replace(CARD, preprocessing=other, temperature=2.5)),
        member(2, replace(CARD, temperature=0.5)),
    ]


def numbers(names: tuple[str, ...] = ("",)) -> list[Member]:
    """They read the sex beside the image, each by a scaling of its own."""
    made = []
    for seed in range(3):
        card = Card(
            architecture=replace(NET, outputs=len(names), covariates=1),
            target=Numbers(names, "cm"),
            preprocessing=PIXELS,
            target_scaling=Scaling((100.0 + seed,) * len(names), (20.0 * (1 + seed),) * len(names)),
            covariates=(Covariate("sex", "M", "F"),),
            covariate_scaling=Scaling((0.5 + seed / 10,), (0.4,)),
        )
        made.append(member(seed, card))
    return made


@pytest.fixture(scope="module")
def photos() -> list[np.ndarray]:
    draw = np.random.default_rng(0)
    return [draw.integers(0, 256, (40, 50, 3)).astype(np.uint8) for _ in range(5)]


def opened(members: Sequence[Member], folder: Path) -> tuple[Model, list[Model]]:
    """The ensemble, and each of its networks alone, all from files."""
    write_ensemble(folder / "ensemble.safetensors", members)
    alone = []
    for place, (network, card) in enumerate(members):
        save_model(folder / f"{place}.safetensors", network, card)
        alone.append(load_model(folder / f"{place}.safetensors", device="cpu"))
    return load_model(folder / "ensemble.safetensors", device="cpu"), alone


def test_classes_are_the_mean_of_calibrated_probabilities(photos: list[np.ndarray], tmp_path: Path) -> None:
    ensemble, alone = opened(classes(), tmp_path)
    each = np.stack([model.predict(photos).outputs for model in alone])
    found = ensemble.predict(photos)
    np.testing.assert_allclose(found.outputs, each.mean(axis=0), rtol=1e-12)
    best = found.outputs.argmax(axis=1)
    spread = each[:, np.arange(len(photos)), best].std(axis=0, ddof=1)
    np.testing.assert_allclose(found.spreads[:, 0], spread, rtol=1e-9)
    assert found.spreads.min() > 0 and ensemble.card.temperature == 1
    assert "spread" not in alone[0].predict(photos).columns


@pytest.mark.parametrize("names", [("",), ("height", "width")])
def test_numbers_are_the_mean_in_their_unit(
    photos: list[np.ndarray], tmp_path: Path, names: tuple[str, ...]
) -> None:
    ensemble, alone = opened(numbers(names), tmp_path)
    each = np.stack([model.predict(photos, known={"sex": "M"}).outputs for model in alone])
    found = ensemble.predict(photos, known={"sex": "M"})
    np.testing.assert_allclose(found.outputs, each.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.spreads, each.std(axis=0, ddof=1), rtol=1e-9)
    columns = ("spread",) if len(names) == 1 else ("spread:height", "spread:width")
    assert spread_columns(found) == columns and set(columns) <= set(found.columns)
    found.to_csv(tmp_path / "p.csv")
    back = Predictions.from_csv(tmp_path / "p.csv", unit="cm")
    np.testing.assert_array_equal(back.spreads, found.spreads)
    np.testing.assert_array_equal(back.outputs, found.outputs)
    assert found.to_json()[0][columns[0]] == found.spreads[0, 0]


def test_spreads_of_classes_are_written_and_read(photos: list[np.ndarray], tmp_path: Path) -> None:
    ensemble, _ = opened(classes(), tmp_path)
    found = ensemble.predict([*photos, b"no image"])
    found.to_csv(tmp_path / "p.csv")
    back = Predictions.from_csv(tmp_path / "p.csv")
    np.testing.assert_array_equal(back.spreads, found.spreads)
    assert back.failed == found.failed and spread_columns(back) == ("spread",)
    assert spread_columns(found.take([])) == () and len(found.take([1, 0]).spreads) == 2


def test_an_ensemble_without_images(tmp_path: Path) -> None:
    ensemble, _ = opened(classes(), tmp_path)
    found = ensemble.predict([b"no image"])
    assert len(found) == 0 and len(found.failed) == 1 and spread_columns(found) == ()


def test_exact_maps_add_up_to_the_mean_of_the_logits(photos: list[np.ndarray], tmp_path: Path) -> None:
    """The mean of a map is the mean output less the mean of what has no place."""
    ensemble, alone = opened(classes(), tmp_path)
    answers = ensemble.predict(photos)
    shown = list(ensemble.explain(photos))
    for row, seen in enumerate(shown):
        name = answers.classes[answers.predicted[row]]
        assert seen.subject == f"evidence for {name}" and seen.title.endswith("(exact), mean of 3 networks")
        maps = [next(model.explain([photos[row]], target=name)).map for model in alone]
        np.testing.assert_allclose(seen.map, np.mean(maps, axis=0), rtol=1e-4, atol=1e-5)
        assert seen.completeness_error is not None and seen.completeness_error < 1e-4
        assert seen.unit == "logits"


def test_maps_of_numbers_add_up_in_their_unit(photos: list[np.ndarray], tmp_path: Path) -> None:
    ensemble, alone = opened(numbers(), tmp_path)
    known = {"sex": "F"}
    seen = next(ensemble.explain(photos, known=known))
    maps = [next(model.explain(photos, known=known)).map for model in alone]
    np.testing.assert_allclose(seen.map, np.mean(maps, axis=0), rtol=1e-4, atol=1e-5)
    value = ensemble.predict(photos, known=known).outputs[0, 0]
    parts = []
    for (network, card), own in zip(load_members(tmp_path / "ensemble.safetensors"), maps, strict=True):
        alone_value = value_of(network, card, photos[0])
        parts.append(alone_value - float(own.mean()))  # what has no place
    assert seen.map.mean() + np.mean(parts) == pytest.approx(value, rel=1e-5)
    assert seen.answer == f"{value:.4g} cm" and seen.unit == "cm"


def value_of(network: Any, card: Card, photo: np.ndarray) -> float:
    model = Model(network, card, choose("cpu", "float32"))
    return float(model.predict([photo], known={"sex": "F"}).outputs[0, 0])


def test_the_file_holds_each_with_its_card(tmp_path: Path) -> None:
    made = classes()
    write_ensemble(tmp_path / "e", made)
    back = load_members(tmp_path / "e")
    assert [card for _, card in back] == [card for _, card in made]
    for (network, _), (own, _) in zip(back, made, strict=True):
        for name, value in own.state_dict().items():
            assert torch.equal(network.state_dict()[name], value), name
    save_model(tmp_path / "m", *made[0])
    assert len(load_members(tmp_path / "m")) == 1
    with safe_open(str(tmp_path / "m"), "pt") as file:
        assert (
            json.loads(file.metadata()["mirada"])["format"] == 3
        )  # a single network stays readable by older ones
    with safe_open(str(tmp_path / "e"), "pt") as file:
        assert json.loads(file.metadata()["mirada"])["format"] == 4


def test_tensors_are_aligned_so_that_other_readers_can_map_them(tmp_path: Path) -> None:
    """safetensors itself reads them from the mapped file: 8-byte counters come before 4-byte weights."""
    made = classes()
    write_ensemble(tmp_path / "e", made)
    with safe_open(str(tmp_path / "e"), "pt") as file:
        names = list(file.keys())
        assert len(names) == sum(len(network.state_dict()) for network, _ in made)
        for place, (network, _) in enumerate(made, start=1):
            for name, value in network.state_dict().items():
                assert torch.equal(file.get_tensor(f"member{place}.{name}"), value)


def test_no_more_than_a_piece_of_a_network_is_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the size of the pieces, the file is the same; none is larger than that."""
    made = classes()
    write_ensemble(tmp_path / "whole", made)
    monkeypatch.setattr(joining, "PIECE", 1000)
    write_ensemble(tmp_path / "pieces", made)
    assert (tmp_path / "pieces").read_bytes() == (tmp_path / "whole").read_bytes()
    with TemporaryDirectory() as folder:
        save_model(Path(folder) / "m", *made[0])
        sizes = [len(piece) for piece in joining._pieces(list(joining._tensors(0, Path(folder) / "m")))]
    assert 0 < max(sizes) <= 1000


def test_intervals_for_all_together(photos: list[np.ndarray], tmp_path: Path) -> None:
    """They are the file's; each network keeps its own, or none."""
    widths = Conformal(0.9, (3.5, 12.25), 40)
    write_ensemble(tmp_path / "e", numbers(("height", "width")), widths)
    model = load_model(tmp_path / "e", device="cpu")
    assert model.card.conformal == widths
    assert all(card.conformal is None for _, card in model.ensemble)
    found = model.predict(photos, known={"sex": "M"})
    np.testing.assert_array_equal(found.half_widths, np.tile([3.5, 12.25], (len(photos), 1)))
    write_ensemble(tmp_path / "plain", numbers(("height", "width")))
    assert load_model(tmp_path / "plain", device="cpu").card.conformal is None
    with pytest.raises(InvalidArgument, match="it has 1 intervals for 2 outputs"):
        write_ensemble(tmp_path / "e", numbers(("height", "width")), Conformal(0.9, (3.5,), 40))
    with pytest.raises(InvalidArgument, match="it has 3 intervals for 3 outputs"):
        write_ensemble(tmp_path / "e", classes(), Conformal(0.9, (0.1, 0.1, 0.1), 40))
    with pytest.raises(InvalidArgument, match="a threshold of 'dog', which is none of its classes"):
        write_ensemble(
            tmp_path / "e", classes(), threshold=Threshold(positive="dog", value=0.5, rule="given")
        )
    called = Threshold(positive=classes()[0].card.classes[1], value=0.5, rule="youden", n=20, positives=9)
    write_ensemble(tmp_path / "e", classes(), threshold=called)
    assert load_model(tmp_path / "e", device="cpu").card.threshold == called
    for change in (
        {"level": 0.9, "half_widths": [3.5], "n": 40},
        {"level": 2, "half_widths": [3.5, 1], "n": 40},
        {"level": 0.9},
        7,
        None,
    ):
        file = tmp_path / "e"
        write_ensemble(file, numbers(("height", "width")), widths)
        with pytest.raises(CheckpointError, match="its description cannot be understood"):
            load_members(rewritten(file, lambda text, new=change: text.update(conformal=new)))  # type: ignore[misc]


def test_what_is_no_ensemble_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"takes two networks or more. Got 1"):
        write_ensemble(tmp_path / "e", [member(0)])
    with pytest.raises(InvalidArgument, match=r"takes two networks or more. Got 0"):
        write_ensemble(tmp_path / "e", [])
    other = member(1, replace(CARD, target=Classes(("ash", "birch", "oak"))))
    with pytest.raises(InvalidArgument, match="differ in their target"):
        write_ensemble(tmp_path / "e", [member(0), other])
    padded = member(1, replace(CARD, preprocessing=replace(PIXELS, policy="pad")))
    with pytest.raises(InvalidArgument, match="differ in their preprocessing"):
        write_ensemble(tmp_path / "e", [member(0), padded])
    assert not (tmp_path / "e").exists()


def test_the_same_network_twice(tmp_path: Path) -> None:
    """Each member has its tensors in the file."""
    one = member(0)
    write_ensemble(tmp_path / "e.safetensors", [one, one])
    first, second = (each.network.state_dict() for each in load_members(tmp_path / "e.safetensors"))
    assert all(torch.equal(first[name], value) for name, value in second.items())
    assert all(torch.equal(first[name], value) for name, value in one.network.state_dict().items())


def test_where_one_network_is_needed_an_ensemble_says_so(tmp_path: Path) -> None:
    write_ensemble(tmp_path / "e.safetensors", classes())
    for read in (load_network, load_card):
        with pytest.raises(InvalidArgument, match="holds an ensemble of 3 networks, and here one is needed"):
            read(tmp_path / "e.safetensors")
    write_shapes(tmp_path / "data", count=40, size=32)
    with pytest.raises(InvalidArgument, match="holds an ensemble of 3 networks"):
        train(
            tmp_path / "data",
            output=tmp_path / "run",
            **QUICK | {"model": "resnet20", "weights": str(tmp_path / "e.safetensors")},
        )


def rewritten(file: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """The file with another description, and a digest that is right."""
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    description = json.loads(header["__metadata__"]["mirada"])
    change(description)
    header["__metadata__"] = {"mirada": json.dumps(description), "digest": "0" * 64}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    changed = with_digest(len(text).to_bytes(8, "little") + text + data[8 + length :])
    assert changed
    file.write_bytes(changed)
    return file


def test_damage(tmp_path: Path) -> None:
    file = tmp_path / "e"
    write_ensemble(file, classes())
    data = file.read_bytes()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(CheckpointError, match="altered or damaged"):
        load_members(file)
    file.write_bytes(data[:-100])
    with pytest.raises(CheckpointError, match="truncated after"):
        load_members(file)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text["members"].pop(), "belongs to none of its 2 networks"),
        (lambda text: text["members"].append(text["members"][0]), "the weights do not fit the network resnet20"),
        (lambda text: text["members"].clear(), "takes two networks or more. Got 0"),
        (lambda text: text["members"].__delitem__(slice(1, None)), "takes two networks or more. Got 1"),
        (lambda text: text["members"][1].pop("target"), "description cannot be understood"),
        (lambda text: text["members"].__setitem__(1, 7), "description cannot be understood"),
        (lambda text: text.update(members=None), "that of an ensemble is its format and members"),
        (lambda text: text.update(format=5), "written by a newer Mirada"),
        (lambda text: text["members"][1]["architecture"].update(model="resnet32"), "differ in their architecture"),
    ],
)  # fmt: skip
def test_descriptions_that_do_not_fit(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], said: str
) -> None:
    file = tmp_path / "e"
    write_ensemble(file, classes())
    with pytest.raises(CheckpointError, match=said):
        load_members(rewritten(file, change))


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory) -> Folds:
    root = tmp_path_factory.mktemp("folds")
    write_shapes(root / "shapes", count=40, size=32)
    return cross_validate(root / "shapes" / "train", folds=2, output=root / "run", **QUICK)


def test_folds_leave_their_ensemble(folds: Folds) -> None:
    ensemble = load_model(folds.folder, device="cpu")  # which stands for it
    assert ensemble.ensemble and load_members(folds.ensemble_path)[1].card == ensemble.ensemble[1].card
    images = sorted((folds.folder.parent / "shapes" / "test").rglob("*.png"))
    found = ensemble.predict(images)
    each = [load_model(one.model_path, device="cpu").predict(images).outputs for one in folds.runs]
    np.testing.assert_allclose(found.outputs, np.mean(each, axis=0), rtol=1e-12)
    assert not found.trained_on.any()
    assert "ensemble.safetensors" in folds.report_path.read_text(encoding="utf-8")


def test_an_ensemble_of_folds_has_seen_every_image(folds: Folds) -> None:
    """Each was tested once, and taught the other networks: none is left to judge all of them together."""
    ensemble = load_model(folds.ensemble_path, device="cpu")
    images = sorted((folds.folder.parent / "shapes" / "train").rglob("*.png"))
    known = remembered(ensemble.card)
    assert len(known["train"]) == len(images) and not len(known["val"]) and not len(known["test"])
    found = ensemble.predict(images)
    assert found.trained_on.all()
    labelled = replace(found, targets=np.zeros(len(found), dtype=np.int64))
    with pytest.warns(ContaminationWarning, match="no honest test"):
        evaluate(labelled)


def test_on_the_command_line(
    folds: Folds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It answers with its spread, is judged with a warning, and explains."""
    data = folds.folder.parent / "shapes"
    photo, ensemble = str(next((data / "test").rglob("*.png"))), str(folds.ensemble_path)
    monkeypatch.chdir(tmp_path)
    assert run(["predict", str(folds.folder), photo, "--csv", "p.csv", "--device", "cpu"]) == 0
    assert capsys.readouterr().out.splitlines()[0].split()[-1] == "spread"
    assert Predictions.from_csv("p.csv").spreads[0, 0] >= 0
    assert run(["evaluate", ensemble, str(data / "train"), "--device", "cpu"]) == 0
    said = capsys.readouterr().err
    assert "no honest test" in said
    assert "The honest figure is that of predictions.csv and report.html" in said
    assert run(["evaluate", ensemble, str(data / "test"), "--device", "cpu"]) == 0
    assert "honest" not in capsys.readouterr().err
    assert run(["explain", ensemble, photo, "--device", "cpu"]) == 0
    assert "mean of 2 networks" in "".join(capsys.readouterr())
    assert run(["summary", str(folds.folder)]) == 0
    assert "Ensemble: 2 networks like this one answer together." in capsys.readouterr().out
    assert run(["summary", ensemble, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["networks"] == 2


def test_similar_images_of_an_ensemble(
    folds: Folds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A training image is the most similar to itself, by every network that it taught; tables have the columns."""
    root = folds.folder.parent / "shapes" / "train"
    images = sorted(root.rglob("*.png"))[:4]
    kept = [
        set(load_training_features(run.folder / "features.npz", run.model_path).paths) for run in folds.runs
    ]
    found = predict_with_similar(load_model(folds.folder, device="cpu"), images, folds.folder)
    for image, neighbours in zip(images, found.similar, strict=True):
        name = image.relative_to(root).as_posix()
        if name in kept[0] | kept[1]:
            assert neighbours[0].path == name and neighbours[0].cosine == pytest.approx(1, abs=2e-3)
    assert set().union(*kept) >= {each.path for neighbours in found.similar for each in neighbours}
    monkeypatch.chdir(tmp_path)
    options = ["--similar", "near.csv", "--csv", "p.csv", "--json", "p.json", "--device", "cpu"]
    assert run(["predict", str(folds.folder), str(images[0]), *options]) == 0
    table = Predictions.from_csv("p.csv")
    assert not np.isnan(table.spreads).any()
    near = table.similar[0]
    assert [each.path for each in near] == [each.path for each in found.similar[0]]
    np.testing.assert_allclose(
        [each.cosine for each in near], [each.cosine for each in found.similar[0]], atol=1e-5
    )
    assert json.loads(Path("p.json").read_text(encoding="utf-8"))[0]["similar_1"] == found.similar[0][0].path
    capsys.readouterr()


def test_images_that_tested_all_networks_are_left_to_the_test(folds: Folds) -> None:
    card = load_network(folds.runs[0].model_path).card
    same = joint_card([Member(load_network(folds.runs[0].model_path).network, card)] * 2)
    before, after = remembered(card), remembered(same)
    assert set(after["train"]) == {*before["train"], *before["val"]}
    np.testing.assert_array_equal(after["test"], before["test"])
    silent = replace(card, provenance={})
    assert "images" not in joint_card([Member(folds, silent)] * 2).provenance  # type: ignore[arg-type]
