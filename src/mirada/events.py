"""What is told while work goes on: one small record for each kind of event. Words are made where they are shown."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from mirada.text import listed, shortened

Reason = Literal["finished", "early", "interrupted", "failed"]
SHOWN = 4  # names in a sentence


@dataclass(frozen=True)
class Progress:
    """How far a long piece of work is: ``done`` of ``total``; of training also the epoch, from 1."""

    what: str
    done: int
    total: int
    epoch: int = 0


@dataclass(frozen=True, kw_only=True)
class Started:
    """Everything is prepared, and training begins.

    ``decoded`` images were not in the cache; ``counts`` are images by split and class (``classes``), or by split and
    unit; ``notes`` are the sentences on what was inferred from the data; ``augmentation`` says what may happen to a
    training image.
    """

    folder: str
    compute: str
    decoded: int
    parameters: int
    counts: dict[str, dict[str, int]]
    classes: bool = True
    split_note: str
    notes: tuple[str, ...]
    augmentation: str = ""


@dataclass(frozen=True)
class FileExcluded:
    """A file that is left out of training and evaluation, and why."""

    path: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class LoadReport:
    """Weights of a file are in the network: every tensor of the file is counted or named here.

    ``file`` is the file's name and ``sha256`` its digest; ``convention`` is whose names it uses and ``loaded`` how
    many tensors were copied. ``renamed`` are pairs (name in the file, name in the network). ``adapted`` were copied
    after their kernels were summed over red, green and blue, for grey images. ``dropped`` were left out: auxiliary
    heads that the network lacks, and batch norm's counters. ``initialised`` were not in the file and ``replaced``
    had another size there; both keep the values that the network was built with. ``head_of`` are the classes, or the
    numbers, that a head which was loaded was trained for, where they are known to be others. ``prefix`` stood before
    every name, and ``entry`` is the part of the file that was taken, where ``others`` are weights as well. ``name``,
    ``data`` and ``licence`` are what a catalogue knows of public weights, ``expects`` is what pixels have to be for
    them, in words, and ``turned`` says that their first kernels, which expect blue before green before red, were turned
    round. ``folded`` are biases that became a part of the means behind them. ``text`` says it all in sentences, a line
    for what was loaded and one for each kind of exception.
    """

    file: str
    sha256: str
    convention: str
    loaded: int
    renamed: tuple[tuple[str, str], ...]
    adapted: tuple[str, ...]
    dropped: tuple[str, ...]
    initialised: tuple[str, ...]
    replaced: tuple[str, ...]
    head_of: tuple[str, ...] = ()
    prefix: str = ""
    entry: str = ""
    others: tuple[str, ...] = ()
    name: str = ""
    data: str = ""
    licence: str = ""
    expects: str = ""
    turned: bool = False
    folded: tuple[str, ...] = ()
    text: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", _told(self))

    @property
    def whole(self) -> bool:
        """Whether every tensor of the file is in the network as it was, and every one of the network's from it."""
        return not (self.adapted or self.dropped or self.initialised or self.replaced or self.others)

    def __str__(self) -> str:
        return self.text


def _told(report: LoadReport) -> str:
    """A line for what was loaded, and one for each kind of exception."""
    exceptions = {
        "summed over red, green and blue, for grey images": report.adapted,
        "left out": report.dropped,
        "biases, taken from the means of the batch normalization behind them": report.folded,
        "not in the file, newly drawn": report.initialised,
        "of another size in the file, newly drawn": report.replaced,
        "the head was loaded, though it was trained for": report.head_of,
        "taken off the beginning of every name": (report.prefix,) if report.prefix else (),
        f"{report.entry} was taken; the file also holds": report.others,
    }
    named = {what: [shortened(name) for name in names] for what, names in exceptions.items()}
    first = (
        f"{report.file}: {report.loaded} tensors loaded by {report.convention} names, "
        f"{len(report.renamed)} renamed."
    )
    known = f"  {report.name}, trained on {report.data}; licence {report.licence}; SHA-256 {report.sha256}"
    turned = "  the first kernels were turned round, from blue, green, red to red, green, blue"
    expects = f"  they expect {report.expects}"
    lines = [first]
    lines += [known] if report.name else []
    lines += [expects] if report.expects else []
    lines += [turned] if report.turned else []
    return "\n".join(
        [*lines, *(f"  {what}: {listed(shown, SHOWN)}" for what, shown in named.items() if shown)]
    )


