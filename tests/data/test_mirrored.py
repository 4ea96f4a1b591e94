"""Names that tell left from right."""

import pytest

from mirada.data.mirrored import mirrored_names, mirrored_number

PAIRS = [
    ("left", "right"), ("Left", "RIGHT"), ("Hand_L", "Hand_R"), ("izquierda", "derecha"), ("OS", "OD"),
    ("handleft", "handright"), ("LeftHand", "RightHand"), ("left lung", "right lung opaque"), ("links", "rechts"),
    ("oeil gauche", "oeil droit"), ("esquerda", "direita"), ("sinistra", "destra"), ("лево", "право"),
    ("左", "右"), ("左手", "右手"), ("clockwise", "counter-clockwise"), ("clockwise", "Anticlockwise"),
    ("turn-left", "turn-right"), ("west", "east"), ("b", "d"), ("p", "q"), ("L1", "R1"), ("knee (L)", "knee (R)"),
    ("←", "→"), ("2_left", "2_right"), ("arrow_Left", "arrow_Right"), ("lewa", "prawa"),
]  # fmt: skip


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("turned", [False, True])
def test_pairs(pair: tuple[str, str], turned: bool) -> None:
    """In either order, and among others."""
    names = ["cat", *(reversed(pair) if turned else pair), "dog"]
    found = mirrored_names(names)
    assert found is not None and set(found) == set(pair)


@pytest.mark.parametrize(
    "names",
    [
        ["cat", "dog"], ["left", "leftover"], ["bright", "light"], ["copyright", "copyleft2"], ["benign", "malignant"],
        ["0", "1", "2", "5"], ["left", "straight"], ["upright", "lying"], ["northwest wind", "calm"], [], ["left"],
        ["left right", "neither"], ["alright", "aleft2"], ["L", "M", "S", "XL"],
    ],
)  # fmt: skip
def test_others(names: list[str]) -> None:
    assert mirrored_names(names) is None


def test_many_classes_take_no_time_worth_a_word() -> None:
    """Linear in their number: 20,000 are looked at; a pair at the end is found."""
    names = [f"class {number}" for number in range(20_000)]
    assert mirrored_names(names) is None
    assert mirrored_names([*names, "tern left", "tern right"]) == ("tern left", "tern right")


@pytest.mark.parametrize(
    "name", ["x", "X", "center_x", "steering angle", "yaw", "left_distance", "longitude"]
)
def test_numbers_that_a_mirror_changes(name: str) -> None:
    assert mirrored_number(["age", name]) == name


@pytest.mark.parametrize("name", ["age", "y", "weight", "boneage", "max", "index", ""])
def test_numbers_that_it_leaves(name: str) -> None:
    assert mirrored_number([name]) is None
