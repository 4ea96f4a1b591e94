"""A figure of a page as an SVG file of its own: its colours in its elements, on white, with nothing to hover over.

The page's style sheet stays the one place where colours are: its rules that SVG knows are read from there.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from textwrap import wrap
from xml.etree.ElementTree import Element, SubElement, fromstring, indent, tostring

from mirada.svg import LETTER

SHEET = Path(__file__).parent / "templates" / "style.css"
NAMESPACE = "http://www.w3.org/2000/svg"
FONT = "Helvetica, Arial, sans-serif"
MARGIN = 10.0  # pixels around a figure: text may stand a little outside of it
NOTE = 16.0  # pixels from one line below a figure to the next
KNOWN = {
    "fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "stroke-linecap", "stroke-linejoin",
    "stroke-opacity", "opacity", "text-anchor", "font-size", "paint-order",
}  # fmt: skip  # properties that are attributes of SVG as well
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
NESTED = re.compile(
    r"@[^{]*\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}"
)  # media, print: what holds on white paper is outside
RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
COMPOUND = re.compile(r"([a-z]+)?((?:\.[\w-]+)*)")
VARIABLE = re.compile(r"var\((--[\w-]+)\)")
FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # in XML


@dataclass(frozen=True)
class Compound:
    """An element, or what a part of a selector asks of one: its name, "" for any, and classes."""

    tag: str
    classes: frozenset[str]

    def fits(self, element: "Compound") -> bool:
        """Whether an element has what is asked for."""
        return self.tag in ("", element.tag) and self.classes <= element.classes


@dataclass(frozen=True)
class StyleRule:
    """Properties of the elements that a selector finds: the last compound is theirs, the others' those around them."""

    selector: tuple[Compound, ...]
    properties: Mapping[str, str]

    @property
    def weight(self) -> tuple[int, int]:
        """Which of two rules holds: that with more classes, then that with more names of elements."""
        return sum(len(each.classes) for each in self.selector), sum(bool(each.tag) for each in self.selector)

    def fits(self, chain: tuple[Compound, ...]) -> bool:
        """Whether it is about the last of a chain of elements, each within the one before it."""
        *outer, own = self.selector
        *around, element = chain
        if not own.fits(element):
            return False
        found = iter(around)
        return all(any(each.fits(parent) for parent in found) for each in outer)


def standalone(svg: str, note: str = "") -> str:
    """A figure as the text of an SVG file that needs no style sheet.

    Args:
        svg: As the page has it.
        note: What has to go with the drawing; it stands below it.

    Returns:
        The same drawing with attributes in the place of classes, a white ground and a margin. What only the pointer
        shows is gone; what it would say, too.
    """
    root = fromstring(FORBIDDEN.sub("\ufffd", svg))  # noqa: S314 - our own drawing
    left, top, width, height = map(float, root.get("viewBox", "0 0 100 100").split())
    for line in wrap(note, int(width / LETTER)):
        height += NOTE
        place = {"class": "axis", "x": f"{left:g}", "y": f"{top + height:g}"}
        SubElement(root, "text", place).text = line
    _dress(root, ())
    drawn = list(root)
    name = root.get("aria-label", "")
    root.attrib.clear()
    for child in drawn:
        root.remove(child)
    width, height = width + 2 * MARGIN, height + 2 * MARGIN
    place = {
        "x": f"{left - MARGIN:g}",
        "y": f"{top - MARGIN:g}",
        "width": f"{width:g}",
        "height": f"{height:g}",
    }
    root.attrib.update(
        {
            "xmlns": NAMESPACE,
            "viewBox": " ".join(place.values()),
            "width": place["width"],
            "height": place["height"],
            "font-family": FONT,
        }
    )
    SubElement(root, "title").text = name
    SubElement(root, "rect", {**place, "fill": "#ffffff"})
    root.extend(drawn)
    indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{tostring(root, encoding="unicode")}\n'


def _dress(element: Element, around: tuple[Compound, ...]) -> None:
    """Gives an element and those in it their attributes; takes out what is not seen."""
    chain = (*around, Compound(element.tag, frozenset(element.get("class", "").split())))
    for child in list(element):
        if child.tag != "title":
            _dress(child, chain)
        if child.tag == "title" or _unseen(child):
            element.remove(child)
    for name in ("class", "href", "aria-label", "role") if around else ():
        element.attrib.pop(name, None)
    element.attrib.update(_properties(chain))
    if element.tag == "a":
        element.tag = "g"


@cache
def _properties(chain: tuple[Compound, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for rule in rules():
        if rule.fits(chain):
            found.update(rule.properties)
    return found


def _unseen(element: Element) -> bool:
    empty = element.tag == "g" and not len(element)
    return empty or element.get("fill") == "transparent" or element.get("opacity") == "0"


@cache
def rules() -> tuple[StyleRule, ...]:
    """The rules of the page's style sheet that a figure may need, those that hold over others last."""
    text = NESTED.sub("", COMMENT.sub("", SHEET.read_text(encoding="utf-8")))
    variables: dict[str, str] = {}
    found: list[StyleRule] = []
    for selectors, body in RULE.findall(text):
        pairs = [line.partition(":") for line in body.split(";") if ":" in line]
        values = {name.strip(): value.strip() for name, _, value in pairs}
        variables |= {name: value for name, value in values.items() if name.startswith("--")}
        own = {name: value for name, value in values.items() if name in KNOWN}
        if own:
            found += [StyleRule(parts, own) for each in selectors.split(",") if (parts := _compounds(each))]
    resolved = [
        StyleRule(
            rule.selector,
            {
                name: VARIABLE.sub(lambda match: variables[match[1]], value).removesuffix("px")
                for name, value in rule.properties.items()
            },
        )
        for rule in found
    ]
    return tuple(sorted(resolved, key=lambda rule: rule.weight))


def _compounds(selector: str) -> tuple[Compound, ...]:
    """The parts of a selector; none of one that is about more than names and classes, such as ``:hover``."""
    parts = [COMPOUND.fullmatch(part) for part in selector.split()]
    if not all(parts):
        return ()
    return tuple(
        Compound(part[1] or "", frozenset(filter(None, part[2].split(".")))) for part in parts if part
    )
