"""Maps in the memory layout of oneDNN, PyTorch's library of layers on a processor.

Its maximum pooling keeps a byte for each maximum, where PyTorch's keeps eight and writes zeros for the whole gradient
first: forward and backward take a third of the time. A network whose convolutions are ``Conv2d`` computes in this
layout if its images come in it, as any network goes on in the order of its images, channels first or last.
"""

import platform
from collections.abc import Iterable
from functools import cache
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


def convolutions_within(parts: Iterable[nn.Module]) -> list[Conv2d]:
    """The convolutions of some parts, if these take oneDNN's layout and all other layers go on in it; else none."""
    found = []
    for part in parts:
        for layer in part.modules():
            if isinstance(layer, Conv2d):
                found.append(layer)
            elif not _goes_on(layer):
                return []
    return found


def _goes_on(layer: nn.Module) -> bool:
    if isinstance(layer, nn.ReLU):
        return not layer.inplace  # what pooling has put out is needed for its gradient
    return isinstance(layer, nn.MaxPool2d | nn.Sequential)


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
    if images.device.type == "cpu" and _pays(dtype):
        convolutions = convolutions_within(parts)
        if convolutions and all(map(_is_moderate, convolutions)):
            return images.to_mkldnn(dtype)
    return images.contiguous(memory_format=torch.channels_last)


@cache
def _pays(dtype: torch.dtype) -> bool:
    supported = dtype == torch.float32 or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return platform.machine() in PROCESSORS and torch.backends.mkldnn.is_available() and supported  # type: ignore[no-untyped-call]


def _is_moderate(convolution: Conv2d) -> bool:
    """Whether all weights are numbers, and not large: by norms, which take a third of the time of largest values."""
    weights = [each.detach() for each in (convolution.weight, convolution.bias) if each is not None]
    return all(float(torch.linalg.vector_norm(each)) < LARGEST for each in weights)
