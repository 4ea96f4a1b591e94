"""A lesson from beginning to end: its numbers, its page, and what the terminal prints."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from mirada.errors import InvalidArgument, nearest
from mirada.lessons import TOPICS, Material, Topic
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
        InvalidArgument: for a topic or a language that there is not, and for material without use, or of which the
            lesson needs more.
    """
    chosen = TOPICS.get(topic)
    if chosen is None:
        raise InvalidArgument(f'There is no lesson "{topic}". {nearest(topic, TOPICS)}')
    if language not in LANGUAGES:
        raise InvalidArgument(f"A lesson is written in {' or '.join(LANGUAGES)}. Got {language!r}.")
    _require_use(material, chosen)
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

    Raises:
        InvalidArgument: for material that no lesson has a use for.
    """
    shares = {name: _share(material, topic) for name, topic in TOPICS.items()}
    for key, value in vars(material).items():
        if value is not None and not any(getattr(own, key) for own in shares.values()):
            raise InvalidArgument(f"No lesson has a use for --{key} alone. {_users(key)}")
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, own in shares.items():
        written.append(publish(teach(name, own, language, with_index=True).html, folder / f"{name}.html"))
    return [publish(index_page(list(TOPICS), language), folder / INDEX), *written]


def _share(material: Material, topic: Topic) -> Material:
    """What a lesson takes of the material; nothing if it needs more."""
    own = {key: value for key, value in vars(material).items() if key in topic.takes and value is not None}
    return Material() if topic.together and len(own) < len(topic.takes) else Material(**own)


def _require_use(material: Material, topic: Topic) -> None:
    """Raises ``InvalidArgument`` for material that a lesson has no use for, or of which it needs more."""
    given = [key for key, value in vars(material).items() if value is not None]
    for key in given:
        if key not in topic.takes:
            raise InvalidArgument(f"The lesson {topic.name} has no use for --{key}. {_users(key)}")
    if topic.together and 0 < len(given) < len(topic.takes):
        options = " and ".join(f"--{key}" for key in topic.takes)
        raise InvalidArgument(f"The lesson {topic.name} needs {options} together. Got --{given[0]} alone.")


def _users(key: str) -> str:
    """A sentence that names the lessons which take a kind of material."""
    users = [
        f"{each.name} ({' '.join(f'--{own}' for own in each.takes)})"
        for each in TOPICS.values()
        if key in each.takes
    ]
    return f"Those that have: {', '.join(users)}." if users else "No lesson has."