@dataclass(frozen=True, kw_only=True)
class FirstLayerLoaded:
    """The first layer is that of another network's file; ``summed`` over its colours, for grey images."""

    file: str
    sha256: str
    tensor: str
    summed: bool
    text: str


@dataclass(frozen=True, kw_only=True)
class LayersFrozen:
    """Parts of the network that do not learn, and how many parameters they have together.

    ``place`` is the last one of those that the images enter first; empty if the first one learns.
    """

    names: tuple[str, ...]
    parameters: int
    place: str = ""
    text: str


@dataclass(frozen=True, kw_only=True)
class LayersThawed:
    """Frozen parts of the network that learn from an epoch on, and how many parameters they have together."""

    epoch: int
    names: tuple[str, ...]
    parameters: int
    text: str


@dataclass(frozen=True)
class SlicesHalved:
    """The device's memory was too small for so many images at once; from then on there are fewer."""

    before: int
    after: int
    text: str


@dataclass(frozen=True, kw_only=True)
class FeaturesPlanned:
    """What frozen parts make of the images: computed once and kept in ``folder``, or, where that is empty, each time.

    ``missing`` of ``rows`` rows, of ``row_bytes`` bytes each, are still to be computed.
    """

    place: str
    rows: int
    missing: int
    row_bytes: int
    folder: str
    text: str


@dataclass(frozen=True)
class HowToRead:
    """What must be known to read the figures of a run, a line each: averaged weights, mixed labels."""

    text: str


@dataclass(frozen=True, kw_only=True)
class EpochDone:
    """An epoch is trained and validated. ``metrics`` are those of the validation images, ``best`` whether it leads."""

    epoch: int
    seconds: float
    images_per_second: float
    lr: float
    train_loss: float
    val_loss: float
    metrics: dict[str, float | None]
    best: bool = False


@dataclass(frozen=True)
class Stopped:
    """Training has ended, after so many whole epochs; ``text`` says what failed, or what was interrupted."""

    reason: Reason
    epochs: int = 0
    text: str = ""


@dataclass(frozen=True)
class Resumed:
    """A run that was stopped goes on after so many steps and whole epochs; ``text`` says from what, and what is odd."""

    step: int
    epochs: int
    text: str


@dataclass(frozen=True)
class NotSaved:
    """The disk did not take something; training goes on, and tries again. ``text`` says what, and why."""

    text: str


@dataclass(frozen=True)
class BestEpoch:
    """The epoch whose weights were kept, from 1."""

    epoch: int


@dataclass(frozen=True)
class Evaluated:
    """The kept model was judged on ``n`` images of a split; None where a metric is not defined.

    ``trained_on`` of them taught the weights that it began with: where there are some, this is no honest test.
    ``constant`` of the ``networks`` that were judged together give the same answer whatever the image.
    """

    split: str
    n: int
    metrics: dict[str, float | None]
    trained_on: int = 0
    constant: int = 0
    networks: int = 1


@dataclass(frozen=True)
class ThresholdChosen:
    """The threshold of one class was chosen on the validation images; ``text`` says all of it."""

    positive: str
    value: float
    text: str


@dataclass(frozen=True)
class SeedStarted:
    """A run of several that differ in their seed alone begins, the ``number``-th of ``seeds``.

    Args:
        seed: Its seed.
        number: From 1.
        seeds: How many there are.
    """

    seed: int
    number: int
    seeds: int


@dataclass(frozen=True)
class FoldStarted:
    """A network of a cross-validation begins, the ``fold``-th of ``folds``."""

    fold: int
    folds: int


# What a network starts with besides random weights, what of it is kept, and how that is to be read.
Beginning = (
    LoadReport | FirstLayerLoaded | LayersFrozen | LayersThawed | SlicesHalved | FeaturesPlanned | HowToRead
)
Event = (
    Progress | Started | FileExcluded | Beginning | EpochDone | Stopped | BestEpoch | Evaluated
    | ThresholdChosen | FoldStarted | SeedStarted | Resumed | NotSaved
)  # fmt: skip
OnEvent = Callable[[Event], None]
OnProgress = Callable[[Progress], None]  # what hears all hears this, too
