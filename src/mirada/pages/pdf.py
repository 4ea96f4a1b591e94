"""A figure of ``standalone`` as a PDF file of one page: vectors, and text in the fonts that every reader has.

It knows the elements that figures are made of, and no others. Letters that neither Helvetica (Windows-1252) nor Symbol
has are written as a question mark; the SVG file beside it has them all.

Source: ISO 32000-1:2008, §7.5 (structure), §8 (graphics), §9 (text), Annex D (encodings).
"""

import re
import zlib
from collections.abc import Iterator
from itertools import groupby
from xml.etree.ElementTree import Element, fromstring

POINTS = 0.75  # in a pixel
UNKNOWN = "?"
SYMBOLS = {
    "−": 0x2D, "≤": 0xA3, "≥": 0xB3, "→": 0xAE, "←": 0xAC, "↑": 0xAD, "↓": 0xAF, "≠": 0xB9, "∞": 0xA5, "≈": 0xBB,
    "α": 0x61, "β": 0x62, "γ": 0x67, "δ": 0x64, "ε": 0x65, "κ": 0x6B, "λ": 0x6C, "μ": 0x6D, "ρ": 0x72, "σ": 0x73,
    "Δ": 0x44, "Σ": 0x53,
}  # fmt: skip  # Unicode → Symbol's own code
RAISED = str.maketrans("⁰⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0456789+−n")  # Windows-1252 has ¹, ² and ³
SMALL, RISE = 0.65, 0.35  # the size of raised letters, and how high they stand, in that of the others
WIDTHS = {
    " !,./:;I[\\]ft": 278, '"': 355, "#0123456789?L_abdeghnopqu$": 556, "%m": 889, "&ABEKPSVXY": 667, "'": 191,
    "()-r`": 333, "*": 389, "+<=>~": 584, "@": 1015, "CDHNRUw": 722, "FTZ": 611, "GOQ": 778, "Jcksvxyz": 500, "M": 833,
    "W": 944, "^": 469, "ijl": 222, "{}": 334, "|": 260,
}  # fmt: skip  # of Helvetica, in thousandths of its size (Adobe Font Metrics)
WIDTH_OF = {letter: width for letters, width in WIDTHS.items() for letter in letters}
USUAL = 556  # of a letter that is not listed
STEP = re.compile(r"([ML])([-\d.]+) ([-\d.]+)")
MOVED = re.compile(r"translate\(([-\d.]+) ([-\d.]+)\) rotate\(([-\d.]+)\)")
TURNED = {
    "0": "1 0 0 -1",
    "-90": "0 -1 -1 0",
}  # by degrees, of text that stands upright on a page with y downwards
CAPS = {"butt": 0, "round": 1}


def pdf_of(svg: str) -> bytes:
    """The PDF file of a figure.

    Args:
        svg: The text of an SVG file by ``standalone``.

    Returns:
        The same drawing; the same bytes for the same text.

    Raises:
        ValueError: There is an element, a path or a transformation that figures do not have.
    """
    root = fromstring(svg)  # noqa: S314 - our own drawing
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    left, top, width, height = map(float, root.get("viewBox", "").split())
    scale = f"q {POINTS} 0 0 -{POINTS} {_n(-left * POINTS)} {_n((top + height) * POINTS)} cm"
    shades: dict[tuple[str, str], str] = {}
    drawing = "\n".join([scale, *_drawn(root, 1.0, shades), "Q"]).encode("cp1252")
    packed = zlib.compress(drawing)
    states = " ".join(
        f"/{name} << /Type /ExtGState /ca {fill} /CA {line} >>" for (fill, line), name in shades.items()
    )
    size = f"[0 0 {_n(width * POINTS)} {_n(height * POINTS)}]"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        (
            f"<< /Type /Page /Parent 2 0 R /MediaBox {size} /Contents 4 0 R "
            f"/Resources << /Font << /F 5 0 R /S 6 0 R >> /ExtGState << {states} >> >> >>"
        ).encode(),
        b"<< /Length %d /Filter /FlateDecode >>\nstream\n%b\nendstream" % (len(packed), packed),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Symbol >>",
        b"<< /Title (%b) /Producer (Mirada) >>"
        % _literal(_plain(root.findtext("title") or "")).encode("cp1252"),
    ]
    return _file(objects)


