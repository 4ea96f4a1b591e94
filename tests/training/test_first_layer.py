"""A first layer from a file of OverFeat's: found by its shape, whatever its name, and refused in a sentence."""

from hashlib import sha256
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from mirada.data.pixels.preprocessing import Preprocessing
from mirada.errors import CheckpointError, RecipeError
from mirada.layers.network import Network
from mirada.modelfile import Architecture, Card, save_model
from mirada.models import create_model
from mirada.samples import Classes
from mirada.training.first_layer import load_first_layer
from mirada.training.recipe import Recipe
from mirada.training.start import starting_scale


@pytest.fixture(scope="module")
def overfeat() -> Network:
    torch.manual_seed(4)
    return create_model("overfeat_accurate", num_classes=2, image_size=77, head="average")


def bonet(channels: int = 3) -> Network:
    torch.manual_seed(5)
    return create_model("bonet_simple", in_channels=channels, image_size=40)


def first(network: Network) -> tuple[Tensor, Tensor]:
    return network.stem[0].conv.weight, network.stem[0].conv.bias  # type: ignore[index, union-attr]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_overfeats_layer_is_copied_and_nothing_else(suffix: str, overfeat: Network, tmp_path: Path) -> None:
    file = tmp_path / f"overfeat.{suffix}"
    state = {name: value.detach().contiguous() for name, value in overfeat.state_dict().items()}
    if suffix == "pth":
        torch.save({"state_dict": state}, file)
    else:
        save_file(state, file)
    network = bonet()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    told = load_first_layer(network, file)
    for ours, theirs in zip(first(network), first(overfeat), strict=True):
        assert torch.equal(ours, theirs)
    assert all(torch.equal(value, before[n]) for n, value in network.state_dict().items() if "stem" not in n)
    assert str(told) == f"overfeat.{suffix}: stem.0.conv.weight is the first layer."
    assert told.sha256 == sha256(file.read_bytes()).hexdigest()
    assert all(value.requires_grad for value in network.parameters())


def test_for_grey_images_the_colours_are_summed(overfeat: Network, tmp_path: Path) -> None:
    """A grey image gives what it gave OverFeat in three equal channels; a file without a bias gives none."""
    torch.save({"features.0.weight": first(overfeat)[0].detach()}, tmp_path / "layer.pth")
    network = bonet(1)
    told = load_first_layer(network, tmp_path / "layer.pth")
    assert str(told).endswith(
        "features.0.weight is the first layer, summed over red, green and blue, for grey images."
    )
    grey = torch.randn(2, 1, 40, 40)
    theirs = torch.nn.functional.conv2d(grey.expand(-1, 3, -1, -1), first(overfeat)[0], stride=2)
    ours = torch.nn.functional.conv2d(grey, *first(network), stride=2)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert (first(network)[1] == 0).all()


@pytest.mark.slow
def test_a_model_file_says_its_scale_too(overfeat: Network, tmp_path: Path) -> None:
    pre = Preprocessing(size=(77, 77), mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
    card = Card(
        architecture=Architecture(model="overfeat_accurate", outputs=2, in_channels=3, image_size=(77, 77),
            options={"head": "average"},
        ),
        target=Classes(("a", "b")), preprocessing=pre,
    )  # fmt: skip
    save_model(tmp_path / "model.safetensors", overfeat, card)
    network = bonet()
    load_first_layer(network, tmp_path / "model.safetensors")
    assert torch.equal(first(network)[0], first(overfeat)[0])
    recipe = Recipe(first_layer=str(tmp_path / "model.safetensors"))
    assert starting_scale(recipe, None, 3) == (pre.mean, pre.std)
    mean, _ = starting_scale(recipe, None, 1) or ((), ())
    assert mean == pytest.approx((0.5,))
    assert starting_scale(recipe.with_settings({"normalize": "data"}), None, 3) is None


def test_what_cannot_be_taken(tmp_path: Path) -> None:
    fast, two, none, bias = (tmp_path / name for name in ("fast.pth", "two.pth", "none.pth", "bias.pth"))
    torch.save({"stem.weight": torch.zeros(96, 3, 11, 11), "b": torch.zeros(96, 256, 7, 7)}, fast)
    torch.save({"one": torch.zeros(96, 3, 7, 7), "other": torch.zeros(96, 3, 7, 7)}, two)
    torch.save({"linear.weight": torch.zeros(4, 4)}, none)
    torch.save({"a.weight": torch.ones(96, 3, 7, 7), "a.bias": torch.ones(64)}, bias)
    said = {
        bias: "the bias of a.weight is (64,), and its 96 maps need as many numbers.",
        fast: "has no first layer of (96, 3, 7, 7), which the network needs; stem.weight is (96, 3, 11, 11).",
        two: "one and other could both be the first layer. Save one alone.",
        none: "has no first layer of (96, 3, 7, 7), which the network needs; no convolution of images is in it.",
        tmp_path / "absent.pth": "the checkpoint cannot be read (no such file or directory).",
    }
    network = bonet()
    before = first(network)[0].clone()
    for file, text in said.items():
        with pytest.raises(CheckpointError) as caught:
            load_first_layer(network, file)
        assert str(caught.value) == f"{file}: {text}"
    assert torch.equal(first(network)[0], before)
    torch.save({"weight": torch.zeros(96, 3, 7, 7)}, fast)
    with pytest.raises(RecipeError, match=r"^first_layer: this network does not begin with a convolution\."):
        load_first_layer(create_model("mlp"), fast)
