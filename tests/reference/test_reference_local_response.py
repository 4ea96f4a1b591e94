"""Local response normalization against torch, against differences, and against the layer of AlexNet."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mirada.models import create_model
from mirada.reference import local_response_norm, local_response_norm_backward


@pytest.mark.parametrize("size", [1, 2, 3, 5, 9])  # one channel, even, odd, wider than there are channels
@pytest.mark.parametrize("shape", [(2, 4, 3, 2), (1, 1, 2, 2), (3, 7, 4)])
def test_agrees_with_torch_and_differences(rng, autograd, differences, same, close, shape, size):
    x, dy = 3 * rng.normal(size=shape), rng.normal(size=shape)
    options = {"size": size, "k": 1.5, "alpha": 0.3, "beta": 0.75}

    def theirs(x):
        return F.local_response_norm(x, size, alpha=size * 0.3, beta=0.75, k=1.5)  # torch's α is of the mean

    value, gradients = autograd(theirs, x, dy=dy)
    ours = local_response_norm_backward(dy, x, **options)
    same(local_response_norm(x, **options), value)
    same((ours,), gradients)
    close(ours, differences(lambda x: local_response_norm(x, **options), x, dy=dy))


def test_without_weight_on_the_neighbours_it_only_scales(rng):
    x = rng.normal(size=(2, 3, 2, 2))
    np.testing.assert_allclose(local_response_norm(x, k=16.0, alpha=0.0, beta=0.5), x / 4, rtol=1e-12)


def test_the_papers_constants_are_those_of_alexnet(rng, same):
    layers = [m for m in create_model("alexnet").modules() if isinstance(m, torch.nn.LocalResponseNorm)]
    assert layers
    x = 30 * rng.normal(size=(2, 96, 3, 3))
    for layer in layers:
        same(local_response_norm(x), layer(torch.tensor(x)).numpy())
