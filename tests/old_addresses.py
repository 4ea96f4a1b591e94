"""Runs a script from standard input that calls parts of Mirada by the addresses and shapes they had before.

The cases beside the real data were written before rooms moved, numbers became (N, T), and predictions had a target.
What they expect stands; this is all that was renamed. ``python old_addresses.py - < script``.
"""

import importlib
import sys
from typing import Any

import mirada
from mirada.evaluation.predictions import Predictions
from mirada.samples import Classes, Numbers

MOVED = {
    "mirada.data.decoding": "mirada.data.pixels",
    "mirada.data.decoding.decode": "mirada.data.pixels.decode",
    "mirada.data.decoding.preprocessing": "mirada.data.pixels.preprocessing",
}


def predictions(*, task: str, classes: tuple[str, ...] = (), **columns: Any) -> Predictions:
    return Predictions(target=Classes(classes) if task == "classification" else Numbers(), **columns)


def targets(seen: Any) -> dict[str, Any]:
    """Path → class name or number, of the cases' ``Seen``; its own takes numbers to be (N,)."""
    index = seen.index
    return {
        path: index.classes[int(value)] if index.classes else float(value)
        for path, value in zip(index.paths, index.targets.reshape(len(index)), strict=True)
    }


def main() -> None:
    for old, new in MOVED.items():
        sys.modules[old] = importlib.import_module(new)
    overlay = importlib.import_module("mirada.explain.overlay")
    overlay.place = importlib.import_module("mirada.data.pixels.fit").resize_to_photo
    mirada.__dict__["Predictions"] = predictions
    importlib.import_module("bug_load").Seen.targets = targets
    script = sys.stdin.read()
    exec(compile(script, "<case>", "exec"), {"__name__": "__main__"})


if __name__ == "__main__":
    main()
