"""``mirada train``."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from mirada.cli.again import again_options, ended, is_to_be_proved, prove, run_again
from mirada.cli.console import ProgressBar, say
from mirada.cli.data_options import DataOptions, data_options
from mirada.cli.files import data_path, new_folder
from mirada.cli.loading import loading
from mirada.cli.plan import PLAN, planned_for
from mirada.cli.recipe_options import Stated, recipe_options, stated_recipe
from mirada.cli.together import require_one_run
from mirada.cli.training_lines import TrainingLines, spread_lines
from mirada.events import Event, Started
from mirada.files import write_text

if TYPE_CHECKING:
    from mirada.data.index import Index
    from mirada.data.pixels.preprocessing import Preprocessing
    from mirada.events import OnEvent
    from mirada.jobs.plan import Plan
    from mirada.training.recipe import Recipe


class _Train(click.Command):
    """The verb; of a setting that is no option it says how it is given."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(context, args)
        except click.NoSuchOption as error:
            raise click.UsageError(_hint(error), context) from error


def _hint(error: click.NoSuchOption) -> str:
    """What to do instead of an option that there is not."""
    from mirada.errors import RecipeError
    from mirada.training.recipe import place_of

    key = error.option_name.lstrip("-").replace("-", "_")
    try:
        place_of(key)
    except RecipeError:
        return error.format_message()
    return f"There is no option {error.option_name}; it is a setting: --set {key}=… (mirada settings {key} tells more)."


def _data(context: click.Context, parameter: click.Parameter, name: str | None) -> str | None:
    """The argument's callback: it may be missing where a run is named instead."""
    return None if name is None else data_path(context, parameter, name)


@click.command(
    cls=_Train, epilog="mirada settings [KEY|MODEL] lists what --set takes: type, range, default, meaning."
)
@data_options()
@click.argument("data", required=False, callback=_data)
@again_options
@recipe_options
@click.option(
    "--folds",
    type=click.IntRange(min=2),
    help="Train this many networks, each tested on another part of the images.",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=2),
    help="Train with this many seeds on the same split, to see how much is luck.",
)
@click.option(
    "--minutes",
    type=float,
    help="Choose image size, epochs and what is frozen for this much time, as `mirada plan` does.",
)
@click.option(
    "--output", type=click.Path(), callback=new_folder, help="The run folder. [default: runs/<data>-<model>]"
)
def command(
    columns: DataOptions,
    data: str | None,
    recipe: str | None,
    settings: tuple[str, ...],
    folds: int | None,
    seeds: int | None,
    minutes: float | None,
    output: str | None,
    **flags: Any,
) -> int:
    """Train a network on images, for their classes or for numbers.

    DATA holds a folder per class, or train, val and test folders with a folder per class in each; or it is a table
    (CSV, TSV) with a row per image, or a file of arrays (IDX, NPZ). What is missing of validation and test is set
    aside, no group divided, and the test images are used once, at the end. Leaves a run folder with the model,
    predictions and report.html.

    --weights takes public weights by name (mirada weights list), what torchvision and timm publish for the network,
    or a model that was trained before. A head of another size is replaced by a random one, with a message, and pixels
    are normalized as the weights expect. From public weights the head is average, unless --set head=… names another.

    --minutes measures a few steps first and chooses image size, epochs and, with --weights, what is frozen, so that the
    whole run takes that long; the plan is kept as plan.toml in the run folder.

    --folds is cross-validation, for few images: every image is tested once, by a network that was not trained on it,
    and the report judges them all together.

    --seeds makes the same training with several seeds: the report says how much the figures vary by luck alone, so
    that no smaller difference is taken for an improvement.

    Whatever ends a run before its time, --resume RUN takes it up, and its end is the same to the last bit. Ctrl-C and
    the signals TERM and HUP save first, and exit with 75.
    """
    context = click.get_current_context()
    if again := run_again(context):
        return again()
    if data is None:
        data_argument = next(each for each in context.command.params if each.name == "data")
        raise click.MissingParameter(ctx=context, param=data_argument, param_hint="'DATA'")
    if folds and seeds:
        raise click.UsageError("--folds and --seeds do not go together: each makes several runs.")
    require_one_run(context)
    stated = stated_recipe(recipe, settings, flags)
    index = columns.load(data)  # said before torch is loaded
    _load_torch(index, None if minutes else stated.recipe.pixels.decoding())  # a plan may choose another size
    planned = None
    if minutes is not None:
        runs = folds or seeds or 1
        if runs > 1:
            say(f"{minutes:g} minutes for {runs} runs are {minutes / runs:.3g} for each of them.")
        planned = planned_for(index, minutes / runs, *stated, training=True)
    if is_to_be_proved(context):
        return prove(index, planned.recipe if planned else stated.recipe, output)
    return _trained(index, planned or stated, (folds, seeds), output)


def _load_torch(index: Index, preprocessing: Preprocessing | None) -> None:
    """Loads torch and what trains, for more than a second, in which images are decoded if it is known how."""
    from mirada.cli.ahead import decoding_ahead

    with decoding_ahead(index, preprocessing) if preprocessing else nullcontext(), loading():
        import mirada.jobs.train  # noqa: F401 # loaded now, used later
        from mirada.compute import flush_denormals

    flush_denormals()


def _trained(
    index: Index, chosen: Stated | Plan, several: tuple[int | None, int | None], output: str | None
) -> int:
    """Trains once, or several times, and says so: the exit code."""
    from mirada.compute import keep_freed_memory

    recipe = chosen.recipe
    with ProgressBar() as progress:
        lines = TrainingLines(progress, "" if recipe.weights else recipe.model)

        def on_event(event: Event) -> None:
            if isinstance(event, Started):  # what decoding has freed goes back
                keep_freed_memory()
                if not isinstance(chosen, Stated):
                    write_text(Path(event.folder) / PLAN, chosen.to_toml())
            lines.show(event)

        done = _done(index, recipe, several, output, on_event)
    if done.lines:
        progress.line(*done.lines)
    return ended(progress, done.folder, done.report, complete=done.complete, missing=done.missing)


class _Done(NamedTuple):
    """What has been trained: its folder, the page to look at, lines to say before it, and what is not finished."""

    folder: Path
    report: Path
    complete: bool
    lines: Sequence[str] = ()
    missing: tuple[str, ...] = ()


def _done(
    index: Index,
    recipe: Recipe,
    several: tuple[int | None, int | None],
    output: str | None,
    on_event: OnEvent,
) -> _Done:
    """One run, or those of so many folds, or seeds."""
    number_of_folds, number_of_seeds = several
    if number_of_folds:
        with loading():
            from mirada.jobs.folds import cross_validate
        folds = cross_validate(index, recipe=recipe, folds=number_of_folds, output=output, on_event=on_event)
        return _Done(folds.folder, folds.report_path, folds.complete, missing=folds.missing)
    if number_of_seeds:
        with loading():
            from mirada.jobs.seeds import train_seeds
        seeds = train_seeds(index, recipe=recipe, seeds=number_of_seeds, output=output, on_event=on_event)
        lines = spread_lines(seeds.spreads)
        return _Done(seeds.folder, seeds.report_path, seeds.complete, lines, seeds.missing)
    with loading():
        from mirada.jobs.train import train
    run = train(index, recipe=recipe, output=output, on_event=on_event)
    return _Done(run.folder, run.report_path, run.complete)
