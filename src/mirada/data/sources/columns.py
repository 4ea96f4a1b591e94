"""A ``Table`` of texts → ``Index``: reads the columns, and says of every row that cannot be used why."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mirada.data.index import Index
from mirada.data.sources.roles import Files, Place, Wanted, find_roles
from mirada.data.sources.tables import Table, not_divided
from mirada.data.sources.values import (
    NUMBER,
    UNSAID,
    Column,
    blanked,
    classes,
    covariate_of,
    few_whole,
    indicator,
    is_missing,
    numbers,
    task_of,
)
from mirada.errors import DataError, counted, nearest
from mirada.samples import SPLIT_NAMES, Classes, Covariate, Excluded, Numbers, Target, Task, Values

GROUP_HEADERS = frozenset(("patient", "patient_id", "patientid", "subject", "subject_id"))
MANY = 20  # classes, above which a column of mostly different values cannot be meant
NO_FILE = "there is no such file"
SHOWN = 6  # class names in a note

Bad = Mapping[int, str]


@dataclass(frozen=True)
class Targets:
    """The target column, or columns, of the rows whose file is there."""

    target: Target
    values: Values
    bad: Bad
    note: str


class Texts(NamedTuple):
    """A column of words, such as splits or groups; empty if there is none."""

    values: tuple[str, ...]
    bad: Bad
    notes: tuple[str, ...]


def index_of(table: Table, wanted: Wanted, folder: Path, known: Sequence[str] | None) -> Index:
    """The index of a table whose paths are relative to ``folder``; ``known`` are the classes of a model.

    Rows without a file, a target, a split or a covariate are in ``excluded``, by their number.

    Raises ``DataError`` for a column that is not there or cannot be what it is to be, an unknown split or class, or
    if no row can be used.
    """
    if table.undivided and not wanted.unlabeled:
        raise not_divided(table.name, table.undivided)
    files = Files(folder)
    roles = find_roles(table, wanted, files)
    table, paths, missing = _with_files(table, roles.image, files)
    if not paths:
        raise DataError(_nothing_usable(table.name, folder, missing))
    targets = _targets(table, roles.targets, wanted, known)
    splits, groups = splits_of(table, roles.split), _groups(table, roles.group, paths)
    covariates, meanings = _covariates(table, roles.covariates)
    bad = {**covariates.bad, **splits.bad, **targets.bad}
    excluded = [*missing, *(_excluded(paths[row], table, row, reason) for row, reason in sorted(bad.items()))]
    usable = [row for row in range(len(paths)) if row not in bad]
    if not usable:
        raise DataError(_nothing_usable(table.name, folder, excluded))
    index = Index(
        root=folder,
        paths=paths,
        targets=targets.values,
        splits=np.array(splits.values, dtype="<U5"),
        target=targets.target,
        groups=groups.values,
        covariate_specs=tuple(meanings),
        covariates=covariates.values,
        excluded=tuple(excluded),
        columns=roles.columns(),
        notes=(
            *table.notes, f"image: {roles.image.name}", targets.note, *splits.notes, *roles.notes, *groups.notes,
            *_covariate_notes(meanings, covariates.values[usable]),
        ),
    )  # fmt: skip
    return index.take(usable)


def _nothing_usable(name: str, folder: Path, excluded: Sequence[Excluded]) -> str:
    first = excluded[0]
    hint = ""
    if first.reason.endswith(NO_FILE):
        hint = (
            f" Paths are relative to {folder}; if this is the splits.csv of a run, load the data that it was made "
            f"from, with this file as `split`."
        )
    rows = counted(len(excluded), "row")
    return f"{name}: of its {rows} none can be used; the first: {first.path}: {first.reason}.{hint}"


def _excluded(path: str, table: Table, row: int, reason: str) -> Excluded:
    return Excluded(path, f"row {table.rows[row].number}: {reason}")


def _with_files(table: Table, image: Place, files: Files) -> tuple[Table, tuple[str, ...], list[Excluded]]:
    """The rows whose file is there, its path, and the rest."""
    kept, paths, excluded = [], [], []
    for number, cell in enumerate(table.cells(image.column)):
        path = None if is_missing(cell) else files.find(cell)
        if path is not None:
            kept.append(table.rows[number])
            paths.append(path)
        else:
            reason = f"no {image.name}" if is_missing(cell) else NO_FILE
            excluded.append(_excluded(cell or table.name, table, number, reason))
    return replace(table, rows=tuple(kept)), tuple(paths), excluded


def _targets(table: Table, places: tuple[Place, ...], wanted: Wanted, known: Sequence[str] | None) -> Targets:
    if not places:
        none = Numbers()
        return Targets(none, none.unknown(len(table.rows)), {}, "no target is read")
    if len(places) > 1:
        return _several_numbers(table, places, wanted.task)
    stated = wanted.task or ("classification" if known is not None else None)
    meant = known or (UNSAID if wanted.task == "classification" else ())
    place, cells = places[0], blanked(table.cells(places[0].column), meant)
    if (stated or task_of(cells, decimal_comma=table.decimal_comma)) == "regression":
        return _numbers(table, place, cells, inferred=stated is None)
    if stated is None:
        _require_classes(table, place, cells, named=bool(wanted.target))
    return _classes(table, place, cells, known, inferred=stated is None)


def _numbers(table: Table, place: Place, cells: Sequence[str], *, inferred: bool) -> Targets:
    column = numbers(place.name, cells, decimal_comma=table.decimal_comma)
    values = column.values[~np.isnan(column.values)]
    if not len(values):
        raise DataError(
            f"{table.name}: the column {place.name} holds no number. Name another column as the target."
        )
    reach = f"from {values.min():,g} to {values.max():,g} {place.unit}".rstrip()
    taken = f" ({column.note})" if column.note else ""
    hint = ""
    if len(values) > 1 and np.ptp(values) == 0:
        hint = f" (all are {values[0]:,g}: there is nothing to learn)"
    elif inferred and (whole := few_whole(values)):
        hint = f" (only {len(whole)} different ones; task=classification makes classes of them)"
    note = f"target: {place.name}, {counted(len(values), 'number')} {reach}{taken} → regression{hint}"
    return Targets(Numbers((place.name,), place.unit), column.values[:, np.newaxis], column.bad, note)


def _several_numbers(table: Table, places: tuple[Place, ...], task: Task | None) -> Targets:
    """(N, T) numbers; the unit is said if all have the same."""
    if task == "classification":
        named = ", ".join(place.name for place in places)
        raise DataError(
            f"{table.name}: {named} are several targets, and there can be only one for classification."
        )
    columns = [
        numbers(p.name, blanked(table.cells(p.column)), decimal_comma=table.decimal_comma) for p in places
    ]
    units = {place.unit for place in places}
    same = units.pop() if len(units) == 1 else ""
    names = tuple(
        place.name if same or not place.unit else f"{place.name} ({place.unit})" for place in places
    )
    said = [
        f"{name} ({column.note})" if column.note else name
        for name, column in zip(names, columns, strict=True)
    ]
    return Targets(
        target=Numbers(names, same),
        values=np.column_stack([column.values for column in columns]),
        bad={row: reason for column in columns for row, reason in column.bad.items()},
        note=f"targets: {', '.join(said)} → regression of {len(names)} numbers",
    )


def _require_classes(table: Table, place: Place, cells: Sequence[str], *, named: bool) -> None:
    """Raises ``DataError`` for so many different values that nobody can mean classes."""
    different = len({cell for cell in cells if cell})
    if different <= max(MANY, len(cells) / 2):
        return
    advice = (
        "Name another column as the target, or say task=classification if they are."
        if named
        else f"Name the target: {', '.join(table.columns)}."
    )
    raise DataError(
        f"{table.name}: the column {place.name} has {different:,} different values in {len(cells):,} rows, which "
        f"cannot be classes. {advice}"
    )


def _classes(
    table: Table, place: Place, cells: Sequence[str], known: Sequence[str] | None, *, inferred: bool
) -> Targets:
    numbers_of, bad, names = classes(f"{table.name}: the column {place.name}", cells, known)
    shown = ", ".join(names[:SHOWN]) + (" …" if len(names) > SHOWN else "")
    note = f"target: {place.name}, {len(names):,} class{'' if len(names) == 1 else 'es'} ({shown}) → classification"
    numeric = sum(NUMBER.fullmatch(name) is not None for name in names)
    if inferred and numeric == len(names):
        note += " (task=regression takes them as numbers)"
    elif inferred and 2 * numeric > len(names):
        note += f" ({numeric} of them are numbers; task=regression leaves out the rest)"
    reasons = dict.fromkeys(bad, f"no {place.name}")
    return Targets(Classes(names), numbers_of, reasons, note)


def splits_of(table: Table, place: Place | None) -> Texts:
    """``train``, ``val`` or ``test`` per row; all ``train`` without a column.

    Raises ``DataError`` for a word that is no split.
    """
    if place is None:
        return Texts(("train",) * len(table.rows), {}, ())
    cells = [cell.lower() for cell in table.cells(place.column)]
    bad = {row: f"no {place.name}" for row, cell in enumerate(cells) if is_missing(cell)}
    for row, cell in enumerate(cells):
        if cell not in SPLIT_NAMES and row not in bad:
            raise DataError(
                f'{table.name}: row {table.rows[row].number} has "{cell}" in the column {place.name}, which is no '
                f"split. {nearest(cell, SPLIT_NAMES)}"
            )
    return Texts(tuple(SPLIT_NAMES.get(cell, "train") for cell in cells), bad, (f"split: {place.name}",))


def _groups(table: Table, place: Place | None, paths: Sequence[str]) -> Texts:
    """The group of every row; a row that names none is a group of its own."""
    if place is None:
        known = [column for column in table.columns if column.lower() in GROUP_HEADERS]
        hints = [f"not used: {column} (as the group, it would keep each in one split)" for column in known]
        return Texts((), {}, tuple(hints[:1]))
    cells = table.cells(place.column)
    lonely = sum(map(is_missing, cells))
    groups = tuple(path if is_missing(cell) else cell for path, cell in zip(paths, cells, strict=True))
    note = f"group: {place.name}, {counted(len(set(groups)), 'group')}"
    return Texts(
        groups, {}, (note + (f", of which {counted(lonely, 'row')} without a name" if lonely else ""),)
    )


def _covariates(table: Table, places: tuple[Place, ...]) -> tuple[Column, dict[Covariate, str]]:
    """(N, K) numbers, and the K covariates with what the values mean, in words."""
    columns, meanings = [], {}
    for place in places:
        cells = blanked(table.cells(place.column))
        column, found, meaning = (
            indicator(Covariate.parse(f"{place.name}={place.value}"), cells)
            if place.value
            else covariate_of(place.name, cells, decimal_comma=table.decimal_comma)
        )
        columns.append(column)
        meanings[found] = meaning
    if len(meanings) < len(columns):
        labels = ", ".join(covariate.label for covariate in meanings)
        raise DataError(f"{table.name}: a column is named twice among the covariates {labels}.")
    values = np.column_stack([np.empty((len(table.rows), 0)), *(column.values for column in columns)])
    return Column(values, {row: why for column in columns for row, why in column.bad.items()}), meanings


def _covariate_notes(meanings: Mapping[Covariate, str], values: NDArray[np.float64]) -> Iterator[str]:
    """What each covariate means, and that it is the same in every row, if so; ``values`` are (n, K)."""
    for (covariate, meaning), column in zip(meanings.items(), values.T, strict=True):
        same = f"; {column[0]:g} in every row" if len(column) > 1 and np.ptp(column) == 0 else ""
        yield f"covariate: {covariate.label} ({meaning}{same})"
