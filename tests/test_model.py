"""A trained model in use: the same pixels everywhere, names that travel, bad files that are named."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from mirada.data.batches import normalize
from mirada.data.cache import open_cache
from mirada.data.index import Index
from mirada.data.pixels.decode import DecodeError
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.errors import CheckpointError, DataError, InvalidArgument
from mirada.evaluation.calibration import fit_temperature, scaled
from mirada.evaluation.conformal import fit_conformal
from mirada.evaluation.infer import infer
from mirada.events import Progress
from mirada.inference import model as model_module
from mirada.inference.model import Model, load_model
from mirada.layers.network import Network
from mirada.modelfile import Architecture, Card, load_network, save_model
from mirada.samples import Classes, Covariate, Numbers, Scaling, Source

CLASSES = ("ash", "birch", "cedar")
COLOUR = Preprocessing(size=(32, 32), mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25))


def card(model: str = "resnet18", **changes: Any) -> Card:
    plain = Card(
        architecture=Architecture(model=model, outputs=3, in_channels=3, image_size=(32, 32)),
        target=Classes(CLASSES),
        preprocessing=COLOUR,
    )
    return replace(plain, **changes)


def at_64(small: Card) -> Card:
    """The same for images of 64 pixels, which leave resnet18 maps of 2 × 2 before its head, and not of one cell."""
    return replace(
        small,
        architecture=replace(small.architecture, image_size=(64, 64)),
        preprocessing=replace(small.preprocessing, size=(64, 64)),
    )


PLAIN = Architecture(model="resnet18", outputs=1, in_channels=3, image_size=(32, 32))
NUMBER = card(architecture=PLAIN, target=Numbers(unit="months"), target_scaling=Scaling((100.0,), (20.0,)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of several sizes; one is turned by EXIF, one is grey, two cannot be decoded."""
    root = tmp_path_factory.mktemp("photos")
    draw = np.random.default_rng(0)
    for number, shape in enumerate([(40, 60, 3), (33, 47, 3), (64, 64, 3), (20, 90, 3), (50, 50)]):
        Image.fromarray(draw.integers(0, 256, shape).astype(np.uint8)).save(root / f"{number}.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: 60 × 40 stored, 40 × 60 seen
    blocks = draw.integers(0, 256, (5, 8, 3)).astype(np.uint8).repeat(16, 0).repeat(16, 1)
    Image.fromarray(blocks).save(root / "turned.jpg", exif=exif, quality=95)
    (root / "cut.png").write_bytes((root / "0.png").read_bytes()[:900])
    (root / "text.png").write_text("no image")
    return root


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Card], Model]:
    """A model with random weights for a card, from its file."""
    files = tmp_path_factory.mktemp("models")
    made: dict[str, Model] = {}

    def make(wanted: Card) -> Model:
        name = sha256(wanted.to_json().encode()).hexdigest()
        if name not in made:
            torch.manual_seed(1)
            save_model(files / name, wanted.architecture.build(), wanted)
            made[name] = load_model(files / name, device="cpu")
        return made[name]

    return make


def an_index(root: Path, names: list[str], **changes: Any) -> Index:
    plain = Index(
        root=root,
        paths=tuple(names),
        targets=np.arange(len(names)) % 3,
        splits=np.array(["test"] * len(names)),
        target=Classes(CLASSES),
    )
    return replace(plain, **changes)


PNGS = [f"{number}.png" for number in range(5)]


def by_hand(file: Path) -> Tensor:
    """The network's input by Pillow and torch alone."""
    with Image.open(file) as image:
        pixels = np.asarray(image.convert("RGB").resize((32, 32), Image.Resampling.BILINEAR))
    tensor = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255
    return (tensor - torch.tensor(COLOUR.mean).view(1, 3, 1, 1)) / torch.tensor(COLOUR.std).view(1, 3, 1, 1)


