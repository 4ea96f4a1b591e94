"""Every network that torchvision or timm has too: theirs and ours with the same random weights."""

from typing import NamedTuple

import pytest
import timm
import torchvision
from compare import compare
from pairs import ours_with, theirs_of
from torch import nn

from mirada.models import CATALOGUE

Size = tuple[int, int]  # (height, width) in pixels


class Pair(NamedTuple):
    """A network of theirs, whose it is, and the two sizes at which it is compared with ours."""

    library: str
    name: str
    sizes: tuple[Size, Size]

    def __str__(self) -> str:
        return f"{self.library}-{self.name}"


# fmt: off
VGGS      = "vgg11", "vgg13", "vgg16", "vgg19", "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"
RESNETS   = "resnet18", "resnet34", "resnet50", "resnet101", "resnet152"
DENSENETS = "densenet121", "densenet161", "densenet169", "densenet201"
TABLE = (
    # whose          their names                              sizes
    ("torchvision", ("alexnet",),                             ((224, 224), (63, 300))),   # 300: more than the dense
    ("torchvision", VGGS,                                     ((64, 64),   (33, 260))),   # layers' grid, so averaged
    ("timm",        VGGS,                                     ((64, 64),   (33, 97))),    # averages in another way
    ("torchvision", ("googlenet",),                           ((96, 96),   (75, 130))),
    ("torchvision", ("inception_v3",),                        ((299, 299), (301, 310))),  # the auxiliary head's least
    ("timm",        ("inception_v3",),                        ((110, 110), (75, 130))),
    ("timm",        ("inception_v4", "inception_resnet_v2"),  ((139, 139), (107, 155))),
    ("torchvision", RESNETS,                                  ((64, 64),   (75, 101))),
    ("timm",        RESNETS,                                  ((64, 64),   (75, 101))),
    ("torchvision", DENSENETS,                                ((64, 64),   (75, 101))),
    ("timm",        DENSENETS,                                ((64, 64),   (75, 101))),
)
# fmt: on
PAIRS = [Pair(library, name, sizes) for library, names, sizes in TABLE for name in names]


@pytest.fixture(scope="module", params=PAIRS, ids=str)
def pair(request: pytest.FixtureRequest) -> Pair:
    return request.param


@pytest.fixture(scope="module")
def networks(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, nn.Module]:
    """Theirs with random weights, and ours with the same."""
    theirs = theirs_of(pair.library, pair.name)
    folder = tmp_path_factory.mktemp("weights")
    return theirs, ours_with(theirs.state_dict(), pair.library, pair.name, folder)


@pytest.mark.parametrize("size", ["first", "second"])
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_logits_and_gradient(pair: Pair, networks: tuple[nn.Module, nn.Module], mode: str, size: str) -> None:
    """In train mode with dropout off; and then the auxiliary outputs and batch norm's new statistics as well."""
    height, width = pair.sizes[size == "second"]
    assert compare(*networks, (2, 3, height, width), train=mode == "train") < 1e-10


@pytest.mark.parametrize(
    ("library", "names"), [("torchvision", torchvision.models.list_models()), ("timm", timm.list_models())]
)
def test_every_network_that_they_have_is_in_the_table(library: str, names: list[str]) -> None:
    compared = [pair.name for pair in PAIRS if pair.library == library]
    assert sorted(compared) == sorted(CATALOGUE.keys() & set(names))
