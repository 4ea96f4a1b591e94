"""A summary as a table for a terminal, and the lines of its totals."""

from collections.abc import Iterable, Iterator, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING

from mirada.summary.rules import Shape, times

if TYPE_CHECKING:
    from mirada.summary.table import Row, Summary

WIDTH = 100  # columns of a terminal
HEADER = ("layer", "kind", "output", "parameters", "MACs", "field", "jump", "MACs %", "memory")
ALWAYS = 5  # the first columns; those after them are shown if there is room for the names of the layers
KIND_WIDTH = 32
NAME_WIDTH = 16  # names are cut to the columns that are left, but never below this many
GOOD_NAME_WIDTH = 24  # what a column that need not be there has to leave to the names
OPTIMIZERS = {
    "sgd": ("SGD with momentum", 1),
    "adam": ("Adam", 2),
    "rmsprop": ("RMSProp", 2),
}  # moments per weight
UNITS = ("bytes", "kB", "MB", "GB", "TB")

Cells = tuple[str, ...]


def as_text(summary: "Summary", width: int, batch_size: int, optimizer: str = "") -> str:
    """The table, the totals with ``batch_size`` images and an optimizer in memory, what the columns mean, and what was
    not counted."""
    blocks = [[_cells(summary, row) for row in block] for block in _blocks(summary)]
    table = [HEADER, *(cells for block in blocks for cells in block)]
    columns = _columns(table, width)
    widths = _widths([cells[:columns] for cells in table], width)
    rule = "─" * _total(widths)
    lines = [f"{summary.network}, one image of {times(summary.input_shape)}", "", _line(HEADER, widths)]
    for block in blocks:
        lines += [rule, *(_line(cells, widths) for cells in block)]
    lines.append(rule)
    lines += _total_lines(totals(summary, batch_size, optimizer), width)
    for sentence in notes(summary, fields=columns > HEADER.index("field")):
        lines += wrap(sentence, width, subsequent_indent="  ", break_on_hyphens=False)
    return "\n".join(lines)


def totals(summary: "Summary", batch_size: int, optimizer: str = "") -> list[tuple[str, str, str]]:
    """What the whole network comes to: a name, a figure, and a remark on it.

    The training is that of an optimizer of ``OPTIMIZERS``, by default of SGD, and says what Adam adds.
    """
    memory = summary.memory
    frozen = summary.parameters - summary.trainable
    images = "1 image" if batch_size == 1 else f"{batch_size:,} images"
    name, moments = OPTIMIZERS.get(optimizer, OPTIMIZERS["sgd"])
    training = memory.training(batch_size, moments)
    if not optimizer:
        name += f" (Adam: {size(memory.trainable)} more)"
    remark = "the network does not run in training mode"
    if memory.training_maps is not None:
        remark = (
            f"{images}, {name}: weights, gradients and {'momenta' if moments == 1 else 'moments'} "
            f"{size(memory.weights_in_training(moments))}, "
            f"maps, most of them kept for the backward pass, {size(memory.training_maps * batch_size)}"
        )
    return [
        (
            "Parameters",
            f"{summary.parameters:,}",
            f"{summary.fixed:,} fixed numbers in buffers not included" if summary.fixed else "",
        ),
        ("Trainable", f"{summary.trainable:,}", f"{frozen:,} frozen" if frozen else ""),
        ("MACs", f"{summary.macs:,}", "multiply-adds for one image"),
        (
            "Predicting",
            size(memory.predicting(batch_size)),
            f"{images}: weights {size(memory.parameters + memory.buffers)}, "
            f"maps at their peak {size(memory.maps * batch_size)}",
        ),
        ("Training", "–" if training is None else size(training), remark),
        ("Model file", size(memory.file), "safetensors; the description of the model comes on top"),
    ]


def notes(summary: "Summary", *, fields: bool = True) -> Iterator[str]:
    """What the columns on ``fields`` mean, and what was not counted."""
    if fields and any(row.receptive_field for row in summary.rows):
        yield (
            "Field: pixels that a value depends on, padding included, along the largest path through branches and "
            "skip connections. Jump: pixels from one value's field to the next one's, 0 where all values see the "
            "same, – where their order does not tell."
        )
    yield f"Not counted: {'; '.join(summary.not_counted) or 'nothing'}."


