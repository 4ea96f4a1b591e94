"""What training starts from: a network with random weights or those of a file, and pixels scaled to suit them."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from mirada.data.index import Index
from mirada.errors import CheckpointError, InvalidArgument, RecipeError
from mirada.events import LoadReport
from mirada.layers.covariates import join_covariates
from mirada.layers.network import Network
from mirada.modelfile import Architecture, Card, load_card
from mirada.models import facts, find, load_weights
from mirada.models.weights import OWN
from mirada.samples import Classes, Covariate, Target
from mirada.training.loss import outputs_for
from mirada.training.recipe import Recipe

# Mean and standard deviation per channel, of values 0 … 1.
PixelScale = tuple[tuple[float, ...], tuple[float, ...]]

SCALES: dict[str, PixelScale] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": ((0.5,), (0.5,)),
    "unit": ((0.0,), (1.0,)),
}


def architecture_for(recipe: Recipe, index: Index) -> Architecture:
    """The network that a recipe trains on some data: its outputs are those that the target and the loss need."""
    yes_or_no = find(recipe.model).num_classes == 1
    return Architecture(
        model=recipe.model,
        options=recipe.options,
        outputs=outputs_for(index.target, recipe.loss, yes_or_no=yes_or_no),
        in_channels=recipe.pixels.decoding().channels,
        image_size=recipe.pixels.image_size,
        covariates=len(index.covariate_specs),
    )


def starting_network(
    recipe: Recipe, architecture: Architecture, target: Target, covariates: Sequence[Covariate] = ()
) -> tuple[Network, LoadReport | None]:
    """The network that training starts with, and what became of the tensors in the recipe's ``weights``.

    Args:
        recipe: Whose ``weights``, if it names a file, the network starts from.
        architecture: What to build.
        target: What the head is to tell; a head that was trained for another one is said to be.
        covariates: What joins the features; where the file knows others, or none, they join behind what it has.

    Returns:
        The network, and the report on its weights, None if they are random.

    Raises:
        InvalidArgument: For images too small.
        RecipeError: If only the auxiliary heads cannot be built.
        CheckpointError: For weights that cannot be read or are another network's.
    """
    if not recipe.weights:
        return built(architecture), None
    before = card_in(recipe.weights)
    own = tuple(covariate.label for covariate in covariates)
    join = bool(own) and own != (before.covariate_names if before else ())
    network = built(replace(architecture, covariates=0) if join else architecture)
    report = load_weights(network, recipe.model, recipe.weights, replace_head=True)
    if before and before.target != target and isinstance(before.target, Classes) and not report.replaced:
        report = replace(report, head_of=before.target.names)
    return join_covariates(network, len(own)) if join else network, report


def starting_scale(recipe: Recipe, weights: LoadReport | None, channels: int) -> PixelScale | None:
    """The mean and deviation that the recipe names, or that its weights expect; None: those of the images.

    A model file says what it expects, public weights expect what their network's ``facts`` say, and about other
    weights under Mirada's names nobody knows. A first layer from a model file counts like weights where there are no
    others. For grey images a colour's three values are averaged.
    """
    scale = SCALES.get(recipe.pixels.normalize)
    if recipe.pixels.normalize == "auto" and weights and weights.convention != OWN:
        scale = SCALES[facts(recipe.model).scale]
    elif recipe.pixels.normalize == "auto" and (weights or recipe.first_layer):
        before = card_in(recipe.weights or recipe.first_layer)
        scale = (before.preprocessing.mean, before.preprocessing.std) if before else None
    if scale is None:
        return None
    mean, std = (
        values if len(values) == channels else (sum(values) / len(values),) * channels for values in scale
    )
    return mean, std


def built(architecture: Architecture) -> Network:
    """The network. Raises ``RecipeError`` if only its auxiliary heads cannot be built."""
    try:
        return architecture.build()
    except InvalidArgument as error:
        options = architecture.options
        if not options.get("auxiliary"):
            raise
        with torch.device("meta"):
            replace(architecture, options={**options, "auxiliary": False}).build()  # fails for another reason
        raise RecipeError(
            f"{error} Without auxiliary heads it can be trained: --set auxiliary=false."
        ) from error


def card_in(file: str) -> Card | None:
    """What a model file says; nothing if it has weights alone, with nothing said about their use."""
    try:
        return load_card(file)
    except CheckpointError:
        return None
