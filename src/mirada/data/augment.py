"""Augmentation of a batch: what may happen to an image, and the random numbers that decide what does.

``draw`` makes the random numbers, ``apply`` uses them, so a batch can be augmented again the same way. Each
sample gets its own draw. The few numbers of a draw are NumPy's, which handles so few several times faster than torch;
pixels are torch's, which is loaded when they come.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from mirada.data.draw import Draw, Floats
from mirada.errors import InvalidArgument
from mirada.settings import check, described, setting

if TYPE_CHECKING:
    from torch import Tensor

    from mirada.data.warp import Effects

Fill = Literal["edge", "reflect", "black"]
Flip = bool | Literal["auto", "alternate"]
DRAWN = 14  # random numbers of one sample
ERASED = 6  # and those of random erasing, if there is any; the saturation takes one more
ERASED_SHARE, ERASED_ASPECT = (0.02, 0.4), math.log(1 / 0.3)  # Zhong et al. 2017, §4: s_l, s_h and r_1


def in_turn(starts: Floats, turn: int) -> NDArray[np.bool_]:
    """Which images are mirrored in a turn: some in the odd ones, the others in the even ones.

    Args:
        starts: (n,), a number from 0 to below 1 for each image, which never changes.
        turn: Such as the number of the epoch.
    """
    return np.asarray((starts < 0.5) ^ bool(turn % 2))


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What may happen to a training image. Every value is a half-width around "nothing happens".

    Args:
        rotation: Degrees, U(−a, a).
        shear: Degrees, U(−a, a). (Keras' ``shear_range`` is in degrees too: the lecture notes' 0.2 moves the edge of a
            64-pixel image by a tenth of a pixel.)
        zoom: Fraction; each axis is scaled by U(1 − z, 1 + z), independently, as Keras does.
        shift: Fraction of the width and of the height, U(−s, s).
        horizontal_flip: With probability ½. ``"auto"`` is yes, and ``"alternate"`` mirrors each image in every other
            epoch, so that two epochs show it both ways; ``mirada.train`` makes no of both where names tell left from
            right (``data.mirrored``).
        vertical_flip: With probability ½.
        crop: Smallest share of the image's area in a random resized crop. The share is U(crop, 1), the aspect ratio
            the image's own times ¾ … 4⁄3, log-uniform, as far as it fits; 1 switches it off.
        brightness: Fraction; a factor U(1 − v, 1 + v).
        contrast: Fraction; a factor U(1 − v, 1 + v), around the image's mean.
        saturation: Fraction; a factor U(1 − v, 1 + v) of each value's distance from the grey of its pixel.
        erase: Probability that a rectangle of 2 to 40 % of the area gives way to noise.
        mixup: α of mixup, 0 for none: every image of a batch is mixed with another one, and so is what is to be learnt;
            the share is drawn from Beta(α, α) for each batch.
        cutmix: α of CutMix, 0 for none: a rectangle of every image is that of another one, and the classes count by
            their area. With mixup too, half of the batches get the one and half the other.
        fill: What lies outside of the image: ``edge`` (the nearest pixel), ``reflect`` or ``black``.

    Raises:
        InvalidArgument: For a value outside of its range.

    Source:
        Szegedy et al. 2014, arXiv:1409.4842, §6, for ``crop``; Jordan 2024, arXiv:2404.00498, §3.6, for flips that
        alternate; Zhong et al. 2017, arXiv:1708.04896, Alg. 1, for ``erase``, with random values; Zhang et al. 2017,
        arXiv:1710.09412, for ``mixup``; Yun et al. 2019, arXiv:1905.04899, for ``cutmix``.
    """

    rotation: float = setting(0.0, "Rotated by up to this many degrees, either way.", least=0, most=180)
    shear: float = setting(0.0, "Sheared by up to this many degrees, either way.", least=0, most=80)
    zoom: float = setting(0.0, "Each axis scaled by 1 ± up to this fraction.", least=0, most=0.95)
    shift: float = setting(0.0, "Shifted by up to this fraction of width and height.", least=0, most=1)
    horizontal_flip: Flip = setting(
        False,
        "Half of the images mirrored; auto: unless names tell left from right; alternate: likewise, by turns.",
    )
    vertical_flip: bool = setting(False, "Half of the images turned upside down.")
    crop: float = setting(
        1.0, "Smallest share of the area in a random resized crop; 1: none.", above=0, most=1
    )
    brightness: float = setting(0.0, "Brightness times 1 ± up to this fraction.", least=0, most=1)
    contrast: float = setting(0.0, "Contrast times 1 ± up to this fraction.", least=0, most=1)
    saturation: float = setting(0.0, "Saturation times 1 ± up to this fraction.", least=0, most=1)
    erase: float = setting(0.0, "Probability that noise takes the place of a rectangle.", least=0, most=1)
    mixup: float = setting(
        0.0, "α of mixup: two images and their targets mixed by Beta(α, α); 0: none.", least=0, most=100
    )
    cutmix: float = setting(
        0.0,
        "α of CutMix: a rectangle of another image, with its share of the class; 0: none.",
        least=0,
        most=100,
    )
    fill: Fill = setting("edge", "What lies outside of the image.")

    def __post_init__(self) -> None:
        check(self, InvalidArgument, of=" of Augmentation")

    def __str__(self) -> str:
        """What happens, in words: ``rotation 10, zoom 0.15, horizontal flip``; ``none``.

        >>> str(Augmentation(zoom=0.2, horizontal_flip=True, cutmix=1)), str(Augmentation())
        ('zoom 0.2, horizontal flip, cutmix 1.0', 'none')
        """
        words = []
        for each in described(type(self)):
            value, name = getattr(self, each.name), each.name.replace("_", " ")
            if value != each.default and (each.name != "fill" or self.warps):
                words.append(name if value is True or value == "auto" else f"{name} {value}")
        return ", ".join(words) or "none"

    @property
    def changes(self) -> bool:
        """Whether anything can happen to an image by itself."""
        return self.warps or self.recolours or self.erase > 0

    @property
    def mixes(self) -> bool:
        """Whether images can be mixed with others."""
        return self.mixup > 0 or self.cutmix > 0

    @property
    def alternates(self) -> bool:
        """Whether images are mirrored by turns."""
        return self.horizontal_flip == "alternate"

    @property
    def warps(self) -> bool:
        """Whether any pixel can move."""
        moves = (self.rotation, self.shear, self.zoom, self.shift, self.horizontal_flip, self.vertical_flip)
        return any(moves) or self.crop < 1

    @property
    def recolours(self) -> bool:
        """Whether brightness, contrast or saturation can change."""
        return self.brightness > 0 or self.contrast > 0 or self.saturation > 0

    @property
    def numbers(self) -> int:
        """How many random numbers an image takes."""
        return DRAWN + ERASED * (self.erase > 0) + (self.saturation > 0)

    def draw(self, n: int, generator: np.random.Generator, mirrored: NDArray[np.bool_] | None = None) -> Draw:
        """The random numbers that decide what happens to each image of a batch.

        Args:
            n: Images in the batch.
            generator: Where the numbers come from; the same state gives the same draw.
            mirrored: (n,), which images are mirrored; None to draw that, too.

        Returns:
            Matrices (n, 2, 3), crops (n, 4), factors of brightness, contrast and saturation (n,), and what is erased.
        """
        return self.drawn(generator.random((self.numbers, n)), mirrored)

    def drawn(self, u: Floats, mirrored: NDArray[np.bool_] | None = None) -> Draw:
        """The draw that is made of numbers between 0 and 1.

        Args:
            u: (``numbers``, n), a column for each image.
            mirrored: As for ``draw``.

        Returns:
            As ``draw`` does.
        """
        n = u.shape[1]
        signed = 2 * u - 1  # U(−1, 1)
        flipped = u[4] < 0.5 * bool(self.horizontal_flip) if mirrored is None else mirrored
        angle = signed[0] * math.radians(self.rotation)
        slope = np.tan(signed[1] * math.radians(self.shear))
        scale_x = (1 + signed[2] * self.zoom) * np.where(flipped, -1, 1)
        scale_y = (1 + signed[3] * self.zoom) * np.where(u[5] < 0.5 * self.vertical_flip, -1, 1)
        cos, sin = np.cos(angle), np.sin(angle)
        matrices = np.empty((n, 2, 3))  # rotation · shear · (zoom and flip), then the shift
        matrices[:, 0, 0], matrices[:, 0, 1] = cos * scale_x, (cos * slope - sin) * scale_y
        matrices[:, 1, 0], matrices[:, 1, 1] = sin * scale_x, (sin * slope + cos) * scale_y
        matrices[:, :, 2] = (signed[6:8] * 2 * self.shift).T
        return Draw(
            matrices,
            _rectangles((self.crop, 1), math.log(4 / 3), u[8], signed[9:12]),
            1 + signed[12] * self.brightness,
            1 + signed[13] * self.contrast,
            1 + signed[-1] * self.saturation,
            self._erased(u[DRAWN:]) if self.erase else np.empty((n, 0)),
        )

    def _erased(self, u: Floats) -> Floats:
        """The rectangles that are erased, and the seeds of their noise."""
        rectangles = _rectangles(ERASED_SHARE, ERASED_ASPECT, u[1], 2 * u[2:5] - 1)
        erased: Floats = np.column_stack((rectangles, u[5])) * (u[0] < self.erase)[:, None]
        return erased

    def apply(self, images: Tensor, draw: Draw) -> Tensor:
        """The images of a batch, each changed as the draw says.

        Args:
            images: (N, C, H, W), float32, 0 … 255.
            draw: What ``draw(N, …)`` returned.

        Returns:
            Images of the same shape and range; the same tensor where nothing can happen.
        """
        from mirada.data.warp import effects_of

        height, width = images.shape[-2:]
        return self.apply_effects(images, effects_of(draw, (height, width), images.device))

    def apply_effects(self, images: Tensor, effects: Effects) -> Tensor:
        """The images of a batch, each changed as a draw says whose effects are known.

        Args:
            images: As for ``apply``.
            effects: Those of the draw on images of this size.

        Returns:
            As ``apply`` does.
        """
        from mirada.data.warp import erase, recolour, saturate, warp

        if self.warps:
            images = warp(images, effects.along_x, effects.along_y, self.fill)
        if self.saturation:
            images = saturate(images, effects.saturation)
        if self.recolours:
            images = recolour(images, effects.scale, effects.share)
        return erase(images, effects.erased) if self.erase else images


def _rectangles(shares: tuple[float, float], widest: float, area: Floats, signed: Floats) -> Floats:
    """Width, height and centre (n, 4) of random rectangles, as shares of the image, of which none hangs over.

    ``shares`` are the least and the largest of the area, ``widest`` the logarithm of the largest aspect ratio over that
    of the image, ``area`` (n,) from 0 to 1, and ``signed`` (3, n) from −1 to 1: aspect, x and y.
    """
    least, most = shares
    aspect, x, y = signed
    area = least + (most - least) * area
    ratio = np.exp(
        aspect * np.minimum(-np.log(area), widest)
    )  # width and height are then at most the image's
    width, height = np.sqrt(area * ratio), np.sqrt(area / ratio)
    return np.stack((width, height, x * (1 - width), y * (1 - height)), axis=-1)
