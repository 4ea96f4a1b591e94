"""The methods whose maps are those of the image, against gradients by hand, finite differences and closed forms."""

from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mirada.errors import InvalidArgument
from mirada.explain import occlusion, rise
from mirada.explain.explainable import IMAGE, Explainable
from mirada.explain.guided_backprop import GUIDED_BACKPROP
from mirada.explain.integrated_gradients import INTEGRATED_GRADIENTS
from mirada.explain.occlusion import OCCLUSION
from mirada.explain.rise import RISE
from mirada.explain.saliency import SALIENCY
from mirada.explain.smooth_grad import NOISE, SAMPLES, SEED, SMOOTH_GRAD


def found(method, network, images, number=0):
    return method.find(Explainable(network), images, IMAGE, lambda _: torch.full((len(images),), number))


class Powers(nn.Module):
    """Outputs are sums of w · image², and of w · image."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 8, 10, generator=torch.Generator().manual_seed(1)))

    def forward(self, images):
        square, plain = ((self.weight * images**power).sum(dim=(1, 2, 3)) for power in (2, 1))
        return torch.stack([square, plain], dim=1)


def test_saliency_is_the_finite_difference(dense_network, images):
    network, number, step = dense_network(3).double().eval(), 1, 1e-6
    images, expected = images[:1].double(), torch.zeros(3, 8, 10, dtype=torch.float64)
    for place in product(range(3), range(8), range(10)):
        change = torch.zeros_like(images)
        change[(0, *place)] = step
        with torch.no_grad():
            expected[place] = (network(images + change) - network(images - change))[0, number] / (2 * step)
    network.head[0].inplace = False  # behind a tanh, whose backward pass needs its output
    maps = found(SALIENCY, network, images, number).maps
    torch.testing.assert_close(maps[0].double(), expected.abs().amax(dim=0), atol=1e-6, rtol=1e-4)


def test_smooth_grad_is_the_mean_gradient_under_noise(images):
    """Of Σ w · image² it is 2 w (image + mean noise); of a linear output, saliency."""
    network = Powers()
    generator = torch.Generator().manual_seed(SEED)
    noise = sum(torch.randn(3, 8, 10, generator=generator) for _ in range(SAMPLES)) / SAMPLES
    spread = NOISE * torch.stack([image.max() - image.min() for image in images])[:, None, None, None]
    expected = (2 * network.weight * (images + spread * noise)).abs().amax(dim=1).detach()
    first, second = (found(SMOOTH_GRAD, network, images).maps for _ in range(2))
    torch.testing.assert_close(first, expected, atol=1e-4, rtol=1e-4)
    assert torch.equal(first, second)
    plain = found(SALIENCY, network, images, 1).maps
    torch.testing.assert_close(found(SMOOTH_GRAD, network, images, 1).maps, plain)


def test_smooth_grad_leaves_the_random_numbers_of_others_alone(images):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    found(SMOOTH_GRAD, Powers(), images)
    assert torch.equal(torch.rand(1), expected)


def test_integrated_gradients_of_powers(images):
    """∫ 2 w t x dt · x = w x², and of a linear output w x: each pixel its own term, Z times."""
    network = Powers()
    weight = network.weight.detach()
    for number, terms in enumerate((weight * images**2, weight * images)):
        outcome = found(INTEGRATED_GRADIENTS, network, images, number)
        torch.testing.assert_close(outcome.maps, 80 * terms.sum(dim=1), atol=1e-3, rtol=1e-4)
        assert outcome.completeness_error < 1e-4


def test_integrated_gradients_add_up_to_the_output_less_that_of_a_blank_image(dense_network, images):
    """And where 50 points do not tell the whole integral, as across rectifiers, the error that is told is theirs."""
    network = dense_network(3).eval()
    network.head[0].inplace = False
    outcome = found(INTEGRATED_GRADIENTS, network, images, 2)
    with torch.no_grad():
        gained = (network(images) - network(torch.zeros_like(images)))[:, 2]
    torch.testing.assert_close(outcome.maps.mean(dim=(1, 2)), gained, atol=0.02, rtol=0)
    assert gained.abs().min() > 1e-3
    error = (outcome.maps.mean(dim=(1, 2)) - gained).abs().max().item()
    assert outcome.completeness_error == pytest.approx(error, abs=1e-6) and error > 0


class Rectified(nn.Module):
    """Two linear layers and a rectifier behind each, in the form that is asked for."""

    def __init__(self, rectify):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.last = nn.Linear(240, 30), nn.Linear(30, 20), nn.Linear(20, 2)
        self.rectify = rectify

    def forward(self, images):
        hidden = self.rectify(self.second(self.rectify(self.first(images.flatten(1)))))
        return self.last(hidden)


def in_place(values):
    torch.relu_(values)
    return values


FORMS = {
    "module": nn.ReLU(), "module in place": nn.ReLU(inplace=True), "F.relu": F.relu, "torch.relu": torch.relu,
    "F.relu in place": lambda values: F.relu(values, inplace=True), "method": lambda values: values.relu(),
    "torch.relu_": in_place, "method in place": lambda values: values.relu_(),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_guided_backprop_is_its_rule_by_hand(images, form):
    """R ← R · (R > 0) · (z > 0) at every ReLU, whatever way it is called."""
    network = Rectified(FORMS[form])
    one, two, three = (
        (layer.weight.detach().numpy(), layer.bias.detach().numpy())
        for layer in (network.first, network.second, network.last)
    )
    x = images.flatten(1).numpy()
    before = x @ one[0].T + one[1]
    behind = before.clip(min=0) @ two[0].T + two[1]
    back = np.tile(three[0][1], (6, 1))
    back = (back * (back > 0) * (behind > 0)) @ two[0]
    back = (back * (back > 0) * (before > 0)) @ one[0]
    maps = found(GUIDED_BACKPROP, network, images, 1).maps
    np.testing.assert_allclose(maps, np.abs(back.reshape(6, 3, 8, 10)).max(axis=1), atol=1e-6, rtol=1e-4)
    plain = found(SALIENCY, network, images, 1).maps
    assert not torch.allclose(maps, plain, rtol=1e-2)
    leaf = images.clone().requires_grad_()
    network(leaf)[:, 1].sum().backward()  # afterwards the rule is gone
    torch.testing.assert_close(leaf.grad.abs().amax(dim=1), plain)


def test_guided_backprop_needs_a_relu(images):
    network = Rectified(torch.tanh)
    expected = r"^Guided back-propagation is a rule for ReLUs, and Rectified has none\. Use saliency\.$"
    with pytest.raises(InvalidArgument, match=expected):
        found(GUIDED_BACKPROP, network, images)


@pytest.mark.parametrize("size", [(8, 10), (17, 16), (5, 3)])
def test_occlusion_of_a_linear_output_is_the_sum_under_the_patch(size):
    """Patch by patch in NumPy: what a patch hides is Σ w · image under it; pixels get the mean of their patches."""
    height, width = size
    draw = torch.Generator().manual_seed(2)
    images = torch.randn(2, 3, height, width, generator=draw)
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * height * width, 2))
    terms = network[1].weight[1].detach().reshape(3, height, width).numpy() * images.numpy()
    side = max(1, min(size) // occlusion.PATCHES)
    step = max(1, side // 2)
    total, times = np.zeros((2, height, width)), np.zeros((height, width))
    y = 0
    while y == 0 or y - step + side < height:
        x = 0
        while x == 0 or x - step + side < width:
            hidden = (slice(y, y + side), slice(x, x + side))
            total[:, *hidden] += terms[:, :, *hidden].sum(axis=(1, 2, 3))[:, None, None]
            times[hidden] += 1
            x += step
        y += step
    assert times.min() >= 1
    np.testing.assert_allclose(found(OCCLUSION, network, images, 1).maps, total / times, atol=1e-5)


def test_occlusion_hides_patches_that_overlap_by_half(images):
    """At 224 pixels they are 28 wide, and 15 × 15 of them."""
    told = []
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    opened = Explainable(network, on_passes=lambda done, total: told.append(total))
    OCCLUSION.find(opened, torch.zeros(1, 3, 224, 224), IMAGE, lambda _: torch.tensor([0]))
    assert set(told) == {225}


def test_rise_is_the_mean_output_of_the_masks_that_keep_a_pixel(dense_network, images, monkeypatch):
    """One mask at a time, in NumPy, with masks of the published kind."""
    monkeypatch.setattr(rise, "MASKS", 30)
    network, number = dense_network(3).eval(), 1
    masks = np.stack([rise.mask(each, 8, 10).numpy() for each in range(30)])
    with torch.no_grad():
        outputs = np.stack([network(images * torch.from_numpy(mask))[:, number].numpy() for mask in masks])
    kept = np.einsum("vn,vhw->nhw", outputs, masks) / masks.sum(axis=0)
    expected = kept - outputs.mean(axis=0)[:, None, None]
    first, second = (found(RISE, network, images, number).maps for _ in range(2))
    np.testing.assert_allclose(first, expected, atol=1e-5)
    assert torch.equal(first, second)


def test_masks_of_rise_are_smooth_halves():
    """Between 0 and 1, half kept on average everywhere, no two alike, and no border where they all end."""
    masks = torch.stack([rise.mask(number, 56, 70) for number in range(400)])
    assert masks.shape == (400, 56, 70) and masks.min() >= 0 and masks.max() <= 1
    mean = masks.mean(dim=0)
    assert (mean - 0.5).abs().max() < 0.12
    assert masks.diff(dim=1).abs().max() <= 1 / 8 + 1e-6  # over one of the 8 pixels of a cell
    assert not torch.equal(masks[0], masks[1])
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    rise.mask(0, 8, 8)
    assert torch.equal(torch.rand(1), expected)


def test_rise_finds_the_pixels_that_count(monkeypatch):
    """Of an output that is the mean of one quarter of the image, that quarter stands out, and the rest is about 0."""
    monkeypatch.setattr(rise, "MASKS", 400)

    class Quarter(nn.Module):
        def forward(self, images):
            return images[:, :, :14, :14].mean(dim=(1, 2, 3))[:, None] * torch.tensor([1.0, -1])

    (grid,) = found(RISE, Quarter(), torch.ones(1, 3, 28, 28)).maps
    inside, outside = grid[3:11, 3:11].mean().item(), grid[18:, 18:].abs().mean().item()
    assert inside > 0.02 > 3 * outside
    assert grid.argmax().item() // 28 < 14 and grid.argmax().item() % 28 < 14
