"""Draws plain and residual networks of two depths beside each other as one HTML page that needs no other file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mirada.errors import counted
from mirada.pages.compare import (
    ComparedRun,
    ComparisonPage,
    curves,
    difference_records,
    epoch_records,
    run_names,
    sentence,
)
from mirada.pages.page import publish, template
from mirada.pages.paper import Row, named, write_paper
from mirada.text import number


@dataclass(frozen=True, kw_only=True)
class DepthRow:
    """One network: its name, the loss that it trained down to, how well it does, and what it took."""

    name: str
    loss: str
    parameters: int
    minutes: str


def write_degradation(pairs: Sequence[ComparisonPage], file: Path) -> Path:
    """Writes the page, and beside it its figures and tables as files for a paper; returns the path of the page.

    Args:
        pairs: Each with a shallow network and the deep one of its kind, plain ones first.
        file: Where; each file appears whole or not at all.
    """
    runs = [run for pair in pairs for run in pair.runs]
    names = run_names(runs)
    tables: dict[str, Sequence[Row]] = {
        "networks": [
            {
                "network": name,
                "parameters": run.contents.network.parameters,
                "train_loss": run.epochs[-1]["train_loss"],
                "minutes": run.minutes,
            }
            for name, run in zip(names, runs, strict=True)
        ],
        "differences": difference_records(pairs),
        "epochs": epoch_records(names, runs),
    }
    write_paper(file.parent, named(curves(names, runs)), tables)
    return publish(render_degradation(pairs), file)


def render_degradation(pairs: Sequence[ComparisonPage]) -> str:
    """The page as text."""
    runs = [run for pair in pairs for run in pair.runs]
    names = run_names(runs)
    return template("degradation.html").render(
        title=f"{names[0]} to {names[-1]}",
        rows=[_row(name, run) for name, run in zip(names, runs, strict=True)],
        lede=[training_sentence(pair) for pair in pairs],
        said=[line for pair in pairs for line in sentence(run_names(pair.runs), pair)],
        curves=curves(names, runs),
    )


def training_sentence(pair: ComparisonPage) -> str:
    """Which of two networks trained down to the lower loss."""
    shallow, deep = run_names(pair.runs)
    one, other = (run.epochs[-1]["train_loss"] for run in pair.runs)
    more = other > one
    return (
        f"After {counted(len(pair.runs[0].epochs), 'epoch')} the training loss of {deep} is {number(other, 3)}, "
        f"{'above' if more else 'below'} the {number(one, 3)} of {shallow}: the deeper network has learnt its training "
        f"images {'worse' if more else 'better'} in the same steps."
    )


def _row(name: str, run: ComparedRun) -> DepthRow:
    return DepthRow(
        name=name,
        loss=number(run.epochs[-1]["train_loss"], 3),
        parameters=run.contents.network.parameters,
        minutes=number(run.minutes, 1),
    )
