"""What the command line does as one of several processes that train together: the first one speaks for all."""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping
from pathlib import Path

import click

from mirada.cli.console import say
from mirada.processes.watching import when_lost

SEVERAL = ("folds", "seeds", "minutes")


def is_one_of_several(environment: MutableMapping[str, str]) -> bool:
    """Whether torchrun has started more processes than this one."""
    return "RANK" in environment and environment.get("WORLD_SIZE", "1") != "1"


def is_first(environment: MutableMapping[str, str]) -> bool:
    """Whether this process speaks."""
    return environment.get("RANK", "0") == "0"


def speak_for_all(environment: MutableMapping[str, str]) -> None:
    """Lets the first process alone print what it does, and each say at once that another one is lost, and end."""
    if not is_first(environment):
        sys.stdout = Path(os.devnull).open("a", encoding="utf-8")  # noqa: SIM115 # to the end of the process

    def end(sentence: str) -> None:
        lost = sentence.split(" ")[1]
        if is_first(environment) or (lost == "0" and environment["RANK"] == "1") or not lost.isdecimal():
            say(f"Error: {sentence}", err=True)
            sys.stderr.flush()
        os._exit(1)  # the process may be waiting, deep in a library, for the one that is lost

    when_lost(end)


def require_one_process(verb: str) -> None:
    """Raises ``UsageError`` if torchrun has started more processes than this one."""
    if is_one_of_several(os.environ):
        raise click.UsageError(f"mirada {verb} is for one process: start it without torchrun.")


def require_one_run(context: click.Context) -> None:
    """Raises ``UsageError`` for what several processes cannot do together: make several runs, or measure."""
    if not is_one_of_several(os.environ):
        return
    for name in SEVERAL:
        if context.params.get(name) is not None:
            raise click.UsageError(
                f"--{name} is not for processes that train together. Start it without torchrun, or leave it out."
            )
