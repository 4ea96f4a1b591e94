"""Public weights: reads the checkpoints of torchvision, timm and others into a network, and says what it did.

A family file states how others call its layers: pairs of a regular expression and its replacement, which are
applied in order to every key of a checkpoint. Reading a checkpoint runs none of its code.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from math import log
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from mirada.errors import CheckpointError
from mirada.events import LoadReport
from mirada.files import sha256_of
from mirada.models.weight_files import read_weights
from mirada.text import listed, shortened

Keys = Sequence[tuple[str, str | Callable[[re.Match[str]], str]]]

Build = Callable[[str], tuple[nn.Module, Mapping[str, Keys]]]

CADENE, SEQUENTIAL = "pretrained-models.pytorch's", "nn.Sequential's"
CONVENTIONS = {
    "torchvision": "PUBLIC_KEYS",
    "timm": "TIMM_KEYS",
    "CIFAR": "CIFAR_KEYS",
    CADENE: "CADENE_KEYS",
    SEQUENTIAL: "SEQUENTIAL_KEYS",
}
OWN = "Mirada's own"
COUNTERS = (
    "num_batches_tracked",
    "n_averaged",
)  # batch norm's, of no use with a fixed momentum, and an average's
AUXILIARY = re.compile(r"aux(iliary|\d|_?logits)?\.", re.IGNORECASE)
HEADS = ("head.", "auxiliary.")
STAGE = re.compile(r"stage\d+")
SHOWN = 4  # names in a message
TRIED = 8  # networks, of about as many parameters as a file, that it is tried on
DEPTH = 4  # parts of a prefix
COLOURS = 3


class OtherNetworkError(CheckpointError):
    """The tensors of a file are not those of the network: some are unknown, missing, or of another size."""


def conventions(family: ModuleType, name: str) -> dict[str, Keys]:
    """The key tables in a family's file, by whose names they translate, for one network of it; perhaps none.

    A table holds for the whole family, or it is a dictionary of tables by network.
    """
    found = {}
    for who, attribute in CONVENTIONS.items():
        table = getattr(family, attribute, None)
        if isinstance(table, Mapping):
            table = table.get(name)
        if table is not None:
            found[who] = table
    return found


def convert(state_dict: Mapping[str, Tensor], network: nn.Module, keys: Keys) -> dict[str, Tensor]:
    """Tensors of any shape under others' names → the same under the network's.

    A convolution that covers the whole map, where the network has the dense layer with the same weights (or the
    reverse), is reshaped: (out, C, h, w) ↔ (out, C·h·w). Raises ``CheckpointError`` if two get the same name.
    """
    own = network.state_dict()
    converted: dict[str, Tensor] = {}
    origin: dict[str, str] = {}
    for theirs, value in state_dict.items():
        ours = _rename(theirs, keys)
        if ours in converted:
            raise CheckpointError(
                f"{shortened(origin[ours])} and {shortened(theirs)} are both {ours} in the network."
            )
        converted[ours] = _like(own[ours], value) if ours in own else value
        origin[ours] = theirs
    return converted


def load_public(
    network: nn.Module,
    path: str | Path,
    keys_by_convention: Mapping[str, Keys],
    *,
    replace_head: bool = False,
) -> LoadReport:
    """Copies a checkpoint into a network by the convention that fits most of its keys, or by the network's own names.

    With ``replace_head`` those layers of the heads that the file lacks, or has in another size, keep the values
    that the network was built with, and those that the network lacks are left out. Where the network is cut and the
    file is whole, so it is with all that follows the cut. Batch norm's counters may be missing. If the network takes
    grey images and the file is for colour, the first kernels are summed over their three channels, which makes of a
    grey image what they made of it in three equal channels.

    Raises ``CheckpointError`` if the file cannot be read, or if any other tensor is unknown, missing or of
    another shape; the network is then unchanged.
    """
    file = Path(path)
    found = read_weights(file)
    own = network.state_dict()
    public, prefix, convention = _reading(found.tensors, own, keys_by_convention)
    keys = keys_by_convention.get(convention, ())
    names = {theirs: _rename(theirs, keys) for theirs in public}
    public, folded = _without_biases(public, names, own)
    names = {theirs: ours for theirs, ours in names.items() if theirs not in folded}
    cut_off = _cut_off(network, names.values())
    dropped = _left_out(names, own, cut_off, replace_head=replace_head)
    try:
        _refuse_unknown({t: o for t, o in names.items() if o not in own and t not in dropped}, own)
        kept = {theirs: value for theirs, value in public.items() if theirs not in dropped}
        weights = convert(kept, network, keys)
        grey = _for_grey(weights, network)
        weights |= grey
        initialised = _missing(weights, own, heads=(*HEADS, *cut_off), replace_head=replace_head)
        replaced = _of_another_size(weights, own, replace_head=replace_head)
        chosen = {name: value for name, value in weights.items() if name not in replaced}
        _refuse_odd_values(chosen, own)
    except CheckpointError as error:
        raise type(error)(f"{file}: {error}") from error
    network.load_state_dict(chosen, strict=False)
    return LoadReport(
        file=file.name,
        sha256=sha256_of(file),
        convention=convention,
        loaded=len(chosen),
        renamed=tuple((t, o) for t, o in names.items() if o in chosen and t != o),
        adapted=tuple(grey),
        dropped=tuple(dropped),
        initialised=tuple(initialised),
        replaced=tuple(replaced),
        folded=tuple(folded),
        prefix=found.prefix + prefix,
        entry=found.entry,
        others=found.others,
    )


def recognised(path: str | Path, parameters: Mapping[str, int], build: Build) -> str:
    """Which network the weights in a file are those of, heads aside.

    Args:
        path: The file.
        parameters: How many each known network has. Only those with about as many as the file are tried.
        build: Makes a network by its name, and says how others call its layers. No memory is taken for it.

    Returns:
        Its name; empty if none is found.
    """
    public = read_weights(path).tensors
    total = sum(value.numel() for value in public.values()) or 1
    nearest_first = sorted(parameters, key=lambda name: abs(log(parameters[name] / total)))
    for name in nearest_first[:TRIED]:
        with torch.device("meta"):
            network, keys_by_convention = build(name)
        if _are_of(public, network, keys_by_convention):
            return name
    return ""


def _are_of(public: Mapping[str, Tensor], network: nn.Module, keys_by_convention: Mapping[str, Keys]) -> bool:
    """Whether tensors are those of a network, its heads aside: by name all of them, by size nearly all.

    Nearly, because the first layer may be for grey images.
    """
    own = network.state_dict()
    tensors, _, convention = _reading(public, own, keys_by_convention)
    theirs = {_rename(name, keys_by_convention.get(convention, ())): value for name, value in tensors.items()}
    body, needed = (
        {name for name in names if not name.startswith(HEADS) and not _surplus(name, name)}
        for names in (theirs, own)
    )
    same = sum(theirs[name].numel() == own[name].numel() for name in body & needed)
    return body == needed and same >= 0.9 * len(needed)


def _reading(
    public: Mapping[str, Tensor], own: Mapping[str, Tensor], keys_by_convention: Mapping[str, Keys]
) -> tuple[Mapping[str, Tensor], str, str]:
    """The tensors without a prefix, this prefix, and the convention by which most of them find their place.

    Of readings that fit as well, the first: the shortest prefix, the network's own names.
    """
    candidates = {OWN: (), **keys_by_convention}
    best, most = (public, "", OWN), -1
    for prefix in _prefixes(public):
        plain = {name.removeprefix(prefix): value for name, value in public.items()}
        if len(plain) < len(public):
            continue
        for convention, keys in candidates.items():
            if (fitting := _fitting(plain, own, keys)) > most:
                best, most = (plain, prefix, convention), fitting
    return best


def _prefixes(names: Iterable[str]) -> list[str]:
    """What may stand before the names of a network that was a part of another one: nothing, ``model.`` …"""
    found, inside = [""], list(names)
    while inside and len(found) <= DEPTH:
        first, count = Counter(name.partition(".")[0] for name in inside).most_common(1)[0]
        rest = [name.removeprefix(f"{first}.") for name in inside if name.startswith(f"{first}.")]
        if count <= len(inside) / 2 or not rest:
            break
        found.append(f"{found[-1]}{first}.")
        inside = rest
    return found


def _refuse_odd_values(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Raises ``CheckpointError`` for what cannot be weights: whole numbers, NaN, negative variances."""
    for name, value in weights.items():
        if not own[name].is_floating_point():
            continue
        if not value.is_floating_point():
            raise CheckpointError(
                f"{name} holds {str(value.dtype).removeprefix('torch.')} in the file, and weights are real numbers. "
                f"Use the weights as they were before they were quantized."
            )
        if not value.to(own[name].dtype).isfinite().all():
            raise CheckpointError(
                f"{name} holds NaN or infinite values in the file: its training has failed. Use another one."
            )
        if name.endswith("running_var") and (value < 0).any():
            raise CheckpointError(
                f"{name} holds negative numbers in the file, which variances cannot be. Use another one."
            )


