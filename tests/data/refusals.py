"""The message with which ``load_data`` refuses what it is given, for tests."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mirada.data.sources import load_data
from mirada.errors import DataError, InvalidArgument, MiradaError

Refusals = type[MiradaError] | tuple[type[MiradaError], ...]


def refusal(root: Path, **options: Any) -> str:
    """Why a folder or a file is no data; its path reads ``ROOT``."""
    return _message(DataError, root, "ROOT", options)


def table_refusal(root: Any, **options: Any) -> str:
    """Why a table, or what is asked of it, cannot be used; its path reads ``TABLE``."""
    return _message((DataError, InvalidArgument), root, "TABLE", options)


def _message(expected: Refusals, root: Any, name: str, options: Mapping[str, Any]) -> str:
    with pytest.raises(expected) as caught:
        load_data(root, **options)
    return str(caught.value).replace(str(root), name)
