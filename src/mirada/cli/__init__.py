"""The command line: one module per verb, imported when it is used. The only place that prints.

Exit codes: 0 done, 1 a finding or a failure, 2 wrong use, 130 interrupted.
"""

import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import click

from mirada.cli.threads import spin_briefly
from mirada.errors import InvalidArgument, MiradaError, RecipeError, nearest

VERBS = {
    "check": "Look at every image before anything is trained.",
    "train": "Train a network on a folder of images; leaves a model and a report.",
    "evaluate": "Measure a model on labelled images, with intervals.",
    "predict": "Say what a model sees in images.",
    "explain": "Show where a model looks in images.",
    "summary": "Print a network layer by layer.",
    "models": "List the networks there are.",
    "sample": "Write a small data set to try things on.",
}


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
            raise click.UsageError(f'There is no verb "{args[0]}". {nearest(args[0], VERBS)}')
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
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr] # file names need not be Unicode
    spin_briefly(os.environ)
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def script() -> NoReturn:
    """The command ``mirada``: like ``main``, but leaves without taking torch apart, which would take half a second."""
    try:
        main()
    except SystemExit as end:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(end.code or 0))


def run(arguments: Sequence[str]) -> int:
    """Runs a command line; errors become one sentence on standard error and an exit code."""
    plain = [argument for argument in arguments if argument != "--debug"]
    try:
        code = int(cli.main(plain, prog_name="mirada", standalone_mode=False) or 0)
        sys.stdout.flush()  # a reader that has gone shows here
        return code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return 130
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else "", err=True)
        return 2
    except (BrokenPipeError, SystemExit):  # the reader, such as `head`, has gone; click exits when it hears
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (click.ClickException, MiradaError, OSError) as error:
        if "--debug" in arguments:
            traceback.print_exc()
        click.echo(click.style("Error: ", fg="red", bold=True) + _sentence(error), err=True)
        wrong_use = isinstance(error, click.ClickException | InvalidArgument | RecipeError)
        return 2 if wrong_use else 1


def _sentence(error: Exception) -> str:
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror.lower()}."
    return str(error)
