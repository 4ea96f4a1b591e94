"""Every setting in one table, from the records that check them: for ``mirada settings`` and docs/settings.md."""

from typing import NamedTuple

from mirada.errors import RecipeError, nearest
from mirada.models import CATALOGUE, OF_ONES_OWN, facts
from mirada.settings import described
from mirada.training.recipe import AUGMENT_PRESETS, KINDS, PARTS, SHORT, Recipe, place_of, recipe_for

KIND_MEANING = {
    "optimizer": "How the gradient becomes a step.",
    "schedule": "How the rate goes after the warm-up.",
    "average": "Which average of the weights after each step is judged and kept, instead of the last ones.",
}
AUGMENT_MEANING = "A preset of all that may happen to a training image; augment.… changes one of it."


class SettingRow(NamedTuple):
    """One setting: its full name and its short one, what it may be, what a recipe has, and one line of meaning."""

    key: str
    short: str
    values: str
    default: str
    meaning: str


def settings_table(recipe: Recipe) -> list[SettingRow]:
    """A row for every setting there is, with the value that it has in a recipe."""
    rows = [
        SettingRow(
            each.name, each.name, each.values, as_written(getattr(recipe, each.name)), each.rule.meaning
        )
        for each in described(Recipe)
    ]
    for table in PARTS:
        rows += _rows_of(table, recipe)
    return rows + _options(recipe)


def settings_row(recipe: Recipe, key: str) -> SettingRow:
    """The row of one setting, by its short or its full name. Raises ``RecipeError`` with the nearest name."""
    table, name = place_of(key)
    full = ".".join(part for part in (table, name) if part)
    rows = {row.key: row for row in settings_table(recipe)}
    if table == "options":  # which other networks have
        rows = {row.key: row for model in (*OF_ONES_OWN, *CATALOGUE) for row in _options(recipe_for(model))}
    if full not in rows:
        inner = [known for known in rows if known.startswith(f"{table}.")]
        if name:
            raise RecipeError(f'There is no setting "{full}". {nearest(full, inner)}')
        raise RecipeError(f'"{full}" is a table; its settings are {", ".join(inner)}.')
    return rows[full]


def _rows_of(table: str, recipe: Recipe) -> list[SettingRow]:
    """The rows of one table: which kind it is, if there are several, and the settings that any kind has."""
    part, kinds = getattr(recipe, table), KINDS.get(table, {})
    rows = {}
    if kinds:
        rows[table] = SettingRow(table, table, ", ".join(kinds), part.kind, KIND_MEANING[table])
    if table == "augment":
        presets = [name for name, preset in AUGMENT_PRESETS.items() if type(part)(**preset) == part]
        own = presets[0] if presets else "as below"
        rows[table] = SettingRow(table, table, ", ".join(AUGMENT_PRESETS), own, AUGMENT_MEANING)
    for kind in PARTS[table]:
        for each in described(kind):
            key = f"{table}.{each.name}"
            short = each.name if SHORT.get(each.name) == table else key
            default = (
                as_written(getattr(part, each.name))
                if hasattr(part, each.name)
                else _if_taken(table, each.name)
            )
            rows[key] = SettingRow(key, short, each.values, default, each.rule.meaning)
    return list(rows.values())


def _options(recipe: Recipe) -> list[SettingRow]:
    """The options of the recipe's network."""
    return [
        SettingRow(
            f"options.{name}", name, option.kind.replace(" or ", ", "),
            as_written(recipe.options.get(name, option.default)), option.meaning,
        )
        for name, option in facts(recipe.model).options.items()
    ]  # fmt: skip


def _if_taken(table: str, name: str) -> str:
    """What a setting is where the optimizer, or the schedule, takes it: ``0.9 with sgd, notes; 0 with rmsprop``."""
    takers: dict[str, list[str]] = {}
    for kind, record in KINDS[table].items():
        for each in described(record):
            if each.name == name:
                takers.setdefault(as_written(each.default), []).append(kind)
    return "; ".join(f"{value} with {', '.join(kinds)}" for value, kinds in takers.items())


def as_written(value: object) -> str:
    """A value as ``--set`` takes it.

    >>> as_written(True), as_written((64, 64)), as_written(("stem", "stage1")), as_written(0.0005), as_written("")
    ('true', '[64, 64]', 'stem,stage1', '0.0005', '""')
    """
    match value:
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}"
        case tuple() if all(isinstance(each, int) for each in value) and value:
            return str(list(value))
        case tuple():
            return ",".join(map(str, value)) or '""'
    return str(value) or '""'


def starting_values(key: str) -> dict[str, list[str]]:
    """What networks start from for a setting, by its full name: value → networks, the most common value first."""
    found: dict[str, list[str]] = {}
    for model in CATALOGUE:
        for row in settings_table(recipe_for(model)):
            if row.key == key:
                found.setdefault(row.default, []).append(model)
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))
