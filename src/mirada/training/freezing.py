"""Parts of a network that keep the weights they start with."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from torch import nn

from mirada.errors import RecipeError, nearest
from mirada.layers.network import Network

ALL = "all"  # of the parts, but the head
HEAD = "head"


@dataclass(frozen=True)
class Frozen:
    """The parts of a network that do not learn, by name, and how many parameters they have together.

    ``place`` is the last one of those that the images enter first, all of which are frozen; empty if the first one
    learns. ``notes`` say what comes of it, in sentences.
    """

    names: tuple[str, ...] = ()
    parameters: int = 0
    place: str = ""
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join((f"frozen: {', '.join(self.names)}, {self.parameters:,} parameters", *self.notes))

    def train(self, network: nn.Module) -> None:
        """Puts a network into training mode, but for these parts.

        Their batch normalization goes on with the statistics that it has, and they drop nothing out.
        """
        network.train()
        for name in self.names:
            network.get_submodule(name).eval()


NOTHING = Frozen()


def freeze(network: Network, names: Sequence[str]) -> Frozen:
    """Takes parts of a network, such as ``stem`` and ``stage1``, out of its training; ``all`` is all but the head.

    Raises ``RecipeError`` for a part that is not there, and for the head.
    """
    parts = dict(network.named_children())
    body = [name for name in parts if name != HEAD]
    if HEAD in names:
        raise RecipeError(f"freeze: the head has to learn, so leave it out. Got {', '.join(names)}.")
    for name in names:
        if name not in (*body, ALL):
            raise RecipeError(f'freeze: the network has no part "{name}". {nearest(name, [*body, ALL])}')
    chosen = [name for name in body if name in names or ALL in names]
    count = 0
    for name in chosen:
        for parameter in parts[name].parameters():
            parameter.requires_grad_(False)
            count += parameter.numel()
    first = list(takewhile(chosen.__contains__, network.parts()))
    return Frozen(tuple(chosen), count, first[-1] if first else "", _notes(network, chosen, first))


def _notes(network: Network, chosen: Sequence[str], first: Sequence[str]) -> tuple[str, ...]:
    """What is not to be seen from the names of the frozen parts: their statistics, and those that run all the same."""
    notes = []
    layers = [layer for name in chosen for layer in network.get_submodule(name).modules()]
    if any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in layers):
        notes.append("  The batch normalization of frozen parts keeps the statistics that it has.")
    if later := [name for name in chosen if name in network.parts() and name not in first]:
        notes.append(
            f"  {', '.join(later)} cannot be computed once, since a part before learns: run in every step."
        )
    return tuple(notes)
