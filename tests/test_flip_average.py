"""Answers as the mean over an image and its mirror image, against two passes made here, wherever answers are given."""

import json
from collections.abc import Sequence
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

import mirada
from mirada.cli.summary import command as summary
from mirada.compute import Compute
from mirada.data.augment import Augmentation
from mirada.data.batches import chunks, read
from mirada.data.cache import open_cache
from mirada.data.examples.shapes import write_shapes
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.data.sources import load_data
from mirada.data.views import MIRRORED, PLAIN, Views, judged
from mirada.errors import CheckpointError, InvalidArgument, RecipeError
from mirada.evaluation.features import Demand, Features, infer_cached, open_features
from mirada.evaluation.infer import infer
from mirada.evaluation.predictions import Predictions
from mirada.events import Event, FeaturesPlanned, HowToRead
from mirada.inference.model import Model
from mirada.inference.similar import predict_with_similar, training_features
from mirada.layers.network import Network
from mirada.modelfile import (
    Architecture,
    Card,
    load_card,
    load_network,
    save_ensemble,
    save_model,
)
from mirada.runs.reader import read_run
from mirada.samples import Classes, Covariate, Numbers, Scaling

pytestmark = pytest.mark.usefixtures("module_cache")
CPU = Compute(torch.device("cpu"), "float32")
PIXELS = Preprocessing(size=(32, 32), mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25))
NET = Architecture(
    model="resnet20", options={"head": "average"}, outputs=3, in_channels=3, image_size=(32, 32)
)
CARD = Card(
    architecture=NET, target=Classes(("ash", "birch", "cedar")), preprocessing=PIXELS, flip_average=True
)
AGES = Card(
    architecture=replace(NET, outputs=1, covariates=1),
    target=Numbers(("",), "months"),
    target_scaling=Scaling((100.0,), (20.0,)),
    covariates=(Covariate("sex", "M", "F"),),
    covariate_scaling=Scaling((0.5,), (0.4,)),
    preprocessing=PIXELS,
    flip_average=True,
)
QUICK: dict[str, Any] = {
    "model": "resnet20", "epochs": 2, "image_size": 32, "batch_size": 16, "device": "cpu", "precision": "float32",
}  # fmt: skip


def model_of(card: Card, seed: int = 0) -> Model:
    """Random weights."""
    torch.manual_seed(seed)
    return Model(card.architecture.build().eval(), card, CPU)


def plain(model: Model) -> Model:
    """This model without the average."""
    return replace(model, card=replace(model.card, flip_average=False))


@pytest.fixture(scope="module")
def photos() -> list[np.ndarray]:
    draw = np.random.default_rng(0)
    return [draw.integers(0, 256, (32, 32, 3)).astype(np.uint8) for _ in range(5)]


def saved(folder: Path, members: Sequence[tuple[Network, Card]]) -> list[Path]:
    """The model files of some networks."""
    files = [folder / f"{number}.safetensors" for number in range(len(members))]
    for file, (network, card) in zip(files, members, strict=True):
        save_model(file, network, card)
    return files


