"""What a network takes in memory: its weights, and the maps that are alive at once when it predicts or trains.

All sizes are in bytes. What kernels take for themselves while they run is not in them.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import finalize

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from mirada.summary.geometry import tensors

HEADER_ALIGNMENT = 8  # of a safetensors file
TYPES = {torch.bfloat16: "BF16", torch.bool: "BOOL"}  # in that file; others are a letter and their bits


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes of a network and of one image that goes through it.

    ``parameters``, ``trainable`` of them, and ``buffers``; ``maps`` is the most that the image and its maps take at
    one time when it is predicted, ``training_maps`` when it goes forward in training, where most maps are kept for the
    backward pass (None if the network does not run in training mode). ``file`` is the size of a safetensors file of
    the weights.
    """

    parameters: int
    trainable: int
    buffers: int
    maps: int
    training_maps: int | None
    file: int

    def predicting(self, batch_size: int) -> int:
        """Parameters, buffers, and at the peak the maps of ``batch_size`` images."""
        return self.parameters + self.buffers + self.maps * batch_size

    def training(self, batch_size: int, moments: int = 1) -> int | None:
        """A step of an optimizer that keeps ``moments`` numbers per weight: one for SGD with momentum, two for Adam.

        Parameters, buffers, a gradient and the moments per weight, and the maps. The gradients of the maps, each of
        which is alive for a moment when the maps behind it have gone, are left out.
        """
        if self.training_maps is None:
            return None
        return self.weights_in_training(moments) + self.training_maps * batch_size

    def weights_in_training(self, moments: int = 1) -> int:
        """Parameters and buffers, and a gradient and the moments of every number that trains."""
        return self.parameters + self.buffers + (1 + moments) * self.trainable


class Living(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Watches how many bytes of tensors are alive between the operations that run inside.

    ``tensors`` are alive from the start; those ``besides`` them are not counted. Tensors of any shape.
    """

    def __init__(self, start: Iterable[Tensor], *, besides: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = self.peak_bytes = 0
        self._known = {_storage(tensor) for tensor in besides}
        for tensor in start:
            self._meet(tensor)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """The answer of the base class makes PyTorch import its compiler, which takes a second."""
        return False

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tensors(result):
            self._meet(tensor)
        return result

    def _meet(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return
        self._known.add(key)
        self.bytes += size
        self.peak_bytes = max(self.peak_bytes, self.bytes)
        finalize(storage, self._part, key, size)

    def _part(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.bytes -= size


def file_bytes(weights: Mapping[str, object]) -> int:
    """The size of a safetensors file of ``weights`` without metadata: 8, the header, and the values.

    Source: the format's description, github.com/huggingface/safetensors.
    """
    own = {name: weight for name, weight in weights.items() if isinstance(weight, Tensor)}
    header, end = {}, 0
    for name, weight in sorted(own.items(), key=lambda item: (-item[1].element_size(), item[0])):
        begin, end = end, end + weight.numel() * weight.element_size()
        shape = list(weight.shape)
        header[name] = {"dtype": _type(weight.dtype), "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    return 8 + -(-len(text) // HEADER_ALIGNMENT) * HEADER_ALIGNMENT + end


def _storage(tensor: Tensor) -> int:
    key: int = tensor.untyped_storage()._cdata
    return key


def _type(dtype: torch.dtype) -> str:
    letter = "F" if dtype.is_floating_point else "I" if dtype.is_signed else "U"
    return TYPES.get(dtype, f"{letter}{8 * dtype.itemsize}")
