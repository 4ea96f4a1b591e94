"""The networks of the catalogue by what they cost a test."""

from collections.abc import Iterable
from typing import Any

import pytest

from mirada.models import CATALOGUE

LIGHT = [name for name, entry in CATALOGUE.items() if entry.macs < 5e9 and entry.parameters < 3e7]


def each(names: Iterable[str] = CATALOGUE) -> list[Any]:
    """Networks to parametrize a test with; those that are large are for the slow tests."""
    return [name if name in LIGHT else pytest.param(name, marks=pytest.mark.slow) for name in names]
