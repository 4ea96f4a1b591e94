"""Mirada's methods of explanation against captum, torchcam and grad-cam where they implement the same formula.

All read torchvision's own networks with random weights, which any explanation of Mirada's does as well. The peers cut
off or stretch what they return; they are asked for what they compute before that.
"""

import numpy as np
import pytest
import torch
import torchvision
from captum.attr import (
    GuidedBackprop,
    IntegratedGradients,
    LayerGradCam,
    NoiseTunnel,
    Occlusion,
    Saliency,
)
from compare import randomize
from pytorch_grad_cam import GradCAM as TheirGradCAM
from pytorch_grad_cam import GradCAMPlusPlus, HiResCAM, ScoreCAM
from pytorch_grad_cam import LayerCAM as TheirLayerCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn
from torchcam.methods import CAM, GradCAMpp
from torchcam.methods import GradCAM as TorchcamGradCAM
from torchcam.methods import LayerCAM as TorchcamLayerCAM
from torchcam.methods import ScoreCAM as TorchcamScoreCAM

from mirada.explain.class_maps import class_maps
from mirada.explain.explainable import IMAGE, Explainable
from mirada.explain.gradients import gradients
from mirada.explain.methods import METHODS
from mirada.explain.smooth_grad import NOISE, SAMPLES, SEED
from mirada.models import create_model
from mirada.models.resnet import PUBLIC_KEYS
from mirada.models.weights import convert

CLASSES = [3, 0, 6]
SIZE = 64  # pixels; the last maps of ResNet-18 are 2 × 2, those of its layer2 8 × 8


@pytest.fixture(scope="module")
def resnet() -> nn.Module:
    """torchvision's ResNet-18; its ReLUs do not work in place, which captum's hooks do not bear."""
    network = randomize(torchvision.models.resnet18(num_classes=7), seed=1).eval()
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    return network


@pytest.fixture(scope="module")
def small() -> nn.Module:
    """A network that is quick where many passes are needed, and smooth: rounding moves no kink."""
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.Tanh(), nn.Conv2d(6, 8, 3, stride=2), nn.Softplus(),
        nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(72, 7),
    )  # fmt: skip
    return randomize(network, seed=2).eval()


@pytest.fixture(scope="module")
def images() -> Tensor:
    """Three images."""
    return torch.randn(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


def ours(key: str, network: nn.Module, images: Tensor, layer: str) -> Tensor:
    """The maps of Mirada's method."""
    return METHODS[key].find(Explainable(network), images, layer, lambda _: torch.tensor(CLASSES)).maps


def agree(found: Tensor, expected: Tensor | np.ndarray, *, of: float | None = None) -> None:
    """To 1e-5 of the largest value, which is not 0, or of what was computed with."""
    expected = torch.as_tensor(expected).float()
    largest = expected.abs().max().item()
    assert found.shape == expected.shape and largest > 0
    assert (found - expected).abs().max().item() <= 1e-5 * (of or largest)


def grad_cams(kind: type, network: nn.Module, images: Tensor, layer: str) -> np.ndarray:
    """What a method of grad-cam computes, before it is cut off at 0, stretched and enlarged."""
    targets = [ClassifierOutputTarget(number) for number in CLASSES]
    with kind(network, [network.get_submodule(layer)]) as method:
        method(images, targets)
        reader = method.activations_and_grads
        gradients = reader.gradients[0].numpy() if reader.gradients else None
        return method.get_cam_image(images, None, targets, reader.activations[0].numpy(), gradients, False)


def torchcams(kind: type, network: nn.Module, images: Tensor, layer: str, **options: object) -> Tensor:
    """What a method of torchcam computes, without its scaling but cut off at 0 where it does that."""
    with kind(network, layer, **options) as method:
        scores = network(images)
        (maps,) = method(CLASSES, scores, normalized=False)
    return maps.detach()


@pytest.mark.parametrize("layer", ["layer2", "layer4"])
def test_grad_cam(resnet: nn.Module, images: Tensor, layer: str) -> None:
    found = ours("grad_cam", resnet, images, layer)
    places = found[0].numel()
    theirs = LayerGradCam(resnet, resnet.get_submodule(layer)).attribute(images, target=CLASSES)
    agree(found, theirs[:, 0].detach() * places)
    agree(found, grad_cams(TheirGradCAM, resnet, images, layer) * places)
    agree(found.clamp(min=0), torchcams(TorchcamGradCAM, resnet, images, layer) * places)


@pytest.mark.parametrize("layer", ["layer2", "layer4"])
def test_hires_cam(resnet: nn.Module, images: Tensor, layer: str) -> None:
    found = ours("hires_cam", resnet, images, layer)
    agree(found, grad_cams(HiResCAM, resnet, images, layer) * found[0].numel())


def test_class_maps(resnet: nn.Module, images: Tensor) -> None:
    """Of Mirada's own ResNet-18 with their weights, all classes at once."""
    network = create_model("resnet18", num_classes=7).eval()
    network.load_state_dict(convert(resnet.state_dict(), network, PUBLIC_KEYS))
    found = class_maps(network, images)
    agree(found.of(CLASSES), torchcams(CAM, resnet, images, "layer4", fc_layer="fc"))
    assert found.completeness_error <= 1e-5 * found.outputs.abs().max()


@pytest.mark.parametrize("layer", ["layer2", "layer4"])
def test_grad_cam_pp(resnet: nn.Module, images: Tensor, layer: str) -> None:
    """Of an output so large that 1e-6, which grad-cam adds to squares of gradients, is nothing beside them."""
    scaled = nn.Sequential(resnet, _Times(1e4))
    found = ours("grad_cam_pp", scaled, images, f"0.{layer}")
    agree(found, grad_cams(GradCAMPlusPlus, scaled, images, f"0.{layer}"))


def test_torchcams_grad_cam_pp_leaves_the_division_out(resnet: nn.Module, images: Tensor) -> None:
    """Of version 0.5.0: it divides a copy (``alpha[mask].div_``), so that its α is g², and not that of eq. 19."""
    found = gradients(Explainable(resnet), images, "layer2", lambda _: torch.tensor(CLASSES))
    weights = (found.gradient**2 * found.gradient.clamp(min=0)).sum(dim=(2, 3))
    agree(torch.einsum("nc,nchw->nhw", weights, found.maps), torchcams(GradCAMpp, resnet, images, "layer2"))


class _Times(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, outputs: Tensor) -> Tensor:
        return self.factor * outputs


@pytest.mark.parametrize("layer", ["layer2", "layer4"])
def test_layer_cam(resnet: nn.Module, images: Tensor, layer: str) -> None:
    found = ours("layer_cam", resnet, images, layer)
    agree(found, grad_cams(TheirLayerCAM, resnet, images, layer) * found[0].numel())
    agree(found, torchcams(TorchcamLayerCAM, resnet, images, layer) * found[0].numel())


def test_score_cam() -> None:
    """At a layer of the image's size: torchcam scales the small maps and Mirada the large ones, as in algorithm 1."""
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, stride=2), nn.ReLU(),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 7),
    )  # fmt: skip
    network = randomize(network, seed=2).eval()
    images = torch.randn(3, 3, 24, 20, generator=torch.Generator().manual_seed(0))
    found = ours("score_cam", network, images, "2")
    agree(found, torchcams(TorchcamScoreCAM, network, images, "2"))
    agree(found, grad_cams(ScoreCAM, network, images, "2"))


