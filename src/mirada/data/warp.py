"""The pixels of an augmented batch: one affine matrix per sample, one warp, brightness and contrast, what is erased."""

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]
PADDING_MODE = {"edge": "border", "reflect": "reflection", "black": "zeros"}


def warp(images: Tensor, matrices: Floats, crop: Floats, fill: str) -> Tensor:
    """Moves the pixels of ``images`` (n, C, H, W), all at once.

    ``matrices`` (n, 2, 3) and ``crop`` (n, 4) are those of ``augment.Draw``; ``fill`` is what lies outside.
    """
    height, width = images.shape[-2:]
    theta = _like(images, _in_image_units(matrices, crop, width / height))
    grid = _grid(theta, height, width)
    return F.grid_sample(images, grid, padding_mode=PADDING_MODE[fill], align_corners=False)


def _like(images: Tensor, numbers: Floats) -> Tensor:
    """The numbers as a tensor of the images' type, where the images are."""
    return torch.from_numpy(numbers).to(images)


def _grid(theta: Tensor, height: int, width: int) -> Tensor:
    """Where each output pixel's centre comes from, (n, H, W, 2): what ``affine_grid`` gives, without its products."""
    along_x = theta[:, :, 0, None] * _centres(width, theta.device)  # (n, 2, W)
    along_y = theta[:, :, 1, None] * _centres(height, theta.device) + theta[:, :, 2, None]  # (n, 2, H)
    return (along_x[:, :, None, :] + along_y[:, :, :, None]).permute(0, 2, 3, 1)


@lru_cache(maxsize=8)  # height and width of a few sizes; small, and the same for every batch
def _centres(side: int, device: torch.device) -> Tensor:
    """The centres of the pixels of a side that spans −1 … 1."""
    centres: Tensor = (torch.arange(side, device=device) * 2 + 1) / side - 1
    return centres


def _in_image_units(matrices: Floats, crop: Floats, aspect: float) -> Floats:
    """The matrices for ``affine_grid``, whose axes both span −1 … 1, composed with the crops.

    ``aspect`` = width / height makes a rotation of a non-square image a rotation. What is cropped out has been
    stretched to the whole image before it is turned.
    """
    units = np.array([[1.0, 1 / aspect, 1.0], [aspect, 1.0, 1.0]])
    crop_scale, crop_centre = crop[:, :2], crop[:, 2:]
    theta: Floats = matrices * units * crop_scale[:, :, None]
    theta[:, :, 2] += crop_centre
    return theta


def recolour(images: Tensor, brightness: Floats, contrast: Floats, saturation: Floats) -> Tensor:
    """(contrast · (x − mean) + mean) · brightness, within 0 … 255; the mean is each image's own.

    Before that, with factors of the saturation: saturation · (x − grey) + grey, the grey being that of the pixel, the
    mean of its channels; so the mean of the image stays as it is.
    """
    factors = np.stack((contrast * brightness, (1 - contrast) * brightness))
    scale, share = _like(images, factors)[:, :, None, None, None]
    offset = images.mean(dim=(1, 2, 3), keepdim=True) * share
    if (saturation != 1).any():
        images = torch.lerp(
            images.mean(dim=1, keepdim=True), images, _like(images, saturation)[:, None, None, None]
        )
    recoloured: Tensor = images * scale
    return recoloured.add_(offset).clamp_(0, 255)


def erase(images: Tensor, erased: Floats) -> Tensor:
    """Noise, U(0, 255) for every value, in the rectangles that ``erased`` of ``augment.Draw`` gives to some images."""
    height, width = images.shape[-2:]
    images = images.clone()
    for row in np.flatnonzero(erased[:, 0]):
        left, right = _ends(erased[row, 2], erased[row, 0], width)
        top, bottom = _ends(erased[row, 3], erased[row, 1], height)
        noise = np.random.default_rng(int(erased[row, 4] * 2**53)).random(
            (images.shape[1], bottom - top, right - left), dtype=np.float32
        )
        images[row, :, top:bottom, left:right] = torch.from_numpy(noise * 255).to(images)
    return images


def _ends(centre: float, share: float, side: int) -> tuple[int, int]:
    """The first pixel of a stretch, and the one behind it; ``centre`` is from −1 to 1, ``share`` that of the side."""
    middle, half = (1 + centre) / 2, share / 2
    return round((middle - half) * side), round((middle + half) * side)
