"""Whether the machine has the memory that training needs, asked before it is taken."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from mirada.compute import Compute
from mirada.errors import RecipeError
from mirada.layers.own import OwnNetwork
from mirada.modelfile import Architecture
from mirada.summary import Summary, summarize
from mirada.training.averages import LastWeights
from mirada.training.optimizer import moments_of
from mirada.training.phases import Phase, phases_of
from mirada.training.recipe import Recipe
from mirada.training.start import built

NUMBER = 4  # bytes of a float32
COPIES = 3  # of a batch of images: as they are read, augmented, normalized


@dataclass(frozen=True)
class Room:
    """What a training needs room for, and where.

    Args:
        architecture: Which network.
        recipe: How it trains.
        compute: The device, and the precision of maps.
        count: Images to train on; a batch has no more.
        own: The network, if it is a module of one's own, whose weights are there already.
    """

    architecture: Architecture
    recipe: Recipe
    compute: Compute
    count: int
    own: OwnNetwork | None = None

    def require_for_weights(self) -> None:
        """Asks before any weight is drawn; it takes no memory itself.

        Raises:
            InvalidArgument: For a network that cannot be built, such as one for larger images.
            RecipeError: If a batch, the weights, and of those that ever learn the gradients and the optimizer's
                moments are more than there is; or if nothing can be frozen or thawed as the recipe says.
        """
        if self.own:
            return
        with torch.device("meta"):
            network = built(self.architecture)
        *_, last = phases_of(network, self.recipe)
        count = sum(parameter.numel() for parameter in network.parameters())
        self._require(NUMBER * (count + (1 + self._moments) * (count - last.frozen.parameters)))

    def require_for_maps(self, network: nn.Module, phases: Sequence[Phase] = ()) -> Summary:
        """Asks again for the maps of a slice of the batch, which are most of it.

        Args:
            network: As its first phase begins.
            phases: Those of the training, of which later ones train more.

        Returns:
            The summary of the network, which the answer comes from.

        Raises:
            RecipeError: If a step of training needs more than there is.
        """
        summary = self._summary(network)
        needed = self._needed(summary)
        thawed = [network.get_submodule(name) for phase in phases for name in phase.factors]
        if thawed:
            for part in thawed:
                part.requires_grad_(True)
            needed = self._needed(self._summary(network))
            for part in thawed:
                part.requires_grad_(False)
        self._require(needed)
        return summary

    def _summary(self, network: nn.Module) -> Summary:
        return summarize(network, (self.architecture.in_channels, *self.architecture.image_size))

    def _needed(self, summary: Summary) -> int:
        """Bytes of weights and maps in a step of what trains now; frozen parts leave no maps for the way back."""
        memory, at_once = summary.memory, min(self.recipe.micro_batch or self._batch, self._batch)
        maps = (memory.training_maps or memory.maps) * at_once
        if self.compute.precision == "bfloat16":
            maps //= 2
        return memory.weights_in_training(self._moments) + maps

    @property
    def _batch(self) -> int:
        return min(self.recipe.batch_size, self.count)

    @property
    def _moments(self) -> int:
        """Numbers that are kept of each weight beside its gradient: the optimizer's, and its average, if any."""
        own = len(moments_of(self.recipe.optimizer))
        return own + (not isinstance(self.recipe.average, LastWeights))

    def _require(self, needed: int) -> None:
        height, width = self.architecture.image_size
        needed += COPIES * NUMBER * self._batch * self.architecture.in_channels * height * width
        there = self.compute.memory()
        if there is not None and needed > there:
            raise RecipeError(
                f"{self.recipe.model} at {height} × {width} pixels in batches of {self.recipe.batch_size} needs some "
                f"{_gigabytes(needed)} GB to train, and {self.compute.device} has {_gigabytes(there)}. Take a smaller "
                f"--image-size or --batch-size, or --set micro_batch=1."
            )


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:,.1f}" if count < 1e10 else f"{count / 1e9:,.0f}"
