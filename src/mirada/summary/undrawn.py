"""Networks without values: for questions about shapes, it would be a waste to draw weights."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from mirada.layers.network import Network
from mirada.models import CATALOGUE, create_model, find
from mirada.summary.geometry import tensors

SMALL = 30_000_000  # parameters; below, the meta device's imports take longer than the network
USUAL = 1000  # pixels of a side, or outputs; beyond, the weights of a dense layer may need more memory than there is
RANDOM = frozenset({"exponential_", "normal_", "uniform_"})
FILLING = RANDOM | {"add_", "clamp_", "copy_", "div_", "erfinv_", "fill_", "mul_", "sub_", "zero_"}


@contextmanager
def undrawn(device: str = "meta") -> Iterator[None]:
    """Parameters and buffers made inside have shapes and types, but zeros where they would have random values.

    On the device ``meta`` they have no values at all; but the first operation there makes PyTorch import its
    compiler, which takes a second. Filling a tensor is none.

    >>> with undrawn():
    ...     layer = torch.nn.Linear(2**20, 2**20)
    >>> layer.weight.shape
    torch.Size([1048576, 1048576])
    """
    with torch.device(device), _Undrawn():
        yield


def named(
    name: str,
    *,
    image_size: int | None = None,
    num_classes: int | None = None,
    options: Mapping[str, object] | None = None,
) -> Network:
    """A network of the catalogue without drawn weights; capitals count as lower case.

    Args:
        name: One of ``list_models()``.
        image_size: A side in pixels.
        num_classes: The number of outputs.
        options: The network's own.

    Raises:
        InvalidArgument: As ``create_model`` raises it.
    """
    known = name.lower() if name.lower() in CATALOGUE else name
    usual = max(image_size or 0, num_classes or 0) <= USUAL
    device = "cpu" if usual and find(known).parameters < SMALL else "meta"
    chosen: dict[str, Any] = {**(options or {})}
    with undrawn(device):
        return create_model(known, image_size=image_size, num_classes=num_classes, **chosen)


class _Undrawn(TorchFunctionMode):
    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        tensor = next(tensors((args, kwargs or {})), None)
        initializes = getattr(func, "__module__", None) == "torch.nn.init"
        if tensor is None or not (initializes or func.__name__ in FILLING):
            return func(*args, **(kwargs or {}))
        if tensor.is_meta:
            return tensor
        if initializes or func.__name__ in RANDOM:
            with torch.no_grad():
                return tensor.zero_()  # not what was in memory: drawing may go on until a value is in a range
        return func(*args, **(kwargs or {}))
