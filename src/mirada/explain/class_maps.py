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
from mirada.explain.capture import features_and_outputs

Classes = Sequence[int] | NDArray[np.int64] | Tensor


@dataclass(frozen=True, eq=False)
class ClassMaps:
    """Signed maps for all classes on the native grid, in the output's unit.

    ``maps`` (N, K, h, w) float32, ``bias`` (K,), ``outputs`` (N, K). Each output is the mean of its map plus
    its bias; ``receipt`` is the largest |mean(map) + bias − output|, the outputs being the network's own.
    """

    maps: Tensor
    bias: Tensor
    outputs: Tensor
    receipt: float

    def of(self, classes: Classes) -> Tensor:
        """The map of one class per image, (N, h, w). For networks with one output see ``pick``.

        Raises ``InvalidArgument`` if there is not one valid class number per image.
        """
        return pick(self.maps, classes)


def pick(values: Tensor, classes: Classes) -> Tensor:
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
    head = getattr(network, "head", None)
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


def class_maps(network: nn.Module, images: Tensor) -> ClassMaps:
    """The maps of all classes in one forward pass, for a head of global average pooling + linear.

    M_k(x, y) = Σ_n w_kn A_n(x, y), where A are the maps that enter the head and w, b its linear layer.
    Averaging and weighting commute, so output_k = mean_xy M_k + b_k; nothing is normalised or clipped.

    ``images`` is (N, C, H, W), normalised.

    Raises ``InvalidArgument`` if the head is another one.
    """
    linear = gap_linear(network)
    if linear is None:
        raise InvalidArgument(
            f"Exact class maps need a head of global average pooling and one linear layer. The head of "
            f"{type(network).__name__} is {_describe(getattr(network, 'head', None))}. "
            "Use grad_cam, which works with any head."
        )
    features, outputs = features_and_outputs(network, images)
    with torch.no_grad():
        weight = linear.weight.float()  # (K, C)
        bias = weight.new_zeros(len(weight)) if linear.bias is None else linear.bias.float().clone()
        maps = torch.einsum("kc,nchw->nkhw", weight, features.float())
        outputs = outputs.float()
        receipt = (maps.mean(dim=(2, 3)) + bias - outputs).abs().max().item()
    return ClassMaps(maps=maps, bias=bias, outputs=outputs, receipt=receipt)


def _describe(head: object) -> str:
    layers = list(head) if isinstance(head, nn.Sequential) else [head]
    return " → ".join(type(layer).__name__ for layer in layers)
