"""Writes a data set whole or not at all: into a temporary folder beside the wanted one, renamed at the end."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from mirada.errors import DataError, InvalidArgument, reason_of
from mirada.events import OnProgress, Progress


@contextmanager
def all_or_nothing(folder: str | Path) -> Iterator[Path]:
    """A folder to fill, which takes the wanted name at the end, and vanishes if anything goes wrong."""
    target = Path(folder).resolve()
    try:
        if target.exists() and not (target.is_dir() and not any(target.iterdir())):
            raise DataError(f"{folder} exists and is not an empty folder. Choose another folder.")
        target.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as temporary:
            staging = Path(temporary) / target.name
            staging.mkdir()  # with the usual access rights: the temporary folder is closed to others
            yield staging
            if target.exists():  # it may be somebody's current folder: fill it, do not replace it
                for part in staging.iterdir():
                    part.rename(target / part.name)
            else:
                staging.rename(target)
    except OSError as error:
        reason = reason_of(error)
        raise DataError(f"{folder} cannot be written ({reason}). Choose another folder.") from error


def save(image: Image.Image, path: Path) -> None:
    """Writes an image, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def tell(on_event: OnProgress | None, done: int, total: int) -> None:
    """Tells ``on_event`` of every hundredth image, and of the last."""
    if on_event and (done % 100 == 0 or done == total):
        on_event(Progress("writing", done, total))


def require_at_least(least: dict[str, tuple[int, int]], owner: str) -> None:
    """Raises ``InvalidArgument`` for the first of name → (value, least) that is too small."""
    for argument, (value, lowest) in least.items():
        if value < lowest:
            raise InvalidArgument(f"`{argument}` of {owner} must be an integer ≥ {lowest}. Got {value!r}.")
