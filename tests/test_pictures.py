"""Images that are no files: bytes, arrays, Pillow images; and images of the training, wherever they are met again."""

import io
import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import mirada
from mirada.cli.runs import _result
from mirada.data.pixels.arrays import read_image
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.errors import ContaminationWarning, InvalidArgument, RecipeError
from mirada.inference.model import Model, load_model
from mirada.inference.trained_on import remembered, with_training_splits
from mirada.jobs.compare import as_json, compare_runs
from mirada.modelfile import Architecture, Card, save_model
from mirada.pages.compare import render_comparison, sentence
from mirada.runs.listing import list_runs
from mirada.samples import Classes

QUICK: dict[str, Any] = {
    "model": "simplecnn",
    "image_size": 24,
    "epochs": 1,
    "augment": "none",
    "device": "cpu",
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    card = Card(
        architecture=Architecture(model="resnet18", outputs=3, in_channels=3, image_size=(32, 32)),
        target=Classes(("ash", "birch", "cedar")),
        preprocessing=Preprocessing(size=(32, 32)),
    )
    torch.manual_seed(1)
    file = tmp_path_factory.mktemp("model") / "m.safetensors"
    save_model(file, card.architecture.build(), card)
    return load_model(file, device="cpu")


def photo() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 52, 3)).astype(np.uint8))


def png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "png")
    return stream.getvalue()


def test_the_same_pixels_from_wherever_they_come(model: Model, tmp_path: Path) -> None:
    image = photo()
    image.save(tmp_path / "photo.png")
    found = model.predict(
        [tmp_path / "photo.png", str(tmp_path / "photo.png"), png(image), image, np.asarray(image)]
    )
    assert found.paths[2:] == ("image 2", "image 3", "image 4") and not found.failed
    np.testing.assert_array_equal(found.outputs, np.tile(found.outputs[:1], (5, 1)))
    maps = [
        seen.map for seen in model.explain([tmp_path / "photo.png", png(image), image, np.asarray(image)])
    ]
    for other in maps[1:]:
        np.testing.assert_allclose(other, maps[0], atol=1e-5)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "I;16", "F"])
def test_pillow_images_of_any_mode_are_what_their_file_would_be(
    model: Model, mode: str, tmp_path: Path
) -> None:
    grey = photo().convert("L")
    if mode == "I;16":
        image = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    elif mode == "F":
        image = Image.fromarray(np.asarray(grey).astype(np.float32))
    else:
        image = photo().convert(mode)
    found = model.predict([image])
    assert len(found) + len(found.failed) == 1
    if mode in ("1", "L", "RGBA", "I;16"):
        image.save(tmp_path / "x.png")
        np.testing.assert_allclose(found.outputs, model.predict([tmp_path / "x.png"]).outputs, atol=1e-6)


