"""What training is shown, and in which order. Everything random in it is a pure function of (seed, epoch, step)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mirada.compute import Compute
from mirada.data.augment import Augmentation, in_turn
from mirada.data.batches import batch_rows, generator, normalize, read, shuffled, steps_per_epoch, to_float
from mirada.data.cache import Cache
from mirada.data.mixing import Mixing, draw_mixing
from mirada.data.sampling import balanced, visits
from mirada.data.warp import Effects, effects_of
from mirada.evaluation.features import Features
from mirada.modelfile import Card
from mirada.processes.ranks import here
from mirada.samples import Classes, Target
from mirada.training.step import Batch

Rows = NDArray[np.int64]
DRAWN_AT_ONCE = 512  # images: drawn by 32, the small numbers took a third as long as the pixels
DROPOUT, MIXING, STARTS, LABELS = 1, 2, 3, 4  # what random numbers are for, beside those of augmentation


class StepDraw(NamedTuple):
    """What is drawn for a step: what augmentation does to its images, and the seed of dropout."""

    effects: Effects
    dropout: int


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
        order, together = self.order(epoch), max(1, DRAWN_AT_ONCE // self.batch_size)
        for first in range(start - start % together, self.steps, together):
            steps = range(first, min(first + together, self.steps))
            shown = [batch_rows(order, batch_size=self.batch_size, step=step) for step in steps]
            for step, rows, draw in zip(steps, shown, self.draws(shown, epoch, first), strict=True):
                if step >= start:
                    yield self.batch(rows, epoch, step, draw)

    def rows(self, epoch: int, step: int) -> Rows:
        """The rows that a step of an epoch shows; steps count from 0."""
        return batch_rows(self.order(epoch), batch_size=self.batch_size, step=step)

    def batch(self, rows: Rows, epoch: int, step: int, draw: StepDraw | None = None) -> Batch:
        """What the parts that learn see of some rows at a step of an epoch; steps count from 0.

        ``draw`` is what is drawn for them, where it is known already. Of several processes each sees its share of the
        rows, the same as if one saw them all. One for which there are none is shown an image that does not count.
        """
        ranks, features = here(), self.features
        effects, dropout = draw or self.draws([rows], epoch, step)[0]
        own = ranks.share(len(rows), least=2)
        idle = own.start == own.stop
        part = slice(0, 1) if idle else own
        places, mixing = _needed(part, self.mixing(len(rows), epoch, step), len(rows))
        if features:
            images = features.maps(rows[part], features.views.at(epoch))
        else:
            images = self._pixels(rows[places], effects.take(places), mixing)[: part.stop - part.start]
        plain = Batch(
            images,
            self.targets[torch.from_numpy(rows[places])],
            self.covariates_of(rows[places]),
            (dropout + ranks.rank) % 2**63,
            features.place if features else "",
            whole=len(rows),
            idle=idle,
        )
        return _mixed(plain, mixing, self.card.target) if mixing else plain

    def images(self, rows: Rows, epoch: int, step: int) -> Tensor:
        """The pixels (n, C, H, W) that are seen of some rows, augmented, normalized and mixed, on the device."""
        if self.features:
            return self.features.pixels(rows, self.features.views.at(epoch))
        effects, _ = self.draws([rows], epoch, step)[0]
        return self._pixels(rows, effects, self.mixing(len(rows), epoch, step))

    def draws(self, shown: Sequence[Rows], epoch: int, first: int) -> list[StepDraw]:
        """What is drawn for the rows of some steps in turn, of which ``first`` is the number in the epoch.

        The random numbers of each step are its own, so that its draw does not depend on the steps beside it.
        """
        steps = range(first, first + len(shown))
        numbers = [
            generator(self.seed, epoch, step).random((self.augmentation.numbers, len(rows)))
            for step, rows in zip(steps, shown, strict=True)
        ]
        turns = in_turn(self.starts[np.concatenate(shown)], epoch) if self.augmentation.alternates else None
        draw = self.augmentation.drawn(np.concatenate(numbers, axis=1), turns)
        effects = effects_of(draw, self.card.preprocessing.size, self.compute.device)
        dropout = [int(generator(self.seed, epoch, step, DROPOUT).integers(2**63)) for step in steps]
        ends = accumulate(len(rows) for rows in shown)
        parts = [slice(end - len(rows), end) for end, rows in zip(ends, shown, strict=True)]
        return [StepDraw(effects.take(part), seed) for part, seed in zip(parts, dropout, strict=True)]

    def _pixels(self, rows: Rows, effects: Effects, mixing: Mixing | None) -> Tensor:
        """The pixels of some rows, augmented to these effects, normalized and mixed."""
        # Warping takes the channels of a pixel together as they are read, and puts them out one by one.
        order = torch.preserve_format if self.augmentation.warps else torch.contiguous_format
        images = to_float(self.compute.to_device(read(self.cache, rows)), order)
        images = self.augmentation.apply_effects(images, effects)
        images = normalize(images, self.card.preprocessing, out=images)  # nobody else's, since ``to_float``
        return mixing.pixels(images) if mixing else images

    def mixing(self, count: int, epoch: int, step: int) -> Mixing | None:
        """How the images of a step are mixed with each other; None where they are not."""
        if not self.augmentation.mixes:
            return None  # without a generator: to make one takes 0.05 ms
        size = self.card.preprocessing.size
        return draw_mixing(self.augmentation, count, size, generator(self.seed, epoch, step, MIXING))

    def covariates_of(self, rows: Rows) -> Tensor | None:
        """The covariates (n, K) of some rows; None for a network that reads images alone."""
        return None if self.covariates is None else self.covariates[torch.from_numpy(rows)]


def _needed(part: slice, mixing: Mixing | None, count: int) -> tuple[slice | Rows, Mixing | None]:
    """The places of a batch of ``count`` images that some of its places take, and how they are mixed."""
    if mixing is None or part == slice(0, count):
        return part, mixing
    return mixing.needed(np.arange(count)[part])


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
