"""Convolution–normalisation–activation, and the two kinds of head."""

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn


def conv_norm_act(
    in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, activate: bool = True
) -> nn.Sequential:
    """A bias-free convolution that keeps the size (at stride 1), batch normalisation, ReLU.

    (N, in, H, W) → (N, out, ⌈H / stride⌉, ⌈W / stride⌉) for odd kernels.
    """
    parts: OrderedDict[str, nn.Module] = OrderedDict(
        conv=nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=False),
        norm=nn.BatchNorm2d(out_channels),
    )
    if activate:
        parts["act"] = nn.ReLU(inplace=True)
    return nn.Sequential(parts)


def average_head(channels: int, num_classes: int) -> nn.Sequential:
    """Global average pooling and one linear layer (Lin et al. 2013, arXiv:1312.4400, §3.2).

    (N, channels, h, w) → (N, num_classes). Class activation maps are exact for this head.
    """
    return nn.Sequential(
        OrderedDict(
            pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), linear=nn.Linear(channels, num_classes)
        )
    )


def dense_head(features: int, hidden: Sequence[int], num_classes: int) -> nn.Sequential:
    """Flatten, then linear layers with ReLU between them.

    (N, C, h, w) with C·h·w = features → (N, num_classes).
    """
    parts: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    for number, width in enumerate(hidden, start=1):
        parts[f"hidden{number}"] = nn.Linear(features, width)
        parts[f"act{number}"] = nn.ReLU(inplace=True)
        features = width
    parts["linear"] = nn.Linear(features, num_classes)
    return nn.Sequential(parts)
