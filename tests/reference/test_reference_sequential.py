"""A network by hand: its gradients are autograd's to ten digits, and it learns digits with nothing but NumPy."""

import gzip

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch import nn

from mirada import reference as ref
from mirada.data.examples.digits import write_digits
from mirada.models import create_model
from mirada.training.optimizer import Optimizer
from mirada.training.stepping import Sgd

MNIST = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def twin(network):
    """The same layers in torch, with the same weights, in float64."""
    layers = []
    for layer in network.layers:
        match layer:
            case ref.ConvolutionByHand():
                filters, channels, kernel, _ = layer.parameters["weight"].shape
                layers.append(nn.Conv2d(channels, filters, kernel))
            case ref.DenseByHand():
                layers.append(nn.Linear(*layer.parameters["weight"].shape[::-1]))
            case ref.ReluByHand():
                layers.append(nn.ReLU())
            case ref.MaxPoolByHand():
                layers.append(nn.MaxPool2d(layer.kernel))
            case ref.FlattenByHand():
                layers.append(nn.Flatten())
        for name, value in layer.parameters.items():
            setattr(layers[-1], name, nn.Parameter(torch.tensor(value)))
    return nn.Sequential(*layers)


def test_every_gradient_is_autograds(rng):
    network = ref.lenet5_by_hand(rng)
    images, labels = rng.normal(size=(4, 1, 32, 32)), rng.integers(10, size=4)
    theirs, pixels = twin(network), torch.tensor(images, requires_grad=True)
    loss = nn.functional.cross_entropy(theirs(pixels), torch.tensor(labels))
    loss.backward()

    logits = network.forward(images)
    assert ref.cross_entropy(logits, labels) == pytest.approx(loss.item(), abs=1e-12)
    dimages = network.backward(ref.cross_entropy_backward(logits, labels))
    np.testing.assert_allclose(dimages, pixels.grad.numpy(), atol=1e-10)
    wanted = dict(theirs.named_parameters())
    assert network.gradients.keys() == network.parameters.keys() == wanted.keys()
    for name, gradient in network.gradients.items():
        np.testing.assert_allclose(gradient, wanted[name].grad.numpy(), atol=1e-10, err_msg=name)
    assert sum(gradient.size for gradient in network.gradients.values()) == 61_706


def test_it_has_the_layers_of_the_catalogues_lenet5(rng):
    """There C5, whose maps are single places, is written as the dense layer that it is."""
    ours = ref.lenet5_by_hand(rng).parameters.values()
    theirs = list(create_model("lenet5").parameters())
    assert [(len(p), p.size) for p in ours] == [(len(p), p.numel()) for p in theirs]


def test_an_epoch_is_torchs_epoch(rng):
    """Losses and weights after five steps with momentum, batch by batch."""
    network = ref.Sequential(
        [ref.FlattenByHand(), ref.DenseByHand(16, 8, rng), ref.ReluByHand(), ref.DenseByHand(8, 3, rng)]
    )
    images, labels = rng.normal(size=(20, 1, 4, 4)), rng.integers(3, size=20)
    theirs = twin(network)
    optimizer = Optimizer(theirs, Sgd(lr=0.05, momentum=0.9))
    losses = []
    for rows in np.array_split(np.random.default_rng(1).permutation(20), 5):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(theirs(torch.tensor(images[rows])), torch.tensor(labels[rows]))
        loss.backward()
        optimizer.step(0.05)
        losses.append(loss.item())
    rng = np.random.default_rng(1)
    (ours,) = ref.train_by_hand(network, images, labels, epochs=1, rng=rng, batch_size=4, lr=0.05)
    assert ours == pytest.approx(np.mean(losses), abs=1e-12)
    for name, parameter in theirs.named_parameters():
        np.testing.assert_allclose(network.parameters[name], parameter.detach().numpy(), atol=1e-12)


@pytest.fixture
def digits(tmp_path):
    """The files of ``mirada sample digits``: images of 32 × 32 pixels and labels, of training and test."""
    folder = tmp_path / "digits"
    write_digits(folder)
    parts = []
    for part in ("train", "test"):
        files = sorted((folder / part).rglob("*.png"))
        pixels = np.stack([np.asarray(Image.open(file), dtype=np.float64) for file in files])
        images = np.kron(pixels / 255, np.ones((1, 4, 4)))[:, None]
        parts.append((images, np.array([int(file.parent.name) for file in files])))
    return parts


def accuracy(network, images, labels):
    answers = [network.forward(batch).argmax(axis=1) for batch in np.array_split(images, len(images) // 50)]
    return float(np.mean(np.concatenate(answers) == labels))


def test_it_learns_digits():
    """Two of them from eighty images each: the loss falls and nearly all others are told apart."""
    pixels, labels = load_digits(n_class=2, return_X_y=True)
    images = np.kron(pixels.reshape(-1, 1, 8, 8) / 16, np.ones((1, 1, 4, 4)))
    rng = np.random.default_rng(0)
    network = ref.lenet5_by_hand(rng)
    losses = list(ref.train_by_hand(network, images[:160], labels[:160], epochs=2, rng=rng))
    assert losses[1] < 0.2 * losses[0]
    assert accuracy(network, images[160:], labels[160:]) > 0.97


@pytest.mark.slow
def test_it_reads_the_digits_of_the_sample(digits):
    """Each training image in its place and moved by half a pixel of the scan each way; a minute of one core."""
    (images, labels), (others, answers) = digits
    moves = [(0, 0), (2, 0), (-2, 0), (0, 2), (0, -2)]
    moved = np.concatenate([np.roll(images, move, axis=(2, 3)) for move in moves])
    rng = np.random.default_rng(0)
    network = ref.lenet5_by_hand(rng)
    losses = list(ref.train_by_hand(network, moved, np.tile(labels, len(moves)), epochs=8, rng=rng))
    assert losses[-1] < 0.05
    assert accuracy(network, others, answers) >= 0.97


@pytest.mark.slow
def test_one_pass_over_mnist_by_hand(shared_data):
    """60,000 images once; LeCun et al. 1998 were at some 98 % after their first pass, figure 5."""
    mnist = {name: gzip.decompress((shared_data / "mnist" / f"{name}.gz").read_bytes()) for name in MNIST}
    pixels, labels, others, answers = (
        np.frombuffer(mnist[name], np.uint8, offset=16 if "images" in name else 8) for name in MNIST
    )
    images, tests = (
        np.pad(each.reshape(-1, 1, 28, 28) / 255, ((0, 0), (0, 0), (2, 2), (2, 2)))
        for each in (pixels, others)
    )
    rng = np.random.default_rng(0)
    network = ref.lenet5_by_hand(rng)
    list(ref.train_by_hand(network, images, labels.astype(np.int64), epochs=1, rng=rng))
    assert accuracy(network, tests, answers) >= 0.97
