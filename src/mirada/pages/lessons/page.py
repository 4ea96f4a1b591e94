"""Puts the page of a lesson together: template, sentences, numbers and script, in one file."""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from mirada.lessons import TOPICS
from mirada.pages.lessons.wording import COMMON, Wording
from mirada.pages.page import TEMPLATES, template

FOLDER = "lessons"
INDEX = "index.html"


@dataclass(frozen=True)
class Figures:
    """What a page is given.

    Args:
        values: names of the template and what they stand for.
        script: what the page's script starts from; it becomes JSON.
    """

    values: Mapping[str, object]
    script: Mapping[str, object]


def lesson_page(figures: Figures, wording: Wording, *, with_index: bool = False) -> str:
    """A page as text; ``with_index`` says that ``index.html`` lies beside it."""
    script = "\n".join(
        (TEMPLATES / FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in ("lesson", wording.topic)
    )
    data = json.dumps(figures.script, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    return template(f"{FOLDER}/{wording.topic}.html").render(
        figures.values,
        say=wording.sentences,
        language=wording.language,
        shown=wording.shown,
        counted=wording.counted,
        title=wording.plain("title"),
        index=INDEX if with_index else "",
        data=data,
        script=script,
        script_hash=b64encode(sha256(script.encode()).digest()).decode(),
    )


def index_page(topics: Sequence[str], language: str) -> str:
    """The list of the lessons that were written beside it."""
    wording = Wording(COMMON, language)
    return template(f"{FOLDER}/index.html").render(
        say=wording.sentences,
        language=language,
        title=wording.plain("all_lessons"),
        lessons=[(f"{name}.html", Wording(TOPICS[name].module, language).sentences) for name in topics],
    )
