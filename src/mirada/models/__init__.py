"""The networks by name. Listing them imports no torch; building one imports its family's file."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from importlib import import_module
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from mirada.errors import CheckpointError, InvalidArgument, nearest
from mirada.models.catalogue import CATALOGUE, OF_ONES_OWN, Entry

if TYPE_CHECKING:  # `mirada models` and every --help go without: building the records takes milliseconds
    from pathlib import Path

    from mirada.events import LoadReport
    from mirada.layers.network import Network
    from mirada.models.families import Facts
    from mirada.models.options import Value
    from mirada.models.weights import Keys

__all__ = [
    "CATALOGUE",
    "OF_ONES_OWN",
    "Entry",
    "checked_options",
    "create_model",
    "facts",
    "find",
    "list_models",
    "load_weights",
]

MOST = 1_000_000  # outputs, or channels
LONGEST = 100_000  # pixels of a side
TOO_LARGE = (
    "{} for images of {:,} × {:,} pixels has more weights than there is memory for. Choose smaller images."
)
# What PyTorch says where it cannot have a tensor; on the CPU it has no class of error for it.
NO_MEMORY = ("allocate memory", "not enough memory", "out of memory", "Storage size calculation overflowed")
ARGUMENTS = (
    "num_classes",
    "in_channels",
    "image_size",
    "weights",
    "replace_head",
)  # of mirada.create_model, for every network


def list_models(pattern: str = "*") -> list[str]:
    """The names of the networks that match a pattern, sorted.

    Args:
        pattern: A shell pattern such as ``"vgg*"``, or a part of a name such as ``"resnet"``; capitals count as lower
            case.

    Returns:
        Names that ``create_model`` takes; none if nothing matches.

    >>> list_models("lenet*")
    ['lenet5', 'lenet5_1998', 'lenet_caffe']
    >>> list_models("resnet1") == list_models("*resnet1*")
    True
    """
    lower = pattern.lower()
    shell = lower if set(lower) & set("*?[") else f"*{lower}*"
    return sorted(name for name in CATALOGUE if fnmatchcase(name, shell))


def create_model(
    name: str,
    *,
    num_classes: int | None = None,
    in_channels: int | None = None,
    image_size: int | tuple[int, int] | None = None,
    **options: Any,
) -> "Network":
    """Builds a network by name, with freshly drawn weights (set ``torch.manual_seed`` first to repeat them).

    Args:
        name: One of ``list_models()``; or ``layers``, with the option ``layers="conv 6 k5; relu; …"``, for a stack of
            one's own.
        num_classes: The number of outputs: one per class, or 1 for a yes/no question or a number. What is left out,
            here and below, is as the paper has it.
        in_channels: Channels of an image: 3 for colours, 1 for grey.
        image_size: A side, or (height, width), in pixels.
        options: The network's own, such as ``head="average"``; ``facts(name).options`` and ``mirada models NAME``
            list them.

    Returns:
        The network in training mode. ``load_weights`` puts weights in.

    Raises:
        InvalidArgument: For an unknown name or option, a value out of range, or images too small for the network.

    >>> create_model("lenet5", num_classes=3).head.linear
    Linear(in_features=84, out_features=3, bias=True)
    """
    entry = find(name)
    numbers = {
        "num_classes": entry.num_classes if num_classes is None else num_classes,
        "in_channels": entry.image[0] if in_channels is None else in_channels,
    }
    size = entry.image[1:] if image_size is None else image_size
    if isinstance(size, int):
        size = (size, size)
    _require_sensible(numbers, size)
    chosen = checked_options(name, options, arguments=ARGUMENTS)
    try:
        network = _build(name, numbers, size, chosen)
    except (RuntimeError, MemoryError) as error:
        if not (isinstance(error, MemoryError) or any(said in str(error) for said in NO_MEMORY)):
            raise
        raise InvalidArgument(TOO_LARGE.format(name, *size)) from error
    network.name = name
    return network


def _build(
    name: str, numbers: Mapping[str, int], size: tuple[int, int], options: "Mapping[str, Value]"
) -> "Network":
    """The network of a family's builder, cut and with a new head where its head is that of class activation maps."""
    from mirada.models.families import AVERAGE, CAM, CAM_OPTIONS

    known = facts(name)
    stated: dict[str, Any] = {**{key: option.default for key, option in known.options.items()}, **options}
    taken = {key: value for key, value in options.items() if key in known.taken}
    build = resolve_name(f"mirada.models.{known.builder}")
    if stated.get("head") != CAM:
        for key in CAM_OPTIONS.keys() & options.keys():
            if options[key] != known.options[key].default:
                raise InvalidArgument(
                    f'`{key}` of {name} has no effect without head="{CAM}". Got {options[key]!r}.'
                )
        whole: Network = build(name, image_size=size, **numbers, **taken)
        return whole
    from mirada.models.cam import with_cam_head

    light = (
        {"head": AVERAGE} if "head" in known.taken else {}
    )  # not the dense layers, which would be thrown away
    whole = build(known.uncut, image_size=size, **numbers, **{**taken, **light})
    whole.name = name
    return with_cam_head(
        whole,
        numbers["num_classes"],
        after=stated["cam_after"],
        width=stated["cam_width"],
        groups=stated["cam_groups"],
        activation=stated.get("activation", "relu"),
        dropout=stated.get("dropout", 0.0),
    )


