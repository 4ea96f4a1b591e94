"""A network opened at its layers, and what a method of explanation is.

The only place where explanations register hooks; whatever is touched is restored.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from threading import get_ident
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mirada.errors import InvalidArgument
from mirada.layers.modes import evaluating
from mirada.layers.network import Network

HEAD = "head"  # what makes outputs of the last maps, where a network says so
IMAGE = "image"  # the layer before all others, whose maps are the channels of the image


class NoMaps(InvalidArgument):
    """A layer that is to be explained by a map puts out none."""


@dataclass(frozen=True, eq=False)
class Explainable:
    """A network for one batch of images that can be read at any of its layers.

    Any module will do whose children run one after the other, such as the networks of ``create_model`` (``stem``,
    ``stage1`` …, ``head``) or torchvision's.

    Args:
        network: Images (N, C, H, W) → outputs (N, K); and covariates, for one that reads them.
        covariates: What the network reads beside the images, (N, K′), scaled; None for images alone.
        on_passes: Hears how many of how many passes are done, first of none, from methods that take many.
    """

    network: nn.Module
    covariates: Tensor | None = None
    on_passes: Callable[[int, int], None] = lambda _done, _total: None

    @property
    def parts(self) -> tuple[str, ...]:
        """The layers that hold all others: the image, then the network's children, or those of its only child.

        They are in the order in which they run, for a network of ``create_model``; of another module in the order in
        which it defines them.
        """
        inside, before = self.network, ""
        while len(children := dict(inside.named_children())) == 1 and HEAD not in children:
            ((name, only),) = children.items()
            if not any(only.children()):
                break
            before, inside = f"{before}{name}.", only
        return (IMAGE, *(f"{before}{name}" for name in children if name != "auxiliary"))

    @property
    def last(self) -> str:
        """The part whose maps enter the head; for a network without a ``head``, the last but one."""
        parts = self.parts
        return parts[parts.index(HEAD) - 1 if HEAD in parts else -2]

    def require(self, layer: str) -> None:
        """Refuses a name that is no layer's.

        Raises:
            InvalidArgument: There is none of this name; the nearest is named.
        """
        if layer in self.parts:  # as it is nearly always; a walk through all layers takes time
            return
        names = [IMAGE, *(name for name, _ in self.network.named_modules() if name)]
        if layer not in names:
            close = get_close_matches(layer, names, n=1, cutoff=0.4)
            hint = f'Did you mean "{close[0]}"? ' if close else ""
            raise InvalidArgument(
                f'There is no layer "{layer}". {hint}The parts are {", ".join(self.parts)}, and the layers in them can '
                "be named as well, such as stage1.0."
            )

    def sizes(self, images: Tensor) -> dict[str, tuple[int, int] | None]:
        """The (h, w) of what each part puts out for images (N, C, H, W), as they run; None for what are no maps."""
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
            NoMaps: The layer puts out no maps.
            InvalidArgument: The images are no batch, there is no such layer, or it does not run.
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
                raise NoMaps(
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

    def answer(self, images: Tensor) -> Tensor:
        """The outputs in eval mode, (V·N, K), for V versions of the N images, (V·N, C, H, W), one after the other."""
        with torch.inference_mode(mode=False), torch.no_grad(), _opened(self.network, [], _unseen):
            return self._run(images, self._beside(len(images)))

    def answer_from(self, layer: str, maps: Tensor, images: Tensor) -> Tensor:
        """The outputs in eval mode, (V·N, K), if a layer had put out other maps.

        Of a network of ``create_model`` only what comes after the layer is run, where that is one of its parts.

        Args:
            layer: Whose maps.
            maps: V versions of them for the N images, (V·N, C, h, w), one after the other.
            images: The N images that the network is shown, (N, C, H, W).
        """
        network, beside = self.network, self._beside(len(maps))
        hooked = [] if isinstance(network, Network) and layer in network.parts() else [layer]
        with (
            torch.inference_mode(mode=False),
            torch.no_grad(),
            _opened(network, hooked, lambda _name, _output: maps.clone()),
        ):
            if isinstance(network, Network) and not hooked:
                return network.forward_from(layer, maps, beside)
            return self._run(images.repeat(len(maps) // len(images), 1, 1, 1), beside)

    def _beside(self, count: int) -> Tensor | None:
        """The covariates for ``count`` images, which are whole batches of these."""
        return None if self.covariates is None else self.covariates.repeat(count // len(self.covariates), 1)

    def _run(self, images: Tensor, covariates: Tensor | None) -> Tensor:
        outputs: Tensor = self.network(images) if covariates is None else self.network(images, covariates)
        return outputs


def _unseen(_name: str, _output: object) -> None:
    """What sees nothing, where no layer is looked at."""


@contextmanager
def entering_head(network: Network) -> Iterator[list[Tensor]]:
    """Collects the averages of the maps that enter the head, (N, C) float32 on the CPU, for each batch that runs.

    The network is left as it was. Passes of other threads are let alone.

    Args:
        network: What enters its head, or the layer that it names as ``reading``, is (N, C, h, w), or (N, C).

    Yields:
        The batches so far, in the order in which they ran.
    """
    thread, found = get_ident(), list[Tensor]()

    def keep(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if get_ident() == thread:
            maps = inputs[0].detach().float()
            found.append((maps.flatten(2).mean(dim=2) if maps.ndim > 2 else maps).cpu())

    hook = network.get_submodule(network.reading).register_forward_pre_hook(keep)
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

    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    hooks = []
    with evaluating(network):
        try:
            hooks += [network.get_submodule(name).register_forward_hook(hook_of(name)) for name in layers]
            for parameter in learning:
                parameter.requires_grad = False
            yield
        finally:
            for hook in hooks:
                hook.remove()
            for parameter in learning:
                parameter.requires_grad = True


# ---- methods ---------------------------------------------------------------------------------

Choose = Callable[
    [Tensor], Tensor
]  # outputs (N, K) → the class to explain in each image (N,), as ``pick`` takes it


class Meaning(Enum):
    """What a value of a map says."""

    SHARE = "a share of the output, in its unit: the mean of the map is compared with the output"
    EFFECT = "by how much the output changes, in its unit; the mean of the map is not compared with it"
    SLOPE = "how steeply the output changes there, in its unit per standard deviation of a pixel"
    RELATIVE = "a weight without unit, to be compared with others of the same map alone"

    def unit(self, output: str) -> str:
        """That of the map, in words, of an output in this unit."""
        match self:
            case Meaning.SHARE | Meaning.EFFECT:
                return output
            case Meaning.SLOPE:
                return f"{output} per deviation of a pixel".lstrip()
            case Meaning.RELATIVE:
                return "relative, no unit"


class Found(NamedTuple):
    """What a method finds: maps (N, h, w) float32, and the outputs (N, K) that they explain.

    ``classes`` (N,) are those that the maps are for. ``completeness_error`` is the largest difference between what the
    means of the maps should add up to, ``Method.adds_up_to``, and what they do; None where they need not.
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
        source: Where it was published.
        find: (network, images (N, C, H, W), layer, which class) → the maps of that layer.
        meaning: What a value of its maps says, and so their unit.
        adds_up_to: What the mean of every map is, in words that go on "adds up to"; "" where it need not be anything.
        signed: Whether it tells what raises the output from what lowers it; if not, no value is below 0.
        of_image: Whether its maps are always those of the image itself.
        refusal: (network, layer) → why it cannot be used there, in a sentence; "" where it can.
    """

    key: str
    title: str
    source: str
    find: Callable[[Explainable, Tensor, str, Choose], Found]
    meaning: Meaning = Meaning.SHARE
    adds_up_to: str = ""
    signed: bool = True
    of_image: bool = False
    refusal: Callable[[Explainable, str], str] = lambda _network, _layer: ""


def weighs_a_layer(title: str) -> Callable[[Explainable, str], str]:
    """The refusal of a method, by its title, that weighs the maps of a layer: not those of the image."""
    return lambda _network, layer: (
        f"{title} weighs the maps of a layer, and the image has none yet. Use hires_cam, or name a later layer."
        if layer == IMAGE
        else ""
    )


def reads_the_image(title: str) -> Callable[[Explainable, str], str]:
    """The refusal of a method, by its title, whose maps are those of the image: of any other layer."""
    return lambda _network, layer: (
        ""
        if layer == IMAGE
        else f"{title} is about the image itself, not about {layer}. Leave the layer out."
    )