def test_a_pillow_image_is_turned_upright(model: Model, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    photo().save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as image:
        np.testing.assert_allclose(
            model.predict([image]).outputs, model.predict([tmp_path / "turned.png"]).outputs, atol=1e-6
        )


@pytest.mark.parametrize(
    "what", [np.zeros((4, 4, 7), np.uint8), np.zeros((0, 4), np.uint8), b"", b"no image"]
)
def test_what_is_no_image_is_named_by_its_place(model: Model, what: Any) -> None:
    found = model.predict([photo(), what])
    assert found.paths == ("image 0",) and [item.path for item in found.failed] == ["image 1"]
    assert found.failed[0].reason


@pytest.mark.parametrize("what", [torch.zeros(3, 4, 4), None, 7, [1, 2]])
def test_what_cannot_be_an_image_is_refused(model: Model, what: Any) -> None:
    with pytest.raises(
        InvalidArgument, match=r"^Image 1 is neither a path, bytes, a NumPy array \(H, W, C\) nor"
    ):
        model.predict([photo(), what])


@pytest.mark.parametrize("single", [photo(), png(photo()), "photo.png"])
def test_a_single_image_is_no_list(model: Model, single: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"^Expected a list of images\. Got .* put it in \[ \]\.$"):
        model.predict(single)


@pytest.fixture
def noise(tmp_path: Path) -> Callable[..., Path]:
    """Folders of random pictures, two classes."""

    def make(name: str, count: int, seed: int = 0) -> Path:
        draw = np.random.default_rng(seed)
        for kind in ("bar", "col"):
            (tmp_path / name / kind).mkdir(parents=True)
            for number in range(count):
                pixels = draw.integers(0, 256, (24, 24, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(tmp_path / name / kind / f"{number:03}.png")
        return tmp_path / name

    return make


def test_the_images_of_training_are_known_without_reading_them_again(
    noise: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that whoever judges a model reads each file once, to decode it."""
    data = noise("photos", 16)
    model = mirada.load_model(mirada.train(data, output=tmp_path / "run", **QUICK).model_path, device="cpu")
    (data / "bar" / "new.png").write_bytes(png(photo()))
    read: list[str] = []

    def noted(file: Path) -> object:
        read.append(file.name)
        return read_image(file)

    monkeypatch.setattr("mirada.inference.trained_on.read_image", noted)
    index, note = with_training_splits(model.card, mirada.load_data(data), tmp_path / "none.csv")
    assert read == ["new.png"]
    assert {split: len(index.rows(split)) for split in ("train", "val", "test")} == {
        "train": 22,
        "val": 6,
        "test": 5,
    }
    assert "1 new image joins the test" in note


def test_nobody_asks_for_digests_that_are_compared_with_nothing(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not remembered(model.card)
    monkeypatch.setattr("mirada.inference.model.digest", lambda image: pytest.fail("was hashed"))
    assert model.predict([photo()]).trained_on.tolist() == [False]


def test_in_python_nobody_judges_on_training_images_unknowingly(
    noise: Callable[..., Path], tmp_path: Path
) -> None:
    data = noise("photos", 16)
    run = mirada.train(data, output=tmp_path / "run", **QUICK)
    model = mirada.load_model(run.model_path, device="cpu")
    renamed = tmp_path / "renamed"
    for number, file in enumerate(sorted(data.rglob("*.png"))):
        (renamed / file.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(file, renamed / file.parent.name / f"other-{number}.png")
    for folder in (data, renamed):
        predictions = model.predict(mirada.load_data(folder))
        assert predictions.trained_on.sum() == 22
        with pytest.warns(
            ContaminationWarning, match=r"^22 of these 32 images are among those that the network was"
        ):
            mirada.evaluate(predictions)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mirada.evaluate(model.predict(mirada.load_data(noise("others", 4, seed=1))))


def test_weights_that_have_seen_the_test_images_are_told(noise: Callable[..., Path], tmp_path: Path) -> None:
    data = noise("photos", 16)
    first = mirada.train(data, output=tmp_path / "first", **QUICK)
    other = {"weights": str(first.model_path), "seed": 1, **QUICK}  # other test images
    with pytest.raises(RecipeError, match=r"^`weights`: not an honest test: .* or set contamination=mark"):
        mirada.train(data, output=tmp_path / "leak", **other)
    assert not (tmp_path / "leak").exists()
    leak = mirada.train(data, output=tmp_path / "leak", contamination="mark", **other)
    text = (leak.folder / "report.html").read_text()
    assert (
        "not an honest test: " in text and "model.safetensors, where training starts, was trained on" in text
    )
    same = mirada.train(data, output=tmp_path / "same", weights=str(first.model_path), **QUICK)
    assert "honest test" not in (same.folder / "report.html").read_text()  # the same split
    seen = leak.evaluations["test"].trained_on
    mark = f"no honest test: {seen} of these {leak.evaluations['test'].n} images were used in training"
    assert seen and same.evaluations["test"].trained_on == 0
    for place in ("<title>", "<h1>", '<section id="results">', '<blockquote class="methods"'):
        assert mark in text.split(place)[1][:2000], place
    assert json.loads((leak.folder / "evaluation.json").read_text())["test"]["trained_on"] == seen
    states = {state.path.name: state for state in list_runs(tmp_path)}
    assert (states["leak"].judged.trained_on, states["same"].judged.trained_on) == (seen, 0)
    assert mark in _result(states["leak"]) and "honest" not in _result(states["same"])
    page = compare_runs([same.folder, leak.folder])
    assert as_json(page)["marks"] == ["", mark]
    assert sentence(["same", "leak"], page)[0] == f"leak: {mark}. Its figures flatter it."
    assert f"({mark})</td>" in render_comparison(page)
