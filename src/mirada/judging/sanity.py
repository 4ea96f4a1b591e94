"""Whether maps hang on what the network has learnt: weights are drawn again, and the maps have to change.

Adebayo, Gilmer, Muelly, Goodfellow, Hardt & Kim 2018, "Sanity Checks for Saliency Maps", arXiv:1810.03292.
"""

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mirada.judging.similarity import correlations
from mirada.judging.subject import Grid
from mirada.judging.verdict import LimitTest, Verdict, mean_of_images

APART = 1_000_003  # added to the seed: the draw is not the one that training began with
ALIKE = 0.5  # |rank correlation| from which two maps are alike


def _test(test: str, what: str, measure: str) -> LimitTest:
    rule = (
        f"{what}, and the maps of the same images and classes are compared by the absolute value of Spearman's rank "
        "correlation. Pass: its mean over images lies below 0.5 with its whole 95 % interval, and p < 0.05: the maps "
        "change with what was learnt. Fail: the interval begins at or above 0.5: the maps are much the same without "
        "it. Cannot tell: otherwise, with fewer than 10 images, or if the maps are constant."
    )
    return LimitTest(
        test=test, rule=rule, statistic="mean |rank correlation|", measure=measure, limit=ALIKE, above=False
    )


PARAMETERS = _test(
    "Parameter randomisation",
    "All layers are drawn again, from the last to the first",
    "|ρ|, weights drawn again",
)
LABELS = _test(
    "Label randomisation", "A network of the same kind is trained on permuted labels", "|ρ|, labels permuted"
)


class Redrawn(NamedTuple):
    """A copy of a network with fresh weights in some parts.

    ``part`` is the last one that was drawn again, ``cascading`` whether all parts behind it were as well.
    """

    part: str
    cascading: bool
    network: nn.Module


@dataclass(frozen=True, eq=False)
class AfterDrawing:
    """The maps of N images after some parts of the network were drawn again; ``part`` and ``cascading`` as above."""

    part: str
    cascading: bool
    maps: Sequence[Grid]


def redrawn(network: nn.Module, seed: int = 0) -> Iterator[Redrawn]:
    """Copies of a network whose parts are drawn again: each alone, then from the last part to the first, adding up.

    A part is a child of the network that has weights. Layers draw as they do when they are made; weights of layers
    that cannot are shuffled. The network itself stays as it is, and so does PyTorch's generator.

    Args:
        network: It takes images (N, C, H, W).
        seed: Draws the weights.

    Source: Adebayo et al. 2018, arXiv:1810.03292, §4.1 (cascading), §4.2 (independent).
    """
    parts = [name for name, part in network.named_children() if any(True for _ in part.parameters())][::-1]
    for part in parts:
        copy = deepcopy(network)
        _draw(copy.get_submodule(part), seed)
        yield Redrawn(part, False, copy)
    copy = deepcopy(network)
    for part in parts:
        _draw(copy.get_submodule(part), seed)
        yield Redrawn(part, True, deepcopy(copy))


def parameter_randomisation(
    maps: Sequence[Grid], after: Sequence[AfterDrawing], *, groups: NDArray[Any] | None = None, seed: int = 0
) -> Verdict:
    """Whether maps change when the weights of the network are drawn again.

    Pass: the mean |rank correlation| between the maps and those of the network whose parts are all drawn again lies
    below 0.5 with its whole 95 % interval, and p < 0.05. Fail: the interval begins at or above 0.5. Cannot tell:
    otherwise, with fewer than 10 images, or if maps are constant.

    Args:
        maps: Those of the trained network, (h, w) for each of N images.
        after: Those of each step of ``redrawn``, for the same classes.
        groups: A group per image, such as the patient; None where images are independent.
        seed: Draws the resamples.
    """
    steps = {(each.part, each.cascading): np.abs(correlations(maps, each.maps)) for each in after}
    last = [values for (_, cascading), values in steps.items() if cascading][-1]
    quantities = [
        mean_of_images(_named(part, cascading), values, groups=groups, seed=seed)
        for (part, cascading), values in steps.items()
    ]
    return PARAMETERS.judge(last, quantities, groups=groups, seed=seed)


def label_randomisation(
    maps: Sequence[Grid], of_permuted: Sequence[Grid], *, groups: NDArray[Any] | None = None, seed: int = 0
) -> Verdict:
    """Whether maps differ from those of a network of the same kind that was trained on permuted labels.

    Pass: the mean |rank correlation| lies below 0.5 with its whole 95 % interval, and p < 0.05. Fail: the interval
    begins at or above 0.5. Cannot tell: otherwise, with fewer than 10 images, or if maps are constant.

    Args:
        maps: Those of the network, (h, w) for each of N images.
        of_permuted: Those of the network that had no true labels to learn, for the same images and classes.
        groups: A group per image, such as the patient; None where images are independent.
        seed: Draws the resamples.

    Source: Adebayo et al. 2018, arXiv:1810.03292, §5.
    """
    values = np.abs(correlations(maps, of_permuted))
    shown = [mean_of_images("labels permuted", values, groups=groups, seed=seed)]
    return LABELS.judge(values, shown, groups=groups, seed=seed)


def maps_after(
    network: nn.Module, maps_of: Callable[[nn.Module], Sequence[Grid]], seed: int = 0
) -> Iterator[AfterDrawing]:
    """The maps of every step of ``redrawn``.

    Args:
        network: It takes images (N, C, H, W).
        maps_of: A network like it → the maps of the N images.
        seed: Draws the weights.
    """
    for step in redrawn(network, seed):
        yield AfterDrawing(step.part, step.cascading, maps_of(step.network))


def _draw(part: nn.Module, seed: int) -> None:
    """Fresh weights and statistics for all layers of a part."""
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices), torch.no_grad():
        torch.manual_seed(APART + seed)
        for module in part.modules():
            draw = getattr(module, "reset_parameters", None)
            if draw is not None:
                draw()
                continue
            for weights in module.parameters(recurse=False):
                order = torch.randperm(weights.numel()).to(weights.device)
                weights.copy_(weights.flatten()[order].reshape(weights.shape))


def _named(part: str, cascading: bool) -> str:
    return f"{part} and all behind it" if cascading else f"{part} alone"
