"""The notes' three options for φ, §1, on the same digits: generic, designed by hand, learnt.

A linear model y = φ(x)ᵀw is only as good as what φ makes of the pixels. Compared are the pixels themselves, the generic
φ of a kernel machine (of infinitely many dimensions, never written down), histograms of oriented gradients, which
people designed, and the features that a convolutional network learns together with w.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mirada.errors import InvalidArgument
from mirada.evaluation.intervals import wilson
from mirada.lessons import Material

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
OPTIONS = ("pixels", "kernel", "designed", "learnt")
SIZES = (100, 400, 1437)  # training images; the last is all of them
BINS, CELL, BLOCK = 9, 2, 2  # of the histograms: orientations, pixels of a cell, cells of a block
LEARNT, EPOCHS, BATCH, RATE = 64, 25, 32, 2e-3
SHOWN = 12  # test images whose answers are shown
STRENGTH = 10.0  # C of the kernel machine


@dataclass(frozen=True)
class OptionScore:
    """Answers to the test images of a model that was fitted to ``images`` training images; the interval is Wilson's."""

    images: int
    correct: int
    of: int
    interval: tuple[float, float]

    @property
    def accuracy(self) -> float:
        """The share of right answers."""
        return self.correct / self.of


@dataclass(frozen=True, eq=False)
class FittedOption:
    """One option for φ.

    Args:
        option: one of ``OPTIONS``.
        dimensions: how many numbers φ(x) has; 0 for infinitely many.
        scores: by number of training images, as in ``SIZES``.
        answers: to all test images, of the model fitted to all training images.
    """

    option: str
    dimensions: int
    scores: tuple[OptionScore, ...]
    answers: Labels


@dataclass(frozen=True, eq=False)
class FeaturesLesson:
    """All options, and a few test images to look at.

    Args:
        fitted: in the order of ``OPTIONS``.
        images: (SHOWN, 8, 8) from 0 to 16, those first that the options answer differently.
        labels: theirs.
        rows: their numbers among the test images.
        cells: (SHOWN, 4, 4, BINS): their histograms, before blocks are normalized.
    """

    fitted: tuple[FittedOption, ...]
    images: Array
    labels: Labels
    rows: Labels
    cells: Array


@dataclass(frozen=True, eq=False)
class DividedDigits:
    """scikit-learn's digits, (N, 8, 8) from 0 to 16, divided as ``mirada sample digits`` does."""

    train: Array
    train_labels: Labels
    test: Array
    test_labels: Labels


def lesson(material: Material) -> FeaturesLesson:
    """The four options, fitted and measured."""
    digits = load()
    fitted = tuple(map(fit, OPTIONS))
    answers = np.stack([each.answers for each in fitted])
    disagreement = (answers != digits.test_labels).sum(axis=0)
    rows = np.argsort(-disagreement, kind="stable")[:SHOWN]
    return FeaturesLesson(
        fitted, digits.test[rows], digits.test_labels[rows], rows, histograms(digits.test[rows])
    )


@cache
def load() -> DividedDigits:
    """The digits, four fifths of every class to train on."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    found = load_digits()
    rows = np.arange(len(found.images))
    train, test = train_test_split(rows, test_size=0.2, stratify=found.target, random_state=0)
    return DividedDigits(found.images[train], found.target[train], found.images[test], found.target[test])


@cache
def fit(option: str) -> FittedOption:
    """One option, fitted to each number of training images."""
    digits = load()
    scores, answers, dimensions = [], np.empty(0, dtype=np.int64), 0
    for images in SIZES:
        answers, dimensions = _answers(option, digits, images)
        correct = int((answers == digits.test_labels).sum())
        interval = wilson(correct, len(answers)) or (0.0, 1.0)
        scores.append(OptionScore(images, correct, len(answers), interval))
    return FittedOption(option, dimensions, tuple(scores), answers)


def _answers(option: str, digits: DividedDigits, images: int) -> tuple[Labels, int]:
    """The answers to the test images, and the dimensions of φ."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import SVC

    train, labels = digits.train[:images], digits.train_labels[:images]
    match option:
        case "pixels" | "designed":
            phi = _pixels if option == "pixels" else hog
            linear = LogisticRegression(max_iter=2000).fit(phi(train), labels)
            return linear.predict(phi(digits.test)), phi(train[:1]).shape[1]
        case "kernel":
            machine = SVC(C=STRENGTH, gamma="scale").fit(_pixels(train), labels)
            return machine.predict(_pixels(digits.test)), 0
        case "learnt":
            return _learnt(train, labels, digits.test), LEARNT
    raise InvalidArgument(f"There is no option {option!r} for φ. Known: {', '.join(OPTIONS)}.")


