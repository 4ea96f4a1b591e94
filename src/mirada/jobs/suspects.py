"""The labels that are probably wrong, as files of a cross-validation: a table of all, and a page of the first."""

from functools import partial
from pathlib import Path

from mirada.data.checks.inspection import preview
from mirada.data.parallel import parallel_map
from mirada.evaluation.columns import MANY
from mirada.evaluation.predictions import Predictions
from mirada.evaluation.suspects import SuspectLabels, suspect_labels
from mirada.events import OnProgress
from mirada.pages.suspects import SHOWN, SuspectsPage, write_suspects_page
from mirada.runs.folder import SUSPECTS, SUSPECTS_TABLE
from mirada.runs.reader import missing_members, read_record
from mirada.runs.records import DataRecord


def write_suspects(
    folder: Path, predictions: Predictions, *, on_event: OnProgress | None = None
) -> SuspectLabels:
    """Writes ``suspects.csv`` and ``suspects.html`` into the folder of a cross-validation.

    Args:
        folder: It has a ``data.json``, which says where the images are.
        predictions: Those of its images, out of fold.
        on_event: Hears of progress while pictures are drawn.

    Returns:
        What was found.

    Raises:
        DataError: ``data.json`` is missing or damaged.
        OSError: The files cannot be written.
    """
    data: DataRecord = read_record(folder / "data.json", DataRecord)
    labels = suspect_labels(predictions)
    labels.to_csv(folder / SUSPECTS_TABLE)
    first = [each.path for each in labels.ranked[: min(SHOWN, len(labels.suspected))]]
    pictures = parallel_map(partial(preview, Path(data.root)), first, what="drawing", on_event=on_event)
    page = SuspectsPage(
        name=data.name or folder.name, folds=len(data.folds), labels=labels, pictures=list(pictures)
    )
    write_suspects_page(page, folder / SUSPECTS)
    return labels


def suspects_of(folder: Path, *, on_event: OnProgress | None = None) -> SuspectLabels | None:
    """Writes the files of ``write_suspects`` anew, for a cross-validation that is finished.

    Args:
        folder: That of a run.
        on_event: Hears of progress while pictures are drawn.

    Returns:
        What was found; None for a folder that is no finished cross-validation, whose labels its network has learnt,
        and for one of more than 50 classes, whose predictions are not all kept: its files stay as they are.

    Raises:
        DataError: A file of the folder is missing or damaged.
        OSError: The files cannot be written.
    """
    data: DataRecord = read_record(folder / "data.json", DataRecord)
    judged = (folder / "predictions.csv").is_file()  # all folds together
    if not data.folds or not judged or missing_members(folder, data) or len(data.classes) > MANY:
        return None
    return write_suspects(
        folder, Predictions.from_csv(folder / "predictions.csv", unit=data.unit), on_event=on_event
    )