def size(number: int) -> str:
    """Bytes with three digits; 1 kB is 1,000 bytes.

    >>> size(46_827_520)
    '46.8 MB'
    """
    value, unit = float(number), 0
    while value >= 999.5 and unit + 1 < len(UNITS):
        value, unit = value / 1000, unit + 1
    digits = 0 if unit == 0 or value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{digits}f} {UNITS[unit]}"


def pixels(sizes: Sequence[float] | None) -> str:
    """A length along each axis, once if all are alike.

    >>> pixels((7, 7)), pixels((1, 7)), pixels(None)
    ('7', '1×7', '–')
    """
    if not sizes:
        return "–"
    return "×".join(f"{each:g}" for each in (sizes[:1] if len(set(sizes)) == 1 else sizes))


def shape(sizes: Shape | None) -> str:
    """The shape of an output."""
    return "–" if sizes is None else times(sizes) or "scalar"


def _blocks(summary: "Summary") -> list[list["Row"]]:
    """Rows in running order, those of one stage together, its subtotal below them; stages of one row stay together."""
    stages = {stage.name: stage for stage in summary.stages}
    blocks: dict[str, list[Row]] = {}
    for row in summary.rows:
        child = row.name.split(".")[0]
        blocks.setdefault(child if child in stages else "", []).append(row)
    if all(len(block) == 1 for block in blocks.values()):
        return [list(summary.rows)]
    for name, block in blocks.items():
        if name and len(block) > 1:
            block.append(stages[name])
    return list(blocks.values())


def _cells(summary: "Summary", row: "Row") -> Cells:
    parameters = f"{row.parameters:,}" if row.parameters else "shared" if row.shared else "–"
    return (
        row.name or "(itself)",
        row.kind,
        shape(row.output_shape),
        parameters,
        f"{row.macs:,}" if row.macs else "–",
        pixels(row.receptive_field),
        pixels(row.jump),
        f"{100 * summary.share(row)[1]:.1f}" if row.macs else "–",
        size(row.activation_bytes) if row.activation_bytes else "–",
    )


def _columns(table: Sequence[Cells], width: int) -> int:
    """How many columns fit beside the names."""
    wanted = min(GOOD_NAME_WIDTH, max(len(line[0]) for line in table))
    for columns in range(len(HEADER), ALWAYS, -1):
        widths = _widths([line[:columns] for line in table], width)
        if widths[0] >= wanted and _total(widths) <= width:
            return columns
    return ALWAYS


def _widths(table: Sequence[Cells], width: int) -> list[int]:
    name, kind, *numbers = (max(map(len, column)) for column in zip(*table, strict=True))
    kind = min(kind, KIND_WIDTH)
    left = width - kind - sum(numbers) - 2 * (len(numbers) + 1)
    return [min(name, max(left, NAME_WIDTH)), kind, *numbers]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + 2 * (len(widths) - 1)


def _line(cells: Cells, widths: Iterable[int]) -> str:
    """Text to the left, numbers to the right; cells beyond the widths are left out."""
    name, kind, *numbers = zip(cells, widths, strict=False)
    left = [f"{_shorten(text, width):<{width}}" for text, width in (name, kind)]
    right = [f"{text:>{width}}" for text, width in numbers]
    return "  ".join([*left, *right])


def _shorten(text: str, width: int) -> str:
    """The two ends of a text that is too wide; the end of a layer's name tells more than its middle."""
    if len(text) <= width:
        return text
    head = (width - 1) // 3
    return f"{text[:head]}…{text[len(text) - (width - 1 - head) :]}"


def _total_lines(lines: Sequence[tuple[str, str, str]], width: int) -> Iterator[str]:
    names, figures = (max(len(line[column]) for line in lines) for column in (0, 1))
    for name, figure, remark in lines:
        beginning = f"{name:<{names}}  {figure:>{figures}}  "
        yield from wrap(
            beginning + remark, width, subsequent_indent=" " * len(beginning), break_on_hyphens=False
        )
