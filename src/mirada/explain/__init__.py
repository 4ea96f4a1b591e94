"""Where a network looks: exact class maps where the head allows them, Grad-CAM elsewhere."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mirada.errors import InvalidArgument, nearest
from mirada.explain.capture import features_and_outputs
from mirada.explain.class_maps import Classes, gap_linear
from mirada.explain.class_maps import class_maps as maps_of_all_classes
from mirada.explain.grad_cam import weigh_by_gradient

Task = Literal["classification", "regression"]

EXACT = "class activation map (exact)"
GRADIENT = "Grad-CAM"


@dataclass(frozen=True, eq=False)
class Explanation:
    """One map per image, and the outputs that the maps explain.

    ``maps`` (N, h, w) float32: signed, on the native grid, in the unit of the network's output. ``classes``
    (N,): the class that each map is for. ``outputs`` (N, K) float32. ``receipt``: how far exact maps are from
    adding up to the outputs; None for Grad-CAM, which does not add up. ``notes``: per image, "" or why its
    map shows nothing.
    """

    method: str
    maps: NDArray[np.float32]
    classes: NDArray[np.int64]
    outputs: NDArray[np.float32]
    receipt: float | None
    notes: tuple[str, ...]


def explain(
    network: nn.Module, images: Tensor, classes: Classes | None = None, *, task: Task = "classification"
) -> Explanation:
    """The map of one class per image: of the predicted class unless ``classes`` names others.

    ``images`` is (N, C, H, W), normalised. Class numbers follow the rule of ``class_maps.pick``: with one
    output, class 1 is the output itself and class 0 its opposite. The predicted class is the one with the
    largest output; with one output it is 1 if that is above 0. A regression has one output and shows its map
    as it is, class 1, whatever the sign. Maps are in the unit of the output, before target scaling is undone.

    Raises ``InvalidArgument`` if an output is not finite, a class number is wrong, or the network or the
    images cannot be explained.
    """
    if task not in get_args(Task):
        raise InvalidArgument(f'There is no task called "{task}". {nearest(task, get_args(Task))}')
    map_of: Callable[[Classes], Tensor]
    receipt: float | None
    if gap_linear(network) is not None:
        exact = maps_of_all_classes(network, images)
        method, outputs, receipt, map_of = EXACT, exact.outputs, exact.receipt, exact.of
    else:
        features, outputs = features_and_outputs(network, images)
        method, receipt, map_of = GRADIENT, None, partial(weigh_by_gradient, network, features)
    _require_finite(outputs)
    chosen = _predicted(outputs, task) if classes is None else torch.as_tensor(classes)
    maps = map_of(chosen).cpu().numpy()
    return Explanation(
        method=method,
        maps=maps,
        classes=chosen.long().cpu().numpy(),
        outputs=outputs.float().cpu().numpy(),
        receipt=receipt,
        notes=tuple(_note(grid, task) for grid in maps),
    )


def _predicted(outputs: Tensor, task: Task) -> Tensor:
    if outputs.shape[1] > 1:
        if task == "regression":
            raise InvalidArgument(
                f"A regression has one output. Got {outputs.shape[1]}: name the one to explain in `classes`."
            )
        return outputs.argmax(dim=1)
    return (
        torch.ones_like(outputs[:, 0], dtype=torch.long)
        if task == "regression"
        else (outputs[:, 0] > 0).long()
    )


def _require_finite(outputs: Tensor) -> None:
    bad = torch.nonzero(~outputs.isfinite().all(dim=1)).flatten().tolist()
    if bad:
        raise InvalidArgument(
            f"{len(bad)} of {len(outputs)} images have outputs that are not finite (first: row {bad[0]} "
            "of the batch), so there is nothing to explain. Look for NaN in the pixels or in the weights."
        )


def _note(grid: NDArray[np.float32], task: Task) -> str:
    """Why a map shows nothing, or nothing for its class; "" for a map that does."""
    largest = np.abs(grid).max()
    if largest == 0:
        return "the map is zero everywhere"
    if grid.size == 1:
        return "the map has a single cell: this network keeps no places up to its head"
    if np.ptp(grid) <= 1e-6 * largest:  # rounding of float32, not a difference between places
        return "the map is constant"
    if task == "classification" and grid.max() <= 0:
        return "no positive evidence for this class anywhere"
    return ""
