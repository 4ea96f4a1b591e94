"""The notes' momentum: against torch.optim, against the roots of its recurrence, and in the page's script."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from lesson_pages import values_of
from torch.nn.functional import cross_entropy

from mirada.jobs.lessons import teach
from mirada.lessons import Material
from mirada.lessons.optimiser import (
    BATCH,
    CURVATURES,
    MOMENTUM,
    NETWORK_RATE,
    START,
    _digits,
    _network,
    descent,
    growth,
    lesson,
    training,
)


@pytest.mark.parametrize(("rule", "momentum"), [("corrected", 0.9), ("corrected", 0.5), ("plain", 0.0)])
def test_what_is_meant_is_pytorchs_sgd(rule: str, momentum: float) -> None:
    weight = torch.nn.Parameter(torch.tensor(START, dtype=torch.float64))
    optimizer = torch.optim.SGD([weight], lr=0.1, momentum=momentum)
    for expected in descent(rule, rate=0.1, momentum=momentum).weights:
        np.testing.assert_allclose(weight.detach().numpy(), expected, rtol=1e-9, atol=1e-12)
        optimizer.zero_grad()
        (torch.tensor(CURVATURES, dtype=torch.float64) * weight**2 / 2).sum().backward()
        optimizer.step()


def test_the_printed_rule_grows_by_the_root_of_its_recurrence() -> None:
    path = descent("printed", rate=0.1, momentum=0.9, steps=60)
    across = np.abs(path.weights[:, 1])
    assert across[-1] / across[-2] == pytest.approx(growth(0.1, 0.9, CURVATURES[1]), rel=1e-3)
    assert path.diverges and not descent("corrected", rate=0.1, momentum=0.9).diverges
    assert growth(0.1, 0.09, 1.0) < 1 < growth(0.1, 0.11, 1.0)  # μ > α is what decides
    assert growth(0.001, 0.0011, 6.0) > 1


@pytest.mark.parametrize("rule", ["corrected", "plain"])
def test_on_the_network_the_losses_are_those_of_pytorchs_sgd(rule: str) -> None:
    images, labels = _digits()
    network = _network()
    optimizer = torch.optim.SGD(
        network.parameters(), lr=NETWORK_RATE, momentum=MOMENTUM if rule == "corrected" else 0
    )
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    for step, expected in enumerate(training(rule).losses[:25]):
        rows = order[(torch.arange(BATCH) + step * BATCH) % len(images)]
        loss = cross_entropy(network(images[rows]), labels[rows])
        assert loss.item() == pytest.approx(expected, rel=1e-3)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def test_on_the_network_only_the_printed_rule_runs_away() -> None:
    found = {path.rule: path for path in lesson(Material()).network}
    assert found["printed"].diverges
    assert found["corrected"].losses[-1] < found["plain"].losses[-1] < found["plain"].losses[0]


def test_the_script_goes_where_python_goes(browsed: Callable[..., str]) -> None:
    page = teach("optimiser", Material(), "es").html
    moved = "one('#rate').value = 0.05; one('#momentum').value = 0.6; one('#count').value = 25; redraw();"
    for then, rate, momentum, steps in (("", 0.1, 0.9, 40), (moved, 0.05, 0.6, 25)):
        shown = browsed(page, then)
        assert 'data-value="loss_printed">diverge<' in shown
        values = values_of(shown.replace(">diverge<", ">0<"))
        for rule in ("corrected", "plain"):
            expected = descent(rule, rate=rate, momentum=momentum, steps=steps).losses[-1]
            assert values[f"loss_{rule}"] == [pytest.approx(expected, abs=6e-5)]
        assert values["growth"] == [pytest.approx(growth(rate, momentum, CURVATURES[1]), abs=1e-4)]
