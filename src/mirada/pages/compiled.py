"""Templates are compiled once and kept, as Python keeps its modules: compiling them took most of the time of a page."""

import sys
from contextlib import suppress
from importlib.util import cache_from_source
from pathlib import Path

from jinja2 import BytecodeCache
from jinja2.bccache import Bucket

from mirada.files import write_bytes


class CompiledTemplates(BytecodeCache):
    """Keeps what templates are compiled to where Python would keep modules that lay in their place.

    That is ``__pycache__`` beside them, or the folder of ``PYTHONPYCACHEPREFIX``; where nothing can be written, or
    Python is told not to, they are compiled every time. Jinja compares versions and the template's own text.

    Args:
        folder: Of the templates.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load_bytecode(self, bucket: Bucket) -> None:
        """Reads what is there; of another version, another text or damaged, it counts for nothing."""
        with suppress(OSError), self._file(bucket).open("rb") as stream:
            bucket.load_bytecode(stream)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Writes it, if that is possible."""
        if sys.dont_write_bytecode:
            return
        file = self._file(bucket)
        with suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(file, bucket.bytecode_to_string(), synced=False)

    def _file(self, bucket: Bucket) -> Path:
        return Path(cache_from_source(str(self.folder / f"{bucket.key}.py")))
