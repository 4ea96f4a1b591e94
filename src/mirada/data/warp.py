"""The pixels of an augmented batch: one affine matrix per sample, one warp, brightness and contrast, what is erased."""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from mirada.data.draw import Draw, Floats

PADDING_MODE = {"edge": "border", "reflect": "reflection", "black": "zeros"}


class Effects(NamedTuple):
    """What a draw does to the pixels of images of one size, as tensors on their device.

    Where a pixel comes from, x and y from −1 to 1, is ``along_x`` (n, 2, W) of its column plus ``along_y`` (n, 2, H) of
    its row. A value becomes itself times ``scale`` plus the mean of its image times ``share``, after its distance from
    grey has been multiplied by ``saturation``; all three are (n, 1, 1, 1). ``erased`` (n, 5 or 0) is that of the draw.
    """

    along_x: Tensor
    along_y: Tensor
    scale: Tensor
    share: Tensor
    saturation: Tensor
    erased: Floats

    def take(self, places: slice | NDArray[np.int64]) -> "Effects":
        """Those on some of the images, in this order."""
        return Effects(
            self.along_x[places],
            self.along_y[places],
            self.scale[places],
            self.share[places],
            self.saturation[places],
            self.erased[places],
        )


def effects_of(draw: Draw, size: tuple[int, int], device: torch.device) -> Effects:
    """What a draw does to images of ``size`` (height, width).

    (contrast · (x − mean) + mean) · brightness is x · scale + mean · share.
    """
    height, width = size
    theta = _on(device, _in_image_units(draw.matrices, draw.crop, width / height))
    factors = np.stack(
        (draw.contrast * draw.brightness, (1 - draw.contrast) * draw.brightness, draw.saturation)
    )
    scale, share, saturation = _on(device, factors)[..., None, None, None]
    return Effects(
        along_x=theta[:, :, 0, None] * _centres(width, device),
        along_y=theta[:, :, 1, None] * _centres(height, device) + theta[:, :, 2, None],
        scale=scale,
        share=share,
        saturation=saturation,
        erased=draw.erased,
    )


def _on(device: torch.device, numbers: Floats) -> Tensor:
    return torch.from_numpy(numbers).to(device, torch.float32)


def _centres(side: int, device: torch.device) -> Tensor:
    """The centres of the pixels of a side that spans −1 … 1."""
    centres: Tensor = (torch.arange(side, device=device) * 2 + 1) / side - 1
    return centres


def warp(images: Tensor, along_x: Tensor, along_y: Tensor, fill: str) -> Tensor:
    """Moves the pixels of ``images`` (n, C, H, W), all at once: from where ``Effects`` says; ``fill`` lies outside."""
    grid = (along_x[:, :, None, :] + along_y[:, :, :, None]).permute(0, 2, 3, 1)
    return F.grid_sample(images, grid, padding_mode=PADDING_MODE[fill], align_corners=False)


def _in_image_units(matrices: Floats, crop: Floats, aspect: float) -> Floats:
    """The matrices (n, 2, 3) from output to input positions, whose axes both span −1 … 1, composed with the crops.

    ``aspect`` = width / height makes a rotation of a non-square image a rotation. What is cropped out has been
    stretched to the whole image before it is turned.
    """
    units = np.array([[1.0, 1 / aspect, 1.0], [aspect, 1.0, 1.0]])
    crop_scale, crop_centre = crop[:, :2], crop[:, 2:]
    theta: Floats = matrices * units * crop_scale[:, :, None]
    theta[:, :, 2] += crop_centre
    return theta


def recolour(images: Tensor, scale: Tensor, share: Tensor) -> Tensor:
    """x · scale + mean · share, within 0 … 255; the mean is each image's own, the factors as in ``Effects``."""
    offset = images.mean(dim=(1, 2, 3), keepdim=True) * share
    recoloured: Tensor = images * scale
    return recoloured.add_(offset).clamp_(0, 255)


def saturate(images: Tensor, saturation: Tensor) -> Tensor:
    """saturation · (x − grey) + grey, the grey being the mean of a pixel's channels: an image's mean stays as it is."""
    return torch.lerp(images.mean(dim=1, keepdim=True), images, saturation)


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
