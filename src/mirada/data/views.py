"""A fixed number of augmented views of each image, whose random numbers depend on the image and on nothing else.

So what frozen layers make of a view can be computed once and kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mirada.data.augment import Augmentation, in_turn
from mirada.data.batches import generator
from mirada.data.draw import Draw

if TYPE_CHECKING:
    from torch import Tensor

PLAIN = -1  # the view of an image to which nothing has happened
MIRRORED = -2  # and of its mirror image


def judged(flip_average: bool) -> tuple[int, ...]:
    """The views of an image of which the outputs are averaged to an answer."""
    return (PLAIN, MIRRORED) if flip_average else (PLAIN,)


@dataclass(frozen=True)
class Views:
    """What a training image looks like from epoch to epoch.

    Args:
        augmentation: What may happen to it.
        count: Views, at least 1, which the epochs show in turn.
        seed: Of the random numbers.
    """

    augmentation: Augmentation
    count: int
    seed: int

    def at(self, epoch: int) -> int:
        """The number of the view that an epoch, counted from 1, shows; ``PLAIN`` where augmentation does nothing."""
        return (epoch - 1) % self.count if self.augmentation.changes else PLAIN

    def between(self, first: int, last: int) -> list[int]:
        """The views that epochs show, the last one included, in their order."""
        return list(dict.fromkeys(map(self.at, range(first, last + 1)[: self.count])))

    def draw(self, digests: Sequence[str], view: int) -> Draw:
        """The random numbers of a view of some images: a pure function of the seed, the view and an image's content.

        Flips that alternate do so from view to view.
        """
        contents = [int(digest, 16) for digest in digests]
        own = [generator(self.seed, view, each).random(self.augmentation.numbers) for each in contents]
        mirrored = None
        if self.augmentation.alternates:
            mirrored = in_turn(np.array([generator(self.seed, each).random() for each in contents]), view)
        return self.augmentation.drawn(np.stack(own, axis=1), mirrored)

    def show(self, images: Tensor, digests: Sequence[str], view: int) -> Tensor:
        """A view of some images (n, C, H, W), float, 0 … 255, whose contents go by the digests."""
        if view in (PLAIN, MIRRORED):
            return images if view == PLAIN else images.flip(-1)
        return self.augmentation.apply(images, self.draw(digests, view))

    def name(self, view: int) -> str:
        """What a view goes by: two of one name show the same of every image."""
        known = {PLAIN: "plain", MIRRORED: "mirrored"}
        return known.get(view) or f"view {view}, seed {self.seed}, {self.augmentation!r}"
