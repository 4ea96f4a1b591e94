"""Leaving a network as it was found."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Eval mode inside the block; afterwards every submodule has the mode that it had before."""
    modes = [(module, module.training) for module in network.modules()]
    try:
        if any(training for _, training in modes):
            network.eval()
        yield
    finally:
        for module, training in modes:
            if module.training != training:  # to set it takes longer than to look
                module.training = training  # not train(): that would overwrite the children's own modes
