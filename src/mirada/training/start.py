"""What training starts from: a network with random weights or those of a file, and pixels scaled to suit them."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from mirada.data.index import Index
from mirada.errors import CheckpointError, InvalidArgument, RecipeError
from mirada.events import LoadReport
from mirada.layers.covariates import join_covariates
from mirada.layers.network import Network
from mirada.layers.own import OwnNetwork, own_network, require_trainable
from mirada.modelfile import Architecture
from mirada.models import OF_ONES_OWN, facts, find, load_weights
from mirada.models.stack import PlannedStack
from mirada.models.weights import CADENE, OWN, SEQUENTIAL, turn_round
from mirada.samples import Classes, Covariate, Numbers, Target
from mirada.store.catalogue import weights_of
from mirada.store.scale import ValueScale
from mirada.training.known_weights import StartingWeights, card_in
from mirada.training.loss import outputs_for
from mirada.training.recipe import Recipe

# Mean and standard deviation per channel, of values 0 … 1.
PixelScale = tuple[tuple[float, ...], tuple[float, ...]]

SCALES: dict[str, PixelScale] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": ((0.5,), (0.5,)),
    "unit": ((0.0,), (1.0,)),
}


def module_for(module: nn.Module | None, recipe: Recipe, index: Index) -> OwnNetwork | None:
    """A copy of a module of one's own, as a network for these images and covariates; None if there is none.

    Raises ``InvalidArgument`` for a module that cannot be trained on them.
    """
    if module is None:
        return None
    pixels = recipe.pixels.decoding()
    torch.manual_seed(recipe.seed)  # of layers that draw their weights when they see the first image
    network = own_network(
        module, in_channels=pixels.channels, image_size=pixels.size, covariates=len(index.covariate_specs)
    )
    require_trainable(network)
    return network


def architecture_for(recipe: Recipe, index: Index, own: OwnNetwork | None = None) -> Architecture:
    """The network that a recipe trains on some data: its outputs are those that the target and the loss need.

    Args:
        recipe: It names the network.
        index: The data.
        own: The network, if it is a module of one's own.

    Raises:
        InvalidArgument: Its outputs are others.
    """
    yes_or_no = (own.outputs if own else find(recipe.model).num_classes) == 1
    outputs = outputs_for(index.target, recipe.loss, yes_or_no=yes_or_no)
    if own and own.outputs != outputs:
        raise InvalidArgument(
            f"{own.name} puts out {own.outputs} numbers per image, and these data need {outputs}, for "
            f"{index.target.task}. Build it with {outputs}."
        )
    return Architecture(
        model=recipe.model,
        options={"class_name": own.name} if own else recipe.options,
        outputs=outputs,
        in_channels=recipe.pixels.decoding().channels,
        image_size=recipe.pixels.image_size,
        covariates=len(index.covariate_specs),
    )


def own_notes(architecture: Architecture, mode: str) -> tuple[str, ...]:
    """What is to be said of a network of one's own before it trains, in sentences; nothing of one of the catalogue.

    Args:
        architecture: The network.
        mode: That of its images, ``RGB`` or ``L``.
    """
    if architecture.model not in OF_ONES_OWN:
        return ()
    height, width = architecture.image_size
    colours = "colour (mode=L: in grey)" if mode == "RGB" else "grey (mode=RGB: in colour)"
    size = f"Images are brought to {height} × {width} pixels (image_size has another size), in {colours}."
    options = {key: option.default for key, option in facts(architecture.model).options.items()}
    options.update(architecture.options)
    if "layers" not in options:
        return (size,)
    planned = PlannedStack.of(
        str(options["layers"]),
        outputs=architecture.outputs,
        in_channels=architecture.in_channels,
        image_size=architecture.image_size,
    )
    return planned.sentence(str(options["head"])), size


def starting_network(
    recipe: Recipe,
    architecture: Architecture,
    target: Target,
    covariates: Sequence[Covariate] = (),
    found: StartingWeights | None = None,
    own: OwnNetwork | None = None,
) -> tuple[Network, LoadReport | None]:
    """The network that training starts with, and what became of the tensors of the weights that were found.

    Args:
        recipe: Which network is trained.
        architecture: What to build.
        target: What the head is to tell; a head that was trained for another one is said to be.
        covariates: What joins the features; where the file knows others, or none, they join behind what it has.
        found: The weights to start from; None for random ones.
        own: The network, if it is a module of one's own, with weights that it starts from otherwise.

    Returns:
        The network, and the report on its weights, None if they are random.

    Raises:
        InvalidArgument: For images too small.
        RecipeError: If only the auxiliary heads cannot be built.
        CheckpointError: For weights that cannot be read or are another network's.
    """
    if not found:
        return own or built(architecture), None
    before = found.card
    labels = tuple(covariate.label for covariate in covariates)
    join = not own and bool(labels) and labels != (before.covariate_names if before else ())
    network = own or built(replace(architecture, covariates=0) if join else architecture)
    report = load_found(network, recipe.model, found, replace_head=True)
    report = replace(report, head_of=_trained_for(report, target, found))
    return join_covariates(network, len(labels)) if join else network, report


def load_found(
    network: Network, model: str, found: StartingWeights, *, replace_head: bool = False
) -> LoadReport:
    """Copies weights into a network, and turns kernels round that expect blue first.

    Args:
        network: It is changed.
        model: Its name.
        found: The weights.
        replace_head: As for ``mirada.create_model``.

    Returns:
        What became of every tensor, and what is known of the weights.

    Raises:
        CheckpointError: They cannot be read, are another network's, or were altered meanwhile.
    """
    report = load_weights(network, model, found.file, replace_head=replace_head)
    if report.sha256 != found.sha256:
        raise CheckpointError(f"{found.file}: was altered while it was read. Start again.")
    scale = _stated(model, report, found)
    blue_first = scale is not None and scale.channels == "BGR"
    report = replace(report, turned=blue_first and turn_round(network), expects=str(scale) if scale else "")
    if not found.public:
        return report
    public = found.public
    licence = f"{public.licence} ({public.licence_source})"
    return replace(report, name=public.name, data=public.data, licence=licence, expects=public.expected)


def _trained_for(report: LoadReport, target: Target, found: StartingWeights) -> tuple[str, ...]:
    """What a head which was loaded was trained for, if that is something else, or nobody can tell."""
    if "head.linear.weight" in (*report.replaced, *report.initialised):
        return ()
    if found.card:
        before = found.card.target
        return _told_apart(before) if before != target and not report.replaced else ()
    return (f"the {found.public.classes:,} classes of {found.public.data}",) if found.public else ()


def _told_apart(target: Target) -> tuple[str, ...]:
    """What a head is for, in words."""
    match target:
        case Classes(names):
            return names
        case Numbers(names, unit):
            return names if any(names) else (f"a number in {unit}" if unit else "a number",)


def starting_scale(
    recipe: Recipe, weights: LoadReport | None, channels: int, found: StartingWeights | None = None
) -> PixelScale | None:
    """The mean and deviation that the recipe names, or that its weights expect; None: those of the images.

    A model file says what it expects, and so do the catalogue of public weights and the metadata of a file; other
    weights under the names of torchvision, timm or the CIFAR networks expect what their network's ``facts`` say. A
    first layer from a model file counts like weights where there are no others. For grey images a colour's three values
    are averaged.

    Raises:
        RecipeError: Nobody knows what the weights expect.
    """
    scale = SCALES.get(recipe.pixels.normalize)
    if recipe.pixels.normalize == "auto":
        scale = _expected(recipe, weights, channels, found)
    return scale and _for_channels(scale, channels)


def _expected(
    recipe: Recipe, weights: LoadReport | None, channels: int, found: StartingWeights | None
) -> PixelScale | None:
    """What weights, or else a first layer, expect; None without either, or if the first layer's file says nothing."""
    if weights:
        if scale := known_scale(recipe.model, weights, found, channels):
            return scale
        raise RecipeError(
            f"{weights.file}: nobody knows which pixel values these weights expect: they are no model file, no known "
            f"public weights, and do not say it. State it: --set normalize=imagenet, half, unit or data."
        )
    before = card_in(recipe.first_layer) if recipe.first_layer else None
    return (before.preprocessing.mean, before.preprocessing.std) if before else None


