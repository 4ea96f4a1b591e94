"""Which column of a table is what: named by the caller, or found by what it holds."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import NamedTuple, get_args

from mirada.data.pixels.arrays import container
from mirada.data.pixels.decode import EXTENSIONS
from mirada.data.sources.tables import Table
from mirada.data.sources.values import is_missing, name_and_unit
from mirada.errors import DataError, InvalidArgument, nearest
from mirada.samples import SPLIT_NAMES, Source, Task

SAMPLED = 200  # rows that decide which column holds the images
SPLIT_HEADERS = frozenset(("partition", "set", "split", "subset"))


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the caller says of a table's columns; what is None or empty is inferred, or not used.

    If ``unlabeled``, the table needs no target, and none is read. Raises ``InvalidArgument`` for an unknown task.
    """

    target: tuple[str, ...] = ()
    image: str | None = None
    group: str | None = None
    split: str | None = None
    covariates: tuple[str, ...] = ()
    task: Task | None = None
    unlabeled: bool = False

    def __post_init__(self) -> None:
        if self.task not in (None, *get_args(Task)):
            unknown = str(self.task)
            raise InvalidArgument(f'There is no task called "{unknown}". {nearest(unknown, get_args(Task))}')

    def columns(self) -> tuple[str, ...]:
        """The arguments that name a column."""
        named = {
            "target": self.target, "image": self.image, "group": self.group, "split": self.split,
            "covariates": self.covariates,
        }  # fmt: skip
        return tuple(argument for argument, value in named.items() if value)

    def source(self, path: Path) -> Source:
        """How to load ``path`` again in the same way."""
        return Source(
            path=path,
            image=self.image or "",
            targets=self.target,
            group=self.group or "",
            split=self.split or "",
            covariates=self.covariates,
            task=self.task,
        )


class Place(NamedTuple):
    """A column of a table: its number, its name without unit, the unit, and the value that ``site=A`` asks for."""

    column: int
    name: str
    unit: str = ""
    value: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.unit})" if self.unit else self.name


@dataclass(frozen=True)
class Roles:
    """Which columns are what; ``notes`` name those that look like splits and are not used."""

    image: Place
    targets: tuple[Place, ...]
    group: Place | None
    split: Place | None
    covariates: tuple[Place, ...]
    notes: tuple[str, ...] = ()

    def columns(self) -> dict[str, tuple[str, ...]]:
        """What to call the image, the targets and the group, to find them in a table again."""
        places = {
            "image": (self.image,),
            "target": self.targets,
            "group": (self.group,) if self.group else (),
        }
        return {role: tuple(map(str, found)) for role, found in places.items() if found}


@dataclass(frozen=True)
class Files:
    """The images that a table's cells name, relative to its folder."""

    folder: Path

    def find(self, cell: str) -> str | None:
        """The path of a cell's file, if it is there; of a bare name also one folder below, or without extension."""
        return self.exactly(cell) or (self._by_name.get(cell) if "/" not in cell else None)

    def exactly(self, cell: str) -> str | None:
        r"""The path of a cell's file, if it is where the cell says; the \ of Windows is read as / where that helps."""
        for text in dict.fromkeys((cell, cell.replace("\\", "/"))):
            path = PurePosixPath(text)
            try:
                if container(self.folder / path).is_file():
                    return self._inside(path).as_posix()
            except (OSError, ValueError):  # a text that can be no path
                continue
        return None

    def _inside(self, path: PurePosixPath) -> PurePosixPath:
        """Relative to the folder, if it lies there, so that the folder may be moved."""
        return path.relative_to(self._whole) if path.is_relative_to(self._whole) else path

    @cached_property
    def _whole(self) -> str:
        return self.folder.resolve().as_posix()

    @cached_property
    def images(self) -> tuple[str, ...]:
        """The paths of the images here and one folder below, sorted."""
        found = [
            file.relative_to(self.folder).as_posix()
            for pattern in ("*", "*/*")
            for file in self.folder.glob(pattern)
            if file.suffix.lower() in EXTENSIONS and not file.name.startswith(".")
        ]
        return tuple(sorted(found))

    @cached_property
    def _by_name(self) -> dict[str, str | None]:
        """Paths by the name with and without extension; None where two share one."""
        found: dict[str, str | None] = {}
        for path in self.images:
            for name in {PurePosixPath(path).name, PurePosixPath(path).stem}:
                found[name] = None if name in found else path
        return found


def find_roles(table: Table, wanted: Wanted, files: Files) -> Roles:
    """Finds every column that is wanted, and infers those that are not named.

    The image column is the first that names images; the split column one called so that names a split anywhere; the
    target the first free column after the image, or else before it, that is not called a split.

    Raises ``DataError`` for a column that is not there, cannot be found or is to be two things at once.
    """
    covariates = tuple(_covariate_place(table, name) for name in _one_or_several(table, wanted.covariates))
    group = find_column(table, wanted.group) if wanted.group else None
    targets = tuple(find_column(table, name) for name in _one_or_several(table, wanted.target))
    taken = {place.column for place in (*covariates, *targets, *((group,) if group else ()))}
    image = find_column(table, wanted.image) if wanted.image else _image_place(table, files, taken)
    taken.add(image.column)
    called_split = () if wanted.split else _called_split(table, taken)
    split = find_column(table, wanted.split) if wanted.split else _first_with_splits(table, called_split)
    taken |= {place.column for place in (*called_split, *((split,) if split else ()))}
    _require_apart(table, (
        ("the image", image), *(("the target", place) for place in targets), ("the group", group), ("the split", split),
        *(("a covariate", place) for place in covariates),
    ))  # fmt: skip
    notes = tuple(_unused(place, split) for place in called_split if place is not split)
    if not targets and not wanted.unlabeled:
        targets = (_next_free(table, image, taken),)
    return Roles(image, targets, group, split, covariates, notes)


