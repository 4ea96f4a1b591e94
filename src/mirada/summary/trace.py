"""Two runs of a module on tensors that stand in for its weights and its images: predicting, recorded; training.

The one place where a run is recorded: what asks more of it than its calls, such as where each tensor came from, follows
along (``Follower``) while the tensors are alive.

Weights are neither copied nor read nor written, whatever device they are on: the runs see zeros in their place, or,
if there are many, meta tensors, which have a shape but no values (``torch.func.functional_call``). Afterwards every
attribute of every submodule is what it was.
"""

import re
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from mirada.errors import InvalidArgument
from mirada.summary import kinds
from mirada.summary.geometry import Sights, Spans, tensors
from mirada.summary.memory import Living
from mirada.summary.rules import Shape, without_batch
from mirada.text import times

FEW_VALUES = 30_000_000  # of weights and buffers: 120 MB
FEW_PIXELS = 3 * 256**2
DEVICE_MOVES = (Tensor.to, Tensor.cpu, Tensor.cuda)
TRANSPOSED = (torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d)


@dataclass
class Call:
    """One call of a module: the shapes, with the batch, of what reached it and of what it returned.

    ``output_bytes`` and ``spans`` are what that takes and what it sees of the image. None stands for no tensor, or
    for what has not happened.
    """

    module: nn.Module
    input_shape: Shape | None
    output_shape: Shape | None = None
    output_bytes: int = 0
    spans: Spans | None = None


