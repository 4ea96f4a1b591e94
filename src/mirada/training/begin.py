"""A run before its first step, put together from a recipe."""

from collections.abc import Sequence

from torch import Tensor

from mirada.events import OnEvent
from mirada.layers.network import Network
from mirada.modelfile import Card
from mirada.processes.ranks import here
from mirada.runs.folder import RunFolder
from mirada.training.averaged import AveragedNetwork
from mirada.training.averages import LastWeights, epochs_before
from mirada.training.checkpoints import Checkpoint
from mirada.training.demands import usual_loss
from mirada.training.feed import Feed
from mirada.training.joint_norm import normalize_jointly
from mirada.training.loop import Training
from mirada.training.loss import Loss, balanced_weights, chosen_loss, make_loss
from mirada.training.optimizer import Optimizer
from mirada.training.pace import pace_of
from mirada.training.phases import Phase, features_of, stage_factors, thaw
from mirada.training.recipe import Recipe
from mirada.training.saving import Saver
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
    if recipe.batch_statistics == "joint" and here().size > 1:
        normalize_jointly(network)
    feed.features = features_of(network, phases[0].frozen, feed, recipe)
    return Training(
        phases=tuple(phases),
        state=state_of(network, phases, recipe, feed.steps),
        feed=feed,
        loss=loss_of(recipe, feed.card, class_weights_of(recipe, feed)),
        recipe=recipe,
        folder=folder,
        on_event=on_event,
        saver=Saver(folder, pace_of(recipe.save), on_event),
    )


def class_weights_of(recipe: Recipe, feed: Feed) -> Tensor | None:
    """What each class counts in the loss (K,); None where all count alike."""
    weighted = recipe.class_weights == "balanced"
    return balanced_weights(feed.labels, len(feed.card.target.names)) if weighted else None


def loss_of(recipe: Recipe, card: Card, class_weights: Tensor | None) -> Loss:
    """The loss that a recipe minimizes; ``class_weights`` as for ``make_loss``."""
    target = card.target
    return make_loss(
        chosen_loss(recipe.loss, target, usual_loss(recipe)),
        target,
        outputs=card.architecture.outputs,
        label_smoothing=recipe.label_smoothing,
        class_weights=class_weights,
    )


def state_of(network: Network, phases: Sequence[Phase], recipe: Recipe, steps: int) -> TrainState:
    """The state before the first step, of a network that is on its device; ``steps`` are those of an epoch."""
    return TrainState(
        network=network,
        optimizer=Optimizer(network, recipe.optimizer, recipe.clip, stage_factors(network, recipe)),
        average=_average(network, recipe, steps),
        micro_batch=recipe.micro_batch,
        watch=GradientNorms(network) if recipe.watch == "gradients" else None,
        frozen=phases[0].frozen,
    )


def go_on(training: Training, checkpoint: Checkpoint) -> None:
    """Takes a run that has just begun to where a checkpoint was taken.

    Raises:
        CheckpointError: If the checkpoint is of another network or optimizer.
    """
    state = training.state
    for phase in training.phases:  # what the optimizer remembers is there once its parts are thawed
        if phase.first <= checkpoint.moment.epoch or state.tensors().keys() != checkpoint.tensors.keys():
            thaw(phase, state, training.feed, training.recipe)
    state.restore(checkpoint.tensors)
    training.saver.epoch = state.epoch


def _average(network: Network, recipe: Recipe, steps: int) -> AveragedNetwork | None:
    """The place of the averaged weights in a run of so many steps an epoch; None without an average."""
    if isinstance(recipe.average, LastWeights):
        return None
    return AveragedNetwork(network, recipe.average, epochs_before(recipe.average, recipe.epochs) * steps)
