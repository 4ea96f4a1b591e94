"""Records as JSON and back: the type hints are the schema, and what does not fit is named by its keys."""

import json
import math
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirada.codec import BadRecord, from_json, to_json


@dataclass(frozen=True)
class Leaf:
    name: str
    size: float | None = None


@dataclass(frozen=True)
class Tree:
    kind: Literal["oak", "fir"]
    height: float
    rings: int
    alive: bool
    leaves: tuple[Leaf, ...]
    place: tuple[float, int]
    counts: dict[str, dict[str, int]]
    label: str | float | None
    nearest: Leaf | None
    notes: tuple[str, ...] = ()


TREE = Tree(
    "oak",
    2.5,
    80,
    True,
    (Leaf("a", 0.5), Leaf("b\udcff")),
    (1.0, 2),
    {"train": {"x": 1}},
    3.0,
    None,
    ("old",),
)
names = st.text()
numbers = st.floats(allow_nan=False, allow_infinity=False)
leaves = st.builds(Leaf, names, numbers | st.none())
trees = st.builds(
    Tree,
    st.sampled_from(["oak", "fir"]),
    numbers,
    st.integers(),
    st.booleans(),
    st.lists(leaves).map(tuple),
    st.tuples(numbers, st.integers()),
    st.dictionaries(names, st.dictionaries(names, st.integers())),
    names | numbers | st.none(),
    leaves | st.none(),
    st.lists(names).map(tuple),
)


@given(trees)
def test_what_is_written_is_read(tree: Tree) -> None:
    assert from_json(Tree, json.loads(json.dumps(to_json(tree), allow_nan=False))) == tree


def test_what_json_has_no_number_for_is_null() -> None:
    assert to_json({"a": (math.nan, [math.inf, 1.0])}) == {"a": [None, [None, 1.0]]}


def test_defaults_nulls_and_keys_of_later_versions() -> None:
    assert from_json(Leaf, {"name": "a", "colour": "red"}) == Leaf("a")
    shorter = {key: value for key, value in to_json(TREE).items() if key not in ("nearest", "notes")}
    assert from_json(Tree, shorter) == Tree(*list(vars(TREE).values())[:8], nearest=None, notes=())
    assert from_json(Tree, to_json(TREE) | {"height": 2}).height == 2.0  # JSON has one kind of number


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ({"kind": "elm"}, "kind must be oak or fir. Got 'elm'."),
        ({"height": "tall"}, "height must be a number. Got 'tall'."),
        ({"height": None}, "height must be a number. Got 'None'."),
        ({"height": True}, "height must be a number. Got 'True'."),
        ({"rings": 1.5}, "rings must be a whole number. Got '1.5'."),
        ({"rings": False}, "rings must be a whole number. Got 'False'."),
        ({"alive": 1}, "alive must be true or false. Got '1'."),
        ({"leaves": {}}, "leaves must be a list. Got '{}'."),
        ({"leaves": [{"name": "a"}, {}]}, 'the key "name" is missing in leaves → 1.'),
        ({"leaves": [7]}, "leaves → 0 must be a table. Got '7'."),
        ({"place": [1.0]}, "place must be a list. Got '[1.0]'."),
        ({"counts": {"train": {"x": None}}}, "counts → train → x must be a whole number. Got 'None'."),
        ({"counts": []}, "counts must be a table. Got '[]'."),
        ({"label": []}, "label must be text or a number or null. Got '[]'."),
        ({"nearest": {"name": 1}}, "nearest → name must be text. Got '1'."),
        ({"notes": [1]}, "notes → 0 must be text. Got '1'."),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Any], finding: str) -> None:
    with pytest.raises(BadRecord) as error:
        from_json(Tree, to_json(TREE) | change)
    assert str(error.value) == finding


def test_no_record_at_all() -> None:
    with pytest.raises(BadRecord, match=r"^its content must be a table\. Got '\[\]'\.$"):
        from_json(Tree, [])
