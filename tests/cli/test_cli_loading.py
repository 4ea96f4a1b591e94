"""What a command loads is not searched for garbage; what it does afterwards is."""

import gc
import weakref

import pytest

from mirada.cli.loading import loading


class Ring:
    """Refers to itself, so that only a search for garbage finds it."""

    def __init__(self) -> None:
        self.ring = self


def test_garbage_is_collected_after_the_imports_only() -> None:
    with loading():
        assert not gc.isenabled()
    assert gc.isenabled() and gc.get_freeze_count() > 10_000
    seen = weakref.ref(Ring())
    gc.collect()
    assert seen() is None


def test_also_after_an_import_that_fails() -> None:
    with pytest.raises(ImportError), loading():
        raise ImportError
    assert gc.isenabled()
