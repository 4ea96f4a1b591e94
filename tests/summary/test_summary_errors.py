"""What the image's shape can be, and every refusal with its text."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mirada.diagram.draw import draw
from mirada.errors import InvalidArgument
from mirada.models import create_model
from mirada.summary import summarize

# The shape of the image -----------------------------------------------------------------------------------------


class Sized(nn.Conv2d):
    image_size = (6, 7)


def test_the_network_can_know_the_shape():
    summary = summarize(Sized(2, 3, 1))
    assert summary.input_shape == (2, 6, 7)
    assert summary.macs == 2 * 3 * 42


def test_a_missing_shape():
    with pytest.raises(InvalidArgument) as caught:
        summarize(nn.Conv2d(3, 3, 1))
    assert str(caught.value) == (
        "summarize cannot know the shape of the images: Conv2d does not have both `in_channels` and `image_size` "
        "(height, width). Pass `input_shape`, such as (3, 224, 224)."
    )


@pytest.mark.parametrize("shape", [(), (3, 0, 8), (3, 8.0, 8), 224, (3, -1)])
def test_a_wrong_shape(shape):
    with pytest.raises(InvalidArgument, match="must be integers ≥ 1 without the batch") as caught:
        summarize(nn.ReLU(), shape)
    assert str(caught.value).endswith(f"Got {shape!r}.")


def test_a_network_by_its_name():
    summary = summarize("LeNet5")
    assert (summary.network, summary.input_shape, summary.parameters) == ("lenet5", (1, 32, 32), 61_706)
    assert summarize(create_model("lenet5", num_classes=3)).network == "lenet5"
    with pytest.raises(InvalidArgument, match='no network "lenet6"'):
        summarize("lenet6")


@pytest.mark.parametrize("other", [None, 3, nn.ReLU, {"weight": 1}])
def test_what_is_no_network(other):
    with pytest.raises(
        InvalidArgument, match=r"must be a torch\.nn\.Module or a name of list_models\(\)\. Got "
    ):
        summarize(other, (3, 8, 8))


WRAPPERS = {
    "parallel": nn.DataParallel,
    "compiled": lambda network: torch.compile(network, backend="eager"),
    "parallel and compiled": lambda network: torch.compile(nn.DataParallel(network), backend="eager"),
    "compiled and parallel": lambda network: nn.DataParallel(torch.compile(network, backend="eager")),
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_what_wraps_a_network_is_looked_through(wrapper):
    conv = nn.Conv2d(3, 4, 3)
    plain = summarize(conv, (3, 8, 8))
    assert plain.macs == 4 * 27 * 36
    assert summarize(WRAPPERS[wrapper](conv), (3, 8, 8)) == plain
    inside = nn.Sequential(WRAPPERS[wrapper](conv), nn.ReLU())
    forwards = [module.forward for module in inside.modules()]
    assert summarize(inside, (3, 8, 8)).macs == plain.macs
    assert [module.forward for module in inside.modules()] == forwards
    assert draw(WRAPPERS[wrapper](conv), (3, 8, 8)) == draw(conv, (3, 8, 8))


def test_a_parallel_network_that_is_meant_for_other_devices():
    network = nn.Sequential(nn.DataParallel(nn.Conv2d(3, 4, 3)))
    network[0].device_ids, network[0].src_device_obj = [0, 1], torch.device("cuda:0")
    assert summarize(network, (3, 8, 8)).macs == 4 * 27 * 36


# Failures --------------------------------------------------------------------------------------------------------


class Reads(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum().item() > 0 else -x


class Functional(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.conv_transpose2d(x, weight=torch.zeros(3, 1, 2, 2))


class Silent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Raises()

    def forward(self, x: Tensor) -> Tensor:
        return self.inner()


class Raises(nn.Module):
    def forward(self) -> Tensor:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("network", "shape", "message"),
    [
        (
            nn.Sequential(nn.Conv2d(1, 2, 5), nn.Conv2d(2, 3, 5)),
            (1, 6, 6),
            '"1" (Conv2d 5×5) cannot take the input that reached it, 2×2×2: its window does not fit into 2×2. '
            "The image was 1×6×6: pass another `input_shape` or correct the layer.",
        ),
        (
            nn.Sequential(nn.MaxPool2d(2), nn.MaxPool2d(4)),
            (1, 6, 6),
            '"1" (MaxPool2d 4×4 /4) cannot take the input that reached it, 1×3×3: its window does not fit into 3×3.',
        ),
        (
            nn.Sequential(nn.Flatten(), nn.Linear(400, 120)),
            (1, 32, 32),
            '"1" (Linear) cannot take the input that reached it, 1024: it expects 400 features and got 1,024.',
        ),
        (
            nn.ConvTranspose2d(3, 1, 3),
            (1, 6, 6),
            "ConvTranspose2d 3×3 cannot take the input that reached it, 1×6×6: it expects 3 channels and got 1.",
        ),
        (Functional(), (4, 6, 6), "that reached it, 4×6×6: it expects 3 channels and got 4. The image was"),
        (
            nn.ConvTranspose2d(1, 1, 3, padding=9),
            (1, 6, 6),
            "Output size is too small. The image was",
        ),
        (
            nn.Conv2d(1, 1, 3, padding="same", padding_mode="circular", dilation=9),
            (1, 6, 6),
            "Conv2d 3×3 d9 same circular cannot take the input that reached it, 1×6×6: ",
        ),
        (
            nn.BatchNorm2d(3),
            (3,),
            "BatchNorm2d cannot take the input that reached it, 3: expected 4D input (got 2D input).",
        ),
        (
            Reads(),
            (300_000,),  # many pixels: on the meta device
            "Reads cannot take the input that reached it, 300000: Tensor.item() cannot be called on meta",
        ),
        (
            Silent(),
            (2,),
            '"inner" (Raises) cannot take the input that reached it, no tensor: ZeroDivisionError.',
        ),
    ],
)
def test_a_failing_forward_names_layer_shape_and_reason(network, shape, message):
    with pytest.raises(InvalidArgument) as caught:
        summarize(network, shape)
    assert message in str(caught.value)
    assert caught.value.__cause__ is not None


def test_a_lazy_layer():
    network = nn.Sequential(nn.LazyConv2d(3, 3))
    with pytest.raises(
        InvalidArgument, match=r'cannot count "0\.weight" of Sequential: its shape is unknown'
    ):
        summarize(network, (3, 8, 8))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_scripted_module():
    network = nn.Sequential(torch.jit.script(nn.Linear(3, 3)))
    with pytest.raises(InvalidArgument, match="Sequential: it is, or contains, a scripted module"):
        summarize(network, (3,))
