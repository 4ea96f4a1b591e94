"""What accuracy others published for the networks of the catalogue, readable without torch."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_suffix(".toml")


@dataclass(frozen=True, kw_only=True)
class Published:
    """One published accuracy; shares in percent.

    ``measured`` says what was shown to the network (``1 crop`` from the middle, ``10 crops``, ``whole images``), and
    ``crop`` its side in pixels. ``top5`` is None where the source gives none. ``weights`` are those that were
    measured, ``source`` where the figure stands.
    """

    top1: float
    top5: float | None = None
    dataset: str
    measured: str
    crop: int
    weights: str
    source: str

    @property
    def reference(self) -> str:
        """Where the figure stands, and of which weights it is."""
        return f"{self.source} ({self.weights})"


def read_published() -> dict[str, Published]:
    """The published accuracies by the network's name; what has none is not in it.

    >>> read_published()["resnet18"].top1
    69.758
    """
    table = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return {
        name: Published(**table["sources"][figure.pop("from")], **figure)
        for name, figure in table["networks"].items()
    }
