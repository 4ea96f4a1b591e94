"""A run before its first step, put together from a recipe."""

from mirada.data.views import Views
from mirada.evaluation.features import Features
from mirada.events import OnEvent
from mirada.layers.network import Network
from mirada.runs.folder import RunFolder
from mirada.training.demands import usual_loss
from mirada.training.feed import Feed
from mirada.training.freezing import Frozen
from mirada.training.loop import Training
from mirada.training.loss import balanced_weights, chosen_loss, make_loss
from mirada.training.optimizer import Optimizer
from mirada.training.recipe import Recipe
from mirada.training.state import TrainState


def begin(
    network: Network, frozen: Frozen, feed: Feed, recipe: Recipe, folder: RunFolder, on_event: OnEvent
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
    if frozen.place and recipe.views:
        views = Views(feed.augmentation, min(recipe.views, recipe.epochs), recipe.seed)
        feed.features = Features(
            network, frozen.place, feed.cache, feed.card.preprocessing, feed.compute, views
        )
    state = TrainState(network=network, optimizer=Optimizer(network, recipe.optimizer), frozen=frozen)
    return Training(state=state, feed=feed, loss=loss, recipe=recipe, folder=folder, on_event=on_event)
