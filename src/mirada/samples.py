"""The nouns of a data set, which every room shares: what is to be learnt, what is known beside an image, the samples.

NumPy only; nothing here reads a file or knows of a network.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from mirada.errors import DataError, InvalidArgument

Task = Literal["classification", "regression"]
Values = NDArray[np.int64] | NDArray[np.float64]
Rows = Sequence[int] | NDArray[np.int64]

SPLITS = ("train", "val", "test")
SPLIT_NAMES = {
    "train": "train", "training": "train", "training_set": "train",
    "val": "val", "valid": "val", "validate": "val", "validation": "val", "validation_set": "val",
    "test": "test", "testing": "test", "test_set": "test",
}  # fmt: skip  # what folders and columns call them, in lower case
UNKNOWN_CLASS = -1
MOST_PARTS = 20  # different words of a column by which a model is judged apart
OUTSIDE = "(outside)"  # the word of a number that lies in none of the ranges by which a model is judged apart
LEADING = re.compile(r"-?\d+(\.\d+)?", re.ASCII)
WORD_BAR = "|"  # between the two words of a covariate: sex=M|F
TRUTH = {"false": 0.0, "no": 0.0, "n": 0.0, "true": 1.0, "yes": 1.0, "y": 1.0}


@dataclass(frozen=True)
class Excluded:
    """A file that is left out, and why. ``path`` is relative to the index's root."""

    path: str
    reason: str


@dataclass(frozen=True)
class Box:
    """A labelled rectangle in an image, in pixels of the upright image, ends not included."""

    label: str
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Classes:
    """One class of several per image. Values are class numbers (N,), int64, negative where unknown."""

    names: tuple[str, ...] = ()

    @property
    def task(self) -> Task:
        """What files and messages call it."""
        return "classification"

    @property
    def width(self) -> int:
        """Columns of what is predicted: a probability per class."""
        return len(self.names)

    def values(self, values: Values) -> NDArray[np.int64]:
        """The values as they are kept. Raises ``DataError`` for what is no class number."""
        if values.dtype.kind not in "iu":
            raise DataError(f"The targets of a classifier must be class numbers (int64). Got {values.dtype}.")
        return values.astype(np.int64, copy=False)

    def shape(self, count: int) -> tuple[int, ...]:
        """That of the values of ``count`` samples."""
        return (count,)

    def unknown(self, count: int) -> NDArray[np.int64]:
        """The values of samples of which none is known."""
        return np.full(count, UNKNOWN_CLASS, dtype=np.int64)

    def known(self, values: Values) -> NDArray[np.bool_]:
        """Whether a sample's class is known. (N,)"""
        return np.asarray(values >= 0)


@dataclass(frozen=True)
class Numbers:
    """One number per image, or several at once. Values are (N, T), float64, NaN where unknown.

    Args:
        names: Of the T numbers, in order; one number alone need not have a name ("").
        unit: Of all of them, "" if they have none or not the same.
    """

    names: tuple[str, ...] = ("",)
    unit: str = ""

    @property
    def task(self) -> Task:
        """What files and messages call it."""
        return "regression"

    @property
    def width(self) -> int:
        """Columns of what is predicted: T."""
        return len(self.names)

    @property
    def several(self) -> tuple[str, ...]:
        """The names, where they are needed to tell the numbers apart."""
        return self.names if len(self.names) > 1 else ()

    def values(self, values: Values) -> NDArray[np.float64]:
        """The values as they are kept; those of one number may come as (N,)."""
        column = values[:, np.newaxis] if values.ndim == 1 and len(self.names) == 1 else values
        return column.astype(np.float64, copy=False)

    def shape(self, count: int) -> tuple[int, ...]:
        """That of the values of ``count`` samples."""
        return (count, len(self.names))

    def unknown(self, count: int) -> NDArray[np.float64]:
        """The values of samples of which none is known."""
        return np.full((count, len(self.names)), np.nan)

    def known(self, values: Values) -> NDArray[np.bool_]:
        """Whether a sample's number is known, and all of them where there are several. (N,)"""
        return np.asarray(~np.isnan(values).any(axis=1))


Target = Classes | Numbers


