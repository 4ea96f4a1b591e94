"""The networks by name. Listing them imports no torch; building one imports its family's file."""

from fnmatch import fnmatchcase
from importlib import import_module
from inspect import signature
from logging import INFO, WARNING, getLogger
from typing import TYPE_CHECKING, Any

from mirada.errors import InvalidArgument, nearest
from mirada.models.catalogue import CATALOGUE, Entry

if TYPE_CHECKING:
    from pathlib import Path

    from mirada.layers.network import Network
    from mirada.models.weights import Report

__all__ = ["CATALOGUE", "Entry", "create_model", "list_models", "load_weights"]


def list_models(pattern: str = "*") -> list[str]:
    """The names of the networks that match a shell pattern, sorted.

    >>> list_models("lenet*")
    ['lenet5', 'lenet5_1998', 'lenet_caffe']
    """
    return sorted(name for name in CATALOGUE if fnmatchcase(name, pattern))


def create_model(
    name: str,
    *,
    num_classes: int | None = None,
    in_channels: int | None = None,
    image_size: int | tuple[int, int] | None = None,
    weights: "str | Path | None" = None,
    replace_head: bool = False,
    **options: Any,
) -> "Network":
    """Builds a network by name, with freshly drawn weights (set ``torch.manual_seed`` first to repeat them).

    ``weights`` is a file of torchvision's, timm's or the public CIFAR ResNets' (``.pth``, ``.th``,
    ``.safetensors``), or a model file of Mirada's. ``replace_head`` takes a file whose head has another size, and
    draws the head anew. The report is logged by the logger ``mirada``: as a warning where anything was left out,
    newly drawn or adapted, else as information; ``load_weights`` returns it. Images must be normalized as the
    weights expect: by ImageNet's mean and deviation, but for googlenet_bn, inception_v3, inception_v4 and
    inception_resnet_v2, which expect (value / 255 − 0.5) / 0.5; ``mirada.train`` sees to it.

    ``num_classes`` is the number of outputs: one per class, or 1 for a yes/no question or a number. What is
    left out is as the paper has it. ``image_size`` is a side, or (height, width), in pixels. ``options`` are the
    family's own, such as ``activation="leaky_relu"``; its builder's signature names them.

    Raises ``InvalidArgument`` for an unknown name or option, a number below one, or images too small for the
    network, and ``CheckpointError`` for a file that cannot be read or does not fit.

    >>> create_model("lenet5", num_classes=3).head.linear
    Linear(in_features=84, out_features=3, bias=True)
    """
    entry = find(name)
    numbers = {
        "num_classes": entry.num_classes if num_classes is None else num_classes,
        "in_channels": entry.image[0] if in_channels is None else in_channels,
    }
    for argument, value in numbers.items():
        if value < 1:
            raise InvalidArgument(f"`{argument}` of create_model must be at least 1. Got {value!r}.")
    size = entry.image[1:] if image_size is None else image_size
    if isinstance(size, int):
        size = (size, size)
    family = import_module(f"mirada.models.{entry.family}")
    build = getattr(family, entry.family)
    known = list(signature(build).parameters)[4:]  # after name, num_classes, in_channels, image_size
    for option in options:
        if option not in known:
            raise InvalidArgument(f'{name} has no option "{option}". {nearest(option, known)}')
    network: Network = build(name, image_size=size, **numbers, **options)
    if weights is not None:
        report = load_weights(network, name, weights, replace_head=replace_head)
        getLogger("mirada").log(INFO if report.whole else WARNING, "%s", report)
    return network


def load_weights(
    network: "Network", name: str, path: "str | Path", *, replace_head: bool = False
) -> "Report":
    """Copies the weights in a file into a network built as ``name``, and reports what became of every tensor.

    The file is as for ``create_model``, and so is ``replace_head``. Raises ``CheckpointError`` if the file cannot be
    read or does not fit; the network is then unchanged.
    """
    from mirada.models.weights import conventions, load_public

    family = import_module(f"mirada.models.{find(name).family}")
    return load_public(network, path, conventions(family, name), replace_head=replace_head)


def find(name: str) -> Entry:
    """The catalogue's row of a network. Raises ``InvalidArgument`` with the nearest name."""
    if name not in CATALOGUE:
        raise InvalidArgument(f'There is no network "{name}". {nearest(name, CATALOGUE)}')
    return CATALOGUE[name]
