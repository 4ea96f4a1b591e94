"""``mirada models``."""

import click

from mirada.cli.console import say
from mirada.models import CATALOGUE, OF_ONES_OWN, facts, find, list_models
from mirada.text import table


@click.command()
@click.argument("pattern", metavar="[PATTERN|NAME]", default="*")
def command(pattern: str) -> int:
    """List the networks there are, or the options of one.

    PATTERN is a part of a name or a shell pattern such as 'res*'. NAME is one network: its options are listed with
    their values, the default and what they mean.
    """
    name = pattern.lower()
    known = name in CATALOGUE or name in OF_ONES_OWN
    names = [name] if known else list_models(pattern)
    if not names:
        say(f'No network matches "{pattern}". mirada models lists them all.', err=True)
        return 1
    lines = [*_catalogue(names), *(["", *_options(name)] if known else [])]
    for line in lines:
        say(line)
    return 0


def _catalogue(names: list[str]) -> list[str]:
    rows = []
    for name in names:
        entry = find(name)
        image = " × ".join(str(side) for side in entry.image)
        macs = f"{entry.macs / 1e6:,.1f} M"
        rows.append([name, image, str(entry.num_classes), f"{entry.parameters:,}", macs, f"  {entry.source}"])
    return _with_last_left(["network", "input", "outputs", "parameters", "MACs", "  source"], rows)


def _options(name: str) -> list[str]:
    """One line per option, and how to give one."""
    rows = [
        [f"{option}={_value(of.default)}", of.meaning, of.kind] for option, of in facts(name).options.items()
    ]
    lines = table(["option=default", "meaning", "may be"], rows, left=3)
    from mirada.store.catalogue import weights_of

    public = [each.name for each in weights_of(name)]
    known = [f"public weights: {', '.join(public)}; mirada weights list {name} tells more"] if public else []
    example = "--set activation=leaky_relu" if "activation" in facts(name).options else "--set head=average"
    return [*lines, "", *known, f"mirada train DATA --model {name} {example}"]


def _value(default: object) -> str:
    match default:
        case bool():
            return str(default).lower()
        case tuple():
            return f"[{', '.join(map(str, default))}]"
    return str(default)


def _with_last_left(header: list[str], rows: list[list[str]]) -> list[str]:
    numbers = table(header[:-1], [row[:-1] for row in rows])
    return [f"{line}{last}" for line, last in zip(numbers, [header[-1], *(r[-1] for r in rows)], strict=True)]
