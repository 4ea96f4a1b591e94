"""The sample data sets by name."""

from pathlib import Path
from typing import Protocol

from mirada.data.examples.digits import write_digits
from mirada.data.examples.hands import write_ages
from mirada.data.examples.shapes import write_shapes
from mirada.events import OnProgress


class Writer(Protocol):
    """Writes one sample data set into a new folder and returns the number of images."""

    def __call__(self, folder: str | Path, *, on_event: OnProgress | None = None) -> int: ...


SAMPLES: dict[str, Writer] = {"ages": write_ages, "digits": write_digits, "shapes": write_shapes}
