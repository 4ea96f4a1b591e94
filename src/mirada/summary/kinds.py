"""What a layer is: its kind as text, its multiply-adds, why an input does not fit it. Dispatch is by type."""

from math import prod
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized, type_before_parametrizations

from mirada.arithmetic import output_size
from mirada.summary import rules
from mirada.summary.rules import Shape, per_axis
from mirada.text import times

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
COUNTED = (*CONVOLUTIONS, *TRANSPOSED, nn.Linear)
HOLDERS = (nn.ParameterList, nn.ParameterDict)
POOLS = (
    (nn.MaxPool1d, nn.AvgPool1d, nn.LPPool1d),
    (nn.MaxPool2d, nn.AvgPool2d, nn.LPPool2d),
    (nn.MaxPool3d, nn.AvgPool3d, nn.LPPool3d),
)
DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)
ADAPTIVE = (
    (nn.AdaptiveAvgPool1d, nn.AdaptiveMaxPool1d),
    (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d),
    (nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool3d),
)

# The file of torch.nn.modules that defines a layer says what it does; "" is no arithmetic in eval mode.
FAMILIES = {
    "activation": "activations",
    "batchnorm": "normalisation",
    "instancenorm": "normalisation",
    "normalization": "normalisation",
    "pooling": "pooling",
    "upsampling": "upsampling",
    "distance": "distances",
    "channelshuffle": "",
    "container": "",
    "dropout": "",
    "flatten": "",
    "fold": "",
    "padding": "",
    "pixelshuffle": "",
    "sparse": "",
}