def test_predicting_files(folder: Path, opened: Callable[[Card], Model]) -> None:
    loaded = opened(card())
    files = [folder / name for name in PNGS]
    found = loaded.predict(files)
    with torch.no_grad():
        expected = torch.cat([loaded.network(by_hand(file)) for file in files]).softmax(1)
    np.testing.assert_allclose(found.outputs, expected.numpy(), atol=2e-5)
    assert found.paths == tuple(map(str, files))
    assert found.splits.tolist() == [""] * 5 and not found.known.any() and found.failed == ()
    assert found.classes == CLASSES and found.task == "classification"


def test_bad_files_are_named_and_the_others_keep_their_place(
    folder: Path, opened: Callable[[Card], Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_module, "images_at_once", lambda size, device: 2)
    loaded = opened(card())
    names = ["cut.png", "0.png", "1.png", "text.png", "2.png", "absent.png", "3.png"]
    found = loaded.predict([str(folder / name) for name in names])
    good = [str(folder / f"{number}.png") for number in range(4)]
    assert list(found.paths) == good
    np.testing.assert_allclose(found.outputs, loaded.predict(good).outputs, atol=1e-6)
    reasons = {Path(item.path).name: item.reason for item in found.failed}
    assert list(reasons) == ["cut.png", "text.png", "absent.png"]
    assert "truncated" in reasons["cut.png"]
    assert "not an image" in reasons["text.png"]
    assert reasons["absent.png"] == "cannot be read (no such file or directory)"


def test_nothing_left_to_predict(folder: Path, opened: Callable[[Card], Model]) -> None:
    for wanted, width in ((card(), 3), (NUMBER, 1)):
        assert opened(wanted).predict([]).outputs.shape == (0, width)
        found = opened(wanted).predict([folder / "cut.png"])
        assert found.outputs.shape == (0, width) and len(found.failed) == 1


def test_a_single_name_is_no_list(folder: Path, opened: Callable[[Card], Model]) -> None:
    for images in (str(folder / "0.png"), folder / "0.png"):
        for call in (opened(card()).predict, lambda images: list(opened(card()).explain(images))):
            with pytest.raises(InvalidArgument, match=r"^Expected a list of images\. Got the .*/0\.png\""):
                call(images)  # type: ignore[operator]


def test_predicting_an_index(folder: Path, opened: Callable[[Card], Model]) -> None:
    index = an_index(folder, [*PNGS, "cut.png"], splits=np.array(["val", "test"] * 3))
    heard: list[Progress] = []
    found = opened(card()).predict(index, on_event=heard.append)
    assert found.paths == tuple(PNGS) and found.splits.tolist() == ["val", "test", "val", "test", "val"]
    assert found.targets.tolist() == [0, 1, 2, 0, 1]
    assert [item.path for item in found.failed] == ["cut.png"]
    assert heard[-1] == Progress("predicting", 6, 6)
    paths = [folder / name for name in PNGS]
    np.testing.assert_array_equal(found.outputs, opened(card()).predict(paths).outputs)


def test_classes_are_matched_by_name(folder: Path, opened: Callable[[Card], Model]) -> None:
    index = an_index(
        folder, PNGS, target=Classes(("cedar", "ash")), targets=np.array([0, 1, -1, 0, 1])
    )  # the third has no target
    found = opened(card()).predict(index)
    assert found.classes == CLASSES
    assert found.targets.tolist() == [2, 0, -1, 2, 0]


def test_data_that_do_not_go_with_the_model(folder: Path, opened: Callable[[Card], Model]) -> None:
    with pytest.raises(DataError) as caught:
        opened(card()).predict(an_index(folder, PNGS, target=Classes(("ash", "birk", "cedar"))))
    assert str(caught.value) == (
        f'{folder}: has the class "birk", which the model does not have. Did you mean "birch"? '
        f"Known: ash, birch, cedar."
    )
    numbers = an_index(folder, PNGS, target=Numbers(unit="years"), targets=np.arange(5.0))
    with pytest.raises(DataError, match=r"data for regression; the model was trained for classification\.$"):
        opened(card()).predict(numbers)
    of_a_table = replace(numbers, root=Path(), source=Source(path=Path("ages.csv")))
    with pytest.raises(DataError, match=r"^ages\.csv: data for regression; the model"):
        opened(card()).predict(of_a_table)
    with pytest.raises(DataError, match=r": is in years; the model was trained in months\.$"):
        opened(NUMBER).predict(numbers)
    assert opened(NUMBER).predict(replace(numbers, target=Numbers())).unit == "months"


def test_regression_speaks_the_unit(folder: Path, opened: Callable[[Card], Model]) -> None:
    loaded = opened(NUMBER)
    files = [folder / name for name in PNGS]
    found = loaded.predict(files)
    with torch.no_grad():
        raw = torch.cat([loaded.network(by_hand(file)) for file in files]).double()
    np.testing.assert_allclose(found.predicted, raw[:, 0].numpy() * 20 + 100, atol=1e-3)
    assert found.task == "regression" and found.unit == "months" and found.classes == ()


@pytest.mark.parametrize("policy", ["stretch", "pad", "frame", "crop"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_the_same_pixels_in_every_verb(
    mode: str, policy: str, folder: Path, opened: Callable[[Card], Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cache, evaluation, prediction and explanation give the network bit-identical inputs."""
    channels = 3 if mode == "RGB" else 1
    pre = Preprocessing(
        mode=mode, size=(32, 32), policy=policy, mean=(0.4,) * channels, std=(0.3,) * channels  # type: ignore[arg-type]
    )  # fmt: skip
    of_channels = Architecture(model="resnet18", outputs=3, in_channels=channels, image_size=(32, 32))
    loaded = opened(card(architecture=of_channels, preprocessing=pre))
    names = [*PNGS, "turned.jpg"]
    index = an_index(folder, names)
    cache = open_cache(index, replace(pre, mean=(0.0,) * channels, std=(1.0,) * channels))
    seen: dict[str, list[str]] = {}

    def listen(where: str) -> Callable[[Tensor, Preprocessing], Tensor]:
        def hear(images: Tensor, preprocessing: Preprocessing) -> Tensor:
            assert preprocessing == pre
            pixels = images.to(torch.uint8)
            assert torch.equal(pixels.float(), images)
            seen.setdefault(where, []).extend(
                sha256(image.permute(1, 2, 0).contiguous().numpy()).hexdigest() for image in pixels
            )
            return normalize(images, preprocessing)

        return hear

    monkeypatch.setattr("mirada.evaluation.infer.normalize", listen("evaluate"))
    loaded.predict_cached(cache, ["test"])
    monkeypatch.setattr("mirada.evaluation.infer.normalize", listen("predict"))
    loaded.predict([folder / name for name in names])
    monkeypatch.setattr("mirada.inference.explained.normalize", listen("explain"))
    list(loaded.explain([folder / name for name in names]))
    trained = [sha256(cache.pixels[row].tobytes()).hexdigest() for row in cache.rows]
    assert seen["evaluate"] == seen["predict"] == seen["explain"] == trained
    assert len(set(trained)) == len(names)


def test_cached_and_fresh_predictions_agree(folder: Path, opened: Callable[[Card], Model]) -> None:
    index = an_index(folder, PNGS, splits=np.array(["train", "val", "test", "val", "test"]))
    cache = open_cache(index, COLOUR)
    found = opened(card()).predict_cached(cache, ["val", "test"])
    assert found.paths == ("1.png", "3.png", "2.png", "4.png")
    assert found.splits.tolist() == ["val", "val", "test", "test"]
    assert found.targets.tolist() == [1, 0, 2, 1]
    fresh = opened(card()).predict([folder / path for path in found.paths])
    np.testing.assert_array_equal(found.outputs, fresh.outputs)


def test_a_cache_calibrates_and_is_predicted_in_one_pass(
    folder: Path, opened: Callable[[Card], Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    index = an_index(folder, PNGS, splits=np.array(["train", "val", "test", "val", "test"]))
    cache, model = open_cache(index, COLOUR), opened(card())
    wanted = model.calibrated(model.predict_cached(cache, ["val"]))
    told = wanted.predict_cached(cache, ["val", "test"])
    seen: list[int] = []

    def counted(network: Network, images: Tensor, *rest: Any) -> Tensor:
        seen.append(len(images))
        return infer(network, images, *rest)

    monkeypatch.setattr("mirada.evaluation.features.infer", counted)
    better, found = model.calibrated_on(cache, ["val", "test"])
    assert sum(seen) == 4
    assert better.card.temperature == pytest.approx(wanted.card.temperature)
    assert found.paths == told.paths
    np.testing.assert_allclose(found.outputs, told.outputs)


def upright(file: Path) -> NDArray[np.uint8]:
    with Image.open(file) as image:
        turned = image.rotate(-90, expand=True) if file.suffix == ".jpg" else image
        return np.asarray(turned.convert("RGB"))


def test_explanations_lie_on_the_photo(folder: Path, opened: Callable[[Card], Model]) -> None:
    loaded = opened(at_64(card()))
    files = [folder / name for name in (*PNGS, "turned.jpg")]
    answers = loaded.predict(files)
    for row, seen in enumerate(loaded.explain(files)):
        photo = upright(files[row])
        assert seen.path == files[row]
        np.testing.assert_array_equal(seen.photo, photo)
        assert seen.heat.shape == photo.shape[:2]
        assert seen.picture(colour_bar=False).shape == photo.shape
        assert seen.picture().shape[0] > photo.shape[0]
        assert seen.title == "class activation map (exact)"
        assert seen.completeness_error is not None and seen.completeness_error < 1e-4
        best = CLASSES[int(answers.predicted[row])]
        assert seen.subject == f"evidence for {best}" and seen.unit == "logits"
        assert seen.answer == f"{best} ({answers.probability[row]:.1%})"
        assert seen.limit == np.abs(seen.map).max()


def test_a_map_adds_up_to_its_class(folder: Path, opened: Callable[[Card], Model]) -> None:
    loaded = opened(at_64(card()))
    for number, name in enumerate(CLASSES):
        (seen,) = loaded.explain([folder / "2.png"], target=name)
        with torch.no_grad():
            pixels = torch.from_numpy(seen.photo.copy()).permute(2, 0, 1)[None].float()
            output = loaded.network(normalize(pixels, loaded.card.preprocessing))[0, number]
            bias = loaded.network.head.linear.bias[number].item()  # type: ignore[union-attr, index]
        assert seen.map.shape == (2, 2)
        assert seen.map.mean() + bias == pytest.approx(float(output), abs=1e-4)
        assert seen.subject == f"evidence for {name}"


def test_a_regression_map_is_in_the_unit(folder: Path, opened: Callable[[Card], Model]) -> None:
    loaded = opened(at_64(NUMBER))
    files = [folder / name for name in PNGS]
    values = loaded.predict(files).predicted
    for value, seen in zip(values, loaded.explain(files), strict=True):
        bias = loaded.network.head.linear.bias[0].item()  # type: ignore[union-attr, index]
        assert seen.map.mean() + bias * 20 + 100 == pytest.approx(value, abs=1e-3)
        assert seen.unit == "months" and seen.subject == "what raises the months"
        assert seen.answer == f"{value:.4g} months"


def test_grad_cam_need_not_add_up(folder: Path, opened: Callable[[Card], Model]) -> None:
    (seen,) = opened(card("simplecnn")).explain([folder / "0.png"])
    assert seen.title == "Grad-CAM" and seen.completeness_error is None


def test_where_the_last_maps_have_one_cell_the_layer_before_is_shown(
    folder: Path, opened: Callable[[Card], Model]
) -> None:
    """32 pixels leave resnet18 one cell: all images say so alike, and the caption names the layer."""
    for seen in opened(card()).explain([folder / name for name in PNGS]):
        assert seen.map.shape == (2, 2) and seen.layer == "stage3" and seen.title == "Grad-CAM at stage3"
        assert seen.remark.startswith("stage4 keeps no places")
    (asked,) = opened(card()).explain([folder / "0.png"], method="hires_cam", layer="stage1")
    assert asked.map.shape == (8, 8) and asked.title == "HiResCAM at stage1" and asked.remark == ""
    with pytest.raises(
        InvalidArgument, match=r'^The maps of "stage4" are 1 × 1: .* Did you mean "stage3"\?$'
    ):
        list(opened(card()).explain([folder / "0.png"], layer="stage4"))


def test_one_sigmoid_output_speaks_for_both_classes(folder: Path, opened: Callable[[Card], Model]) -> None:
    loaded = opened(card(architecture=PLAIN, target=Classes(("ash", "birch"))))
    (first,) = loaded.explain([folder / "0.png"], target="ash")
    (second,) = loaded.explain([folder / "0.png"], target="birch")
    np.testing.assert_array_equal(first.map, -second.map)


def test_explaining_many_keeps_few_photos(
    folder: Path, opened: Callable[[Card], Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_module, "EXPLAINED_AT_ONCE", 2)
    found = opened(card()).explain([folder / name for name in PNGS], max_side=30)
    assert isinstance(found, Iterator)
    assert [seen.photo.shape[:2] for seen in found] == [(20, 30), (21, 30), (30, 30), (7, 30), (30, 30)]


def test_what_cannot_be_explained(folder: Path, opened: Callable[[Card], Model]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        list(opened(card()).explain([folder / "0.png"], target="beech"))
    assert str(caught.value) == (
        'The model has no class "beech". Did you mean "birch"? Known: ash, birch, cedar.'
    )
    with pytest.raises(InvalidArgument, match=r"^A model of a number has no classes to choose from\. Leave"):
        list(opened(NUMBER).explain([folder / "0.png"], target="months"))
    with pytest.raises(
        DecodeError, match=r"text\.png: not an image in a format that is read \(AVIF, BMP, .*\)\.$"
    ):
        list(opened(card()).explain([folder / "text.png"]))


def test_opening(tmp_path: Path, folder: Path) -> None:
    torch.manual_seed(0)
    save_model(tmp_path / "m", card("lenet5").architecture.build(), card("lenet5"))
    opened = load_model(tmp_path / "m", device="cpu")
    assert str(opened.compute) == "cpu in float32" and not opened.network.training
    network, read = load_network(tmp_path / "m")
    assert read == opened.card
    for key, value in network.state_dict().items():
        assert torch.equal(value, opened.network.state_dict()[key])
    with pytest.raises(InvalidArgument, match=r'^The device "abacus" is not available here'):
        load_model(tmp_path / "m", device="abacus")
    with pytest.raises(CheckpointError, match="do not begin like a"):
        load_model(folder / "0.png")


# What is known beside the images --------------------------------------------------------------------------------

BESIDE = replace(
    NUMBER,
    architecture=replace(PLAIN, covariates=2),
    covariates=(Covariate("male", binary=True), Covariate("kg")),
    covariate_scaling=Scaling((0.5, 30.0), (0.5, 10.0)),
)
TWO = replace(
    BESIDE,
    architecture=replace(PLAIN, outputs=2, covariates=2),
    target=Numbers(("age", "height"), "months"),
    target_scaling=Scaling((100.0, 1.5), (20.0, 0.5)),
)


@pytest.fixture
def knowing(tmp_path: Path) -> Callable[[Card], Model]:
    """A model whose covariates matter."""

    def make(wanted: Card) -> Model:
        torch.manual_seed(1)
        network = wanted.architecture.build()
        with torch.no_grad():
            network.head.joint.weight[:, -2:] = torch.tensor([1.5, -0.5])  # type: ignore[union-attr]
        save_model(tmp_path / "knowing", network, wanted)
        return load_model(tmp_path / "knowing", device="cpu")

    return make


def patients(folder: Path, **changes: Any) -> Index:
    values: dict[str, Any] = {
        "root": folder, "paths": tuple(PNGS[:3]), "targets": np.array([90.0, 100.0, 110.0]),
        "splits": np.array(["test"] * 3), "target": Numbers(unit="months"),
        "covariates": np.array([[20.0, 7.0, 1.0], [30.0, 7.0, 0.0], [50.0, 7.0, 1.0]]),
        "covariate_specs": tuple(map(Covariate, ("kg", "other", "male"))), "groups": ("ann", "ann", "bob"),
    }  # fmt: skip
    return Index(**(values | changes))


def test_covariates_are_matched_by_name(folder: Path, knowing: Callable[[Card], Model]) -> None:
    """And do what the formula says: 20 · (1.5 · ±1 − 0.5 · (kg − 30) / 10) months more than at their mean."""
    model, index = knowing(BESIDE), patients(folder)
    found = model.predict(index)
    at_mean = model.predict([folder / name for name in PNGS[:3]], known={"male": 0.5, "kg": 30})
    expected = 20 * np.array([1.5 + 0.5, -1.5, 1.5 - 1.0])
    np.testing.assert_allclose(found.predicted - at_mean.predicted, expected, rtol=1e-4)
    assert found.covariate_names == ("kg", "other", "male") and len(set(found.groups)) == 2
    assert "ann" not in found.groups and found.known.all() and not at_mean.known.any()
    cache = open_cache(index, COLOUR)
    np.testing.assert_allclose(model.predict_cached(cache, ["test"]).predicted, found.predicted, rtol=1e-5)
    overridden = model.predict(index, known={"male": 0.5, "kg": 30})
    np.testing.assert_allclose(overridden.predicted, at_mean.predicted, rtol=1e-6)
    assert overridden.covariate_names == ("kg", "other", "male")
    assert overridden.covariates.tolist() == [[30.0, 7.0, 0.5]] * 3
    assert at_mean.covariate_names == ("male", "kg") and at_mean.covariates.tolist() == [[0.5, 30.0]] * 3


def test_explaining_with_covariates_is_exact(folder: Path, knowing: Callable[[Card], Model]) -> None:
    model, index = knowing(at_64(BESIDE)), patients(folder)
    values = model.predict(index).predicted
    seen = list(model.explain(index))
    assert [each.answer for each in seen] == [f"{value:.4g} months" for value in values]
    assert all(
        each.title == "class activation map (exact)" and (each.completeness_error or 0) < 1e-4
        for each in seen
    )
    (alone,) = model.explain([folder / PNGS[0]], known={"male": 1, "kg": 20})
    np.testing.assert_allclose(alone.map, seen[0].map, rtol=1e-4, atol=1e-5)
    assert alone.answer == seen[0].answer


def test_every_part_keeps_its_mode(folder: Path, knowing: Callable[[Card], Model]) -> None:
    """With covariates as without: whoever trains on with ``model.network`` finds it as it was."""
    model, index = knowing(BESIDE), patients(folder)
    model.network.train()
    model.network.stem.eval()
    before = {name: module.training for name, module in model.network.named_modules()}
    model.predict(index)
    list(model.explain(index))
    assert {name: module.training for name, module in model.network.named_modules()} == before
    model.network.eval()
    model.predict(index)
    assert not any(module.training for module in model.network.modules())


def test_a_bad_file_does_not_shift_the_covariates(folder: Path, knowing: Callable[[Card], Model]) -> None:
    model = knowing(BESIDE)
    whole = model.predict(patients(folder))
    holed = model.predict(patients(folder, paths=(PNGS[0], "cut.png", PNGS[2])))
    np.testing.assert_allclose(holed.predicted, whole.predicted[[0, 2]], rtol=1e-6)
    assert [file.path for file in holed.failed] == ["cut.png"]


def test_covariates_that_are_not_there(folder: Path, knowing: Callable[[Card], Model]) -> None:
    model, files = knowing(BESIDE), [folder / PNGS[0]]
    sentence = (
        "The model reads male, kg as well as each image, and these come without {}. Say it of all images "
        "(--known {}=VALUE), or use data that has it as a covariate."
    )
    with pytest.raises(InvalidArgument, match=r'^The covariate "kg" is a number\. Got "much"\.$'):
        model.predict(files, known={"male": 1, "kg": "much"})
    bare = patients(folder, covariates=np.empty((3, 0)), covariate_specs=())
    for images, known, missing in ((files, None, "male"), (files, {"male": 1.0}, "kg"), (bare, None, "male")):
        for call in (model.predict, lambda *a, **k: list(model.explain(*a, **k))):
            with pytest.raises(DataError) as error:
                call(images, known=known)
            assert str(error.value) == sentence.format(missing, missing)
    with pytest.raises(InvalidArgument, match=r'^The model reads no covariate "mal"\. Did you mean "male"\?'):
        model.predict(files, known={"mal": 1})
    with pytest.raises(DataError, match=r"1\.png: a covariate that the model reads is no number there"):
        model.predict(patients(folder, covariates=np.array([[1.0, 1, 1], [np.nan, 1, 1], [1, 1, 1]])))


def test_texts_are_told_by_their_value(folder: Path, knowing: Callable[[Card], Model]) -> None:
    model, files = (
        knowing(replace(BESIDE, covariates=(Covariate("sex", "F"), Covariate("kg")))),
        [folder / PNGS[0]],
    )
    told = {
        value: model.predict(files, known={"sex": value, "kg": "20"}).predicted[0] for value in ("F", "M")
    }
    assert told["F"] - told["M"] == pytest.approx(20 * 2 * 1.5, rel=1e-4)
    assert model.predict(files, known={"sex=F": 1, "kg": 20}).predicted[0] == told["F"]
    with pytest.raises(
        DataError, match=r"as well as each image, and these come without sex\. .*--known sex=VALUE"
    ):
        model.predict(files)


def test_of_two_words_a_third_is_refused(folder: Path, knowing: Callable[[Card], Model]) -> None:
    model, files = (
        knowing(replace(BESIDE, covariates=(Covariate("sex", "M", "F"), Covariate("kg")))),
        [folder / PNGS[0]],
    )

    def told(**known: Any) -> float:
        return float(model.predict(files, known={"kg": 20, **known}).predicted[0])

    assert told(sex="M") - told(sex="F") == pytest.approx(20 * 2 * 1.5, rel=1e-4)
    assert told(**{"sex=M|F": 1}) == told(sex="M") and told(**{"sex=M|F": "0"}) == told(sex="F")
    with pytest.raises(InvalidArgument, match=r'^The covariate "sex" is M or F\. Got "x"\.$'):
        told(sex="x")
    columns = {
        "covariates": np.array([[20.0, 1.0], [20.0, 0.0], [20.0, 1.0]]),
        "covariate_specs": (Covariate("kg"), Covariate("sex", "M", "F")),
    }
    of_index = model.predict(patients(folder, **columns)).predicted
    assert of_index[0] == pytest.approx(told(sex="M"), rel=1e-6)
    older = knowing(replace(BESIDE, covariates=(Covariate("sex", "M"), Covariate("kg"))))
    np.testing.assert_array_equal(older.predict(patients(folder, **columns)).predicted, of_index)


def test_what_was_0_or_1_in_training_may_be_said_in_words(
    folder: Path, knowing: Callable[[Card], Model]
) -> None:
    model, files = knowing(BESIDE), [folder / PNGS[0]]
    for words, number in ((("True", "yes", "Y", True), 1), (("false", "NO", False), 0)):
        expected = model.predict(files, known={"male": number, "kg": 20}).predicted
        for word in words:
            found = model.predict(files, known={"male": word, "kg": 20}).predicted
            np.testing.assert_array_equal(found, expected)
    with pytest.raises(InvalidArgument, match=r'^The covariate "kg" is a number\. Got "yes"\.$'):
        model.predict(files, known={"male": 1, "kg": "yes"})


def test_a_model_of_images_alone_takes_none(folder: Path, opened: Callable[[Card], Model]) -> None:
    model = opened(NUMBER)
    with pytest.raises(
        InvalidArgument, match=r'^The model reads no covariate "male"\. It reads images alone\.$'
    ):
        model.predict([folder / PNGS[0]], known={"male": 1})
    np.testing.assert_array_equal(
        model.predict(patients(folder)).predicted,
        model.predict([folder / name for name in PNGS[:3]]).predicted,
    )


def test_several_numbers(folder: Path, knowing: Callable[[Card], Model]) -> None:
    """Matched by name, whatever their order; each can be explained."""
    model = knowing(at_64(TWO))
    targets = np.array([[7.0, 1.4, 90.0], [7.0, np.nan, 100.0], [7.0, 1.6, 110.0]])
    index = patients(folder, targets=targets, target=Numbers(("other", "height", "age"), "months"))
    found = model.predict(index)
    assert found.outputs.shape == (3, 2) and found.target_names == ("age", "height")
    np.testing.assert_array_equal(found.values, targets[:, [2, 1]])
    assert model.predict([folder / PNGS[0]], known={"male": 1, "kg": 20}).outputs == pytest.approx(
        found.outputs[:1]
    )
    first, *_ = model.explain(index)
    named, *_ = model.explain(index, target="height")
    assert first.subject == "what raises the age" and named.subject == "what raises the height"
    assert first.answer == f"age {found.outputs[0, 0]:.4g} months, height {found.outputs[0, 1]:.4g} months"
    bias = model.network.head.linear.bias[1].item() + 2.0  # type: ignore[union-attr, index]
    assert named.map.mean() + bias * 0.5 + 1.5 == pytest.approx(found.outputs[0, 1], abs=1e-4)
    with pytest.raises(InvalidArgument, match=r'^The model has no target "hight"\. Did you mean "height"\?'):
        list(model.explain(index, target="hight"))
    with pytest.raises(DataError, match=r'has no target "age", which the model predicts\. Name all of them'):
        model.predict(patients(folder))
    with pytest.raises(
        DataError, match=r"has 3 targets, and the model predicts one\. Name it with `target`\.$"
    ):
        knowing(BESIDE).predict(index)


# What validation teaches --------------------------------------------------------------------------------------


def test_a_calibrated_model_puts_out_scaled_probabilities(
    folder: Path, opened: Callable[[Card], Model]
) -> None:
    model = opened(card())
    index = Index(
        root=folder,
        paths=tuple(PNGS),
        targets=np.array([0, 1, 2, 0, 1]),
        splits=np.array(["val"] * 5),
        target=Classes(CLASSES),
    )
    plain = model.predict(index)
    many = replace(plain, targets=plain.predicted).take(np.tile(np.arange(5), 40))
    many = replace(many, targets=np.where(np.arange(200) % 9, many.targets, 1))  # some are wrong
    better = model.calibrated(many)
    assert better.card.temperature == fit_temperature(many.class_numbers, many.outputs) != 1.0
    np.testing.assert_allclose(
        better.predict(index).outputs, scaled(plain.outputs, better.card.temperature), atol=1e-9
    )
    scaled_many = replace(many, outputs=scaled(many.outputs, better.card.temperature))
    again = better.calibrated(scaled_many).card.temperature  # nothing is left to learn
    assert again == pytest.approx(better.card.temperature, rel=1e-4)
    assert better.card.conformal is None


def test_a_calibrated_model_of_numbers_has_intervals(folder: Path, opened: Callable[[Card], Model]) -> None:
    model = opened(NUMBER)
    index = patients(
        folder,
        paths=tuple(PNGS[0] for _ in range(19)),
        targets=np.arange(19.0),
        groups=(),
        splits=np.array(["val"] * 19),
        covariates=np.empty((19, 0)),
        covariate_specs=(),
    )
    found = model.predict(index)
    better = model.calibrated(found)
    assert better.card.conformal == fit_conformal(found.values, found.outputs)
    assert better.card.conformal is not None and better.card.conformal.n == 19
    told = better.predict([folder / name for name in PNGS])
    assert told.half_widths.tolist() == [list(better.card.conformal.half_widths)] * 5
    assert np.isnan(found.half_widths).all()
    save_model(folder / "m.safetensors", better.network, better.card)
    assert load_model(folder / "m.safetensors", device="cpu").card.conformal == better.card.conformal
    (folder / "m.safetensors").unlink()
    assert model.calibrated(found.take(range(5))).card.conformal is None  # too few
