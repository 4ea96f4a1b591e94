"""The activations of the lecture notes, §2.1.1: one formula for the rectifiers, and the sigmoids."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mirada.errors import InvalidArgument, nearest


class Rectifier(nn.Module):
    """max{0, z} + α · min{0, z} with a fixed α: 0 is ReLU, −1 the absolute value, a small one leaky ReLU.

    Any shape → the same shape. The slope at 0 is α, as PyTorch has it. Source: Jarrett et al. 2009 (absolute),
    Maas et al. 2013 (leaky), Nair & Hinton 2010 (ReLU).
    """

    def __init__(self, alpha: float) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, z: Tensor) -> Tensor:
        """Rectifies."""
        return torch.nn.functional.leaky_relu(z, self.alpha)

    def extra_repr(self) -> str:
        """The slope below 0."""
        return f"alpha={self.alpha:g}"


class ScaledTanh(nn.Module):
    """1.7159 · tanh(2z / 3), which is ±1 at z = ±1.  LeCun et al. 1998, Appendix A. Any shape → the same shape."""

    def forward(self, z: Tensor) -> Tensor:
        """Squashes."""
        return 1.7159 * torch.tanh(z * (2 / 3))


# name → a function of the number of channels; only PReLU with a slope per channel needs it
ACTIVATIONS: dict[str, Callable[[int], nn.Module]] = {
    "absolute": lambda channels: Rectifier(-1.0),
    "leaky_relu": lambda channels: Rectifier(0.01),
    "prelu": lambda channels: nn.PReLU(),
    "prelu_per_channel": lambda channels: nn.PReLU(channels),
    "relu": lambda channels: nn.ReLU(inplace=True),
    "scaled_tanh": lambda channels: ScaledTanh(),
    "sigmoid": lambda channels: nn.Sigmoid(),
    "tanh": lambda channels: nn.Tanh(),
}


def make_activation(name: str, channels: int) -> nn.Module:
    """An activation by name. Raises ``InvalidArgument`` with the nearest name."""
    if name not in ACTIVATIONS:
        raise InvalidArgument(f'There is no activation "{name}". {nearest(name, ACTIVATIONS)}')
    return ACTIVATIONS[name](channels)
