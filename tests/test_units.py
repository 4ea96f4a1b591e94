"""Filters, activation maps, fibres and exciting images: against plain torch, and on hand-made images."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from mirada.cli import run as command_line
from mirada.compute import choose
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.errors import InvalidArgument
from mirada.explain.units import GROUND, activations_picture, filters_picture, photos_picture
from mirada.inference.matching import unlabeled
from mirada.inference.model import Model
from mirada.jobs.units import activation_maps, exciting_picture, fibre_at, first_filters, most_exciting
from mirada.modelfile import Architecture, Card, save_model
from mirada.models import create_model
from mirada.samples import Classes


@pytest.fixture(scope="module")
def model() -> Model:
    torch.manual_seed(0)
    architecture = Architecture(model="lenet5", outputs=2, in_channels=1, image_size=(32, 32))
    pre = Preprocessing(size=(32, 32), mode="L", mean=(0.3,), std=(0.5,))
    card = Card(architecture=architecture, preprocessing=pre, target=Classes(("a", "b")))
    return Model(architecture.build().eval(), card, choose("cpu", "float32"))


def photo(seed: int, size: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size, size), dtype=np.uint8)


def by_hand(model: Model, image: np.ndarray) -> torch.Tensor:
    """The two convolutions of lenet5 with their poolings, by plain torch."""
    weights = list(model.network.state_dict().values())
    x = (torch.from_numpy(image)[None, None].float() / 255 - 0.3) / 0.5
    x = F.max_pool2d(F.conv2d(x, weights[0], weights[1]), 2).relu()
    return F.max_pool2d(F.conv2d(x, weights[2], weights[3]), 2).relu()[0]


def test_activation_maps_and_fibre_are_those_of_plain_torch(model: Model) -> None:
    image = photo(0)
    expected = by_hand(model, image)
    found = activation_maps(model, image, "stage1")
    torch.testing.assert_close(torch.from_numpy(found), expected, rtol=1e-4, atol=1e-5)
    fibre = fibre_at(model, image, 31, 8)
    assert fibre.place == (0, 4)  # fields of 16 pixels, 4 apart: the middles are at 7.5 … 23.5
    torch.testing.assert_close(torch.from_numpy(fibre.values), expected[:, 0, 4], rtol=1e-4, atol=1e-5)
    assert fibre.field == (0, 16, 16, 32)
    assert fibre.picture().shape[2] == 3


def test_the_images_that_excite_a_unit_most(model: Model, tmp_path: Path) -> None:
    """Of 40 images in batches of 16: those whose map of the unit is largest by plain torch, in that order."""
    files = []
    for number in range(40):
        files.append(str(tmp_path / f"{number}.png"))
        Image.fromarray(photo(number)).save(files[-1])
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    index = unlabeled([*files, str(broken)], model.card)
    found, failed = most_exciting(model, index, "stage1", 5, most=4)
    peaks = {file: by_hand(model, photo(number))[5] for number, file in enumerate(files)}
    expected = sorted(files, key=lambda file: -float(peaks[file].max()))[:4]
    assert [each.path for each in found] == expected
    assert [each.path for each in failed] == [str(broken)]
    best = found[0]
    assert best.value == pytest.approx(float(peaks[best.path].max()), rel=1e-4)
    assert float(peaks[best.path][best.place]) == pytest.approx(best.value, rel=1e-4)
    assert best.field == (
        4 * best.place[0],
        4 * best.place[1],
        4 * best.place[0] + 16,
        4 * best.place[1] + 16,
    )
    assert exciting_picture(found, "stage1", 5).shape[2] == 3
    with pytest.raises(InvalidArgument, match=r"^stage1 has the units 0 to 15\. Got 16\.$"):
        most_exciting(model, index, "stage1", 16)
    with pytest.raises(InvalidArgument, match=r'^There is no layer "stage7"\. Did you mean "stage1"\?'):
        most_exciting(model, index, "stage7", 0)


def test_equal_images_are_named_in_their_order(model: Model, tmp_path: Path) -> None:
    files = [str(tmp_path / f"{number}.png") for number in range(3)]
    for file in files:
        Image.fromarray(photo(1)).save(file)
    found, _ = most_exciting(model, unlabeled(files, model.card), "stem", 0, most=2)
    assert [each.path for each in found] == files[:2]


def test_filters_are_those_of_the_first_convolution(model: Model) -> None:
    weights = first_filters(model)
    assert weights.shape == (6, 1, 5, 5)
    assert np.array_equal(weights, model.network.state_dict()["stem.0.weight"].numpy())
    plain = Model(create_model("mlp", num_classes=2, in_channels=1, image_size=32), model.card, model.compute)
    assert not any(isinstance(layer, nn.Conv2d) for layer in plain.network.modules())
    with pytest.raises(InvalidArgument, match=r"has no convolution, so it has no filters"):
        first_filters(plain)


def test_colours_of_filters() -> None:
    """Grey is 0, white the largest weight in all three channels, and every kernel has a tile."""
    weights = np.zeros((4, 3, 2, 2), dtype=np.float32)
    weights[0, :, 0, 0] = 2.0
    weights[1, 0, 0, 0] = -2.0
    picture = filters_picture(weights)
    assert picture[0, 0].tolist() == [255, 255, 255]
    assert picture[40, 40].tolist() == [128, 128, 128]
    assert picture[0, 50].tolist() == [0, 128, 128]  # the second tile, behind 48 pixels and a gap of 2


def test_tiles_of_activations() -> None:
    """Zero shows the ground, what is above it red, below it blue; all on one scale."""
    maps = np.zeros((4, 2, 2), dtype=np.float32)
    maps[0, 0, 0], maps[1, 0, 0] = 1.0, -1.0
    picture = activations_picture(maps, "stem")
    red, blue, ground = picture[0, 0].astype(int), picture[0, 50].astype(int), picture[40, 40].astype(int)
    assert red[0] > red[2] + 50 and blue[2] > blue[0] + 50
    assert ground.tolist() == [ground[0]] * 3 and 0.8 * GROUND < ground[0] <= GROUND
    with pytest.raises(InvalidArgument, match=r"^There are no photos to show\.$"):
        photos_picture([], "none")


def test_the_verb_writes_a_picture_of_each(
    model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_model(tmp_path / "m.safetensors", model.network, model.card)
    Image.fromarray(photo(0)).save(tmp_path / "p.png")
    words = [
        "units",
        str(tmp_path / "m.safetensors"),
        str(tmp_path / "p.png"),
        "--output",
        str(tmp_path / "u"),
    ]
    assert command_line([*words, "--filters", "--maps", "stem", "--at", "5,6", "--unit", "stage1:3"]) == 0
    written = sorted(file.name for file in (tmp_path / "u").glob("*.png"))
    assert written == ["filters.png", "p-at-5-6.png", "p-stem.png", "stage1-unit-3.png"]
    said = capsys.readouterr().out
    assert "6 filters of 5 x 5" in said and "6 maps of 14 x 14" in said
    assert "stage1, place (0, 0), which sees x 0 to 16, y 0 to 16 of the photo" in said
    assert command_line(words) == 2
    assert "Name one of --filters, --maps, --at and --unit." in capsys.readouterr().err
    assert command_line([*words, "--unit", "stage1"]) == 2
    assert command_line([*words, "--at", "5"]) == 2
