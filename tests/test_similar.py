"""Similar training images: the nearest by cosine, whatever the memory; files that are missing, damaged or another's."""

import csv
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics.pairwise import cosine_similarity

from mirada import load_data, train
from mirada.cli import explain, run
from mirada.data.examples.shapes import write_shapes
from mirada.data.pixels.arrays import decode_image, digest, read_image
from mirada.errors import DataError
from mirada.evaluation.columns import Neighbour
from mirada.evaluation.features import Features
from mirada.evaluation.predictions import Predictions
from mirada.events import EpochDone, Event, HowToRead
from mirada.explain.explainable import entering_head
from mirada.inference import similar
from mirada.inference.model import load_model
from mirada.inference.similar import (
    TrainingFeatures,
    joined_features,
    load_training_features,
    predict_with_similar,
    unit,
)
from mirada.inference.trained_on import short
from mirada.jobs.train import Run
from mirada.modelfile import load_network
from mirada.runs.reader import read_maps
from mirada.samples import Classes

pytestmark = pytest.mark.usefixtures("module_cache")
QUICK: dict[str, Any] = {
    "epochs": 1,
    "image_size": 32,
    "batch_size": 16,
    "device": "cpu",
    "precision": "float32",
}


def made(vectors: np.ndarray) -> TrainingFeatures:
    return TrainingFeatures(
        paths=tuple(f"{row}.png" for row in range(len(vectors))),
        digests=np.arange(len(vectors), dtype=np.uint64),
        features=unit(vectors.astype(np.float32)).astype(np.float16),
        model="",
    )


@pytest.mark.parametrize(("queries", "rows"), [(256, 65_536), (3, 7), (1, 1), (5, 100)])
def test_the_nearest_by_cosine(monkeypatch: pytest.MonkeyPatch, queries: int, rows: int) -> None:
    """Whatever the pieces in which they are compared."""
    monkeypatch.setattr(similar, "QUERIES", queries)
    monkeypatch.setattr(similar, "ROWS", rows)
    draw = np.random.default_rng(0)
    training, wanted = draw.normal(size=(50, 8)), draw.normal(size=(11, 8)).astype(np.float32)
    kept = made(training)
    found = kept.nearest(wanted)
    cosines = cosine_similarity(wanted, kept.features.astype(np.float32))
    for row, neighbours in enumerate(found):
        best = np.argsort(-cosines[row])[:5]
        assert [each.path for each in neighbours] == [f"{place}.png" for place in best]
        np.testing.assert_allclose([each.cosine for each in neighbours], cosines[row, best], atol=2e-3)


