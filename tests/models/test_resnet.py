"""ResNet's options, its CIFAR networks and the plain twins, against the paper, NumPy and trained public weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from layer_rows import drawn, on_meta, parameters, stage_shapes
from PIL import Image
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mirada.errors import InvalidArgument
from mirada.layers.activation import Rectifier, ScaledTanh
from mirada.layers.network import Network
from mirada.models import create_model
from mirada.models.resnet import CIFAR_KEYS, TABLE, PaddedIdentity, Residual, resnet
from mirada.models.weights import convert

CIFAR = [name for name, (_, depths, _) in TABLE.items() if len(depths) == 3]
PLAIN = [name for name in TABLE if name.startswith("plain")]

# parameters, MACs per image; Table 6 of the paper rounds the CIFAR networks to 0.27, 0.46, 0.66, 0.85 and 1.7 million
TOTALS = {
    "plain18": (11_515_688, 1_794_805_760),
    "plain34": (21_623_848, 3_644_493_824),
    "resnet20": (269_722, 40_551_040),
    "resnet32": (464_154, 68_862_592),
    "resnet44": (658_586, 97_174_144),
    "resnet56": (853_018, 125_485_696),
    "resnet110": (1_727_962, 252_887_680),
}


def built(name: str, **options: object) -> Network:
    usual = {"num_classes": 10, "image_size": (32, 32)} if name in CIFAR else {}
    return on_meta(resnet, name, **(usual | options))


def small(name: str, **options: object) -> Network:
    """In memory and float64, with every number drawn."""
    network = drawn(built(name, num_classes=3, image_size=(32, 32), **options))
    assert isinstance(network, Network)
    return network.eval()


def macs(network: Network) -> int:
    with FlopCounterMode(display=False) as counter:
        network.eval()(torch.empty(1, network.in_channels, *network.image_size, device="meta"))
    return counter.get_total_flops() // 2


@pytest.mark.parametrize("name", [*CIFAR, *PLAIN])
def test_totals(name: str) -> None:
    """A plain network and its twin with option-A shortcuts, which cost nothing, have the same."""
    network = built(name)
    row = TOTALS.get(name) or TOTALS[name.replace("plain", "resnet")]
    assert (parameters(network), macs(network)) == row


@pytest.mark.parametrize("name", [*CIFAR, *PLAIN])
def test_depth_is_in_the_name(name: str) -> None:
    network = built(name)
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert len(layers) == int(name.removeprefix("resnet").removeprefix("plain"))


@pytest.mark.parametrize("name", CIFAR)
def test_cifar_stages(name: str) -> None:
    """§4.2: maps of 32, 16 and 8 pixels with 16, 32 and 64 filters."""
    assert stage_shapes(built(name)) == [(16, 32, 32), (16, 32, 32), (32, 16, 16), (64, 8, 8)]


@pytest.mark.parametrize(("width", "millions"), [(8, 17.2), (10, 26.8)])
def test_width_is_that_of_wide_residual_networks(width: int, millions: float) -> None:
    """WRN-22-8 and WRN-22-10 of arXiv:1605.07146, Table 4: three blocks a stage, as in ResNet-20, and projections."""
    network = built("resnet20", shortcut="B", width=width)
    assert round(parameters(network) / 1e6, 1) == millions
    assert stage_shapes(network)[1:] == [(16 * width, 32, 32), (32 * width, 16, 16), (64 * width, 8, 8)]


def test_a_width_of_one_is_the_network_itself() -> None:
    assert parameters(built("resnet20", width=1)) == 269_722


@pytest.mark.parametrize(
    ("name", "shortcut", "count"),
    [
        ("resnet18", "A", 11_515_688),
        ("resnet34", "A", 21_623_848),
        ("resnet50", "A", 22_780_456),
        ("resnet18", "B", 11_689_512),
        ("resnet18", "C", 12_043_816),
        ("resnet34", "C", 22_716_840),
        ("resnet50", "C", 40_128_552),
    ],
)
def test_shortcut_options(name: str, shortcut: str, count: int) -> None:
    network = built(name, shortcut=shortcut)
    assert parameters(network) == count
    ways = [layer.shortcut for layer in network.modules() if isinstance(layer, Residual)]
    kinds = {"A": {PaddedIdentity, nn.Identity}, "B": {nn.Sequential, nn.Identity}, "C": {nn.Sequential}}
    assert {type(way) for way in ways} == kinds[shortcut]


@pytest.mark.parametrize(
    ("name", "count"),
    [("resnet50", 3_857_973_248), ("resnet101", 7_570_194_432), ("resnet152", 11_282_415_616)],
)
def test_version_1_strides_first(name: str, count: int) -> None:
    """The paper's 3.8, 7.6 and 11.3 billion; as many parameters as version 1.5."""
    network = built(name, version=1)
    assert macs(network) == count
    assert parameters(network) == parameters(built(name))
    strides = [layer.stride[0] for layer in network.stage2[0].modules() if isinstance(layer, nn.Conv2d)]
    assert strides == [2, 1, 1, 2]


