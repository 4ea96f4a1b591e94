"""``mirada summary``."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mirada.cli.console import say, say_json
from mirada.cli.files import new_file, new_name
from mirada.cli.pairs import setting
from mirada.cli.recipe_options import layers_there
from mirada.codec import to_json
from mirada.files import write_text
from mirada.models import CATALOGUE, OF_ONES_OWN

if TYPE_CHECKING:
    from torch import nn

    from mirada.layers.network import Network
    from mirada.modelfile import Card

NAMES = CATALOGUE.keys() | OF_ONES_OWN.keys()  # that need no file
MODEL_ENDS = {".safetensors", ".pt", ".pth", ".th"}  # of a name that means a file
BATCH_SIZE = 32
NARROWEST, WIDEST = 80, 160  # columns of a table on a terminal


def svg_file(context: click.Context, parameter: click.Parameter, file: str | None) -> str | None:
    """An option's callback: a picture goes into a file called so, in a folder that is there."""
    if file is not None and Path(file).suffix.lower() != ".svg":
        raise click.BadParameter(f"the picture is an SVG; {Path(file).name} must end in .svg.")
    return new_name(context, parameter, file)


@click.command()
@click.argument("networks", nargs=-1, metavar="[NAME|MODEL]…")
@click.option("--image-size", type=click.IntRange(1), help="Side of the input in pixels.")
@click.option("--classes", type=click.IntRange(1), help="Number of outputs.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of the network, such as head=average; mirada models NAME lists them.",
)
@click.option(
    "--depth",
    type=click.IntRange(1),
    help="One row for the layers that share this many parts of their dotted names; 1: one per stage.",
)
@click.option(
    "--batch-size", type=click.IntRange(1), help="Images at once, for the memory it takes. [default: 32]"
)
@click.option("--json", "form", flag_value="json", help="Print JSON.")
@click.option("--markdown", "form", flag_value="markdown", help="Print Markdown.")
@click.option(
    "--diagram",
    type=click.Path(dir_okay=False),
    callback=svg_file,
    help="Draw the network into a new SVG file.",
)
@click.option("--compare", is_flag=True, help="Print networks side by side, and draw accuracy against MACs.")
@click.option(
    "--layers",
    metavar="TEXT|FILE",
    callback=layers_there,
    help='Try out a stack: "conv 96 k11 s4; pool k3 s2; dense 10".',
)
@click.option("--input", "shape", metavar="CxHxW", help="The image that --layers begins with.")
def command(
    networks: tuple[str, ...], image_size: int | None, classes: int | None, settings: tuple[str, ...],
    depth: int | None, batch_size: int | None, form: str | None, diagram: str | None, compare: bool, layers: str | None,
    shape: str | None,
) -> int:  # fmt: skip
    """Print a network layer by layer: output shape, parameters, MACs, receptive field.

    NAME is one of `mirada models`, MODEL a model file. --compare takes several, and draws a figure into
    comparison.svg, or the file of --diagram.

    --layers tries out a stack without a network: each size is (m - k + 2c)/p + 1, for a map of m, a kernel k,
    padding c and stride p, with a remark where that is no whole number. Words: conv, pool, avgpool, dense, relu,
    flatten, gap, …
    """
    _require_sensible(networks, compare, layers, shape)
    sizes = {"--image-size": image_size, "--classes": classes, "--set": settings}
    rows = {"--depth": depth, "--batch-size": batch_size, "--markdown": form == "markdown"}
    if layers:
        _require_unused("--layers", {**sizes, **rows})
        return _print_plan(layers, shape or "", form, diagram)
    if compare:
        _require_unused("--compare", rows)
    options = {key.removeprefix("options."): value for key, value in map(setting, settings)}
    chosen = [_built(name, image_size, classes, options) for name in networks]
    if compare:
        as_published = not (image_size or classes or options)
        return _print_comparison(chosen, own_size=as_published, form=form, file=diagram)
    images = batch_size or BATCH_SIZE
    name, network = chosen[0]
    from mirada.summary import summarize

    summary = replace(summarize(network, depth=depth), network=name)
    cards = _cards(networks[0])
    said = _said(cards)
    if form == "json":
        origin = cards[0].began_with if cards else None
        known: dict[str, object] = {"weights": to_json(origin)} if origin else {}
        known |= {"networks": len(cards)} if len(cards) > 1 else {}
        say_json(summary.to_dict(images) | known | ({"flip_average": True} if _mirrored(cards) else {}))
    elif form == "markdown":
        say(*summary.to_markdown(images).split("\n"), *([""] if said else []), *said)
    else:
        say(*summary.to_text(width=_columns(), batch_size=images).split("\n"), *said)
    if diagram:
        _draw(name, network, None, Path(diagram), err=form is not None)
    return 0


def _cards(name: str) -> list[Card]:
    """What a model file says of its networks; nothing of a name of the catalogue."""
    if name.lower() in NAMES:
        return []
    from mirada.modelfile import load_cards
    from mirada.runs.folder import model_file

    return list(load_cards(model_file(name)))


