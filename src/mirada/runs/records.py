"""What the JSON files of a run folder hold, a record for each; their type hints are the files' schema."""

from dataclasses import dataclass
from typing import Literal

from mirada.evaluation.evaluate import Measured
from mirada.events import FileExcluded
from mirada.samples import Source

Section = Literal["typical", "uncertain", "wrong"]


@dataclass(frozen=True, kw_only=True)
class EnvironmentRecord:
    """Where a run was made: ``environment.json``, written at the start; ``seconds`` are added at its end."""

    command: str
    mirada: str | None = None
    torch: str | None = None
    numpy: str | None = None
    python: str | None = None
    platform: str | None = None
    processor: str | None = None
    threads: int | None = None
    processes: int | None = None
    device: str | None = None
    precision: str | None = None
    started: str | None = None
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class JobRecord:
    """What it takes to begin a run again: ``job.json``, the first file of its folder.

    Args:
        recipe: As TOML, as it was asked for: before anything in it followed from the data.
        source: The data and what was said of their columns; None for an index that was made by hand.
        place: The working folder, which file names in the recipe may be relative to.
        folds: How many networks a cross-validation trains; 0 for none.
        seeds: How many runs there are that differ in their seed; 0 for one run alone.
        depths: Of the degradation experiment, the layers of its shallow and of its deep networks.
    """

    recipe: str
    source: Source | None
    place: str
    folds: int = 0
    seeds: int = 0
    depths: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DigestsRecord:
    """SHA-256 of all that a finished run has come to: ``digests.json``, its last file. "" is what several do not have.

    Args:
        weights: Of the network after the last step, its buffers among them.
        optimizer: Of what the optimizer remembers then.
        state: Of all else that a step changes: the average of the weights, how far training is.
        curves: Of ``results.csv`` without the columns that tell of time.
        best: Of the tensors of the model that is kept.
        predictions: Of ``predictions.csv``.
    """

    weights: str = ""
    optimizer: str = ""
    state: str = ""
    curves: str = ""
    best: str = ""
    predictions: str = ""


@dataclass(frozen=True)
class MemberRecord:
    """One run of several, of a fold or a seed: its folder, how many images tested it, the epoch kept, its metrics.

    ``trained_on`` of the images taught the weights that it began with.
    """

    folder: str
    n: int
    epoch: int
    metrics: tuple[Measured, ...]
    trained_on: int = 0


@dataclass(frozen=True, kw_only=True)
class DataRecord:
    """The data of a run: ``data.json``.

    ``name`` is what they are called, ``root`` the folder of the images. ``counts`` are images by split and class; of
    numbers, whose ``classes`` are none, the class is the unit. ``groups`` is how many there are.
    """

    name: str = ""
    root: str
    task: Literal["classification", "regression"]
    classes: tuple[str, ...]
    unit: str
    target_names: tuple[str, ...] = ()
    covariate_names: tuple[str, ...] = ()
    groups: int = 0
    counts: dict[str, dict[str, int]]
    excluded: tuple[FileExcluded, ...]
    split_note: str
    notes: tuple[str, ...] = ()
    folds: tuple[MemberRecord, ...] = ()
    seeds: tuple[MemberRecord, ...] = ()

    @property
    def numeric(self) -> bool:
        """Whether the target is a number, or several."""
        return not self.classes


@dataclass(frozen=True, kw_only=True)
class NetworkRecord:
    """The network of a run: ``model.json``. ``image`` is channels, height, width; ``summary`` the table of layers."""

    name: str
    parameters: int
    macs: int | None
    image: tuple[int, ...]
    preprocessing: str
    summary: str


@dataclass(frozen=True, kw_only=True)
class SheetRecord:
    """What ``samples.jpg`` shows: ``samples.json``.

    Args:
        columns: Tiles in a row.
        width: Of a tile, in pixels of the network's input; the picture may be enlarged.
        height: Of a tile.
        gap: Between tiles.
        labels: The class or number of each tile, row by row.
    """

    columns: int
    width: int
    height: int
    gap: int
    labels: tuple[str, ...]


@dataclass(frozen=True)
class SimilarRecord:
    """A training image that the network finds similar to an explained one: its label, the cosine, its small picture.

    The picture is "" where the image could not be read any more.
    """

    path: str
    target: str
    cosine: float
    image: str


@dataclass(frozen=True, kw_only=True)
class MapRecord:
    """An explained image of ``maps.json``: the answer, and the files of the photo and of the map over it.

    ``note`` is on this map alone; ``remark``, the same for all maps of a run, says why they are of another layer than
    the one before the head, and is empty where they are not. ``similar`` are training images, the nearest first.
    """

    section: Section
    path: str
    split: str
    target: str | float | None
    predicted: str | float
    probability: float | None
    explained: str
    method: str
    limit: float
    unit: str
    note: str
    image: str
    overlay: str
    remark: str = ""
    similar: tuple[SimilarRecord, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """All pictures that belong to it, within the run folder."""
        return (self.image, self.overlay, *(each.image for each in self.similar if each.image))


@dataclass(frozen=True)
class CellImage:
    """An image of a cell of the confusion matrix: its file, the probability of the answer, its small picture."""

    path: str
    probability: float
    image: str


@dataclass(frozen=True)
class CellRecord:
    """Some images of a cell of ``cells.json``, those of class ``true`` that were given to class ``predicted``."""

    true: str
    predicted: str
    images: tuple[CellImage, ...]
