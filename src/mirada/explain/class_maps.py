"""Class activation maps: the exact split of every output over the places of the image.

Zhou, Khosla, Lapedriza, Oliva & Torralba 2016, "Learning Deep Features for Discriminative Localization",
arXiv:1512.04150, eq. 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mirada.errors import InvalidArgument
from mirada.explain.explainable import Choose, Explainable, Found, Method

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


def gap_linear(network: nn.Module) -> nn.Linear | None:
    """The linear layer of a head that is pooling to 1 × 1, flatten, dropout or none, linear; else None."""
    head = dict(network.named_children()).get("head")
    if not isinstance(head, nn.Sequential):
        return None
    match list(head):
        case [
            nn.AdaptiveAvgPool2d(output_size=1 | (1, 1)),
            nn.Flatten(start_dim=1, end_dim=-1),
            *between,
            nn.Linear() as linear,
        ] if all(isinstance(layer, nn.Dropout) for layer in between):
            return linear
    return None


def class_maps(network: nn.Module, images: Tensor, covariates: Tensor | None = None) -> ClassMaps:
    """The maps of all classes in one forward pass, for a head of global average pooling + linear.

    M_k(x, y) = Σ_n w_kn A_n(x, y), where A are the maps that enter the head and w, b its linear layer.
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
    linear = gap_linear(network)
    if linear is None:
        raise InvalidArgument(_refusal(explainable, explainable.last))
    maps, outputs = explainable.read(images, explainable.last)
    with torch.no_grad():
        channels = maps.shape[1]
        weight = linear.weight.float()  # (K, C + K′)
        bias = weight.new_zeros(len(weight)) if linear.bias is None else linear.bias.float().clone()
        bias = bias.expand(len(maps), -1)
        if covariates is not None:
            bias = bias + covariates.to(weight) @ weight[:, channels:].T
        split = torch.einsum("kc,nchw->nkhw", weight[:, :channels], maps.float())
        outputs = outputs.float()
        error = (split.mean(dim=(2, 3)) + bias - outputs).abs().max().item()
    return ClassMaps(maps=split, bias=bias, outputs=outputs, completeness_error=error)


def _find(explainable: Explainable, images: Tensor, layer: str, choose: Choose) -> Found:
    found = class_maps(explainable.network, images, explainable.covariates)
    classes = choose(found.outputs)
    return Found(found.of(classes), found.outputs, classes, found.completeness_error)


def _refusal(explainable: Explainable, layer: str) -> str:
    network = explainable.network
    if gap_linear(network) is None:
        head = dict(network.named_children()).get("head")
        return (
            f"Exact class maps need a head of global average pooling and one linear layer. The head of "
            f"{type(network).__name__} is {_describe(head)}. Choose Grad-CAM (--method grad_cam, "
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