def known_scale(
    model: str, weights: LoadReport, found: StartingWeights | None, channels: int
) -> PixelScale | None:
    """The mean and deviation that weights expect of pixel values 0 … 1; None where nobody knows.

    Args:
        model: The network's name.
        weights: What became of them.
        found: What is known of them besides.
        channels: Of the network's images; for grey ones a colour's three values are averaged.
    """
    scale = None
    if stated := _stated(model, weights, found):
        scale = stated.normalization
    elif found and found.card:
        scale = found.card.preprocessing.mean, found.card.preprocessing.std
    return scale and _for_channels(scale, channels)


def _for_channels(scale: PixelScale, channels: int) -> PixelScale:
    mean, std = (
        values if len(values) == channels else (sum(values) / len(values),) * channels for values in scale
    )
    return mean, std


def _stated(model: str, weights: LoadReport, found: StartingWeights | None) -> ValueScale | None:
    """The pixel values that the catalogue, the file or the names of its tensors say; None if none of them does.

    Caffe's names are those of one set, whoever renamed it.
    """
    if found and found.scale:
        return found.scale
    if weights.convention == CADENE:
        return weights_of(model)[0].scale
    usual = facts(model).scale
    if usual is None or weights.convention in (OWN, SEQUENTIAL):
        return None
    mean, std = SCALES[usual]
    return ValueScale(mean=mean, std=std)


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
