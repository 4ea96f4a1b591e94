"""Classes and groups whose names are nearly the same."""

from collections.abc import Sequence
from pathlib import Path
from string import ascii_lowercase
from unicodedata import normalize

import numpy as np
import pytest

from mirada.data.checks.kinds import Kind
from mirada.data.checks.names import look_alikes, name_findings
from mirada.data.index import Index
from mirada.data.mirrored import mirrored_names
from mirada.data.splits import group_code
from mirada.samples import Classes


def index_of(classes: Sequence[str], targets: Sequence[int], groups: Sequence[str] = ()) -> Index:
    return Index(
        root=Path(),
        paths=tuple(f"{row}.png" for row in range(len(targets))),
        splits=np.full(len(targets), "train"),
        targets=np.array(targets, dtype=np.int64),
        target=Classes(tuple(classes)),
        groups=tuple(groups),
    )


@pytest.mark.parametrize(
    ("first", "second", "difference"),
    [
        ("Cat", "cat", "in capitals"),
        ("STRASSE", "straße", "in capitals"),
        (normalize("NFC", "Käse"), normalize("NFD", "Käse"), "in letters that are put together otherwise"),
        ("cat", "c\u200bat", "in signs that cannot be seen"),
        ("cat", "\u2066cat\u2069", "in signs that cannot be seen"),
        ("old cat", "old\u00a0cat", "in spaces"),
        ("old cat", "old  cat", "in spaces"),
        ("cat", " cat ", "in spaces"),
        ("ＣＡＴ", "CAT", "in the width or form of letters"),
        ("cat", "с\u0430t", "in letters of another alphabet that look the same"),
        ("1", "1.0", "in how numbers are written"),
        ("grade 1", "grade 01", "in how numbers are written"),
        ("cat", "cat - Copy", "in what a system adds to a copy"),
        ("cat", "cat (2)", "in what a system adds to a copy"),
        ("cat", "Kopie von Cat", "in what a system adds to a copy"),
        ("old cat", "old_cat", "in what stands between words"),
        ("old-cat", "Old Cat", "in what stands between words"),
    ],
)
def test_names_that_may_mean_the_same(first: str, second: str, difference: str) -> None:
    assert list(look_alikes(["other", first, second])) == [(first, second, difference)]


@pytest.mark.parametrize(
    "names",
    [
        ("1", "10", "100"), ("1.05", "1.5", "15"), ("-1", "1", "+1"), ("cat", "cats"), ("1-1", "11"), ("0", "00a"),
        ("1.2.840.10", "1.2.840.1"), ("für", "fur"), tuple("abcdefABCDEF"), ("बाएं", "बाए"),
    ],
)  # fmt: skip
def test_names_that_do_not(names: tuple[str, ...]) -> None:
    assert list(look_alikes(names)) == []


def test_classes_are_named_with_their_images() -> None:
    (finding,) = name_findings(index_of(("Cat", "cat", "dog"), (0, 0, 0, 1, 2)))
    assert (finding.kind, finding.severity) == (Kind.LOOK_ALIKE, "warning")
    assert str(finding) == (
        'cat: differs from "Cat" only in capitals (1 image and 3 images): if both mean the same, give them one name; '
        "else they are learnt as two classes"
    )


def test_groups_are_named_by_their_codes() -> None:
    (finding,) = name_findings(index_of(("a", "b"), (0, 1, 0, 1), ("P1", "p1", "P1", "P2")))
    assert (finding.kind, finding.paths) == (Kind.LOOK_ALIKE_GROUP, ("0.png", "1.png"))
    assert finding.where == f"group {group_code('p1')}"
    assert finding.fact == f"its name differs from that of group {group_code('P1')} only in capitals"


@pytest.mark.parametrize(
    "names",
    [("left", "right"), ("Hand_L", "Hand_R"), ("izquierda", "derecha"), ("OS", "OD"), ("links", "rechts")],
)
def test_classes_that_a_mirror_exchanges_are_a_note(names: tuple[str, str]) -> None:
    (finding,) = name_findings(index_of(names, (0, 1)))
    assert (finding.kind, finding.severity) == (Kind.MIRRORED, "info")
    assert finding.fact == f'a mirror makes "{names[1]}" of "{names[0]}"'
    assert "leave augment.horizontal_flip as it is" in finding.advice


@pytest.mark.parametrize("names", ["abcd", "ABCDE", ("grade A", "grade B", "grade C", "grade D")])
def test_classes_counted_by_letters_are_no_pictures_of_letters(names: Sequence[str]) -> None:
    assert mirrored_names(list(names)) is None


def test_letters_are_mirrored() -> None:
    assert mirrored_names(ascii_lowercase) == ("b", "d")
    assert mirrored_names(["p", "q"]) == ("p", "q")
