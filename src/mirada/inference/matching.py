"""How data match a model: classes, numbers and covariates by name, columns of a table as training took them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mirada.data.index import Index
from mirada.data.sources import load_to_judge, table_at
from mirada.data.sources.columns import Wanted
from mirada.data.sources.listing import said_of_unknown
from mirada.data.sources.roles import find_column
from mirada.data.sources.rows import load_table
from mirada.data.sources.tables import Table, read_table
from mirada.errors import DataError, InvalidArgument, nearest
from mirada.modelfile import Card
from mirada.samples import Classes, Covariate, Numbers, Source

Known = Mapping[str, float | str]


def as_known_to(card: Card, index: Index) -> Index:
    """The index with the model's classes or targets, in the model's order. Raises ``DataError`` for unknown ones."""
    match index.target, card.target:
        case Classes(names), Classes(known):
            return index if names == known else _with_classes(index, names, known)
        case Numbers() as own, Numbers() as trained:
            return _with_numbers(index, own, trained)
        case own, trained:
            raise DataError(f"{index.origin}: data for {own.task}; the model was trained for {trained.task}.")


def _with_classes(index: Index, names: tuple[str, ...], known: tuple[str, ...]) -> Index:
    """The model's class numbers in place of those of the index."""
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise DataError(f"{index.origin}: {said_of_unknown(unknown, known)}")
    numbers = np.array([known.index(name) for name in names], dtype=np.int64)
    targets = np.where(index.known, numbers[index.targets.astype(np.int64)], index.targets)
    return replace(index, target=Classes(known), targets=targets.astype(np.int64))


def _with_numbers(index: Index, own: Numbers, trained: Numbers) -> Index:
    """The columns that the model predicts, in its order."""
    if own.unit and trained.unit and own.unit != trained.unit:
        raise DataError(f"{index.origin}: is in {own.unit}; the model was trained in {trained.unit}.")
    if not trained.several:
        if own.several:
            raise DataError(
                f"{index.origin}: has {len(own.names)} targets, and the model predicts one. Name it with `target`."
            )
        return replace(index, target=trained)
    missing = [name for name in trained.names if name not in own.names]
    if missing:
        raise DataError(
            f'{index.origin}: has no target "{missing[0]}", which the model predicts. '
            f"Name all of them with `target`: {', '.join(trained.names)}."
        )
    columns = [own.names.index(name) for name in trained.names]
    return replace(index, target=trained, targets=index.targets[:, columns])


def with_covariates(index: Index, card: Card, values: NDArray[np.float64]) -> Index:
    """The index with the covariates that the model was given, (N, K), beside those that it does not read."""
    columns = {
        own.label: (own, column)
        for own, column in zip(index.covariate_specs, index.covariates.T, strict=True)
    }
    columns |= {read.label: (read, column) for read, column in zip(card.covariates, values.T, strict=True)}
    covariates = tuple(covariate for covariate, _ in columns.values())
    stacked = np.column_stack([np.empty((len(index), 0)), *(column for _, column in columns.values())])
    return replace(index, covariate_specs=covariates, covariates=stacked)


def covariates_of(card: Card, index: Index, known: Known | None = None) -> NDArray[np.float64]:
    """What the model reads beside the images of an index, (N, K), in the units of the data; K may be 0."""
    stated = dict(known or {})
    columns = dict(zip(index.covariate_names, index.covariates.T, strict=True))
    one_word = {f"{own.column}={own.one}": columns[own.label] for own in index.covariate_specs if own.other}
    columns = one_word | columns  # sex=M is in sex=M|F
    for covariate in card.covariates:
        said = next((name for name in (covariate.label, covariate.column) if name in stated), None)
        if said is not None:
            columns[covariate.label] = np.full(len(index), _stated(covariate, said, stated.pop(said)))
    for name in stated:
        reads = nearest(name, card.covariate_names) if card.covariates else "It reads images alone."
        raise InvalidArgument(f'The model reads no covariate "{name}". {reads}')
    missing = [covariate.column for covariate in card.covariates if covariate.label not in columns]
    if missing:
        raise DataError(
            f"The model reads {', '.join(card.covariate_names)} as well as each image, and these come without "
            f"{missing[0]}. Say it of all images (--known {missing[0]}=VALUE), or use data that has it as a covariate."
        )
    values = np.column_stack([np.empty((len(index), 0)), *(columns[name] for name in card.covariate_names)])
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        raise DataError(
            f"{index.path(bad[0])}: a covariate that the model reads is no number there. Leave the image out."
        )
    return values


