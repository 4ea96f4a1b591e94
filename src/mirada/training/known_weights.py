"""The weights that training starts from: where they are, whether they are what they were, and what is known of them."""

from dataclasses import dataclass, replace
from pathlib import Path

from safetensors import SafetensorError, safe_open

from mirada.errors import CheckpointError, RecipeError, reason_of
from mirada.modelfile import Card, load_card
from mirada.models import facts
from mirada.models.families import AVERAGE
from mirada.runs.folder import model_file
from mirada.store.adding import known_file
from mirada.store.catalogue import PublicWeights, is_path, named_weights, weights_of
from mirada.store.scale import ValueScale, scale_in
from mirada.store.store import WeightStore, digest_of
from mirada.text import listed
from mirada.training.recipe import Recipe

NAMED = 3  # sets in a message


@dataclass(frozen=True, kw_only=True)
class StartingWeights:
    """A file of weights, and what is known of it.

    Args:
        file: The file.
        sha256: Its digest.
        card: What it says, if it is a model file.
        public: The set of the catalogue that it is, if it is one.
        scale: The pixel values that it expects, if the catalogue or the file itself say so.
    """

    file: Path
    sha256: str
    card: Card | None = None
    public: PublicWeights | None = None
    scale: ValueScale | None = None


def find_weights(recipe: Recipe) -> StartingWeights | None:
    """The weights that a recipe names: a path, or a name of the catalogue, whose file is in the store.

    Raises:
        CheckpointError: There is no such file, or it does not say clearly which pixel values it expects.
        RecipeError: They are another network's.
        InvalidArgument: There is no set of this name, it is not in the store, or not what it was.
    """
    if not recipe.weights:
        return None
    if is_path(recipe.weights):
        stated = recipe.pixels.normalize != "auto"
        return _of_file(model_file(recipe.weights), recipe.model, stated=stated)
    public = named_weights(recipe.weights, network=facts(recipe.model).uncut)
    _require_network(public, recipe.model)
    file, digest = WeightStore().verified(public)
    return StartingWeights(file=file, sha256=digest, public=public, scale=public.scale)


def _of_file(file: Path, network: str, *, stated: bool) -> StartingWeights:
    if file.exists() and not (file.is_file() or file.is_dir()):
        raise CheckpointError(
            f"{file}: the checkpoint cannot be read (a pipe or a device, and it is read more than once). Save it as a "
            f"file."
        )
    try:
        with file.open("rb"):
            pass
    except OSError as error:
        raise CheckpointError(f"{file}: the checkpoint cannot be read ({reason_of(error)}).") from error
    digest, card = digest_of(file), card_in(str(file))
    if card:
        return StartingWeights(file=file, sha256=digest, card=card)
    public = known_file(file, digest)
    if public:
        _require_network(public, network)
    scale = public.scale if public else _scale_in(file, stated=stated)
    return StartingWeights(file=file, sha256=digest, public=public, scale=scale)


def _scale_in(file: Path, *, stated: bool) -> ValueScale | None:
    """The scale in a file's metadata; one that is wrong does not matter where a person has ``stated`` another.

    The order of the colours does, for nobody can state that otherwise.
    """
    metadata = _metadata(file)
    try:
        return scale_in(file, metadata)
    except CheckpointError:
        if stated and metadata.get("channels", "RGB") == "RGB":
            return None
        raise


def card_in(file: str) -> Card | None:
    """What a model file says; nothing if it has weights alone, with nothing said about their use."""
    try:
        return load_card(file)
    except CheckpointError:
        return None


def _metadata(file: Path) -> dict[str, str]:
    """Those of a safetensors file; nothing of another, or of one that is damaged, which loading it will say."""
    try:
        with safe_open(file, framework="np") as opened:
            return dict(opened.metadata() or {})
    except (SafetensorError, OSError):
        return {}


def _require_network(public: PublicWeights, network: str) -> None:
    """Raises ``RecipeError`` for weights of another network than the one to be trained."""
    if public.network not in (network, facts(network).uncut):
        own = [each.name for each in weights_of(network)]
        others = (
            f" weights of its own: {listed(own, NAMED)}."
            if own
            else f" others; {network} has no public ones."
        )
        raise RecipeError(
            f"weights: {public.name} are weights of {public.network}, and the network is {network}. Choose --model "
            f"{public.network}, or{others}"
        )


def size_note(recipe: Recipe, found: StartingWeights | None) -> str:
    """A sentence on the size of the images, beside the one that public weights expect; "" for others.

    A network's own size is that of its public weights, so that it is taken where nobody has set another.
    """
    if not found or not found.public:
        return ""
    public, pixels = found.public, recipe.pixels
    height, width = pixels.image_size
    done = f"Images are brought to {height} × {width} pixels ({pixels.policy}), "
    if (height, width) != (public.input, public.input):
        return f"{done}where {public.name} expect {public.input} × {public.input}."
    done += f"the size that {public.name} expect"
    if public.resize == public.input or (pixels.policy, pixels.resize) == ("crop", public.resize):
        return f"{done}."
    return (
        f"{done}; they were judged on the middle of a shorter side of {public.resize}, as --set policy=crop --set "
        f"resize={public.resize} has it."
    )


def with_average_head(recipe: Recipe, found: StartingWeights | None) -> tuple[Recipe, str]:
    """The recipe with the head that training from weights begins with, and a sentence if that is not the paper's.

    From weights that are no model file a network gets the head of averages, if it has one and nobody has asked for
    another: the dense layers of a paper's head have most of its weights, and few images cannot teach them.
    """
    head = facts(recipe.model).options.get("head")
    if not found or found.card or not head or "head" in recipe.options:
        return recipe, ""
    if head.default == AVERAGE or AVERAGE not in head.choices:
        return recipe, ""
    note = (
        f"The head is average (each map's mean, then one linear layer), as training starts from weights; "
        f"--set head={head.default} has the paper's."
    )
    return replace(recipe, options={**recipe.options, "head": AVERAGE}), note
