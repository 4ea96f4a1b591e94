"""A ``Table`` → ``Columns``: which column is what, named by the caller, or found by its header and what it holds.

Where two readings are as likely, the caller is asked: what is learnt is never a guess.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches

from mirada.data.sources.columns import Columns, Place, Wanted
from mirada.data.sources.files import ImageFiles, Lookup
from mirada.data.sources.headers import Purpose, box_columns, is_identifier, purposes
from mirada.data.sources.names import MARKS, MISSING, YES_AND_NO
from mirada.data.sources.tables import Table
from mirada.errors import DataError
from mirada.samples import SPLIT_NAMES, Numbers
from mirada.text import listed

SAMPLED = 200  # rows that decide which column holds the images
MANY = 20  # classes, above which a column of mostly different texts cannot be meant
SHOWN = 8  # columns in a message
NUMERIC = re.compile(r"[+-]?[\d.,]+(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
UNIT = re.compile(r"(?P<name>.+?)\s*[(\[](?P<unit>[^()\[\]]+)[)\]]|(?P<stem>.+?)[_ ](?P<word>[a-z]+)")
UNIT_WORDS = frozenset(("years", "months", "weeks", "days", "hours", "minutes", "seconds", "cm", "mm", "kg"))
SPLIT_WORDS = {**SPLIT_NAMES, "dev": "val", "publictest": "val", "privatetest": "test"}
SPACES = re.compile(r"[\s-]+")
FLAG = re.compile(r"(is|in)?(?P<split>train|training|val|valid|validation|test|testing)(set|image)?")


def find_columns(table: Table, wanted: Wanted, files: ImageFiles) -> Columns:
    """Finds every column that is wanted, and infers those that are not named.

    Raises ``DataError`` for a column that is not there, cannot be found, is to be two things at once, or could as
    well be another.
    """
    kinds = purposes(table.columns)
    covariates = tuple(_covariate_place(table, name) for name in _one_or_several(table, wanted.covariates))
    group = find_column(table, wanted.group) if wanted.group else None
    targets = tuple(find_column(table, name) for name in _one_or_several(table, wanted.target))
    by = tuple(_by_place(table, name) for name in _one_or_several(table, wanted.by))
    _require_once(table, by)
    taken = {place.column for place in (*covariates, *targets, *by, *((group,) if group else ()))}
    image = find_column(table, wanted.image) if wanted.image else _image_place(table, kinds, files, taken)
    taken.add(image.column)
    notes: list[str] = []
    split = find_column(table, wanted.split) if wanted.split else _split_place(table, kinds, taken, notes)
    taken |= {split.column} if split else set()
    _require_apart(table, (
        ("the image", image), *(("the target", place) for place in targets), ("the group", group), ("the split", split),
        *(("a covariate", place) for place in covariates),
    ))  # fmt: skip
    boxes = box_columns(table.columns)
    beside = {place.column for place in (image, group, split, *covariates) if place}
    used = (
        boxes
        and not beside & {boxes.label, *boxes.sides}
        and {place.column for place in targets} <= {boxes.label}
    )
    if boxes and not used:
        notes.append("not used: the boxes, since other columns were asked for")
    if not (targets or wanted.unlabeled):
        targets = (_place(table, boxes.label),) if boxes and used else _target_places(table, kinds, taken)
    if group is None and not wanted.ungrouped:
        notes += _unused_groups(table, kinds, taken | {place.column for place in targets})
    marked = (
        len(targets) > 1
        and wanted.kind is not Numbers
        and all(_is_marks(table.cells[t.column]) for t in targets)
    )
    return Columns(
        image, targets, group, split, covariates, by, marked, boxes if used else None, tuple(notes)
    )


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


def name_and_unit(header: str) -> tuple[str, str]:
    """A column's name without its unit, and the unit; empty if it has none.

    >>> name_and_unit("age (months)"), name_and_unit("length_mm"), name_and_unit("boneage")
    (('age', 'months'), ('length', 'mm'), ('boneage', ''))
    """
    found = UNIT.fullmatch(header)
    if found and found["unit"]:
        return found["name"], found["unit"].strip()
    if found and found["word"] in UNIT_WORDS:
        return found["stem"], found["word"]
    return header, ""


def split_words(header: str, cells: Sequence[str]) -> list[str]:
    """The cells of a column of splits in lower case, yes and no of ``is_valid`` as the splits that they mean."""
    flag = FLAG.fullmatch(re.sub(r"[\W_]", "", header.lower()))
    words = [_split_word(cell) for cell in cells]
    if not flag or not all(word in YES_AND_NO or word in MISSING for word in words):
        return [SPLIT_WORDS.get(word, word) for word in words]
    yes = SPLIT_NAMES[flag["split"]]
    meant = {1.0: yes, 0.0: "test" if yes == "train" else "train"}
    return [meant[YES_AND_NO[word]] if word in YES_AND_NO else word for word in words]


def _split_word(cell: str) -> str:
    """``Training Set`` → training_set."""
    return SPACES.sub("_", cell.lower())


def _unused_groups(table: Table, kinds: Sequence[Purpose], taken: set[int]) -> list[str]:
    """A note on the first column that names patients, or the like, and that nobody asked for."""
    free = [column for column in range(len(kinds)) if column not in taken]
    known = [column for column in free if kinds[column] is Purpose.GROUP] or [
        column
        for column in free
        if kinds[column] is Purpose.OPEN
        and is_identifier(table.columns[column])
        and 1 < len(set(table.cells[column])) < len(table.numbers)
    ]
    return [
        f"not used: {table.columns[column]} (as the group, it would keep each in one split)"
        for column in known[:1]
    ]


def _place(table: Table, column: int) -> Place:
    return Place(column, *name_and_unit(table.columns[column]))


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


def _by_place(table: Table, name: str) -> Place:
    """A column of words, or, by ``age=0..5..10``, one of numbers with ranges."""
    column, equals, ranges = name.rpartition("=")
    if name in table.columns or not equals:
        return find_column(table, name)
    return find_column(table, column.strip())._replace(value=ranges.strip() or "..")


def _require_once(table: Table, places: Sequence[Place]) -> None:
    """Raises ``DataError`` for a column by which a model would be judged twice."""
    for place in places:
        if sum(other.column == place.column for other in places) > 1:
            raise DataError(
                f"{table.name}: `by` names the column {place.name} more than once. Name it once, with its ranges."
            )


def _covariate_place(table: Table, name: str) -> Place:
    column, equals, value = name.partition("=")
    if name in table.columns or not equals:
        return find_column(table, name)
    return find_column(table, column)._replace(value=value)


# --- the image ----------------------------------------------------------------------------------------------


def _image_place(table: Table, kinds: Sequence[Purpose], files: ImageFiles, taken: set[int]) -> Place:
    """The column of image files; or else of their names, which may lie one folder below or lack the extension.

    One that is ``taken`` comes last: it is found so that the caller can be told that it cannot be both.
    """
    for columns in ([column for column in range(len(kinds)) if column not in taken], sorted(taken)):
        samples = {
            column: [cell for cell in table.cells[column][:SAMPLED] if cell.lower() not in MISSING]
            for column in columns
        }
        found = dict(zip(columns, files.look_up_columns(list(samples.values())), strict=True))
        strong = [column for column in columns if _share([file.named for file in found[column]]) >= 0.5]
        weak = [
            column
            for column, looked in found.items()
            if _share([bool(file.path) or file.several for file in looked])
            >= (0.5 if kinds[column] is Purpose.IMAGE else 0.9)
            and (len(set(samples[column])) == len(looked) or _may_repeat(kinds[column], samples[column]))
        ]
        if candidates := strong or weak:
            chosen = _one_image(table, candidates, kinds, found)
            return Place(chosen, table.columns[chosen])
    raise DataError(
        f"{table.name}: no column names image files. Name it with `image`, if the files are there: paths are relative "
        f"to {files.folder}. Columns: {', '.join(table.columns)}."
    )


def _share(truths: Sequence[bool]) -> float:
    return sum(truths) / len(truths) if truths else 0.0


def _may_repeat(kind: Purpose, cells: Sequence[str]) -> bool:
    """Whether a column may name an image twice: not numbers such as ages, which may be names of files by accident."""
    named = kind in (Purpose.IMAGE, Purpose.IDENTITY, Purpose.GROUP)
    return named or not all(NUMERIC.fullmatch(cell) for cell in cells)


def _one_image(
    table: Table, candidates: Sequence[int], kinds: Sequence[Purpose], found: Mapping[int, Sequence[Lookup]]
) -> int:
    """The one that is called so, or is complete and without repeats. Raises ``DataError`` if two are as likely."""
    paths = {column: [file.path for file in found[column]] for column in candidates}
    full = min(len(table.numbers), SAMPLED)
    rules: tuple[Callable[[int], bool], ...] = (
        lambda column: any(paths[column]),
        lambda column: kinds[column] is Purpose.IMAGE,
        lambda column: kinds[column] is Purpose.IDENTITY,
        lambda column: kinds[column] in (Purpose.OPEN, Purpose.GROUP),
        lambda column: len(paths[column]) == len(set(paths[column])) == full,
    )
    left = list(candidates)
    for rule in rules:
        left = [column for column in left if rule(column)] or left
        if len({tuple(paths[column]) for column in left}) == 1:  # one alone, or all name the same files
            return left[0]
    raise DataError(
        f"{table.name}: {_columns(table, left)} name images, and not the same. Name the right one with `image`."
    )


def _columns(table: Table, columns: Sequence[int]) -> str:
    names = [table.columns[column] for column in columns]
    return f"the columns {listed(names, SHOWN)}"


# --- the split ----------------------------------------------------------------------------------------------


def _split_place(table: Table, kinds: Sequence[Purpose], taken: set[int], notes: list[str]) -> Place | None:
    """The first column called a split that holds splits; ``notes`` say of the others why not, and all are ``taken``."""
    usable, flags, idle = [], [], []
    for column in (column for column in range(len(kinds)) if column not in taken):
        name, cells = table.columns[column], table.cells[column]
        words = split_words(name, cells)
        splits = SPLIT_NAMES.keys() & set(words)
        if kinds[column] is not Purpose.SPLIT:
            if len(splits) > 1 and splits == set(words) - MISSING:
                notes.append(f"not used: {name}, whose words are splits (name it as the split to use them)")
                taken.add(column)
            continue
        taken.add(column)
        if not splits:
            idle.append(column)
        elif SPLIT_WORDS.keys() & set(map(_split_word, cells)):
            usable.append(column)
        elif words.count("train") < max(words.count("val"), words.count("test")):
            notes.append(
                f"not used: {name}, by which most rows are not for training (name it as the split if so)"
            )
        else:
            flags.append(column)
    if len(flags) > 1 and not usable:
        names = " and ".join(table.columns[column] for column in flags)
        notes.append(f"not used: {names}, since one column is to say the split")
        flags = []
    first, *more = [*usable, *flags] or [-1]
    split = Place(first, table.columns[first]) if first >= 0 else None
    why = f"since {split.name} is" if split else "which has no split words (train, val, test)"
    notes += [f"not used: {table.columns[column]}, {why}" for column in (*idle, *more)]
    return split


# --- the target ---------------------------------------------------------------------------------------------


def _target_places(table: Table, kinds: Sequence[Purpose], taken: set[int]) -> tuple[Place, ...]:
    """The column called a label; or else the only one that can be learnt; or one of yes and no for each class."""
    free = [column for column in range(len(kinds)) if column not in taken]
    open_ = [column for column in free if kinds[column] in (Purpose.OPEN, Purpose.LABEL, Purpose.LABEL_LIKE)]
    marks = [column for column in open_ if _is_marks(table.cells[column])]
    several = len(marks) > 1
    called = [column for column in open_ if kinds[column] is Purpose.LABEL]
    like = [
        column
        for column in open_
        if kinds[column] is Purpose.LABEL_LIKE and not (several and column in marks)
    ]
    named = [*called, *(column for column in like if _same(table, (*called, column)))] if called else like
    likely = [column for column in open_ if _can_be_learnt(table.cells[column])] or open_
    only_marks = several and set(likely) <= set(marks)
    if several and set(named) <= set(marks) and (only_marks or len(marks) > 2) and _one_each(table, marks):
        return tuple(_place(table, column) for column in marks)
    if named:
        return (_place(table, _in_words(table, named)),)
    if only_marks:
        return tuple(_place(table, column) for column in marks)
    if len(likely) > 1:
        raise _unclear(table, likely)
    return (_place(table, likely[0] if likely else _only_column(table, kinds, free)),)


def _only_column(table: Table, kinds: Sequence[Purpose], free: Sequence[int]) -> int:
    """The one column that there is, though nobody would mean it, such as the sex. Raises ``DataError`` otherwise."""
    free = [column for column in free if kinds[column] is not Purpose.ROW] or free
    others = [column for column in free if kinds[column] is not Purpose.GROUP]
    if len(others) == len(free) == 1:
        return others[0]
    if others:
        raise _unclear(table, others)
    raise DataError(
        f"{table.name}: has no column left for the target beside {', '.join(table.columns)}. Name the target, or add "
        f"a column with a class or a number for each image."
    )


def _unclear(table: Table, columns: Sequence[int]) -> DataError:
    return DataError(
        f"{table.name}: which column is to be learnt is not clear: {_columns(table, columns)}. Name it as the `target`."
    )


def _in_words(table: Table, columns: Sequence[int]) -> int:
    """Of columns that say the same, such as a class and its number, the one in words. Raises ``DataError`` if not."""
    if not _same(table, columns):
        raise _unclear(table, columns)
    words = [column for column in columns if not all(NUMERIC.fullmatch(cell) for cell in table.cells[column])]
    return (words or list(columns))[0]


def _same(table: Table, columns: Sequence[int]) -> bool:
    """Whether each value of a column goes with one value of each other."""
    cells = [table.cells[column] for column in columns]
    together = len(set(zip(*cells, strict=True)))
    return all(len(set(column)) == together for column in cells)


def _one_each(table: Table, columns: Sequence[int]) -> bool:
    """Whether each row says yes in one of the columns."""
    rows = zip(*(table.cells[column] for column in columns), strict=True)
    return all(sum(MARKS.get(cell.lower(), 0.0) for cell in row) == 1 for row in rows)


def _is_marks(cells: Sequence[str]) -> bool:
    """Whether a column says yes or no of a class: 1 and 0, True and False, a cross and nothing."""
    said = {cell.lower() for cell in cells}
    return said <= MARKS.keys() | MISSING and bool(said & MARKS.keys())


def _can_be_learnt(cells: Sequence[str]) -> bool:
    """Whether a column can be what is to be learnt: it differs, and is not a name, nor the number, of each row."""
    said = [cell for cell in cells if cell.lower() not in MISSING]
    different = set(said)
    if len(different) < 2:
        return _is_marks(cells)
    if not all(NUMERIC.fullmatch(cell) for cell in different):
        return len(different) <= max(MANY, len(said) / 2)
    return said not in ([str(number + first) for number in range(len(said))] for first in (0, 1))
