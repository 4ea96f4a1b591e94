"""``python -m mirada``, and the command ``mirada``."""

import sys
from typing import NoReturn


def start() -> NoReturn:
    """Runs the command line. Ctrl-C counts from the first moment, while the verbs are still being loaded."""
    try:
        from mirada.cli import script
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        sys.exit(130)
    script()


if __name__ == "__main__":
    start()
