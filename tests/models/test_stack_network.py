"""A stack of one's own as a network: the catalogue's from their text, linear models, heads, and what is refused."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from mirada import reference as ref
from mirada.errors import InvalidArgument
from mirada.explain.class_maps import class_maps
from mirada.jobs.train import train
from mirada.layers.covariates import join_covariates
from mirada.layers.network import Network
from mirada.models import CATALOGUE, create_model
from mirada.models.stack import PlannedStack
from mirada.models.stack_text import read_layers

LENET = (
    "conv 6 k5; pool k2; relu; conv 16 k5; pool k2; relu; flatten; dense 120; relu; dense 84; relu; dense 10"
)
ALEXNET_TRUNK = (
    "conv 96 k11 s4; relu; lrn; pool k3 s2; conv 256 k5 p2 g2; relu; lrn; pool k3 s2; conv 384 k3 p1; relu; "
    "conv 384 k3 p1 g2; relu; conv 256 k3 p1 g2; relu; pool k3 s2"
)
VGG11_TRUNK = (
    "conv 64 k3 p1; relu; pool k2; conv 128 k3 p1; relu; pool k2; conv 256 k3 p1; relu; conv 256 k3 p1; relu; "
    "pool k2; conv 512 k3 p1; relu; conv 512 k3 p1; relu; pool k2; conv 512 k3 p1; relu; conv 512 k3 p1; relu; pool k2"
)
DENSE = "flatten; dense 4096; relu; dropout; dense 4096; relu; dropout; dense 1000"


def own(layers: str, outputs: int, image: tuple[int, int, int], **options: Any) -> Network:
    channels, *size = image
    return create_model(
        "layers", layers=layers, num_classes=outputs, in_channels=channels, image_size=tuple(size), **options
    )


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(7))


def test_lenet_from_its_text_is_lenet() -> None:
    torch.manual_seed(0)
    theirs, ours = create_model("lenet5").eval(), own(LENET, 10, (1, 32, 32)).eval()
    assert count(ours) == CATALOGUE["lenet5"].parameters
    copy_weights(theirs, ours)
    images = drawn(3, 1, 32, 32)
    with torch.no_grad():
        assert torch.equal(ours(images), theirs(images))
        assert torch.equal(ours.features(images), theirs.features(images))
    assert ours.min_size == theirs.min_size == 16


@pytest.mark.parametrize(
    ("name", "trunk", "side"), [("alexnet", ALEXNET_TRUNK, 99), ("vgg11", VGG11_TRUNK, 64)]
)
def test_alexnet_and_vgg_from_their_text_are_they(name: str, trunk: str, side: int) -> None:
    with torch.device("meta"):
        whole = own(f"{trunk}; {DENSE}", 1000, CATALOGUE[name].image)
    assert count(whole) == CATALOGUE[name].parameters
    torch.manual_seed(0)
    theirs = create_model(name, num_classes=3, image_size=side, head="average").eval()
    ours = own(trunk, 3, (3, side, side)).eval()
    copy_weights(theirs, ours)
    images = drawn(2, 3, side, side)
    with torch.no_grad():
        assert theirs(images).std() > 0
        torch.testing.assert_close(ours(images), theirs(images), rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(ours.features(images), theirs.features(images), rtol=1e-6, atol=1e-6)


def copy_weights(theirs: Network, ours: Network) -> None:
    """By their order, which is that of the layers."""
    values = list(theirs.state_dict().values())
    ours.load_state_dict(dict(zip(ours.state_dict(), values, strict=True)))


@pytest.mark.parametrize("layers", ["", "flatten", "flatten; dense", "flatten; linear 3", "dense 3"])
def test_a_linear_model_is_a_stack(layers: str) -> None:
    torch.manual_seed(1)
    network = own(layers, 3, (2, 4, 5)).double()
    weight, bias = network.parameters()
    images = drawn(6, 2, 4, 5).double()
    expected = ref.linear(images.flatten(1).numpy(), weight.detach().numpy(), bias=bias.detach().numpy())
    np.testing.assert_allclose(network(images).detach().numpy(), expected, rtol=0, atol=1e-12)
    assert network.state_dict().keys() == {"head.linear.weight", "head.linear.bias"}


def test_a_multilayer_perceptron_is_the_catalogues() -> None:
    torch.manual_seed(0)
    theirs, ours = create_model("mlp"), own("flatten; dense 256; relu; dense 128; relu", 10, (1, 28, 28))
    copy_weights(theirs, ours)
    images = drawn(4, 1, 28, 28)
    torch.testing.assert_close(ours(images), theirs(images), rtol=1e-6, atol=1e-6)


@pytest.mark.slow
def test_a_logistic_model_reaches_the_optimum_of_scikit_learn(tmp_path: Path) -> None:
    """Digits of 2 × 4 means of pixels, which no planes separate, so that the optimum is finite; without decay."""
    digits = load_digits()
    means = digits.images.reshape(-1, 2, 4, 4, 2).mean(axis=(2, 4))
    images, labels = np.round(255 * means / 16).astype(np.uint8)[:600], digits.target[:600]
    np.savez(tmp_path / "data.npz", images=images, labels=labels)
    run = train(
        tmp_path / "data.npz", model="layers", layers="flatten", image_size=[2, 4], mode="L", normalize="unit",
        augment="none", epochs=150, batch_size=48, lr=0.2, weight_decay=0, device="cpu", precision="float32",
        test_fraction=0, output=tmp_path / "run",
    )  # fmt: skip
    with (run.folder / "results.csv").open(encoding="utf-8") as opened:
        *_, last = csv.DictReader(
            opened
        )  # of which the rate has come to 0, so that its loss is that of one network
    state = load_file(run.model_path)
    weight, bias = (state[f"head.linear.{name}"].double().numpy() for name in ("weight", "bias"))
    rows = [int(path.rpartition("-")[2]) for path, split in splits(run.folder) if split == "train"]
    x, y = images.reshape(600, -1)[rows] / 255, labels[rows]
    optimum = LogisticRegression(C=np.inf, max_iter=10_000, tol=1e-8).fit(x, y)
    best = ref.cross_entropy(optimum.decision_function(x), y)
    assert 0.2 < best <= float(last["train_loss"]) < 1.05 * best
    accuracy = ((x @ weight.T + bias).argmax(axis=1) == y).mean()
    assert accuracy == pytest.approx(optimum.score(x, y), abs=0.03)


def splits(folder: Path) -> list[tuple[str, str]]:
    """The name of every image, and the split that it is in."""
    with (folder / "splits.csv").open(encoding="utf-8") as opened:
        return [(row["path"], row["split"]) for row in csv.DictReader(opened)]


@pytest.mark.parametrize(
    ("layers", "head", "layers_of_head", "said"),
    [
        ("conv 4 k3; relu", "own", ["pool", "flatten", "linear"], "ends in 4 maps of 6×6, which are averaged"),
        ("conv 4 k3; relu", "dense", ["flatten", "linear"], "ends in 4 maps of 6×6, which are flattened"),
        ("conv 4 k3; gap", "own", ["pool", "flatten", "linear"], "ends in a vector of 4, and one linear layer"),
        ("conv 4 k3; gap; dense 3", "own", ["pool", "flatten", "linear"], "puts out the 3 values, and no layer"),
        ("conv 4 k3; dense 9; tanh", "own", ["flatten", "dense2", "tanh3", "linear"], "ends in a vector of 9"),
        ("conv 4 k3; dense 9; bn; fc", "own", ["flatten", "dense2", "bn3", "linear"], "puts out the 3 values"),
        ("conv 4 k3; flatten; dense 9", "average", ["pool", "flatten", "linear"], "left out for head=average"),
    ],
)  # fmt: skip
def test_the_head_is_what_the_stack_ends_in(
    layers: str, head: str, layers_of_head: list[str], said: str
) -> None:
    network = own(layers, 3, (1, 8, 8), head=head)
    assert [name for name, _ in network.head.named_children()] == layers_of_head
    assert network(drawn(2, 1, 8, 8)).shape == (2, 3)
    planned = PlannedStack.of(layers, outputs=3, in_channels=1, image_size=(8, 8))
    assert said in planned.sentence(head)


def test_every_later_convolution_begins_a_stage() -> None:
    network = own("bn; conv 4 k3; relu; pool k2; conv 5 k3; bn; relu; conv 6 k1; dropout 0.2", 2, (3, 16, 16))
    names = {
        part: [name for name, _ in network.get_submodule(part).named_children()] for part in network.parts()
    }
    assert names == {
        "stem": ["bn1", "conv2", "relu3", "pool4"],
        "stage1": ["conv5", "bn6", "relu7"],
        "stage2": ["conv8", "dropout9"],
        "head": ["pool", "flatten", "linear"],
    }


def test_class_maps_of_an_average_are_exact_and_covariates_join() -> None:
    torch.manual_seed(0)
    network = join_covariates(own("conv 4 k3; relu; conv 6 k3; relu; gap", 3, (1, 12, 12)), 2).eval()
    with torch.no_grad():
        network.head.linear.weight[:, -2:] = 1
    images, covariates = drawn(2, 1, 12, 12), drawn(2, 2)
    maps = class_maps(network, images, covariates)
    torch.testing.assert_close(
        maps.maps.mean(dim=(2, 3)) + maps.bias, network(images, covariates), rtol=1e-5, atol=1e-5
    )


def test_a_stack_is_cut_for_class_maps() -> None:
    network = own(
        "conv 4 k3; relu; conv 6 k3; relu; pool k2; flatten; dense 9", 3, (1, 16, 16), head="cam", cam_width=7
    )
    assert [type(part) for part in network.head][-1] is nn.Linear
    assert network.features(drawn(1, 1, 16, 16)).shape == (1, 7, 12, 12)
    with pytest.raises(
        InvalidArgument, match=r"^layers has no stage behind its stem, so there is nothing to cut\.$"
    ):
        own("conv 4 k3; relu", 3, (1, 8, 8), head="cam")


def test_weights_are_drawn_by_he_and_glorot_and_the_seed_decides_them() -> None:
    torch.manual_seed(3)
    network = own("conv 64 k5; relu; flatten; dense 500; relu", 10, (3, 12, 12))
    conv, hidden, last = (layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear))
    for layer in (conv, hidden):
        assert layer.weight.std().item() == pytest.approx((2 / layer.weight[0].numel()) ** 0.5, rel=0.05)
    assert last.weight.abs().max().item() == pytest.approx((6 / 510) ** 0.5, rel=0.01)
    assert all((layer.bias == 0).all() for layer in (conv, hidden, last))
    torch.manual_seed(3)
    again = own("conv 64 k5; relu; flatten; dense 500; relu", 10, (3, 12, 12))
    assert torch.equal(conv.weight, again.stem[0].weight)


def test_images_stay_as_they_were() -> None:
    """Where a rectifier is the first layer, or reads a view of the images."""
    for layers in ("relu; conv 2 k3", "flatten; relu", "dropout; leaky_relu; gap"):
        images = drawn(2, 1, 8, 8)
        own(layers, 2, (1, 8, 8)).eval()(images)
        assert torch.equal(images, drawn(2, 1, 8, 8))


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            "conv 4 k3; softmax",
            r'^Step 2, "softmax", ends the stack: .* compared before any softmax\. Leave it out\.$',
        ),
        ("conv 4 k9", r'^Step 1, "conv 4 k9", does not fit: maps of 8×8 reach it'),
        ("dense; relu", r'^Step 1, "dense": it does not say how many outputs it has'),
        (
            "conv 4 k3; gap; pool k2",
            r'^Step 3, "pool k2", works on maps, and a vector of 4 numbers reaches it',
        ),
        ("conf 4 k3", r'^Step 1, "conf 4 k3": there is no layer "conf"\. Did you mean "conv"\?'),
        ("# nothing", r"^There are no layers"),
        ("relu;" * 1001, r"^There are 1,001 layers, and a stack has at most 1,000\."),
    ],
)
def test_mistakes_name_the_layer(layers: str, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message) as caught:
        own(layers, 3, (1, 8, 8))
    assert "\n" not in str(caught.value)


def test_a_stack_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "lenet.txt"
    file.write_text("# after LeCun 1998\nconv 6 k5; relu\n\npool k2  # halves\ngap\n", encoding="utf-8")
    assert read_layers(str(file)) == "conv 6 k5; relu; pool k2; gap"
    assert read_layers("conv 6  k5\nflatten; dense") == "conv 6 k5; flatten; dense"
    assert read_layers("") == ""
    with pytest.raises(InvalidArgument, match=r"^runs/lent\.txt: there is no such file of layers\."):
        read_layers("runs/lent.txt")
    file.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(InvalidArgument, match=r"lenet\.txt: the layers cannot be read \(it is no text\)\.$"):
        read_layers(str(file))


def test_only_its_class_builds_a_module() -> None:
    with pytest.raises(InvalidArgument, match=r"a module of one's own, TinyNet, which only its class builds"):
        create_model("module", class_name="TinyNet")