def test_saliency(resnet: nn.Module, images: Tensor) -> None:
    theirs = Saliency(resnet).attribute(images.clone().requires_grad_(), target=CLASSES)
    agree(ours("saliency", resnet, images, IMAGE), theirs.amax(dim=1))


@pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU:UserWarning")
def test_guided_backprop(images: Tensor) -> None:
    """captum has the rule for modules alone, each of which may be called once; ResNet-18 calls its ReLUs twice."""
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 8, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(3),
        nn.Flatten(), nn.Linear(72, 9), nn.ReLU(), nn.Linear(9, 7),
    )  # fmt: skip
    randomize(network, seed=2).eval()
    theirs = GuidedBackprop(network).attribute(images.clone().requires_grad_(), target=CLASSES)
    agree(ours("guided_backprop", network, images, IMAGE), theirs.abs().amax(dim=1).detach())


def test_integrated_gradients(small: nn.Module, images: Tensor) -> None:
    theirs = IntegratedGradients(small).attribute(images, target=CLASSES, n_steps=50, internal_batch_size=3)
    agree(ours("integrated_gradients", small, images, IMAGE), theirs.sum(dim=1) * SIZE**2)


def test_smooth_grad(small: nn.Module, images: Tensor) -> None:
    """With the same noise: captum draws it all at once, from the generator of torch."""
    image = images[:1]
    torch.manual_seed(SEED)
    theirs = NoiseTunnel(Saliency(small)).attribute(
        image, nt_type="smoothgrad", nt_samples=SAMPLES, nt_samples_batch_size=SAMPLES,
        stdevs=NOISE * (image.max() - image.min()).item(), target=CLASSES[0], abs=False,
    )  # fmt: skip
    found = METHODS["smooth_grad"].find(Explainable(small), image, IMAGE, lambda _: torch.tensor(CLASSES[:1]))
    agree(found.maps, theirs.abs().amax(dim=1))


def test_occlusion(small: nn.Module, images: Tensor) -> None:
    theirs = Occlusion(small).attribute(
        images, target=CLASSES, sliding_window_shapes=(3, 8, 8), strides=(3, 4, 4), baselines=0
    )
    with torch.no_grad():
        outputs = small(images).abs().max().item()  # whose differences these are
    agree(ours("occlusion", small, images, IMAGE), theirs[:, 0], of=outputs)
