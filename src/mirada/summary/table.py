"""What a summary holds, and how it reads: as a table of at most 100 columns, or as plain JSON values."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from textwrap import wrap
from typing import Any

from mirada.summary.rules import Shape, times

WIDTH = 100  # columns of a terminal
HEADER = ("layer", "kind", "output", "parameters", "MACs")
KIND_WIDTH = 32
NAME_WIDTH = 16  # names are cut to the columns that are left, but never below this many

Cells = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One call of one layer, or one parameter that belongs to no layer (kind ``parameter``).

    ``name`` is the dotted path (empty for the network itself), ``kind`` the class and its geometry,
    ``output_shape`` is without the batch, and None where nothing was computed. ``parameters`` and
    ``trainable`` count the numbers that no row above has counted, ``shared`` those that one has. ``macs`` are
    multiply-adds for one image, 0 where none are counted.
    """

    name: str
    kind: str
    output_shape: Shape | None
    parameters: int = 0
    trainable: int = 0
    shared: int = 0
    macs: int = 0


@dataclass(frozen=True, kw_only=True)
class Summary:
    """All layers of a network in the order in which they run, for one image of ``input_shape``.

    ``stages`` are the subtotals of the children called ``stem``, ``stageN`` and ``head``; ``buffers`` is how
    many numbers lie in buffers, such as running means, which are no parameters; ``not_counted`` says what the
    MACs leave out. ``str`` gives the table.
    """

    network: str
    input_shape: Shape
    rows: tuple[Row, ...]
    stages: tuple[Row, ...]
    buffers: int
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
    def macs(self) -> int:
        """Multiply-adds for one image, biases excluded; ``not_counted`` says what else is."""
        return sum(row.macs for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "network": self.network,
            "input_shape": list(self.input_shape),
            "rows": [_plain(row) for row in self.rows],
            "stages": [_plain(row) for row in self.stages],
            "parameters": self.parameters,
            "trainable": self.trainable,
            "buffers": self.buffers,
            "macs": self.macs,
            "not_counted": list(self.not_counted),
        }

    def __str__(self) -> str:
        blocks = [[_cells(row) for row in block] for block in self._blocks()]
        widths = _widths([HEADER, *(cells for block in blocks for cells in block)])
        rule = "─" * (sum(widths) + 2 * (len(widths) - 1))
        lines = [f"{self.network}, one image of {times(self.input_shape)}", "", _line(HEADER, widths)]
        for block in blocks:
            lines += [rule, *(_line(cells, widths) for cells in block)]
        return "\n".join([*lines, rule, *self._totals()])

    def _blocks(self) -> list[list[Row]]:
        """Rows in running order, those of one stage together, its subtotal below them."""
        stages = {stage.name: stage for stage in self.stages}
        blocks: dict[str, list[Row]] = {}
        for row in self.rows:
            child = row.name.split(".")[0]
            blocks.setdefault(child if child in stages else "", []).append(row)
        for name, block in blocks.items():
            if name and len(block) > 1:
                block.append(stages[name])
        return list(blocks.values())

    def _totals(self) -> list[str]:
        frozen = self.parameters - self.trainable
        numbers = {"Parameters": self.parameters, "Trainable": self.trainable, "MACs": self.macs}
        width = max(len(f"{number:,}") for number in numbers.values())
        remarks = {
            "Parameters": f"{self.buffers:,} numbers in buffers not included" if self.buffers else "",
            "Trainable": f"{frozen:,} frozen" if frozen else "",
            "MACs": "multiply-adds for one image",
        }
        lines = [f"{name:<10}  {number:>{width},}  {remarks[name]}" for name, number in numbers.items()]
        left_out = "; ".join(self.not_counted) or "nothing"
        lines += wrap(f"Not counted: {left_out}.", WIDTH, subsequent_indent="  ", break_on_hyphens=False)
        return [line.rstrip() for line in lines]


def _plain(row: Row) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(row).items()}


def _cells(row: Row) -> Cells:
    shape = "–" if row.output_shape is None else times(row.output_shape) or "scalar"
    parameters = f"{row.parameters:,}" if row.parameters else "shared" if row.shared else "–"
    return row.name or "(itself)", row.kind, shape, parameters, f"{row.macs:,}" if row.macs else "–"


def _widths(table: Sequence[Cells]) -> list[int]:
    name, kind, *numbers = (max(map(len, column)) for column in zip(*table, strict=True))
    kind = min(kind, KIND_WIDTH)
    left = WIDTH - kind - sum(numbers) - 2 * (len(numbers) + 1)
    return [min(name, max(left, NAME_WIDTH)), kind, *numbers]


def _line(cells: Cells, widths: Iterable[int]) -> str:
    """Text to the left, numbers to the right."""
    name, kind, *numbers = zip(cells, widths, strict=True)
    left = [f"{_shorten(text, width):<{width}}" for text, width in (name, kind)]
    right = [f"{text:>{width}}" for text, width in numbers]
    return "  ".join([*left, *right])


def _shorten(text: str, width: int) -> str:
    """The two ends of a text that is too wide; the end of a layer's name tells more than its middle."""
    if len(text) <= width:
        return text
    head = (width - 1) // 3
    return f"{text[:head]}…{text[len(text) - (width - 1 - head) :]}"
