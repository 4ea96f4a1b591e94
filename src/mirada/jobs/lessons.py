"""A lesson from beginning to end: its numbers, its page, and what the terminal prints."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from mirada.errors import InvalidArgument, nearest
from mirada.lessons import TOPICS, Material
from mirada.pages.lessons.page import INDEX, Figures, index_page, lesson_page
from mirada.pages.lessons.wording import LANGUAGES, Wording
from mirada.pages.page import publish


@dataclass(frozen=True)
class Taught:
    """A lesson as a page and as lines for the terminal."""

    html: str
    essentials: tuple[str, ...]


def teach(topic: str, material: Material, language: str = "en", *, with_index: bool = False) -> Taught:
    """Compute a lesson and put its page together.

    Args:
        topic: one of ``mirada.lessons.TOPICS``.
        material: the person's own image or network; what a lesson has no use for is refused.
        language: ``en`` or ``es``.
        with_index: whether the list of lessons lies beside the page.

    Raises:
        InvalidArgument: for a topic or a language that there is not, and for material without use.
    """
    chosen = TOPICS.get(topic)
    if chosen is None:
        raise InvalidArgument(f'There is no lesson "{topic}". {nearest(topic, TOPICS)}')
    if language not in LANGUAGES:
        raise InvalidArgument(f"A lesson is written in {' or '.join(LANGUAGES)}. Got {language!r}.")
    for name, value in vars(material).items():
        if value is not None and name not in chosen.takes:
            users = [each.name for each in TOPICS.values() if name in each.takes]
            raise InvalidArgument(
                f"The lesson {topic} has no use for --{name}. "
                + (f"Those that have: {', '.join(users)}." if users else "No lesson has.")
            )
    wording = Wording(chosen.module, language)
    record = import_module(f"mirada.lessons.{chosen.module}").lesson(material)
    page = import_module(f"mirada.pages.lessons.{chosen.module}")
    figures: Figures = page.figures(record, wording)
    return Taught(
        lesson_page(figures, wording, with_index=with_index), tuple(page.essentials(record, wording))
    )


def teach_all(folder: Path, material: Material, language: str = "en") -> Sequence[Path]:
    """Write every lesson into a folder, a file each, and an index of them; pages that are there are replaced.

    Args:
        folder: made if it is not there.
        material: given to the lessons that have a use for it.
        language: ``en`` or ``es``.

    Returns:
        The files, the index first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, topic in TOPICS.items():
        own = Material(**{key: value for key, value in vars(material).items() if key in topic.takes})
        written.append(publish(teach(name, own, language, with_index=True).html, folder / f"{name}.html"))
    return [publish(index_page(list(TOPICS), language), folder / INDEX), *written]
