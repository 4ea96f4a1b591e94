"""The one call that explains any network by any method, and what it says beside the maps."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mirada.errors import InvalidArgument
from mirada.explain.class_maps import ClassNumbers, pick
from mirada.explain.explainable import HEAD, IMAGE, Choose, Explainable, Found, Meaning, Method, NoMaps
from mirada.explain.methods import chosen_method, named_method
from mirada.samples import Classes, Numbers, Target

Grid = NDArray[np.float32]
COMPLETE = (
    0.05  # of what is added up: what is missing is more than rounding, or than an integral by 50 points
)
ROUNDING = 1e-6  # of float32, relative: what is smaller is no difference between places


class NotFinite(InvalidArgument):
    """An output is no finite number; ``row`` is the first of the batch that has one."""

    def __init__(self, message: str, row: int) -> None:
        super().__init__(message)
        self.row = row


@dataclass(frozen=True, eq=False)
class Explanation:
    """One map per image, and the outputs that the maps explain.

    Args:
        method: How the maps were found.
        layer: Whose maps they are.
        title: The method, with the layer where it is not the one before the head.
        remark: Why another layer than that was taken, where none was asked for; "" otherwise.
        maps: (N, h, w) float32: on the layer's grid, in the unit that ``method.meaning`` says.
        classes: (N,): the class, or the number of several, that each map is for.
        outputs: (N, K) float32.
        completeness_error: How far maps are from ``method.adds_up_to``; None for a method whose maps need not add up.
        notes: Per image, "" or what keeps its map from being read as it looks.
    """

    method: Method
    layer: str
    title: str
    remark: str
    maps: Grid
    classes: NDArray[np.int64]
    outputs: Grid
    completeness_error: float | None
    notes: tuple[str, ...]


def explain(
    explainable: Explainable,
    images: Tensor,
    classes: ClassNumbers | None = None,
    *,
    target: Target = Classes(),  # noqa: B008 (frozen)
    method: str | None = None,
    layer: str | None = None,
) -> Explanation:
    """The map of one class, or of one number, per image.

    Args:
        explainable: The network, with the covariates of these images if it reads any.
        images: (N, C, H, W), normalised.
        classes: For classes: which one in each image, (N,), by default the predicted one. With one output, class 1 is
            the output itself and class 0 its opposite, and 1 is predicted where it is above 0. For numbers: which of
            them in each image; it may be left out where there is one. The map of a number is shown as it is, whatever
            the sign, before target scaling is undone.
        target: What the network predicts.
        method: A key of ``METHODS``; by default the first of them that network and layer allow.
        layer: The layer whose maps are weighed, such as ``stage3``, or ``image``; by default the part before the head,
            or the last one before it that still has places, or the image for a method that is about nothing else.

    Raises:
        InvalidArgument: An output is not finite, a class number is wrong, there is no such method or layer, the layer
            has no places, or the method cannot be used there.
    """
    if layer is not None:
        explainable.require(layer)
    asked, choose = None if method is None else named_method(method), _choice(classes, target)
    of_image = asked is not None and asked.of_image
    if layer or of_image:
        at, remark = layer or IMAGE, ""
        how = chosen_method(asked, explainable, at)
        found = how.find(explainable, images, at, choose)
    else:
        at, remark, how, found = _found_before_head(explainable, images, asked, choose)
    if layer and found.maps.shape[1:] == (1, 1):
        better, _ = _last_with_places(explainable, images)
        raise InvalidArgument(
            f'The maps of "{layer}" are 1 × 1: they have no places. Did you mean "{better}"?'
        )
    maps = found.maps.cpu().numpy()
    numbers = found.classes.long().cpu().numpy()
    answers = _answers(found.outputs.float(), found.classes)
    return Explanation(
        method=how,
        layer=at,
        title=how.title if of_image or at == explainable.last else f"{how.title} at {at}",
        remark=remark,
        maps=maps,
        classes=numbers - 1 if isinstance(target, Numbers) and found.outputs.shape[1] == 1 else numbers,
        outputs=found.outputs.float().cpu().numpy(),
        completeness_error=found.completeness_error,
        notes=_notes(maps, answers, target, how, found.completeness_error),
    )


def mirrored(explanation: Explanation) -> Explanation:
    """The explanation of mirror images, its maps turned round to lie on the images."""
    return replace(explanation, maps=np.ascontiguousarray(explanation.maps[:, :, ::-1]))


def mean_of(explanations: Sequence[Explanation], target: Target, of: str) -> Explanation:
    """What several passes say of the same images, of the same classes: the mean of their maps and outputs.

    Where each map adds up to its output, their mean adds up to the mean output; the error that is stated is the largest
    of theirs.

    Args:
        explanations: One for each network, or each view, their maps in the same unit; one alone is returned as it is.
        target: What the networks predict.
        of: What the mean is over, in words, for the title.
    """
    first = explanations[0]
    if len(explanations) == 1:
        return first
    maps, outputs = (_mean([getattr(each, name) for each in explanations]) for name in ("maps", "outputs"))
    errors = [each.completeness_error for each in explanations if each.completeness_error is not None]
    alone = outputs.shape[1] == 1
    classes = first.classes + int(alone and isinstance(target, Numbers))  # as ``pick`` takes them
    answers = _answers(torch.from_numpy(outputs), torch.from_numpy(classes))
    return replace(
        first,
        title=f"{first.title}, mean of {of}",
        maps=maps,
        outputs=outputs,
        completeness_error=max(errors, default=None),
        notes=_notes(maps, answers, target, first.method, max(errors, default=None)),
    )


def _mean(values: Sequence[Grid]) -> Grid:
    return np.asarray(np.stack(values).mean(axis=0, dtype=np.float64), dtype=np.float32)


# ---- where -----------------------------------------------------------------------------------


def _found_before_head(
    explainable: Explainable, images: Tensor, method: Method | None, choose: Choose
) -> tuple[str, str, Method, Found]:
    """What is found at the part before the head or, where that has no places, at the last one that has some.

    Returns:
        Where, why there if not before the head, by which method, and what.
    """
    at, remark = explainable.last, ""
    if HEAD in explainable.parts:  # of other modules only a pass can tell in which order the parts run
        with suppress(NoMaps):  # and then no pass is needed to know the sizes of all parts
            how = chosen_method(method, explainable, at)
            found = how.find(explainable, images, at, choose)
            if found.maps.shape[1:] != (1, 1):
                return at, remark, how, found
    at, remark = _last_with_places(explainable, images)
    how = chosen_method(method, explainable, at)
    return at, remark, how, how.find(explainable, images, at, choose)


def _last_with_places(explainable: Explainable, images: Tensor) -> tuple[str, str]:
    """The part before the head, or the last one before it with more than one place; and why, if it is not the first."""
    sizes = explainable.sizes(images)
    parts = explainable.parts if HEAD in explainable.parts else tuple(sizes)  # in the order in which they run
    last = explainable.last if HEAD in parts else parts[-2:][0]
    before = parts[: parts.index(last) + 1]
    with_places = [part for part in before if (sizes.get(part) or (1, 1)) != (1, 1)]
    if not with_places or with_places[-1] == last:
        return last, ""
    what = "its maps are 1 × 1" if sizes.get(last) else "it puts out no maps"
    layer = with_places[-1]
    where = "the image itself" if layer == IMAGE else f"{layer}, the last part that has some"
    return layer, f"{last} keeps no places ({what}), so the maps are those of {where}"


# ---- of what ---------------------------------------------------------------------------------


def _choice(classes: ClassNumbers | None, target: Target) -> Choose:
    """Which class ``pick`` is to take in each image, once the outputs are known; as many classes as images."""

    def chosen(outputs: Tensor) -> Tensor:
        alone = outputs.shape[1] == 1
        given = None if classes is None else torch.as_tensor(classes, device=outputs.device)
        match target:
            case Numbers():
                if given is None and not alone:
                    raise InvalidArgument(
                        f"The network puts out {outputs.shape[1]} numbers: name the one to explain in `classes`."
                    )
                number = torch.zeros(len(outputs), dtype=torch.long) if given is None else given
                return number.to(outputs.device) + int(alone)  # class 1 of one output is the output itself
            case Classes():
                predicted = (outputs[:, 0] > 0).long() if alone else outputs.argmax(dim=1)
                return predicted if given is None else given

    def choose(outputs: Tensor) -> Tensor:
        _require_finite(outputs)
        numbers = chosen(outputs)
        pick(
            outputs, numbers
        )  # refuses them before a method has gone far, or has taken fewer than there are images
        return numbers

    return choose


def _require_finite(outputs: Tensor) -> None:
    bad = torch.nonzero(~outputs.isfinite().all(dim=1)).flatten().tolist()
    if bad:
        raise NotFinite(
            f"{len(bad)} of {len(outputs)} images have outputs that are not finite (first: row {bad[0]} "
            "of the batch), so there is nothing to explain. Look for NaN in the pixels or in the weights.",
            bad[0],
        )


# ---- what is said ----------------------------------------------------------------------------


class _Answer(NamedTuple):
    """What the network answers: whether the class that is explained, its output, and whether that is the only one."""

    explained: bool
    value: float
    alone: bool


def _answers(outputs: Tensor, classes: Tensor) -> list[_Answer]:
    values = pick(outputs, classes)
    alone = outputs.shape[1] == 1
    explained = values > 0 if alone else outputs.argmax(dim=1) == classes
    pairs = zip(explained.tolist(), values.tolist(), strict=True)
    return [_Answer(wins, value, alone) for wins, value in pairs]


def _notes(
    maps: Grid, answers: Sequence[_Answer], target: Target, method: Method, error: float | None
) -> tuple[str, ...]:
    """What is said of each map; and of all, that they do not add up, if they should and do not."""
    size = np.abs(maps).mean() + max(abs(answer.value) for answer in answers)  # of what is added up
    missing = 0 if error is None else float(error / max(size, np.finfo(np.float32).tiny))
    incomplete = (
        f"the maps miss {method.adds_up_to}, to which they should add up, by {missing:.0%} of what is added: not all "
        "that decides is in them"
        if missing > COMPLETE
        else ""
    )
    notes = (_note(grid, answer, target, method) for grid, answer in zip(maps, answers, strict=True))
    return tuple("; ".join(filter(None, (note, incomplete))) for note in notes)


def _note(grid: Grid, answer: _Answer, target: Target, method: Method) -> str:
    """Why a map shows nothing, or nothing for its class, or not what the network answers; "" for a map that does."""
    largest = np.abs(grid).max()
    if largest == 0:
        return "the map is zero everywhere"
    if grid.size == 1:
        return "the map has a single cell: this network keeps no places up to its head"
    if np.ptp(grid) <= ROUNDING * largest:
        return "the map is constant"
    if isinstance(target, Numbers):
        return ""
    shares = method.meaning is Meaning.SHARE  # of no other map is the mean to be compared with the answer
    if shares and (contradiction := _contradiction(float(grid.mean()), ROUNDING * largest, answer)):
        return contradiction
    if grid.max() <= 0:
        return "no positive evidence for this class anywhere"
    return ""


def _contradiction(mean: float, rounding: float, answer: _Answer) -> str:
    """What is said of a map that as a whole speaks against the network's answer; "" of one that does not.

    With several outputs the largest wins, whatever its sign: a map may well speak for a class that is not the answer.
    """
    against = mean < -rounding and answer.explained
    for_ = mean > rounding and not answer.explained and answer.alone
    if not against and not for_:
        return ""
    verdict = "against this class" if against else "for this class"
    answers = "which the network answers all the same" if against else "which is not the network's answer"
    others = "" if answer.alone else " or the other classes' lower outputs,"
    return (
        f"the map as a whole speaks {verdict} ({_signed(mean)}), {answers} ({_signed(answer.value)}): "
        f"what has no place, such as biases,{others} decided"
    )


def _signed(value: float) -> str:
    return f"{value:+.2g}".replace("-", "−")
