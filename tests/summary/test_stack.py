"""Stacks planned from text, against torch's own layers, a brute force over windows, and published counts."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mirada.errors import InvalidArgument, MiradaError
from mirada.summary import summarize
from mirada.summary.stack import Stack, parse_shape, plan
from mirada.summary.stack_network import stack_network

ALEXNET = (
    "conv 96 k11 s4; relu; pool k3 s2; bn; conv 256 k5 p2; relu; pool k3 s2; bn; conv 384 k3 p1; relu; "
    "conv 384 k3 p1; relu; conv 256 k3 p1; relu; pool k3 s2; flatten; dense 4096; relu; dropout 0.5; dense 4096; "
    "relu; dropout; dense 1000"
)
LENET = "conv 6 k5; tanh; avgpool k2; conv 16 k5; tanh; avgpool k2; conv 120 k5; tanh; flatten; fc 84; tanh; fc 10"

TABLE = """\
One image of 1×29×28; m map, k kernel, c padding, p stride

    step        (m − k + 2c)/p + 1               output  parameters    MACs  sees
─────────────────────────────────────────────────────────────────────────────────
1   Conv 6 k5   (29 − 5 + 0)/1 + 1 = 25         6×25×24         156  90,000     5
                by (28 − 5 + 0)/1 + 1 = 24
2*  pool k2 s2  (25 − 2 + 0)/2 + 1 = 12.5 → 12  6×12×12           –       –     6
                by (24 − 2 + 0)/2 + 1 = 12
3*  dense 10    (864 + 1)·10 weights                 10       8,650   8,640    28
─────────────────────────────────────────────────────────────────────────────────
Parameters  8,806
MACs        98,640 multiply-adds for one image

Step 2, "pool k2 s2": (25 − 2 + 0)/2 = 11.5 is not whole, so the last row is never looked at; no
  padding makes it whole.
