"""Writes docs/reference/commands.md from the command line, and docs/reference/api.md from the docstrings.

Run it as ``python docs/make_reference.py`` where Mirada is installed; a test says when that was forgotten.
"""

import ast
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click

import mirada
from mirada import reference
from mirada.cli import VERBS

FOLDER = Path(__file__).parent / "reference"
COMMAND = "python docs/make_reference.py"
WIDTH = 110
WRITTEN = f"<!-- Written by `{COMMAND}` from the code; run it again after a change there. -->"
COMMANDS = """# Commands

Every verb with all its options, as `--help` prints them. `mirada settings` lists what `--set` takes; so does the page
of [settings](../settings.md).
"""
API = """# Python

The names of `mirada`, as their docstrings have them; below, the functions of `mirada.reference`.
"""


def pages() -> dict[Path, str]:
    """What each file must hold."""
    return {FOLDER / "commands.md": commands(), FOLDER / "api.md": api()}


# Commands -------------------------------------------------------------------------------------------------------


def commands() -> str:
    """A section for each verb, and for each of the verbs within one."""
    sections = []
    for verb in VERBS:
        command = import_module(f"mirada.cli.{verb}").command
        if isinstance(command, click.Group):
            sections += [f"## {verb}", told(command.help)]
            for name, inner in command.commands.items():
                sections += list(section(inner, f"mirada {verb} {name}", "###"))
        else:
            sections += list(section(command, f"mirada {verb}", "##"))
    return "\n\n".join([WRITTEN, COMMANDS.strip(), *sections]) + "\n"


def section(command: click.Command, name: str, heading: str) -> Iterator[str]:
    """Heading, usage, help, options."""
    context = click.Context(command, info_name=name)
    yield f"{heading} {name.removeprefix('mirada ')}"
    yield f"`{name} {' '.join(command.collect_usage_pieces(context))}`"
    yield told(command.help)
    records = [each.get_help_record(context) for each in command.params if isinstance(each, click.Option)]
    rows = [f"| `{cell(names)}` | {cell(text)} |" for names, text in filter(None, records)]
    if rows:
        yield "\n".join(["| option | |", "|---|---|", *rows])
    if command.epilog:
        yield told(command.epilog)


def told(text: str | None) -> str:
    """Help as paragraphs."""
    return "\n\n".join(
        " ".join(paragraph.split()).replace("<", "\\<")
        for paragraph in inspect.cleandoc(text or "").replace("\b", "").split("\n\n")
        if paragraph.strip()
    )


def cell(text: str) -> str:
    """A text in a table."""
    return " ".join(text.split()).replace("|", "\\|")


# Python ---------------------------------------------------------------------------------------------------------


def api() -> str:
    """A section for each public name, and a line for each of the reference."""
    sections = [section for name in mirada.__all__ for section in described(name)]
    rows = [
        f"| `{name}` | {cell(first_sentence(getattr(reference, name)))} |"
        for name in reference.__all__
        if inspect.isfunction(getattr(reference, name))
    ]
    table = "\n".join(["| function of `mirada.reference` | |", "|---|---|", *rows])
    return "\n\n".join([WRITTEN, API.strip(), *sections, "## The reference", table]) + "\n"


def described(name: str) -> Iterator[str]:
    """A name: its signature if it is a function, its docstring, and its public methods."""
    thing = getattr(mirada, name)
    yield f"## {name}"
    yield from documented(thing)
    if inspect.isclass(thing):
        for inner, method in vars(thing).items():
            function = method.__func__ if isinstance(method, classmethod | staticmethod) else method
            if not inner.startswith("_") and inspect.isfunction(function):
                yield f"### {name}.{inner}"
                yield from documented(function)


def documented(thing: type | object) -> Iterator[str]:
    """Signature and docstring."""
    if inspect.isfunction(thing):
        yield f"```text\n{signature(thing)}\n```"
    yield as_markdown(inspect.getdoc(thing) or "")


def signature(function: object) -> str:
    """As it is written in the source, an argument a line where it is long."""
    node = ast.parse(dedented(function)).body[0]
    if not isinstance(node, ast.FunctionDef):
        raise TypeError(f"{function} is no function")
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    line = f"{node.name}({ast.unparse(node.args)}){returns}"
    if len(line) <= WIDTH:
        return line
    inside = re.split(r", (?=\*|\w+:)", ast.unparse(node.args))
    return "\n".join([f"{node.name}(", *(f"    {each}," for each in inside), f"){returns}"])


def dedented(function: object) -> str:
    """The source of a function, from the margin."""
    return inspect.cleandoc("\n" + inspect.getsource(function))  # type: ignore[arg-type]


def as_markdown(text: str) -> str:
    """A docstring: names of arguments as a list, examples as code."""
    parts = []
    for paragraph in text.split("\n\n"):
        head, _, rest = paragraph.partition("\n")
        if re.fullmatch(r"(Args|Returns|Raises|Source|Yields):", head):
            parts += [f"**{head[:-1]}**", listed(inspect.cleandoc("\n" + rest))]
        elif paragraph.lstrip().startswith(">>>"):
            parts.append(f"```pycon\n{inspect.cleandoc(paragraph)}\n```")
        else:
            parts.append(paragraph.replace("``", "`"))
    return "\n\n".join(parts)


def listed(text: str) -> str:
    """``name: what it is``, one or several, as a list; anything else as it is."""
    items = [" ".join(item.split()) for item in re.split(r"\n(?=\S)", text)]
    named = [re.sub(r"^(\**\w+): ", r"- `\1`: ", item) for item in items]
    return "\n".join(named).replace("``", "`")


def first_sentence(thing: object) -> str:
    """Of a docstring."""
    return (inspect.getdoc(thing) or "").partition("\n\n")[0].replace("``", "`")


def main() -> None:
    """Writes the files."""
    FOLDER.mkdir(exist_ok=True)
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