@dataclass(frozen=True)
class Covariate:
    """A number that is known beside each image, such as the age, or the sex as 0 and 1.

    Args:
        column: Its name.
        one: The word that is 1, for a column of words.
        other: The word that is 0; "" where every other word is 0.
        binary: Whether a column of numbers holds 0 and 1 alone, so that yes and no may be said instead.
    """

    column: str
    one: str = ""
    other: str = ""
    binary: bool = False

    @property
    def label(self) -> str:
        """As one word: ``age``, ``sex=M|F``, ``site=A``."""
        if not self.one:
            return self.column
        return f"{self.column}={self.one}{WORD_BAR if self.other else ''}{self.other}"

    @classmethod
    def parse(cls, label: str) -> "Covariate":
        """The inverse of ``label``.

        >>> Covariate.parse("sex=M|F")
        Covariate(column='sex', one='M', other='F', binary=False)
        """
        column, _, words = label.partition("=")
        one, _, other = words.partition(WORD_BAR)
        return cls(column, one, other)

    def indicated(self, word: str) -> float:
        """1 for the first of two words and 0 for the second, NaN for any other; of one word alone, 0 for all else.

        >>> Covariate("sex", "M", "F").indicated("F"), Covariate("site", "A").indicated("B")
        (0.0, 0.0)
        """
        if self.other and word not in (self.one, self.other):
            return math.nan
        return float(word == self.one)

    def stated(self, value: float | str) -> float:
        """The number, where ``value`` is said of all images.

        Raises ``InvalidArgument`` for a word that is neither of the two, or for what is no number.
        """
        if self.one:
            number = self.indicated(str(value))
            if math.isnan(number):
                raise InvalidArgument(
                    f'The covariate "{self.column}" is {self.one} or {self.other}. Got "{value}".'
                )
            return number
        truth = TRUTH.get(str(value).lower()) if self.binary else None
        try:
            return float(value) if truth is None else truth
        except ValueError as error:
            raise InvalidArgument(f'The covariate "{self.label}" is a number. Got "{value}".') from error


@dataclass(frozen=True)
class Scaling:
    """One mean and standard deviation per column: scaled = (value − mean) / std, in float64."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        numbers = (*self.mean, *self.std)
        if (
            len(self.mean) != len(self.std)
            or not all(map(math.isfinite, numbers))
            or min(self.std, default=1) <= 0
        ):
            raise InvalidArgument(
                f"A Scaling needs as many means as standard deviations, all finite, std above 0. Got {self}."
            )

    def forward(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values (N, K) in standard deviations from the mean."""
        return np.asarray((values - np.array(self.mean)) / np.array(self.std))

    def inverse(self, scaled: NDArray[np.float64]) -> NDArray[np.float64]:
        """The inverse of ``forward``."""
        return np.asarray(scaled * np.array(self.std) + np.array(self.mean))


@dataclass(frozen=True, kw_only=True)
class Source:
    """What data were loaded from, and how to load them again.

    Args:
        path: A folder, a table, a file of arrays.
        image: The column that names the images, "" where there is none.
        targets: The columns of the target, or targets.
        group: The column of groups.
        split: The column of splits, or a file of them.
        covariates: Their labels.
        task: The task, if it was stated and not inferred.
        encoding: That of a table's text, if it was stated and not found.
        by: The columns by whose words a model is judged apart.
    """

    path: Path
    image: str = ""
    targets: tuple[str, ...] = ()
    group: str = ""
    split: str = ""
    covariates: tuple[str, ...] = ()
    task: Task | None = None
    encoding: str = ""
    by: tuple[str, ...] = ()


def part_order(word: str) -> tuple[bool, bool, float, str]:
    """By which parts stand in order: by the number that a word begins with, then by letters; what says nothing is last.

    >>> sorted(["10..18", "", "(outside)", "5..10", "..5", "A"], key=part_order)
    ['..5', '5..10', '10..18', 'A', '(outside)', '']
    """
    begins = LEADING.match(word)
    place = float(begins[0]) if begins else -math.inf if word.startswith("..") else math.inf
    return not word, word == OUTSIDE, place, word


def _no_numbers() -> NDArray[np.float64]:
    return np.empty((0, 0))


def _taken(column: Any, rows: NDArray[np.int64]) -> Any:
    """These rows of a column, an array or a tuple, which may be empty where nothing is known."""
    if isinstance(column, np.ndarray):
        return column[rows]
    return tuple(column[row] for row in rows.tolist()) if column else ()


def _joined(columns: Sequence[Any]) -> Any:
    """One column, an array or a tuple, of the columns of several tables."""
    if isinstance(columns[0], np.ndarray):
        return np.concatenate(columns)
    return tuple(chain.from_iterable(columns))


@dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """A table with a row per image.

    Args:
        paths: Their files (N,), with ``/``.
        splits: ``train``, ``val``, ``test`` or "" per row (N,).
        target: What is to be learnt.
        targets: Its values, as the target says.
        groups: What must not be divided between splits, such as the patient: none, or one per row.
        covariates: The K numbers that are known beside each image (N, K).
        covariate_specs: What they are.
        by: The words of the columns by which a model is judged apart, such as the site, "" where nothing is said:
            none, or one tuple per row.
        by_names: What these columns are called.

    Raises:
        DataError: The columns do not fit each other.
    """

    paths: tuple[str, ...]
    splits: NDArray[np.str_]
    target: Target = Classes()
    targets: Values
    groups: tuple[str, ...] = ()
    covariate_specs: tuple[Covariate, ...] = ()
    covariates: NDArray[np.float64] = field(default_factory=_no_numbers)
    by: tuple[tuple[str, ...], ...] = ()
    by_names: tuple[str, ...] = ()

    PER_ROW: ClassVar[tuple[str, ...]] = ("paths", "splits", "targets", "groups", "covariates", "by")

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", self.target.values(self.targets))
        object.__setattr__(self, "splits", np.asarray(self.splits, dtype=np.str_))
        if not self.covariate_specs:
            object.__setattr__(self, "covariates", np.empty((len(self.paths), 0)))
        self._require_columns()

    def _require_columns(self) -> None:
        """Raises ``DataError`` unless the columns have one row each."""
        count, name = len(self.paths), type(self).__name__
        shape = self.target.shape(count)
        if self.targets.shape != shape or self.splits.shape != (count,):
            raise DataError(
                f"The columns of {name} must have the same length: for {count} paths, targets {shape} and {count} "
                f"splits. Got targets {self.targets.shape} and {len(self.splits)} splits."
            )
        unknown = set(np.unique(self.splits)) - {*SPLITS, ""}
        if unknown:
            raise DataError(f"A split is called train, val or test. Got {', '.join(sorted(unknown))}.")
        expected = (count, len(self.covariate_specs))
        if self.covariates.shape != expected:
            raise DataError(f"The covariates of {name} must be {expected}. Got {self.covariates.shape}.")
        if len(self.groups) not in (0, count):
            raise DataError(
                f"The groups of {name} must be none or one per row. Got {len(self.groups)} groups and {count} paths."
            )
        if len(self.by) != (count if self.by_names else 0) or {*map(len, self.by)} - {len(self.by_names)}:
            raise DataError(
                f"`by` of {name} must have {len(self.by_names)} words for each of {count} rows. Got {len(self.by)} "
                f"rows."
            )

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def known(self) -> NDArray[np.bool_]:
        """Whether the target of a row is known, and all of them where there are several. (N,)"""
        return self.target.known(self.targets)

    @property
    def covariate_names(self) -> tuple[str, ...]:
        """The labels of the covariates."""
        return tuple(covariate.label for covariate in self.covariate_specs)

    def rows(self, split: str) -> NDArray[np.int64]:
        """The row numbers of one split.

        Args:
            split: ``train``, ``val`` or ``test``; "" for rows of none.

        Returns:
            Row numbers (n,), in order.
        """
        return np.flatnonzero(self.splits == split)

    def take(self, rows: Rows) -> Self:
        """Some rows of the table.

        Args:
            rows: Row numbers (n,), in the order wanted.

        Returns:
            A table of these rows only.
        """
        chosen = np.asarray(rows, dtype=np.int64)
        return replace(self, **{name: _taken(getattr(self, name), chosen) for name in self.PER_ROW})

    @classmethod
    def joined(cls, tables: Sequence[Self]) -> Self:
        """The rows of several tables of the same columns, one table after the other.

        Args:
            tables: At least one; all but the rows is as in the first.

        Returns:
            One table.
        """
        columns = {name: [getattr(table, name) for table in tables] for name in cls.PER_ROW}
        return replace(tables[0], **{name: _joined(parts) for name, parts in columns.items()})

    # What rooms still ask for by parts of the target.

    @property
    def task(self) -> Task:
        """``classification`` or ``regression``."""
        return self.target.task

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes' names, in order; none for numbers."""
        return self.target.names if isinstance(self.target, Classes) else ()

    @property
    def unit(self) -> str:
        """The unit of the numbers; "" for classes."""
        return self.target.unit if isinstance(self.target, Numbers) else ""

    @property
    def target_names(self) -> tuple[str, ...]:
        """The names of several numbers; none for one number, or classes."""
        return self.target.several if isinstance(self.target, Numbers) else ()
