"""Reading a network from inside and leaving it as it was found. The only place where hooks are registered."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from mirada.errors import InvalidArgument, nearest


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Eval mode inside the block; afterwards all modes and ``requires_grad`` flags are as before."""
    modes = [(module, module.training) for module in network.modules()]
    flags = [(parameter, parameter.requires_grad) for parameter in network.parameters()]
    try:
        network.eval()
        yield
    finally:
        for module, training in modes:
            module.training = training  # not train(): that would overwrite the children's own modes
        for parameter, requires_grad in flags:
            parameter.requires_grad = requires_grad


@contextmanager
def capture(network: nn.Module, names: Iterable[str]) -> Iterator[dict[str, Tensor]]:
    """The outputs of the submodules called ``names``, filled in while the network runs inside the block.

    Names are those of ``network.named_modules()``, such as ``stage1.0.conv``. What is kept is the output as
    the submodule made it, even where the next one works in place, and gradients flow through it. A submodule
    that runs several times leaves its last output. Inside the block the network is in eval mode; modes, hooks
    and ``requires_grad`` flags are restored at its end.

    Raises ``InvalidArgument`` for an unknown name and, while the network runs, for an output that is not one
    tensor.
    """
    known = {name: module for name, module in network.named_modules() if name}
    chosen = list(names)
    for name in chosen:
        if name not in known:
            raise InvalidArgument(
                f'{type(network).__name__} has no submodule called "{name}". {nearest(name, known)}'
            )
    outputs: dict[str, Tensor] = {}
    with evaluating(network), ExitStack() as hooks:
        for name in chosen:
            hooks.enter_context(known[name].register_forward_hook(_keep(outputs, name)))
        yield outputs


def _keep(outputs: dict[str, Tensor], name: str) -> Callable[[nn.Module, Any, Any], Tensor]:
    def hook(module: nn.Module, inputs: Any, output: Any) -> Tensor:
        if not isinstance(output, Tensor):
            raise InvalidArgument(
                f'The output of "{name}" cannot be captured: it must be one tensor. '
                f"{type(module).__name__} returned a {type(output).__name__}."
            )
        outputs[name] = output
        return output.clone()  # an in-place ReLU that follows changes the copy, not what was kept

    return hook


def features_and_outputs(network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """The maps that enter the head, (N, C, h, w), and the outputs, (N, K): one forward pass in eval mode.

    ``images`` is (N, C, H, W), normalised. No gradient is recorded.

    Raises ``InvalidArgument`` if the network has no ``head`` or ``features``, if the images are no batch, or
    if the features have no grid.
    """
    owner = type(network).__name__
    features_of = getattr(network, "features", None)
    if not callable(features_of) or not isinstance(getattr(network, "head", None), nn.Module):
        raise InvalidArgument(
            f"{owner} cannot be explained: it must have a child `head` and a method `features`. "
            "Networks from mirada.create_model have both."
        )
    if images.ndim != 4 or len(images) == 0 or not images.is_floating_point():
        raise InvalidArgument(
            "`images` must be a normalised batch of floating-point numbers, (N, C, H, W) with N ≥ 1. "
            f"Got {images.dtype} of shape {tuple(images.shape)}."
        )
    with evaluating(network), torch.no_grad():
        features: Tensor = features_of(images)
        if features.ndim != 4:
            raise InvalidArgument(
                f"{owner} cannot be explained by a map: its features must be maps, (N, C, h, w). "
                f"Got shape {tuple(features.shape)}, which has no places."
            )
        outputs: Tensor = network.get_submodule("head")(features.clone())  # some heads work in place
    return features, outputs
