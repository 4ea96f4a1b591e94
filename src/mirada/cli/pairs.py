"""What ``--set KEY=VALUE`` says, of a recipe in ``train`` and of a network in ``summary``."""

from collections.abc import Sequence

import click


def setting(text: str) -> tuple[str, object]:
    """``key=value``, the value as TOML has it, or else as a plain word.

    Raises ``UsageError`` for a text without a value, and for a value that TOML could not hold.
    """
    from tomllib import TOMLDecodeError

    from mirada.settings import shown_text
    from mirada.training.recipe_text import parse

    key, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f'--set needs KEY=VALUE. Got "{shown_text(text)}".')
    try:
        return key.strip(), parse(f"value = {value}")["value"]
    except TOMLDecodeError:
        return key.strip(), value.strip()
    except ValueError as error:
        raise click.UsageError(f"--set {shown_text(key)}: {error}.") from error


def require_once(said: Sequence[tuple[str, object]]) -> None:
    """Raises ``UsageError`` for a key to which --set gives two values."""
    pairs: dict[str, object] = {}
    for key, value in said:
        if pairs.setdefault(key, value) != value:
            raise click.UsageError(f"--set gives {key} twice, as {pairs[key]} and as {value}. Give it once.")
