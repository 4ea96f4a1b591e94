"""From the flow of a run to the parts of a picture: boxes, one after the other or in branches that join."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

from mirada.diagram.flow import Node, Stage
from mirada.diagram.words import Joint, Role
from mirada.summary.rules import Shape


@dataclass(eq=False)
class LayerBox:
    """A node with the light ones that go with it: what normalizes and rectifies its input or its output."""

    node: Node
    shape: Shape
    inputs: list["LayerBox"]
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)

    @property
    def light(self) -> bool:
        """Whether it is a light node that stands alone."""
        return self.node.light and len(self.inputs) == 1 and prod(self.shape) == prod(self.inputs[0].shape)


@dataclass(frozen=True)
class Step:
    """A box. With branches, which lead to it from the step before, it joins them; one without parts is a skip."""

    box: LayerBox
    branches: tuple["Series", ...] = ()


@dataclass(frozen=True)
class Fork:
    """The end of a branch that splits once more; all of its own branches lead to what the outer one leads to."""

    branches: tuple["Series", ...]


@dataclass(frozen=True)
class Tangle:
    """Boxes whose connections are no nested branches, in running order, between ``source`` and ``sink``."""

    source: LayerBox
    boxes: tuple[LayerBox, ...]
    sink: LayerBox


@dataclass(frozen=True)
class Unit:
    """Parts that belong together: their name, and how many such units follow each other.

    Each puts out ``growth`` maps more than the one before it; ``shape`` is what the last one puts out.
    """

    series: "Series"
    name: str
    count: int = 1
    growth: int = 0
    shape: Shape = ()


@dataclass(frozen=True)
class StageFrame:
    """All parts of a stage."""

    stage: Stage
    series: "Series"


Part = Step | Fork | Tangle | Unit | StageFrame
Series = tuple[Part, ...]


def steps(nodes: Sequence[Node]) -> Series:
    """The steps of a network from top to bottom; the first and the last are the image and the outputs."""
    source, *others = boxes = _boxes(nodes)
    after: dict[LayerBox, list[LayerBox]] = defaultdict(list)
    for box in boxes:
        for before in box.inputs:
            after[before].append(box)
    return (Step(source), *_series(source, others, after[source], after))


def boxes_of(part: Part) -> Iterator[LayerBox]:
    """All boxes of a part, those of branches before the one that joins them."""
    if isinstance(part, Step | Fork):
        for branch in part.branches:
            for inner in branch:
                yield from boxes_of(inner)
    if isinstance(part, Step):
        yield part.box
    elif isinstance(part, Tangle):
        yield from part.boxes
    elif isinstance(part, Unit | StageFrame):
        for inner in part.series:
            yield from boxes_of(inner)


# Boxes ----------------------------------------------------------------------------------------------------------


def _boxes(nodes: Sequence[Node]) -> list[LayerBox]:
    """One box per node, but light ones go with the box before them, or else with the box behind them."""
    inputs = _inputs(nodes)
    uses = Counter(source for sources in inputs.values() for source in sources)
    host: dict[Node, LayerBox] = {}
    boxes: list[LayerBox] = []
    for node in nodes:
        box = LayerBox(node, node.shape, list(dict.fromkeys(host[source] for source in inputs[node])))
        if box.light and uses[inputs[node][0]] == 1 and _belong(box.inputs[0], node):
            box.inputs[0].after.append(node.text)
            box = box.inputs[0]
            box.shape = node.shape
        else:
            boxes.append(box)
        host[node] = box
    return _forwarded(boxes)


def _inputs(nodes: Sequence[Node]) -> dict[Node, tuple[Node, ...]]:
    """The nodes that each takes in, of those given.

    A concatenation that begins with all that an earlier one has takes that one's result instead. So a dense
    block that keeps a list of its maps (Huang et al. 2016, eq. 2) is drawn as what it computes, step by step.
    """
    inputs: dict[Node, tuple[Node, ...]] = {}
    joined: dict[Node, tuple[Node, ...]] = {}  # concatenations and all that they have
    for node in nodes:
        sources = tuple(source for source in node.inputs if source in inputs)
        inputs[node] = sources
        if node.joint is Joint.CONCATENATION:
            for earlier, had in reversed(joined.items()):
                rest = sources[len(had) :]
                if rest and sources[: len(had)] == had and _adds_up(node, earlier, rest):
                    inputs[node] = (earlier, *rest)
                    break
            joined[node] = sources
    return inputs


def _adds_up(whole: Node, first: Node, rest: Sequence[Node]) -> bool:
    """Whether the shapes are those of a concatenation of ``first`` and ``rest`` along one axis."""
    if any(len(node.shape) != len(whole.shape) for node in (first, *rest)):
        return False
    sides = zip(whole.shape, first.shape, *(node.shape for node in rest), strict=True)
    other = [each for each in sides if len(set(each)) > 1]
    return len(other) == 1 and other[0][0] == sum(other[0][1:])


def _belong(box: LayerBox, light: Node) -> bool:
    """Whether a light node may be part of the box before it: not across stages, nor out of a block that joins."""
    if box.node.role is Role.TERMINAL or box.node.stage != light.stage:
        return False
    caller = light.path.rpartition(".")[0] if light.layer else light.path
    return len(box.inputs) < 2 or caller == box.node.path


def _forwarded(boxes: Sequence[LayerBox]) -> list[LayerBox]:
    """Light boxes that stand alone, such as a normalization before a convolution, go with the box behind them."""
    uses = Counter(source for box in boxes for source in box.inputs)
    kept: list[LayerBox] = []
    for box in boxes:
        before = box.inputs[0] if len(box.inputs) == 1 else None
        same = (
            before is not None and before.node.stage == box.node.stage and box.node.role is not Role.TERMINAL
        )
        if before and same and before.light and not box.light and uses[before] == 1:
            box.before = [before.node.text, *before.after]
            box.inputs = before.inputs
            kept.remove(before)
        kept.append(box)
    return kept


# Branches -------------------------------------------------------------------------------------------------------


def _series(
    source: LayerBox,
    boxes: Sequence[LayerBox],
    first: Collection[LayerBox],
    after: Mapping[LayerBox, Sequence[LayerBox]],
) -> tuple[Step, ...]:
    """Steps from ``source``, which leads to ``first``, to the last of the boxes, which are in running order.

    A step is a box that all paths pass. In running order it is one that no connection passes by.
    """
    place = {box: number for number, box in enumerate(boxes)}
    farthest = max(place[box] for box in first)
    path: list[Step] = []
    start = 0
    for number, box in enumerate(boxes):
        if farthest <= number:
            path.append(Step(box, _branches(source, first, boxes[start:number], box, after)))
            source, first, start = box, after.get(box, ()), number + 1
        farthest = max([farthest, *(place[other] for other in after.get(box, ()) if other in place)])
    return tuple(path)


def _branches(
    source: LayerBox,
    first: Collection[LayerBox],
    between: Sequence[LayerBox],
    sink: LayerBox,
    after: Mapping[LayerBox, Sequence[LayerBox]],
) -> tuple[Series, ...]:
    """The ways from ``source``, which leads to ``first``, to ``sink``, in the order in which that takes them.

    A skip comes last.
    """
    if not between:
        return ()
    skip: tuple[Series, ...] = ((),) if sink in first else ()
    groups = _connected(between, sink)
    if len(groups) == 1 and not skip:
        return ((Tangle(source, tuple(between), sink),),)
    branches: list[Series] = []
    for group in groups:
        inside = [box for box in first if box in group]
        *before, last = _series(source, [*group, sink], inside, after)
        split = last.branches if len(last.branches) < 2 else ((Fork(last.branches),),)
        branches.append((*before, *(part for branch in split for part in branch)))
    return (*branches, *skip)


def _connected(boxes: Sequence[LayerBox], sink: LayerBox) -> list[list[LayerBox]]:
    """The boxes in groups without connections between them, each in running order, in the sink's order."""
    group = {box: [box] for box in boxes}
    for box in boxes:
        for source in box.inputs:
            if source in group and group[source] is not group[box]:
                group[source].extend(group[box])
                for moved in group[box]:
                    group[moved] = group[source]
    order = {box: number for number, box in enumerate(boxes)}
    found = {id(group[box]): group[box] for box in sink.inputs if box in group}
    return [sorted(each, key=order.__getitem__) for each in found.values()]
