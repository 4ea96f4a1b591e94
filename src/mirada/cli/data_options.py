"""The options by which ``train``, ``evaluate`` and ``check`` are told which column of a table is what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.decorators import pass_meta_key

if TYPE_CHECKING:
    from mirada.data.index import Index
    from mirada.samples import Source, Task

KEY = "mirada.data"  # where a command line's context keeps them


@dataclass(frozen=True)
class DataOptions:
    """What the command line says of the data: of a table, its columns."""

    target: str | tuple[str, ...] | None = None
    image: str | None = None
    group: str | None = None
    split: str | None = None
    covariates: tuple[str, ...] = ()
    task: Task | None = None
    encoding: str | None = None
    by: tuple[str, ...] = ()

    def load(self, path: str, *, classes: Sequence[str] | None = None) -> Index:
        """The data at ``path``; ``classes`` are a model's. Raises as ``mirada.load_data``."""
        from mirada.data.sources import load_data

        return load_data(self.source(path), classes=classes)

    def source(self, path: str) -> Source:
        """As a record of what is at ``path``."""
        from mirada.samples import Source

        targets = (self.target,) if isinstance(self.target, str) else self.target or ()
        return Source(
            path=Path(path),
            image=self.image or "",
            targets=targets,
            group=self.group or "",
            split=self.split or "",
            covariates=self.covariates,
            task=self.task,
            encoding=self.encoding or "",
            by=self.by,
        )


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """An option's callback: keeps its value with those of the others."""
    known = context.meta.setdefault(KEY, DataOptions())
    context.meta[KEY] = replace(known, **{str(parameter.name): value})


def _names(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> None:
    """The callback of an option that may be given several times, or once with commas."""
    _keep(
        context, parameter, tuple(name.strip() for text in value for name in text.split(",") if name.strip())
    )


IMAGE_HELP = "Of a table: the column of image file names."
ENCODING_HELP = "Of a table: that of its text, such as cp1251 or gb18030. [default: found]"
OPTIONS = (
    click.option(
        "--target", metavar="COLUMN", expose_value=False, callback=_keep,
        help="Of a table: the column to learn. x,y learns several numbers; 'age (months)' says the unit.",
    ),
    click.option("--image", metavar="COLUMN", expose_value=False, callback=_keep, help=IMAGE_HELP),
    click.option(
        "--group", metavar="COLUMN", expose_value=False, callback=_keep,
        help="Of a table: a column that no split divides, such as the patient. none: not even DICOM's patients.",
    ),
    click.option(
        "--covariates", metavar="COLUMNS", multiple=True, expose_value=False, callback=_names,
        help="Of a table: columns that the network reads as well as the image, such as male,weight.",
    ),
    click.option(
        "--task", type=click.Choice(["classification", "regression"]), expose_value=False, callback=_keep,
        help="Take the target as classes, or as numbers. [default: by what it holds]",
    ),
    click.option(
        "--by", metavar="COLUMNS", multiple=True, expose_value=False, callback=_names,
        help="Of a table: columns by whose words, or ranges, the model is judged apart, such as sex,age=0..5..10; it "
        "does not see them.",
    ),
    click.option("--encoding", metavar="NAME", expose_value=False, callback=_keep, help=ENCODING_HELP),
)  # fmt: skip


def data_options(split: str = "--split") -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Gives a verb the options above, and their values, a ``DataOptions``, as its first argument.

    ``split`` is how the verb calls the option of that name, if it has another meaning there.
    """

    def decorate(command: Callable[..., int]) -> Callable[..., int]:
        with_columns: Callable[..., int] = pass_meta_key(KEY)(command)
        for option in reversed((*OPTIONS, _split_option(split))):
            with_columns = option(with_columns)
        return with_columns

    return decorate


def _split_option(name: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    return click.option(
        name, "split", metavar="COLUMN|CSV", expose_value=False, callback=_keep,
        help="Of a table: the column that says train, val or test; or the splits.csv of a run.",
    )  # fmt: skip
