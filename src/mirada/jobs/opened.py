"""One's own network opened on a photo: all its numbers forwards and backwards, as many of them as a page holds."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from mirada.data.batches import normalize, to_float, to_pictures
from mirada.data.pixels.inline import jpeg_uri, png_uri
from mirada.diagram.draw import draw
from mirada.errors import InvalidArgument
from mirada.explain.class_maps import affine_head
from mirada.explain.explainable import Explainable
from mirada.explain.passes import COVARIATES, PassStep, open_passes
from mirada.inference.explained import look_at, number_of, stacked
from mirada.inference.matching import Known, covariates_of, unlabeled
from mirada.inference.model import Model
from mirada.inference.pictures import Picture, named
from mirada.jobs.opened_stages import maps_of, shape_of, stages_of
from mirada.pages.opened import AnswerRow, FibreMap, OpenedPage, OutputReading
from mirada.samples import Classes, Numbers

ANSWERS = 20  # outputs that are listed
FIBRE = 64  # channels of a fibre
FIBRE_VALUES = 60_000  # numbers of all fibres together
SMALL = 128  # pixels of a side of a picture that is kept as it is
QUALITY = 90


def open_network(
    model: Model, image: Picture, *, target: str | None = None, known: Known | None = None
) -> OpenedPage:
    """One forward and one backward pass of a photo through a model, as a page.

    Args:
        model: Of one network.
        image: A path, the bytes of a file, an array or a Pillow image.
        target: The class, or of several numbers the one, whose gradients are shown; by default the answer.
        known: Covariates, as for ``Model.predict``.

    Returns:
        What the page says; every number in it is PyTorch's own.

    Raises:
        InvalidArgument: The model is an ensemble; there is no such class; ``known`` has what it does not read.
        DataError: A covariate that the model reads is not there.
        DecodeError: The image cannot be decoded.
    """
    if model.ensemble:
        raise InvalidArgument(
            f"An ensemble of {len(model.ensemble)} networks cannot be opened as one. Name the model of a fold."
        )
    card = model.card
    (name,) = named([image])
    (seen,) = look_at([(name, image)], card.preprocessing, None)
    pixels = normalize(to_float(model.compute.to_device(stacked([seen.pixels]))), card.preprocessing)
    scaled = card.scale_covariates(covariates_of(card, unlabeled([name], card), known))
    beside = None if scaled is None else scaled.to(model.compute.device)
    outputs = Explainable(model.network, beside).answer(pixels)
    asked = _asked(model, outputs, target)
    steps = open_passes(model.network, pixels, beside, asked)
    return OpenedPage(
        network=card.architecture.title,
        image=Path(name).name,
        photo=_photo(to_pictures(pixels, card.preprocessing)[0]),
        reading=_reading(model, outputs, asked),
        covariates=card.covariate_names,
        mirrored=card.flip_average,
        stages=stages_of(steps, asked if outputs.shape[1] > 1 else 0),
        fibres=_fibres(model, steps, asked),
        drawing=draw(model.network, tuple(pixels.shape[1:]), title=card.architecture.title),
    )


def _asked(model: Model, outputs: Tensor, target: str | None) -> int:
    """The number of the class or number whose gradients are shown, as ``pick`` takes it."""
    chosen = number_of(model.card.target, target)
    match model.card.target:
        case Classes():
            return int(model.card.read_outputs(outputs)[0].argmax()) if chosen is None else chosen
        case Numbers():
            return (chosen or 0) if outputs.shape[1] > 1 else 1


def _reading(model: Model, outputs: Tensor, asked: int) -> OutputReading:
    """What is read from the outputs, the largest first."""
    card = model.card
    scale: tuple[float, ...]
    raw, read = outputs[0].float().cpu().tolist(), card.read_outputs(outputs)[0].tolist()
    match card.target:
        case Classes(names):
            single = len(raw) == 1
            both = [-raw[0], raw[0]] if single else raw
            rows = [AnswerRow(*row) for row in zip(names, both, read, strict=True)]
            rows.sort(key=lambda row: -row.read)
            how, scale, unit = "sigmoid" if single else "softmax", (card.temperature,), ""
            name, sign = names[asked], -1 if single and asked == 0 else 1
        case Numbers(names, unit):
            rows = [AnswerRow(*row) for row in zip(names, raw, read, strict=True)]
            number = asked if len(raw) > 1 else 0
            scaling = card.target_scaling
            how = "number"
            scale = (scaling.mean[number], scaling.std[number]) if scaling else (0.0, 1.0)
            name, sign = names[number], 1
    return OutputReading(
        asked=name, sign=sign, rows=rows[:ANSWERS], hidden=max(0, len(rows) - ANSWERS), how=how, scale=scale, unit=unit
    )  # fmt: skip


def _photo(picture: NDArray[np.uint8]) -> str:
    """What the network reads, (H, W, C), as a ``data:`` address."""
    shown = Image.fromarray(picture if picture.shape[2] == 3 else picture[..., 0])
    return png_uri(shown) if max(shown.size) <= SMALL else jpeg_uri(shown, QUALITY)


def _fibres(model: Model, steps: Sequence[PassStep], asked: int) -> FibreMap | None:
    """How the map of the answer is made of the fibres of the maps that enter the head."""
    number = next((step.inputs[0] for step in steps if step.name.startswith("head.")), None)
    if number is None or min(shape_of(steps[number])[1:]) < 2:
        return None
    shape = shape_of(steps[number])
    maps, gradients = maps_of(steps[number].values, shape), maps_of(steps[number].gradient, shape)
    head = affine_head(model.network)
    output = float((steps[-1].values * steps[-1].gradient).sum())
    weights, bias = gradients, 0.0
    if head is not None:
        row, sign = (asked, 1) if len(head.weight) > 1 else (0, 2 * asked - 1)
        weights = (sign * head.weight[row]).detach().cpu().numpy().reshape(-1, 1, 1)
        beside = [step.values for step in steps if step.name == COVARIATES and not step.inputs]
        with torch.no_grad():
            added = head.bias[row] + (beside[0][0] @ head.beside[row] if beside else 0.0)
        bias = sign * float(added)
    parts = weights * maps
    order = np.argsort(-np.abs(parts.sum(axis=(1, 2))), kind="stable")
    shown = order[: max(1, min(FIBRE, FIBRE_VALUES // (shape[1] * shape[2])))]
    return FibreMap(
        stage=number,
        exact=head is not None,
        channels=tuple(shown.tolist()),
        values=maps[shown],
        weights=weights[shown],
        map=parts.sum(axis=0),
        bias=bias,
        output=output,
        total=shape[0],
    )
