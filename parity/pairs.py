"""Their networks with random weights, and ours with the same, read from a file as they publish them."""

from pathlib import Path

import pytest
import timm
import torch
import torchvision
from compare import randomize
from safetensors.torch import save_file
from torch import nn

from mirada.layers.network import Network
from mirada.models import create_model, load_weights

CLASSES = 7
OUR_NAMES = {"alexnet": "alexnet_owt", "googlenet": "googlenet_bn"}  # ours of their names are the papers'
AUXILIARY = ("googlenet", "inception_v3")  # torchvision's have auxiliary heads
HIDDEN = (48, 4096)  # of VGG, instead of 4096 twice: the same layers, in a fraction of the time


def theirs_of(library: str, name: str, *, auxiliary: bool = True) -> nn.Module:
    """A network of torchvision's or timm's with every weight and statistic drawn at random."""
    with torch.device("meta"):  # their own initialisation would be overwritten
        if library == "timm":
            options = {"mlp_ratio": HIDDEN[0] / HIDDEN[1]} if name.startswith("vgg") else {}
            network = timm.create_model(name, num_classes=CLASSES, **options)
        else:
            network = _torchvisions(name, auxiliary=auxiliary)
    return randomize(network.to_empty(device="cpu"), seed=1)


def _torchvisions(name: str, *, auxiliary: bool) -> nn.Module:
    options = {}
    if name in AUXILIARY:
        options = {"aux_logits": auxiliary, "transform_input": False, "init_weights": False}
    network = torchvision.models.get_model(name, num_classes=CLASSES, **options)
    if name.startswith("vgg"):
        network.classifier[0] = nn.Linear(512 * 7 * 7, HIDDEN[0])
        network.classifier[3] = nn.Linear(*HIDDEN)
    return network


def ours_with(
    weights: dict[str, torch.Tensor], library: str, name: str, folder: Path, *, auxiliary: bool = True
) -> Network:
    """Our namesake of their network, with their weights through a file, of which every tensor was taken."""
    own_name = OUR_NAMES.get(name, name)
    options = {"auxiliary": auxiliary} if library == "torchvision" and name in AUXILIARY else {}
    with torch.device("meta"), pytest.MonkeyPatch.context() as patch:
        patch.setattr("mirada.models.vgg.HIDDEN", HIDDEN)
        ours = create_model(own_name, num_classes=CLASSES, **options)
    ours.to_empty(device="cpu")
    file = folder / f"{library}-{name}"
    (save_file if library == "timm" else torch.save)(weights, file)
    report = load_weights(ours, own_name, file)
    file.unlink()
    assert report.whole
    assert report.loaded == len(weights) == len(ours.state_dict())
    return ours
