"""What a summary holds, its rows and its totals, and how that reads: a table for a terminal, Markdown, plain values."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from html import escape
from itertools import islice
from textwrap import wrap

from mirada.errors import InvalidArgument, nearest
from mirada.summary.memory import Memory
from mirada.summary.rules import Shape
from mirada.text import shorten, table, times, visible
from mirada.text import width as cells_of

BATCH_SIZE = 32  # of the totals of memory
WIDTH = 100  # columns of a terminal
NOTEBOOK_WIDTH = 120
HEADER = ("layer", "kind", "output", "parameters", "MACs", "field", "jump", "MACs %", "memory")
ALWAYS = 5  # the first columns; those after them are shown if there is room for the names of the layers
KIND_WIDTH = 32
NAME_WIDTH = 16  # names are cut to the columns that are left, but never below this many
GOOD_NAME_WIDTH = 24  # what a column that need not be there has to leave to the names
OPTIMIZERS = {
    "sgd": ("SGD with momentum", 1),
    "adam": ("Adam", 2),
    "adamw": ("AdamW", 2),
    "notes": ("the notes' momentum", 1),
    "rmsprop": ("RMSProp", 2),
    "rmsprop_tf": ("TensorFlow's RMSProp", 2),
}  # moments per weight
UNITS = ("bytes", "kB", "MB", "GB", "TB")
# fmt: off
ALL_COLUMNS = (
    "layer", "kind", "kernel", "stride", "padding", "output", "trainable", "frozen", "fixed", "parameters %", "MACs",
    "MACs %", "memory", "receptive field", "jump", "centre",
)  # of Markdown
# fmt: on
LEFT = 2  # columns of text

Cells = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One call of one layer, several layers as one, or a parameter or buffer that belongs to no layer.

    ``name`` is the dotted path (empty for the network itself), ``kind`` the class and its geometry,
    ``output_shape`` is without the batch, and None where nothing was computed. ``parameters`` and
    ``trainable`` count the numbers that no row above has counted, ``fixed`` those in buffers, which no optimizer
    changes (running statistics are among them), ``shared`` those that a row above has. ``macs`` are multiply-adds
    for one image, 0 where none are counted. ``activation_bytes`` is what the outputs take for one image; a layer
    that works in place shares them with the layer before.

    Along each axis of the image, in pixels: ``receptive_field`` is how many of them one output value depends on,
    padding included, along the largest path through branches and skip connections; ``jump`` how far apart the
    fields of neighbouring values are, 0 if all values see the same; ``centre`` where the field of the first value
    has its middle (the middle of the first pixel is 0). None where it is not known, and where the order of the
    values no longer tells where they look, as behind a flattening.
    """

    name: str
    kind: str
    output_shape: Shape | None
    parameters: int = 0
    trainable: int = 0
    fixed: int = 0
    shared: int = 0
    macs: int = 0
    activation_bytes: int = 0
    kernel: Shape | None = None
    stride: Shape | None = None
    padding: Shape | None = None
    receptive_field: Shape | None = None
    jump: Shape | None = None
    centre: tuple[float, ...] | None = None

    @property
    def frozen(self) -> int:
        """How many of the parameters have no ``requires_grad``."""
        return self.parameters - self.trainable


@dataclass(frozen=True, kw_only=True)
class Summary:
    """All layers of a network in the order in which they run; ``str`` gives the table, a notebook shows it.

    Attributes:
        network: The name in the catalogue, or the class.
        input_shape: One image, (channels, height, width) in pixels.
        rows: One per call of a layer.
        stages: The subtotals of the children called ``stem``, ``stageN`` and ``head``.
        memory: What the network takes, in bytes.
        not_counted: What the MACs leave out.
    """

    network: str
    input_shape: Shape
    rows: tuple[Row, ...]
    stages: tuple[Row, ...]
    memory: Memory
    not_counted: tuple[str, ...]

    @property
    def parameters(self) -> int:
        """How many numbers are in parameters; those that are used in several places count once."""
        return sum(row.parameters for row in self.rows)

    @property
    def trainable(self) -> int:
        """How many of the parameters have ``requires_grad``."""
        return sum(row.trainable for row in self.rows)

    @property
    def fixed(self) -> int:
        """How many numbers are in buffers, such as running means, which are no parameters."""
        return sum(row.fixed for row in self.rows)

    @property
    def macs(self) -> int:
        """Multiply-adds for one image, biases excluded; ``not_counted`` says what else is."""
        return sum(row.macs for row in self.rows)

    def share(self, row: Row) -> tuple[float, float]:
        """A row's fraction of all parameters and of all MACs."""
        return row.parameters / max(1, self.parameters), row.macs / max(1, self.macs)

    def to_dict(self, batch_size: int = BATCH_SIZE) -> dict[str, object]:
        """As plain JSON values; the memory of predicting and training is that of ``batch_size`` images at a time."""
        return {
            "network": self.network,
            "input_shape": list(self.input_shape),
            "rows": [self._plain(row) for row in self.rows],
            "stages": [self._plain(row) for row in self.stages],
            "parameters": self.parameters,
            "trainable": self.trainable,
            "frozen": self.parameters - self.trainable,
            "fixed": self.fixed,
            "macs": self.macs,
            "batch_size": batch_size,
            "predicting_bytes": self.memory.predicting(batch_size),
            "training_bytes": self.memory.training(batch_size),
            "file_bytes": self.memory.file,
            "not_counted": list(self.not_counted),
        }

    def to_text(self, *, width: int = WIDTH, batch_size: int = BATCH_SIZE, optimizer: str = "") -> str:
        """As a table, with as much of each row as the columns hold.

        Args:
            width: Columns.
            batch_size: Images in memory.
            optimizer: That of the training: a name of ``OPTIMIZERS``; by default SGD, and what Adam adds.

        Raises:
            InvalidArgument: There is no such optimizer.
        """
        return as_text(self, width, batch_size, optimizer)

    def to_markdown(self, batch_size: int = BATCH_SIZE) -> str:
        """As Markdown, with all that is known of each row."""
        return as_markdown(self, batch_size)

    def __str__(self) -> str:
        return self.to_text()

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return f"<pre>{escape(self.to_text(width=NOTEBOOK_WIDTH))}</pre>"

    def _plain(self, row: Row) -> dict[str, object]:
        values = {
            key: list(value) if isinstance(value, tuple) else value for key, value in asdict(row).items()
        }
        parameters, macs = self.share(row)
        return {**values, "frozen": row.frozen, "share_of_parameters": parameters, "share_of_macs": macs}