def _rename(key: str, keys: Keys) -> str:
    for pattern, replacement in keys:
        key = re.sub(pattern, replacement, key)
    return key


def _without_biases(
    public: Mapping[str, Tensor], names: Mapping[str, str], own: Mapping[str, Tensor]
) -> tuple[Mapping[str, Tensor], list[str]]:
    """The tensors without the biases of convolutions that the network normalizes and has none of, and these names.

    A bias before batch normalization is the mean by so much less: (w · x + b) − μ = w · x − (μ − b).
    """
    theirs_of = {ours: theirs for theirs, ours in names.items()}
    folded = {}
    for ours, theirs in theirs_of.items():
        mean = theirs_of.get(f"{ours.removesuffix('conv.bias')}norm.running_mean", "")
        if ours.endswith(".conv.bias") and ours not in own and mean:
            folded[theirs] = (mean, public[mean] - public[theirs].reshape(public[mean].shape))
    means = dict(folded.values())
    return {name: means.get(name, value) for name, value in public.items() if name not in folded}, [*folded]


def _like(own: Tensor, value: Tensor) -> Tensor:
    """The value, as a dense layer's weight or as a convolution's, whichever the network's own is.

    Files of PyTorch's first years have a list of numbers as a table of one row.
    """
    if value.shape == (1, *own.shape) and own.dim() == 1:
        return value[0]
    dense_and_convolution = sorted((own.dim(), value.dim())) == [2, 4]
    if dense_and_convolution and own.flatten(1).shape == value.flatten(1).shape:
        return value.reshape(own.shape)
    return value


