"""Draws one network on one photo, opened number by number, forwards and backwards, as one HTML page."""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from mirada.pages.lessons.wording import Wording, sentences_of
from mirada.pages.page import TEMPLATES, publish, template

SCRIPT = "opened.js"
TOPIC = "opened"  # the name of its files of texts
Values = NDArray[np.float32]
Shades = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Formula:
    """What a step computes, for the channels that a page shows.

    Args:
        kind: What it is: a key of the page's script and of its texts.
        numbers: Sizes such as ``kernel``, by name.
        arrays: Weights and the like, float32, by name; their first axis is the channels shown.
    """

    kind: str
    numbers: Mapping[str, float | str | Sequence[float]]
    arrays: Mapping[str, Values]


@dataclass(frozen=True, eq=False, kw_only=True)
class OpenedStage:
    """A step of the network.

    Args:
        name: The path of the layer, or of what called the function.
        formula: What it computes.
        shape: (C, h, w) of what it puts out; of plain numbers (F, 1, 1).
        inputs: The numbers of the steps that it reads.
        channels: The numbers of those that are shown, rising.
        corner: (row, column) of the first place that is exact.
        values: (S, h′, w′): the exact numbers of the channels shown, from the corner on.
        gradients: The answer's by each of them, in the same shape.
        shades: (2, S, t, u): values and gradients of the whole maps, rounded, for the eye; None where all places are
            exact.
        limits: The |value| and the |gradient| that the ends of the shades stand for.
        extremes: The largest |value| and |gradient| of all channels and places.
    """

    name: str
    formula: Formula
    shape: tuple[int, int, int]
    inputs: tuple[int, ...]
    channels: tuple[int, ...]
    corner: tuple[int, int]
    values: Values
    gradients: Values
    shades: Shades | None
    limits: tuple[float, float]
    extremes: tuple[float, float]


@dataclass(frozen=True, eq=False, kw_only=True)
class FibreMap:
    """How the map of the answer is made of fibres: M(x, y) = Σₙ A_n(x, y) · W_n.

    Args:
        stage: The number of the step whose maps A are.
        exact: Whether W are the weights of a head that averages, so that the mean of M and the bias are the output;
            else they are the gradients of each place.
        channels: The numbers of the maps shown, that which matters most first.
        values: (S, h, w), theirs.
        weights: (S, 1, 1), or (S, h, w) where they are gradients.
        map: (h, w): M, of all channels.
        bias: What is added to the mean of M.
        output: What the network puts out.
        total: How many maps there are.
    """

    stage: int
    exact: bool
    channels: tuple[int, ...]
    values: Values
    weights: Values
    map: Values
    bias: float
    output: float
    total: int


@dataclass(frozen=True)
class AnswerRow:
    """One output: its name, what the network puts out, and what that is read as."""

    name: str
    output: float
    read: float


@dataclass(frozen=True, kw_only=True)
class OutputReading:
    """What is read from the outputs.

    Args:
        asked: The name of the output that the gradients are of.
        sign: −1 where they are of its opposite: the first of two classes that one output tells apart.
        rows: The outputs, the largest first.
        hidden: How many outputs are not among them.
        how: ``softmax``, ``sigmoid`` or ``number``.
        scale: What reading takes: the temperature; or mean and deviation.
        unit: Of a number; "" for classes.
    """

    asked: str
    sign: int
    rows: Sequence[AnswerRow]
    hidden: int
    how: str
    scale: tuple[float, ...]
    unit: str


@dataclass(frozen=True, eq=False, kw_only=True)
class OpenedPage:
    """All that the page says.

    Args:
        network: Its name.
        image: The photo's file name.
        photo: What the network reads of it, as a ``data:`` address.
        reading: What the network answers.
        covariates: Names of what it reads beside the image.
        mirrored: Whether the model's answer is the mean of this and of its mirror image's.
        stages: In the order in which they run.
        fibres: None where no maps with places enter the head.
        drawing: The network as SVG.
    """

    network: str
    image: str
    photo: str
    reading: OutputReading
    covariates: Sequence[str]
    mirrored: bool
    stages: Sequence[OpenedStage]
    fibres: FibreMap | None
    drawing: str


def write_opened_page(page: OpenedPage, file: Path, language: str = "en") -> Path:
    """Writes the page and returns its path; it appears whole or not at all.

    Args:
        page: What it says.
        file: Where.
        language: ``en`` or ``es``.
    """
    return publish(opened_page(page, language), file)


def opened_page(page: OpenedPage, language: str) -> str:
    """The page as text."""
    wording = Wording(TOPIC, language)
    script = (TEMPLATES / SCRIPT).read_text(encoding="utf-8")
    return template("opened.html").render(
        page=page,
        title=str(wording["title"]).format(network=page.network, image=page.image),
        say=wording.sentences,
        language=language,
        drawing=Markup(page.drawing),  # noqa: S704 # of mirada.diagram, which escapes names
        exact=exact_numbers(page),
        counted=wording.counted,
        exactly=lambda value: exactly(value, language),
        data=json.dumps(_data(page, language), ensure_ascii=False, allow_nan=False).replace("<", "\\u003c"),
        script=script,
        script_hash=b64encode(sha256(script.encode()).digest()).decode(),
    )


def exactly(value: float, language: str) -> str:
    """A number with seven significant digits, as the page's script writes it.

    >>> exactly(-0.123456789, "es"), exactly(1.0, "en")
    ('−0,1234568', '1')
    """
    text = f"{value:.7g}".replace("-", "−")
    return text.replace(".", ",") if language == "es" else text


def exact_numbers(page: OpenedPage) -> tuple[int, int]:
    """How many values of all steps are in the page, and how many there are."""
    there = sum(stage.values.size for stage in page.stages)
    return there, sum(int(np.prod(stage.shape)) for stage in page.stages)


def _data(page: OpenedPage, language: str) -> dict[str, object]:
    """What the script starts from."""
    return {
        "language": language,
        "texts": sentences_of(f"{TOPIC}_script", language),
        "kinds": sentences_of(f"{TOPIC}_kinds", language),
        "stages": [_stage(stage) for stage in page.stages],
        "fibres": page.fibres and _fibres(page.fibres),
        "covariates": list(page.covariates),
    }


def _stage(stage: OpenedStage) -> dict[str, object]:
    return {
        "name": stage.name,
        "kind": stage.formula.kind,
        "shape": stage.shape,
        "inputs": stage.inputs,
        "channels": stage.channels,
        "corner": stage.corner,
        "values": _floats(stage.values),
        "gradients": _floats(stage.gradients),
        "shades": None
        if stage.shades is None
        else {"shape": stage.shades.shape, "bytes": b64encode(stage.shades.tobytes()).decode()},
        "limits": stage.limits,
        "extremes": stage.extremes,
        "numbers": dict(stage.formula.numbers),
        "arrays": {name: _floats(array) for name, array in stage.formula.arrays.items()},
    }


def _fibres(found: FibreMap) -> dict[str, object]:
    return {
        "stage": found.stage,
        "exact": found.exact,
        "channels": found.channels,
        "values": _floats(found.values),
        "weights": _floats(found.weights),
        "map": _floats(found.map),
        "bias": found.bias,
        "output": found.output,
        "total": found.total,
    }


def _floats(array: Values) -> dict[str, object]:
    """An array as its shape and its float32 numbers, the lowest byte first."""
    return {
        "shape": array.shape,
        "floats": b64encode(np.ascontiguousarray(array, dtype="<f4").tobytes()).decode(),
    }