# Text -----------------------------------------------------------------------------------------------------------


def as_text(summary: Summary, width: int, batch_size: int, optimizer: str = "") -> str:
    """The table, the totals with ``batch_size`` images and an optimizer in memory, what columns mean."""
    blocks = [[_cells(summary, row) for row in block] for block in _blocks(summary)]
    every = [HEADER, *(cells for block in blocks for cells in block)]
    columns = _columns(every, width)
    name, kind, *_ = _widths([cells[:columns] for cells in every], width)
    header, *lines = table(
        HEADER[:columns],
        [
            (
                _cut(row[0], name),
                _cut(row[1], kind),
                *row[2:columns],
            )
            for row in every[1:]
        ],
        left=LEFT,
    )
    rule = "─" * max(map(cells_of, (header, *lines)))
    told = [f"{visible(summary.network)}, one image of {times(summary.input_shape)}", "", header]
    below = iter(lines)
    for block in blocks:
        told += [rule, *islice(below, len(block))]
    told.append(rule)
    told += _total_lines(totals(summary, batch_size, optimizer), width)
    for sentence in notes(summary, fields=columns > HEADER.index("field")):
        told += wrap(visible(sentence), width, subsequent_indent="  ", break_on_hyphens=False)
    return "\n".join(told)


def totals(summary: Summary, batch_size: int, optimizer: str = "") -> list[tuple[str, str, str]]:
    """What the whole network comes to: a name, a figure, and a remark on it.

    The training is that of an optimizer of ``OPTIMIZERS``, by default of SGD, and says what Adam adds.
    """
    memory = summary.memory
    frozen = summary.parameters - summary.trainable
    images = "1 image" if batch_size == 1 else f"{batch_size:,} images"
    if optimizer and optimizer not in OPTIMIZERS:
        raise InvalidArgument(f'There is no optimizer "{optimizer}". {nearest(optimizer, OPTIMIZERS)}')
    name, moments = OPTIMIZERS[optimizer or "sgd"]
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


def notes(summary: Summary, *, fields: bool = True) -> Iterator[str]:
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


def _blocks(summary: Summary) -> list[list[Row]]:
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


def _cells(summary: Summary, row: Row) -> Cells:
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


def _cut(text: str, width: int) -> str:
    """The two ends of a text that is too wide; the end of a layer's name tells more than its middle."""
    return shorten(text, width, head=(width - 1) // 3)


def _total_lines(lines: Sequence[tuple[str, str, str]], width: int) -> Iterator[str]:
    names, figures = (max(len(line[column]) for line in lines) for column in (0, 1))
    for name, figure, remark in lines:
        beginning = f"{name:<{names}}  {figure:>{figures}}  "
        yield from wrap(
            beginning + remark, width, subsequent_indent=" " * len(beginning), break_on_hyphens=False
        )


# Markdown -------------------------------------------------------------------------------------------------------


def as_markdown(summary: Summary, batch_size: int) -> str:
    """The title, the rows, the stages' subtotals, the totals with ``batch_size`` images in memory, and the notes."""
    rules = [":---" if column < LEFT else "---:" for column in range(len(ALL_COLUMNS))]
    stages = [stage for stage in summary.stages if stage.name not in {row.name for row in summary.rows}]
    lines = [f"## {_escaped(summary.network)}, one image of {times(summary.input_shape)}", ""]
    lines += [_markdown_line(ALL_COLUMNS), _markdown_line(rules)]
    lines += [_markdown_line(_all_cells(summary, row)) for row in [*summary.rows, *stages]]
    lines += ["", "| total | | |", "|:---|---:|:---|"]
    lines += [_markdown_line(line) for line in totals(summary, batch_size)]
    for sentence in notes(summary):
        lines += ["", _escaped(sentence)]
    return "\n".join(lines)


def _all_cells(summary: Summary, row: Row) -> tuple[str, ...]:
    of_parameters, of_macs = summary.share(row)
    return (
        f"`{row.name}`" if row.name else "(itself)",
        row.kind,
        pixels(row.kernel),
        pixels(row.stride),
        pixels(row.padding),
        shape(row.output_shape),
        _count(row.trainable),
        _count(row.frozen),
        _count(row.fixed),
        f"{100 * of_parameters:.1f}" if row.parameters else "–",
        _count(row.macs),
        f"{100 * of_macs:.1f}" if row.macs else "–",
        size(row.activation_bytes) if row.activation_bytes else "–",
        pixels(row.receptive_field),
        pixels(row.jump),
        pixels(row.centre),
    )


def _count(number: int) -> str:
    return f"{number:,}" if number else "–"


def _markdown_line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_escaped(cell) for cell in cells)} |"


def _escaped(text: str) -> str:
    """Without what Markdown would read as an end of the cell or as emphasis."""
    return text if text.startswith("`") else text.replace("|", "\\|").replace("_", "\\_").replace("*", "\\*")
