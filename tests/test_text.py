"""Text for people: nothing of a stranger's name is obeyed by a terminal, columns stand straight, JSON is JSON."""

import json
import re
import unicodedata

import pytest
from rich.cells import cell_len

from mirada import text
from mirada.files import json_text
from mirada.text import HIDDEN, table, visible, visible_json, width

NB = "\u00a0"
NAMES = {
    "plain": "plain",
    "Käse 犬 🐕": "Käse 犬 🐕",
    "a\x1b]0;title\x07b": "a\\x1b]0;title\\x07b",
    "\x1b[2Jcat": "\\x1b[2Jcat",
    "\x9b2J": "\\x9b2J",  # the same sequence in one character
    "no\nfindings": "no\\nfindings",
    "over\rwritten\x08": "over\\rwritten\\x08",
    "a\tb\x0b\x0cc\x85": "a\\tb\\x0b\\x0cc\\x85",
    "lines\u2028and\u2029paragraphs": "lines\\u2028and\\u2029paragraphs",
    "gpj.\u202eexe": "gpj.\\u202eexe",
    "\u2066isolated\u2069": "\\u2066isolated\\u2069",
    "zero\u200bwidth\ufeff\xad": "zero\\u200bwidth\\ufeff\\xad",
    "nul\x00del\x7f": "nul\\x00del\\x7f",
    "caf\udce9.jpg": "caf\\udce9.jpg",
    "tag\U000e0041": "tag\\U000e0041",
}


@pytest.mark.parametrize(("name", "shown"), NAMES.items())
def test_names_of_strangers_are_shown_and_not_obeyed(name: str, shown: str) -> None:
    assert visible(name) == shown
    assert visible(shown) == shown


def test_no_control_character_is_forgotten() -> None:
    """By Unicode's own categories: controls, surrogates, separators of lines; and every mark of direction."""
    every = map(chr, range(0x110000))
    wanted = [c for c in every if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")]
    turning = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    wanted += [chr(c) for c in range(0x110000) if unicodedata.bidirectional(chr(c)) in turning]
    assert len(wanted) > 2100
    assert not [hex(ord(c)) for c in wanted if not re.fullmatch(HIDDEN, c)]


def test_words_of_all_scripts_stay() -> None:
    words = "Ελληνικά עברית العربية हिन्दी ไทย 中文 한국어 👩\u200d🔬 می\u200cخواهم"
    assert visible(words) == words


@pytest.mark.parametrize(
    "text", ["", "cat", "犬", "いぬ", "강아지", "ＦＵＬＬ", "Ка́ша", "e\u0301", "🐕", "½ é"]
)
def test_widths_are_those_of_another_library(text: str) -> None:
    assert width(text) == cell_len(text)


def test_tables() -> None:
    assert table(["name", "n"], [["a", "1"], ["longer", "1,000"]]) == [
        "name        n",
        "a           1",
        "longer  1,000",
    ]


def test_columns_stand_straight_whatever_the_letters() -> None:
    lines = table(
        ["class", "n", "what"], [["犬", "12", "x"], ["ねこ\x1b", "3", "y"], ["Käse", "4", "z"]], left=1
    )
    assert {cell_len(line) for line in lines} == {cell_len(lines[0])}
    assert lines[2] == "ねこ\\x1b   3     y"


def test_json_is_read_back_and_obeys_nobody() -> None:
    value = {name: [float("nan"), float("inf"), 0.1, None] for name in NAMES}
    text = visible_json(json_text(value, indent=1))
    assert json.loads(text) == {name: [None, None, 0.1, None] for name in NAMES}
    assert not [line for line in text.split("\n") if re.search(HIDDEN, line)]
    assert "Käse 犬 🐕" in text
    text.encode("utf-8")


# Numbers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0"),
        (0.0123456, "0.0123"),
        (0.548, "0.548"),
        (9.412, "9.41"),
        (98.24, "98.2"),
        (1234.5, "1,234"),
        (-3.2, "−3.20"),
        (-0.00001, "−1e−05"),
        (3.2e12, "3.2e+12"),
        (None, "–"),
        (float("nan"), "–"),
        (float("inf"), "–"),
    ],
)
def test_number(value: float | None, expected: str) -> None:
    assert text.number(value) == expected


def test_a_number_that_rounds_to_zero_has_no_sign() -> None:
    assert text.number(-0.004, 1) == "0.0"


@pytest.mark.parametrize(("value", "expected"), [(0.7324, f"73.2{NB}%"), (1, f"100.0{NB}%"), (None, "–")])
def test_percent(value: float | None, expected: str) -> None:
    assert text.percent(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(842, "842"), (61_706, f"61.7{NB}k"), (11_177_538, f"11.2{NB}M"), (1.814e9, f"1.81{NB}G"), (None, "–")],
)
def test_compact(value: float | None, expected: str) -> None:
    assert text.compact(value) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(9.66, f"9.7{NB}s"), (48, f"48{NB}s"), (183, f"3{NB}min 3{NB}s"), (7500, f"2{NB}h 5{NB}min")],
)
def test_duration(seconds: float, expected: str) -> None:
    assert text.duration(seconds) == expected


def test_shorten_keeps_both_ends() -> None:
    assert text.shorten("kingfisher") == "kingfisher"
    assert text.shorten("great spotted woodpecker 17") == "great spot…cker 17"
