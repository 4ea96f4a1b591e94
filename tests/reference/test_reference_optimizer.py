"""The optimizers against torch over ten steps, and what the lecture notes' printed momentum does."""

import numpy as np
import pytest
import torch

from mirada.reference import adam_step, rmsprop_step, sgd_step, sgd_step_as_printed


@pytest.fixture
def gradients(rng):
    return rng.normal(size=(10, 3, 2))


def torch_weights(optimizer, start, gradients, **options):
    """The weight after each step of one of torch's optimizers fed with these gradients."""
    weight = torch.nn.Parameter(torch.tensor(start))
    steps = optimizer([weight], **options)
    for gradient in gradients:
        weight.grad = torch.tensor(gradient)
        steps.step()
        yield weight.detach().numpy().copy()


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_sgd_agrees_with_torch(rng, same, gradients, momentum):
    weight, velocity = rng.normal(size=(3, 2)), np.zeros((3, 2))
    theirs = torch_weights(torch.optim.SGD, weight, gradients, lr=0.1, momentum=momentum)
    for gradient, expected in zip(gradients, theirs, strict=True):
        weight, velocity = sgd_step(weight, gradient, velocity=velocity, lr=0.1, momentum=momentum)
        same(weight, expected)


@pytest.mark.parametrize(
    "options", [{}, {"lr": 0.1, "betas": (0.5, 0.9), "eps": 1e-3}, {"eps": 1e-7}], ids=str
)
def test_adam_agrees_with_torch(rng, same, gradients, options):
    weight, mean, square = rng.normal(size=(3, 2)), np.zeros((3, 2)), np.zeros((3, 2))
    theirs = torch_weights(torch.optim.Adam, weight, gradients, **options)
    for step, (gradient, expected) in enumerate(zip(gradients, theirs, strict=True), start=1):
        weight, mean, square = adam_step(weight, gradient, mean=mean, square=square, step=step, **options)
        same(weight, expected)


@pytest.mark.parametrize("options", [{}, {"lr": 0.045, "alpha": 0.9, "eps": 1.0}], ids=str)
def test_rmsprop_agrees_with_torch(rng, same, gradients, options):
    weight, square = rng.normal(size=(3, 2)), np.zeros((3, 2))
    theirs = torch_weights(torch.optim.RMSprop, weight, gradients, **options)
    for gradient, expected in zip(gradients, theirs, strict=True):
        weight, square = rmsprop_step(weight, gradient, square=square, **options)
        same(weight, expected)


def test_steps_change_nothing_in_place(rng):
    weight, gradient, memory = (rng.normal(size=4) ** 2 for _ in range(3))
    kept = weight.copy(), gradient.copy(), memory.copy()
    sgd_step(weight, gradient, velocity=memory, lr=0.1, momentum=0.9)
    adam_step(weight, gradient, mean=memory, square=memory, step=1)
    rmsprop_step(weight, gradient, square=memory)
    np.testing.assert_array_equal([weight, gradient, memory], kept)


def test_momentum_as_the_notes_print_it_diverges():
    """§2.2.2: W(τ+1) = W(τ) − α·ΔW(τ) + μ·ΔW(τ−1) with ΔW the gradient, on L = w²/2, where it is w."""
    lr, momentum = 0.1, 0.9
    printed, previous = np.array([1.0]), np.zeros(1)
    weight, velocity = np.array([1.0]), np.zeros(1)
    for _ in range(30):
        up = sgd_step_as_printed(printed, printed, previous_gradient=previous, lr=lr, momentum=momentum)
        printed, previous = up, printed
        weight, velocity = sgd_step(weight, weight, velocity=velocity, lr=lr, momentum=momentum)
    assert printed.item() == pytest.approx(1.4e5, rel=0.03)
    assert abs(weight.item()) < 0.3


def test_momentum_maps_to_torch_until_the_learning_rate_changes(rng, gradients):
    """v = −α·v' holds while α stays; after a change torch scales its whole step, here speed is kept."""
    start = rng.normal(size=(3, 2))
    parameter = torch.nn.Parameter(torch.tensor(start))
    theirs = torch.optim.SGD([parameter], lr=0.1, momentum=0.9)
    weight, velocity = start, np.zeros((3, 2))
    for gradient in gradients[:5]:
        parameter.grad = torch.tensor(gradient)
        theirs.step()
        weight, velocity = sgd_step(weight, gradient, velocity=velocity, lr=0.1, momentum=0.9)
    buffer = theirs.state[parameter]["momentum_buffer"].numpy()
    np.testing.assert_allclose(velocity, -0.1 * buffer, rtol=1e-12)

    theirs.param_groups[0]["lr"] = 0.01
    parameter.grad = torch.tensor(gradients[5])
    theirs.step()
    step = sgd_step(weight, gradients[5], velocity=velocity, lr=0.01, momentum=0.9)
    np.testing.assert_allclose(step.velocity, 0.9 * velocity - 0.01 * gradients[5], rtol=1e-12)
    np.testing.assert_allclose(
        parameter.detach().numpy() - weight, 0.1 * 0.9 * velocity - 0.01 * gradients[5], rtol=1e-9
    )
