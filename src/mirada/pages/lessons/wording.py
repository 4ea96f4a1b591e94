"""The sentences of a lesson in one language, and numbers as they are written in it."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from pathlib import Path

from markupsafe import Markup

from mirada.text import NOTHING

TEXTS = Path(__file__).parent / "texts"
LANGUAGES = ("en", "es")
COMMON = "common"  # the file of what all lessons say
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
NARROW = "\u202f"  # between thousands, which no comma may part in Spanish


@dataclass(frozen=True)
class Wording:
    """What one lesson says in one language.

    Args:
        topic: the name of its files, ``receptive_field``.
        language: one of ``LANGUAGES``.
    """

    topic: str
    language: str

    @cached_property
    def sentences(self) -> dict[str, Markup]:
        """By key; they are our own and may hold markup."""
        return {
            key: Markup(text)  # noqa: S704 # from files of the package
            for name in (COMMON, self.topic)
            for key, text in sentences_of(name, self.language).items()
        }

    def __getitem__(self, key: str) -> Markup:
        return self.sentences[key]

    def plain(self, key: str) -> str:
        """A sentence for the terminal, without markup."""
        return self.sentences[key].striptags()

    def shown(self, value: float, digits: int = 4) -> str:
        """A number with at most so many decimals, as the pages' script writes it.

        >>> Wording("gradients", "es").shown(-0.12345), Wording("gradients", "en").shown(7.0)
        ('−0,1235', '7')
        """
        if not isfinite(value):
            return NOTHING
        text = f"{value:.{digits}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
        text = "0" if text == "-0" else text
        return text.replace("-", "−").replace(".", "," if self.language == "es" else ".")

    def powered(self, value: float) -> str:
        """A number of any size with two digits, as a power of ten where it is far from 1.

        >>> Wording("rectifiers", "es").powered(0.25**20), Wording("rectifiers", "en").powered(14.73)
        ('9,1·10⁻¹³', '14.7')
        """
        if value == 0 or 0.01 <= abs(value) < 1000:
            return self.shown(value, 1 if abs(value) >= 10 else 2)
        digits, _, power = f"{value:.1e}".partition("e")
        return f"{self.shown(float(digits), 1)}·10{str(int(power)).translate(RAISED)}"

    def counted(self, value: int) -> str:
        """A count with its thousands apart.

        >>> Wording("gradients", "en").counted(163696)
        '163,696'
        """
        return f"{value:,}".replace(",", NARROW if self.language == "es" else ",")


def sentences_of(name: str, language: str) -> Mapping[str, str]:
    """The sentences of a file by key."""
    found: dict[str, str] = tomllib.loads((TEXTS / language / f"{name}.toml").read_text(encoding="utf-8"))
    return found
