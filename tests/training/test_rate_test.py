"""The test of learning rates: where it stops, what it suggests, against a problem whose largest rate is known."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mirada.compute import choose
from mirada.errors import TrainingError
from mirada.training.optimizer import Optimizer
from mirada.training.rate_test import FEWEST, STEPS, RateTest, rate_test
from mirada.training.recipe import Recipe
from mirada.training.step import Batch
from mirada.training.stepping import Sgd


class Line(nn.Module):
    """y = w · x, which trains like a network."""

    auxiliary_weight = 0.0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width, 1))

    def laid_out(self, images: Tensor, dtype: torch.dtype) -> Tensor:
        return images

    def training_outputs(self, images: Tensor, covariates: Tensor | None, *, after: str) -> list[Tensor]:
        return [images.flatten(1) @ self.weight]


@dataclass
class State:
    """As much of a training's state as a step needs."""

    network: Line
    optimizer: Optimizer
    watch: None = None

    def learn(self) -> None:
        self.network.train()

    def moved(self, loss: Tensor, count: int) -> None:
        pass


def training(*, noise: float = 0.0, broken: bool = False, curvature: float = 4.0) -> Any:
    """Least squares whose Hessian is ``curvature`` · I: gradient descent diverges from the rate 2 / curvature on."""
    random = torch.Generator().manual_seed(0)
    width = 8
    truth = torch.randn(width, 1, generator=random)

    def epoch(_: int) -> Iterator[Batch]:
        for seed in range(7):
            # rows of an orthogonal matrix: Xᵀ X = n · curvature / 2 · I for the mean of squares over the n rows
            orthogonal, _ = torch.linalg.qr(torch.randn(width, width, generator=random))
            images = orthogonal * math.sqrt(width * curvature / 2)
            targets = images @ truth + noise * torch.randn(width, 1, generator=random)
            yield Batch(images * (math.nan if broken else 1), targets, None, seed)

    network = Line(width)
    return SimpleNamespace(
        state=State(network, Optimizer(network, Sgd(lr=0.1, momentum=0.0))),
        feed=SimpleNamespace(epoch=epoch, compute=choose("cpu", "float32")),
        loss=nn.functional.mse_loss,
        recipe=Recipe().with_settings({"optimizer": "sgd", "lr": 0.1}),
        on_event=lambda event: None,
    )


@pytest.mark.parametrize("curvature", [4.0, 400.0])
def test_the_suggestion_is_below_the_rate_that_diverges_and_not_far(curvature: float) -> None:
    """2 / curvature is where gradient descent diverges; what is suggested lies one to two decades below."""
    found = rate_test(training(noise=0.1, curvature=curvature))
    assert found.suggested is not None
    assert 2 / curvature / 200 < found.suggested < 2 / curvature / 4
    assert found.current == 0.1
    assert FEWEST < len(found.rates) < STEPS  # it stopped once the loss was four times the lowest
    assert found.smoothed[-1] > 4 * min(found.smoothed) and found.smoothed[-2] <= 4 * min(found.smoothed[:-1])
    assert found.rates[0] == 1e-7 and found.rates == tuple(sorted(found.rates))


def test_smoothed_is_the_mean_with_its_pull_undone() -> None:
    """Like Adam's mean: of equal losses it is that loss, from the first step on."""
    found = rate_test(training(noise=0.1))
    mean = 0.0
    for step, loss in enumerate(found.losses, start=1):
        mean = 0.9 * mean + 0.1 * loss
        assert found.smoothed[step - 1] == pytest.approx(mean / (1 - 0.9**step))


def test_a_loss_that_never_falls_suggests_nothing() -> None:
    random = torch.Generator().manual_seed(1)
    losses = (1 + 0.1 * torch.randn(STEPS, generator=random)).tolist()
    smoothed, mean = [], 0.0
    for step, loss in enumerate(losses, start=1):
        mean = 0.9 * mean + 0.1 * loss
        smoothed.append(mean / (1 - 0.9**step))
    rates = [1e-7 * 10 ** (8 * step / 99) for step in range(STEPS)]
    found = RateTest(rates=tuple(rates), losses=tuple(losses), smoothed=tuple(smoothed), current=1e-3)
    assert found.suggested is None


def test_pixels_that_are_no_numbers_are_said() -> None:
    with pytest.raises(TrainingError, match=r"no longer a number after 0 steps, .* mirada check"):
        rate_test(training(broken=True))
