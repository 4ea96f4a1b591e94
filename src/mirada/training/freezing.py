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
class FrozenParts:
    """The parts of a network that do not learn, by name, and how many parameters they have together.

    ``place`` is the last one of those that the images enter first, all of which are frozen; empty if the first one
    learns. ``notes`` say what comes of it, in sentences. ``steady`` are parts that learn, and whose batch normalization
    goes on with the statistics that it has all the same.
    """

    names: tuple[str, ...] = ()
    parameters: int = 0
    place: str = ""
    notes: tuple[str, ...] = ()
    steady: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join((f"frozen: {', '.join(self.names)}, {self.parameters:,} parameters", *self.notes))

    def train(self, network: nn.Module) -> None:
        """Puts a network into training mode, but for these parts.

        Their batch normalization goes on with the statistics that it has, and they drop nothing out.
        """
        network.train()
        for name in self.names:
            network.get_submodule(name).eval()
        for name in self.steady:
            for layer in normalizing(network.get_submodule(name)):
                layer.eval()


NOTHING = FrozenParts()


def freeze(network: Network, names: Sequence[str]) -> FrozenParts:
    """Takes parts of a network, such as ``stem`` and ``stage1``, out of its training; ``all`` is all but the head.

    Of a cut network the stage that was drawn with its head is no part of ``all``.

    Raises ``RecipeError`` for a part that is not there, and for the head.
    """
    body = [name for name, _ in network.named_children() if name != HEAD]
    if HEAD in names:
        raise RecipeError(f"freeze: the head has to learn, so leave it out. Got {', '.join(names)}.")
    for name in names:
        if name not in (*body, ALL):
            raise RecipeError(f'freeze: the network has no part "{name}". {nearest(name, [*body, ALL])}')
    everything = network.trunk() if ALL in names else ()
    chosen = [name for name in body if name in (*names, *everything)]
    for name in chosen:
        network.get_submodule(name).requires_grad_(False)
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise RecipeError(
            f"freeze: nothing is left to learn without {', '.join(chosen)}. Leave one of them out."
        )
    return frozen_parts(network, chosen)


def frozen_parts(network: Network, chosen: Sequence[str]) -> FrozenParts:
    """What it means that some parts of a network, in its order, are frozen; nothing is changed."""
    count = sum(value.numel() for name in chosen for value in network.get_submodule(name).parameters())
    first = list(takewhile(chosen.__contains__, network.parts()))
    place = first[-1] if first else ""
    return FrozenParts(tuple(chosen), count, place, _notes(network, chosen, first))


def _notes(network: Network, chosen: Sequence[str], first: Sequence[str]) -> tuple[str, ...]:
    """What is not to be seen from the names of the frozen parts: their statistics, and those that run all the same."""
    notes = []
    if any(has_statistics(network.get_submodule(name)) for name in chosen):
        notes.append("  The batch normalization of frozen parts keeps the statistics that it has.")
    if later := [name for name in chosen if name in network.parts() and name not in first]:
        notes.append(
            f"  {', '.join(later)} cannot be computed once, since a part before learns: run in every step."
        )
    return tuple(notes)


def has_statistics(part: nn.Module) -> bool:
    """Whether a part normalizes by what it has seen of earlier batches."""
    return bool(normalizing(part))


def normalizing(part: nn.Module) -> list[nn.Module]:
    """The layers of a part that normalize by what they have seen of earlier batches."""
    return [layer for layer in part.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
