"""A network's first convolution from another network's file, as BoNet takes OverFeat's."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from mirada.errors import CheckpointError, RecipeError
from mirada.files import sha256_of
from mirada.layers.network import Network
from mirada.models.weight_files import read_public

COLOURS = 3


@dataclass(frozen=True)
class FirstLayerOrigin:
    """Where a first layer comes from: the file, its digest, the tensor; and whether its colours were summed."""

    file: str
    sha256: str
    tensor: str
    summed: bool

    def __str__(self) -> str:
        how = ", summed over red, green and blue, for grey images" if self.summed else ""
        return f"{self.file}: {self.tensor} is the first layer{how}."


def load_first_layer(network: Network, path: str | Path) -> FirstLayerOrigin:
    """Copies the first convolution of a ``.pth`` or ``.safetensors`` file into that of a network.

    It is the only tensor in the file that has the shape of the network's, whatever its name, and its bias. For grey
    images the kernels for colour are summed, which makes of a grey image what they made of it in three equal channels.

    Raises ``CheckpointError`` if the file cannot be read or does not have exactly one such tensor, ``RecipeError`` if
    the network does not begin with a convolution.
    """
    file = Path(path)
    tensors = read_public(file)
    layer = next((part for part in network.modules() if isinstance(part, nn.Conv2d)), None)
    if layer is None:
        raise RecipeError("first_layer: this network does not begin with a convolution. Leave it out.")
    name = _only_one(file, tensors, tuple(layer.weight.shape))
    weight, bias = tensors[name], tensors.get(f"{name.removesuffix('weight')}bias")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise CheckpointError(
            f"{file}: the bias of {name} is {tuple(bias.shape)}, and its {len(weight)} maps need as many numbers."
        )
    if not weight.isfinite().all() or (bias is not None and not bias.isfinite().all()):
        raise CheckpointError(
            f"{file}: {name} or its bias holds numbers that are not finite. Use another copy."
        )
    summed = weight.shape[1] != layer.in_channels
    with torch.no_grad():
        layer.weight.copy_(weight.sum(dim=1, keepdim=True) if summed else weight)
        if layer.bias is not None:
            layer.bias.copy_(torch.zeros_like(layer.bias) if bias is None else bias)
    return FirstLayerOrigin(file.name, sha256_of(file), name, summed)


def _only_one(file: Path, tensors: dict[str, Tensor], wanted: tuple[int, ...]) -> str:
    """The name of the tensor that has the shape (maps, channels, h, w), or has it for colour if that is for grey."""
    maps, channels, *kernel = wanted
    fitting = {wanted} | ({(maps, COLOURS, *kernel)} if channels == 1 else set())
    names = [name for name, value in tensors.items() if tuple(value.shape) in fitting]
    if len(names) == 1:
        return names[0]
    if names:
        raise CheckpointError(
            f"{file}: {names[0]} and {names[1]} could both be the first layer. Save one alone."
        )
    first = [name for name, value in tensors.items() if value.dim() == 4 and value.shape[1] in (1, COLOURS)]
    found = (
        f"{first[0]} is {tuple(tensors[first[0]].shape)}" if first else "no convolution of images is in it"
    )
    raise CheckpointError(f"{file}: has no first layer of {wanted}, which the network needs; {found}.")
