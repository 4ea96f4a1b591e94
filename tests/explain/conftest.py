"""Small networks with named parts, built here so that these tests need no other room of the package."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn


class Small(nn.Module):
    """``stem``, ``stage1``, ``head`` on (N, 3, H, W), with batch statistics that are not the default ones."""

    def __init__(self, head: nn.Module, channels: int = 5) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.stage1 = nn.Sequential(nn.Conv2d(4, channels, 3, stride=2, padding=1), nn.Tanh())
        self.head = head
        norm = self.stem[1]
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)

    def features(self, images: Tensor) -> Tensor:
        return self.stage1(self.stem(images))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))


def _gap(classes: int) -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(5, classes))


def _dense(classes: int) -> nn.Module:
    """For features of (5, 4, 5); its first layer works in place."""
    return nn.Sequential(
        nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(100, 8), nn.ReLU(inplace=True), nn.Linear(8, classes)
    )


@pytest.fixture
def gap_network() -> Callable[[int], Small]:
    """A network in training mode whose head is global average pooling, dropout, linear."""

    def build(classes: int) -> Small:
        torch.manual_seed(classes)
        return Small(_gap(classes))

    return build


@pytest.fixture
def dense_network() -> Callable[[int], Small]:
    """A network in training mode whose head has a hidden layer; for images of 8 × 10 pixels."""

    def build(classes: int) -> Small:
        torch.manual_seed(classes)
        return Small(_dense(classes))

    return build


@pytest.fixture
def images() -> Tensor:
    """Six normalised images of 8 × 10 pixels."""
    return torch.randn(6, 3, 8, 10, generator=torch.Generator().manual_seed(0))
