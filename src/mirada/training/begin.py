"""A run before its first step, put together from a recipe."""

from collections.abc import Sequence

from mirada.events import OnEvent
from mirada.layers.network import Network
from mirada.runs.folder import RunFolder
from mirada.training.averaged import AveragedNetwork
from mirada.training.averages import LastWeights, epochs_before
from mirada.training.demands import usual_loss
from mirada.training.feed import Feed
from mirada.training.loop import Training
from mirada.training.loss import balanced_weights, chosen_loss, make_loss
from mirada.training.optimizer import Optimizer
from mirada.training.phases import Phase, features_of
from mirada.training.recipe import Recipe
from mirada.training.state import TrainState
from mirada.training.watch import GradientNorms


def begin(
    network: Network,
    phases: Sequence[Phase],
    feed: Feed,
    recipe: Recipe,
    folder: RunFolder,
    on_event: OnEvent,
) -> Training:
    """A run before its first step; the network goes to the device."""
    feed.compute.place(network)
    target, outputs = feed.card.target, feed.card.architecture.outputs
    weighted = recipe.class_weights == "balanced"
    loss = make_loss(
        chosen_loss(recipe.loss, target, usual_loss(recipe)),
        target,
        outputs=outputs,
        label_smoothing=recipe.label_smoothing,
        class_weights=balanced_weights(feed.labels, len(target.names)) if weighted else None,
    )
    frozen = phases[0].frozen
    feed.features = features_of(network, frozen, feed, recipe)
    state = TrainState(
        network=network,
        optimizer=Optimizer(network, recipe.optimizer, recipe.clip),
        average=_average(network, recipe, feed.steps),
        watch=GradientNorms(network) if recipe.watch == "gradients" else None,
        frozen=frozen,
    )
    return Training(
        phases=tuple(phases),
        state=state,
        feed=feed,
        loss=loss,
        recipe=recipe,
        folder=folder,
        on_event=on_event,
    )


def _average(network: Network, recipe: Recipe, steps: int) -> AveragedNetwork | None:
    """The place of the averaged weights in a run of so many steps an epoch; None without an average."""
    if isinstance(recipe.average, LastWeights):
        return None
    return AveragedNetwork(network, recipe.average, epochs_before(recipe.average, recipe.epochs) * steps)
