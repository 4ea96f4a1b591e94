"""Images named on the command line, one by one or in a table, and output files that overwrite nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mirada.cli.console import say
from mirada.errors import MiradaError, counted
from mirada.files import free_name, replacing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mirada.data.index import Index
    from mirada.modelfile import Card
    from mirada.pages.paper import PaperFiles


def there(context: click.Context, parameter: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    """An argument's callback: each name is a file, a folder, or the address of an image in a file."""
    from mirada.data.pixels.arrays import container

    for name in names:
        if not name or (not Path(name).exists() and not container(Path(name)).is_file()):
            raise click.BadParameter(_absent(name))
        _require_no_run(name)
    return names


def model_path(context: click.Context, parameter: click.Parameter, name: str | None) -> str | None:
    """A callback: the name is that of a model file, or of the folder of a run, whose model is taken."""
    if name is None:
        return None
    if not name or not Path(name).exists():
        raise click.BadParameter(_absent(name, "File"))
    from mirada.runs.folder import model_file

    try:
        file = model_file(name)
    except MiradaError as error:
        raise click.BadParameter(str(error)) from error
    if file.is_dir():
        raise click.BadParameter(
            f"'{name}' is a folder without a model file. Give a .safetensors file, or the folder of a run."
        )
    return str(file)


def data_path(context: click.Context, parameter: click.Parameter, name: str) -> str:
    """An argument's callback: the name is that of a folder or a file of data, and no run's."""
    if not name or not Path(name).exists():
        raise click.BadParameter(_absent(name))
    _require_no_run(name)
    return name


def _absent(name: str, kind: str = "Path") -> str:
    """What is said of a path at which nothing is."""
    if "://" in name:
        return f"'{name}' is an address, and nothing is fetched. Download it, and name the file."
    if name.startswith("~"):
        return f"{kind} '{name}' does not exist; within quotes the shell leaves ~ as it is. Write the folder out."
    return f"{kind} '{name}' does not exist." if name else "a path is needed. Got ''."


def _require_no_run(name: str) -> None:
    """Raises ``BadParameter`` for the folder of a run, or a model file, where data are meant."""
    if Path(name).suffix.lower() == ".safetensors":
        raise click.BadParameter(f"'{name}' is a model file, and images are meant. The model is named first.")
    from mirada.runs.folder import EVENTS

    if (Path(name) / EVENTS).is_file() and (Path(name) / "recipe.toml").is_file():
        raise click.BadParameter(f"'{name}' is the folder of a run, and data are meant.")


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
    files: Sequence[str], card: Card, known: Mapping[str, str], image: str | None, encoding: str | None
) -> Sequence[str] | Index:
    """The files; for a table the images that it names, with what it says of what the model reads beside them.

    The table needs no target; its column ``image`` names the files, or else the one that training took, if it is
    there. Rows that cannot be used are in ``excluded``. Raises as ``mirada.load_data``, ``UsageError`` for a column, or
    an encoding, without a table.
    """
    if not _is_table(files[0]):
        if encoding:
            raise click.UsageError(
                f"--encoding is that of a table, and {files[0]} is none (.csv, .tsv, .txt)."
            )
        if image:
            raise click.UsageError(f"--image names a column, and {files[0]} is no table (.csv, .tsv, .txt).")
        return files
    from mirada.inference.matching import images_of_table

    return images_of_table(card, Path(files[0]), known, image, encoding)


def new_name(context: click.Context, parameter: click.Parameter, file: str | None) -> str | None:
    """An option's callback: a file to write needs a name, and a folder that takes it, before the work is done."""
    if file is None or (file == "-" and getattr(parameter.type, "allow_dash", False)):
        return file
    path = Path(file)
    if not file or file == "-":
        raise click.BadParameter(f"a file needs a name. Got {file!r}.")
    if not path.parent.is_dir():
        raise click.BadParameter(f"there is no folder {path.parent} to write {path.name} into.")
    if not os.access(path.parent, os.W_OK) and not path.exists():
        raise click.BadParameter(f"the folder {path.parent} takes no files.")
    return file


