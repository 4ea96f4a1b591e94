"""Names that tell left from right, so that a mirrored image would be another one's."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from string import ascii_lowercase

from mirada.samples import Classes, Covariate, Samples

# Each pair is one thing and what a mirror makes of it.
WORDS = (
    ("left", "right"), ("lefthand", "righthand"), ("leftward", "rightward"), ("leftwards", "rightwards"),
    ("leftturn", "rightturn"), ("west", "east"), ("western", "eastern"), ("clockwise", "counterclockwise"),
    ("clockwise", "anticlockwise"), ("port", "starboard"), ("nearside", "offside"), ("slash", "backslash"),
    ("sinister", "dexter"), ("sinistra", "dextra"), ("sinistrum", "dextrum"), ("laevus", "dexter"),
    ("izquierda", "derecha"), ("izquierdo", "derecho"), ("izq", "der"), ("esquerda", "direita"),
    ("esquerdo", "direito"), ("esquerra", "dreta"), ("gauche", "droite"), ("gauche", "droit"),
    ("sinistra", "destra"), ("sinistro", "destro"), ("links", "rechts"), ("linke", "rechte"),
    ("linker", "rechter"), ("linkes", "rechtes"), ("vänster", "höger"), ("venstre", "højre"),
    ("venstre", "høyre"), ("vasen", "oikea"), ("lewo", "prawo"), ("lewa", "prawa"), ("lewy", "prawy"),
    ("levy", "pravy"), ("levý", "pravý"), ("lijevo", "desno"), ("levo", "desno"), ("bal", "jobb"),
    ("stânga", "dreapta"), ("stanga", "dreapta"), ("sol", "sağ"), ("sol", "sag"), ("лево", "право"),
    ("левый", "правый"), ("левая", "правая"), ("левое", "правое"), ("слева", "справа"), ("ліва", "права"),
    ("лівий", "правий"), ("αριστερά", "δεξιά"), ("αριστερό", "δεξί"), ("kiri", "kanan"), ("trái", "phải"),
    ("ซ้าย", "ขวา"), ("बाएं", "दाएं"), ("बायां", "दायां"), ("يسار", "يمين"), ("أيسر", "أيمن"), ("שמאל", "ימין"),
    ("چپ", "راست"), ("hidari", "migi"), ("zuo", "you"),
)  # fmt: skip
GLYPHS = (
    ("左", "右"),
    ("왼", "오른"),
    ("좌", "우"),
    ("←", "→"),
    ("⬅", "➡"),
    ("👈", "👉"),
    ("<", ">"),
    ("(", ")"),
    ("[", "]"),
)
# Short ones count only where all the rest of two names is the same: Hand_L and Hand_R, and not L1 and right.
SHORT = (
    ("l", "r"), ("lt", "rt"), ("lh", "rh"), ("os", "od"), ("le", "re"), ("sx", "dx"), ("sin", "dex"), ("g", "d"),
    ("b", "d"), ("p", "q"), ("cw", "ccw"), ("cw", "acw"), ("lcc", "rcc"),
    ("lmlo", "rmlo"), ("lll", "rll"), ("lul", "rul"), ("lca", "rca"),
)  # fmt: skip
LETTERS = 10  # classes a, b, c …, from which on they may be pictures of letters
# Numbers that a mirror changes: where something is from left to right, and how it is turned.
NUMBERS = frozenset(
    {"x", "cx", "xmin", "xmax", "column", "angle", "steering", "yaw", "roll", "heading", "azimuth", "bearing"}
    | {"longitude", "lon", "rotation", "direction", "laterality", "side"}
    | {word for pair in WORDS[:9] for word in pair}
)


def mirrored_names(names: Sequence[str]) -> tuple[str, str] | None:
    """Two names of classes of which a mirror makes one of the other, if there are any.

    >>> mirrored_names(["cat", "Hand_L", "Hand_R"]), mirrored_names(["left", "leftover"])
    (('Hand_L', 'Hand_R'), None)
    """
    return _by_words(names) or _by_longer_words(names) or _by_short_words(names)


def _by_words(names: Sequence[str]) -> tuple[str, str] | None:
    """A name with one word of a pair, and another with the other."""
    having: dict[str, set[str]] = {}
    for name in names:
        for word in (*_tokens(name), _letters(name)):
            having.setdefault(word, set()).add(name)
    for a, b in WORDS:
        for one in sorted(having.get(a, ())):  # anti-clockwise has the word clockwise, too
            if others := having.get(b, set()) - {one}:
                return one, min(others)
    return None


def _by_longer_words(names: Sequence[str]) -> tuple[str, str] | None:
    """A name that becomes another one by a longer word, or a sign, within it: handleft and handright."""
    plain = {_plain(name): name for name in names}
    pairs = [*((a, b) for a, b in WORDS if len(a) > 3), *GLYPHS]
    return next(
        (
            (name, plain[text.replace(a, b)])
            for text, name in plain.items()
            for a, b in pairs
            if a in text and text.replace(a, b) in plain
        ),
        None,
    )


def _by_short_words(names: Sequence[str]) -> tuple[str, str] | None:
    """Two names whose words are the same but for one of a short pair."""
    having = {_tokens(name): name for name in names}
    if _are_counted_by_letters(list(having)):
        return None
    return next(
        (
            (name, having[words - {a} | {b}])
            for words, name in having.items()
            for a, b in SHORT
            if a in words and words - {a} | {b} in having
        ),
        None,
    )


def _are_counted_by_letters(names: Sequence[frozenset[str]]) -> bool:
    """Whether names are a, b, c, d, or grade A to grade D: places in an order, and no pictures of letters."""
    if not names:
        return False
    shared = frozenset.intersection(*names)
    own = sorted(" ".join(name - shared) for name in names)
    return 2 < len(own) < LETTERS and own == list(ascii_lowercase[: len(own)])


def mirrored_number(names: Iterable[str]) -> str | None:
    """The name of a number that a mirror changes, such as ``x`` or ``steering angle``, if there is one."""
    return next((name for name in names if _tokens(name) & NUMBERS), None)


def what_a_mirror_changes(samples: Samples) -> str:
    """What of the target, or of the covariates, is another in a mirrored image, by its name; "" for nothing."""
    match samples.target:
        case Classes(names):
            if pair := mirrored_names(names):
                return f'a mirror makes "{pair[1]}" of "{pair[0]}"'
        case _:
            if name := mirrored_number(samples.target.names):
                return f'a mirror may change "{name}"'
    for covariate in samples.covariate_specs:
        if _tells_sides(covariate):
            return f'a mirror may change the covariate "{covariate.label}"'
    return ""


def _tells_sides(covariate: Covariate) -> bool:
    words = [word for word in (covariate.one, covariate.other) if word]
    return bool(mirrored_names(words) or mirrored_number([covariate.column, *words]))


def _plain(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()


def _tokens(name: str) -> frozenset[str]:
    """The words of a name: ``HandLeft_2`` has hand, left and 2."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=\d)(?=[^\W\d])|(?<=[^\W\d])(?=\d)", " ", name)
    return frozenset(re.findall(r"[^\W_]+", _plain(spaced)))


def _letters(name: str) -> str:
    """A name without what stands between its words: anticlockwise for Anti-Clockwise."""
    return re.sub(r"[\W_]+", "", _plain(name))
