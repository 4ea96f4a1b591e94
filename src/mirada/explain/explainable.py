"""A network opened at its layers, and what a method of explanation is.

The only place where explanations register hooks; whatever is touched is restored.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from threading import get_ident
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mirada.errors import InvalidArgument
from mirada.layers.modes import evaluating

IMAGE = "image"  # the layer before all others, whose maps are the channels of the image


@dataclass(frozen=True, eq=False)
class Explainable:
    """A network for one batch of images that can be read at any of its layers.

    Any module will do whose children run one after the other, such as the networks of ``create_model`` (``stem``,
    ``stage1`` …, ``head``) or torchvision's.

    Args:
        network: Images (N, C, H, W) → outputs (N, K); and covariates, for one that reads them.
        covariates: What the network reads beside the images, (N, K′), scaled; None for images alone.
    """

    network: nn.Module
    covariates: Tensor | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """The layers that hold all others, in the order in which they run: the image, then the network's children."""
        return (IMAGE, *(name for name, _ in self.network.named_children() if name != "auxiliary"))

    @property
    def last(self) -> str:
        """The part whose maps enter the head; for a network without a ``head``, the last but one."""
        parts = self.parts
        return parts[parts.index("head") - 1 if "head" in parts else -2]

    def require(self, layer: str) -> None:
        """Refuses a name that is no layer's.

        Raises:
            InvalidArgument: There is none of this name; the nearest is named.
        """
        names = [IMAGE, *(name for name, _ in self.network.named_modules() if name)]
        if layer not in names:
            close = get_close_matches(layer, names, n=1, cutoff=0.4)
            hint = f'Did you mean "{close[0]}"? ' if close else ""
            raise InvalidArgument(
                f'There is no layer "{layer}". {hint}The parts are {", ".join(self.parts)}, and the layers in them can '
                "be named as well, such as stage1.0."
            )

    def sizes(self, images: Tensor) -> dict[str, tuple[int, int] | None]:
        """The (h, w) of what each part puts out for images (N, C, H, W); None for what are no maps."""
        sizes: dict[str, tuple[int, int] | None] = {IMAGE: (images.shape[2], images.shape[3])}

        def measure(name: str, output: Any) -> None:
            maps = isinstance(output, Tensor) and output.ndim == 4
            sizes[name] = (output.shape[2], output.shape[3]) if maps else None

        with _opened(self.network, [name for name in self.parts if name != IMAGE], measure), torch.no_grad():
            self._run(images[:1], None if self.covariates is None else self.covariates[:1])
        return sizes

    def read(self, images: Tensor, layer: str, *, gradient: bool = False) -> tuple[Tensor, Tensor]:
        """One forward pass in eval mode: the maps of a layer, (N, C, h, w), and the outputs, (N, K).

        The maps are as the layer made them, even where the next one works in place; of a layer that runs several
        times they are the last. With ``gradient`` the outputs hang on the maps, and on nothing else: no weight gets
        a gradient, and the caller may be inside ``torch.no_grad`` or ``torch.inference_mode``.

        Raises:
            InvalidArgument: The images are no batch, there is no such layer, it does not run, or puts out no maps.
        """
        if images.ndim != 4 or len(images) == 0 or not images.is_floating_point():
            raise InvalidArgument(
                "`images` must be a normalised batch of floating-point numbers, (N, C, H, W) with N ≥ 1. "
                f"Got {images.dtype} of shape {tuple(images.shape)}."
            )
        self.require(layer)
        kept: list[Tensor] = []

        def keep(_: str, output: Any) -> Tensor:
            if not isinstance(output, Tensor) or output.ndim != 4:
                what = f"shape {tuple(output.shape)}" if isinstance(output, Tensor) else type(output).__name__
                raise InvalidArgument(
                    f'"{layer}" cannot be explained by a map: what it puts out must be maps, (N, C, h, w). Got {what}, '
                    f"which has no places. Name another layer, such as {self.last}."
                )
            kept.append(output.detach().clone().requires_grad_(gradient))
            return kept[-1].clone()  # the next layer may work in place, which a leaf does not allow

        hooked = [] if layer == IMAGE else [layer]
        with (
            torch.inference_mode(mode=False),
            torch.set_grad_enabled(gradient),
            _opened(self.network, hooked, keep),
        ):
            entering = keep(IMAGE, images) if layer == IMAGE else images
            outputs = self._run(entering, self.covariates)
        if not kept:
            raise InvalidArgument(f'"{layer}" does not run when the network answers. Name another layer.')
        return kept[-1], outputs

    def _run(self, images: Tensor, covariates: Tensor | None) -> Tensor:
        outputs: Tensor = self.network(images) if covariates is None else self.network(images, covariates)
        return outputs


@contextmanager
def entering_head(network: nn.Module) -> Iterator[list[Tensor]]:
    """Collects the averages of the maps that enter the head, (N, C) float32 on the CPU, for each batch that runs.

    The network is left as it was. Passes of other threads are let alone.

    Args:
        network: One with a ``head``; what enters it is (N, C, h, w), or (N, C).

    Yields:
        The batches so far, in the order in which they ran.
    """
    thread, found = get_ident(), list[Tensor]()

    def keep(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if get_ident() == thread:
            maps = inputs[0].detach().float()
            found.append((maps.flatten(2).mean(dim=2) if maps.ndim > 2 else maps).cpu())

    hook = network.get_submodule("head").register_forward_pre_hook(keep)
    try:
        yield found
    finally:
        hook.remove()


@contextmanager
def _opened(
    network: nn.Module, layers: list[str], see: Callable[[str, Any], Tensor | None]
) -> Iterator[None]:
    """The network in eval mode, its weights without gradient; ``see`` gets what the layers put out, and may replace it.

    Afterwards modes, ``requires_grad`` flags and hooks are as before. Passes of other threads are let alone.
    """
    thread = get_ident()

    def hook_of(name: str) -> Callable[[nn.Module, Any, Any], Any]:
        return lambda _module, _inputs, output: see(name, output) if get_ident() == thread else None

    flags = [(parameter, parameter.requires_grad) for parameter in network.parameters()]
    hooks = []
    with evaluating(network):
        try:
            hooks += [network.get_submodule(name).register_forward_hook(hook_of(name)) for name in layers]
            network.requires_grad_(requires_grad=False)
            yield
        finally:
            for hook in hooks:
                hook.remove()
            for parameter, requires_grad in flags:
                parameter.requires_grad = requires_grad


# ---- methods ---------------------------------------------------------------------------------

Choose = Callable[
    [Tensor], Tensor
]  # outputs (N, K) → the class to explain in each image (N,), as ``pick`` takes it


class Found(NamedTuple):
    """What a method finds: signed maps (N, h, w) float32 in the output's unit, and the outputs (N, K) they explain.

    ``completeness_error`` is the largest |mean(map) + bias − output|, None where maps need not add up.
    """

    maps: Tensor
    outputs: Tensor
    classes: Tensor
    completeness_error: float | None


@dataclass(frozen=True)
class Method:
    """A way to explain an output by a map.

    Args:
        key: Its name on the command line.
        title: Its name in a caption.
        adds_up: Whether the mean of every map, with a bias, is the output.
        source: Where it was published.
        find: (network, images (N, C, H, W), layer, which class) → the maps of that layer.
        refusal: (network, layer) → why it cannot be used there, in a sentence; "" where it can.
    """

    key: str
    title: str
    adds_up: bool
    source: str
    find: Callable[[Explainable, Tensor, str, Choose], Found]
    refusal: Callable[[Explainable, str], str] = lambda _network, _layer: ""
