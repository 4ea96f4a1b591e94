"""What became of the tensors of one run: which layer or function made each of them, and of which others."""

from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from mirada.diagram import words
from mirada.diagram.words import Joint, Role
from mirada.summary import kinds
from mirada.summary.geometry import CONSTANT, tensors
from mirada.summary.ledger import followed
from mirada.summary.rules import Shape
from mirada.summary.table import Summary
from mirada.summary.trace import Trace


@dataclass(frozen=True, eq=False)
class Node:
    """A layer that ran, or a function that was called outside of layers; the image and the outputs are nodes too.

    ``path`` is the dotted name of the layer, or of the module that called the function. ``shape`` is that of the
    result, with the batch. A ``light`` node, such as ReLU, needs no box of its own if it has one input and keeps its
    shape. ``stage`` is a key of the flow's stages, 0 for none.
    """

    path: str
    role: Role
    text: str
    joint: Joint | None
    shape: Shape
    inputs: tuple["Node", ...] = ()
    light: bool = False
    layer: bool = False
    stage: int = 0
    parameters: int = 0


@dataclass(frozen=True)
class Stage:
    """One call of a module right below the network, and the shape of what it returned, with the batch."""

    name: str
    shape: Shape


@dataclass(frozen=True)
class Flow:
    """The nodes of a run in order, the image first and the outputs last, each behind all of its inputs."""

    nodes: tuple[Node, ...]
    stages: dict[int, Stage]


def record(network: nn.Module, input_shape: Sequence[int] | None) -> tuple[Flow, Summary]:
    """Runs ``network`` once, as ``summarize`` does, and tells where its tensors went.

    Where the run does things to tensors that cannot be followed, so that nothing leads from the image to the
    outputs, the layers form a chain in the order in which they ran.

    Raises ``InvalidArgument`` as ``summarize`` does.
    """
    follower = _TensorFlow()
    summary = followed(network, input_shape, follower)
    return follower.flow(), summary