def find_column(table: Table, name: str) -> Place:
    """The column of this name: exactly, or else without regard to capitals or to a unit behind either name.

    ``age`` finds ``age (months)``; ``age (months)`` finds ``age`` and says its unit. Raises ``DataError`` otherwise.
    """
    base, unit = name_and_unit(name)
    ways: tuple[tuple[object, Callable[[str], object]], ...] = (
        (name, lambda column: column),
        (name.lower(), str.lower),
        (name.lower(), lambda column: name_and_unit(column)[0].lower()),
        (base.lower(), str.lower),
        ((base, unit), name_and_unit),  # length (mm) is length_mm
    )
    for wanted, seen in ways:
        columns = [number for number, column in enumerate(table.columns) if seen(column) == wanted]
        if len(columns) == 1:
            own_name, own_unit = name_and_unit(table.columns[columns[0]])
            return Place(columns[0], own_name, unit or own_unit)
    by_base = {name_and_unit(column)[0].lower(): column for column in table.columns}
    close = get_close_matches(base.lower(), by_base, n=1, cutoff=0.5)
    hint = f'Did you mean "{by_base[close[0]]}"? ' if close else ""
    raise DataError(f'{table.name}: has no column "{name}". {hint}Known: {", ".join(sorted(table.columns))}.')


def _require_apart(table: Table, named: Iterable[tuple[str, Place | None]]) -> None:
    """Raises ``DataError`` if the image or a target is something else as well, or a target is named twice."""
    roles: dict[int, str] = {}
    for role, place in ((role, place) for role, place in named if place):
        column, before = table.columns[place.column], roles.get(place.column)
        if before == role == "the target":
            raise DataError(f'{table.name}: the column "{column}" is named twice among the targets.')
        if before in ("the image", "the target"):
            raise DataError(f'{table.name}: the column "{column}" cannot be both {before} and {role}.')
        roles[place.column] = role


def _one_or_several(table: Table, names: tuple[str, ...]) -> Iterator[str]:
    """The names; one that is no column but has commas is several."""
    for name in names:
        if name in table.columns:
            yield name
        else:
            yield from (part.strip() for part in name.split(",") if part.strip())


def _covariate_place(table: Table, name: str) -> Place:
    column, equals, value = name.partition("=")
    if name in table.columns or not equals:
        return find_column(table, name)
    return find_column(table, column)._replace(value=value)


def _image_place(table: Table, files: Files, taken: set[int]) -> Place:
    """The first column of image files; or else of their names, which may lie one folder below or lack the extension.

    One that is ``taken`` comes last: it is found so that the caller can be told that it cannot be both.
    """

    def named(cell: str) -> bool:
        return Path(cell).suffix.lower() in EXTENSIONS or files.exactly(cell) is not None

    free = [column for column in range(len(table.columns)) if column not in taken]
    for columns in (free, sorted(taken)):
        for is_image, share in ((named, 0.5), (lambda cell: files.find(cell) is not None, 0.9)):
            for column in columns:
                cells = [cell for cell in table.cells(column)[:SAMPLED] if not is_missing(cell)]
                if cells and sum(map(is_image, cells)) >= share * len(cells):
                    return Place(column, table.columns[column])
    raise DataError(
        f"{table.name}: no column names image files. Name it with `image`, if the files are there: paths are relative "
        f"to {files.folder}. Columns: {', '.join(table.columns)}."
    )


def _called_split(table: Table, taken: set[int]) -> tuple[Place, ...]:
    """The free columns that are called split, or the like."""
    return tuple(
        Place(column, name)
        for column, name in enumerate(table.columns)
        if column not in taken and name.lower() in SPLIT_HEADERS
    )


def _first_with_splits(table: Table, places: tuple[Place, ...]) -> Place | None:
    """The first that names a split; a word in it that names none is then a slip, and is refused when it is read."""
    return next((p for p in places if any(c.lower() in SPLIT_NAMES for c in table.cells(p.column))), None)


def _unused(place: Place, split: Place | None) -> str:
    why = f"since {split.name} is" if split else "which has no split words (train, val, test)"
    return f"not used: {place.name}, {why}"


def _next_free(table: Table, image: Place, taken: set[int]) -> Place:
    after = [*range(image.column + 1, len(table.columns)), *range(image.column)]
    for column in (column for column in after if column not in taken):
        return Place(column, *name_and_unit(table.columns[column]))
    raise DataError(
        f"{table.name}: has no column left for the target beside {', '.join(table.columns)}. Name the target, or add "
        f"a column with a class or a number for each image."
    )
