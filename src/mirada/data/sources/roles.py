"""Which column of a table is what: named by the caller, or found by what it holds."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from mirada.data.decoding.arrays import container
from mirada.data.decoding.decode import EXTENSIONS
from mirada.data.index import SPLIT_NAMES, Task
from mirada.data.sources.tables import Table
from mirada.data.sources.values import is_missing, name_and_unit
from mirada.errors import DataError, nearest

SAMPLED = 200  # rows that decide which column holds the images
SPLIT_HEADERS = frozenset(("partition", "set", "split", "subset"))


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the caller says of a table's columns; what is None or empty is inferred, or not used."""

    target: tuple[str, ...] = ()
    image: str | None = None
    group: str | None = None
    split: str | None = None
    covariates: tuple[str, ...] = ()
    task: Task | None = None

    def words(self) -> tuple[str, ...]:
        """The same as options of the command line."""
        said = {
            "--target": ",".join(self.target), "--image": self.image, "--group": self.group, "--split": self.split,
            "--covariates": ",".join(self.covariates), "--task": self.task,
        }  # fmt: skip
        return tuple(word for option, value in said.items() if value for word in (option, value))


class Place(NamedTuple):
    """A column of a table: its number, its name without unit, the unit, and the value that ``sex=M`` asks for."""

    column: int
    name: str
    unit: str = ""
    value: str = ""


@dataclass(frozen=True)
class Roles:
    """Which columns are what."""

    image: Place
    targets: tuple[Place, ...]
    group: Place | None
    split: Place | None
    covariates: tuple[Place, ...]


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
        folder = self.folder.resolve().as_posix()
        return path.relative_to(folder) if path.is_relative_to(folder) else path

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

    The image column is the first that names images; the split column one called so that holds nothing but names of
    splits; the target the first free column after the image, or else before it.

    Raises ``DataError`` for a column that is not there or cannot be found.
    """
    covariates = tuple(_covariate_place(table, name) for name in _one_or_several(table, wanted.covariates))
    group = find_column(table, wanted.group) if wanted.group else None
    targets = tuple(find_column(table, name) for name in _one_or_several(table, wanted.target))
    taken = {place.column for place in (*covariates, *targets, *((group,) if group else ()))}
    image = find_column(table, wanted.image) if wanted.image else _image_place(table, files, taken)
    if image.column in {place.column for place in targets}:
        raise DataError(f'{table.name}: the column "{image.name}" cannot be both the image and the target.')
    taken.add(image.column)
    split = find_column(table, wanted.split) if wanted.split else _split_place(table, taken)
    if split:
        taken.add(split.column)
    return Roles(image, targets or (_next_free(table, image, taken),), group, split, covariates)


def find_column(table: Table, name: str) -> Place:
    """The column of this name: exactly, or else without regard to capitals or to a unit behind either name.

    ``age`` finds ``age (months)``; ``age (months)`` finds ``age`` and says its unit. Raises ``DataError`` otherwise.
    """
    base, unit = name_and_unit(name)
    ways = (
        (name, lambda column: column),
        (name.lower(), str.lower),
        (name.lower(), lambda column: name_and_unit(column)[0].lower()),
        (base.lower(), str.lower),
    )
    for wanted, seen in ways:
        columns = [number for number, column in enumerate(table.columns) if seen(column) == wanted]
        if len(columns) == 1:
            own_name, own_unit = name_and_unit(table.columns[columns[0]])
            return Place(columns[0], own_name, unit or own_unit)
    raise DataError(f'{table.name}: has no column "{name}". {nearest(name, table.columns)}')


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
    """The first column of image files; or else of their names, which may lie one folder below or lack the extension."""

    def named(cell: str) -> bool:
        return Path(cell).suffix.lower() in EXTENSIONS or files.exactly(cell) is not None

    for is_image, share in ((named, 0.5), (lambda cell: files.find(cell) is not None, 0.9)):
        for column in (column for column in range(len(table.columns)) if column not in taken):
            cells = [cell for cell in table.cells(column)[:SAMPLED] if not is_missing(cell)]
            if cells and sum(map(is_image, cells)) >= share * len(cells):
                return Place(column, table.columns[column])
    raise DataError(
        f"{table.name}: no column names image files. Name it with `image`, if the files are there: paths are relative "
        f"to {files.folder}. Columns: {', '.join(table.columns)}."
    )


def _split_place(table: Table, taken: set[int]) -> Place | None:
    for column, name in enumerate(table.columns):
        if column not in taken and name.lower() in SPLIT_HEADERS:
            values = {cell.lower() for cell in table.cells(column) if not is_missing(cell)}
            if values and values <= SPLIT_NAMES.keys():
                return Place(column, name)
    return None


def _next_free(table: Table, image: Place, taken: set[int]) -> Place:
    after = [*range(image.column + 1, len(table.columns)), *range(image.column)]
    for column in (column for column in after if column not in taken):
        return Place(column, *name_and_unit(table.columns[column]))
    raise DataError(
        f"{table.name}: has no column left for the target beside {', '.join(table.columns)}. Add one with a class or "
        f"a number for each image."
    )