def _mirrored(cards: Sequence[Card]) -> bool:
    return any(card.flip_average for card in cards)


def _said(cards: Sequence[Card]) -> list[str]:
    """What a model file adds to its layers: how many answer, of which images, and what training began with."""
    origin = cards[0].began_with if cards else None
    return [
        *([f"Ensemble: {len(cards)} networks like this one answer together."] if len(cards) > 1 else []),
        *(["Answers: the mean for an image and its mirror image."] if _mirrored(cards) else []),
        *([f"Weights: {origin}."] if origin else []),
    ]


def _require_unused(chosen: str, options: Mapping[str, object]) -> None:
    """Raises ``UsageError`` for options that would change nothing."""
    given = [option for option, value in options.items() if value]
    if given:
        raise click.UsageError(f"{chosen} does not take {', '.join(given)}. Leave it out.")


def _require_sensible(
    networks: tuple[str, ...], compare: bool, layers: str | None, shape: str | None
) -> None:
    """Raises ``UsageError`` for arguments that do not go together."""
    if layers and (networks or compare):
        raise click.UsageError("--layers is a stack of its own. Leave the networks out.")
    if bool(layers) != bool(shape):
        raise click.UsageError(
            '--layers and --input go together: --layers "conv 6 k5; relu" --input 1x32x32.'
        )
    if not layers and not networks:
        raise click.UsageError('Name a network; "mirada models" lists them.')
    if not compare and len(networks) > 1:
        raise click.UsageError("One network at a time, or several with --compare.")


def _built(
    name: str, image_size: int | None, classes: int | None, options: dict[str, object]
) -> tuple[str, Network]:
    """A network, without weights if that is quicker, and its name in the catalogue."""
    if name and name not in NAMES and Path(name).exists():
        if image_size or classes or options:
            raise click.UsageError(
                "--image-size, --classes and --set are for names; a model file says all of them itself."
            )
        from mirada.modelfile import load_members
        from mirada.runs.folder import model_file

        network, card = load_members(model_file(name))[0]
        return card.architecture.model, network
    if Path(name).name != name or Path(name).suffix.lower() in MODEL_ENDS:
        raise click.BadParameter(f"there is no model file and no run '{name}'.")
    from mirada.models import checked_options

    known = name.lower() if name.lower() in NAMES else name
    checked_options(known, options)  # an unknown name or option is said before torch is loaded
    from mirada.summary.undrawn import named

    return known, named(known, image_size=image_size, num_classes=classes, options=options)


def _draw(
    name: str, network: nn.Module, shape: Sequence[int] | None, file: Path, *, err: bool = False
) -> None:
    """Draws into the file, or where there is one already into another beside it, and says which."""
    from mirada.diagram.draw import draw

    with new_file(file) as new:
        write_text(new, draw(network, shape, title=name))
    say(new, err=err)


def _print_comparison(
    chosen: list[tuple[str, Network]], *, own_size: bool, form: str | None, file: str | None
) -> int:
    """A table, and the figure as a file; accuracies were measured at the networks' own sizes and classes only."""
    from mirada.models.published import read_published
    from mirada.summary import summarize
    from mirada.summary.comparison import Accuracy, compare, comparison_table, draw_comparison

    published = read_published() if own_size else {}
    rows = []
    for name, network in chosen:
        accuracy = None
        if figure := published.get(name):
            accuracy = Accuracy(
                top1=figure.top1, dataset=figure.dataset, measured=figure.measured, source=figure.reference
            )
        rows.append(compare(name, summarize(network), accuracy))
    if len(rows) == 1:
        say(f"{rows[0].name} is the only network: name several to compare it with.", err=True)
    drawn = draw_comparison(rows) if file or any(row.accuracy for row in rows) else ""
    if not drawn:
        say("No figure: no published accuracy is known for what was named, at this size.", err=True)
    if form == "json":
        say_json([row.to_dict() for row in rows])
    else:
        say(*comparison_table(rows).split("\n"))
    if drawn:
        with new_file(Path(file or "comparison.svg")) as drawing:
            write_text(drawing, drawn)
        say(drawing, err=form == "json")
    return 0


def _print_plan(layers: str, shape: str, form: str | None, diagram: str | None) -> int:
    from mirada.summary.stack import parse_shape, plan

    stack = plan(layers, parse_shape(shape))
    if form == "json":
        say_json(stack.to_dict())
    else:
        say(*str(stack).split("\n"))
    if diagram:
        from mirada.summary.stack_network import stack_network

        _draw("stack", stack_network(stack), stack.input_shape, Path(diagram), err=form == "json")
    return 0


def _columns() -> int:
    """Those of the terminal, within reason; elsewhere always the same, so that outputs can be compared."""
    if not sys.stdout.isatty():
        return 100
    return min(max(shutil.get_terminal_size().columns, NARROWEST), WIDEST)
