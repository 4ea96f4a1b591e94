"""Parallel branches joined along the channels, as the inception modules have them."""

from collections import OrderedDict

import torch
from torch import Tensor, nn


class Branches(nn.Module):
    """Concatenates what its children make of the same input, in the order in which they are given.

    (N, C, H, W) → (N, ΣCᵢ, H′, W′); every branch must give the same H′ × W′.  Szegedy et al. 2014, Fig. 2.
    """

    def __init__(self, branches: "OrderedDict[str, nn.Module]") -> None:
        super().__init__()
        for name, branch in branches.items():
            self.add_module(name, branch)

    def forward(self, x: Tensor) -> Tensor:
        """Runs every branch and concatenates."""
        return torch.cat([branch(x) for branch in self.children()], dim=1)
