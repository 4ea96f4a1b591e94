"""The command line: one module per verb, imported when it is used. The only place that prints.

Exit codes: 0 done, 1 a finding or a failure, 2 wrong use, 75 a training stopped that can be resumed, 130 interrupted.
"""

import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from types import FrameType
from typing import NoReturn

import click

from mirada.cli.streams import heard_or_not, open_streams, silence
from mirada.cli.threads import spin_briefly
from mirada.errors import InvalidArgument, MiradaError, ProcessLost, RecipeError, nearest

VERBS = {
    "check": "Look at every image before anything is trained.",
    "plan": "Choose image size and epochs for the time there is, without training.",
    "rate": "Try out which learning rate a training can bear.",
    "train": "Train a network on a folder of images; leaves a model and a report.",
    "submit": "Train on a cluster: write a job's script, and hand it to the scheduler.",
    "cancel": "End a job on a cluster, by its run or its number.",
    "degradation": "Train plain and residual networks of two depths beside each other.",
    "surgery": "Give a model a head whose maps are exact and finer; say what that costs.",
    "evaluate": "Measure a model on labelled images, with intervals.",
    "report": "Write the report of a run anew, also of one that was killed.",
    "runs": "List the runs of a folder.",
    "compare": "Set runs beside each other on the same test images.",
    "predict": "Say what a model sees in images.",
    "explain": "Show where a model looks in images.",
    "units": "Show filters, activation maps, the channels at a pixel, what excites a unit.",
    "learn": "Teach a topic of the lecture notes on a page that computes; list them.",
    "settings": "List the settings of training, with range, default and meaning.",
    "recipes": "List the recipes of the papers, or print one.",
    "summary": "Print a network layer by layer.",
    "models": "List the networks there are.",
    "weights": "List, fetch, bring in or verify public weights to start from.",
    "sample": "Write a small data set to try things on.",
    "cache": "Show or remove the decoded images that are kept; MIRADA_CACHE says where.",
}

SYNONYMS = {
    "fit": "train", "resume": "train", "finetune": "train", "test": "evaluate", "validate": "evaluate",
    "score": "evaluate", "infer": "predict", "classify": "predict", "list": "models", "networks": "models",
}  # fmt: skip  # what other programs call a verb

NOWHERE = "Error: the working folder has been removed. Change to another one: cd"


class _Verbs(click.Group):
    """The verbs, whose modules are imported only when one is used."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        command: click.Command = import_module(f"mirada.cli.{name}").command
        return command

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in VERBS:
            raise click.UsageError(f'There is no verb "{args[0]}". {nearest(args[0], VERBS, SYNONYMS)}')
        return super().resolve_command(context, args)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.group(
    cls=_Verbs,
    subcommand_metavar="VERB …",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="mirada VERB --help tells more. --debug anywhere shows the traceback of an error.",
)
@click.version_option(package_name="mirada", message="%(prog)s %(version)s")
def cli() -> None:
    """Trains the classic convolutional networks on your own images, shows every layer of them, and where they look."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs a command line and exits with its code."""
    try:
        open_streams()
        _end_as_by_ctrl_c()
        spin_briefly(os.environ)
        if "RANK" in os.environ:
            from mirada.cli.together import speak_for_all  # a process alone goes without

            speak_for_all(os.environ)
        code = run(sys.argv[1:] if arguments is None else arguments) if _in_a_folder() else _ended(1, NOWHERE)
    except KeyboardInterrupt:  # before or after the verb
        code = _ended(130, "Interrupted.")
    sys.exit(code)


def script() -> NoReturn:
    """The command ``mirada``: like ``main``, but leaves without taking all modules apart.

    That would take 7 ms of ``--help``, and half a second with torch. Only where nobody waits for it: the processes of
    a group that trains together have to part in order.
    """
    try:
        main()
    except SystemExit as end:
        if "RANK" in os.environ:
            raise
        for stream in (sys.stdout, sys.stderr):
            with heard_or_not(stream):
                stream.flush()
        os._exit(code_of(end))


def _in_a_folder() -> bool:
    """Whether the folder in which the process works is there; where it is not, torch ends the process."""
    try:
        os.getcwd()  # noqa: PTH109 # pathlib takes milliseconds, which `mirada --help` goes without
    except OSError:
        return False
    return True


def _end_as_by_ctrl_c() -> None:
    """Lets the signals by which a session or a machine ends a process do what Ctrl-C does.

    Whoever handles Ctrl-C, as training does, hears of them too. One that is ignored, as by ``nohup``, stays so.
    """

    def press(number: int, frame: FrameType | None) -> None:
        heard = signal.getsignal(signal.SIGINT)
        if callable(heard):
            heard(signal.SIGINT, frame)
        else:  # ignored, as of a command that a shell runs in the background; these signals are not
            raise KeyboardInterrupt

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, press)


def run(arguments: Sequence[str]) -> int:
    """Runs a command line; errors become one sentence on standard error and an exit code."""
    plain = [argument for argument in arguments if argument != "--debug"]
    try:
        code = int(cli.main(plain, prog_name="mirada", standalone_mode=False) or 0)
        with heard_or_not(sys.stdout):
            sys.stdout.flush()
        return code
    except (click.Abort, KeyboardInterrupt):
        return _ended(130, "Interrupted.")
    except click.exceptions.NoArgsIsHelpError as error:
        return _ended(2, *(error.ctx.get_help() if error.ctx else "").split("\n"))
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # click's end when nobody reads its help any more
            silence(sys.stdout)
            return 0
        return code_of(end)
    except (click.ClickException, MiradaError, OSError) as error:
        if "--debug" in arguments:
            import traceback

            from mirada.cli.console import say

            say(*traceback.format_exc().splitlines(), err=True)
        wrong_use = isinstance(error, click.ClickException | InvalidArgument | RecipeError)
        if (wrong_use or isinstance(error, ProcessLost)) and os.environ.get("RANK", "0") != "0":
            return 2 if wrong_use else 1  # the first of the processes says it
        return _ended(2 if wrong_use else 1, _sentence(error), kind="Error: ")


def _ended(code: int, *lines: str, kind: str = "") -> int:
    """The exit code, once standard error has been told; that nobody may read it changes nothing."""
    from mirada.cli.console import say  # `mirada --help` goes without

    with heard_or_not(sys.stderr):
        click.echo(click.style(kind, fg="red", bold=True) if kind else "", err=True, nl=False)
        say(*lines, err=True)
    return code


def code_of(end: SystemExit) -> int:
    """The exit code of a process that ends so, as Python itself takes it: a text is a failure."""
    return end.code if isinstance(end.code, int) else int(end.code is not None)


def _sentence(error: Exception) -> str:
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{os.fsdecode(error.filename)}: {error.strerror.lower()}."
    return str(error)
