"""What a picture puts together: the parts of a stage, and units that follow each other and are alike."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby, takewhile

from mirada.diagram.flow import Flow, Stage
from mirada.diagram.parts import Fork, LayerBox, Part, Series, StageFrame, Step, Tangle, Unit, boxes_of, steps
from mirada.summary.rules import Shape

WORTHWHILE = 3  # boxes that a repetition must save; fewer are drawn one by one


def parts(flow: Flow) -> Series:
    """The parts of a network from top to bottom: stages in frames, what repeats as one unit."""
    series = steps(flow.nodes)
    per_stage = Counter(box.node.stage for part in series for box in boxes_of(part))
    return _folded(_framed(series, flow.stages, per_stage), "")


def _framed(series: Series, stages: Mapping[int, Stage], per_stage: Mapping[int, int]) -> Series:
    """Puts a frame around parts that follow each other and are all that a stage has."""
    framed: list[Part] = []
    for stage, run in groupby(series, _stage):
        found = list(run)
        if stage and sum(1 for part in found for _ in boxes_of(part)) == per_stage[stage]:
            framed.append(StageFrame(stages[stage], tuple(found)))
            continue
        for part in found:
            if isinstance(part, Step | Fork):
                branches = tuple(_framed(branch, stages, per_stage) for branch in part.branches)
                part = replace(part, branches=branches)
            framed.append(part)
    return tuple(framed)


def _stage(part: Part) -> int:
    """The stage of all boxes of a part; 0 where they have several or none."""
    stages = {box.node.stage for box in boxes_of(part)}
    return stages.pop() if len(stages) == 1 else 0


def _folded(series: Series, owner: str | None) -> Series:
    """Draws units that follow each other and are alike as one.

    Joined branches right below ``owner``, the path of a stage, get the names of their modules; None is for none.
    """
    inner = [_folded_inside(part) for part in series]
    structures = [_structure_of(part) for part in inner]
    folded: list[Part] = []
    start = 0
    while start < len(inner):
        period, count = _repetition(inner[start:], structures[start:])
        end = start + period * count
        unit = _unit(inner[start:end], count, owner)
        named = unit.name and not isinstance(unit.series[0], StageFrame)  # a frame says its name itself
        folded += [unit] if count > 1 or named else unit.series
        start = end
    return tuple(folded)


def _unit(run: Sequence[Part], count: int, owner: str | None) -> Unit:
    """The first of ``count`` units in a row stands for all of them."""
    period = len(run) // count
    units = run[:period], run[-period:]
    names = dict.fromkeys(_name(unit, owner) for unit in units)
    first, last = (_exit_shape(unit[-1]) for unit in units)
    growth = (last[1] - first[1]) // (count - 1) if count > 1 and _grows(first, last) else 0
    return Unit(tuple(units[0]), " … ".join(names), count, growth, last)


def _folded_inside(part: Part) -> Part:
    if isinstance(part, StageFrame):
        return StageFrame(part.stage, _folded(part.series, part.stage.name))
    if isinstance(part, Step | Fork):
        return replace(part, branches=tuple(_folded(branch, None) for branch in part.branches))
    return part


def _repetition(series: Sequence[Part], structures: Sequence[object]) -> tuple[int, int]:
    """How many parts the unit at the beginning has, and how often it comes, so that most boxes are saved."""
    best, saved = (1, 1), WORTHWHILE - 1
    for period in range(1, len(series) // 2 + 1):
        if structures[period] != structures[0]:
            continue
        starts = range(0, len(series) - period + 1, period)
        count = _alike(series[start : start + period] for start in starts)
        saves = (count - 1) * sum(1 for part in series[:period] for _ in boxes_of(part))
        if saves > saved:
            best, saved = (period, count), saves
    return best


def _alike(units: Iterable[Sequence[Part]]) -> int:
    """How many units, from the first on, are equal, or each have the same number of maps more than the last."""
    count, change = 0, None
    before: Sequence[Part] = ()
    for unit in units:
        if count:
            if _structure(unit) != _structure(before):
                break
            step = [new - old for old, new in zip(_numbers(before), _numbers(unit), strict=True)]
            if change is not None and step != change:
                break
            if any(step) and not _grows(_exit_shape(before[-1]), _exit_shape(unit[-1])):
                break
            change = step
        before = unit
        count += 1
    return 1 if count == 2 and change and any(change) else count  # two different ones are no progression


def _grows(before: Shape, after: Shape) -> bool:
    return len(after) > 1 and before[1] != after[1] and (before[0], *before[2:]) == (after[0], *after[2:])


def _structure(series: Iterable[Part]) -> tuple[object, ...]:
    """What units have in common that differ at most in their numbers."""
    return tuple(_structure_of(part) for part in series)


def _structure_of(part: Part) -> object:
    if isinstance(part, Step):
        return _said(part.box), tuple(map(_structure, part.branches))
    if isinstance(part, Fork):
        return tuple(map(_structure, part.branches))
    if isinstance(part, Tangle):
        order = [part.source, *part.boxes, part.sink]
        return [(_said(box), [order.index(b) for b in box.inputs if b in order]) for box in order[1:]]
    if isinstance(part, Unit):
        return part.count, part.growth, _structure(part.series)
    return re.sub(r"\.\d+$", "", part.stage.name), _structure(part.series)


def _said(box: LayerBox) -> tuple[object, ...]:
    return tuple(box.before), box.node.text, tuple(box.after), [len(shape) for shape in _shapes(box)]


def _numbers(series: Iterable[Part]) -> list[int]:
    """All sizes and numbers of parameters."""
    boxes = [box for part in series for box in boxes_of(part)]
    sizes = [side for box in boxes for shape in _shapes(box) for side in shape]
    return [*sizes, *(box.node.parameters for box in boxes)]


def _shapes(box: LayerBox) -> list[Shape]:
    return [*(source.shape for source in box.inputs), box.shape]


def _exit_shape(part: Part) -> Shape:
    return part.shape if isinstance(part, Unit) else list(boxes_of(part))[-1].shape


def _name(series: Sequence[Part], owner: str | None) -> str:
    """The name of the module that has all the branches, if it lies in ``owner`` and is not just a number."""
    first = series[0]
    if isinstance(first, StageFrame):
        return first.stage.name
    if owner is None or not (isinstance(first, Step) and first.branches):
        return ""
    paths = [box.node.path.split(".") for part in series for box in boxes_of(part)]
    common = [keys[0] for keys in takewhile(lambda keys: len(set(keys)) == 1, zip(*paths, strict=False))]
    outside = len(owner.split(".")) if owner else 0
    return common[-1] if len(common) > outside and not common[-1].isdigit() else ""
