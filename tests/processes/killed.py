"""One of some processes that train together, and take up what a kill would have left of that run at any moment.

All in the same processes, which take longer to load torch than to train.
"""

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from killing import ADAM, SETTINGS, SGD, everywhere

from mirada import resume, train
from mirada.processes.ranks import joined

RECIPES: dict[str, dict[str, Any]] = {"sgd": SGD, "adam": ADAM}


def main(data: Path, place: Path, name: str) -> None:
    """Trains by one of the recipes, into ``place/run``, and resumes the copies beside it."""
    place.mkdir(exist_ok=True)
    with joined("cpu") as ranks:
        with pytest.MonkeyPatch.context() as patch:
            copies = everywhere(place / "run", place, patch)
            train(data, output=place / "run", **SETTINGS, **RECIPES[name], device="cpu", precision="float32")
        for copy in ranks.told(" ".join(copies.names)).split():
            resume(place / copy)


if __name__ == "__main__":
    for recipe in RECIPES:
        main(Path(sys.argv[1]), Path(sys.argv[2]) / recipe, recipe)
