"""Maps in the memory layout of oneDNN, PyTorch's library of layers on a processor.

Its maximum pooling keeps a byte for each maximum, where PyTorch's keeps eight and writes zeros for the whole gradient
first: forward and backward take a third of the time. A network whose convolutions are ``Conv2d`` computes in this
layout if its images come in it, as any network goes on in the order of its images, channels first or last.
"""

import platform
from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn

PROCESSORS = ("x86_64", "AMD64")  # where it was measured to be faster
LARGEST = 1e15  # norm of a layer's weights: no sum of products of two layers then reaches 3e38, float32's end


class Conv2d(nn.Conv2d):
    """A convolution that takes maps in oneDNN's layout as well, and then puts out such maps.

    (N, C, H, W) → (N, C′, H′, W′), as ``torch.nn.Conv2d``, which takes them in float32 alone. Padding is in pixels.
    """

    def forward(self, maps: Tensor) -> Tensor:
        """Convolves; in oneDNN's layout by the number format of the maps."""
        if not maps.is_mkldnn:
            return super().forward(maps)
        weight = self.weight.to(maps.dtype)
        bias = None if self.bias is None else self.bias.to(maps.dtype)
        padding = cast(tuple[int, ...], self.padding)
        put_out: Tensor = torch.mkldnn_convolution(
            maps, weight, bias, padding, self.stride, self.dilation, self.groups
        )
        return put_out


def take_layout(parts: Iterable[nn.Module]) -> bool:
    """Whether some parts have convolutions that take oneDNN's layout, and all their other layers go on in it."""
    layers = [layer for part in parts for layer in part.modules()]
    return any(isinstance(layer, Conv2d) for layer in layers) and all(map(_takes_layout, layers))


def _takes_layout(layer: nn.Module) -> bool:
    if isinstance(layer, nn.ReLU):
        return not layer.inplace  # what pooling has put out is needed for its gradient
    return isinstance(layer, Conv2d | nn.MaxPool2d | nn.Sequential)


def laid_out(images: Tensor, parts: Iterable[nn.Module], dtype: torch.dtype) -> Tensor:
    """Images in the order of memory in which some parts of a network compute fastest.

    Args:
        images: (n, C, H, W), finite.
        parts: What they will go through.
        dtype: The number format of the convolutions.

    Returns:
        The images in oneDNN's layout and in that format, or with the channels last. Its maximum pooling takes no notice
        of NaN, so weights from which one could arise are computed with in the order of channels last, which keeps it.
    """
    parts = list(parts)
    if images.device.type == "cpu" and _pays(dtype) and take_layout(parts) and _are_moderate(parts):
        return images.to_mkldnn(dtype)
    return images.contiguous(memory_format=torch.channels_last)


def _pays(dtype: torch.dtype) -> bool:
    supported = dtype == torch.float32 or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return platform.machine() in PROCESSORS and torch.backends.mkldnn.is_available() and supported  # type: ignore[no-untyped-call]


def _are_moderate(parts: Iterable[nn.Module]) -> bool:
    """Whether all weights are numbers, and not large: by norms, which take a third of the time of largest values."""
    weights = (weight.detach() for part in parts for weight in part.parameters())
    return all(float(torch.linalg.vector_norm(weight)) < LARGEST for weight in weights)
