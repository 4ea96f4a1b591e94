"""Images of a batch that are mixed with each other, by mixup or by CutMix, and what is then to be learnt of them."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mirada.data.augment import Augmentation


class Patch(NamedTuple):
    """A rectangle of pixels; ``bottom`` and ``right`` are the first ones behind it."""

    top: int
    bottom: int
    left: int
    right: int


class Mixing(NamedTuple):
    """How the images of a batch are mixed: image i is so far itself, and for the rest the image ``partners[i]``.

    ``share`` is what is left of itself, and ``patch`` the rectangle that is the partner's; None where all pixels are
    weighed.
    """

    partners: NDArray[np.int64]
    share: float
    patch: Patch | None = None

    def pixels(self, images: Tensor) -> Tensor:
        """The images (n, C, H, W), mixed; they are not changed."""
        if self.patch is None:
            return self.values(images)
        places = (..., slice(self.patch.top, self.patch.bottom), slice(self.patch.left, self.patch.right))
        images, others = images.clone(), images[places]
        images[places] = others[self.rows]
        return images

    def values(self, values: Tensor) -> Tensor:
        """Numbers (n, …), such as targets or covariates: share · x + (1 − share) · x of the partner."""
        return self.share * values + (1 - self.share) * values[self.rows]

    def needed(self, part: NDArray[np.int64]) -> tuple[NDArray[np.int64], "Mixing"]:
        """What is needed to mix some images of the batch, and how they are then mixed.

        Args:
            part: (m,), places in the batch.

        Returns:
            The places (2m,) of these images and, after them, of their partners; and the mixing of what lies there, of
            which the first m are the ones that were asked for.
        """
        places = np.concatenate((part, self.partners[part]))
        return places, self._replace(partners=np.tile(np.arange(len(part), 2 * len(part)), 2))

    @property
    def rows(self) -> Tensor:
        """The partners as a tensor."""
        return torch.from_numpy(self.partners)


def draw_mixing(
    augmentation: Augmentation, count: int, size: tuple[int, int], generator: np.random.Generator
) -> Mixing | None:
    """How ``count`` images of ``size`` (height, width) are mixed; None without mixup and CutMix.

    One share and one rectangle are drawn for the whole batch, as both papers do. Of both, each is taken for half of the
    batches.

    Source:
        Zhang et al. 2017, arXiv:1710.09412, eq. 1 and Fig. 1a; Yun et al. 2019, arXiv:1905.04899, eq. 1 and 2.
    """
    if not augmentation.mixes:
        return None
    partners = generator.permutation(count)
    cut = generator.random() < 0.5 if augmentation.mixup and augmentation.cutmix else augmentation.cutmix > 0
    alpha = augmentation.cutmix if cut else augmentation.mixup
    share, (x, y) = float(generator.beta(alpha, alpha)), generator.random(2)
    if not cut:
        return Mixing(partners, share)
    height, width = size
    half = np.sqrt(1 - share) / 2
    top, bottom = _within(y, half, height)
    left, right = _within(x, half, width)
    left_of_it = 1 - (bottom - top) * (right - left) / (height * width)  # the rectangle may hang over
    return Mixing(partners, left_of_it, Patch(top, bottom, left, right))


def _within(centre: float, half: float, side: int) -> tuple[int, int]:
    """Where a stretch begins and ends, in pixels of a side, as far as it lies within."""
    return max(round((centre - half) * side), 0), min(round((centre + half) * side), side)
