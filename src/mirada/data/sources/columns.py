"""What a table's columns are to be, as the caller says (``Wanted``), and what they are (``Columns``)."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mirada.data.sources.names import UNGROUPED
from mirada.errors import InvalidArgument, nearest
from mirada.samples import Classes, Covariate, Numbers, Source

Kind = type[Classes] | type[Numbers]
KINDS: dict[str, Kind] = {"classification": Classes, "regression": Numbers}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the caller says of a table's columns; what is None or empty is inferred, or not used.

    If ``unlabeled``, the table needs no target, and none is read; if ``ungrouped``, nothing is grouped, whatever the
    data say. ``kind`` is what the target is to be, ``read`` the covariates of a model, which say how to read theirs;
    ``encoding`` is that of the table's text.
    """

    target: tuple[str, ...] = ()
    image: str | None = None
    group: str | None = None
    split: str | None = None
    covariates: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    kind: Kind | None = None
    read: tuple[Covariate, ...] = ()
    encoding: str | None = None
    unlabeled: bool = False
    ungrouped: bool = False

    def columns(self) -> tuple[str, ...]:
        """The arguments that name a column."""
        named = {
            "target": self.target, "image": self.image, "group": self.group,
            "split": self.split, "covariates": self.covariates, "by": self.by,
        }  # fmt: skip
        return tuple(argument for argument, value in named.items() if value)

    def source(self, path: Path) -> Source:
        """How to load ``path`` again in the same way."""
        return Source(
            path=path,
            image=self.image or "",
            targets=self.target,
            group=UNGROUPED if self.ungrouped else self.group or "",
            split=self.split or "",
            covariates=self.covariates,
            task=self.kind().task if self.kind else None,
            encoding=self.encoding or "",
            by=self.by,
        )


def wanted_kind(task: str | None) -> Kind | None:
    """What a target is to be, by the task that was stated. Raises ``InvalidArgument`` for an unknown one."""
    if task is not None and task not in KINDS:
        raise InvalidArgument(f'There is no task called "{task}". {nearest(task, KINDS)}')
    return KINDS[task] if task else None


class Place(NamedTuple):
    """A column of a table: its number, its name without unit, the unit, and what stands behind its name.

    That is the value that the covariate ``site=A`` asks for, or the ranges of ``age=0..5..10``.
    """

    column: int
    name: str
    unit: str = ""
    value: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.unit})" if self.unit else self.name


class BoxColumns(NamedTuple):
    """The columns of a table of boxes."""

    sides: tuple[int, int, int, int]
    label: int


@dataclass(frozen=True)
class Columns:
    """Which columns are what.

    Args:
        image: That of the images' files.
        targets: What is to be learnt; a column of yes and no for each class if ``marked``.
        by: By what a model is judged apart.
        boxes: The columns of a table with a row for each box.
        notes: What was found and is not used.
    """

    image: Place
    targets: tuple[Place, ...]
    group: Place | None
    split: Place | None
    covariates: tuple[Place, ...]
    by: tuple[Place, ...] = ()
    marked: bool = False
    boxes: BoxColumns | None = None
    notes: tuple[str, ...] = ()

    def names(self) -> dict[str, tuple[str, ...]]:
        """What to call the image, the targets and the group, to find them in a table again."""
        places = {
            "image": (self.image,),
            "target": self.targets,
            "group": (self.group,) if self.group else (),
        }
        return {role: tuple(map(str, found)) for role, found in places.items() if found}
