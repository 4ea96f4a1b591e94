"""What is done to every image before it reaches a network: decode mode, depth and window, size, normalisation.

A ``Preprocessing`` is part of the model file, so training, evaluation, prediction and explanation see the same
pixels. ``decode_key`` names what the cache depends on; mean and standard deviation are applied to whole batches
later and are not part of it.
"""

import json
from dataclasses import dataclass
from hashlib import blake2b
from math import isfinite
from typing import Literal, get_args

import numpy as np

from mirada.data.pixels.window import parse
from mirada.errors import InvalidArgument

Mode = Literal["RGB", "L"]
Policy = Literal["stretch", "pad", "frame", "crop"]
Depth = Literal[8, 16]

DECODER_VERSION = 6  # raise it when decoding changes a single pixel: every cache is then built anew


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """Decode mode, size policy, depth, window and normalisation of one model.

    Pixels become (value / 255 − mean) / std per channel, or (value / 65,535 − mean) / std at 16 bits.

    Args:
        mode: ``RGB``, or ``L`` for grey.
        size: (height, width) in pixels.
        policy: ``stretch`` ignores the aspect ratio, ``pad`` keeps it and fills the rest with black, as does ``frame``,
            which enlarges nothing; ``crop`` keeps it and cuts what hangs over, centred.
        resize: With ``crop``, the pixels to which the shorter side is brought before ``size`` is cut from the middle,
            as public weights are judged; 0 for the shorter side of ``size``, so that as much as can be is kept.
        depth: Bits per pixel and channel that are kept between black and white.
        window: Which values become black and white, as ``mirada.data.pixels.window`` describes.
        clahe: The limit of contrast-limited adaptive histogram equalization, at least 1; 0 for none.
        mean: Per channel, in units where white is 1.
        std: Per channel, in units where white is 1.

    Raises:
        InvalidArgument: For an unknown mode, policy, depth or window, a size below one pixel, a ``resize`` that is
            smaller or without ``crop``, a ``clahe`` between 0 and 1, or a standard deviation that is not positive.
    """

    mode: Mode = "RGB"
    size: tuple[int, int] = (224, 224)
    policy: Policy = "stretch"
    resize: int = 0
    depth: Depth = 8
    window: str = "auto"
    clahe: float = 0.0
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise InvalidArgument(f'`mode` of Preprocessing must be "L" (grey) or "RGB". Got {self.mode!r}.')
        if self.policy not in get_args(Policy):
            raise InvalidArgument(
                f'`policy` of Preprocessing must be "crop", "frame", "pad" or "stretch". Got {self.policy!r}.'
            )
        if self.depth not in get_args(Depth):
            raise InvalidArgument(f"`depth` of Preprocessing must be 8 or 16 (bits). Got {self.depth!r}.")
        parse(self.window)
        if not (self.clahe == 0 or 1 <= self.clahe < float("inf")):
            raise InvalidArgument(
                f"`clahe` of Preprocessing must be 0 (off) or a clip limit of at least 1. Got {self.clahe!r}."
            )
        if len(self.size) != 2 or not all(type(side) is int and side >= 1 for side in self.size):
            raise InvalidArgument(
                f"`size` of Preprocessing must be (height, width), whole numbers ≥ 1. Got {self.size!r}."
            )
        if self.resize and (self.policy != "crop" or self.resize < min(self.size)):
            raise InvalidArgument(
                f'`resize` of Preprocessing goes with the policy "crop" and is at least the shorter side of `size`. '
                f"Got {self.resize!r}, {self.policy!r} and {self.size!r}."
            )
        if not len(self.mean) == len(self.std) == self.channels or not all(
            std > 0 and isfinite(std) and isfinite(mean)
            for mean, std in zip(self.mean, self.std, strict=True)
        ):
            raise InvalidArgument(
                f"`mean` and `std` of Preprocessing need {self.channels} values each, std above 0. "
                f"Got {self.mean!r} and {self.std!r}."
            )

    @property
    def channels(self) -> int:
        """3 for RGB, 1 for grey."""
        return 3 if self.mode == "RGB" else 1

    @property
    def dtype(self) -> np.dtype[np.uint8] | np.dtype[np.uint16]:
        """The type of a decoded pixel, by ``depth``."""
        return np.dtype(np.uint8) if self.depth == 8 else np.dtype(np.uint16)

    @property
    def decode_key(self) -> str:
        """A short hash of all that decides a decoded pixel."""
        decided_by = (self.mode, self.size, self.policy, self.depth, self.window, float(self.clahe))
        resized = (self.resize,) if self.resize else ()
        options = json.dumps([DECODER_VERSION, *decided_by, *resized])
        return blake2b(options.encode(), digest_size=8).hexdigest()
