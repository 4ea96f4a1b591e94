"""A network by name with public weights by name, or those of a file, put in by the same code as training does."""

from logging import INFO, WARNING, getLogger
from pathlib import Path
from typing import Any

from mirada.errors import InvalidArgument
from mirada.layers.network import Network
from mirada.models import create_model as build_model
from mirada.training.known_weights import find_weights
from mirada.training.recipe import Recipe
from mirada.training.start import known_scale, load_found


def create_model(
    name: str,
    *,
    num_classes: int | None = None,
    in_channels: int | None = None,
    image_size: int | tuple[int, int] | None = None,
    weights: str | Path | None = None,
    replace_head: bool = False,
    **options: Any,
) -> Network:
    """Builds a network by name, with freshly drawn weights (set ``torch.manual_seed`` first to repeat them).

    Args:
        name: One of ``list_models()``.
        num_classes: The number of outputs: one per class, or 1 for a yes/no question or a number. What is left out,
            here and below, is as the paper has it.
        in_channels: Channels of an image: 3 for colours, 1 for grey.
        image_size: A side, or (height, width), in pixels.
        weights: Public weights by name, which ``mirada weights get`` or ``add`` has brought in; a file of
            torchvision's, timm's or the public CIFAR ResNets' (``.pth``, ``.th``, ``.safetensors``); or a model file of
            Mirada's. They are verified as ``mirada.train`` verifies them. Kernels that expect blue first are turned
            round, and the network's ``pixel_scale`` says how images must be normalized, where that is known.
        replace_head: Takes weights whose head has another size, or that have none, and draws the head anew.
        options: The network's own, such as ``head="average"``; ``facts(name).options`` and ``mirada models NAME``
            list them.

    Returns:
        The network in training mode. What became of every tensor of ``weights`` is logged by the logger ``mirada``:
        as a warning where anything was left out, newly drawn or adapted, else as information.

    Raises:
        InvalidArgument: For an unknown name or option, a value out of range, or images too small for the network; for
            weights that nobody has published, that are not here, or are not what they were.
        RecipeError: For public weights of another network.
        CheckpointError: For a file of weights that cannot be read or does not fit.

    >>> create_model("lenet5", num_classes=3).head.linear
    Linear(in_features=84, out_features=3, bias=True)
    """
    network = build_model(
        name, num_classes=num_classes, in_channels=in_channels, image_size=image_size, **options
    )
    if weights is None:
        return network
    if not str(weights).strip():  # as of a variable that is not set; random ones go by another word
        raise InvalidArgument(
            "weights of create_model must be a name or a file. Got an empty text; None draws them."
        )
    stated = str(weights.absolute()) if isinstance(weights, Path) else weights  # a path is never a name
    found = find_weights(Recipe(model=name, weights=stated))
    if found:
        report = load_found(network, name, found, replace_head=replace_head)
        network.pixel_scale = known_scale(name, report, found, network.in_channels)
        getLogger("mirada").log(INFO if report.whole else WARNING, "%s", report)
    return network
