"""``python -m mirada``, and the command ``mirada``."""

import os
import sys
from typing import NoReturn


def start() -> NoReturn:
    """Runs the command line. Ctrl-C counts from the first moment, while the verbs are still being loaded."""
    _read_names_as_utf8()
    try:
        from mirada.cli import script
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        sys.exit(130)
    script()


def _read_names_as_utf8() -> None:
    """Begins again in UTF-8 mode where Python would read the names of files in another encoding, as in old locales.

    The same folder then has the same classes under any locale; what is printed keeps the encoding of the terminal.
    """
    if sys.flags.utf8_mode or sys.getfilesystemencoding().lower() == "utf-8" or "RANK" in os.environ:
        return
    os.environ.setdefault("PYTHONIOENCODING", getattr(sys.stdout, "encoding", None) or "utf-8")
    os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606 # itself


if __name__ == "__main__":
    start()
