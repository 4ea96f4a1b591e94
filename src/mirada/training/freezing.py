"""Parts of a network that keep the weights they start with."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from mirada.errors import RecipeError, nearest


@dataclass(frozen=True)
class Frozen:
    """The parts of a network that do not learn, by name, and how many parameters they have together."""

    names: tuple[str, ...] = ()
    parameters: int = 0

    def __str__(self) -> str:
        return f"frozen: {', '.join(self.names)}, {self.parameters:,} parameters"

    def train(self, network: nn.Module) -> None:
        """Puts a network into training mode, but for these parts.

        Their batch normalization goes on with the statistics that it has, and they drop nothing out.
        """
        network.train()
        for name in self.names:
            network.get_submodule(name).eval()


NOTHING = Frozen()


def freeze(network: nn.Module, names: Sequence[str]) -> Frozen:
    """Takes parts of a network, such as ``stem`` and ``stage1``, out of its training.

    Raises ``RecipeError`` for a part that is not there, or if nothing is left to train.
    """
    parts = dict(network.named_children())
    for name in names:
        if name not in parts:
            raise RecipeError(f'freeze: the network has no part "{name}". {nearest(name, parts)}')
    chosen = [name for name in parts if name in names]
    count = 0
    for name in chosen:
        for parameter in parts[name].parameters():
            parameter.requires_grad_(False)
            count += parameter.numel()
    if chosen and not any(parameter.requires_grad for parameter in network.parameters()):
        raise RecipeError(f"freeze: with {', '.join(chosen)} frozen nothing is left to train. Leave one out.")
    return Frozen(tuple(chosen), count)
