"""Draws the report of a run folder as one HTML page that needs no other file and no network."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mirada.pages import overview, results
from mirada.pages.checklists import checklists
from mirada.pages.methods import UNKNOWN, methods_paragraph
from mirada.pages.page import data_uri, publish, recipe_rows, template
from mirada.pages.paper import write_paper
from mirada.pages.run_paper import figures_of, tables_of
from mirada.pages.seeds import seed_table
from mirada.pages.spread import intervals_sentence
from mirada.pages.words import SPLITS
from mirada.runs.folder import ENSEMBLE, SUSPECTS
from mirada.runs.reader import RunContents, read_run

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


def write_report(run: Path) -> Path:
    """Writes the page of a run, and beside it its figures and tables as files for a paper.

    Args:
        run: The folder of a run, or of a family of them, finished or not.

    Returns:
        The page; each file appears whole or not at all, the page last.

    Raises:
        DataError: A file that is needed is missing, or any is damaged; it names the file.
        OSError: The disk does not take it.
    """
    contents = read_run(run)
    written = write_paper(run, figures_of(contents), tables_of(contents))
    return publish(render(contents, lost=written.lost), run / "report.html")


def render(run: RunContents, lost: str = "") -> str:
    """The page as text; ``lost`` are letters that the PDF files of its figures do not have."""
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
        nothing=overview.nothing(run) if run.begun else "",
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
        lost=lost,
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
