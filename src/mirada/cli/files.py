"""Images named on the command line, one by one or in a table, and output files that overwrite nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mirada.cli.console import say
from mirada.errors import MiradaError, counted

if TYPE_CHECKING:
    from mirada.data.index import Index
    from mirada.modelfile import Card


def there(context: click.Context, parameter: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    """An argument's callback: each name is a file, a folder, or the address of an image in a file."""
    from mirada.data.pixels.arrays import container

    for name in names:
        if not Path(name).exists() and not container(Path(name)).is_file():
            raise click.BadParameter(f"Path '{name}' does not exist.")
    return names


def image_files(names: Sequence[str]) -> list[str]:
    """The images named, and those in the folders named, sorted; a table stays as it is.

    Of a folder, the same files are taken as in training, and what is left out is counted on stderr.

    Raises ``UsageError`` if there are none, for a file of arrays where an address is meant, and for a table among
    others.
    """
    tables = [name for name in names if _is_table(name)]
    if tables and len(names) > 1:
        raise click.UsageError(f"{tables[0]}: is a table of images. Name it alone.")
    files = [file for name in names for file in _expand(Path(name))]
    if not files:
        raise click.UsageError(f"No image files in {', '.join(names)}.")
    return files


def _is_table(name: str) -> bool:
    from mirada.data.sources.tables import TABLES

    return Path(name).suffix.lower() in TABLES and Path(name).is_file()


def _expand(path: Path) -> Iterator[str]:
    from mirada.data.pixels.arrays import is_idx, is_npz
    from mirada.data.sources.listing import by_extension
    from mirada.data.sources.listing import image_files as of_folder

    if not path.is_dir():
        if path.is_file() and (is_npz(path) or is_idx(path)):
            raise click.UsageError(f"{path}: holds many images. Name one, such as {_an_address([path])}")
        yield str(path)
        return
    images, left_out, notes = of_folder(path)
    arrays = [path / item.path for item in left_out if is_npz(path / item.path) or is_idx(path / item.path)]
    if arrays and not images:
        raise click.UsageError(
            f"{path}: holds files of many images each. Name one image, such as {_an_address(arrays)}"
        )
    if left_out:
        said = f"{counted(len(left_out), 'file')} left out, not images by their extensions"
        notes = (f"{said} ({by_extension(left_out)})", *notes)
    for note in notes:
        say(f"{path}: {note}", err=True)
    yield from map(str, images)


def _an_address(files: Sequence[Path]) -> str:
    """That of the first image in these files of arrays. Raises ``UsageError`` if there is none."""
    from mirada.data.pixels.arrays import images_of, is_npz, npz_names

    for file in files:
        with suppress(MiradaError):  # a damaged file
            for array in npz_names(file) if is_npz(file) else [""]:
                with suppress(MiradaError):  # labels
                    if len(images_of(file, array)):
                        return f"{file}#{array}-0" if array else f"{file}#0"
    raise click.UsageError(f"{files[0]}: holds no images that can be read.")


def samples(
    files: Sequence[str], card: Card, known: Mapping[str, str], image: str | None
) -> Sequence[str] | Index:
    """The files; for a table the images that it names, with what it says of what the model reads beside them.

    The table needs no target; its column ``image`` names the files, or else the one that training took, if it is
    there. Rows that cannot be used are in ``excluded``. Raises as ``mirada.load_data``, ``UsageError`` for a column
    without a table.
    """
    if not _is_table(files[0]):
        if image:
            raise click.UsageError(f"--image names a column, and {files[0]} is no table (.csv, .tsv, .txt).")
        return files
    from mirada.inference.matching import images_of_table

    return images_of_table(card, Path(files[0]), known, image)


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
