"""The options of ``train`` that take a run which is there instead of data."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from mirada.cli.console import ProgressBar, say
from mirada.cli.loading import loading
from mirada.cli.streams import heard_or_not
from mirada.cli.together import is_first
from mirada.errors import counted
from mirada.text import table

if TYPE_CHECKING:
    from mirada.data.index import Index
    from mirada.training.recipe import Recipe

KEY = "mirada.again"  # where a command line's context keeps which option was given, and of which run
PROOF = "mirada.proof"  # and whether it is to be proved that killing changes nothing
DIGITS = 16  # of a digest, that are shown
NAMED = 3  # images of a step
RUN = click.Path(exists=True, file_okay=False)
STOPPED = 75  # the exit code of a run that was told to stop and can be resumed: EX_TEMPFAIL of sysexits.h


def _keep(context: click.Context, parameter: click.Parameter, folder: str | None) -> None:
    """An option's callback: keeps the run."""
    if folder is None:
        return
    if KEY in context.meta:
        raise click.UsageError("--resume and --replay do not go together.")
    context.meta[KEY] = (str(parameter.name), folder)


def _keep_proof(context: click.Context, parameter: click.Parameter, asked: bool) -> None:
    """The flag's callback."""
    context.meta[PROOF] = asked


OPTIONS = (
    click.option(
        "--resume", metavar="RUN", type=RUN, is_eager=True, expose_value=False, callback=_keep,
        help="Take up a run that was stopped or killed, to the very same end. Without DATA and other options.",
    ),
    click.option(
        "--replay", metavar="RUN", type=RUN, is_eager=True, expose_value=False, callback=_keep,
        help="Take the step again that gave NaN or infinity, and say where. Without DATA and other options.",
    ),
    click.option(
        "--prove-resume", is_flag=True, expose_value=False, callback=_keep_proof,
        help="Train three times: as it is, killed once, killed twice and resumed; say whether all end alike.",
    ),
)  # fmt: skip


def again_options(command: Callable[..., int]) -> Callable[..., int]:
    """Gives ``train`` the options above."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def resumed_run(context: click.Context) -> str | None:
    """The run that a command line resumes; None for any other."""
    option, folder = context.meta.get(KEY, ("", None))
    return folder if option == "resume" else None


def run_again(context: click.Context) -> Callable[[], int] | None:
    """What is to be done with a run that is there; None if there is none on the command line.

    Raises ``UsageError`` if anything else is said: the run has its own settings.
    """
    if KEY not in context.meta:
        return None
    option, folder = context.meta[KEY]
    for parameter in context.command.params:
        name = str(parameter.name)
        if name != option and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            said = parameter.opts[0] if isinstance(parameter, click.Option) else parameter.human_readable_name
            raise click.UsageError(
                f"--{option} takes the data and the settings of {folder}: leave {said} out."
            )
    return partial(_resumed if option == "resume" else _replayed, Path(folder))


def _resumed(folder: Path) -> int:
    """Goes on with a run, or with several of one family; of one that is finished says so."""
    from mirada.runs.folder import FOUR_NETWORKS
    from mirada.runs.listing import state_of

    state = state_of(folder)
    if state.state in ("finished", "stopped early") and not state.resumable:
        page = folder / FOUR_NETWORKS if (folder / FOUR_NETWORKS).exists() else folder / "report.html"
        say(f"{folder}: the run is {state.state}, and there is nothing to resume.", page)
        return 0
    with loading():
        from mirada.cli.training_lines import TrainingLines, spread_lines
        from mirada.compute import flush_denormals, keep_freed_memory
        from mirada.events import Event, Started
        from mirada.jobs.degradation import Degradation
        from mirada.jobs.resume import resume
        from mirada.jobs.seeds import Seeds
        from mirada.pages.degradation import training_sentence
    flush_denormals()
    with ProgressBar() as progress:
        lines = TrainingLines(progress)

        def on_event(event: Event) -> None:
            if isinstance(event, Started):
                keep_freed_memory()
            lines.show(event)

        done = resume(folder, on_event=on_event)
    if isinstance(done, Seeds) and done.spreads:
        progress.line(*spread_lines(done.spreads))
    if isinstance(done, Degradation):
        progress.line(*map(training_sentence, done.pairs))
    return ended(progress, done.folder, done.report_path, complete=done.complete, missing=done.missing)


def _replayed(folder: Path) -> int:
    """Takes the step of a run again that gave what is not finite; 1 if all is finite this time."""
    from mirada.runs.folder import FAILED_STEP

    file = folder / FAILED_STEP
    if not file.is_file():
        raise click.UsageError(
            f"{folder}: holds no {FAILED_STEP}, which a run leaves whose loss is no longer a number."
        )
    with loading():
        from mirada.compute import flush_denormals
        from mirada.text import listed
        from mirada.training.failed_step import replay
    flush_denormals()
    step, place = replay(file)
    say(
        f"step {step.step:,} of epoch {step.epoch}, learning rate {step.rate:g}, {counted(len(step.files), 'image')}",
        f"images: {listed(step.files, NAMED)}",
        f"then: the first number that was not finite was in {step.place}",
        f"now: {f'the first number that is not finite is in {place}' if place else 'every number is finite'}",
    )
    return 0 if place == step.place else 1


def is_to_be_proved(context: click.Context) -> bool:
    """Whether ``--prove-resume`` was given. Raises ``UsageError`` beside what makes several runs."""
    if context.meta[PROOF] and "RANK" in os.environ:
        raise click.UsageError("--prove-resume is for one process: start it without torchrun.")
    if context.meta[PROOF] and (context.params["folds"] or context.params["seeds"]):
        raise click.UsageError("--prove-resume is for one run: leave --folds and --seeds out.")
    return bool(context.meta[PROOF])


def prove(index: Index, recipe: Recipe, output: str | None) -> int:
    """Makes a run three times, and says whether killing it has changed anything; then the exit code is 1."""
    with loading():
        from dataclasses import asdict

        from mirada.jobs.prove import prove_resume
    with ProgressBar() as progress:
        proof = prove_resume(index, recipe, output, progress.on_event)
    names = {
        name: f"killed after step {' and '.join(f'{step:,}' for step in steps)}" if steps else "never stopped"
        for name, steps in proof.kills.items()
    }
    say(f"Three runs of {proof.steps:,} steps in {proof.folder}:")
    say(*(f"  {name}: {said}" for name, said in names.items()))
    cells = {name: asdict(found) for name, found in proof.digests.items()}
    rows = [[what, *(each[what][:DIGITS] for each in cells.values())] for what in next(iter(cells.values()))]
    say(*table(["SHA-256 of", *names], rows, left=1 + len(names)))
    if proof.different:
        say(f"Not identical: {', '.join(proof.different)}.")
        return 1
    say("All three are identical.")
    return 0


def ended(
    progress: ProgressBar, folder: Path, report: Path, *, complete: bool, missing: tuple[str, ...] = ()
) -> int:
    """Says how a run ended, or several did, and how to go on with what was stopped: the exit code."""
    if not complete and is_first(os.environ):
        named = quote(str(folder))
        lines = [f"Interrupted. What there is: {folder}"]
        if missing:
            lines += [f"Not finished: {', '.join(missing)}. How far each came: mirada runs {named}"]
        with heard_or_not(sys.stderr):
            say(*lines, f"Go on with: mirada train --resume {named}", err=True)
    progress.line(report)
    return 0 if complete else STOPPED