Step 3, "dense 10", flattens the 6×12×12 maps to 864 numbers itself.
With an input of 1×30×28 every division is whole."""


def vgg(widths: str) -> str:
    steps = ["pool k2" if width == "M" else f"conv {width} k3 p1; relu" for width in widths.split()]
    return "; ".join([*steps, "flatten", "dense 4096", "dense 4096", "dense 1000"])


@pytest.mark.parametrize(
    ("layers", "shape", "parameters", "macs"),
    [  # the catalogue's published totals
        (ALEXNET, (3, 227, 227), 62_379_048, 1_135_256_096),
        (LENET, (1, 32, 32), 61_706, 416_520),
        ("conv 20 k5; pool k2; conv 50 k5; pool k2; fc 500; relu; fc 10", (1, 28, 28), 431_080, 2_293_000),
        (
            vgg("64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M"),
            (3, 224, 224),
            138_357_544,
            15_470_264_320,
        ),
    ],
)
def test_published_networks(layers: str, shape: tuple[int, int, int], parameters: int, macs: int) -> None:
    stack = plan(layers, shape)
    assert (stack.parameters, stack.macs) == (parameters, macs)


@pytest.mark.parametrize(
    ("layers", "shape"),
    [
        (ALEXNET, (3, 227, 227)),
        (LENET, (1, 32, 32)),
        (
            "conv 8 k3x5 s2 p1 d2; lrn; avgpool k3 s2 ceil; conv 8 k1 g4; sigmoid; gap; bn; fc 5; softmax",
            (4, 41, 37),
        ),
        ("maxpool k3 p1; dense 4; bn; dropout .2; linear 2", (2, 11, 12)),
        ("conv 4 k3; relu; pool k2; dense 1000000", (1, 200, 200)),  # on the device meta
    ],
)
def test_the_network_of_a_stack_is_what_was_planned(layers: str, shape: tuple[int, int, int]) -> None:
    stack = plan(layers, shape)
    network = stack_network(stack)
    summary = summarize(network, shape)
    assert (summary.parameters, summary.macs) == (stack.parameters, stack.macs)
    assert [row.output_shape for row in summarize(network, shape, depth=1).rows] == [
        step.output_shape for step in stack.steps
    ]


def test_alexnet_column_of_the_lecture_notes() -> None:
    """Calderón 2019, §3.3: the formulae and the sizes that the notes print."""
    steps = plan(ALEXNET, (3, 227, 227)).steps
    assert steps[0].formula == "(227 − 11 + 0)/4 + 1 = 55"
    assert steps[2].formula == "(55 − 3 + 0)/2 + 1 = 27"
    shapes = [step.output_shape for step in steps if step.text.startswith(("conv", "pool", "dense"))]
    assert shapes[:7] == [
        (96, 55, 55), (96, 27, 27), (256, 27, 27), (256, 13, 13), (384, 13, 13), (384, 13, 13), (256, 13, 13),
    ]  # fmt: skip
    assert shapes[7:] == [(256, 6, 6), (4096,), (4096,), (1000,)]
    assert [step.parameters for step in steps if step.parameters][:2] == [34_944, 192]
    assert steps[14].receptive_field == (195, 195)


def test_receptive_fields_of_vgg16() -> None:
    """The classic list for VGG-16: 212 pixels before the dense layers, and 3×3 thrice is 7×7."""
    steps = plan(vgg("64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M"), (3, 224, 224)).steps
    assert next(step.receptive_field for step in reversed(steps) if step.text == "pool k2") == (212, 212)
    assert plan("conv 1 k3; conv 1 k3; conv 1 k3", (1, 9, 9)).steps[-1].receptive_field == (7, 7)


class Drawn:
    """A random stack that fits: its text, and the same layers in torch."""

    def __init__(self, data: st.DataObject, shape: tuple[int, int, int]) -> None:
        self.texts: list[str] = []
        self.layers: list[nn.Module] = []
        maps = torch.zeros(1, *shape)
        for _ in range(data.draw(st.integers(1, 4))):
            text, layer = self._step(data, maps)
            maps = layer.eval()(maps)
            self.texts.append(text)
            self.layers.append(layer)
        if data.draw(st.booleans()):
            units = data.draw(st.integers(1, 9))
            self.texts += [*data.draw(st.sampled_from([["flatten"], []])), f"dense {units}"]
            self.layers += [nn.Flatten(), nn.Linear(maps.numel(), units)]

    def _step(self, data: st.DataObject, maps: torch.Tensor) -> tuple[str, nn.Module]:
        channels, height, width = maps.shape[1:]
        kind = data.draw(st.sampled_from(["conv", "maxpool", "avgpool", "bn", "relu"]))
        if kind == "bn":
            return "bn", nn.BatchNorm2d(channels)
        if kind == "relu":
            return "relu", nn.ReLU()
        padding = tuple(data.draw(st.integers(0, 2)) for _ in range(2))
        kernel = tuple(
            data.draw(st.integers(max(1, 0 if kind == "conv" else 2 * c), max(1, 2 * c, min(5, side))))
            for side, c in zip((height, width), padding, strict=True)
        )
        stride = tuple(data.draw(st.integers(1, 3)) for _ in range(2))
        text = f"k{kernel[0]}x{kernel[1]} s{stride[0]}x{stride[1]} p{padding[0]}x{padding[1]}"
        if kind == "conv":
            groups = data.draw(st.sampled_from([g for g in (1, 2, 3) if channels % g == 0]))
            units = groups * data.draw(st.integers(1, 3))
            layer = nn.Conv2d(channels, units, kernel, stride, padding, groups=groups)
            return f"conv {units} {text} g{groups}", layer
        pool = nn.MaxPool2d if kind == "maxpool" else nn.AvgPool2d
        ceil = data.draw(st.booleans())
        return f"{kind} {text}{' ceil' * ceil}", pool(kernel, stride, padding, ceil_mode=ceil)


@given(st.data(), st.tuples(st.sampled_from([1, 2, 3, 6]), st.integers(5, 17), st.integers(5, 17)))
@settings(max_examples=80)
def test_random_stacks_are_what_torch_makes_of_them(data: st.DataObject, shape: tuple[int, int, int]) -> None:
    drawn = Drawn(data, shape)
    network = nn.Sequential(*drawn.layers).eval()
    stack = plan("; ".join(drawn.texts), shape)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        outputs = network(torch.zeros(1, *shape))
    assert stack.steps[-1].output_shape == outputs.shape[1:]
    assert stack.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert 2 * stack.macs == counter.get_total_flops()


def test_dilation_and_receptive_field_against_gradients() -> None:
    """The input pixels with a gradient span the receptive field, where no padding cuts it."""
    stack = plan("conv 2 k3 d2; avgpool k2; conv 1 k2x3 s2", (1, 30, 31))
    layers = [nn.Conv2d(1, 2, 3, dilation=2), nn.AvgPool2d(2), nn.Conv2d(2, 1, (2, 3), stride=2)]
    image = torch.rand(1, 1, 30, 31, requires_grad=True)
    outputs = nn.Sequential(*layers)(image)
    outputs[0, 0, 2, 1].backward()
    rows, columns = torch.nonzero(image.grad[0, 0], as_tuple=True)
    assert stack.steps[-1].output_shape == outputs.shape[1:]
    spans = (int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1)
    assert stack.steps[-1].receptive_field == spans


@given(st.integers(1, 40), st.integers(1, 7), st.integers(1, 5), st.integers(0, 3))
@settings(max_examples=300)
def test_what_is_cut_off_against_a_brute_force(size: int, kernel: int, stride: int, padding: int) -> None:
    """Every window is laid on the padded map; what lies behind the last one is what the remark says."""
    padded = size + 2 * padding
    starts = [start for start in range(0, padded, stride) if start + kernel <= padded]
    text = f"conv 1 k{kernel} s{stride} p{padding}"
    if not starts:
        with pytest.raises(InvalidArgument, match="does not fit"):
            plan(text, (1, size, size))
        return
    (step,) = plan(text, (1, size, size)).steps
    behind = np.arange(padded) >= starts[-1] + kernel
    pixels = np.arange(padded) - padding
    unseen = int((behind & (pixels >= 0) & (pixels < size)).sum())
    assert step.output_shape == (1, len(starts), len(starts))
    assert step.whole == (not behind.any())
    said = re.search(r"the last (?:(\d+) )?rows?", step.remark)
    assert (int(said[1] or 1) if said else 0) == unseen


@given(st.integers(4, 60), st.integers(1, 7), st.integers(1, 5), st.integers(0, 3), st.booleans())
@settings(max_examples=300)
def test_the_cures_cure(size: int, kernel: int, stride: int, padding: int, pool: bool) -> None:
    """Whatever padding, kernel or input a sentence offers makes the division whole, or the window fit."""
    word = "pool" if pool else "conv 1"
    padding = min(padding, kernel // 2) if pool else padding
    text = f"{word} k{kernel} s{stride} p{padding}; {word} k{kernel} s{stride}"
    try:
        stack = plan(text, (1, size, size))
    except InvalidArgument as error:
        input_shape = re.search(r"the input (\S+)\.$", str(error))
        assert input_shape
        assert plan(text, parse_shape(input_shape[1])).steps[-1].output_shape[1:] >= (1, 1)
        number = int(re.match(r"Step (\d)", str(error))[1])
        before, failing = text.split("; ")[: number - 1], text.split("; ")[number - 1]
        for cure in re.findall(r"\b([kp]\d+)(?: or|,)", str(error)):
            cured = re.sub(rf" {cure[0]}\d+", "", failing) + f" {cure}"
            plan("; ".join([*before, cured]), (1, size, size))
        return
    for step in stack.steps:
        cure = re.search(r"(p\d+) makes it whole", step.remark)
        if cure and step.number == 1:
            assert plan(f"{word} k{kernel} s{stride} {cure[1]}", (1, size, size)).steps[0].whole
    better = re.search(r"With an input of (\S+) every", stack.advice)
    assert bool(stack.advice) == (not all(step.whole for step in stack.steps))
    if better:
        assert all(step.whole for step in plan(text, parse_shape(better[1])).steps)


def test_the_papers_224_pixels_lead_to_227() -> None:
    stack = plan(ALEXNET, (3, 224, 224))
    assert [step.number for step in stack.steps if not step.whole] == [1, 3, 7, 15]
    assert stack.steps[0].formula == "(224 − 11 + 0)/4 + 1 = 54.25 → 54"
    assert stack.steps[0].remark == (
        'Step 1, "conv 96 k11 s4": (224 − 11 + 0)/4 = 53.25 is not whole, so the last row and the last column '
        "are never looked at; no padding makes it whole."
    )
    assert stack.advice == "With an input of 3×227×227 every division is whole."


def test_maps_before_a_dense_layer_are_flattened_and_it_is_said() -> None:
    bare, said = plan("conv 4 k3; dense 5", (1, 8, 8)), plan("conv 4 k3; flatten; dense 5", (1, 8, 8))
    assert bare.parameters == said.parameters == 40 + 145 * 5
    assert bare.steps[-1].remark == 'Step 2, "dense 5", flattens the 4×6×6 maps to 144 numbers itself.'
    assert not said.steps[-1].remark
    assert bare.steps[-1].receptive_field == said.steps[-1].receptive_field == (8, 8)


def test_global_average_makes_a_vector() -> None:
    gap = plan("conv 4 k3 s2; gap; dense 5", (1, 9, 9))
    assert gap.steps[1].output_shape == (4,)
    assert gap.steps[1].receptive_field == (9, 9)
    assert gap.steps[2].parameters == 25


def test_the_table_reads_well() -> None:
    assert str(plan("Conv 6 k5; pool k2 s2; dense 10", (1, 29, 28))) == TABLE


@pytest.mark.parametrize(
    ("layers", "shape", "message"),
    [
        ("cov 6 k5", (1, 9, 9), r'^Step 1, "cov 6 k5": there is no layer "cov"\. Did you mean "conv"\?'),
        ("conv k3", (1, 9, 9), r"does not say how many outputs it has; write it as conv N kK \[sS\]"),
        ("relu; pool", (1, 9, 9), r'^Step 2, "pool": it does not say the size of its kernel'),
        ("conv 3 k", (1, 9, 9), r'"k" cannot be read'),
        ("conv 3 k0", (1, 9, 9), r'the number in "k0" must be whole, from 1 to 1,000,000'),
        ("conv 3 k1000001", (1, 9, 9), r"from 1 to 1,000,000"),
        ("conv 3 k3 s-1", (1, 9, 9), r'"s-1" cannot be read'),
        ("conv 3 k3 s0.5", (1, 9, 9), r'the number in "s0\.5" must be whole'),
        ("conv 3 k3 k4", (1, 9, 9), r'"k" is said twice'),
        ("conv 3 k3x3x3", (1, 9, 9), r"too many numbers"),
        ("conv 3 4 k3", (1, 9, 9), r'"4" cannot be read'),
        ("conv 3 k²", (1, 9, 9), r"must be whole"),
        ("relu 3", (1, 9, 9), r"write it as relu\.$"),
        ("dropout 2", (1, 9, 9), r'"2" cannot be read'),
        ("dense 0", (1, 9, 9), r"from 1 to"),
        ("pool k3 ceil g2", (1, 9, 9), r'"g2" cannot be read'),
        ("pool k2 p2", (1, 9, 9), r"more than half of its kernel.*use at most p1\.$"),
        (
            "conv 4 k3 g2",
            (3, 9, 9),
            r"2 groups must divide both the 3 channels that reach it and its 4 outputs",
        ),
        ("flatten; conv 4 k3", (3, 9, 9), r"a vector of 243 numbers reaches it; put it before"),
        ("gap; lrn", (3, 9, 9), r"works on maps"),
        (" ; ", (3, 9, 9), r"^There are no layers"),
        ("relu", (3, 0, 9), r"`input_shape` of plan must be"),
        ("relu", (3, 9), r"`input_shape` of plan must be"),
        (
            "conv 6 k5; pool k2; conv 16 k5; pool k2; conv 120 k5",
            (1, 28, 28),
            r'^Step 5, "conv 120 k5", does not fit: maps of 4×4 reach it, and \(4 − 5 \+ 0\)/1 \+ 1 = 0 is less than '
            r"one place for its window\. Make it p1 or k4, or the input 1×32×32\.$",
        ),
        ("pool k5x1", (1, 3, 9), r"Make it p1x0 or k3x1, or the input 1×5×9\.$"),
    ],
)
def test_mistakes_are_told_in_a_sentence(layers: str, shape: tuple[int, int, int], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message) as caught:
        plan(layers, shape)
    assert "\n" not in str(caught.value)


@given(st.text(alphabet="convpldense ksxgceil;0123456789.-×²\n", max_size=40))
@settings(max_examples=400)
def test_any_text_is_planned_or_told(text: str) -> None:
    try:
        stack = plan(text, (4, 12, 12))
    except MiradaError as error:
        assert str(error).endswith((".", "?"))
    else:
        assert isinstance(stack, Stack)
        assert str(stack)


@pytest.mark.parametrize("text", ["3x227", "3x227x0", "x", "", "3x٣x3", "3x-1x4", "3x22799999x4"])
def test_what_is_no_shape(text: str) -> None:
    with pytest.raises(InvalidArgument, match="is not a shape"):
        parse_shape(text)


def test_shapes_as_people_write_them() -> None:
    assert parse_shape(" 3X227×227 ") == (3, 227, 227)


def test_plain_values() -> None:
    values = plan("conv 2 k3; dense 1", (1, 5, 5)).to_dict()
    assert values["steps"][0]["output_shape"] == [2, 3, 3]
    assert (values["parameters"], values["macs"]) == (20 + 19, 2 * 9 * 9 + 18)
