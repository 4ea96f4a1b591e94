"""What training is shown, and in which order. Everything random in it is a pure function of (seed, epoch, step)."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mirada.compute import Compute
from mirada.data.augment import Augmentation
from mirada.data.batches import batch_rows, generator, normalize, read, shuffled, steps_per_epoch, to_float
from mirada.data.cache import Cache
from mirada.data.sampling import balanced, visits
from mirada.evaluation.features import Features
from mirada.modelfile import Card
from mirada.training.step import Batch

Rows = NDArray[np.int64]


@dataclass(kw_only=True)
class Feed:
    """The images of a run, as batches.

    Args:
        cache: Decoded images, and the index of their targets, splits and covariates.
        card: How pixels are normalized, numbers and covariates scaled.
        compute: The device that batches are put on.
        augmentation: What may happen to a training image.
        batch_size: Images per step.
        balanced: Whether an epoch shows every class equally often, instead of every image once.
        seed: Of the order, of augmentation and of dropout.
    """

    cache: Cache
    card: Card
    compute: Compute
    augmentation: Augmentation
    batch_size: int
    balanced: bool = False
    seed: int = 0
    features: Features | None = field(init=False, default=None)  # what parts that do not learn make of them
    targets: Tensor = field(init=False)  # of all samples, on the device
    covariates: Tensor | None = field(init=False)

    def __post_init__(self) -> None:
        index, scaling = self.cache.index, self.card.target_scaling
        # Numbers are centred in float64: of seconds since 1970, float32 keeps two minutes and no less.
        numbers = scaling and scaling.forward(index.targets.astype(np.float64)).astype(np.float32)
        self.targets = torch.from_numpy(index.targets if numbers is None else numbers).to(self.compute.device)
        covariates = self.card.scale_covariates(index.covariates)
        self.covariates = None if covariates is None else covariates.to(self.compute.device)
        self.train_rows, self.val_rows = index.rows("train"), index.rows("val")
        self.visits = visits(self.labels) if self.balanced else len(self.train_rows)

    @property
    def labels(self) -> Rows:
        """The class numbers of the training images."""
        return self.cache.index.targets[self.train_rows].astype(np.int64)

    @property
    def steps(self) -> int:
        """Optimizer steps per epoch, which shows ``visits`` images."""
        return steps_per_epoch(self.visits, self.batch_size)

    def order(self, epoch: int) -> Rows:
        """The rows in the order in which an epoch visits them; epochs count from 1."""
        if self.balanced:
            return balanced(self.train_rows, self.labels, seed=self.seed, epoch=epoch)
        return shuffled(self.train_rows, seed=self.seed, epoch=epoch)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """The batches of an epoch, counted from 1."""
        order = self.order(epoch)
        for step in range(self.steps):
            yield self.batch(batch_rows(order, batch_size=self.batch_size, step=step), epoch, step)

    def batch(self, rows: Rows, epoch: int, step: int) -> Batch:
        """What the parts that learn see of some rows at a step of an epoch; steps count from 0."""
        features = self.features
        return Batch(
            features.maps(rows, features.views.at(epoch)) if features else self.images(rows, epoch, step),
            self.targets[torch.from_numpy(rows)],
            self.covariates_of(rows),
            int(generator(self.seed, epoch, step, 1).integers(2**63)),
            features.place if features else "",
        )

    def images(self, rows: Rows, epoch: int, step: int) -> Tensor:
        """The pixels (n, C, H, W) that are seen of some rows, augmented and normalized, on the device."""
        if self.features:
            return self.features.pixels(rows, self.features.views.at(epoch))
        images = to_float(self.compute.to_device(read(self.cache, rows)))
        draw = self.augmentation.draw(len(rows), generator(self.seed, epoch, step))
        images = normalize(self.augmentation.apply(images, draw), self.card.preprocessing)
        return images.contiguous(memory_format=torch.channels_last)

    def covariates_of(self, rows: Rows) -> Tensor | None:
        """The covariates (n, K) of some rows; None for a network that reads images alone."""
        return None if self.covariates is None else self.covariates[torch.from_numpy(rows)]
