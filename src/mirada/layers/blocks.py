"""Convolution–normalization–activation, and the two kinds of head."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from mirada.layers.activation import make_activation

Pair = int | tuple[int, int]  # both sides alike, or (height, width)


@dataclass(frozen=True, kw_only=True)
class ConvStyle:
    """How the convolutions of one network are built; calling it makes one: convolution, normalization, activation.

    ``bias`` None means: only without batch normalization, which would cancel it. ``eps`` is batch
    normalization's.
    """

    batch_norm: bool = True
    eps: float = 1e-5
    bias: bool | None = None
    activation: str = "relu"

    def __call__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: Pair,
        *,
        stride: int = 1,
        padding: Pair | None = None,
        groups: int = 1,
        activate: bool = True,
    ) -> nn.Sequential:
        """Children ``conv``, ``norm``, ``act``; without ``padding`` the size is kept (odd kernels, stride 1).

        (N, in, H, W) → (N, out, ⌊(H − k + 2c) / p⌋ + 1, …) for kernel k, padding c, stride p.
        """
        kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
        same = (kernel[0] // 2, kernel[1] // 2)
        bias = not self.batch_norm if self.bias is None else self.bias
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        parts["conv"] = nn.Conv2d(
            in_channels,
            out_channels,
            kernel,
            stride,
            padding=same if padding is None else padding,
            groups=groups,
            bias=bias,
        )
        if self.batch_norm:
            parts["norm"] = nn.BatchNorm2d(out_channels, eps=self.eps)
        if activate:
            parts["act"] = make_activation(self.activation, out_channels)
        return nn.Sequential(parts)


def average_head(channels: int, num_classes: int, *, dropout: float = 0.0) -> nn.Sequential:
    """Global average pooling, dropout if any, and one linear layer (Lin et al. 2013, arXiv:1312.4400, §3.2).

    (N, channels, h, w) → (N, num_classes). Class activation maps are exact for this head.
    """
    parts: OrderedDict[str, nn.Module] = OrderedDict(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten())
    if dropout:
        parts["dropout"] = nn.Dropout(dropout)
    parts["linear"] = nn.Linear(channels, num_classes)
    return nn.Sequential(parts)


def dense_head(
    features: int,
    hidden: Sequence[int],
    num_classes: int,
    *,
    activation: str = "relu",
    dropout: float = 0.0,
    grid: int = 0,
) -> nn.Sequential:
    """Flatten, then linear layers with an activation, and dropout if any, after all but the last.

    (N, C, h, w) with C·h·w = features → (N, num_classes). With ``grid``, maps of any size are averaged to
    grid × grid first, and features = C·grid².
    """
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    if grid:
        parts["pool"] = nn.AdaptiveAvgPool2d(grid)
    parts["flatten"] = nn.Flatten()
    for number, width in enumerate(hidden, start=1):
        parts[f"hidden{number}"] = nn.Linear(features, width)
        parts[f"act{number}"] = make_activation(activation, width)
        if dropout:
            parts[f"dropout{number}"] = nn.Dropout(dropout)
        features = width
    parts["linear"] = nn.Linear(features, num_classes)
    return nn.Sequential(parts)
