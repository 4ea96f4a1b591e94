"""What the peers of the throughput benchmark share: their arguments, the notes' network, and the line that each tells.

They read a folder with train/ and val/, a folder per class in each, and see the images as Mirada is told to: a random
crop of 35 to 100 % of the area and a mirror image half of the time to train on, all of the image to validate on.
"""

import argparse
import importlib.metadata
import json
import platform
from collections.abc import Sequence
from pathlib import Path

from torch import nn

CROP = (0.35, 1.0)  # of the area, fastai's default
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PACKAGES = ("torch", "torchvision", "timm", "fastai", "numpy", "pillow")


def options(description: str) -> argparse.Namespace:
    """The arguments of every peer."""
    parser = argparse.ArgumentParser(description=description.partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder with train/ and val/, a folder per class")
    parser.add_argument("weights", type=Path, help="file to leave the weights in")
    parser.add_argument("--model", choices=("simplecnn", "resnet18", "resnet50"), required=True)
    parser.add_argument("--size", type=int, required=True, help="side of the network's input in pixels")
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument(
        "--workers", type=int, required=True, help="processes that decode; 0: the one that trains"
    )
    parser.add_argument("--rate", type=float, default=1e-3)
    return parser.parse_args()


def simplecnn(classes: int, size: int) -> nn.Module:
    """The network of the lecture notes, as one writes it."""
    left = ((size - 2) // 2 - 2) // 2
    return nn.Sequential(
        nn.Conv2d(3, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * left * left, 128), nn.ReLU(), nn.Linear(128, classes),
    )  # fmt: skip


def tell(seconds: Sequence[float], accuracies: Sequence[float]) -> None:
    """Prints one line: seconds and validation accuracy of every epoch, and the versions."""
    installed = {each.name.lower(): each.version for each in importlib.metadata.distributions()}
    versions = {"python": platform.python_version(), **{p: installed[p] for p in PACKAGES if p in installed}}
    print(
        json.dumps(
            {
                "epoch_s": [round(each, 4) for each in seconds],
                "val_accuracy": accuracies,
                "versions": versions,
            }
        )
    )
