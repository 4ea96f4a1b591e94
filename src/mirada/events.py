"""What is told while work goes on: one small record for each kind of event. Words are made where they are shown."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Reason = Literal["finished", "early", "interrupted", "failed"]


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
class WeightsLoaded:
    """Weights of a file are in the network: what became of every tensor; ``text`` says it in sentences."""

    file: str
    sha256: str
    convention: str
    loaded: int
    renamed: tuple[tuple[str, str], ...]
    adapted: tuple[str, ...]
    dropped: tuple[str, ...]
    initialised: tuple[str, ...]
    replaced: tuple[str, ...]
    head_of: tuple[str, ...]
    prefix: str = ""
    entry: str = ""
    others: tuple[str, ...] = ()
    text: str


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
    """Parts of the network that do not learn, and how many parameters they have together."""

    names: tuple[str, ...]
    parameters: int
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
class BestEpoch:
    """The epoch whose weights were kept, from 1."""

    epoch: int


@dataclass(frozen=True)
class Evaluated:
    """The kept model was judged on ``n`` images of a split; None where a metric is not defined."""

    split: str
    n: int
    metrics: dict[str, float | None]


@dataclass(frozen=True)
class FoldStarted:
    """A network of a cross-validation begins, the ``fold``-th of ``folds``."""

    fold: int
    folds: int


Beginning = (
    WeightsLoaded | FirstLayerLoaded | LayersFrozen
)  # what a network starts with besides random weights
Event = (
    Progress | Started | FileExcluded | Beginning | EpochDone | Stopped | BestEpoch | Evaluated | FoldStarted
)
OnEvent = Callable[[Event], None]
OnProgress = Callable[[Progress], None]  # what hears all hears this, too