class _TensorFlow:
    """Follows tensors by identity through a run: through layers, and between layers through the functions called."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.stages: dict[int, Stage] = {}
        self.stage = 0
        self.made_by: MutableMapping[Tensor, Node] = WeakIdKeyDictionary()

    def entered(self, run: Trace, given: tuple[Any, Any]) -> None:
        """The network begins with the image, a module right below it a stage."""
        module = run.running[-1].module
        if not self.nodes:
            images = list(tensors(given))
            shape = tuple(images[0].shape) if images else ()
            self._add(Node("", Role.TERMINAL, "image" if len(shape) == 4 else "input", None, shape), images)
        elif len(run.running) == 2 and not kinds.is_layer(module):
            self.stage = len(self.stages) + 1
            self.stages[self.stage] = Stage(run.names[module], ())

    def left(self, run: Trace, module: nn.Module, given: tuple[Any, Any], output: Any) -> Any:
        """What a module returned; in the case of dropout a tensor of its own."""
        output = _alias(output, given[0]) if isinstance(module, kinds.DROPOUTS) else output
        outputs = list(tensors(output))
        if kinds.is_layer(module) and not _in_layer(run):
            self._note_layer(run.names[module], module, self._sources(given), outputs)
        if len(run.running) == 1 and self.stage:
            if outputs:
                self.stages[self.stage] = Stage(run.names[module], tuple(outputs[0].shape))
            self.stage = 0
        if not run.running:
            shape = tuple(outputs[0].shape) if outputs else ()
            sources = self._sources(outputs)
            said = "outputs" if len(sources) > 1 else "output"
            self._add(Node("", Role.TERMINAL, said, None, shape, sources), [])
        return output

    def called(self, run: Trace, function: str, given: tuple[Any, Any], result: Any) -> Any:
        """What a function returned; in the case of dropout a tensor of its own."""
        if not run.running or _in_layer(run):
            return result
        args, _ = given
        sources = self._sources(given)
        name = function.strip("_")
        if "dropout" in name:
            result = _alias(result, args)
        outputs = list(tensors(args[:1] if result is None else result))
        if function.endswith("_"):  # in place: what it is a view of has changed too
            outputs += [tensor._base for tensor in outputs if tensor._base is not None]
        if sources and outputs and name not in CONSTANT:
            self._note_function(run, name, given, sources, outputs)
        return result

    def flow(self) -> Flow:
        """What was recorded, without what does not lead from the image to the outputs."""
        start, end = self.nodes[0], self.nodes[-1]
        after = {start}
        for node in self.nodes:
            if any(source in after for source in node.inputs):
                after.add(node)
        if end not in after:
            return Flow(tuple(_chain(self.nodes)), self.stages)
        before = {end}
        for node in reversed(self.nodes):
            if node in before:
                before.update(node.inputs)
        return Flow(tuple(node for node in self.nodes if node in after and node in before), self.stages)

    def _note_layer(
        self, path: str, module: nn.Module, sources: tuple[Node, ...], outputs: Sequence[Tensor]
    ) -> None:
        if isinstance(module, words.UNSEEN_LAYERS) and sources:
            self._mark(outputs, sources[0])
        elif outputs:
            said = words.of_layer(module)
            parameters = sum(parameter.numel() for parameter in module.parameters())
            light = said.role is Role.OTHER and (
                not parameters or kinds.family(module) in ("activations", "normalisation")
            )
            node = Node(
                path,
                *said,
                tuple(outputs[0].shape),
                sources,
                light,
                True,
                self.stage,
                parameters,
            )
            self._add(node, outputs)

    def _note_function(
        self,
        run: Trace,
        name: str,
        given: tuple[Any, Any],
        sources: tuple[Node, ...],
        outputs: Sequence[Tensor],
    ) -> None:
        args, kwargs = given
        alone = len(sources) == 1 and (name in words.CONCATENATIONS or name == "stack")
        whole = name in words.SLICES and outputs[0].numel() >= next(tensors(args)).numel()
        if name in words.UNSEEN or alone or whole:
            self._mark(outputs, sources[0])
            return
        module, shape = run.running[-1].module, tuple(outputs[0].shape)
        operand = self._operand(module, args) if len(sources) == 1 else ""
        said = words.of_function(name, sources[0].shape, shape, operand=operand, window=_window(args, kwargs))
        light = said.role is Role.OTHER and name not in words.WEIGHTY
        self._add(Node(run.names[module], *said, shape, sources, light, stage=self.stage), outputs)

    def _operand(self, module: nn.Module, args: Sequence[Any]) -> str:
        """What a function of two arguments takes besides the tensor that is followed: a number or a parameter."""
        others = [value for value in args if not (isinstance(value, Tensor) and value in self.made_by)]
        if len(args) != 2 or len(others) != 1:
            return ""
        other = others[0]
        if isinstance(other, Tensor):
            own = module.named_parameters(recurse=False)
            return next((name for name, parameter in own if parameter is other), "constant")
        return f"{other:g}".replace("-", "−") if type(other) in (int, float) else ""

    def _sources(self, value: Any) -> tuple[Node, ...]:
        """The nodes that made the tensors in ``value``, each once, in order."""
        found = (self.made_by.get(tensor) for tensor in tensors(value))
        return tuple(dict.fromkeys(node for node in found if node is not None))

    def _add(self, node: Node, outputs: Iterable[Tensor]) -> None:
        self.nodes.append(node)
        self._mark(outputs, node)

    def _mark(self, outputs: Iterable[Tensor], node: Node) -> None:
        for tensor in outputs:
            self.made_by[tensor] = node


def _in_layer(run: Trace) -> bool:
    return any(kinds.is_layer(call.module) for call in run.running)


def _chain(nodes: Sequence[Node]) -> Iterator[Node]:
    """The image, the layers and the outputs, each with the one before as its input."""
    before: tuple[Node, ...] = ()
    for node in nodes:
        if node.layer or node.role is Role.TERMINAL:
            linked = replace(node, inputs=before)
            yield linked
            before = (linked,)


def _window(args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
    """Kernel and stride, if the arguments are those of a pooling."""
    kernel, stride = (
        kwargs.get(key, args[place] if len(args) > place else None)
        for place, key in enumerate(("kernel_size", "stride"), start=1)
    )
    sizes = (int, list, tuple)
    if not isinstance(kernel, sizes):
        return ()
    return kernel, stride if isinstance(stride, sizes) and stride else kernel


def _alias(result: Any, args: Sequence[Any]) -> Any:
    """What dropout returns when it predicts is its input itself, which others may use too: a tensor to tell apart."""
    handed_on = isinstance(result, Tensor) and any(result is value for value in args)
    return result.view_as(result) if handed_on else result
