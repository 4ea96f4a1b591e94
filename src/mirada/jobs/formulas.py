"""What a step of a network computes, as a formula that a page can show with its numbers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mirada.explain.explainable import IMAGE
from mirada.explain.passes import COVARIATES, PassStep
from mirada.layers.activation import Rectifier, ScaledTanh
from mirada.models.bonet import AffineSampling
from mirada.models.lenet import RadialBasis
from mirada.models.resnet import PaddedIdentity
from mirada.pages.opened import Formula

Channels = NDArray[np.int64]
SQUASHES = {nn.Sigmoid: "sigmoid", nn.Tanh: "tanh", ScaledTanh: "scaled_tanh"}
KEEPS_CHANNELS = frozenset(
    {"norm", "response", "rectifier", "squash", "maximum", "average", "sum", "affine", "moved"}
)
OTHER = "other"


@dataclass(frozen=True, eq=False)
class HeldStep:
    """What a page holds of a step: the channels, and the places from ``corner`` on, ``size`` of them."""

    channels: Channels
    corner: tuple[int, int]
    size: tuple[int, int]

    @property
    def places(self) -> tuple[slice, slice]:
        """The rows and the columns."""
        (top, left), (height, width) = self.corner, self.size
        return slice(top, top + height), slice(left, left + width)


def kind_of(step: PassStep, steps: Sequence[PassStep]) -> str:
    """The kind of a step's formula; ``other`` for one whose arithmetic is not written out.

    Args:
        step: The step.
        steps: All of them.
    """
    if step.module is not None:
        return _kind_of_layer(step.module, steps[step.inputs[0]].values)
    if step.name in (IMAGE, COVARIATES) and not step.inputs:
        return step.name
    return _kind_of_function(step, steps)


def formula_of(step: PassStep, steps: Sequence[PassStep], out: HeldStep, into: Sequence[HeldStep]) -> Formula:
    """The formula of a step for some of its channels.

    Args:
        step: The step.
        steps: All of them.
        out: What is shown of it.
        into: Likewise of each of its inputs.
    """
    kind = kind_of(step, steps)
    if kind in _WRITTEN:
        return _WRITTEN[kind](step, steps, out, into)
    what = step.function or type(step.module).__name__
    return Formula(kind, {"what": what} if kind == OTHER else {}, {})


def _kind_of_layer(module: nn.Module, entering: Tensor) -> str:
    match module:
        case nn.Conv2d(padding_mode="zeros") if _padding(module) is not None:
            return "convolution"
        case nn.Linear() if entering.ndim == 2 and len(entering) == 1:
            return "dense"
        case nn.BatchNorm1d() | nn.BatchNorm2d() if module.running_mean is not None:
            return "norm"
        case nn.LocalResponseNorm() if entering.ndim == 4:
            return "response"
        case RadialBasis():
            return "distance"
        case AffineSampling():
            return "moved"
        case nn.ReLU() | nn.PReLU() | nn.LeakyReLU() | Rectifier():
            return "rectifier"
        case nn.MaxPool2d():
            return "maximum"
        case nn.AvgPool2d():
            return "average"
        case nn.AdaptiveAvgPool2d() if entering.ndim == 4:
            return "average"
        case nn.Flatten() if entering.ndim == 4:
            return "flattening"
        case PaddedIdentity():
            return "taken"
        case nn.Unflatten(dim=1, unflattened_size=(_, 1, 1)) if entering.ndim == 2:
            return "taken"
    return "squash" if type(module) in SQUASHES else OTHER


def _kind_of_function(step: PassStep, steps: Sequence[PassStep]) -> str:
    shapes = [steps[number].values.shape for number in step.inputs]
    alike = all(shape == step.values.shape for shape in shapes)
    if step.function in ("cat", "concat", "concatenate") and _along_channels(step, shapes):
        return "concatenation"
    if step.function in ("flatten", "view", "reshape") and step.values.ndim == 2:
        return {4: "flattening", 2: "taken"}.get(len(shapes[0]), OTHER)
    if step.function == "chunk" and step.values.ndim == 4:
        return "taken"
    if step.function in ("add", "iadd") and alike and len(step.inputs) > 1:
        return "sum"
    if step.function in ("add", "mul") and alike and _per_channel(step) is not None:
        return "affine"
    return OTHER


def _along_channels(step: PassStep, shapes: Sequence[Sequence[int]]) -> bool:
    return step.values.ndim in (2, 4) and sum(shape[1] for shape in shapes) == step.values.shape[1]


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


def _padding(conv: nn.Conv2d) -> tuple[int, ...] | None:
    """Rows and columns of zeros at each side; None where the sides differ."""
    if not isinstance(conv.padding, str):
        return conv.padding
    if conv.padding == "valid":
        return 0, 0
    both = [step * (side - 1) for step, side in zip(conv.dilation, conv.kernel_size, strict=True)]
    return None if any(each % 2 for each in both) else (both[0] // 2, both[1] // 2)


def _array(tensor: Tensor) -> NDArray[np.float32]:
    return np.asarray(tensor.detach().float().cpu().numpy())


def _per_channel(step: PassStep) -> NDArray[np.float32] | None:
    """The operand for each channel, (C,); None for one that is not the same at all places."""
    count = step.values.shape[1]
    if isinstance(step.operand, float):
        return np.full(count, step.operand, dtype=np.float32)
    if isinstance(step.operand, Tensor) and step.operand.numel() in (1, count):
        return np.broadcast_to(_array(step.operand).ravel(), (count,))
    return None


# Each kind: (step, steps, channels shown, those of each input) → its formula ------------------------------------------


def _convolution(
    step: PassStep, steps: Sequence[PassStep], out: HeldStep, into: Sequence[HeldStep]
) -> Formula:
    conv: Any = step.module
    whole = _array(conv.weight)
    each_in, each_out = conv.in_channels // conv.groups, conv.out_channels // conv.groups
    weight = np.zeros((len(out.channels), len(into[0].channels), *whole.shape[2:]), dtype=np.float32)
    for row, channel in enumerate(out.channels):
        own = into[0].channels // each_in == channel // each_out  # a group reads its own channels alone
        weight[row, own] = whole[channel, into[0].channels[own] % each_in]
    bias = np.zeros(len(whole), dtype=np.float32) if conv.bias is None else _array(conv.bias)
    numbers: dict[str, float | Sequence[float]] = {
        "kernel": conv.kernel_size,
        "stride": conv.stride,
        "padding": _padding(conv) or (0, 0),
        "dilation": conv.dilation,
        "groups": conv.groups,
        "reads": each_in,
        "has_bias": float(conv.bias is not None),
    }
    return Formula("convolution", numbers, {"weight": weight, "bias": bias[out.channels]})


def _dense(step: PassStep, steps: Sequence[PassStep], out: HeldStep, into: Sequence[HeldStep]) -> Formula:
    dense: Any = step.module
    bias = np.zeros(dense.out_features, dtype=np.float32) if dense.bias is None else _array(dense.bias)
    weight = _array(dense.weight)[np.ix_(out.channels, into[0].channels)]
    return Formula(
        "dense",
        {"reads": dense.in_features, "has_bias": float(dense.bias is not None)},
        {"weight": weight, "bias": bias[out.channels]},
    )


def _norm(step: PassStep, steps: Sequence[PassStep], out: HeldStep, into: Sequence[HeldStep]) -> Formula:
    norm: Any = step.module
    count = len(norm.running_mean)
    arrays = {
        "mean": norm.running_mean,
        "variance": norm.running_var,
        "weight": norm.weight,
        "bias": norm.bias,
    }
    known = {
        name: np.full(count, float(name == "weight"), dtype=np.float32) if array is None else _array(array)
        for name, array in arrays.items()
    }
    return Formula("norm", {"eps": norm.eps}, {name: array[out.channels] for name, array in known.items()})


def _response(step: PassStep, steps: Sequence[PassStep], out: HeldStep, into: Sequence[HeldStep]) -> Formula:
    norm: Any = step.module
    before, after = norm.size // 2, (norm.size - 1) // 2
    rows, columns = out.places
    squares = steps[step.inputs[0]].values[0, :, rows, columns].double().square()
    padded = functional.pad(squares, (0, 0, 0, 0, before, after))
    energy = padded.unfold(0, norm.size, 1).sum(dim=-1)  # of each channel and its neighbours
    numbers = {"size": norm.size, "k": norm.k, "alpha": norm.alpha, "beta": norm.beta}
    return Formula("response", numbers, {"energy": _array(energy)[out.channels]})


def _distance(step: PassStep, steps: Sequence[PassStep], out: HeldStep, into: Sequence[HeldStep]) -> Formula:
    units: Any = step.module
    weight = _array(units.codes)[np.ix_(out.channels, into[0].channels)]
    return Formula("distance", {"reads": units.codes.shape[1]}, {"weight": weight})


def _rectifier(step: PassStep, steps: Sequence[PassStep], out: HeldStep, into: Sequence[HeldStep]) -> Formula:
    match step.module:
        case nn.PReLU(weight=weight):
            alpha = np.broadcast_to(_array(weight), (step.values.shape[1],))
        case nn.LeakyReLU(negative_slope=slope) | Rectifier(alpha=slope):
            alpha = np.full(step.values.shape[1], slope, dtype=np.float32)
        case _:
            alpha = np.zeros(step.values.shape[1], dtype=np.float32)
    return Formula("rectifier", {}, {"alpha": alpha[out.channels]})


def _squash(step: PassStep, steps: Sequence[PassStep], out: HeldStep, into: Sequence[HeldStep]) -> Formula:
    return Formula("squash", {"what": SQUASHES[type(step.module)]}, {})  # type: ignore[index]


def _maximum(step: PassStep, steps: Sequence[PassStep], out: HeldStep, into: Sequence[HeldStep]) -> Formula:
    pool: Any = step.module
    numbers = {
        "kernel": _pair(pool.kernel_size),
        "stride": _pair(pool.stride or pool.kernel_size),
        "padding": _pair(pool.padding),
        "dilation": _pair(pool.dilation),
    }
    return Formula("maximum", numbers, {})


def _average(step: PassStep, steps: Sequence[PassStep], out: HeldStep, into: Sequence[HeldStep]) -> Formula:
    pool: Any = step.module
    if isinstance(pool, nn.AdaptiveAvgPool2d):
        return Formula("average", {"grid": tuple(step.values.shape[2:]) or (1, 1)}, {})
    numbers: dict[str, float | Sequence[float]] = {
        "kernel": _pair(pool.kernel_size),
        "stride": _pair(pool.stride or pool.kernel_size),
        "padding": _pair(pool.padding),
        "pads": float(pool.count_include_pad),
        "divisor": float(pool.divisor_override or 0),
    }
    return Formula("average", numbers, {})


def _affine(step: PassStep, steps: Sequence[PassStep], out: HeldStep, into: Sequence[HeldStep]) -> Formula:
    operand = _per_channel(step)
    if operand is None:
        return Formula(OTHER, {"what": step.function}, {})
    added = step.function == "add"
    factor, shift = (np.ones_like(operand), operand) if added else (operand, np.zeros_like(operand))
    return Formula("affine", {}, {"factor": factor[out.channels], "shift": shift[out.channels]})


def _concatenation(
    step: PassStep, steps: Sequence[PassStep], out: HeldStep, into: Sequence[HeldStep]
) -> Formula:
    return Formula("concatenation", {"offsets": offsets_of(step, steps)}, {})


def _flattening(
    step: PassStep, steps: Sequence[PassStep], out: HeldStep, into: Sequence[HeldStep]
) -> Formula:
    return Formula("flattening", {"from": tuple(steps[step.inputs[0]].values.shape[1:])}, {})


def _taken(step: PassStep, steps: Sequence[PassStep], out: HeldStep, into: Sequence[HeldStep]) -> Formula:
    if isinstance(step.module, nn.Unflatten) or step.function in ("flatten", "view", "reshape"):
        return Formula("taken", {"offset": 0, "stride": 1}, {})
    if isinstance(step.module, PaddedIdentity):
        return Formula("taken", {"offset": -step.module.before, "stride": step.module.stride}, {})
    before = [each for each in steps if each.inputs == step.inputs and each.function == "chunk"]
    return Formula(
        "taken", {"offset": sum(each.values.shape[1] for each in before if each.number < step.number), "stride": 1}, {}
    )  # fmt: skip


def offsets_of(step: PassStep, steps: Sequence[PassStep]) -> tuple[int, ...]:
    """Where the channels of each input of a concatenation begin."""
    counts = [steps[number].values.shape[1] for number in step.inputs]
    return tuple(sum(counts[:place]) for place in range(len(counts)))


_WRITTEN: dict[str, Callable[[PassStep, Sequence[PassStep], HeldStep, Sequence[HeldStep]], Formula]] = {
    "convolution": _convolution,
    "dense": _dense,
    "norm": _norm,
    "response": _response,
    "distance": _distance,
    "rectifier": _rectifier,
    "squash": _squash,
    "maximum": _maximum,
    "average": _average,
    "affine": _affine,
    "concatenation": _concatenation,
    "flattening": _flattening,
    "taken": _taken,
}