def children(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """Named children; what a parametrisation is made of belongs to the layer that it serves."""
    hidden = {"parametrizations"} if is_parametrized(module) else set()
    return [(name, child) for name, child in module.named_children() if name not in hidden]


def wrapped(module: nn.Module) -> nn.Module | None:
    """What a module only hands its input on to: the one that torch.compile or a parallel module was made of."""
    if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        inner: nn.Module = module.module
        return inner
    inside = getattr(module, "_orig_mod", None)
    return inside if isinstance(inside, nn.Module) else None


def unwrapped(module: nn.Module) -> nn.Module:
    """The network inside all the wrappers around it."""
    while (inner := wrapped(module)) is not None:
        module = inner
    return module


def is_layer(module: nn.Module) -> bool:
    """A leaf, or a layer with known MACs that has children all the same, such as an adapter."""
    return isinstance(module, COUNTED) or not (children(module) or isinstance(module, HOLDERS))


def own_parameters(module: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """The parameters that no child holds, by their name within the module."""
    own = list(module.named_parameters(recurse=False))
    if is_parametrized(module):
        own += module.get_submodule("parametrizations").named_parameters("parametrizations")
    return own


def own_buffers(module: nn.Module) -> list[tuple[str, Tensor]]:
    """The buffers that no child holds, by their name within the module."""
    own = list(module.named_buffers(recurse=False))
    if is_parametrized(module):
        own += module.get_submodule("parametrizations").named_buffers("parametrizations")
    return own


def family(module: nn.Module) -> str | None:
    """``pooling``, ``activations`` …; empty for layers that do no arithmetic, None for unknown types."""
    if isinstance(module, nn.Identity):
        return ""
    for cls in type(module).__mro__:
        if cls.__module__.startswith("torch.nn.modules."):
            return FAMILIES.get(cls.__module__.rpartition(".")[2])
    return None


def class_name(module: nn.Module) -> str:
    """The name of the class, without the prefix that a parametrisation puts before it."""
    return type_before_parametrizations(module).__name__


def kind(module: nn.Module) -> str:
    """The class and the geometry that matters, such as ``Conv2d 3×3 /2 p1`` or ``AdaptiveAvgPool2d →1×1``."""
    return f"{class_name(module)} {_detail(module)}".rstrip()


def macs(module: nn.Module, input_shape: Shape, output_shape: Shape) -> int:
    """Multiply-adds of one call, biases excluded; 0 for all but (transposed) convolutions and linear layers.

    Shapes are with the batch, which is one image.
    """
    if isinstance(module, CONVOLUTIONS):
        outputs = prod(output_shape)
        return rules.conv_macs(outputs, module.in_channels, module.kernel_size, groups=module.groups)
    if isinstance(module, TRANSPOSED):
        inputs = prod(input_shape)
        return rules.transposed_macs(inputs, module.out_channels, module.kernel_size, groups=module.groups)
    if isinstance(module, nn.Linear):
        return rules.linear_macs(prod(output_shape), module.in_features)
    return 0


def misfit(module: nn.Module, shape: Shape) -> str:
    """Why an input of ``shape``, with the batch, does not fit the layer; empty where no rule here says so."""
    if isinstance(module, nn.Linear) and shape and shape[-1] != module.in_features:
        return f"it expects {module.in_features:,} features and got {shape[-1]:,}"
    found = window(module)
    if found is None or len(shape) != len(found.kernel) + 2:
        return ""
    if isinstance(module, (*CONVOLUTIONS, *TRANSPOSED)) and shape[1] != module.in_channels:
        return f"it expects {module.in_channels} channels and got {shape[1]}"
    if isinstance(module, TRANSPOSED) or _same(module):
        return ""
    fits = all(
        output_size(size, k, stride=s, padding=p, dilation=d) >= 1
        for size, k, s, p, d in zip(shape[2:], *found, strict=True)
    )
    return "" if fits else f"its window does not fit into {times(shape[2:])}"


class LayerWindow(NamedTuple):
    """A window that slides over maps: one number per axis; ``padding`` is the one at the start of each."""

    kernel: Shape
    stride: Shape
    padding: Shape
    dilation: Shape


def window(module: nn.Module) -> LayerWindow | None:
    """The window of a convolution or a pooling; None for other layers."""
    if isinstance(module, (*CONVOLUTIONS, *TRANSPOSED)):
        padding: Any = module.padding
        if padding == "same":
            padding = [d * (k - 1) // 2 for k, d in zip(module.kernel_size, module.dilation, strict=True)]
        elif padding == "valid":
            padding = 0
        conv = (module.kernel_size, module.stride, padding, module.dilation)
        return LayerWindow(*(per_axis(size, len(module.kernel_size)) for size in conv))
    for axes, classes in enumerate(POOLS, start=1):
        if isinstance(module, classes):
            stride = module.kernel_size if module.stride is None else module.stride
            rim, dilation = getattr(module, "padding", 0), getattr(module, "dilation", 1)
            pool: tuple[Any, ...] = (module.kernel_size, stride, rim, dilation)
            return LayerWindow(*(per_axis(size, axes) for size in pool))
    return None


def _same(module: nn.Module) -> bool:
    return getattr(module, "padding", None) == "same"


def _detail(module: nn.Module) -> str:
    found = window(module)
    if found is not None:
        text = rules.geometry(
            found.kernel,
            stride=found.stride,
            padding=(0,) if _same(module) else found.padding,
            dilation=found.dilation,
            output_padding=module.output_padding if isinstance(module, TRANSPOSED) else (0,),
            groups=getattr(module, "groups", 1),
        )
        marks = {
            "same": _same(module),
            "ceil": getattr(module, "ceil_mode", False),
            getattr(module, "padding_mode", "zeros"): getattr(module, "padding_mode", "zeros") != "zeros",
        }
        return " ".join([text, *(mark for mark, present in marks.items() if present)])
    for axes, classes in enumerate(ADAPTIVE, start=1):
        if isinstance(module, classes):
            sides = per_axis(module.output_size, axes)
            return "→" + "×".join("–" if side is None else str(side) for side in sides)
    if isinstance(module, nn.GroupNorm):
        return f"g{module.num_groups}"
    if isinstance(module, DROPOUTS):
        return f"{module.p:g}"
    return ""
