"""Augmentation of a whole batch on its device: one affine matrix per sample, one warp, then brightness and contrast.

``draw`` makes the random numbers, ``apply`` uses them, so a batch can be augmented again the same way. Each
sample gets its own draw. The few numbers of a draw are NumPy's, which handles so few several times faster than torch;
pixels are torch's.
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from mirada.errors import InvalidArgument

Fill = Literal["edge", "reflect", "black"]
Numbers = NDArray[np.float64]
PADDING_MODE = {"edge": "border", "reflect": "reflection", "black": "zeros"}


class Draw(NamedTuple):
    """The random numbers of one batch.

    ``matrices`` (n, 2, 3) map output to input positions: the linear part in units that are the same on both
    axes, the shift in units where the image spans −1 … 1 on each. ``crop`` (n, 4) holds width and height, as
    shares of the image's, and the centre's x and y, from −1 to 1. ``brightness`` and ``contrast`` (n,) are factors.
    """

    matrices: Numbers
    crop: Numbers
    brightness: Numbers
    contrast: Numbers


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What may happen to a training image. Every value is a half-width around "nothing happens".

    - ``rotation``, ``shear``: degrees, U(−a, a). (Keras' ``shear_range`` is in degrees too: the lecture notes'
      0.2 moves the edge of a 64-pixel image by a tenth of a pixel.)
    - ``zoom``: fraction; each axis is scaled by U(1 − z, 1 + z), independently, as Keras does.
    - ``shift``: fraction of the width and of the height, U(−s, s).
    - ``horizontal_flip``, ``vertical_flip``: with probability ½.
    - ``crop``: smallest share of the image's area in a random resized crop (Szegedy et al. 2014, §6). The share
      is U(crop, 1), the aspect ratio the image's own times ¾ … 4⁄3, log-uniform, as far as it fits; 1 switches
      it off.
    - ``brightness``, ``contrast``: fraction; factors U(1 − v, 1 + v).
    - ``fill``: what lies outside of the image: ``edge`` (the nearest pixel), ``reflect`` or ``black``.

    Raises ``InvalidArgument`` for a value outside of its range.
    """

    rotation: float = 0.0
    shear: float = 0.0
    zoom: float = 0.0
    shift: float = 0.0
    horizontal_flip: bool = False
    vertical_flip: bool = False
    crop: float = 1.0
    brightness: float = 0.0
    contrast: float = 0.0
    fill: Fill = "edge"

    def __post_init__(self) -> None:
        limits = {"rotation": 180, "shear": 80, "zoom": 0.95, "shift": 1, "brightness": 1, "contrast": 1}
        for name, limit in limits.items():
            self._require(
                name,
                f"a number from 0 to {limit}",
                self._is_number(name) and 0 <= getattr(self, name) <= limit,
            )
        self._require(
            "crop", "a number above 0 and at most 1", self._is_number("crop") and 0 < self.crop <= 1
        )
        for name in ("horizontal_flip", "vertical_flip"):
            self._require(name, "true or false", isinstance(getattr(self, name), bool))
        self._require("fill", '"black", "edge" or "reflect"', self.fill in get_args(Fill))

    def _is_number(self, name: str) -> bool:
        value = getattr(self, name)
        return isinstance(value, int | float) and not isinstance(value, bool)

    def _require(self, name: str, rule: str, holds: bool) -> None:
        if not holds:
            raise InvalidArgument(f"`{name}` of Augmentation must be {rule}. Got {getattr(self, name)!r}.")

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
        """Random numbers for ``n`` samples."""
        u = generator.random((14, n))
        signed = 2 * u - 1  # U(−1, 1)
        angle = signed[0] * math.radians(self.rotation)
        slope = np.tan(signed[1] * math.radians(self.shear))
        scale_x = (1 + signed[2] * self.zoom) * np.where(u[4] < 0.5 * self.horizontal_flip, -1, 1)
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

    def _crops(self, area: Numbers, aspect: Numbers, x: Numbers, y: Numbers) -> Numbers:
        """Width, height and centre of random resized crops, as shares of the image."""
        area = self.crop + (1 - self.crop) * area
        widest = np.minimum(-np.log(area), math.log(4 / 3))  # width and height are then at most the image's
        ratio = np.exp(aspect * widest)
        width, height = np.sqrt(area * ratio), np.sqrt(area / ratio)
        return np.stack((width, height, x * (1 - width), y * (1 - height)), axis=-1)

    def apply(self, images: Tensor, draw: Draw) -> Tensor:
        """Augments ``images`` (N, C, H, W), float in 0 … 255; same shape, same range."""
        if self.warps:
            images = self._warp(images, draw)
        if self.recolours:
            images = _recolour(images, draw)
        return images

    def _warp(self, images: Tensor, draw: Draw) -> Tensor:
        height, width = images.shape[-2:]
        theta = _like(images, _in_image_units(draw, width / height))
        grid = _grid(theta, height, width)
        return F.grid_sample(images, grid, padding_mode=PADDING_MODE[self.fill], align_corners=False)


def _like(images: Tensor, numbers: Numbers) -> Tensor:
    """The numbers as a tensor of the images' type, where the images are."""
    return torch.from_numpy(numbers).to(images)


def _grid(theta: Tensor, height: int, width: int) -> Tensor:
    """Where each output pixel's centre comes from, (n, H, W, 2): what ``affine_grid`` gives, without its products."""
    x = (torch.arange(width, device=theta.device) * 2 + 1) / width - 1
    y = (torch.arange(height, device=theta.device) * 2 + 1) / height - 1
    along_x = theta[:, :, 0, None] * x  # (n, 2, W)
    along_y = theta[:, :, 1, None] * y + theta[:, :, 2, None]  # (n, 2, H)
    return (along_x[:, :, None, :] + along_y[:, :, :, None]).permute(0, 2, 3, 1)


def _in_image_units(draw: Draw, aspect: float) -> Numbers:
    """The matrices for ``affine_grid``, whose axes both span −1 … 1, composed with the crops.

    ``aspect`` = width / height makes a rotation of a non-square image a rotation. What is cropped out has been
    stretched to the whole image before it is turned.
    """
    units = np.array([[1.0, 1 / aspect, 1.0], [aspect, 1.0, 1.0]])
    crop_scale, crop_centre = draw.crop[:, :2], draw.crop[:, 2:]
    theta: Numbers = draw.matrices * units * crop_scale[:, :, None]
    theta[:, :, 2] += crop_centre
    return theta


def _recolour(images: Tensor, draw: Draw) -> Tensor:
    """(contrast · (x − mean) + mean) · brightness, within 0 … 255; the mean is each image's own."""
    factors = np.stack((draw.contrast * draw.brightness, (1 - draw.contrast) * draw.brightness))
    scale, share = _like(images, factors)[:, :, None, None, None]
    offset = images.mean(dim=(1, 2, 3), keepdim=True) * share
    return torch.addcmul(offset, images, scale).clamp_(0, 255)