def lost_letters(svg: str) -> str:
    """The letters of a figure that its PDF file does not have, each once."""
    text = "".join(fromstring(svg).itertext())  # noqa: S314 - our own drawing
    lost = (letter for letter in text if _font(letter) == "plain" and not _winansi(letter))
    return "".join(dict.fromkeys(lost))


def text_length(text: str, size: float) -> float:
    """How wide a text is in Helvetica, in the unit of its size."""
    raised = "".join(letter for letter in text if ord(letter) in RAISED)
    others = sum(WIDTH_OF.get(letter, USUAL) for letter in text if ord(letter) not in RAISED)
    return (
        (others + SMALL * sum(WIDTH_OF.get(letter, USUAL) for letter in raised.translate(RAISED)))
        * size
        / 1000
    )


def _file(objects: list[bytes]) -> bytes:
    """Objects with the table of where each begins."""
    parts, places = [b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"], []
    for number, content in enumerate(objects, start=1):
        places.append(sum(map(len, parts)))
        parts.append(b"%d 0 obj\n%b\nendobj\n" % (number, content))
    start = sum(map(len, parts))
    rows = "".join(f"{place:010d} 00000 n \n" for place in places)
    count = len(objects) + 1
    parts.append(f"xref\n0 {count}\n0000000000 65535 f \n{rows}".encode())
    parts.append(
        f"trailer\n<< /Size {count} /Root 1 0 R /Info {len(objects)} 0 R >>\nstartxref\n{start}\n%%EOF\n".encode()
    )
    return b"".join(parts)


def _drawn(element: Element, opacity: float, shades: dict[tuple[str, str], str]) -> Iterator[str]:
    """The operators of an element and of those in it."""
    opacity *= float(element.get("opacity", 1))
    match element.tag:
        case "svg" | "g":
            for child in element:
                yield from _drawn(child, opacity, shades)
        case "title":
            return
        case "text":
            yield from ("q", _state(element, opacity, shades), *_text(element), "Q")
        case "circle":
            yield from ("q", _state(element, opacity, shades), _dot(element), "Q")
        case "rect" | "line" | "path":
            paint = _paint(element)
            pen = _pen(element) if paint in "BS" else ""
            if paint:
                yield from ("q", _state(element, opacity, shades), pen, _outline(element), paint, "Q")
        case other:
            raise ValueError(f"a figure has no <{other}>")


def _state(element: Element, opacity: float, shades: dict[tuple[str, str], str]) -> str:
    """Colours and how much is seen of them; the line of a dot is its filling."""
    fill, line = (_n(opacity * float(element.get(name, 1))) for name in ("fill-opacity", "stroke-opacity"))
    line = fill if element.tag == "circle" else line
    name = shades.setdefault((fill, line), f"G{len(shades)}")
    parts = [f"/{name} gs"]
    for attribute, operator in (("fill", "rg"), ("stroke", "RG")):
        colour = element.get(attribute, "none" if attribute == "stroke" else "#000000")
        if colour != "none":
            parts.append(f"{_colour(colour)} {operator}")
    return " ".join(parts)


def _paint(element: Element) -> str:
    """Fill, stroke, both, or nothing."""
    filled = element.tag != "line" and element.get("fill") != "none"
    stroked = element.get("stroke", "none") != "none"
    return {(True, True): "B", (True, False): "f", (False, True): "S", (False, False): ""}[filled, stroked]


def _pen(element: Element) -> str:
    dashes = re.split(r"[\s,]+", element.get("stroke-dasharray", "").strip())
    cap = CAPS[element.get("stroke-linecap", "butt")]
    join = int(element.get("stroke-linejoin", "miter") == "round")
    return f"{element.get('stroke-width', '1')} w {cap} J {join} j [{' '.join(filter(None, dashes))}] 0 d"


def _outline(element: Element) -> str:
    """The path of a shape."""
    match element.tag:
        case "rect":
            return " ".join(_n(_number(element, name)) for name in ("x", "y", "width", "height")) + " re"
        case "line":
            ends = [_n(_number(element, name)) for name in ("x1", "y1", "x2", "y2")]
            return "{} {} m {} {} l".format(*ends)
    path = element.get("d", "")
    steps = STEP.findall(path)
    if "".join(f"{command}{x} {y}" for command, x, y in steps) != path:
        raise ValueError(f"a figure has no path {path[:60]!r}")
    return " ".join(f"{x} {y} {'m' if command == 'M' else 'l'}" for command, x, y in steps)


def _dot(element: Element) -> str:
    """A filled circle, as a line of no length with a round cap: a figure has thousands of them."""
    colour, place = (
        _colour(element.get("fill", "#000000")),
        [_n(_number(element, name)) for name in ("cx", "cy")],
    )
    return "{2} RG {3} w 1 J {0} {1} m {0} {1} l S".format(*place, colour, _n(2 * _number(element, "r")))


def _number(element: Element, name: str) -> float:
    return float(element.get(name, 0))


def _text(element: Element) -> Iterator[str]:
    """A line of text, its halo first, in runs of one font."""
    text = element.text or ""
    size = float(element.get("font-size", 12))
    moved = MOVED.fullmatch(element.get("transform", ""))
    if element.get("transform") and not (moved and moved[3] in TURNED):
        raise ValueError(f"a figure has no transformation {element.get('transform')!r}")
    x, y = (float(moved[1]), float(moved[2])) if moved else (0.0, 0.0)
    turned = TURNED[moved[3] if moved else "0"]
    share = {"start": 0.0, "middle": 0.5, "end": 1.0}[element.get("text-anchor", "start")]
    along = float(element.get("x", 0)) - share * text_length(text, size)
    place = (along, float(element.get("y", 0)))
    if moved and moved[3] == "-90":
        place = (place[1], -along)
    shown = "".join(_runs(text, size))
    matrix = f"{turned} {_n(x + place[0])} {_n(y + place[1])} Tm"
    if element.get("stroke", "none") != "none":
        yield f"{_pen(element)} BT 1 Tr {matrix} {shown} ET"
    yield f"BT 0 Tr {matrix} {shown} ET"


def _runs(text: str, size: float) -> Iterator[str]:
    for font, letters in groupby(text, _font):
        run = "".join(letters)
        match font:
            case "raised":
                yield f"{_n(RISE * size)} Ts {''.join(_runs(run.translate(RAISED), SMALL * size))}0 Ts "
            case "symbol":
                yield f"/S {_n(size)} Tf <{''.join(f'{SYMBOLS[letter]:02X}' for letter in run)}> Tj "
            case _:
                yield f"/F {_n(size)} Tf ({_literal(_plain(run))}) Tj "


def _font(letter: str) -> str:
    """What a letter is written with: Helvetica also where no font has it."""
    if _winansi(letter):
        return "plain"
    return "raised" if ord(letter) in RAISED else "symbol" if letter in SYMBOLS else "plain"


def _winansi(letter: str) -> bool:
    try:
        letter.encode("cp1252")
    except UnicodeEncodeError:
        return False
    return True


def _plain(text: str) -> str:
    """What Windows-1252 has of a text; a line is one line."""
    return "".join(letter if _winansi(letter) else UNKNOWN for letter in " ".join(text.splitlines()) or text)


def _literal(text: str) -> str:
    return re.sub(r"([\\()])", r"\\\1", text)


def _colour(text: str) -> str:
    """``#rrggbb`` as three shares. Raises ``ValueError`` for another colour."""
    return " ".join(_n(int(text[place : place + 2], 16) / 255) for place in (1, 3, 5))


def _n(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".") if value % 1 else f"{value:.0f}"
