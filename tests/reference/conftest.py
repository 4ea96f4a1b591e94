"""The two judges of the reference: torch's autograd, and central differences that know nothing of either."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

Array = NDArray[np.float64]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20190501)


@pytest.fixture
def autograd() -> Callable[..., tuple[Array, list[Array]]]:
    """``autograd(function, *arrays, dy=1)``: torch's value, and the gradients of Σ value·dy."""

    def value_and_gradients(
        function: Callable[..., torch.Tensor], *arrays: Array, dy: Array | float = 1.0
    ) -> tuple[Array, list[Array]]:
        leaves = [torch.tensor(array, requires_grad=True) for array in arrays]
        value = function(*leaves)
        (value * torch.as_tensor(dy)).sum().backward()
        return value.detach().numpy(), [leaf.grad.numpy() for leaf in leaves]

    return value_and_gradients


@pytest.fixture
def differences() -> Callable[..., list[Array]]:
    """``differences(function, *arrays, dy=1)``: the gradients of Σ value·dy by central differences."""

    def gradients(
        function: Callable[..., Array | float], *arrays: Array, dy: Array | float = 1.0, h: float = 1e-5
    ) -> list[Array]:
        def total() -> float:
            return float(np.sum(function(*arrays) * dy))

        results = []
        for array in arrays:
            result = np.zeros_like(array)
            for place in np.ndindex(array.shape):
                kept = array[place]
                array[place] = kept + h
                above = total()
                array[place] = kept - h
                below = total()
                array[place] = kept
                result[place] = (above - below) / (2 * h)
            results.append(result)
        return results

    return gradients


@pytest.fixture
def same() -> Callable[..., None]:
    """``same(ours, torchs)``: one array or several, equal in shape and to ten digits."""

    def check(ours: Array | float | tuple[Array, ...], theirs: Array | float | list[Array]) -> None:
        if isinstance(ours, tuple):
            assert len(ours) == len(theirs)
            for one, other in zip(ours, theirs, strict=True):
                check(one, other)
        else:
            np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12, strict=np.ndim(ours) > 0)

    return check


@pytest.fixture
def close() -> Callable[..., None]:
    """``close(ours, differences)``: equal as far as differences can tell."""

    def check(ours: Array | tuple[Array, ...], theirs: list[Array]) -> None:
        gradients = ours if isinstance(ours, tuple) else (ours,)
        for one, other in zip(gradients, theirs, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-8, strict=np.ndim(one) > 0)

    return check
