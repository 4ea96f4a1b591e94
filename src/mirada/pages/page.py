"""Draws the report of a run folder as one HTML page that needs no other file and no network."""

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from mirada.errors import DataError, reason_of
from mirada.files import replacing
from mirada.pages import overview, results
from mirada.pages.checklists import checklists
from mirada.pages.methods import UNKNOWN, methods_paragraph
from mirada.pages.seeds import seed_table
from mirada.pages.spread import intervals_sentence
from mirada.pages.words import SPLITS
from mirada.runs.folder import ENSEMBLE, SUSPECTS
from mirada.runs.reader import RunContents, damaged, read_run
from mirada.text import integer, number, percent, shorten, with_unit

TEMPLATES = Path(__file__).parent / "templates"

# What is missing, and why it may be: shown in place of an optional file.
ABSENT = {
    "samples.jpg": "The picture of training images (samples.jpg) is not in the run folder. It is written when "
    "training starts; the run may have ended before, or the file was removed.",
    "results.csv": "There are no numbers per epoch (results.csv is missing or empty), so there is nothing to draw: "
    "no epoch was finished, or the file was removed.",
    "evaluation.json": "There are no results (evaluation.json is not in the run folder). They are computed after "
    "the last epoch, so a run that was interrupted or killed does not have them. Evaluate its model, that of the best "
    'epoch so far, with "mirada evaluate".',
    "predictions.csv": "The predictions per image (predictions.csv) are not in the run folder, so nothing can be "
    "said here about single images. They are written after the last epoch.",
    "maps.json": "There are no maps (maps.json is not in the run folder). They are computed after the last epoch; "
    "the run may have ended before.",
}

UNFINISHED_FAMILY = {
    "evaluation.json": "There are no results of all runs (evaluation.json is not in the folder). They are put "
    "together after the last one, or when training is interrupted; until then each run has a report in its own folder, "
    "fold-1 or seed-0 and so on."
}
WITHOUT_MODEL = {
    "evaluation.json": "There are no results (evaluation.json is not in the run folder), and no model to judge: it is "
    "kept when the first epoch is finished."
}
SIGNATURES = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"}
FORBIDDEN = [bytes([code]) for code in (*range(32), 127) if code not in b"\t\n\r"]
REPLACEMENT = "\ufffd".encode()
FILES = ("weights", "first_layer")  # settings that are paths


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


def render(run: RunContents) -> str:
    """The page as text."""
    head = overview.headline(run)
    splits, counts = overview.count_table(run)
    folds, spread = overview.folds(run)
    return template("report.html").render(
        run=run,
        environment=environment(run),
        command=run.environment.command,
        place=overview.file_name(run.data.root),
        stopped=overview.stopped(run),
        samples=data_uri(run.folder / "samples.jpg") if run.has_samples else "",
        pictures={name: data_uri(run.folder / name) for name in pictures_of(run)},
        head=head,
        progress=overview.progress(run),
        tiles=overview.tiles(run, head),
        split_names=SPLITS,
        splits=splits,
        counts=counts,
        folds=folds,
        several=run.begun is not None,
        members=sorted(page.parent.name for page in run.folder.glob("*/report.html")),
        seeds=seed_table(run) if len(run.data.seeds) > 1 else None,
        spread=spread,
        ensemble=ENSEMBLE if (run.folder / ENSEMBLE).exists() else "",
        intervals=intervals_sentence(run.intervals, run.data.target_names, run.data.unit)
        if run.intervals
        else "",
        suspects=SUSPECTS if (run.folder / SUSPECTS).exists() else "",
        curves=results.curves(run),
        results=results.results(run),
        similar=any(item.similar for item in run.maps or ()),
        map_groups=results.map_groups(run),
        map_remarks=list(dict.fromkeys(item.remark for item in run.maps or () if item.remark)),
        methods=methods_paragraph(run) if run.evaluation or run.data.seeds else "",
        unknown=UNKNOWN,
        checklists=checklists(run) if run.evaluation or run.data.seeds else [],
        recipe=recipe_rows(run),
        absent=absent(run),
    )


def pictures_of(run: RunContents) -> Iterator[str]:
    """The names of all pictures that the page shows, within the run folder."""
    yield from (name for item in run.maps or () for name in item.files)
    yield from (each.image for cell in run.cells for each in cell.images)


def absent(run: RunContents) -> dict[str, str]:
    """What is said in place of a file that is not there."""
    if run.begun:
        return ABSENT | UNFINISHED_FAMILY
    return ABSENT if run.has_model else ABSENT | WITHOUT_MODEL


def environment(run: RunContents) -> list[tuple[str, Any]]:
    """What is known of where the run was made."""
    known = asdict(run.environment)
    del known["command"]
    return [(name, value) for name, value in known.items() if value is not None]


def recipe_rows(run: RunContents) -> list[tuple[str, Any]]:
    """All settings; of a file its name alone, for a page may be given to others."""
    return [
        (key, overview.file_name(str(value)) if key in FILES and value else value)
        for key, value in flat(run.recipe)
    ]


def without_home(value: object) -> object:
    """A text with ``~`` for the home folder, whose name is often that of a person; pictures stay as they are."""
    if not isinstance(value, str) or value.startswith("data:"):
        return value
    try:
        home = str(Path.home())
    except RuntimeError:  # nobody of this number is known to the system
        return value
    if home not in value or home == "/":
        return value
    found = re.sub(rf"{re.escape(home)}(?![\w.-])", "~", value)
    return type(value)(found)  # what is markup stays markup


def data_uri(file: Path) -> str:
    """A JPEG or PNG file as a data URI. Raises ``DataError`` for one that is missing, or none of them."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: the picture cannot be read ({reason_of(error)}).") from error
    for signature, kind in SIGNATURES.items():
        if content.startswith(signature):
            return f"data:{kind};base64,{b64encode(content).decode()}"
    raise damaged(file, "it is neither a JPEG nor a PNG.")


def template(name: str) -> Template:
    """A page of the templates' folder, with the filters that they use."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,  # file names and class names come from strangers
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=without_home,  # all that a page says
    )
    environment.filters.update(
        cell=cell,
        integer=integer,
        number=number,
        percent=percent,
        shorten=shorten,
        with_unit=with_unit,
    )
    return environment.get_template(name)


def flat(table: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
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
    page = html.encode("utf-8", "backslashreplace")
    for (
        code
    ) in FORBIDDEN:  # thirty searches of bytes take a twentieth of the time of one look at every character
        page = page.replace(code, REPLACEMENT)
    return page
