"""The page of back-propagation through one convolution."""

from collections.abc import Iterator
from dataclasses import asdict

from markupsafe import Markup

from mirada.lessons.gradients import GradientExample, TermSum
from mirada.pages.lessons.page import Figures
from mirada.pages.lessons.wording import Wording
from mirada.text import table

KINDS = {"X": "x", "W": "w", "H": "h", "b": "w", "T": "t", "dX": "d", "dW": "d", "dH": "d", "db": "d"}
SYMBOL = Markup('<var class="{}">{}<sub>{}</sub></var>')
LETTER = Markup('<var class="{}">{}</var>')
NUMBER = Markup('<span class="{}" data-value="{}">{}</span>')


def figures(example: GradientExample, wording: Wording) -> Figures:
    """What the page shows, and what its script computes with."""
    cells = values_by_name(example)
    entries = (*example.forward, *example.gradients)
    return Figures(
        values={
            "example": example,
            "cells": cells,
            "rows": {entry.name: _row(entry, cells, wording) for entry in entries},
            "numeric": {entry.name: entry.numeric for entry in example.gradients},
            "forward": [entry.name for entry in example.forward],
            "dweight": [entry.name for entry in example.dweight],
            "dx": [entry.name for entry in example.dx],
        },
        script={
            "cells": cells,
            "entries": [asdict(entry) for entry in entries],
        },
    )


def values_by_name(example: GradientExample) -> dict[str, float]:
    """Every number of the example: ``X11`` … ``b`` … ``dH22`` … ``L``."""
    arrays = {"X": example.x, "W": example.weight, "T": example.target, "H": example.h, "dH": example.dh}
    found = {
        f"{letter}{row + 1}{column + 1}": float(value)
        for letter, array in arrays.items()
        for row, line in enumerate(array)
        for column, value in enumerate(line)
    }
    return found | {"b": example.bias, "L": example.loss} | {e.name: e.value for e in example.gradients}


def essentials(example: GradientExample, wording: Wording) -> list[str]:
    """The forward pass, and every gradient by both ways, as tables for the terminal."""
    forward = [[_plain(e.name), _sum(e) + " + b", wording.shown(e.value)] for e in example.forward]
    backward = [
        [_plain(e.name), _sum(e), wording.shown(e.value), wording.shown(e.numeric or 0.0)]
        for e in example.gradients
    ]
    return [
        *table([wording.plain("entry"), wording.plain("sum"), wording.plain("value")], forward, left=2),
        f"L = ½ Σ (H − T)² = {wording.shown(example.loss)}",
        "",
        *table(
            [wording.plain(key) for key in ("gradient", "sum", "value", "by_differences")], backward, left=2
        ),
        f"{wording.plain('largest_difference')}: {example.largest_difference:.0e}",
    ]


def symbol(name: str) -> Markup:
    """A name as a formula shows it: ``dW12`` → ∂W with the subscript 1,2, in the colour of its kind."""
    letter = name.rstrip("0123456789")
    place = name[len(letter) :]
    shown = letter.replace("d", "∂")
    if not place:
        return LETTER.format(KINDS[letter], shown)
    return SYMBOL.format(KINDS[letter], shown, ",".join(place))


def _row(entry: TermSum, cells: dict[str, float], wording: Wording) -> dict[str, Markup]:
    """An entry as its symbol, the sum of symbols and the sum of numbers."""
    numbers = Markup(" + ").join(_numbers(entry, cells, wording))
    letters = [
        symbol(p.left) if p.right == "1" else Markup("").join((symbol(p.left), symbol(p.right)))
        for p in entry.products
    ]
    if entry.numeric is None:
        letters.append(symbol("b"))
        numbers = Markup(" + ").join((numbers, _number("b", cells, wording)))
    return {
        "name": symbol(entry.name),
        "letters": Markup(" + ").join(letters),
        "numbers": numbers,
        "value": _number(entry.name, cells, wording),
    }


def _numbers(entry: TermSum, cells: dict[str, float], wording: Wording) -> Iterator[Markup]:
    for product in entry.products:
        names = [name for name in (product.left, product.right) if name != "1"]
        yield Markup("·").join(_number(name, cells, wording) for name in names)


def _number(name: str, cells: dict[str, float], wording: Wording) -> Markup:
    negative = " negative" if cells[name] < 0 else ""
    return NUMBER.format(KINDS[name.rstrip("0123456789")] + negative, name, wording.shown(cells[name]))


def _sum(entry: TermSum) -> str:
    return " + ".join(
        _plain(p.left) if p.right == "1" else f"{_plain(p.left)}·{_plain(p.right)}" for p in entry.products
    )


def _plain(name: str) -> str:
    return name.replace("d", "∂")
