"""Where the parts of a diagram stand: series from top to bottom, branches side by side, skips at their right."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mirada.diagram import words
from mirada.diagram.marks import SKIP, Exit, Mark, Path, Picture, Rect, Text, text_width, widest
from mirada.diagram.parts import Fork, LayerBox, Part, Series, StageFrame, Step, Tangle, Unit, boxes_of
from mirada.diagram.words import Joint, Role

# All in pixels.
TEXT, REMARK, COUNT = 13, 11, 17  # heights of letters
LINE, REMARK_LINE = 17, 14  # heights of lines
GAP = 30  # between boxes that follow each other: an arrow, with a size beside it
SPREAD = 18  # from the line where branches part to their first boxes
COLUMN = 24  # between branches
PAD = 10  # from a text to the edge of its box
FRAME = 18  # from a stage to its frame
RADIUS = 11  # of a sign that joins
LANE = 10  # between lines that run side by side
BAR = 26  # height of a concatenation
NARROWEST = 100  # box


def layout(series: Series, parameters: Mapping[str, int]) -> Picture:
    """The picture of a network; ``parameters`` are those of its stages by name."""
    lines = [_lines(box) for part in series for box in boxes_of(part)]
    width = max(NARROWEST, *(_lines_width(*each) for each in lines))
    height = max(_lines_height(each) for each, _ in lines)
    return _Layout(width, height, parameters).series(series)


@dataclass(frozen=True)
class _Layout:
    """All boxes have the same size, so that those of branches stand in rows."""

    width: float
    height: float
    parameters: Mapping[str, int]

    def series(self, series: Series) -> Picture:
        """Parts from top to bottom on one axis; the frames among them are as wide as each other."""
        framed = [(part, self.series(part.series)) for part in series if isinstance(part, StageFrame)]
        extents = self._extents(framed)
        inside = iter(picture for _, picture in framed)
        pictures = [
            self._frame(part, next(inside), *extents) if isinstance(part, StageFrame) else self.part(part)
            for part in series
        ]
        marks: list[Mark] = []
        right = height = 0.0
        before: Picture | None = None
        for picture in pictures:
            if before:
                marks += _flow(before.exits[0], height, GAP, arrow=picture.arrow)
                right = max(right, _room(before.exits[0]))
                height += GAP
            marks += picture.at(0, height)
            height += picture.height
            before = picture
        return Picture(
            left=max(picture.left for picture in pictures),
            right=max(right, *(picture.right for picture in pictures)),
            height=height,
            marks=tuple(marks),
            exits=pictures[-1].exits,
            arrow=pictures[0].arrow,
        )

    def part(self, part: Part) -> Picture:
        """A part that is no frame."""
        if isinstance(part, Step):
            return self._join(part) if part.branches else self._box(part.box)
        if isinstance(part, Fork):
            return self._fork(part.branches, centered=True)
        if isinstance(part, Tangle):
            return self._tangle(part)
        return self._unit(part) if isinstance(part, Unit) else self.series((part,))

    def _box(self, box: LayerBox) -> Picture:
        lines, strong = _lines(box)
        height = max(self.height, _lines_height(lines)) if box.node.role is not Role.TERMINAL else BAR
        left = self.width / 2
        kind = "join" if box.node.role is Role.OTHER and len(box.inputs) > 1 else box.node.role
        rect = Rect(kind, -left, 0, self.width, height, lines, strong, _tip(box))
        return Picture(left, left, height, (rect,), (Exit(0, box.shape),))

    def _join(self, step: Step) -> Picture:
        """Branches and what joins them: a sign with remarks at its left, or a bar below all branches."""
        sign = step.box.node.joint is Joint.SIGN
        ways = self._fork(step.branches, centered=not sign)
        draw = _sign if sign else _bar
        joint = draw(step.box, ways.exits, ways.height)
        return Picture(
            left=max(ways.left, joint.left),
            right=max(ways.right, joint.right, *(exit_.x + _room(exit_) for exit_ in ways.exits)),
            height=joint.height,
            marks=(*ways.marks, *joint.marks),
            exits=(Exit(0, step.box.shape),),
            arrow=False,
        )

    def _fork(self, branches: Sequence[Series], *, centered: bool) -> Picture:
        """Branches that end at the same height, a skip at the right; the axis in the middle or at the longest."""
        columns = [self.series(branch) for branch in branches if branch]
        if not centered:
            columns.sort(key=lambda column: -column.height)
        places, edge = [], 0.0
        for number, column in enumerate(columns):
            places.append(edge + (column.left + COLUMN if number else 0))
            edge = places[-1] + max(column.right, *(exit_.x + _room(exit_) for exit_ in column.exits))
        axis = (places[0] + places[-1]) / 2 if centered else places[0]
        height = SPREAD + max(column.height for column in columns)
        marks: list[Mark] = []
        exits: list[Exit] = []
        for place, column in zip(places, columns, strict=True):
            across, top = place - axis, height - column.height
            marks += [Path("flow", ((0, 0), (across, 0), (across, top)), column.arrow)]
            marks += column.at(across, top)
            exits += [Exit(across + exit_.x, exit_.shape) for exit_ in column.exits]
        right = edge - axis
        for branch in branches:
            if not branch:
                right += COLUMN / 2
                marks.append(Path(SKIP, ((0, 0), (right, 0), (right, height))))
                exits.append(Exit(right))
        return Picture(
            columns[0].left + axis - places[0], right, height, tuple(marks), tuple(exits), arrow=False
        )

    def _tangle(self, tangle: Tangle) -> Picture:
        """Boxes below each other; connections that jump over some run at their right, each in a lane."""
        boxes = [self._box(box) for box in tangle.boxes]
        rows = [0.0, SPREAD]  # where each begins; the source and the sink are rows of no height
        for box in boxes:
            rows.append(rows[-1] + box.height + GAP)
        rows[-1] += SPREAD - GAP
        feet = [0.0, *(row + box.height for row, box in zip(rows[1:], boxes, strict=False))]
        order = [tangle.source, *tangle.boxes, tangle.sink]
        links = [(order.index(s), i) for i, box in enumerate(order) for s in box.inputs if i and s in order]
        marks = [mark for row, box in zip(rows[1:], boxes, strict=False) for mark in box.at(0, row)]
        edge = self.width / 2
        outside = LANE + max(edge + LANE, *(_room(box.exits[0]) for box in boxes))
        lanes: list[int] = []  # the row at which each is free again
        for start, end in sorted(links):
            last = end == len(rows) - 1
            if end == start + 1:
                shape = boxes[start - 1].exits[0].shape if start and not last else ()
                marks += _flow(Exit(0, shape), feet[start], rows[end] - feet[start], arrow=not last)
                continue
            lane = next((number for number, free in enumerate(lanes) if free <= start), len(lanes))
            lanes[lane : lane + 1] = [end]
            across = outside + lane * LANE
            out = (edge, feet[start] - self.height / 4) if start else (0.0, 0.0)
            into = (0.0, rows[end]) if last else (edge, rows[end] + self.height / 4)
            marks.append(Path(SKIP, (out, (across, out[1]), (across, into[1]), into), not last))
        return Picture(edge, outside + LANE * len(lanes), rows[-1], tuple(marks), arrow=False)

    def _unit(self, unit: Unit) -> Picture:
        """A bracket at the right of the parts says how often they come, and what they are called."""
        inside = self.series(unit.series)
        count = [f"× {unit.count}"] if unit.count > 1 else []
        remarks = [f"{'+' if unit.growth > 0 else '−'} {abs(unit.growth):,} maps each"] if unit.growth else []
        remarks += [words.short(unit.name)] if unit.name else []
        x, foot = inside.right + 8, inside.height - 2
        middle = inside.height / 2
        y = middle - (REMARK_LINE * len(remarks) + 20 * len(count)) / 2
        marks: list[Mark] = [Path("bracket", ((x, 2), (x + 7, 2), (x + 7, foot), (x, foot)))]
        for text in count:
            marks.append(Text("count", x + 16, y + 16, text))
            y += 20
        for number, text in enumerate(remarks):
            marks.append(Text("remark", x + 16, y + 11 + number * REMARK_LINE, text))
        right = x + 18 + max(widest(count, COUNT, bold=True), widest(remarks, REMARK))
        exits = (Exit(0, unit.shape),) if unit.shape else inside.exits
        return Picture(inside.left, right, inside.height, (*inside.marks, *marks), exits, inside.arrow)

    def _extents(self, framed: Sequence[tuple[StageFrame, Picture]]) -> tuple[float, float]:
        """The widths of frames left and right of the axis; at the left there is room for what they say."""
        said = max((self._frame_width(frame) for frame, _ in framed), default=0.0)
        left = max((picture.left for _, picture in framed), default=0.0)
        return said + left + 3 * FRAME, max((picture.right for _, picture in framed), default=0.0) + FRAME

    def _frame_width(self, frame: StageFrame) -> float:
        name, *remarks = self._frame_lines(frame)
        return max(text_width(name, TEXT, bold=True), widest(remarks, REMARK))

    def _frame_lines(self, frame: StageFrame) -> list[str]:
        count = self.parameters.get(frame.stage.name, 0)
        return [
            words.short(frame.stage.name),
            words.size(frame.stage.shape),
            f"{count:,} parameters" if count else "no parameters",
        ]

    def _frame(self, frame: StageFrame, inside: Picture, left: float, right: float) -> Picture:
        """What a stage is called, puts out and has at the left, its parts at the right."""
        height = max(inside.height, LINE + 2 * REMARK_LINE) + 2 * FRAME
        top = (height - inside.height) / 2
        marks: list[Mark] = [Rect("frame", -left, 0, left + right, height)]
        y = FRAME + 12.0
        for number, line in enumerate(self._frame_lines(frame)):
            marks.append(Text("remark" if number else "name", FRAME - left, y, line))
            y += REMARK_LINE if number else LINE
        marks.append(Path("flow", ((0, 0), (0, top)), inside.arrow))
        for exit_ in inside.exits:
            marks.append(Path("flow", ((exit_.x, top + inside.height), (exit_.x, height))))
        return Picture(left, right, height, (*marks, *inside.at(0, top)), inside.exits, arrow=False)


def _sign(box: LayerBox, exits: Sequence[Exit], top: float) -> Picture:
    """A circle with a sign; what comes from the side enters it at the side."""
    marks: list[Mark] = []
    middle = top + GAP + RADIUS
    for exit_ in exits:
        if exit_.x:
            side = RADIUS if exit_.x > 0 else -RADIUS
            kind = "flow" if exit_.shape else SKIP
            marks.append(Path(kind, ((exit_.x, top), (exit_.x, middle), (side, middle)), True))
            marks += _size(exit_, top)
        else:
            marks += _flow(exit_, top, GAP, arrow=True)
    circle = Rect("sign", -RADIUS, top + GAP, 2 * RADIUS, 2 * RADIUS, (box.node.text,), tip=_tip(box))
    remark = " · ".join((*box.before, *box.after))
    said = (Text("remark end", -RADIUS - 7, middle + 4, remark),) if remark else ()
    left = RADIUS + 9 + text_width(remark, REMARK)
    return Picture(left, RADIUS, middle + RADIUS, (*marks, circle, *said))


def _bar(box: LayerBox, exits: Sequence[Exit], top: float) -> Picture:
    """A bar below all that it joins."""
    text = " · ".join((*box.before, box.node.text, *box.after))
    half = text_width(text, TEXT, bold=True) / 2 + PAD
    left = max(half, PAD - min(exit_.x for exit_ in exits))
    right = max(half, PAD + max(exit_.x for exit_ in exits))
    marks = [mark for exit_ in exits for mark in _flow(exit_, top, GAP, arrow=True)]
    kind = "join" if box.node.role is Role.OTHER else box.node.role
    bar = Rect(kind, -left, top + GAP, left + right, BAR, (text,), tip=_tip(box))
    return Picture(left, right, top + GAP + BAR, (*marks, bar))


def _flow(exit_: Exit, top: float, length: float, *, arrow: bool) -> Iterator[Mark]:
    """A line straight down from an exit, the size of what it carries beside it."""
    kind = "flow" if exit_.shape or not exit_.x else SKIP
    yield Path(kind, ((exit_.x, top), (exit_.x, top + length)), arrow)
    yield from _size(exit_, top)


def _size(exit_: Exit, top: float) -> Iterator[Mark]:
    if exit_.shape:
        yield Text("remark size", exit_.x + 7, top + 15, words.size(exit_.shape))


def _room(exit_: Exit) -> float:
    """What the size beside a line takes at its right."""
    return 9 + text_width(words.size(exit_.shape), REMARK) if exit_.shape else 0.0


def _lines(box: LayerBox) -> tuple[tuple[str, ...], int]:
    """What a box says, and which line tells what it is."""
    before, after = _wrapped(box.before), _wrapped(box.after)
    return (*before, box.node.text, *after), len(before)


def _wrapped(remarks: Sequence[str]) -> list[str]:
    lines: list[str] = []
    for remark in remarks:
        if lines and len(lines[-1]) + len(remark) < words.LONGEST:
            lines[-1] += f" · {remark}"
        else:
            lines.append(remark)
    return lines


def _lines_width(lines: Sequence[str], strong: int) -> float:
    remarks = [line for number, line in enumerate(lines) if number != strong]
    return max(text_width(lines[strong], TEXT, bold=True), widest(remarks, REMARK)) + 2 * PAD


def _lines_height(lines: Sequence[str]) -> float:
    return LINE + REMARK_LINE * (len(lines) - 1) + PAD


def _tip(box: LayerBox) -> str:
    """What shows under the pointer: name, words, sizes, parameters."""
    node = box.node
    said = " · ".join((*box.before, node.text, *box.after))
    sizes = f"{', '.join(words.size(source.shape) for source in box.inputs)} → {words.size(box.shape)}"
    count = f"{node.parameters:,} parameters" if node.parameters else ""
    return "\n".join(line for line in (node.path, said, sizes if box.inputs else "", count) if line)
