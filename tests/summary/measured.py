"""What a value really depends on: the gradient of one output with respect to the image, where nothing hides it."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from mirada.summary.table import Row

Box = tuple[tuple[int, int], ...]  # per axis, the first and the last pixel

FEW = 16  # maps
AS_IT_IS = (F.relu, F.leaky_relu, F.batch_norm, F.local_response_norm, F.dropout, torch.tanh, torch.sigmoid)


class Unmasked(TorchFunctionMode):
    """Every window lets every value through: averages for maxima, convolutions of equal weights, no activations.

    With equal weights all maps of a convolution are alike, so that one stands for them where there are many.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in AS_IT_IS:
            return args[0]
        if func is torch.conv2d:
            return average(*args)
        if func in (torch.max_pool2d, F.max_pool2d):
            kernel, stride, padding, ceil_mode = pooling(*args[1:], **kwargs)
            return F.avg_pool2d(args[0], kernel, stride, padding, ceil_mode=ceil_mode)
        if func is Tensor.add_:
            return args[0] + args[1]  # one map for all may meet all of them
        if func is F.pad:
            return F.pad(args[0], args[1][:4])  # with zeros, and pixels alone, not maps
        return func(*args, **kwargs)


def pooling(
    kernel: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    *,
    ceil_mode: bool,
    return_indices: bool,
) -> tuple[Any, Any, Any, bool]:
    """The arguments of a pooling that averages."""
    assert dilation == 1 and not return_indices
    return kernel, stride, padding, ceil_mode


def average(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, dilation: Any, groups: int
) -> Tensor:
    """A convolution whose weights are all alike."""
    groups = groups if x.shape[1] % groups == 0 else 1
    merged = x.unflatten(1, (groups, -1)).mean(2)
    kernel = torch.full((groups, 1, *weight.shape[2:]), 1 / weight[0, 0].numel(), dtype=x.dtype)
    maps = F.conv2d(merged, kernel, None, stride, padding, dilation, groups)
    return maps.repeat_interleave(len(weight) // groups, dim=1) if len(weight) <= FEW else maps


def interval(row: Row, axis: int, place: int) -> tuple[int, int]:
    """The first and the last pixel, padding included, that the value at ``place`` sees according to a row."""
    assert row.receptive_field and row.jump and row.centre
    first = row.centre[axis] + place * row.jump[axis] - (row.receptive_field[axis] - 1) / 2
    assert first == int(first)
    return int(first), int(first) + row.receptive_field[axis] - 1


def seen(maps: Tensor, image: Tensor, places: tuple[int, ...]) -> Box:
    """The least box with all pixels of ``image`` (1, C, …) that the values of ``maps`` at ``places`` depend on.

    Empty if they depend on none.
    """
    values = maps.flatten(0, -len(places) - 1)[:, *places]
    weights = torch.linspace(1, 2, len(values), dtype=maps.dtype)  # a sum alone could be constant
    (gradient,) = torch.autograd.grad(values @ weights, image, retain_graph=True)
    on = gradient[0].ne(0).any(0).nonzero()
    return tuple(zip(on.amin(0).tolist(), on.amax(0).tolist(), strict=True)) if len(on) else ()


def maps_of(network: nn.Module, image: Tensor, names: list[str]) -> dict[str, Tensor]:
    """What the modules called ``names`` put out, with a graph back to the image."""
    found: dict[str, Tensor] = {}
    handles = [
        network.get_submodule(name).register_forward_hook(
            lambda *call, name=name: found.update({name: call[2]})
        )
        for name in names
    ]
    with Unmasked():
        network(image)
    for handle in handles:
        handle.remove()
    return found
