"""Writes docs/settings.md from the records that check the settings.

Run it as ``python docs/make_settings.py`` where Mirada is installed; a test says when that was forgotten.
"""

from pathlib import Path

from mirada.models import CATALOGUE, OF_ONES_OWN
from mirada.training.recipe import Recipe, recipe_for
from mirada.training.settings_table import SettingRow, settings_table

ROOT = Path(__file__).parents[1]
COMMAND = "python docs/make_settings.py"
INTRODUCTION = f"""<!-- Written by `{COMMAND}` from the records that check settings; run it again after a change. -->

# Settings

Every setting of a training run. `mirada settings` prints this list, `mirada settings KEY` one of it with the networks
that start from another value, and `mirada settings MODEL` what a network starts from.

A setting is given as `mirada train DATA --set lr=0.01`, as a flag where there is one (`--epochs 20`), in the TOML file
of `--recipe`, or in Python as `mirada.train(data, lr=0.01)`. The full name, such as `optimizer.lr`, says in which table
of a recipe it stands; the short one is enough everywhere. The network's own recipe comes first, then the file, then
`--set`, then the flags.
"""


def pages() -> dict[Path, str]:
    """What the file must hold."""
    rows = [row for row in settings_table(Recipe()) if not row.key.startswith("options.")]
    lines = [INTRODUCTION, "| setting | default | values | meaning |", "|---|---|---|---|", *map(_line, rows)]
    lines += [
        "",
        "## Options of networks",
        "",
        "| setting | values | meaning | default |",
        "|---|---|---|---|",
        *_options(),
    ]
    lines += ["", "## What networks start from", "", "Where it is another value than the default above.", ""]
    lines += ["| networks | settings |", "|---|---|"]
    for settings, models in _own(rows).items():
        lines.append(f"| {', '.join(models)} | {settings} |")
    return {ROOT / "docs" / "settings.md": "\n".join([*lines, ""])}


def _line(row: SettingRow) -> str:
    name = f"`{row.short}`" if row.short == row.key else f"`{row.short}` (`{row.key}`)"
    return f"| {name} | `{row.default}` | {row.values} | {row.meaning} |"


def _options() -> list[str]:
    """A line for every option that some network has, with what it is for which networks."""
    found: dict[tuple[str, str, str], dict[str, list[str]]] = {}
    for model in (*CATALOGUE, *OF_ONES_OWN):
        for row in settings_table(recipe_for(model)):
            if row.key.startswith("options."):
                defaults = found.setdefault((row.key, row.values, row.meaning), {})
                defaults.setdefault(row.default, []).append(model)
    lines = []
    for (key, values, meaning), defaults in sorted(found.items()):
        told = "; ".join(f"`{value}` for {', '.join(models)}" for value, models in defaults.items())
        lines.append(f"| `{key}` | {values} | {meaning} | {told} |")
    return lines


def _own(usual: list[SettingRow]) -> dict[str, list[str]]:
    """The settings of networks' own recipes, as text, and which networks start from them."""
    found: dict[str, list[str]] = {}
    known = {row.key: row.default for row in usual}
    for model in (*CATALOGUE, *OF_ONES_OWN):
        told = [
            f"`{row.short}={row.default}`"
            for row in settings_table(recipe_for(model))
            if row.key not in ("model", "augment")
            and not row.key.startswith("options.")
            and row.default != known.get(row.key)
        ]
        found.setdefault(", ".join(told), []).append(model)
    return found


def main() -> None:
    """Writes the file."""
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