def turn_round(network: nn.Module) -> bool:
    """Turns the first kernels of a network for colours, (out, 3, h, w), from blue, green, red to red, green, blue.

    Exact: an image in one order gives what the same image in the other gave. Sums over colours, for grey images, have
    no order.

    Returns:
        Whether the network takes colours.
    """
    first = next((layer for layer in network.modules() if isinstance(layer, nn.Conv2d)), None)
    if first is None or first.in_channels != COLOURS or first.groups != 1:
        return False
    with torch.no_grad():
        first.weight.copy_(first.weight.flip(1))
    return True


def _for_grey(weights: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """The first convolution's weight (out, 3, h, w) as (out, 1, h, w), if that is what the network has."""
    first = next((name for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d)), "")
    name = f"{first}.weight"
    if not first or name not in weights:
        return {}
    colour, grey = weights[name].shape, network.get_parameter(name).shape
    fits = len(colour) == 4 and colour[1] == 3 and grey == (colour[0], 1, *colour[2:])
    return {name: weights[name].sum(dim=1, keepdim=True)} if fits else {}


def _fitting(public: Mapping[str, Tensor], own: Mapping[str, Tensor], keys: Keys) -> int:
    """How many tensors of a file would find their place under a convention."""
    names = {_rename(theirs, keys): value for theirs, value in public.items()}
    return sum(name in own and value.numel() == own[name].numel() for name, value in names.items())


