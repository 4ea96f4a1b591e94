"""Augmentation of a batch: what may happen to an image, and the random numbers that decide what does.

``draw`` makes the random numbers, ``apply`` uses them, so a batch can be augmented again the same way. Each
sample gets its own draw. The few numbers of a draw are NumPy's, which handles so few several times faster than torch;
pixels are torch's, which is loaded when they come.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mirada.errors import InvalidArgument
from mirada.settings import check, described, setting

if TYPE_CHECKING:
    from torch import Tensor

Fill = Literal["edge", "reflect", "black"]
Flip = bool | Literal["auto"]
Floats = NDArray[np.float64]
DRAWN = 14  # random numbers of one sample


class Draw(NamedTuple):
    """The random numbers of one batch.

    ``matrices`` (n, 2, 3) map output to input positions: the linear part in units that are the same on both
    axes, the shift in units where the image spans −1 … 1 on each. ``crop`` (n, 4) holds width and height, as
    shares of the image's, and the centre's x and y, from −1 to 1. ``brightness`` and ``contrast`` (n,) are factors.
    """

    matrices: Floats
    crop: Floats
    brightness: Floats
    contrast: Floats


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What may happen to a training image. Every value is a half-width around "nothing happens".

    Args:
        rotation: Degrees, U(−a, a).
        shear: Degrees, U(−a, a). (Keras' ``shear_range`` is in degrees too: the lecture notes' 0.2 moves the edge of a
            64-pixel image by a tenth of a pixel.)
        zoom: Fraction; each axis is scaled by U(1 − z, 1 + z), independently, as Keras does.
        shift: Fraction of the width and of the height, U(−s, s).
        horizontal_flip: With probability ½. ``"auto"`` is yes, but ``mirada.train`` makes it no where names tell left
            from right (``data.mirrored``).
        vertical_flip: With probability ½.
        crop: Smallest share of the image's area in a random resized crop. The share is U(crop, 1), the aspect ratio
            the image's own times ¾ … 4⁄3, log-uniform, as far as it fits; 1 switches it off.
        brightness: Fraction; a factor U(1 − v, 1 + v).
        contrast: Fraction; a factor U(1 − v, 1 + v), around the image's mean.
        fill: What lies outside of the image: ``edge`` (the nearest pixel), ``reflect`` or ``black``.

    Raises:
        InvalidArgument: For a value outside of its range.

    Source:
        Szegedy et al. 2014, arXiv:1409.4842, §6, for ``crop``.
    """

    rotation: float = setting(0.0, "Rotated by up to this many degrees, either way.", least=0, most=180)
    shear: float = setting(0.0, "Sheared by up to this many degrees, either way.", least=0, most=80)
    zoom: float = setting(0.0, "Each axis scaled by 1 ± up to this fraction.", least=0, most=0.95)
    shift: float = setting(0.0, "Shifted by up to this fraction of width and height.", least=0, most=1)
    horizontal_flip: Flip = setting(
        False, "Half of the images mirrored; auto: unless names tell left from right."
    )
    vertical_flip: bool = setting(False, "Half of the images turned upside down.")
    crop: float = setting(
        1.0, "Smallest share of the area in a random resized crop; 1: none.", above=0, most=1
    )
    brightness: float = setting(0.0, "Brightness times 1 ± up to this fraction.", least=0, most=1)
    contrast: float = setting(0.0, "Contrast times 1 ± up to this fraction.", least=0, most=1)
    fill: Fill = setting("edge", "What lies outside of the image.")

    def __post_init__(self) -> None:
        check(self, InvalidArgument, of=" of Augmentation")

    def __str__(self) -> str:
        """What happens, in words: ``rotation 10, zoom 0.15, horizontal flip``; ``none``.

        >>> str(Augmentation(zoom=0.2, horizontal_flip=True)), str(Augmentation())
        ('zoom 0.2, horizontal flip', 'none')
        """
        words = []
        for each in described(type(self)):
            value, name = getattr(self, each.name), each.name.replace("_", " ")
            if value != each.default and (each.name != "fill" or self.warps):
                words.append(name if value in (True, "auto") else f"{name} {value}")
        return ", ".join(words) or "none"

    @property
    def changes(self) -> bool:
        """Whether anything can happen to an image."""
        return self.warps or self.recolours

    @property
    def warps(self) -> bool:
        """Whether any pixel can move."""
        moves = (self.rotation, self.shear, self.zoom, self.shift, self.horizontal_flip, self.vertical_flip)
        return any(moves) or self.crop < 1

    @property
    def recolours(self) -> bool:
        """Whether brightness or contrast can change."""
        return self.brightness > 0 or self.contrast > 0

    def draw(self, n: int, generator: np.random.Generator) -> Draw:
        """The random numbers that decide what happens to each image of a batch.

        Args:
            n: Images in the batch.
            generator: Where the numbers come from; the same state gives the same draw.

        Returns:
            Matrices (n, 2, 3), crops (n, 4), and factors of brightness and contrast (n,).
        """
        return self.drawn(generator.random((DRAWN, n)))

    def drawn(self, u: Floats) -> Draw:
        """The draw that is made of numbers between 0 and 1.

        Args:
            u: (``DRAWN``, n), a column for each image.

        Returns:
            As ``draw`` does.
        """
        n = u.shape[1]
        signed = 2 * u - 1  # U(−1, 1)
        angle = signed[0] * math.radians(self.rotation)
        slope = np.tan(signed[1] * math.radians(self.shear))
        scale_x = (1 + signed[2] * self.zoom) * np.where(u[4] < 0.5 * bool(self.horizontal_flip), -1, 1)
        scale_y = (1 + signed[3] * self.zoom) * np.where(u[5] < 0.5 * self.vertical_flip, -1, 1)
        cos, sin = np.cos(angle), np.sin(angle)
        matrices = np.empty((n, 2, 3))  # rotation · shear · (zoom and flip), then the shift
        matrices[:, 0, 0], matrices[:, 0, 1] = cos * scale_x, (cos * slope - sin) * scale_y
        matrices[:, 1, 0], matrices[:, 1, 1] = sin * scale_x, (sin * slope + cos) * scale_y
        matrices[:, :, 2] = (signed[6:8] * 2 * self.shift).T
        return Draw(
            matrices,
            self._crops(u[8], signed[9], signed[10], signed[11]),
            1 + signed[12] * self.brightness,
            1 + signed[13] * self.contrast,
        )

    def _crops(self, area: Floats, aspect: Floats, x: Floats, y: Floats) -> Floats:
        """Width, height and centre of random resized crops, as shares of the image."""
        area = self.crop + (1 - self.crop) * area
        widest = np.minimum(-np.log(area), math.log(4 / 3))  # width and height are then at most the image's
        ratio = np.exp(aspect * widest)
        width, height = np.sqrt(area * ratio), np.sqrt(area / ratio)
        return np.stack((width, height, x * (1 - width), y * (1 - height)), axis=-1)

    def apply(self, images: Tensor, draw: Draw) -> Tensor:
        """The images of a batch, each changed as the draw says.

        Args:
            images: (N, C, H, W), float, 0 … 255.
            draw: What ``draw(N, …)`` returned.

        Returns:
            Images of the same shape and range; the same tensor where nothing can happen.
        """
        from mirada.data.warp import recolour, warp

        if self.warps:
            images = warp(images, draw.matrices, draw.crop, self.fill)
        if self.recolours:
            images = recolour(images, draw.brightness, draw.contrast)
        return images