def _require_sensible(numbers: Mapping[str, int], size: tuple[int, int]) -> None:
    """Raises ``InvalidArgument`` for outputs, channels or sides that no network has."""
    for argument, value in numbers.items():
        if value < 1:
            raise InvalidArgument(f"`{argument}` of create_model must be at least 1. Got {value!r}.")
        if value > MOST:
            raise InvalidArgument(
                f"`{argument}` of create_model must be at most {MOST:,}. Got {value!r:.40}."
            )
    if max(size) > LONGEST:
        raise InvalidArgument(
            f"`image_size` of create_model must be at most {LONGEST:,} pixels a side. Got {size!r:.80}."
        )


def facts(name: str) -> "Facts":
    """What there is to know of a network besides its layers: options, starting recipe, value scale, loss.

    Raises:
        InvalidArgument: For an unknown name, with the nearest one.
    """
    from mirada.models.families import facts_of

    return facts_of(name, find(name).family)


def checked_options(
    name: str, options: Mapping[str, object], *, arguments: Sequence[str] = ()
) -> "dict[str, Value]":
    """The options of a network with the types that its builder expects.

    Args:
        name: A network's.
        options: What was said of it.
        arguments: What else could have been said in the same place, to be named beside the options.

    Raises:
        InvalidArgument: For an unknown network, an option that it does not have, or a value that the option cannot be.
    """
    known = facts(name).options
    for option in options:
        if option not in known:
            raise InvalidArgument(f'{name} has no option "{option}". {nearest(option, (*arguments, *known))}')
    return {option: known[option].checked(option, name, value) for option, value in options.items()}


def load_weights(
    network: "Network", name: str, path: "str | Path", *, replace_head: bool = False
) -> "LoadReport":
    """Copies the weights in a file into a network built as ``name``, and reports what became of every tensor.

    Args:
        network: What ``create_model(name)`` built.
        name: Its name in the catalogue.
        path: A file of torchvision's, timm's or the public CIFAR ResNets' (``.pth``, ``.th``, ``.safetensors``), or a
            model file of Mirada's.
        replace_head: Takes a file whose head has another size, or that has none; the network's own stays.

    Returns:
        Which tensors were copied, adapted, newly drawn or left out.

    Raises:
        CheckpointError: The file cannot be read or does not fit; the network is then unchanged.
    """
    from mirada.models.weights import OtherNetworkError, load_public, recognised

    try:
        return load_public(network, path, _conventions(name), replace_head=replace_head)
    except OtherNetworkError as error:
        sizes = {other: entry.parameters for other, entry in CATALOGUE.items() if other != name}
        whose = recognised(path, sizes, lambda other: (create_model(other), _conventions(other)))
        if not whose:
            raise
        raise CheckpointError(
            f"{path}: these weights are those of {whose}, and the network is {name}. Choose {whose}, or other weights."
        ) from error


def _conventions(name: str) -> "dict[str, Keys]":
    from mirada.models.weights import conventions

    return conventions(import_module(f"mirada.models.{find(name).family}"), facts(name).uncut)


def find(name: str) -> Entry:
    """The catalogue's row of a network.

    Raises:
        InvalidArgument: For an unknown name, with those that begin with it or hold it, or else the nearest.
    """
    if name in CATALOGUE or name in OF_ONES_OWN:
        return CATALOGUE.get(name) or OF_ONES_OWN[name]
    lower = name.lower()
    if lower and lower not in CATALOGUE:
        parts = [each for each in list_models() if each.startswith(lower)] or list_models(lower)
        if parts:
            raise InvalidArgument(
                f'There is no network "{name}". Did you mean one of these? {", ".join(parts)}.'
            )
    raise InvalidArgument(f'There is no network "{name}". {nearest(lower, CATALOGUE)}')