def turned(photos: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [np.ascontiguousarray(photo[:, ::-1]) for photo in photos]


def logits(model: Model, photos: Sequence[np.ndarray], covariates: Tensor | None = None) -> Tensor:
    """By the formula of ``Preprocessing``, in one pass."""
    pixels = (
        torch.from_numpy((np.stack(photos) / 255.0 - PIXELS.mean) / PIXELS.std).float().permute(0, 3, 1, 2)
    )
    with torch.no_grad():
        return model.network(pixels) if covariates is None else model.network(pixels, covariates)


# Outputs ----------------------------------------------------------------------------------------------------


def test_probabilities_are_those_of_the_mean_logits(photos: list[np.ndarray]) -> None:
    model = model_of(replace(CARD, temperature=2.0))
    both = (logits(model, photos) + logits(model, turned(photos))) / 2
    found = model.predict(photos).outputs
    np.testing.assert_allclose(found, (both.double() / 2).softmax(dim=1), atol=1e-5)
    alone = plain(model).predict(photos).outputs
    np.testing.assert_allclose(alone, (logits(model, photos).double() / 2).softmax(dim=1), atol=1e-5)
    assert np.abs(found - alone).max() > 1e-2
    np.testing.assert_allclose(model.predict(turned(photos)).outputs, found, atol=1e-5)


def test_numbers_are_the_mean_of_two_predictions(photos: list[np.ndarray]) -> None:
    model = model_of(AGES)
    one, other = (plain(model).predict(each, known={"sex": "M"}).outputs for each in (photos, turned(photos)))
    np.testing.assert_allclose(
        model.predict(photos, known={"sex": "M"}).outputs, (one + other) / 2, rtol=1e-5
    )
    assert np.abs(one - other).max() > 0.01


def test_an_ensemble_takes_the_mean_of_such_answers(photos: list[np.ndarray], tmp_path: Path) -> None:
    models = [model_of(CARD, seed) for seed in (0, 1)]
    save_ensemble(
        tmp_path / "both.safetensors", saved(tmp_path, [(each.network, each.card) for each in models])
    )
    opened = mirada.load_model(tmp_path / "both.safetensors", device="cpu")
    assert opened.card.flip_average
    want = np.mean([each.predict(photos).outputs for each in models], axis=0)
    np.testing.assert_allclose(opened.predict(photos).outputs, want, atol=1e-6)


def test_the_first_parts_of_a_network_are_run_or_kept_for_both(tmp_path: Path) -> None:
    write_shapes(tmp_path / "shapes", count=20, size=32)
    cache = open_cache(load_data(tmp_path / "shapes"), PIXELS)
    model, rows = model_of(CARD), np.arange(12)
    features = Features(model.network, "stage2", cache, PIXELS, CPU, Views(Augmentation(), 1, 0))
    kept = open_features(features, "a network")
    assert kept.keep([Demand(view, rows) for view in judged(True)], lambda event: None, lambda: False)
    assert not kept.missing([Demand(PLAIN, rows), Demand(MIRRORED, rows)])
    images = read(cache, rows)
    want = (
        infer(model.network, images, PIXELS, CPU) + infer(model.network, images.flip(-1), PIXELS, CPU)
    ) / 2
    torch.testing.assert_close(
        infer(model.network, images, PIXELS, CPU, None, True), want, rtol=1e-5, atol=1e-5
    )
    for known in (None, features, kept):
        found = infer_cached(model.network, cache, rows, PIXELS, CPU, None, known, judged(True))
        torch.testing.assert_close(found, want, rtol=1e-4, atol=1e-4)


# Maps -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [None, "grad_cam"])
def test_a_map_is_the_mean_of_both_and_adds_up_to_the_mean(
    photos: list[np.ndarray], method: str | None
) -> None:
    model = model_of(CARD)
    target = "birch"
    found, one, other = (
        list(each.explain(shown, target=target, method=method))
        for each, shown in ((model, photos), (plain(model), photos), (plain(model), turned(photos)))
    )
    both = (logits(model, photos) + logits(model, turned(photos))) / 2
    bias = float(model.network.head.linear.bias[1].detach())  # type: ignore[union-attr]
    for row, (whole, first, second) in enumerate(zip(found, one, other, strict=True)):
        np.testing.assert_allclose(whole.map, (first.map + second.map[:, ::-1]) / 2, atol=1e-4)
        assert whole.title == f"{first.title}, mean of the image and its mirror image"
        if method is None:
            assert whole.map.mean() + bias == pytest.approx(float(both[row, 1]), abs=1e-3)
            assert whole.completeness_error is not None and whole.completeness_error < 1e-2


def test_the_class_that_is_explained_is_that_of_the_answer(photos: list[np.ndarray]) -> None:
    model = model_of(CARD)
    for shown, answer in zip(model.explain(photos), model.predict(photos).outputs, strict=True):
        best = int(answer.argmax())
        assert shown.subject == f"evidence for {model.card.classes[best]}"
        assert shown.answer == f"{model.card.classes[best]} ({answer[best]:.1%})"


# Files ------------------------------------------------------------------------------------------------------


def test_only_files_with_the_average_say_so(tmp_path: Path) -> None:
    """An older reader, which would leave it out, knows no such key and refuses the file; it reads all others."""
    network = CARD.architecture.build()
    save_model(tmp_path / "both", network, CARD)
    save_model(tmp_path / "plain", network, replace(CARD, flip_average=False))
    assert load_card(tmp_path / "both") == CARD and load_network(tmp_path / "both").card.flip_average
    assert not load_network(tmp_path / "plain").card.flip_average
    said = "Answers: the mean for an image and its mirror image."
    told = {name: CliRunner().invoke(summary, [str(tmp_path / name)]).output for name in ("both", "plain")}
    assert said in told["both"] and said not in told["plain"]
    new, old = json.loads(CARD.to_json()), json.loads(replace(CARD, flip_average=False).to_json())
    assert new["flip_average"] is True and "flip_average" not in old
    assert Card.from_json(json.dumps(old)) == replace(CARD, flip_average=False)
    for wrong in (1, "true", None):
        with pytest.raises(CheckpointError, match=r"cannot be understood"):
            Card.from_json(json.dumps({**old, "flip_average": wrong}))


def test_networks_of_an_ensemble_answer_alike(tmp_path: Path) -> None:
    network = CARD.architecture.build()
    sources = saved(tmp_path, [(network, CARD), (network, replace(CARD, flip_average=False))])
    with pytest.raises(InvalidArgument, match=r"its networks differ in their flip_average"):
        save_ensemble(tmp_path / "both", sources)


# A run ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "shapes"
    write_shapes(root, count=60, size=32)
    return root


def explicit(network: Network, card: Card, images: Tensor) -> Tensor:
    both = [infer(network, each, card.preprocessing, CPU) for each in (images, images.flip(-1))]
    return (both[0] + both[1]) / 2


@pytest.mark.parametrize("freeze", ["", "all"])
def test_a_run_is_judged_by_the_average(shapes: Path, tmp_path: Path, freeze: str) -> None:
    """Validation, calibration, the table of predictions, and the model afterwards; on kept features, too."""
    events: list[Event] = []
    settings = {**QUICK, "flip_average": True, "freeze": freeze, "augment": "none", "epochs": 1}
    run = mirada.train(shapes, output=tmp_path / "run", on_event=events.append, **settings)
    (said,) = [event.text for event in events if isinstance(event, HowToRead)]
    assert said.startswith("Answers are the mean of the outputs for an image and for its mirror image")
    assert said in unescape(run.report_path.read_text(encoding="utf-8"))
    network, card = load_network(run.model_path)
    assert card.flip_average and card.recipe["flip_average"] is True
    table = run.predictions
    assert table is not None
    index = load_data(shapes)
    row_of = {path: row for row, path in enumerate(index.paths)}
    cache = open_cache(index.take([row_of[path] for path in table.paths]), card.preprocessing)
    raw = torch.cat(
        [explicit(network, card, read(cache, part)) for part in chunks(np.arange(len(table)), 64)]
    )
    np.testing.assert_allclose(table.outputs, card.read_outputs(raw).numpy(), atol=1e-4)
    val = np.flatnonzero(table.splits == "val")
    loss = torch.nn.functional.cross_entropy(raw[val], torch.from_numpy(table.targets[val]))
    assert read_run(run.folder).epochs[-1]["val_loss"] == pytest.approx(loss.item(), abs=1e-4)
    again: Predictions = mirada.load_model(run.model_path, device="cpu").predict(cache.index)
    np.testing.assert_allclose(again.outputs, table.outputs, atol=1e-5)
    planned = [event for event in events if isinstance(event, FeaturesPlanned)]
    assert bool(planned) == bool(freeze)
    if freeze:  # validation images have been kept in training
        assert planned[-1].rows == 2 * len(table) and planned[-1].missing == 2 * (len(table) - len(val))


def test_folds_answer_so_and_say_it_once(shapes: Path, tmp_path: Path) -> None:
    index = load_data(shapes)
    index = replace(index.take(np.flatnonzero(index.splits == "train")), source=None)
    settings = {**QUICK, "flip_average": True, "average": "ema", "epochs": 1, "augment": "none"}
    folds = mirada.cross_validate(index, folds=2, output=tmp_path / "folds", **settings)
    told = read_run(folds.folder).beginnings
    assert [line.split(",")[0] for line in told] == [
        "From epoch 1 on",
        "Answers are the mean of the outputs for an image and for its mirror image (`flip_average`)",
    ]
    ensemble = mirada.load_model(folds.folder / "ensemble.safetensors", device="cpu")
    assert ensemble.card.flip_average and all(card.flip_average for _, card in ensemble.ensemble)
    for run in folds.runs:
        assert run.predictions is not None
        tested = run.predictions.of_split("test")
        row_of = {path: row for row, path in enumerate(index.paths)}
        shown = index.take([row_of[path] for path in tested.paths])
        again = mirada.load_model(run.model_path, device="cpu").predict(shown)
        np.testing.assert_allclose(again.outputs, tested.outputs, atol=1e-5)


def test_similar_images_are_those_of_the_image_itself(shapes: Path, tmp_path: Path) -> None:
    card = replace(CARD, target=Classes(("circle", "square", "star")), architecture=NET)
    model, index = model_of(card), load_data(shapes)
    index = index.take(np.flatnonzero(index.targets < 3))
    index = replace(index, target=card.target, splits=np.full(len(index), "train"))
    save_model(tmp_path / "m", model.network, card)
    training = training_features(model, tmp_path / "m", open_cache(index, PIXELS), model.compute)
    assert training is not None and len(training.paths) == len(index)
    few = index.take(np.arange(0, len(index), 3))
    answers = predict_with_similar(model, few, training)
    found = answers.similar
    assert len(answers) == len(found) == len(few)
    assert [each[0].path for each in found] == list(few.paths)  # each image is nearest to itself
    assert min(each[0].cosine for each in found) > 0.999


@pytest.mark.parametrize("names", [("left", "right"), ("Hand_L", "Hand_R")])
def test_refused_where_names_tell_left_from_right(
    names: tuple[str, str], shapes: Path, tmp_path: Path
) -> None:
    index = load_data(shapes)
    index = replace(index.take(np.flatnonzero(index.targets < 2)), target=Classes(names))
    with pytest.raises(
        RecipeError, match=rf'^`flip_average`: .* a mirror makes "{names[1]}" of "{names[0]}"\. Leave'
    ):
        mirada.train(index, output=tmp_path / "run", **QUICK, flip_average=True)
    assert not (tmp_path / "run").exists()
