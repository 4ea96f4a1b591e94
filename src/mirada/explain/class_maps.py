"""Class activation maps: the exact split of every output over the places of the image.

Zhou, Khosla, Lapedriza, Oliva & Torralba 2016, "Learning Deep Features for Discriminative Localization",
arXiv:1512.04150, eq. 2.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import batch_norm

from mirada.errors import InvalidArgument
from mirada.explain.explainable import Choose, Explainable, Found, Method
from mirada.layers.covariates import JoinedHead
from mirada.layers.network import Network

ClassNumbers = Sequence[int] | NDArray[np.int64] | Tensor


@dataclass(frozen=True, eq=False)
class ClassMaps:
    """Signed maps for all classes on the native grid, in the output's unit.

    Each output is the mean of its map plus its bias.

    Args:
        maps: (N, K, h, w) float32.
        bias: (N, K): that of each output, with what the covariates of an image add to it.
        outputs: (N, K), the network's own.
        completeness_error: The largest |mean(map) + bias − output|: rounding, for a network that is what it looks like.
    """

    maps: Tensor
    bias: Tensor
    outputs: Tensor
    completeness_error: float

    def of(self, classes: ClassNumbers) -> Tensor:
        """The map of one class per image.

        Args:
            classes: A class number per image, (N,); for networks with one output see ``pick``.

        Returns:
            Maps (N, h, w), in the unit of the output.

        Raises:
            InvalidArgument: There is not one valid class number per image.
        """
        return pick(self.maps, classes)


def pick(values: Tensor, classes: ClassNumbers) -> Tensor:
    """One class per image: (N, K, …) → (N, …).

    With K ≥ 2 outputs a class number is the number of an output. With one output (K = 1), class 1 is the
    output itself (the second of two classes, or the value of a regression) and class 0 is its opposite,
    −output (the first of two classes). A regression therefore always asks for class 1.

    Raises ``InvalidArgument`` if there is not one valid class number per image.
    """
    images, outputs = values.shape[:2]
    numbers = torch.as_tensor(classes, device=values.device)
    if numbers.shape != (images,) or numbers.is_floating_point() or numbers.dtype == torch.bool:
        raise InvalidArgument(
            f"`classes` must hold one class number per image, {images} in all. "
            f"Got {numbers.dtype} of shape {tuple(numbers.shape)}."
        )
    last = max(outputs - 1, 1)
    if numbers.min() < 0 or numbers.max() > last:
        raise InvalidArgument(
            f"`classes` must lie between 0 and {last} for a network with {outputs} output(s). "
            f"Got {numbers.min().item()} to {numbers.max().item()}."
        )
    numbers = numbers.long()
    if outputs > 1:
        return values[torch.arange(images, device=values.device), numbers]
    signs = (2 * numbers - 1).to(values.dtype).reshape(-1, *[1] * (values.ndim - 2))
    return signs * values[:, 0]


class AffineHead(NamedTuple):
    """A head as one affine function: outputs = weight · averages of the maps + beside · covariates + bias.

    ``weight`` (K, C), ``beside`` (K, K′), K′ being 0 for images alone, and ``bias`` (K,) are float32.
    """

    weight: Tensor
    beside: Tensor
    bias: Tensor


def affine_head(network: nn.Module) -> AffineHead | None:
    """The head as an affine function of the averages, if it is one in eval mode; else None.

    It begins with pooling to 1 × 1 and flattening and ends with a linear layer. Between them may stand dropout, batch
    normalization and more linear layers, but nothing that bends; covariates may join any of the linear layers.
    """
    head = dict(network.named_children()).get("head")
    match list(head) if isinstance(head, nn.Sequential) else []:
        case [
            nn.AdaptiveAvgPool2d(output_size=1 | (1, 1)),
            nn.Flatten(start_dim=1, end_dim=-1),
            *layers,
            nn.Linear() as last,
        ] if all(map(_is_affine, layers)):
            return _composed(layers, last, head if isinstance(head, JoinedHead) else None)
    return None


def _is_affine(layer: nn.Module) -> bool:
    """In eval mode; batch normalization is where it has kept what is usual."""
    if isinstance(layer, nn.BatchNorm1d):
        return layer.running_mean is not None
    return isinstance(layer, nn.Linear | nn.Dropout | nn.Identity)


@torch.no_grad()
def _composed(earlier: Sequence[nn.Module], last: nn.Linear, joined: JoinedHead | None) -> AffineHead:
    """One affine function for several, multiplied from the last one on, which has the fewest rows."""
    weight, bias = _linear(last)
    beside = weight[:, :0]
    for layer in (last, *reversed(earlier)):
        if isinstance(layer, nn.BatchNorm1d):
            scale, shift = _norm(layer, weight)
            weight, bias = weight * scale, bias + weight @ shift
        elif isinstance(layer, nn.Linear) and layer is not last:
            own, own_bias = _linear(layer)
            weight, bias = weight @ own, bias + weight @ own_bias
        if joined is not None and layer is joined.joint:
            weight, beside = weight[:, : -joined.count], weight[:, -joined.count :]
    return AffineHead(weight, beside, bias)


def _linear(layer: nn.Linear) -> tuple[Tensor, Tensor]:
    """Its weight (K, C) and bias (K,), zeros where it has none, float32."""
    weight = layer.weight.float()
    return weight, weight.new_zeros(len(weight)) if layer.bias is None else layer.bias.float().clone()


def _norm(layer: nn.BatchNorm1d, like: Tensor) -> tuple[Tensor, Tensor]:
    """What it multiplies each feature by in eval mode and then adds, (C,) each; ``like`` is (K, C) float32."""
    norm, zeros = deepcopy(layer).float().eval(), torch.zeros_like(like[:1])
    scale = batch_norm(zeros + 1, zeros[0], norm.running_var, norm.weight, eps=norm.eps)
    return scale[0], norm(zeros)[0]


def class_maps(network: nn.Module, images: Tensor, covariates: Tensor | None = None) -> ClassMaps:
    """The maps of all classes in one forward pass, for a head of global average pooling + linear layers.

    M_k(x, y) = Σ_n w_kn A_n(x, y), where A are the maps that enter the head and w, b its linear layer, or the one that
    several make together (``affine_head``).
    Averaging and weighting commute, so output_k = mean_xy M_k + b_k; nothing is normalised or clipped. What the head
    reads of covariates c has no place: it belongs to the bias, b_k + Σ_j w_kj c_j.

    Args:
        network: One with such a head, as ``create_model(name, head="average")`` builds them.
        images: (N, C, H, W), normalised.
        covariates: (N, K′), scaled, for a network that reads them.

    Returns:
        The maps (N, K, h, w), and the parts of the outputs that belong to no place.

    Raises:
        InvalidArgument: The head is another one.

    Source: Zhou et al. 2016, arXiv:1512.04150, eq. 2.
    """
    explainable = Explainable(network, covariates)
    head = affine_head(network)
    if head is None:
        raise InvalidArgument(_refusal(explainable, explainable.last))
    maps, outputs = explainable.read(images, explainable.last)
    with torch.no_grad():
        bias = head.bias.expand(len(maps), -1)
        if covariates is not None:
            bias = bias + covariates.to(bias) @ head.beside.T
        split = torch.einsum("kc,nchw->nkhw", head.weight, maps.float())
        outputs = outputs.float()
        error = (split.mean(dim=(2, 3)) + bias - outputs).abs().max().item()
    return ClassMaps(maps=split, bias=bias, outputs=outputs, completeness_error=error)


def _find(explainable: Explainable, images: Tensor, layer: str, choose: Choose) -> Found:
    found = class_maps(explainable.network, images, explainable.covariates)
    classes = choose(found.outputs)
    return Found(found.of(classes), found.outputs, classes, found.completeness_error)


def _refusal(explainable: Explainable, layer: str) -> str:
    network = explainable.network
    if affine_head(network) is None:
        head = dict(network.named_children()).get("head")
        name = (isinstance(network, Network) and network.name) or type(network).__name__
        return (
            f"Exact class maps need a head of global average pooling and linear layers alone. The head of "
            f"{name} is {_describe(head)}. Choose Grad-CAM (--method grad_cam, "
            'method="grad_cam"), which works with any head, or train with head="average".'
        )
    if layer != explainable.last:
        return (
            f"Exact class maps are those that enter the head, which {explainable.last} puts out. Got {layer}; "
            'choose Grad-CAM (--method grad_cam, method="grad_cam"), which works with any layer.'
        )
    return ""


def _describe(head: object) -> str:
    layers = list(head) if isinstance(head, nn.Sequential) else [head]
    return " → ".join(type(layer).__name__ for layer in layers) if head is not None else "not there"


EXACT = Method(
    key="exact",
    title="class activation map (exact)",
    adds_up_to="the output",
    source="Zhou et al. 2016, arXiv:1512.04150, eq. 2",
    find=_find,
    refusal=_refusal,
)
