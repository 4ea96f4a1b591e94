"""What the peers of the throughput benchmark share: arguments, the notes' network, the plain loop, what each tells.

They read a folder with train/ and val/, a folder per class in each, and see the images as Mirada is told to: a random
crop of 35 to 100 % of the area and a mirror image half of the time to train on, all of the image to validate on.
"""

import argparse
import importlib.metadata
import json
import platform
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

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


def fit(
    network: nn.Module,
    training: Iterable[tuple[Tensor, Tensor]],
    validation: Iterable[tuple[Tensor, Tensor]],
    optimizer: torch.optim.Optimizer,
    options: argparse.Namespace,
    layout: torch.memory_format = torch.contiguous_format,
) -> None:
    """The plain loop of torchvision and timm: trains, validates after every epoch, leaves the weights and tells."""
    criterion = nn.CrossEntropyLoss()
    seconds, accuracies = [], []
    for _ in range(options.epochs):
        started = time.perf_counter()
        network.train()
        for inputs, targets in training:
            loss = criterion(network(inputs.to(memory_format=layout)), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        accuracies.append(_validate(network, validation, layout))
        seconds.append(time.perf_counter() - started)
    torch.save(network.state_dict(), options.weights)
    tell(seconds, accuracies)


def _validate(
    network: nn.Module, images: Iterable[tuple[Tensor, Tensor]], layout: torch.memory_format
) -> float:
    """The share of the images that are right."""
    network.eval()
    right = count = 0
    with torch.inference_mode():
        for inputs, targets in images:
            right += int((network(inputs.to(memory_format=layout)).argmax(1) == targets).sum())
            count += len(targets)
    return right / count


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
