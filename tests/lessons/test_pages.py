"""What holds of every lesson: both languages say the same things, pages are one file."""

import re
import string
from collections.abc import Callable
from pathlib import Path

import pytest
from lesson_pages import page_of, text_of

import mirada
from mirada.errors import InvalidArgument
from mirada.jobs.lessons import teach, teach_all
from mirada.lessons import TOPICS, Material
from mirada.pages.lessons.wording import COMMON, LANGUAGES, TEXTS, Wording, sentences_of
from mirada.pages.page import TEMPLATES

SRC = Path(mirada.__file__).parent
MODULES = [topic.module for topic in TOPICS.values()]
# English words that no Spanish sentence has; code and names of people and networks are left out before.
ENGLISH = {"the", "and", "of", "is", "with", "which", "by", "to", "it", "that", "are", "for"}


@pytest.mark.parametrize("name", [COMMON, *MODULES])
def test_both_languages_say_the_same_things(name: str) -> None:
    english, spanish = (sentences_of(name, language) for language in LANGUAGES)
    assert list(english) == list(spanish)
    for key, text in english.items():
        marks = [sorted(re.findall(r"<(\w+)[ >]|(\{\w*\})", each)) for each in (text, spanish[key])]
        assert marks[0] == marks[1], key
        words = {word.strip(string.punctuation) for word in text_of(spanish[key]).lower().split()}
        assert not words & ENGLISH, key
        if len(text_of(text).split()) > 2 and re.search(r"[a-z]{4}", text_of(text)):  # no formula
            assert text != spanish[key], key


@pytest.mark.parametrize("name", MODULES)
def test_every_sentence_is_used(name: str) -> None:
    sources = "".join(
        file.read_text(encoding="utf-8")
        for file in (
            *(TEMPLATES / "lessons").glob("*.html"), *(TEMPLATES / "lessons").glob("*.js"),
            *TEXTS.parent.glob("*.py"), *(SRC / "lessons").glob("*.py"), SRC / "cli" / "learn.py",
        )
    )  # fmt: skip
    made = re.findall(r"\"(\w+_)(?:\{|\" ~)", sources)  # beginnings of keys that go on with a name
    unused = [
        key
        for key in sentences_of(name, "en")
        if not re.search(rf"\b{key}\b", sources) and not key.startswith(tuple(made))
    ]
    assert not unused


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("topic", TOPICS)
def test_a_page_is_one_file(topic: str, language: str) -> None:
    page = page_of(topic, language)
    assert f'<html lang="{language}">' in page
    assert "default-src 'none'" in page and "script-src 'sha256-" in page
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)[^\"]*\"|url\((?!#)|@import|fetch\(|XMLHttp", page)
    assert page.count("<h1>") == 1 and "{{" not in page
    footer = page.partition("<footer>")[2]
    assert ("un solo archivo" in footer) == (language == "es")


@pytest.mark.parametrize("topic", TOPICS)
def test_a_browser_shows_what_was_written(topic: str, browsed: Callable[..., str]) -> None:
    """The script runs under the page's own policy, and changes no number before anybody has touched one."""
    page = page_of(topic, "es")
    assert text_of(re.findall(r"<h1>.*?</h1>", browsed(page), re.DOTALL)[0]) == Wording(
        TOPICS[topic].module, "es"
    ).plain("title")


def test_what_there_is_not_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r'no lesson "gradient".*Did you mean "gradients"'):
        teach("gradient", Material())
    with pytest.raises(InvalidArgument, match="en or es"):
        teach("gradients", Material(), "fr")
    with pytest.raises(InvalidArgument, match="gradients has no use for --image"):
        teach("gradients", Material(image=Path("photo.jpg")))


def test_material_that_no_lesson_can_use_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    """Silent units are counted with a model and data together; the data alone serve nobody."""
    with pytest.raises(InvalidArgument, match=r"--data alone.*rectifiers \(--model --data\)"):
        teach_all(tmp_path / "set", Material(data=tmp_path))
    assert not (tmp_path / "set").exists()


@pytest.mark.slow
@pytest.mark.parametrize("topic", TOPICS)
def test_a_page_fits_a_telephone(topic: str, browsed: Callable[..., str], tmp_path: Path) -> None:
    """In a frame of 400 pixels nothing but a table in its own scroll bar is wider than the page."""
    told = "parent.postMessage(`${document.documentElement.scrollWidth} of ${innerWidth}`, '*')"
    page = re.sub(r"; script-src '[^']*'", "; script-src 'unsafe-inline'", page_of(topic, "es"))
    (tmp_path / "inner.html").write_text(
        page.replace("</body>", f"<script>{told}</script></body>"), encoding="utf-8"
    )
    frame = (
        "<!DOCTYPE html><html><body><p id='said'></p><script>"
        "addEventListener('message', (event) => { document.querySelector('#said').textContent = event.data; });"
        f"</script><iframe src='{(tmp_path / 'inner.html').as_uri()}' width='400' height='800'></iframe></body></html>"
    )
    found = re.search(r"(\d+) of (\d+)", browsed(frame))
    assert found and int(found[1]) <= int(found[2]) == 400


@pytest.mark.parametrize("page", ["guide/lessons.md", "guia/lecciones.md"])
def test_the_guides_list_every_lesson_and_what_it_takes(page: str) -> None:
    text = (Path(__file__).parents[2] / "docs" / page).read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w-]+)` \|.*\| (.*?) ?\|$", text, flags=re.MULTILINE)
    assert {name: re.findall(r"--(\w+)", own) for name, own in rows} == {
        name: list(topic.takes) for name, topic in TOPICS.items()
    }
