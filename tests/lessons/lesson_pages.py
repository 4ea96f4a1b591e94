"""How the numbers of a lesson's page are read."""

import html
import json
import re
from functools import cache

from mirada.jobs.lessons import teach
from mirada.lessons import Material


@cache
def page_of(topic: str, language: str = "en") -> str:
    """The page that a lesson is without a person's own material; some take seconds to compute."""
    return teach(topic, Material(), language).html


def text_of(markup: str) -> str:
    """What is read between the tags."""
    return html.unescape(re.sub(r"<[^>]*>", "", markup)).strip()


def number_of(text: str) -> float:
    """A number as a page writes it, in either language."""
    return float(text.replace("−", "-").replace(",", "."))


def values_of(page: str) -> dict[str, list[float]]:
    """Every number of a page that has a name, by name, in all places where it stands."""
    found: dict[str, list[float]] = {}
    body = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    for name, text in re.findall(r'data-value="([^"]+)"[^>]*>([^<]*)<', body):
        found.setdefault(name, []).append(number_of(text))
    return found


def data_of(page: str) -> dict[str, object]:
    """What the script of a page starts from."""
    text = re.search(r'<script type="application/json" id="lesson">(.*?)</script>', page, re.DOTALL)
    assert text
    found: dict[str, object] = json.loads(text[1])
    return found
