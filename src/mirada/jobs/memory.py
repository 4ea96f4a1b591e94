"""Whether the machine has the memory that training needs, asked before it is taken."""

from dataclasses import dataclass

import torch
from torch import nn

from mirada.compute import Compute
from mirada.errors import RecipeError
from mirada.modelfile import Architecture
from mirada.summary import Summary, summarize
from mirada.training.averages import LastWeights
from mirada.training.recipe import Adam, Recipe
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
    """

    architecture: Architecture
    recipe: Recipe
    compute: Compute
    count: int

    def require_for_weights(self) -> None:
        """Asks before any weight is drawn; it takes no memory itself.

        Raises:
            InvalidArgument: For a network that cannot be built, such as one for larger images.
            RecipeError: If a batch, the weights, their gradients and the optimizer's moments are more than there is.
        """
        with torch.device("meta"):
            network = built(self.architecture)
        weights = NUMBER * sum(parameter.numel() for parameter in network.parameters())
        self._require((2 + self._moments) * weights)

    def require_for_maps(self, network: nn.Module) -> Summary:
        """Asks again for the maps of a slice of the batch, which are most of it.

        Returns:
            The summary of the network, which the answer comes from.

        Raises:
            RecipeError: If a step of training needs more than there is.
        """
        summary = summarize(network, (self.architecture.in_channels, *self.architecture.image_size))
        memory, at_once = summary.memory, min(self.recipe.micro_batch or self._batch, self._batch)
        maps = (memory.training_maps or memory.maps) * at_once
        if self.compute.precision == "bfloat16":
            maps //= 2
        self._require(memory.weights_in_training(self._moments) + maps)
        return summary

    @property
    def _batch(self) -> int:
        return min(self.recipe.batch_size, self.count)

    @property
    def _moments(self) -> int:
        """Numbers that are kept of each weight beside its gradient: the optimizer's, and its average, if any."""
        own = 2 if isinstance(self.recipe.optimizer, Adam) else 1
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
