"""Draws the report of a run folder as one HTML page that needs no other file and no network."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from mirada.files import replacing
from mirada.pages import overview, results
from mirada.pages.folder import RunFolder, read_run
from mirada.pages.words import SPLITS, integer, number, percent, shorten, with_unit

TEMPLATES = Path(__file__).parent / "templates"

# What is missing, and why it may be: shown in place of an optional file.
ABSENT = {
    "samples.jpg": "The picture of training images (samples.jpg) is not in the run folder. It is written when "
    "training starts; the run may have ended before, or the file was removed.",
    "results.csv": "There are no numbers per epoch (results.csv is missing or empty), so there is nothing to draw: "
    "no epoch was finished, or the file was removed.",
    "evaluation.json": "There are no results (evaluation.json is not in the run folder). They are computed after "
    'the last epoch, so a run that was interrupted does not have them. Evaluate its model with "mirada evaluate".',
    "predictions.csv": "The predictions per image (predictions.csv) are not in the run folder, so nothing can be "
    "said here about single images. They are written after the last epoch.",
    "maps.json": "There are no maps (maps.json is not in the run folder). They are computed after the last epoch; "
    "the run may have ended before.",
}


def write_report(run: Path) -> Path:
    """Write ``report.html`` into a run folder and return its path; it appears whole or not at all.

    Raises ``DataError``, naming the file, if a required file is missing or any file is damaged.
    """
    return publish(render(read_run(run)), run / "report.html")


def publish(html: str, target: Path) -> Path:
    """Write a page and return its path; it appears whole or not at all."""
    with replacing(target) as draft:
        draft.write_bytes(clean(html))
    return target


def render(run: RunFolder) -> str:
    """The page as text."""
    head = overview.headline(run)
    splits, counts = overview.count_table(run)
    folds, spread = overview.folds(run)
    return template("report.html").render(
        run=run,
        head=head,
        progress=overview.progress(run),
        tiles=overview.tiles(run, head),
        split_names=SPLITS,
        splits=splits,
        counts=counts,
        folds=folds,
        spread=spread,
        curves=results.curves(run),
        results=results.results(run),
        map_groups=results.map_groups(run),
        recipe=list(flat(run.recipe)),
        absent=ABSENT,
    )


def template(name: str) -> Template:
    """A page of the templates' folder, with the filters that they use."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,  # file names and class names come from strangers
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        cell=cell, integer=integer, number=number, percent=percent, shorten=shorten, with_unit=with_unit
    )
    return environment.get_template(name)


def flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The settings of nested tables, ``("augment.flip", True)``."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def cell(value: object) -> str:
    """A setting as it stands in a TOML file, text without its quotes."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.8g}"
    if isinstance(value, list):
        return ", ".join(map(cell, value)) or "(none)"
    return "(none)" if value is None or value == "" else str(value)


def clean(html: str) -> bytes:
    """UTF-8 without what HTML forbids: control characters and halves of surrogate pairs in file names."""
    forbidden = {code: "\ufffd" for code in (*range(32), 127) if chr(code) not in "\t\n\r"}
    return html.translate(forbidden).encode("utf-8", "backslashreplace")
