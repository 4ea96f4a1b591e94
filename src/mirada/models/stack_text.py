"""How a stack of layers is written: ``conv 96 k11 s4; pool k3 s2; dense 10``, read into layers and their windows."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from mirada.arithmetic import output_size
from mirada.errors import InvalidArgument, nearest, reason_of
from mirada.text import times

Pair = tuple[int, int]  # (height, width) in pixels
LARGEST = 1_000_000  # of any number in the text
DEEPEST = 1_000  # layers; a text may come from a stranger's model file

USAGE = {
    "conv": "conv N kK [sS] [pP] [gG] [dD]",
    "pool": "pool kK [sS] [pP] [ceil]",
    "maxpool": "maxpool kK [sS] [pP] [ceil]",
    "avgpool": "avgpool kK [sS] [pP] [ceil]",
    "dense": "dense N",
    "fc": "fc N",
    "linear": "linear N",
    "dropout": "dropout [RATE]",
    **{
        word: word
        for word in ("flatten", "gap", "bn", "lrn", "relu", "leaky_relu", "sigmoid", "tanh", "softmax")
    },
}
POOLS, DENSE = ("pool", "maxpool", "avgpool"), ("dense", "fc", "linear")
LETTERS = {"conv": "kspgd", **dict.fromkeys(POOLS, "ksp")}


@dataclass(frozen=True, kw_only=True)
class StackWindow:
    """What slides over a map; each size is (height, width) in pixels, and an axis is 0 or 1."""

    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    ceil: bool = False

    def span(self, axis: int) -> int:
        """The k of the formula: d(k − 1) + 1, the kernel with the gaps that dilation makes."""
        return self.dilation[axis] * (self.kernel[axis] - 1) + 1

    def room(self, size: int, axis: int) -> int:
        """How far the window can slide over a map of ``size``: m − k + 2c; below 0 it does not fit."""
        return size - self.span(axis) + 2 * self.padding[axis]

    def left(self, size: int, axis: int) -> int:
        """How many rows or columns of the padded map are cut off behind the last window."""
        return 0 if self.ceil else self.room(size, axis) % self.stride[axis]

    def output(self, size: int, axis: int) -> int:
        """The output's size; with ``ceil`` a last window may hang over the edge, but not begin beyond it."""
        return output_size(
            size,
            self.kernel[axis],
            stride=self.stride[axis],
            padding=self.padding[axis],
            dilation=self.dilation[axis],
            ceil=self.ceil,
        )

    def formula(self, size: int, axis: int) -> str:
        """(m − k + 2c)/p with its numbers."""
        padded = f"2·{self.padding[axis]}" if self.padding[axis] else "0"
        return f"({size} − {self.span(axis)} + {padded})/{self.stride[axis]}"


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One step as it was read; ``units`` is the N of convolutions and dense layers, ``rate`` that of a dropout."""

    number: int
    text: str
    word: str
    units: int = 0
    groups: int = 1
    rate: float = 0.5
    window: StackWindow | None = None

    @property
    def name(self) -> str:
        """How messages call it."""
        return f'Step {self.number}, "{self.text}"'


def parse_shape(text: str) -> tuple[int, int, int]:
    """``CxHxW`` as numbers: channels, height and width in pixels.

    Raises ``InvalidArgument`` if the text is anything else.

    >>> parse_shape("3x227x227")
    (3, 227, 227)
    """
    found = re.fullmatch(r"(\d{1,7})[x×](\d{1,7})[x×](\d{1,7})", text.strip().lower(), flags=re.ASCII)
    sides = tuple(map(int, found.groups())) if found else ()
    if len(sides) != 3 or not all(1 <= side <= LARGEST for side in sides):
        raise InvalidArgument(
            f'The input "{text}" is not a shape; write channels, height and width in pixels, such as 3x227x227.'
        )
    return sides[0], sides[1], sides[2]


def parse_layers(text: str, *, outputs: int = 0) -> tuple[Layer, ...]:
    """The steps of a stack, as they are written.

    Args:
        text: Semicolons or line ends stand between the steps, capitals do not matter, and what follows a ``#`` in a
            line is a comment.
        outputs: What a dense layer at the end puts out if it does not say it; 0 if it has to.

    Raises:
        InvalidArgument: There is none, or one cannot be read; its number and its text are said.

    >>> [layer.word for layer in parse_layers("conv 6 k5; relu; dense 10")]
    ['conv', 'relu', 'dense']
    >>> parse_layers("flatten; dense", outputs=3)[-1].units
    3
    """
    steps = _steps(text)
    if not steps:
        raise InvalidArgument('There are no layers; write some, such as "conv 6 k5; pool k2; dense 10".')
    if len(steps) > DEEPEST:
        raise InvalidArgument(
            f"There are {len(steps):,} layers, and a stack has at most {DEEPEST:,}. Leave some out."
        )
    if outputs and steps[-1].lower() in DENSE:
        steps[-1] = f"{steps[-1]} {outputs}"
    return tuple(_layer(number, step) for number, step in enumerate(steps, start=1))


def _steps(text: str) -> list[str]:
    """What stands between semicolons and line ends, without comments."""
    plain = re.sub(r"#[^\n]*", "", text)
    return [" ".join(part.split()) for part in re.split(r"[;\n]", plain) if part.strip()]


def _layer(number: int, text: str) -> Layer:
    word, *parts = text.lower().split()
    layer = Layer(number=number, text=text, word=word)
    if word not in USAGE:
        raise InvalidArgument(f'{layer.name}: there is no layer "{word}". {nearest(word, USAGE)}')
    letters, sizes, units = LETTERS.get(word, ""), dict[str, Pair](), 0
    for part in parts:
        if part[0] in letters and part[1:2].isdigit():
            if part[0] in sizes:
                raise _unreadable(layer, f'"{part[0]}" is said twice')
            sizes[part[0]] = _pair(layer, part)
        elif part.isdigit() and word in ("conv", *DENSE) and not units:
            units = _number(layer, part, part)
        elif word == "dropout" and _is_rate(part):
            layer = replace(layer, rate=float(part))
        elif not (part == "ceil" and word in POOLS):
            raise _unreadable(layer, f'"{part}" cannot be read')
    if word in ("conv", *DENSE) and not units:
        raise _unreadable(layer, "it does not say how many outputs it has")
    if letters and "k" not in sizes:
        raise _unreadable(layer, "it does not say the size of its kernel")
    window = _window(layer, sizes, "ceil" in parts) if letters else None
    return replace(layer, units=units, groups=sizes.get("g", (1, 1))[0], window=window)


def _window(layer: Layer, sizes: dict[str, Pair], ceil: bool) -> StackWindow:
    kernel = sizes["k"]
    padding = sizes.get("p", (0, 0))
    half = (kernel[0] // 2, kernel[1] // 2)
    if layer.word in POOLS and (padding[0] > half[0] or padding[1] > half[1]):
        raise InvalidArgument(
            f"{layer.name}: its padding is more than half of its kernel, so a window could hold nothing but "
            f"padding; use at most {sizes_text('p', half)}."
        )
    stride = sizes.get("s", kernel if layer.word in POOLS else (1, 1))
    return StackWindow(
        kernel=kernel, stride=stride, padding=padding, dilation=sizes.get("d", (1, 1)), ceil=ceil
    )


def sizes_text(letter: str, sizes: Pair) -> str:
    """A letter and its numbers as they are written in a step.

    >>> sizes_text("k", (3, 3)), sizes_text("p", (0, 3))
    ('k3', 'p0x3')
    """
    return letter + (str(sizes[0]) if sizes[0] == sizes[1] else times(sizes).replace("×", "x"))


def _pair(layer: Layer, part: str) -> Pair:
    """``k3``, or ``k1x7`` as height by width; groups are one number, and only padding may be 0."""
    letter, numbers = part[0], re.split("[x×]", part[1:])
    if len(numbers) > (1 if letter == "g" else 2):
        raise _unreadable(layer, f'"{part}" has too many numbers')
    found = [_number(layer, digits, part, least=0 if letter == "p" else 1) for digits in numbers]
    return found[0], found[-1]


def _number(layer: Layer, digits: str, part: str, least: int = 1) -> int:
    if not re.fullmatch(r"\d{1,7}", digits, flags=re.ASCII) or not least <= int(digits) <= LARGEST:
        raise _unreadable(layer, f'the number in "{part}" must be whole, from {least} to {LARGEST:,}')
    return int(digits)


def _is_rate(part: str) -> bool:
    return re.fullmatch(r"0|0?\.\d+", part, flags=re.ASCII) is not None


def _unreadable(layer: Layer, problem: str) -> InvalidArgument:
    return InvalidArgument(f"{layer.name}: {problem}; write it as {USAGE[layer.word]}.")


def read_layers(layers: str) -> str:
    """The text of a stack, in one line, from that text itself or from the file of this name.

    Raises:
        InvalidArgument: The file cannot be read, or a step of the text; an empty text is a stack of no layers.

    >>> read_layers("conv 6 k5\\nrelu  # as in 2012")
    'conv 6 k5; relu'
    """
    text = _content(layers)
    steps = _steps(text)
    if steps:
        parse_layers(text, outputs=1)
    return "; ".join(steps)


def _content(layers: str) -> str:
    """What a file holds, if there is one of this name."""
    try:
        there = bool(layers.strip()) and Path(layers).is_file()
    except (OSError, ValueError):  # a text that is too long for a name
        there = False
    if not there and Path(layers.strip()).suffix and not re.search(r"[\s;]", layers.strip()):
        raise InvalidArgument(
            f"{layers}: there is no such file of layers. Give a file, or the layers themselves."
        )
    if not there:
        return layers
    try:
        return Path(layers).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else "it is no text"
        raise InvalidArgument(f"{layers}: the layers cannot be read ({reason}).") from error