def test_of_several_networks_the_mean_cosine_by_those_that_an_image_taught(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    every, asked = draw.normal(size=(2, 9, 4)), draw.normal(size=(3, 2, 4)).astype(np.float32)
    taught = np.array([[1, 1, 0, 1, 0, 1, 1, 0, 1], [0, 1, 1, 1, 1, 0, 1, 1, 1]], dtype=bool)
    parts = []
    for vectors, rows in zip(every, taught, strict=True):
        part = made(vectors)
        chosen = np.flatnonzero(rows)
        parts.append(
            TrainingFeatures(
                tuple(part.paths[row] for row in chosen), part.digests[chosen], part.features[chosen], ""
            )
        )
    (tmp_path / "e").write_bytes(b"ensemble")
    together = joined_features(parts, tmp_path / "e")
    cosines = np.stack([cosine_similarity(asked[:, each], every[each]) for each in range(2)], axis=-1)
    wanted = (cosines * taught.T).sum(axis=-1) / taught.sum(axis=0)
    for row, neighbours in enumerate(together.nearest(asked, 9)):
        found = {each.path: each.cosine for each in neighbours}
        np.testing.assert_allclose([found[f"{place}.png"] for place in range(9)], wanted[row], atol=3e-3)
        assert list(found.values()) == sorted(found.values(), reverse=True)
    assert dict(zip(together.paths, together.digests.tolist(), strict=True)) == {
        f"{n}.png": n for n in range(9)
    }


@pytest.mark.parametrize("rows", [65_536, 2])
def test_equals_come_in_the_order_of_the_training(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(similar, "ROWS", rows)
    (found,) = made(np.ones((8, 4))).nearest(np.full((1, 4), 7, dtype=np.float32))
    assert [each.path for each in found] == [f"{row}.png" for row in range(5)]


def test_few_none_and_what_has_no_direction() -> None:
    assert len(made(np.eye(3)).nearest(np.ones((1, 3), dtype=np.float32))[0]) == 3
    assert made(np.eye(3)).nearest(np.empty((0, 3), dtype=np.float32)) == []
    assert made(np.empty((0, 3))).nearest(np.ones((1, 3), dtype=np.float32)) == [()]
    odd = np.array([[0, 0, 0], [np.nan, 0, 0]], dtype=np.float32)
    for found in made(np.eye(3)).nearest(odd):
        assert [each.cosine for each in found] == [0, 0, 0]


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "shapes"
    write_shapes(root, count=40, size=32)
    return root


@pytest.fixture(scope="module")
def trained(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(shapes, model="resnet20", output=tmp_path_factory.mktemp("runs") / "run", **QUICK)


def training_images(trained: Run) -> list[str]:
    with (trained.folder / "splits.csv").open(newline="", encoding="utf-8") as stream:
        return [row["path"] for row in csv.DictReader(stream) if row["split"] == "train"]


def test_training_leaves_the_features_of_its_images(trained: Run, shapes: Path) -> None:
    """The averages of the maps that enter the head, of length 1; of training images alone."""
    kept = load_training_features(trained.folder / "features.npz", trained.model_path)
    assert sorted(kept.paths) == sorted(training_images(trained)) and kept.features.dtype == np.float16
    network, card = load_network(trained.model_path)
    first = read_image(shapes / kept.paths[0])
    assert kept.digests[0] == short(digest(first))
    pixels = (
        torch.from_numpy(decode_image(first, card.preprocessing).copy()).permute(2, 0, 1)[None].float() / 255
    )
    mean, std = (
        torch.tensor(each)[None, :, None, None] for each in (card.preprocessing.mean, card.preprocessing.std)
    )
    with torch.no_grad():
        maps = network.features((pixels - mean) / std)
    wanted = maps.mean(dim=(2, 3))[0].numpy()
    np.testing.assert_allclose(kept.features[0], wanted / np.linalg.norm(wanted), atol=2e-3)


def test_an_image_of_several_rows_is_similar_once(shapes: Path, tmp_path: Path) -> None:
    """Each row is trained on, and among the five nearest there is one of each image."""
    names = [str(file.relative_to(shapes)) for file in sorted(shapes.rglob("*.png"))[:24]]
    rows = [f"{name},{age},{split}" for name in names for age, split in ((1, "train"), (2, "train"))]
    rows += [f"{name},3,val" for name in names[:4]]
    data = tmp_path / "data"
    shutil.copytree(shapes, data)
    (data / "table.csv").write_text("\n".join(["image,age,split", *rows, f"{names[5]},3,test", ""]))
    index = load_data(data / "table.csv", target="age")
    done = train(index, model="lenet5", output=tmp_path / "run", **QUICK)
    kept = load_training_features(done.folder / "features.npz", done.model_path)
    assert len(training_images(done)) == 48 and list(kept.paths) == names == list(dict.fromkeys(names))
    assert kept.digests.tolist() == [short(digest(read_image(data / name))) for name in names]


def test_a_training_image_is_most_similar_to_itself(trained: Run, shapes: Path) -> None:
    kept = load_training_features(trained.folder / "features.npz", trained.model_path)
    model = load_model(trained.model_path, device="cpu")
    names = training_images(trained)[:3]
    images = [str(shapes / names[0]), b"no image", str(shapes / names[1]), str(shapes / names[2])]
    predictions = predict_with_similar(model, images, kept)
    found = predictions.similar
    assert len(predictions) == 3 and len(predictions.failed) == 1
    assert [neighbours[0].path for neighbours in found] == names
    assert all(
        neighbours[0].cosine == pytest.approx(1, abs=2e-3) and len(neighbours) == 5 for neighbours in found
    )
    np.testing.assert_array_equal(predictions.outputs, model.predict(images).outputs)
    assert not model.network.head._forward_pre_hooks  # nothing is left on the network
    assert predict_with_similar(model, images, trained.folder).similar == found
    assert predict_with_similar(model, [b"no image"], kept).similar == ()


def test_tables_and_records_have_columns_for_them(trained: Run, shapes: Path, tmp_path: Path) -> None:
    model = load_model(trained.model_path, device="cpu")
    images = [str(shapes / name) for name in training_images(trained)[:2]]
    found = predict_with_similar(model, [*images, b"no image"], trained.folder)
    wanted = [f"{name}_{rank}" for rank in range(1, 6) for name in ("similar", "cosine")]
    assert [name for name in found.columns if name.startswith(("similar", "cosine"))] == wanted
    first = found.to_json()[0]
    assert [first[name] for name in wanted[::2]] == [each.path for each in found.similar[0]]
    assert [first[name] for name in wanted[1::2]] == [each.cosine for each in found.similar[0]]
    found.to_csv(tmp_path / "p.csv")
    back = Predictions.from_csv(tmp_path / "p.csv")
    assert back.similar == found.similar and back.failed == found.failed
    assert back.take([1]).similar == found.similar[1:]
    assert "similar_1" not in model.predict(images).columns


def test_fewer_neighbours_leave_cells_empty(tmp_path: Path) -> None:
    """An odd name is written so that no spreadsheet calculates it."""
    near = ((Neighbour("=1+1.png", 0.5), Neighbour("b.png", 0.25)), (Neighbour("c.png", -0.125),), ())
    table = Predictions(
        paths=("x", "y", "z"),
        splits=np.full(3, "test"),
        targets=np.array([0, 1, -1]),
        target=Classes(("ash", "birch")),
        outputs=np.full((3, 2), 0.5),
        similar=near,
    )
    table.to_csv(tmp_path / "p.csv")
    assert Predictions.from_csv(tmp_path / "p.csv").similar == near
    assert table.to_json()[1]["similar_2"] is None
    assert Predictions.joined([table, table]).similar == near + near
    with pytest.raises(DataError, match="cannot have similar images of 1"):
        replace(table, similar=near[:1])


def test_a_frozen_run_leaves_the_means_over_its_views(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its frozen parts are not run again: they are kept of the augmented views, and of no plain training image."""
    ran: list[int] = []
    computed = Features._computed

    def counting(features: Features, rows: Any, view: int) -> torch.Tensor:
        ran.append(view)
        return computed(features, rows, view)

    monkeypatch.setattr(Features, "_computed", counting)
    more = {"freeze": "all", "augment": "photos", "epochs": 2, "views": 2}
    done = train(shapes, model="resnet20", output=tmp_path / "run", **{**QUICK, **more})
    kept = load_training_features(done.folder / "features.npz", done.model_path)
    assert sorted(kept.paths) == sorted(training_images(done))
    np.testing.assert_allclose(np.linalg.norm(kept.features.astype(np.float32), axis=1), 1, atol=2e-3)
    assert {view for view in ran if view >= 0} == {0, 1}
    assert len([view for view in ran if view >= 0]) == 2  # each view of the training images once
    model = load_model(done.model_path, device="cpu")
    names = training_images(done)[:6]
    found = predict_with_similar(model, [str(shapes / name) for name in names], kept).similar
    assert all(neighbours[0].cosine > 0.8 for neighbours in found)


def test_images_that_go_while_a_run_trains_cost_it_their_pictures_alone(tmp_path: Path) -> None:
    """They were decoded when it began; what cannot be shown any more is counted, and named."""
    write_shapes(tmp_path / "shapes", count=24, size=32)
    run_folder = tmp_path / "run"
    told: list[str] = []

    def hear(event: Event) -> None:
        if isinstance(event, EpochDone):
            with (run_folder / "splits.csv").open(newline="", encoding="utf-8") as stream:
                rows = list(csv.DictReader(stream))
            for split in ("train", "test"):
                for row in [row for row in rows if row["split"] == split][split == "test" :]:
                    (tmp_path / "shapes" / row["path"]).unlink()
        if isinstance(event, HowToRead):
            told.append(event.text)

    ended = train(tmp_path / "shapes", model="lenet5", output=run_folder, on_event=hear, **QUICK)
    maps = read_maps(run_folder / "maps.json")
    assert len(maps) == 1 and {each.image for each in maps[0].similar} == {""} and len(maps[0].similar) == 5
    assert maps[0].similar[0].path in ended.report_path.read_text(encoding="utf-8")
    lost = ended.evaluations["test"].n - 1 + 5
    assert len(told) == 1 and told[0].startswith(
        f"{lost} images to be shown cannot be read any more, the first: "
    )


@pytest.mark.parametrize("name", ["lenet5", "mlp"])
def test_networks_of_other_heads(shapes: Path, tmp_path: Path, name: str) -> None:
    done = train(shapes, model=name, output=tmp_path / "run", **QUICK)
    kept = load_training_features(done.folder / "features.npz", done.model_path)
    assert kept.features.shape[0] == len(training_images(done)) and kept.features.shape[1] > 1


def test_only_what_this_thread_runs_is_collected(trained: Run) -> None:
    network, _ = load_network(trained.model_path)
    with entering_head(network) as found, torch.no_grad():
        network(torch.zeros(2, 3, 32, 32))
        network(torch.zeros(1, 3, 32, 32))
    network(torch.zeros(1, 3, 32, 32))
    assert [len(batch) for batch in found] == [2, 1]


def test_files_that_cannot_serve(trained: Run, tmp_path: Path) -> None:
    model = trained.model_path
    with pytest.raises(DataError, match=r"features of the training images are missing, .* train it again"):
        load_training_features(tmp_path / "features.npz", model)
    data = (trained.folder / "features.npz").read_bytes()
    for content in (b"", data[:200], b"PK" + bytes(50)):
        (tmp_path / "features.npz").write_bytes(content)
        with pytest.raises(DataError, match="damaged; the features cannot be read"):
            load_training_features(tmp_path / "features.npz", model)
    np.savez(tmp_path / "features.npz", paths=np.array(["a"]))
    with pytest.raises(DataError, match="damaged"):
        load_training_features(tmp_path / "features.npz", model)
    np.savez(
        tmp_path / "features.npz",
        paths=np.array(["a", "b"]),
        digests=np.zeros(1),
        features=np.zeros(3),
        model="",
    )
    with pytest.raises(DataError, match="columns do not fit each other"):
        load_training_features(tmp_path / "features.npz", model)
    (tmp_path / "features.npz").write_bytes(data)
    (tmp_path / "other.safetensors").write_bytes(b"another")
    with pytest.raises(DataError, match=r"features of another model than other\.safetensors"):
        load_training_features(tmp_path / "features.npz", tmp_path / "other.safetensors")


def test_on_the_command_line(
    trained: Run,
    shapes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    image = str(shapes / training_images(trained)[0])
    for _ in range(2):  # its own table is replaced
        assert run(["predict", str(trained.folder), image, "--similar", "near.csv", "--device", "cpu"]) == 0
    with (tmp_path / "near.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4", "5"] and {row["path"] for row in rows} == {
        image
    }
    assert rows[0]["similar"] == training_images(trained)[0] and float(rows[0]["cosine"]) > 0.99
    (tmp_path / "alone.safetensors").write_bytes(trained.model_path.read_bytes())
    capsys.readouterr()
    assert run(["predict", "alone.safetensors", image, "--similar", "more.csv"]) == 1
    assert "features of the training images are missing" in capsys.readouterr().err
    assert not (tmp_path / "more.csv").exists()


def test_features_have_the_precision_of_the_training(shapes: Path, tmp_path: Path) -> None:
    """In bfloat16, whose numbers have three digits, they are those of float32 within these."""
    done = train(shapes, model="resnet20", output=tmp_path / "run", **QUICK | {"precision": "bfloat16"})
    kept = load_training_features(done.folder / "features.npz", done.model_path)
    model = load_model(done.model_path, device="cpu")
    with entering_head(model.network) as found:
        model.predict([shapes / path for path in kept.paths])
    exact = torch.nn.functional.normalize(torch.cat(found)).numpy()
    np.testing.assert_allclose(kept.features, exact, atol=0.02)
    assert np.abs(kept.features - exact).max() > 1e-4


def test_vectors_whose_squares_are_beyond_float32_have_length_1() -> None:
    """Features of a network that ran away, yet are numbers."""
    vectors = np.array([[3e30, 4e30], [3e-30, 4e-30], [0, np.inf]], dtype=np.float32)
    np.testing.assert_allclose(unit(vectors), [[0.6, 0.8], [0.6, 0.8], [0, 0]], rtol=1e-6)


def test_explain_says_why_it_shows_no_similar_images(
    trained: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where none were ever there, there is nothing to say."""
    folder = tmp_path / "run"
    shutil.copytree(trained.folder, folder)
    assert explain._training(str(folder)) is not None and capsys.readouterr() == ("", "")
    (folder / "features.npz").write_bytes(b"PK, but no archive")
    assert explain._training(str(folder)) is None
    assert "features.npz: damaged" in capsys.readouterr().err
    (folder / "features.npz").unlink()
    assert explain._training(str(folder)) is None and capsys.readouterr() == ("", "")
