"""Inverted dropout against torch, whose mask is read from what it does to ones, and against differences."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mirada.errors import InvalidArgument
from mirada.reference import dropout, dropout_backward


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("shape", [(40,), (3, 8), (2, 3, 4, 2)])
def test_agrees_with_torch_and_differences(rng, autograd, differences, same, close, shape, rate):
    x, dy = rng.normal(size=shape), rng.normal(size=shape)

    def theirs(x):
        torch.manual_seed(3)
        return F.dropout(x, rate, training=True)

    kept = theirs(torch.ones(shape, dtype=torch.float64)).numpy() != 0
    value, gradients = autograd(theirs, x, dy=dy)
    ours = dropout_backward(dy, kept, rate=rate)
    same(dropout(x, kept, rate=rate), value)
    same((ours,), gradients)
    close(ours, differences(lambda x: dropout(x, kept, rate=rate), x, dy=dy))


def test_the_expectation_is_the_input(rng):
    x = np.array([1.0, -2.0, 5.0])
    masks = rng.random((200_000, 3)) >= 0.3
    np.testing.assert_allclose(dropout(x, masks, rate=0.3).mean(axis=0), x, rtol=0.01)


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, float("nan")])
def test_a_share_that_cannot_be_is_refused(rate):
    with pytest.raises(
        InvalidArgument, match=r"`rate` of dropout must lie between 0 and 1, 1 excluded\. Got"
    ):
        dropout(np.ones(2), np.ones(2, dtype=bool), rate=rate)
