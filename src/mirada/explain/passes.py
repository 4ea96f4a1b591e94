"""One forward and one backward pass with everything kept: what every layer and every function between layers puts out,
and how much the answer would change with each of those numbers.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from mirada.errors import InvalidArgument
from mirada.explain.class_maps import pick
from mirada.explain.explainable import IMAGE
from mirada.layers.modes import evaluating

COVARIATES = "covariates"
# Functions that take what the layer takes, in the same order.
FUNCTIONS_OF_LAYERS: Mapping[str, Callable[..., nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "max_pool2d": nn.MaxPool2d,
    "avg_pool2d": nn.AvgPool2d,
    "adaptive_avg_pool2d": nn.AdaptiveAvgPool2d,
    "local_response_norm": nn.LocalResponseNorm,
}


@dataclass(frozen=True, eq=False)
class PassStep:
    """What one layer, or one function between layers, did to one image.

    Args:
        name: The dotted path of the layer, or of the module that called the function; ``image`` and ``covariates`` for
            what enters the network.
        module: The layer; of a function that a layer stands for, such as ``max_pool2d``, that layer; else None.
        function: Its name, such as ``cat``; "" for a layer and for what enters.
        inputs: The numbers of the steps whose results it took, in order.
        number: Which of its results this is, where a function returns several.
        operand: What a function of two arguments took beside the one result: a number, or a tensor.
        values: The result, (1, C, h, w) or (1, F), detached.
        gradient: Of the answer by each of the values, in the same shape; zeros where it does not depend on them.
    """

    name: str
    module: nn.Module | None
    function: str
    inputs: tuple[int, ...]
    number: int
    operand: float | Tensor | None
    values: Tensor
    gradient: Tensor


def open_passes(network: nn.Module, image: Tensor, covariates: Tensor | None, output: int) -> list[PassStep]:
    """All steps from the image to the outputs in the order in which they run, in eval mode, in float32.

    Layers that work in place do so on a copy. Dropout, which hands its input on, is no step. The network is left as it
    was found. Weights get no gradient.

    Args:
        network: Images (N, C, H, W) → outputs (N, K).
        image: One normalized image, (1, C, H, W).
        covariates: What the network reads beside it, (1, K′), scaled; None for one that reads images alone.
        output: Whose gradient, as ``pick`` takes it: of a network with one output 1 is the output and 0 its opposite.

    Returns:
        The steps; the last one is what the network puts out.

    Raises:
        InvalidArgument: There is not one image, or nothing can be followed from the image to the outputs.
    """
    if image.ndim != 4 or len(image) != 1:
        raise InvalidArgument(f"One normalized image, (1, C, H, W), is opened. Got {tuple(image.shape)}.")
    recorder = _Recorder(network)
    with torch.inference_mode(mode=False), torch.enable_grad(), _without_learning(network), recorder.hooked():
        entering = [recorder.enter(IMAGE, image)]
        if covariates is not None:
            entering.append(recorder.enter(COVARIATES, covariates))
        with recorder:
            outputs = network(*entering)
        if id(outputs) not in recorder.made_by:
            raise InvalidArgument("What the network puts out could not be followed back to the image.")
        answer = pick(outputs, [output]).sum()
        found = torch.autograd.grad(answer, recorder.results, allow_unused=True)
    steps = [
        replace(step, gradient=torch.zeros_like(step.values) if gradient is None else gradient.detach())
        for step, gradient in zip(recorder.steps, found, strict=True)
    ]
    return _up_to(steps, recorder.made_by[id(outputs)])


def _up_to(steps: list[PassStep], last: int) -> list[PassStep]:
    """Only what leads to the outputs, with numbers that count these."""
    wanted = {last}
    for number in range(last, -1, -1):
        if number in wanted:
            wanted.update(steps[number].inputs)
    order = {number: place for place, number in enumerate(sorted(wanted))}
    return [
        replace(steps[number], inputs=tuple(order[each] for each in steps[number].inputs)) for number in order
    ]


class _Recorder(TorchFunctionMode):
    """Notes every layer without children, and every function that is called outside of one."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.steps: list[PassStep] = []
        self.results: list[Tensor] = []  # those of the steps, on which later ones hang
        self.made_by: dict[int, int] = {}  # the step by the id of its result
        self.alive: list[Tensor] = []  # an id is that of one tensor as long as it lives
        self.within: list[str] = []  # the modules that are running, the innermost last
        self.layers = 0  # how many of them are layers
        self.noting = False  # what is done in order to note something is no step

    def enter(self, name: str, values: Tensor) -> Tensor:
        """What the network is given, as the first step."""
        leaf = values.detach().float().clone().requires_grad_()
        return self._note(PassStep(name, None, "", (), 0, None, leaf, leaf), leaf)

    @contextmanager
    def hooked(self) -> Iterator[None]:
        """Hooks on all modules, removed afterwards."""
        hooks = []
        try:
            for name, module in self.network.named_modules():
                layer = next(module.children(), None) is None
                hooks.append(module.register_forward_pre_hook(self._enterer(name, layer)))
                hooks.append(module.register_forward_hook(self._leaver(name, layer)))
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _enterer(self, name: str, layer: bool) -> Any:
        def enter(_module: nn.Module, _inputs: Any) -> None:
            self.within.append(name)
            self.layers += layer

        return enter

    def _leaver(self, name: str, layer: bool) -> Any:
        def leave(module: nn.Module, inputs: Any, output: Any) -> Any:
            self.within.pop()
            self.layers -= layer
            sources = self._sources(inputs)
            if not layer or not sources or not isinstance(output, Tensor) or not output.requires_grad:
                return None
            handed_on = any(output is each for each in inputs) and not getattr(module, "inplace", False)
            if handed_on:
                return None
            return self._note(PassStep(name, module, "", sources, 0, None, output, output), output)

        return leave

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if self.layers or self.noting or not self.within:
            return result
        sources = self._sources((args, kwargs))
        results = result if isinstance(result, tuple | list) else (result,)
        if not sources or not all(isinstance(each, Tensor) and each.requires_grad for each in results):
            return result
        function = re.sub(r"^__[ri]?(\w+)__$", r"\1", func.__name__)
        in_place = function.endswith("_")
        if len(results) == 1 and not in_place and any(results[0] is each for each in args):
            return result
        shared = PassStep(
            self.within[-1],
            _as_layer(function.strip("_"), args, kwargs or {}),
            function.strip("_"),
            sources,
            0,
            self._operand(args),
            results[0],
            results[0],
        )
        noted = tuple(
            self._note(replace(shared, number=number, values=each), each)
            for number, each in enumerate(results)
        )
        return noted if isinstance(result, tuple | list) else noted[0]

    def _note(self, step: PassStep, output: Tensor) -> Tensor:
        """Keeps a result; what goes on is a copy, since what comes next may work in place."""
        self.noting = True
        kept = output.clone()
        handed = kept.clone()
        self.steps.append(replace(step, values=kept.detach()))
        self.noting = False
        self.results.append(kept)
        self.made_by[id(handed)] = len(self.steps) - 1
        self.alive.append(handed)
        return handed

    def _sources(self, given: Any) -> tuple[int, ...]:
        """The steps that made the tensors in what is given, in order, as often as they are there."""
        if isinstance(given, Tensor):
            return (self.made_by[id(given)],) if id(given) in self.made_by else ()
        if isinstance(given, dict):
            given = tuple(given.values())
        if isinstance(given, tuple | list):
            return tuple(number for each in given for number in self._sources(each))
        return ()

    def _operand(self, args: Any) -> float | Tensor | None:
        others = [each for each in args if not (isinstance(each, Tensor) and id(each) in self.made_by)]
        if len(args) != 2 or len(others) != 1:
            return None
        (other,) = others
        if isinstance(other, Tensor):
            return other.detach()
        return float(other) if isinstance(other, int | float) else None


def _as_layer(function: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> nn.Module | None:
    """The layer that does what a function does with these arguments, the first of which it is given."""
    if function in FUNCTIONS_OF_LAYERS and "input" not in kwargs:
        return FUNCTIONS_OF_LAYERS[function](*args[1:], **kwargs)
    if function == "mean" and args and isinstance(args[0], Tensor) and args[0].ndim == 4:
        axes = kwargs.get("dim", args[1] if len(args) > 1 else ())
        if isinstance(axes, tuple | list) and {axis % 4 for axis in axes} == {2, 3}:
            return nn.AdaptiveAvgPool2d(1)
    return None


@contextmanager
def _without_learning(network: nn.Module) -> Iterator[None]:
    """The network in eval mode, its weights without gradient; afterwards all is as before."""
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    with evaluating(network):
        try:
            for parameter in learning:
                parameter.requires_grad = False
            yield
        finally:
            for parameter in learning:
                parameter.requires_grad = True
