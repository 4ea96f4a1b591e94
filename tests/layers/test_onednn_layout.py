"""oneDNN's memory layout: the same numbers as PyTorch's other layouts give, and NaN is not lost in it."""

import pytest
import torch
from torch import Tensor, nn

from mirada.compute import Compute
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.evaluation.infer import infer
from mirada.layers.network import Network
from mirada.layers.onednn import LARGEST, Conv2d, convolutions_within, laid_out
from mirada.modelfile import Architecture

BFLOAT16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()
SHOULD = torch.backends.mkldnn.is_available()
pytestmark = pytest.mark.skipif(not SHOULD, reason="this PyTorch is built without oneDNN")
FORMATS = [
    torch.float32,
    pytest.param(
        torch.bfloat16, marks=pytest.mark.skipif(not BFLOAT16, reason="the processor has no bfloat16")
    ),
]


def built(side: int = 37, channels: int = 3, **options: str) -> Network:
    torch.manual_seed(0)
    architecture = Architecture(
        model="simplecnn", options=options, outputs=4, in_channels=channels, image_size=(side, side)
    )
    return architecture.build().to(memory_format=torch.channels_last).train()


def images(side: int = 37, channels: int = 3) -> Tensor:
    return torch.randn(6, channels, side, side, generator=torch.Generator().manual_seed(1))


def trained(network: Network, shown: Tensor, dtype: torch.dtype) -> tuple[Tensor, list[Tensor]]:
    """Outputs of a training pass, and the gradients of a sum over them."""
    network.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        [outputs] = network.training_outputs(shown)
    outputs.float().square().sum().backward()
    return outputs.detach().float(), [weight.grad for weight in network.parameters()]


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize(("side", "channels"), [(37, 3), (64, 1), (10, 3)])
@pytest.mark.parametrize("head", ["dense", "average"])
def test_outputs_and_gradients_are_those_of_channels_last(
    head: str, side: int, channels: int, dtype: torch.dtype
) -> None:
    network, shown = built(side, channels, head=head), images(side, channels)
    inside = network.laid_out(shown, dtype)
    assert inside.is_mkldnn and inside.dtype == dtype
    want, slopes = trained(network, shown.contiguous(memory_format=torch.channels_last), dtype)
    got, found = trained(network, inside, dtype)
    # bfloat16 has 8 bits; a gradient sums 20,000 products in another order
    near, nearly = (1e-6, 2e-5) if dtype == torch.float32 else (2**-7, 2**-5)
    torch.testing.assert_close(got, want, rtol=near, atol=near * float(want.abs().max()))
    for weight, slope, other in zip(network.parameters(), slopes, found, strict=True):
        assert [stride for stride, size in zip(other.stride(), other.shape, strict=True) if size > 1] == [
            stride for stride, size in zip(weight.stride(), weight.shape, strict=True) if size > 1
        ]  # the fused optimizers go through both as they lie in memory
        assert other.dtype == torch.float32
        torch.testing.assert_close(other, slope, rtol=0, atol=nearly * float(slope.abs().max()))


def test_gradients_are_those_of_finite_differences() -> None:
    network, shown = built(12), images(12)
    _, slopes = trained(network, network.laid_out(shown, torch.float32), torch.float32)
    doubled, step = built(12).double(), 1e-6
    for name, slope in zip(dict(network.named_parameters()), slopes, strict=True):
        place = int(slope.contiguous().view(-1).abs().argmax())
        index = tuple(int(number) for number in torch.unravel_index(torch.tensor(place), slope.shape))
        values = []
        for sign in (1, -1):
            doubled.get_parameter(name).data[index] += sign * step
            with torch.no_grad():
                values.append(float(doubled.training_outputs(shown.double())[0].square().sum()))
            doubled.get_parameter(name).data[index] -= sign * step
        assert float(slope[index]) == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-4)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -2 * LARGEST])
def test_a_weight_that_may_give_nan_is_computed_with_where_nan_is_kept(value: float) -> None:
    network, shown = built(), images()
    next(network.parameters()).data[3, 0, 1, 1] = value
    assert not network.laid_out(shown, torch.float32).is_mkldnn
    network.get_submodule("stem")[0].weight.data[3] = float("nan")
    [outputs] = network.training_outputs(network.laid_out(shown, torch.float32))
    assert outputs.isnan().all()


def test_the_largest_weights_give_finite_maps() -> None:
    network, shown = built(), images()
    for part in ("stem", "stage1"):
        for weight in network.get_submodule(part).parameters():
            weight.data.fill_(0.99 * LARGEST / weight.numel() ** 0.5)
    inside = network.laid_out(255 * shown.abs(), torch.float32)
    assert inside.is_mkldnn
    for part in ("stem", "stage1"):
        inside = network.get_submodule(part)(inside)
        assert inside.to_dense().isfinite().all()


def test_networks_whose_layers_do_not_take_it_are_shown_channels_last() -> None:
    for options in ({"activation": "tanh"}, {"activation": "leaky_relu"}):
        shown = built(**options).laid_out(images(), torch.float32)
        assert not shown.is_mkldnn and shown.is_contiguous(memory_format=torch.channels_last)
    assert not convolutions_within([]) and not convolutions_within(
        [nn.Sequential(nn.MaxPool2d(2), nn.ReLU())]
    )
    assert not convolutions_within([nn.Sequential(nn.Conv2d(3, 4, 3))])
    assert not convolutions_within([nn.Sequential(Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.ReLU(inplace=True))])
    first, second = nn.Sequential(Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.ReLU()), nn.Sequential(Conv2d(4, 4, 3))
    assert convolutions_within([first, second]) == [first[0], second[0]]
    assert not convolutions_within([first, nn.BatchNorm2d(4), second])
    assert not laid_out(torch.zeros(2, 3, 8, 8, device="meta"), [Conv2d(3, 4, 3)], torch.float32).is_mkldnn


@pytest.mark.parametrize("dtype", FORMATS)
def test_inference_gives_the_outputs_of_the_plain_forward_pass(dtype: torch.dtype) -> None:
    network = built(64)
    pixels = torch.randint(0, 256, (5, 3, 64, 64), generator=torch.Generator().manual_seed(2)).to(torch.uint8)
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    plain = Preprocessing(size=(64, 64), mean=(0.5,) * 3, std=(0.5,) * 3)
    compute = Compute(torch.device("cpu"), "float32" if dtype == torch.float32 else "bfloat16")
    got = infer(network, pixels, plain, compute)
    with torch.no_grad(), compute.autocast():
        want = network.eval()(pixels.float() / 127.5 - 1).float()
    near = 2e-6 if dtype == torch.float32 else 2**-7
    torch.testing.assert_close(got, want, rtol=near, atol=near * float(want.abs().max()))


def test_a_convolution_has_the_name_and_the_tensors_of_pytorchs() -> None:
    ours, theirs = Conv2d(3, 8, 3, padding=1, stride=2), nn.Conv2d(3, 8, 3, padding=1, stride=2)
    assert isinstance(ours, nn.Conv2d) and repr(ours) == repr(theirs)
    ours.load_state_dict(theirs.state_dict())
    shown = images()
    assert torch.equal(ours(shown), theirs(shown))
    torch.testing.assert_close(ours(shown.to_mkldnn()).to_dense(), theirs(shown), rtol=1e-6, atol=1e-6)