def test_padded_identity_against_numpy() -> None:
    x = np.arange(2 * 3 * 5 * 4, dtype=np.float64).reshape(2, 3, 5, 4)
    expected = np.zeros((2, 8, 3, 2))
    expected[:, 2:5] = x[:, :, ::2, ::2]  # 2 maps of zeros before, 3 after
    found = PaddedIdentity(3, 8, 2)(torch.from_numpy(x))
    np.testing.assert_array_equal(found.numpy(), expected)
    assert "before=2, after=3, stride=2" in repr(PaddedIdentity(3, 8, 2))


def test_a_plain_network_is_its_twin_without_the_additions() -> None:
    twin, plain = small("resnet20"), small("plain20")
    plain.load_state_dict(twin.state_dict())  # the same names
    assert not [layer for layer in plain.modules() if isinstance(layer, Residual | PaddedIdentity)]
    x = torch.randn(2, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = twin.stem(x)
    with torch.no_grad():
        for stage in (twin.stage1, twin.stage2, twin.stage3):
            for residual in stage:
                expected = residual.block(expected).relu()
        torch.testing.assert_close(plain.features(x), expected, rtol=1e-12, atol=1e-12)
        assert not torch.allclose(twin.features(x), expected)


def test_every_activation_is_the_one_asked_for() -> None:
    network = built("resnet50", activation="scaled_tanh")
    assert sum(isinstance(layer, ScaledTanh) for layer in network.modules()) == 1 + 16 * 3
    assert not [layer for layer in network.modules() if isinstance(layer, nn.ReLU)]
    network = built("plain20", activation="absolute")
    assert sum(isinstance(layer, Rectifier) for layer in network.modules()) == 19


def test_options_that_cannot_be() -> None:
    with pytest.raises(InvalidArgument, match=r"^`version` of resnet50 must be 1 or 1\.5\. Got 2\.$"):
        create_model("resnet50", version=2)
    with pytest.raises(
        InvalidArgument, match=r"^`shortcut` of resnet20 must be 'A' or 'B' or 'C'\. Got 'D'\.$"
    ):
        create_model("resnet20", shortcut="D")
    with pytest.raises(
        InvalidArgument, match=r'^plain20 has no option "shortcut"\. Known: activation, cam_after, '
    ):
        create_model("plain20", shortcut="A")


@pytest.fixture(scope="module")
def test_images(shared_data: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """The JPEG test images with ImageNet's mean and standard deviation taken out, and their classes."""
    classes = sorted(folder for folder in (shared_data / "cifar10" / "test").iterdir() if folder.is_dir())
    files = [(file, label) for label, folder in enumerate(classes) for file in sorted(folder.glob("*.jpg"))]
    pixels = np.stack([np.asarray(Image.open(file).convert("RGB")) for file, _ in files])
    scaled = (pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    images = torch.from_numpy(scaled.astype(np.float32)).permute(0, 3, 1, 2)
    return images, torch.tensor([label for _, label in files])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "file", "right"),
    [("resnet20", "resnet20-12fca82f.th", 1628), ("resnet32", "resnet32-d509ac18.th", 1632)],
)
def test_public_cifar_weights(
    name: str,
    file: str,
    right: int,
    shared_data: Path,
    test_images: tuple[torch.Tensor, torch.Tensor],
) -> None:
    """As many of the 2,000 images right as in a plain implementation, within 2."""
    weights = torch.load(shared_data / "cifar10" / file, weights_only=True, map_location="cpu")["state_dict"]
    network = resnet(name, num_classes=10, in_channels=3, image_size=(32, 32)).eval()
    network.load_state_dict(convert(weights, network, CIFAR_KEYS), strict=True)
    images, labels = test_images
    with torch.no_grad():
        found = torch.cat([network(batch).argmax(1) for batch in images.split(250)])
    assert len(labels) == 2000
    assert abs(int((found == labels).sum()) - right) <= 2