def _stated(covariate: Covariate, said: str, value: float | str) -> float:
    """What is said of all images: a word by the column's name, the number itself by the whole label."""
    if covariate.one and said == covariate.label:
        return Covariate(covariate.label, binary=True).stated(value)
    return covariate.stated(value)


def unlabeled(paths: Sequence[str], card: Card) -> Index:
    """Images of which nothing else is known; there are as many targets as a model has, and they are none."""
    return Index(
        root=Path(),
        paths=tuple(paths),
        target=card.target,
        targets=card.target.unknown(len(paths)),
        splits=np.full(len(paths), "", dtype="<U5"),
    )


def load_for(card: Card, source: Source) -> Index:
    """The data, read as the model needs it: where ``source`` says nothing of a column, the one that training took.

    Raises as ``mirada.load_data``; ``DataError`` for a table without the column that the model learnt, and for data
    that do not say what the model reads beside each image.
    """
    asked = _as_in_training(card, source)
    try:
        classes = card.target.names if isinstance(card.target, Classes) else None
        return load_to_judge(asked, classes, card.covariates)
    except InvalidArgument as error:
        named = (source.targets, source.image, source.group, *source.covariates, *source.by)
        if any(named) or not card.covariates:
            raise
        raise DataError(
            f"{source.path}: the model reads {', '.join(card.covariate_names)} as well as each image, and there is no "
            f"table here that says it; give one (.csv, .tsv) that has a row for each image."
        ) from error


def images_of_table(
    card: Card, file: Path, known: Known, image: str | None = None, encoding: str | None = None
) -> Index:
    """The images that a table names, with what it says of what the model reads beside them; it needs no target.

    Args:
        card: Of the model.
        file: The table.
        known: What is said of all images; the table's column need not be there.
        image: The column that names the files, or else the one that training took, if it is there.
        encoding: That of its text; by default it is found.
    """
    table = read_table(file, encoding)
    beside = tuple(
        covariate.label for covariate in card.covariates if _is_to_be_read(covariate, table, known)
    )
    (chosen,) = (image,) if image else _columns_of_training(card, table).get("image", (None,))
    found = load_table(
        table,
        Wanted(image=chosen, covariates=beside, read=card.covariates, unlabeled=True),
        file.parent,
        None,
    )
    return replace(
        unlabeled(found.paths, card),
        root=found.root,
        source=Source(path=file),
        covariate_specs=found.covariate_specs,
        covariates=found.covariates,
        excluded=found.excluded,
    )


def _as_in_training(card: Card, source: Source) -> Source:
    """What is asked for; where nothing is, the columns as training took them."""
    task = source.task or (None if isinstance(card.target, Classes) else card.target.task)
    source = replace(source, covariates=source.covariates or card.covariate_names, task=task)
    file = table_at(source.path)
    if not file:
        return source
    table = read_table(file, source.encoding or None)
    usual = _columns_of_training(card, table)
    learnt = card.provenance.get("columns", {}).get("target")
    if learnt and not source.targets and "target" not in usual:
        raise DataError(
            f"{file}: has no column {', '.join(learnt)}, which the model learnt. Name the one that is the same with "
            f"--target: {', '.join(table.columns)}."
        )
    (image,), (group,) = (usual.get(role, ("",)) for role in ("image", "group"))
    return replace(
        source,
        targets=source.targets or usual.get("target", ()),
        image=source.image or image,
        group=source.group or group,
    )


def _columns_of_training(card: Card, table: Table) -> dict[str, tuple[str, ...]]:
    """The image, the target or targets and the group as training found them, as far as this table has them."""
    trained: Mapping[str, Sequence[str]] = card.provenance.get("columns", {})
    return {role: tuple(names) for role, names in trained.items() if all(_has(table, name) for name in names)}


def _is_to_be_read(covariate: Covariate, table: Table, known: Known) -> bool:
    """Whether the table has its column and it is not known already; what is neither there nor known, the model says."""
    column = covariate.label if covariate.label in table.columns else covariate.column
    return covariate.label not in known and column not in known and _has(table, column)


def _has(table: Table, column: str) -> bool:
    try:
        find_column(table, column)
    except DataError:
        return False
    return True
