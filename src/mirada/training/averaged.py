"""The network of averaged weights, which is judged and kept in the place of the one that learns."""

from copy import deepcopy

import torch
from torch import Tensor

from mirada.layers.network import Network
from mirada.training.averages import Ema, Polyak
from mirada.training.freezing import NOTHING, FrozenParts


class AveragedNetwork:
    """A second network, whose weights are an average of those that another one has after its steps.

    The running mean and variance of batch normalization are averaged like weights, and its counters copied. What is
    frozen is the same in both, so it costs nothing.

    Args:
        learning: The network that learns; what it is now, the second one is too.
        averaging: How its weights are averaged.
        first: Steps of the run that pass before.

    Source:
        ``torch.optim.swa_utils.AveragedModel`` with ``use_buffers=True``, and ``timm.utils.ModelEmaV2``, average the
        statistics likewise.
    """

    def __init__(self, learning: Network, averaging: Ema | Polyak, first: int) -> None:
        self.network = deepcopy(learning).requires_grad_(False).eval()
        self.averaging = averaging
        self.first = first
        self.follow(learning, NOTHING)

    def follow(self, learning: Network, frozen: FrozenParts) -> None:
        """Looks up what changes from step to step, which is all that is not frozen."""
        own, theirs = self.network.state_dict(), learning.state_dict()
        changing = [name for name in own if name.partition(".")[0] not in frozen.names]
        real = [name for name in changing if own[name].is_floating_point()]
        self._averages, self._latest = [own[name] for name in real], [theirs[name] for name in real]
        self._counters = [(own[name], theirs[name]) for name in changing if name not in real]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Takes in the weights after a step of the run, counted from 1; those before its first one are passed over."""
        if step <= self.first:
            return
        weight = self.averaging.weight(step - self.first - 1)
        torch._foreach_lerp_(self._averages, self._latest, weight)
        for own, theirs in self._counters:
            own.copy_(theirs)

    def tensors(self) -> dict[str, Tensor]:
        """The average by name: those of the network."""
        return self.network.state_dict()
