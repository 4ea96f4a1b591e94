"""Image files named on the command line, and output files that overwrite nothing."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import click


def image_files(names: Sequence[str]) -> list[str]:
    """The files named, and those with an image's extension in the folders named, sorted."""
    return [file for name in names for file in _expand(Path(name))]


def _expand(path: Path) -> Iterator[str]:
    from mirada.data.decoding.decode import EXTENSIONS

    if not path.is_dir():
        yield str(path)
        return
    for file in sorted(path.rglob("*")):
        hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
        if file.suffix.lower() in EXTENSIONS and not hidden:
            yield str(file)


def in_a_folder(context: click.Context, parameter: click.Parameter, file: str | None) -> str | None:
    """An option's callback: a file to write needs a folder that is there, which is said before the work is done."""
    if file and not Path(file).parent.is_dir():
        raise click.BadParameter(f"there is no folder {Path(file).parent} to write {Path(file).name} into.")
    return file


def unused(path: Path) -> Path:
    """The path, or the first of ``name-2.ext``, ``name-3.ext`` … that does not exist."""
    candidate, number = path, 1
    while candidate.exists():
        number += 1
        candidate = path.with_stem(f"{path.stem}-{number}")
    return candidate
