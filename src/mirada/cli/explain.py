"""``mirada explain``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mirada.cli.console import ProgressBar, say
from mirada.cli.files import image_files, new_file, new_folder, samples, save_drawing
from mirada.cli.image_options import image_arguments, image_options
from mirada.errors import DataError, counted
from mirada.events import Progress
from mirada.text import table

if TYPE_CHECKING:
    from mirada.data.index import Index
    from mirada.data.pixels.decode import DecodeError
    from mirada.inference.explained import Explained
    from mirada.inference.model import Model
    from mirada.inference.similar import TrainingFeatures
    from mirada.jobs.explanations import Judging
    from mirada.judging.verdict import Verdict
    from mirada.samples import Source


@click.command()
@image_arguments
@click.option(
    "--output",
    default="maps",
    show_default=True,
    type=click.Path(file_okay=False),
    callback=new_folder,
    help="Folder for the pictures.",
)
@click.option(
    "--class",
    "target",
    help="The class, or of several numbers the one, to explain. [default: the predicted class; the first number]",
)
@click.option(
    "--method",
    metavar="NAME",
    help="exact, grad_cam, hires_cam, grad_cam_pp or layer_cam; in many passes score_cam or recipro_cam; of the image "
    "itself saliency or guided_backprop, and in many passes smooth_grad, integrated_gradients, occlusion or rise. "
    "[default: exact if the network's head allows it, else grad_cam]",
)
@click.option(
    "--layer",
    metavar="NAME",
    help="The part whose maps are weighed, such as stage2. [default: the last whose maps are larger than 1 x 1]",
)
@click.option(
    "--report",
    is_flag=True,
    help="Judge the maps on the labelled test images of DATA instead: one page of verdicts, explanations.html.",
)
@click.option(
    "--boxes",
    type=click.Path(exists=True),
    help="With --report: where the objects are: a table (CSV), a folder of VOC's XML, or one of masks (PNG) called as "
    "the images are. [default: the boxes of the data]",
)
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    help="With --report: how many of the test images are judged at most, drawn with a seed, those with boxes first. "
    "[default: 100]",
)
@click.option(
    "--beside",
    multiple=True,
    type=click.Path(exists=True),
    help="With --report: a network like MODEL with another seed (--seeds), or trained with permute_labels=true; "
    "repeatable.",
)
@image_options
def command(
    model: str,
    images: tuple[str, ...],
    output: str,
    target: str | None,
    method: str | None,
    layer: str | None,
    report: bool,
    boxes: str | None,
    sample: int | None,
    beside: tuple[str, ...],
    image: str | None,
    encoding: str | None,
    known: dict[str, str],
    device: str,
) -> int:
    """Show where a model looks in images: files, folders, or a table (CSV, TSV).

    Writes each photo with a map over it: red speaks for the class, blue against it. Small photos are enlarged. Existing
    files are not overwritten. Covariates are read from the table, or given by --known.

    With --report it is tested whether the maps can be believed: on labelled test images, which the model file knows by
    content, or on images that are all new.
    """
    if report:
        from mirada.jobs.explanations import SAMPLE, Judging

        judging = Judging(target=target, method=method, layer=layer, known=known, sample=sample or SAMPLE)
        return _report((model, *beside), _one(images, image, encoding), judging, boxes, Path(output), device)
    for option, given in (("--boxes", boxes), ("--sample", sample), ("--beside", beside)):
        if given:
            raise click.UsageError(f"{option} goes with --report.")
    files = image_files(images)
    from mirada.data.index import Index
    from mirada.data.pixels.decode import DecodeError
    from mirada.inference.matching import unlabeled
    from mirada.inference.model import load_model

    loaded = load_model(model, device=device)
    shown = samples(files, loaded.card, known, image, encoding)
    index = shown if isinstance(shown, Index) else unlabeled(shown, loaded.card)
    explained = partial(loaded.explain, target=target, method=method, layer=layer, known=known)
    failed, noted = len(index.excluded), False
    with ProgressBar() as progress:
        for item in index.excluded:
            progress.line(f"left out: {item.path}: {item.reason}")
        passes = _Passes(progress, len(index))
        for one in _each(partial(explained, on_event=passes.on_event), index, passes):
            if isinstance(one, DecodeError):
                failed += 1
                progress.line(f"left out: {one}")
            else:
                if not noted:  # once, not for every image
                    noted = True
                    for note in _notes(loaded, one):
                        progress.line(note)
                progress.line(_save(one, Path(output)))
            passes.explained()
    return 1 if failed else 0


def _each(
    explained: Callable[[Index], Iterator[Explained]], index: Index, passes: _Passes
) -> Iterator[Explained | DecodeError]:
    """The images in their order; of one that cannot be decoded what is wrong with it.

    One is explained alone, which shows whether the method takes many passes. If it does not, the others go together.
    """
    from mirada.data.pixels.decode import DecodeError
    from mirada.inference.model import EXPLAINED_AT_ONCE

    first, together = 0, 1
    while first < len(index):
        found = _together(explained, index, range(first, min(first + together, len(index))))
        yield from found
        first += len(found)
        if not all(isinstance(one, DecodeError) for one in found):
            together = 1 if passes.for_each else EXPLAINED_AT_ONCE


def _together(
    explained: Callable[[Index], Iterator[Explained]], index: Index, rows: range
) -> list[Explained | DecodeError]:
    """Some images at once; each alone where one of them cannot be decoded."""
    from mirada.data.pixels.decode import DecodeError

    try:
        return list(explained(index.take(rows)))
    except DecodeError as error:
        if len(rows) == 1:
            return [error]
        return [one for row in rows for one in _together(explained, index, range(row, row + 1))]


def _notes(model: Model, seen: Explained) -> tuple[str, ...]:
    """What holds for the maps of all images: whose they are, their places, and what each sees of the input."""
    from mirada.errors import InvalidArgument
    from mirada.summary.fields import map_geometry

    remark = (f"Note: {seen.remark}.",) if seen.remark else ()
    height, width = seen.map.shape
    rows, columns = model.card.preprocessing.size
    if (height, width) == (rows, columns):  # a place for each pixel
        return remark
    try:
        places = str(map_geometry(model.network, seen.layer))
    except InvalidArgument:  # the image itself, or layers of which nobody knows what they see
        places = f"{height} × {width} places"
    return *remark, f"Maps of {seen.layer}: {places} of the {rows} × {columns} that the network reads."


def _one(images: tuple[str, ...], image: str | None, encoding: str | None) -> Source:
    """The one set of data that is judged."""
    from mirada.samples import Source

    if len(images) > 1:
        raise click.UsageError(
            "--report judges one set of data: give one folder or one table of labelled images."
        )
    return Source(path=Path(images[0]), image=image or "", encoding=encoding or "")


def _report(
    models: tuple[str, ...], data: Source, judging: Judging, boxes: str | None, output: Path, device: str
) -> int:
    """Judges the maps of the first model, beside the others, and writes the page."""
    from mirada.inference.matching import load_for
    from mirada.inference.model import load_model
    from mirada.jobs.explanations import PAGE, judge_explanations, set_aside
    from mirada.judging.boxes import boxes_at

    model = models[0]
    loaded, *others = [load_model(each, device=device) for each in models]
    found = load_for(loaded.card, data)
    index, note = set_aside(loaded, found, Path(model).resolve().with_name("splits.csv"))
    if note:
        say(note, err=True)
    own = boxes_at(Path(boxes), index) if boxes else None
    drawn = min(judging.sample, len(index))
    say(f"judging the maps of {drawn:,} of {counted(len(index), 'test image')} (seed {judging.seed})")
    with ProgressBar() as progress:
        similar = _training(model)
        judged = judge_explanations(loaded, index, judging, own, similar, others, progress.on_event)
    for item in judged.excluded:
        say(f"left out: {item.path}: {item.reason}")
    for remark in judged.page.notes:
        say(f"Note: {remark}.")
    output.mkdir(parents=True, exist_ok=True)
    with new_file(output / PAGE) as page:
        judged.write(page)
    rows = [[each.test, each.outcome, _statistic(each), f"{each.images:,}"] for each in judged.page.verdicts]
    say("", *table(["test", "verdict", "statistic and 95 % interval", "images"], rows, left=3))
    say("", f"rules, numbers and pictures: {page}")
    return 1 if judged.excluded else 0


def _training(model: str) -> TrainingFeatures | None:
    """What training has left beside the model to find similar images, if it is there and can be used."""
    from mirada.inference.similar import features_of
    from mirada.runs.folder import SIMILAR, model_file

    if not model_file(model).with_name(SIMILAR).is_file():
        return None
    try:
        return features_of(model)
    except DataError as error:
        say(f"No similar images are shown. {error}", err=True)
        return None


def _statistic(verdict: Verdict) -> str:
    """What was measured, or why nothing could be."""
    if verdict.value is None or verdict.low is None or verdict.high is None:
        return verdict.reason
    return f"{verdict.value:.3f} ({verdict.low:.3f} … {verdict.high:.3f})"


class _Passes:
    """Shows how far a method is, in passes if it takes many, else in images; says beforehand how many."""

    def __init__(self, progress: ProgressBar, images: int) -> None:
        self.progress, self.images = progress, images
        self.done = self.for_each = 0

    def on_event(self, event: Progress) -> None:
        """Hears of the passes for the next image."""
        if not self.for_each:
            self.for_each = event.total
            self.progress.line(
                f"Note: this method takes {event.total:,} passes through the network for each image."
            )
        before = self.done * event.total
        self.progress.on_event(Progress("passes", before + event.done, self.images * event.total))

    def explained(self) -> None:
        """Hears that one more image is done, or left out."""
        self.done += 1
        if not self.for_each:
            self.progress.on_event(Progress("explaining", self.done, self.images))


def _save(seen: Explained, folder: Path) -> str:
    """Writes the picture; returns what is said about it."""
    from mirada.data.pixels.arrays import container

    file = container(seen.path)
    within = seen.path.name.removeprefix(file.name).replace("#", "-")  # of an address the frame, or the row
    picture = save_drawing(seen.picture(), folder / f"{file.stem}{within}-map.png")
    error = seen.completeness_error
    sum_ = "" if error is None else f", adds up to {seen.method.adds_up_to} within {max(error, 1e-9):.0e}"
    note = f"; {seen.note}" if seen.note else ""
    return f"{picture}: {seen.answer}; {seen.subject}, {seen.title}{sum_}{note}"
