"""What training is shown, and in which order. Everything random in it is a pure function of (seed, epoch, step)."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mirada.compute import Compute
from mirada.data.augment import Augmentation, Draw, in_turn
from mirada.data.batches import batch_rows, generator, normalize, read, shuffled, steps_per_epoch, to_float
from mirada.data.cache import Cache
from mirada.data.mixing import Mixing, draw_mixing
from mirada.data.sampling import balanced, visits
from mirada.evaluation.features import Features
from mirada.modelfile import Card
from mirada.processes.ranks import here
from mirada.samples import Classes, Target
from mirada.training.step import Batch

Rows = NDArray[np.int64]
DROPOUT, MIXING, STARTS, LABELS = 1, 2, 3, 4  # what random numbers are for, beside those of augmentation


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
        permuted: Whether the training images have each other's targets.
    """

    cache: Cache
    card: Card
    compute: Compute
    augmentation: Augmentation
    batch_size: int
    balanced: bool = False
    seed: int = 0
    permuted: bool = False
    features: Features | None = field(init=False, default=None)  # what parts that do not learn make of them
    targets: Tensor = field(init=False)  # of all samples, on the device
    covariates: Tensor | None = field(init=False)

    def __post_init__(self) -> None:
        index, scaling = self.cache.index, self.card.target_scaling
        # Numbers are centred in float64: of seconds since 1970, float32 keeps two minutes and no less.
        numbers = scaling and scaling.forward(index.targets.astype(np.float64)).astype(np.float32)
        self.targets = torch.from_numpy(index.targets if numbers is None else numbers).to(self.compute.device)
        self.train_rows, self.val_rows = index.rows("train"), index.rows("val")
        if self.permuted:
            taken = generator(self.seed, 0, 0, LABELS).permutation(self.train_rows)
            rows, others = torch.from_numpy(self.train_rows), torch.from_numpy(taken)
            self.targets = self.targets.index_copy(0, rows, self.targets[others])  # the index keeps its own
        covariates = self.card.scale_covariates(index.covariates)
        self.covariates = None if covariates is None else covariates.to(self.compute.device)
        self.starts = generator(self.seed, 0, 0, STARTS).random(len(index))  # of flips that alternate
        self.visits = visits(self.labels) if self.balanced else len(self.train_rows)

    @property
    def labels(self) -> Rows:
        """The class numbers of the training images."""
        return np.asarray(self.targets.cpu().numpy()[self.train_rows], dtype=np.int64)

    @property
    def steps(self) -> int:
        """Optimizer steps per epoch, which shows ``visits`` images."""
        return steps_per_epoch(self.visits, self.batch_size)

    def order(self, epoch: int) -> Rows:
        """The rows in the order in which an epoch visits them; epochs count from 1."""
        if self.balanced:
            return balanced(self.train_rows, self.labels, seed=self.seed, epoch=epoch)
        return shuffled(self.train_rows, seed=self.seed, epoch=epoch)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, counted from 1, without the first ``start`` of them."""
        order = self.order(epoch)
        for step in range(start, self.steps):
            yield self.batch(batch_rows(order, batch_size=self.batch_size, step=step), epoch, step)

    def rows(self, epoch: int, step: int) -> Rows:
        """The rows that a step of an epoch shows; steps count from 0."""
        return batch_rows(self.order(epoch), batch_size=self.batch_size, step=step)

    def batch(self, rows: Rows, epoch: int, step: int) -> Batch:
        """What the parts that learn see of some rows at a step of an epoch; steps count from 0.

        Of several processes each sees its share of the rows, the same as if one saw them all. One for which there are
        none is shown an image that does not count.
        """
        ranks, features, mixing = here(), self.features, self.mixing(len(rows), epoch, step)
        own = np.arange(len(rows))[ranks.share(len(rows), least=2)]
        part = own if len(own) else np.zeros(1, dtype=np.int64)
        places, mixing = _needed(part, mixing, len(rows))
        plain = Batch(
            features.maps(rows[part], features.views.at(epoch))
            if features
            else self.images(rows, epoch, step, part),
            self.targets[torch.from_numpy(rows[places])],
            self.covariates_of(rows[places]),
            (int(generator(self.seed, epoch, step, DROPOUT).integers(2**63)) + ranks.rank) % 2**63,
            features.place if features else "",
            whole=len(rows),
            idle=not len(own),
        )
        return _mixed(plain, mixing, self.card.target) if mixing else plain

    def images(self, rows: Rows, epoch: int, step: int, part: Rows | None = None) -> Tensor:
        """The pixels (n, C, H, W) that are seen of some rows, augmented, normalized and mixed, on the device.

        ``part`` are the places among the rows that are wanted, in their order; None for all of them.
        """
        part = np.arange(len(rows)) if part is None else part
        if self.features:
            return self.features.pixels(rows[part], self.features.views.at(epoch))
        places, mixing = _needed(part, self.mixing(len(rows), epoch, step), len(rows))
        images = to_float(self.compute.to_device(read(self.cache, rows[places])))
        mirrored = in_turn(self.starts[rows], epoch) if self.augmentation.alternates else None
        draw = self.augmentation.draw(len(rows), generator(self.seed, epoch, step), mirrored)
        draw = Draw(*(numbers[places] for numbers in draw))
        images = self.augmentation.apply(images, draw)  # a new array: of its own, or of ``to_float``
        images = normalize(images, self.card.preprocessing, out=images)
        if mixing:
            images = mixing.pixels(images)[: len(part)]
        return images

    def mixing(self, count: int, epoch: int, step: int) -> Mixing | None:
        """How the images of a step are mixed with each other; None where they are not."""
        if not self.augmentation.mixes:
            return None  # without a generator: to make one takes 0.05 ms
        size = self.card.preprocessing.size
        return draw_mixing(self.augmentation, count, size, generator(self.seed, epoch, step, MIXING))

    def covariates_of(self, rows: Rows) -> Tensor | None:
        """The covariates (n, K) of some rows; None for a network that reads images alone."""
        return None if self.covariates is None else self.covariates[torch.from_numpy(rows)]


def _needed(part: Rows, mixing: Mixing | None, count: int) -> tuple[Rows, Mixing | None]:
    """The places of a batch of ``count`` images that some of its places take, and how they are mixed."""
    return mixing.needed(part) if mixing and len(part) < count else (part, mixing)


def _mixed(plain: Batch, mixing: Mixing, target: Target) -> Batch:
    """A batch of images that are mixed, with what is to be learnt of them: the mean of numbers, or two classes."""
    count = len(plain.images)  # behind them in the targets are those that they are mixed with
    covariates = plain.covariates if plain.covariates is None else mixing.values(plain.covariates)[:count]
    match target:
        case Classes():
            others, targets = plain.targets[mixing.rows][:count], plain.targets[:count]
            return plain._replace(covariates=covariates, targets=targets, others=others, share=mixing.share)
        case _:
            return plain._replace(covariates=covariates, targets=mixing.values(plain.targets)[:count])