def _surplus(theirs: str, ours: str) -> bool:
    """Whether a tensor that the network lacks is one that it can do without."""
    return ours.endswith(COUNTERS) or bool(AUXILIARY.match(ours) or AUXILIARY.match(theirs))


def _refuse_unknown(unknown: Mapping[str, str], own: Iterable[str]) -> None:
    if unknown:
        known = sorted(own)
        hints = [
            f"{shortened(theirs)} (nearest: {''.join(get_close_matches(shortened(ours), known, n=1, cutoff=0))})"
            for theirs, ours in list(unknown.items())[:SHOWN]
        ]
        raise OtherNetworkError(
            f"the network lacks {len(unknown)} of its tensors: {listed(hints, SHOWN, count=len(unknown))}. "
            "Are they another network's?"
        )


def _left_out(
    names: Mapping[str, str], own: Iterable[str], cut_off: tuple[str, ...], *, replace_head: bool
) -> list[str]:
    """The tensors, by their names in the file, that the network does without."""
    optional, replaced = (("head.",), cut_off) if replace_head else ((), ())
    return [
        theirs
        for theirs, ours in names.items()
        if ours.startswith(replaced)
        or (ours not in own and (_surplus(theirs, ours) or ours.startswith(optional)))
    ]


def _cut_off(network: nn.Module, names: Iterable[str]) -> tuple[str, ...]:
    """What the names begin with of layers that follow the cut of a cut network, in a file of the whole one; else none.

    They are never the network's, even where one has the name and the size of its own: it reads other maps.
    """
    drawn = str(getattr(network, "drawn", ""))
    if not drawn or any(name.startswith(f"{drawn}.cam.") for name in names):
        return ()
    firsts = {drawn, *(name.partition(".")[0] for name in names)}
    stages = [first for first in firsts if STAGE.fullmatch(first) and int(first[5:]) >= int(drawn[5:])]
    return ("head.", *(f"{stage}." for stage in sorted(stages)))


def _missing(
    weights: Mapping[str, Tensor], own: Iterable[str], *, heads: tuple[str, ...], replace_head: bool
) -> list[str]:
    """The network's tensors that are not in the file and need not be, batch norm's counters aside."""
    absent = [name for name in own if name not in weights and not name.endswith(COUNTERS)]
    optional = heads if replace_head else ("auxiliary.",)
    required = [name for name in absent if not name.startswith(optional)]
    if required:
        lacks = f"lacks {len(required)} of the network's tensors: {listed(required, SHOWN)}."
        if all(name.startswith(heads) for name in required):
            raise CheckpointError(f"{lacks} To train a new head, ask for it with replace_head=True.")
        raise OtherNetworkError(f"{lacks} Are they another network's?")
    return absent


def _of_another_size(
    weights: Mapping[str, Tensor], own: Mapping[str, Tensor], *, replace_head: bool
) -> list[str]:
    """The tensors of the heads' layers in which one has another shape in the file, if they may be replaced."""
    present = [name for name in own if name in weights]  # in the network's order
    misfits = [name for name in present if weights[name].shape != own[name].shape]
    in_heads = [name for name in misfits if name.startswith(HEADS)]
    fatal = [name for name in misfits if name not in in_heads] or ([] if replace_head else in_heads)
    if fatal:
        name = fatal[0]
        remedy = (
            "To train a new head instead, ask for it with replace_head=True."
            if name in in_heads
            else "Build the network as the file has it."
        )
        others = f", and {len(fatal) - 1} more do not fit" if len(fatal) > 1 else ""
        raise (CheckpointError if name in in_heads else OtherNetworkError)(
            f"{name} is {tuple(weights[name].shape)} in the file and {tuple(own[name].shape)} in the "
            f"network{others}. {remedy}"
        )
    layers = {name.rpartition(".")[0] for name in in_heads}
    return [name for name in present if name.rpartition(".")[0] in layers]