def new_folder(context: click.Context, parameter: click.Parameter, folder: str | None) -> str | None:
    """An option's callback: a folder to write into has a name, which is no file's and no ``-``."""
    if folder in ("", "-"):
        raise click.BadParameter(f"a folder needs a name. Got {folder!r}.")
    return folder


paper_option = click.option(
    "--paper", metavar="FOLDER", type=click.Path(file_okay=False), callback=new_folder,
    help="Write into FOLDER, too, every figure as SVG and PDF (figures/) and every table as CSV (tables/).",
)  # fmt: skip


def told_of_paper(written: PaperFiles, *, err: bool = False) -> None:
    """Says what there is for a paper, and what is not whole of it; on stderr where stdout is for a program."""
    if written.figures:
        count = counted(len(written.figures) // 2, "figure")
        say(f"{written.figures[0].parent}: {count}, each as SVG and PDF", err=err)
    say(f"{written.tables[0].parent}: {counted(len(written.tables), 'table')}", err=err)
    if written.lost:
        lack = f"The fonts of the PDF figures lack {written.lost}, and have ? in its place"
        say(f"{lack}; the SVG ones are whole.", err=err)


@contextmanager
def new_file(path: Path, *, is_own: Callable[[Path], bool] | None = None) -> Iterator[Path]:
    """A file of one's own to write into: what somebody else has written is not overwritten.

    Args:
        path: Where to write. Where a file is already, the first of ``name-2.ext``, ``name-3.ext`` … is taken that is
            free, also if another process looks for one at the same time. What is no file, such as ``/dev/stdout``,
            is written straight away.
        is_own: Whether a file was written by this very verb, which then replaces it; None: not even then.

    Yields:
        The file; a new one is empty, and is removed again if what is done with it fails.
    """
    if path.exists() and (not path.is_file() or (is_own and is_own(path))):
        yield path
        return
    taken = free_name(path)
    try:
        yield taken
    except BaseException:
        taken.unlink(missing_ok=True)
        raise


def save_drawing(picture: NDArray[np.uint8], path: Path) -> Path:
    """Writes what Mirada has drawn, (H, W, 3), as PNG into a new file; its folder is made. Returns the file."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    signature = PngInfo()
    signature.add_text("Software", "Mirada")  # by which it is never taken for an image of the data
    path.parent.mkdir(parents=True, exist_ok=True)
    with new_file(path) as file, replacing(file, synced=False) as draft:
        # Level 2 of 9 takes a third of the time of Pillow's 6, for files a twelfth larger (maps over photos).
        Image.fromarray(picture).save(draft, pnginfo=signature, compress_level=2)
    return file


def told_of(asked: str | Path, written: Path) -> None:
    """Says on stderr that a file has another name than the one that was asked for, if so."""
    if written != Path(asked):
        say(f"{asked} exists already, and is not overwritten: written to {written}", err=True)


def holds_predictions(file: Path, *, labelled: bool) -> bool:
    """Whether a file is a table of predictions, as ``evaluate`` writes it with labels, and ``predict`` without."""
    from mirada.evaluation.predictions import Predictions

    try:
        table = Predictions.from_csv(file)
    except (MiradaError, OSError, ValueError):
        return False
    return bool(table.known.any()) == labelled


def holds_neighbours(file: Path) -> bool:
    """Whether a file holds similar images, as ``predict`` alone writes them."""
    with file.open("rb") as stream:
        return stream.readline().strip() == b"path,rank,similar,cosine"


def holds_records(file: Path) -> bool:
    """Whether a file holds predictions as JSON, which ``predict`` alone writes."""
    with file.open("rb") as stream:
        return stream.read(64).startswith((b'[\n {\n  "path": ', b"[]\n"))