def _pixels(images: Array) -> Array:
    """(N, 64) from 0 to 1."""
    return images.reshape(len(images), -1) / 16


def hog(images: Array) -> Array:
    """Histograms of oriented gradients: those of cells, in overlapping blocks of 2 × 2 cells, each of length 1.

    Args:
        images: (N, H, W).

    Returns:
        (N, blocks · 4 · ``BINS``).

    Source: Dalal & Triggs 2005, "Histograms of oriented gradients for human detection", §6.
    """
    cells = histograms(images)
    down, across = cells.shape[1] - BLOCK + 1, cells.shape[2] - BLOCK + 1
    blocks = [
        cells[:, row : row + BLOCK, column : column + BLOCK].reshape(len(images), -1)
        for row in range(down)
        for column in range(across)
    ]
    lengths = [np.sqrt((block**2).sum(axis=1, keepdims=True) + 1e-4) for block in blocks]
    return np.concatenate([block / length for block, length in zip(blocks, lengths, strict=True)], axis=1)


def histograms(images: Array) -> Array:
    """How much gradient each cell has in each of ``BINS`` orientations from 0° to 180°, (N, H / 2, W / 2, BINS).

    The gradient at a pixel is half the difference of its neighbours; its length goes to the two nearest orientations.
    """
    padded = np.pad(images / 16, ((0, 0), (1, 1), (1, 1)), mode="edge")
    down = (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) / 2
    across = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) / 2
    length = np.hypot(down, across)
    place = (np.arctan2(down, across) % np.pi) / np.pi * BINS - 0.5
    lower = np.floor(place).astype(int)
    share = place - lower
    found = np.zeros((*images.shape, BINS))
    grid = np.indices(images.shape)
    np.add.at(found, (*grid, lower % BINS), length * (1 - share))
    np.add.at(found, (*grid, (lower + 1) % BINS), length * share)
    count, height, width = images.shape
    return np.asarray(found.reshape(count, height // CELL, CELL, width // CELL, CELL, BINS).sum(axis=(2, 4)))


def _learnt(train: Array, labels: Labels, test: Array) -> Labels:
    """The answers of a small convolutional network: φ and w together, by Adam."""
    import torch
    from torch import nn
    from torch.nn.functional import cross_entropy

    from mirada.training.optimizer import Optimizer
    from mirada.training.stepping import Adam

    images, targets = _tensor(train), torch.from_numpy(labels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Dropout(0.25), nn.Flatten(), nn.Linear(512, LEARNT), nn.ReLU(), nn.Linear(LEARNT, 10),
        )  # fmt: skip
        optimizer = Optimizer(network, Adam(lr=RATE))
        for _ in range(EPOCHS):
            for rows in torch.split(torch.randperm(len(images)), BATCH):
                optimizer.zero_grad()
                loss = cross_entropy(network(images[rows]), targets[rows])
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step(RATE)
    network.eval()
    with torch.no_grad():
        return np.asarray(network(_tensor(test)).argmax(dim=1).numpy())


def _tensor(images: Array) -> Tensor:
    import torch

    return torch.from_numpy(images[:, None] / 8 - 1).float()
