"""The spatial transformer against PyTorch's grid and sampling, and against differences."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mirada import reference as ref
from mirada.models.bonet import SpatialTransformer

IDENTITY = np.array([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])


def torchs(x, theta):
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False)


def test_agrees_with_torch_and_differences(rng, same, close, autograd, differences):
    x, theta = rng.normal(size=(3, 2, 5, 6)), IDENTITY + rng.normal(scale=0.3, size=(3, 2, 3))
    dy = rng.normal(size=x.shape)
    theirs, gradients = autograd(torchs, x, theta, dy=dy)
    same(ref.spatial_transformer(x, theta), theirs)
    ours = ref.spatial_transformer_backward(dy, x, theta=theta)
    same(ours, gradients)
    close(ours, differences(ref.spatial_transformer, x, theta, dy=dy))


def test_the_identity_leaves_maps_as_they_are_and_its_slopes_are_torchs(rng, same, autograd):
    x, dy = rng.normal(size=(1, 2, 4, 4)), rng.normal(size=(1, 2, 4, 4))
    same(ref.spatial_transformer(x, IDENTITY), x)
    _, gradients = autograd(torchs, x, IDENTITY, dy=dy)
    assert ref.spatial_transformer_backward(dy, x, theta=IDENTITY).dtheta == pytest.approx(gradients[1])


def test_it_is_the_deformation_of_bonet(rng):
    torch.manual_seed(0)
    deformation = SpatialTransformer(2).double()
    torch.nn.init.normal_(deformation.affine.weight, std=0.1)
    x = rng.normal(size=(2, 2, 12, 9))
    with torch.no_grad():
        theta = deformation.affine(deformation.localization(torch.tensor(x))).view(2, 2, 3).numpy()
        moved = deformation(torch.tensor(x)).numpy()
    np.testing.assert_allclose(ref.spatial_transformer(x, theta), moved, atol=1e-12)
