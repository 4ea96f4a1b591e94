"""A summary as Markdown: every column, for a file that can be as wide as it likes."""

from typing import TYPE_CHECKING

from mirada.summary.rules import times
from mirada.summary.text import notes, pixels, shape, size, totals

if TYPE_CHECKING:
    from mirada.summary.table import Row, Summary

HEADER = (
    "layer", "kind", "kernel", "stride", "padding", "output", "trainable", "frozen", "fixed", "parameters %", "MACs",
    "MACs %", "memory", "receptive field", "jump", "centre",
)  # fmt: skip
LEFT = 2  # columns of text


def as_markdown(summary: "Summary", batch_size: int) -> str:
    """The title, the rows, the stages' subtotals, the totals with ``batch_size`` images in memory, and the notes."""
    rules = [":---" if column < LEFT else "---:" for column in range(len(HEADER))]
    stages = [stage for stage in summary.stages if stage.name not in {row.name for row in summary.rows}]
    lines = [f"## {_plain(summary.network)}, one image of {times(summary.input_shape)}", ""]
    lines += [_line(HEADER), _line(rules)]
    lines += [_line(_cells(summary, row)) for row in [*summary.rows, *stages]]
    lines += ["", "| total | | |", "|:---|---:|:---|"]
    lines += [_line(line) for line in totals(summary, batch_size)]
    for sentence in notes(summary):
        lines += ["", _plain(sentence)]
    return "\n".join(lines)


def _cells(summary: "Summary", row: "Row") -> tuple[str, ...]:
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


def _line(cells: "tuple[str, ...] | list[str]") -> str:
    return f"| {' | '.join(_plain(cell) for cell in cells)} |"


def _plain(text: str) -> str:
    """Without what Markdown would read as an end of the cell or as emphasis."""
    return text if text.startswith("`") else text.replace("|", "\\|").replace("_", "\\_").replace("*", "\\*")
