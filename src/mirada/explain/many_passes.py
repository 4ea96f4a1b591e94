"""Asking the network about many changed versions of its images, a few at a time."""

from collections.abc import Callable

import torch
from torch import Tensor

from mirada.explain.class_maps import pick
from mirada.explain.explainable import Explainable

AT_ONCE = 16  # images in one pass: more are not faster on a processor, and memory grows with them


def answers_to(
    explainable: Explainable,
    classes: Tensor,
    versions: int,
    change: Callable[[int], Tensor],
    answer: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """The output of one class in every changed version of N images.

    Args:
        explainable: The network; it hears of the passes.
        classes: The class in each image, (N,), as ``pick`` takes it.
        versions: How many versions there are, V.
        change: The number of a version → that version of all images, (N, C, H, W).
        answer: Versions (V′·N, …) → outputs (V′·N, K); by default those of the network for images.

    Returns:
        (V, N) float32.
    """
    images = len(classes)
    together = max(1, AT_ONCE // images)
    found = []
    explainable.on_passes(0, versions)
    for first in range(0, versions, together):
        numbers = range(first, min(first + together, versions))
        with torch.inference_mode(mode=False), torch.no_grad():
            batch = torch.cat([change(number) for number in numbers])
            outputs = (answer or explainable.answer)(batch).float()
        found.append(pick(outputs, classes.repeat(len(numbers))).reshape(len(numbers), images))
        explainable.on_passes(numbers.stop, versions)
    return torch.cat(found)
