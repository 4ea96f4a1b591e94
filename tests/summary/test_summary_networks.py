"""Every network of the catalogue: counts against torch's counter, fields against measured ones, memory."""

from functools import cache

import pytest
import torch
from measured import interval, maps_of, seen
from networks import each
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mirada.models import CATALOGUE, create_model
from mirada.summary import Summary, summarize
from mirada.summary.undrawn import undrawn

SPATIAL = [name for name in CATALOGUE if name != "mlp"]


@cache
def summary_of(name: str) -> Summary:
    with undrawn():
        return summarize(create_model(name))


@pytest.mark.parametrize("name", each())
def test_counts_are_those_of_the_catalogue(name: str) -> None:
    """Which the contract of every model holds against torch's counter; every network runs in training mode too."""
    summary = summary_of(name)
    assert (summary.macs, summary.parameters) == (CATALOGUE[name].macs, CATALOGUE[name].parameters)
    assert summary.trainable == summary.parameters
    assert summary.memory.parameters == 4 * summary.parameters
    assert summary.memory.training_maps is not None
    assert summary.memory.training_maps >= summary.memory.maps > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", each())
def test_counts_are_those_of_torch(name: str) -> None:
    with undrawn():
        network = create_model(name).eval()
        image = torch.empty(1, *CATALOGUE[name].image)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(image)
    summary = summary_of(name)
    assert 2 * summary.macs == counter.get_total_flops()
    assert summary.fixed == sum(buffer.numel() for buffer in network.buffers())


@pytest.mark.parametrize("name", each(SPATIAL))
def test_fields_are_those_that_gradients_show(name: str) -> None:
    """At the corners and in the middle of the stem's and of every stage's maps."""
    torch.manual_seed(0)
    channels, *size = CATALOGUE[name].image
    with undrawn("cpu"):
        network = create_model(name).eval()
    network.head = nn.Identity()
    for value in network.parameters():
        value.detach().fill_(1)  # the trainable sub-sampling of 1998 is in their hands
    image = torch.ones(1, channels, *size, dtype=torch.float64, requires_grad=True)
    stages = {row.name: row for row in summary_of(name).stages if row.name != "head"}
    for stage, maps in maps_of(network, image, list(stages)).items():
        row = stages[stage]
        assert row.output_shape and row.output_shape[1:] == tuple(maps.shape[2:])
        for place in (0, maps.shape[2] // 2, maps.shape[2] - 1):
            expected = [
                (max(0, first), min(side - 1, last))
                for axis, side in enumerate(size)
                for first, last in [interval(row, axis, place)]
            ]
            assert list(seen(maps, image, (place, place))) == expected, (stage, place)
