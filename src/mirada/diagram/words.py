"""What the boxes of a diagram say: layers and functions in the words of the papers' figures."""

import re
from collections.abc import Sequence
from enum import Enum, StrEnum, auto
from math import prod
from typing import Any, NamedTuple

from torch import nn

from mirada.summary import kinds
from mirada.summary.rules import Shape, per_axis, without_batch
from mirada.text import shorten, times

LONGEST = 28  # letters of a name; the rest stands in the tip


class Role(StrEnum):
    """What a node does, as far as its color tells it; the value is the class of its box in the picture."""

    CONV = auto()
    POOL = auto()
    DENSE = auto()
    OTHER = auto()
    TERMINAL = auto()  # the image and the outputs


class Joint(Enum):
    """How a function of several maps is drawn: a sign in a circle, or a bar below them."""

    SIGN = auto()
    CONCATENATION = auto()


class Words(NamedTuple):
    """What a node is: ``role`` chooses the color, ``text`` says it, ``joint`` how it joins maps, if it does."""

    role: Role
    text: str
    joint: Joint | None = None


ABBREVIATIONS: tuple[tuple[tuple[type[nn.Module], ...], str], ...] = (
    ((nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm), "BN"),
    ((nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d), "IN"),
    ((nn.LayerNorm,), "LN"),
    ((nn.GroupNorm,), "GN"),
    ((nn.LocalResponseNorm,), "LRN"),
)
# Functions by the sign that stands for them; operators that swap their operands keep their names.
SIGNS = {
    **dict.fromkeys(("add", "radd", "iadd"), "+"),
    **dict.fromkeys(("sub", "isub", "subtract"), "−"),
    **dict.fromkeys(("mul", "rmul", "imul", "multiply"), "×"),
    **dict.fromkeys(("div", "truediv", "itruediv", "divide", "true_divide"), "÷"),
}
USUAL = {
    "relu": "ReLU",
    "gelu": "GELU",
    "silu": "SiLU",
    "chunk": "split",
    "pow": "power",
    "setitem": "insert",
}
CONCATENATIONS = frozenset({"cat", "concat", "concatenate", "hstack", "vstack", "dstack"})
# What only gives the same numbers another place or type is no box: the line goes through it.
UNSEEN = frozenset({
    "alias", "clone", "contiguous", "cpu", "cuda", "detach", "double", "expand", "expand_as", "flatten",
    "float", "get", "half", "movedim", "permute", "reshape", "reshape_as", "squeeze", "swapaxes", "t", "to",
    "transpose", "type", "type_as", "unflatten", "unsqueeze", "view", "view_as",
})  # fmt: skip
# Functions that are more than a remark on the box before them, even where they keep its shape.
WEIGHTY = frozenset({
    "bilinear", "bmm", "einsum", "fft", "gru", "lstm", "matmul", "mm", "multi_head_attention_forward",
    "scaled_dot_product_attention", "tensordot",
})  # fmt: skip
SLICES = frozenset({"getitem", "narrow", "select"})  # unseen where they take everything
UNSEEN_LAYERS = (nn.Identity, nn.Flatten, nn.Unflatten)


def of_layer(module: nn.Module) -> Words:
    """A layer, such as ``3×3 conv, 64, /2``, ``2×2 max pool, /2``, ``dense, 4096`` or ``BN``."""
    if isinstance(module, (*kinds.CONVOLUTIONS, *kinds.TRANSPOSED)):
        return Words(Role.CONV, _convolution(module))
    if isinstance(module, nn.Linear):
        return Words(Role.DENSE, f"dense, {module.out_features}")
    for axes, (windows, adaptive) in enumerate(zip(kinds.POOLS, kinds.ADAPTIVE, strict=True), start=1):
        if isinstance(module, (*windows, *adaptive)):
            describe = _pool if isinstance(module, windows) else _adaptive_pool
            return Words(Role.POOL, describe(module, axes))
    if isinstance(module, kinds.DROPOUTS):
        return Words(Role.OTHER, f"dropout {module.p:g}")
    for kinds_of_norm, text in ABBREVIATIONS:
        if isinstance(module, kinds_of_norm):
            return Words(Role.OTHER, text)
    return Words(Role.OTHER, short(kinds.class_name(module)))