@dataclass
class Trace:
    """All calls of all modules of a network in order, and the functions that were called outside layers.

    ``names`` holds every module with its first dotted path, ``sights`` what each tensor sees of the image, ``running``
    the calls that have begun and not ended, the innermost last; ``follower`` is told of each step.
    ``predicting_bytes`` is the most that an image and its maps took at one time, ``training_bytes`` in training mode,
    where autograd keeps maps for the backward pass; None if the network does not run in that.
    """

    names: dict[nn.Module, str]
    sights: Sights
    calls: list[Call] = field(default_factory=list)
    functions: Counter[str] = field(default_factory=Counter)
    running: list[Call] = field(default_factory=list)
    predicting_bytes: int = 0
    training_bytes: int | None = None
    follower: "Follower | None" = None

    def enter(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        """A module is about to run."""
        call = Call(module, _first_shape((args, kwargs)))
        self.calls.append(call)
        self.running.append(call)
        if self.follower is not None:
            self.follower.entered(self, (args, kwargs))

    def leave(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> Any:
        """A module has run. What is returned goes on in place of its output."""
        while (call := self.running.pop()).module is not module:
            pass  # it raised, and the network caught that
        if self.follower is not None:
            output = self.follower.left(self, module, (args, kwargs), output)
        if (first := next(tensors(output), None)) is not None:
            call.output_shape = tuple(first.shape)
            call.output_bytes = first.numel() * first.element_size()
            call.spans = self.sights.of(first)
        return output

    def note(self, function: str, args: Any, kwargs: Any, result: Any) -> Any:
        """A function was called; it counts if it returns a tensor outside of a layer. What is returned goes on."""
        if self.follower is not None:
            result = self.follower.called(self, function, (args, kwargs), result)
        name = re.sub(r"^__[ri]?(\w+)__$", r"\1", function).strip("_")
        self.sights.follow(name, args, kwargs, result)
        if _first_shape(result) is None:
            return result
        if self.running and not kinds.is_layer(self.running[-1].module):
            self.functions[name] += 1
        return result

    def unused(self) -> list[nn.Module]:
        """The modules with parameters or buffers of their own that were never called."""
        called = {call.module for call in self.calls}
        return [
            module
            for module in self.names
            if module not in called and (kinds.own_parameters(module) or kinds.own_buffers(module))
        ]


class Follower(Protocol):
    """Who is told of each step of a predicting run; ``given`` are the arguments, those by place and those by name.

    What ``left`` and ``called`` return goes on in place of the output or result.
    """

    def entered(self, run: Trace, given: tuple[Any, Any]) -> None:
        """The last module of ``run.running`` is about to run."""

    def left(self, run: Trace, module: nn.Module, given: tuple[Any, Any], output: Any) -> Any:
        """A module has run, and is no longer among ``run.running``."""

    def called(self, run: Trace, function: str, given: tuple[Any, Any], result: Any) -> Any:
        """A function of PyTorch has been called, under the name that it bears in Python, such as ``__radd__``."""


def trace(network: nn.Module, shape: Shape, follower: Follower | None = None) -> Trace:
    """What happens when ``network`` predicts one image of ``shape``, which is without the batch.

    Args:
        network: Any module; afterwards it is what it was, also where a run fails.
        shape: Of the image, (C, H, W) in pixels.
        follower: Told of each step of the predicting run.

    Returns:
        The calls, and what the image and its maps took.

    Raises:
        InvalidArgument: The forward pass fails; the message names the layer and what reached it.
    """
    record = Trace(_names(network), Sights(shape), follower=follower)
    own = dict([*network.named_parameters(), *network.named_buffers()])
    device = _stand_in(own.values(), shape)
    zeros = {
        name: torch.zeros_like(tensor, device=device).requires_grad_(tensor.requires_grad)
        for name, tensor in own.items()
    }
    types = [tensor.dtype for tensor in zeros.values() if tensor.is_floating_point()]
    images = torch.zeros(2, *shape, dtype=types[0] if types else None, device=device)
    with _untouched(network), torch.random.fork_rng(devices=[]):
        for module in network.modules():
            vars(module).pop("_compiled_call_impl", None)  # what module.compile() has put in the way
            if (inner := kinds.wrapped(module)) is not None:
                vars(module)["forward"] = inner  # neither compiled nor sent to other devices
        _predict(network, zeros, images[:1].clone(), record)
        record.training_bytes = _train(network, zeros, images)
    return record


def _predict(network: nn.Module, zeros: Mapping[str, Tensor], image: Tensor, record: Trace) -> None:
    """Fills the record."""
    _set_training(network, False)
    handles = [
        handle
        for module in record.names
        for handle in (
            module.register_forward_pre_hook(record.enter, with_kwargs=True, prepend=True),
            module.register_forward_hook(record.leave, with_kwargs=True),
        )
    ]
    record.sights.start(image)
    living = Living([image], besides=zeros.values())
    try:
        with torch.no_grad(), living, _OnMeta(record):
            torch.func.functional_call(network, dict(zeros), (image,))
    except Exception as error:
        raise InvalidArgument(_failure(record, tuple(image.shape[1:]), error)) from error
    record.predicting_bytes = living.peak_bytes
    for handle in handles:
        handle.remove()


def _train(network: nn.Module, zeros: Mapping[str, Tensor], images: Tensor) -> int | None:
    """The most that one of the images took: two go through, for batch normalization asks for two."""
    _set_training(network, True)
    living = Living([images], besides=zeros.values())
    try:
        with torch.enable_grad(), living, _OnMeta():
            torch.func.functional_call(network, dict(zeros), (images,))
    except Exception:  # a network may know but one mode, or one image; what it raises then can be anything
        return None
    return living.peak_bytes // len(images)


def _set_training(network: nn.Module, mode: bool) -> None:
    for module in network.modules():
        module.training = mode  # not train(): a network may do more in it than switch the mode


def _stand_in(tensors: Iterable[Tensor], shape: Shape) -> str:
    """Where the run takes place: on zeros where that is quick and small, else on the meta device.

    A convolution or a linear layer on the meta device makes PyTorch import its compiler, which takes longer than
    a small network takes to run.
    """
    values = sum(tensor.numel() for tensor in tensors)
    return "cpu" if values <= FEW_VALUES and prod(shape) <= FEW_PIXELS else "meta"


def _names(network: nn.Module) -> dict[nn.Module, str]:
    names: dict[nn.Module, str] = {}

    def visit(module: nn.Module, name: str) -> None:
        if module not in names:
            names[module] = name
            for child_name, child in kinds.children(module):
                visit(child, f"{name}.{child_name}".removeprefix("."))

    visit(network, "")
    return names


def _failure(record: Trace, shape: Shape, error: Exception) -> str:
    if not record.running:
        return f"{kinds.class_name(next(iter(record.names)))} cannot be run on {times(shape)}: {error}"
    call = record.running[-1]
    name, kind = record.names[call.module], kinds.kind(call.module)
    where = f'"{name}" ({kind})' if name else kind
    shape_in = call.input_shape or ()
    reached = times(without_batch(shape_in)) or "no tensor"
    reason = kinds.misfit(call.module, shape_in) or (str(error).splitlines() or [type(error).__name__])[0]
    return (
        f"{where} cannot take the input that reached it, {reached}: {reason.rstrip('.')}. "
        f"The image was {times(shape)}: pass another `input_shape` or correct the layer."
    )


class _OnMeta(TorchFunctionMode):
    """Lets tensors that are no parameters or buffers meet meta tensors; tells ``record``, if any, of functions."""

    def __init__(self, record: Trace | None = None) -> None:
        super().__init__()
        self.record = record

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        given = args, kwargs or {}
        result = _call(func, *given)
        return result if self.record is None else self.record.note(func.__name__, *given, result)


def _call(func: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    if any(tensor.is_meta for tensor in tensors((args, kwargs))):
        args, kwargs = _to_meta(args), _to_meta(kwargs)
        if func in DEVICE_MOVES:
            return _change_type(args[0], [*args[1:], *kwargs.values()])
        if func is F.batch_norm and _fits_batch_norm(*tensors((args, kwargs))):
            if not torch.is_grad_enabled():
                return torch.empty_like(args[0])
            return _BatchNorm.apply(args[0], kwargs["weight"], kwargs["bias"])  # type: ignore[no-untyped-call]
    if func in TRANSPOSED:
        _require_channels(*tensors((args, kwargs)))
    return func(*args, **kwargs)


class _BatchNorm(torch.autograd.Function):
    """Batch normalization as far as shapes go: on the meta device PyTorch's own is 20 small operations in Python.

    Like that it keeps for the backward pass its input, its weights, and a mean and a deviation per channel.
    """

    @staticmethod
    def forward(context: Any, maps: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
        context.save_for_backward(maps, weight, maps.new_empty(2, maps.shape[1]))
        return torch.empty_like(maps)


def _fits_batch_norm(maps: Tensor, *per_channel: Tensor) -> bool:
    """If not, PyTorch's own says why."""
    return maps.ndim > 1 and all(tensor.shape == maps.shape[1:2] for tensor in per_channel)


def _to_meta(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value if value.is_meta else torch.empty_like(value, device="meta")
    if type(value) in (list, tuple):
        return type(value)(map(_to_meta, value))
    if type(value) is dict:
        return {key: _to_meta(item) for key, item in value.items()}
    return value


def _change_type(tensor: Tensor, arguments: Iterable[Any]) -> Tensor:
    """What a move to another device leaves to do: a meta tensor has no values to move."""
    for argument in arguments:
        if isinstance(argument, torch.dtype):
            return tensor.to(argument)
        if isinstance(argument, Tensor):
            return tensor.to(argument.dtype)
    return tensor


def _require_channels(maps: Tensor, weight: Tensor, *_: Tensor) -> None:
    """The check that transposed convolutions make on every device but meta (torch 2.13)."""
    channels, expected = maps.shape[1 - weight.ndim], weight.shape[0]
    if channels != expected:
        raise RuntimeError(f"it expects {expected} channels and got {channels}")


def _first_shape(value: Any) -> Shape | None:
    tensor = next(tensors(value), None)
    return None if tensor is None else tuple(tensor.shape)


@contextmanager
def _untouched(network: nn.Module) -> Iterator[None]:
    """Afterwards all modules have the attributes they had, and these, where lists or dicts, the contents.

    That covers modes and hooks, and what a forward pass keeps for later, which would be meta tensors here.
    """
    before = [(vars(module), dict(vars(module))) for module in network.modules()]
    contents = [
        (value, value.copy())
        for _, attributes in before
        for value in attributes.values()
        if type(value) in (dict, OrderedDict, list)
    ]
    try:
        yield
    finally:
        for current, saved in [*before, *contents]:
            current.clear()
            current.extend(saved) if isinstance(current, list) else current.update(saved)
