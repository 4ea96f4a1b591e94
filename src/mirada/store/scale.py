"""The pixel values that weights expect, as files and catalogues state them, and as Mirada's pixels are."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Literal, get_args

from mirada.errors import CheckpointError

Order = Literal["RGB", "BGR"]
RANGES = {"0..1": 1.0, "0..255": 255.0}
COLOURS = 3


@dataclass(frozen=True, kw_only=True)
class ValueScale:
    """What weights expect of an image: (value − mean) / std per channel, for values from 0 to ``top``.

    Args:
        mean: Per channel, in the order of ``channels``.
        std: Likewise.
        top: The value of white, 1 or 255.
        channels: The order in which the first layer expects the colours.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    top: float = 1.0
    channels: Order = "RGB"

    def __post_init__(self) -> None:
        numbers = (*self.mean, *self.std)
        whole = len(self.mean) == len(self.std) in (1, COLOURS) and all(map(isfinite, numbers))
        if (
            not whole
            or min(self.std) <= 0
            or self.top not in RANGES.values()
            or self.channels not in get_args(Order)
        ):
            raise ValueError(f"no scale of pixel values: {self!r}")

    @property
    def normalization(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and deviation for values 0 … 1 in the order red, green, blue: the range is folded into both."""
        mean, std = ([value / self.top for value in values] for values in (self.mean, self.std))
        if self.channels == "BGR":
            mean, std = mean[::-1], std[::-1]
        return tuple(mean), tuple(std)

    def __str__(self) -> str:
        """In a few words, for people."""
        mean, std = (", ".join(f"{value:g}" for value in values) for values in (self.mean, self.std))
        return f"values 0 to {self.top:g}, {self.channels}, mean {mean}, std {std}"

    def metadata(self) -> dict[str, str]:
        """As the metadata of a safetensors file, which ``scale_in`` reads."""
        return {
            "mean": ",".join(f"{value:.17g}" for value in self.mean),
            "std": ",".join(f"{value:.17g}" for value in self.std),
            "range": next(name for name, top in RANGES.items() if top == self.top),
            "channels": self.channels,
        }


def scale_in(file: Path, metadata: Mapping[str, str]) -> ValueScale | None:
    """The scale that the metadata of a file state; None if they say nothing of it.

    Raises:
        CheckpointError: They state a part of it, or what is no scale.
    """
    stated = {key: metadata[key] for key in ("mean", "std", "range") if key in metadata}
    if not stated and metadata.get("channels") != "BGR":  # which alone would be passed over, and decides much
        return None
    try:
        return ValueScale(
            mean=tuple(map(float, stated["mean"].split(","))),
            std=tuple(map(float, stated["std"].split(","))),
            top=RANGES[stated["range"]],
            channels=metadata.get("channels", "RGB"),  # type: ignore[arg-type]
        )
    except (KeyError, ValueError) as error:
        known = {**stated, **{key: metadata[key] for key in ("channels",) if key in metadata}}
        said = ", ".join(f"{key}={value[:60]}" for key, value in known.items())
        remedy = (
            "State it: --set normalize=imagenet, half, unit or data."
            if known.get("channels", "RGB") == "RGB"
            else "Write all of them, and channels (RGB or BGR), into the file."
        )
        raise CheckpointError(
            f"{file}: its metadata do not say which pixel values it expects ({said}); mean, std and range (0..1 or "
            f"0..255) go together. {remedy}"
        ) from error