def of_function(
    name: str, before: Shape, after: Shape, *, operand: str = "", window: Sequence[Any] = ()
) -> Words:
    """A function from maps of one shape to those of another, such as ``ReLU``, ``× 0.17``, ``2×2 max pool, /2``.

    ``operand`` is what a sign takes besides the maps, ``window`` the kernel and the stride of a pooling.
    """
    if name in CONCATENATIONS:
        return Words(Role.OTHER, "concat", Joint.CONCATENATION)
    if name in SIGNS:
        return Words(Role.OTHER, f"{SIGNS[name]} {operand}".rstrip(), None if operand else Joint.SIGN)
    if name in SLICES:
        return Words(Role.OTHER, "slice")
    if name == "linear":
        return Words(Role.DENSE, f"dense, {after[-1]}")
    pool = re.match(r"(?:adaptive_)?(max|avg)_pool(\d)d|mean$", name)
    if pool:
        kind = "max" if pool[1] == "max" else "average"
        if len(before) > 2 and prod(after) == prod(before[:2]):
            return Words(Role.POOL, f"global {kind} pool")
        if window and pool[2]:
            kernel, stride = (per_axis(side, int(pool[2])) for side in window)
            return Words(Role.POOL, _joined(f"{times(kernel)} {kind} pool", _unless_one("/", stride)))
    role = Role.POOL if pool else Role.CONV if "conv" in name else Role.OTHER
    return Words(role, USUAL.get(name, name.replace("_", " ")))


def size(shape: Shape) -> str:
    """The shape with the batch as the papers write it, height×width×maps.

    >>> size((1, 64, 112, 112))
    '112×112×64'
    """
    sizes = without_batch(shape)
    return times((*sizes[1:], sizes[0]) if len(sizes) == 3 else sizes) or "scalar"


def short(name: str) -> str:
    """A name as a box has room for it."""
    return shorten(name, LONGEST, head=LONGEST // 2 - 1)


def _convolution(module: Any) -> str:
    kind = "transposed conv" if isinstance(module, kinds.TRANSPOSED) else "conv"
    depthwise = 1 < module.groups == module.in_channels
    return _joined(
        f"{times(module.kernel_size)} {'depthwise ' * depthwise}{kind}",
        str(module.out_channels),
        _unless_one("/", module.stride),
        f"{module.groups} groups" if module.groups > 1 and not depthwise else "",
        _unless_one("dilated ", module.dilation),
    )


def _pool(module: Any, axes: int) -> str:
    if isinstance(module, (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)):
        kind = "max"
    elif isinstance(module, (nn.LPPool1d, nn.LPPool2d, nn.LPPool3d)):
        kind = f"L{module.norm_type:g}"
    else:
        kind = "sum" if getattr(module, "divisor_override", None) == 1 else "average"
    kernel = per_axis(module.kernel_size, axes)
    stride = kernel if module.stride is None else per_axis(module.stride, axes)
    return _joined(f"{times(kernel)} {kind} pool", _unless_one("/", stride))


def _adaptive_pool(module: Any, axes: int) -> str:
    maximum = (nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d)
    kind = "max" if isinstance(module, maximum) else "average"
    sides = per_axis(module.output_size, axes)
    if set(sides) == {1}:
        return f"global {kind} pool"
    return f"{kind} pool to {'×'.join('–' if side is None else str(side) for side in sides)}"


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _unless_one(mark: str, sizes: Sequence[int]) -> str:
    """A stride or a dilation; one number if it is the same along all axes."""
    if set(sizes) == {1}:
        return ""
    return mark + times(sizes[:1] if len(set(sizes)) == 1 else sizes)
