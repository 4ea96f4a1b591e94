"""Which parts of a network learn when: all that are not frozen, or first the head, and later parts before it, too."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from mirada.data.views import Views
from mirada.errors import RecipeError, nearest
from mirada.evaluation.features import Features
from mirada.events import LayersThawed, OnEvent
from mirada.layers.network import Network
from mirada.training.feed import Feed
from mirada.training.freezing import ALL, HEAD, FrozenParts, freeze, frozen_parts, has_statistics
from mirada.training.kept import keep_for_training
from mirada.training.recipe import Recipe
from mirada.training.state import TrainState

PROGRESSIVE = "progressive"  # of `thaw`: one part after the other, from the last to the first
STATISTICS = {
    "follow": "; the statistics of its batch normalization follow the images again",
    "keep": "; its batch normalization keeps the statistics that it has",
}


@dataclass(frozen=True)
class Phase:
    """Epochs in which the same parts learn.

    Args:
        first: The first of them, counted from 1.
        last: The last of them.
        frozen: What does not learn.
        factors: What begins to learn with this phase, and by what its learning rate is multiplied.
    """

    first: int
    last: int
    frozen: FrozenParts
    factors: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        rates = [f"{name} learns at {factor:g} × the learning rate" for name, factor in self.factors.items()]
        return f"from epoch {self.first} on: {', '.join(rates)}"


def phases_of(network: Network, recipe: Recipe) -> tuple[Phase, ...]:
    """The phases of a run; what is frozen in the first one is taken out of the network's training.

    With ``thaw`` there are two, and where ``freeze`` names nothing, all but the head is frozen in the first. The rate
    of the thawed part that is nearest to the head is multiplied by ``thaw_rate``, that of the one before it by its
    square, and so on. If ``thaw`` is progressive, each part has a phase of its own, from the last one to the first, all
    of about the same number of epochs; what has been thawed goes on.

    Raises:
        RecipeError: For a part that is not there or not frozen, for the head, and for fewer epochs than phases.

    Source:
        Progressive thawing with smaller rates for earlier parts: Howard & Ruder 2018, arXiv:1801.06146, §3.2–3.3, who
        divide the rate by 2.6 from part to part.
    """
    frozen = freeze(network, recipe.freeze or ((ALL,) if recipe.thaw else ()))
    if not recipe.thaw:
        return (Phase(1, recipe.epochs, frozen),)
    thawed = _thawed(network, frozen, recipe)
    steps = [[name] for name in reversed(thawed)] if PROGRESSIVE in recipe.thaw else [thawed]
    if recipe.epochs <= len(steps):
        after = "it" if len(steps) == 1 else f"each of {', '.join(reversed(thawed))}"
        raise RecipeError(
            f"thaw: takes at least {1 + len(steps)} epochs, one before and one after {after}. Got `epochs` = "
            f"{recipe.epochs}."
        )
    before = min(max(round(recipe.thaw_after * recipe.epochs), 1), recipe.epochs - len(steps))
    ends = [before + number * (recipe.epochs - before) // len(steps) for number in range(len(steps) + 1)]
    factors = {name: recipe.thaw_rate**power for power, name in enumerate(reversed(thawed), start=1)}
    phases = [Phase(1, before, frozen)]
    for number, names in enumerate(steps):
        done = {name for step in steps[: number + 1] for name in step}
        rest = _without(network, frozen, done, steady=recipe.thaw_statistics == "keep")
        own = {name: factor for name, factor in factors.items() if name in names}
        phases.append(Phase(ends[number] + 1, ends[number + 1], rest, own))
    return tuple(phases)


def stage_factors(network: Network, recipe: Recipe) -> dict[str, float]:
    """By the name of each part with weights, what its learning rate is multiplied by; nothing where all learn alike.

    Raises:
        RecipeError: With ``thaw``, whose parts have rates of their own.
    """
    if recipe.stage_rate == 1:
        return {}
    if recipe.thaw:
        raise RecipeError(
            "`stage_rate` and `thaw` do not go together: what is thawed has `thaw_rate`. Leave one of them out."
        )
    parts = [name for name, part in network.named_children() if any(True for _ in part.parameters())]
    return {name: recipe.stage_rate**power for power, name in enumerate(reversed(parts))}


def rates_told(network: Network, recipe: Recipe) -> list[str]:
    """What is to be said of parts that learn at rates of their own, a sentence; raises as ``stage_factors``."""
    factors = stage_factors(network, recipe)
    learning = [
        name
        for name in factors
        if any(value.requires_grad for value in network.get_submodule(name).parameters())
    ]
    said = ", ".join(f"{name} {factors[name]:.3g} ×" for name in learning)
    return [f"stage_rate: {said} the learning rate."] if factors else []


def _without(network: Network, frozen: FrozenParts, done: Collection[str], *, steady: bool) -> FrozenParts:
    """What is still frozen once some parts are not."""
    rest = frozen_parts(network, [name for name in frozen.names if name not in done])
    return replace(rest, steady=tuple(name for name in frozen.names if name in done)) if steady else rest


def _thawed(network: Network, frozen: FrozenParts, recipe: Recipe) -> list[str]:
    """The parts that are to be thawed, from the first to the last."""
    if HEAD in recipe.thaw:
        raise RecipeError(
            f"thaw: the head learns from the start, so leave it out. Got {', '.join(recipe.thaw)}."
        )
    parts = [name for name, _ in network.named_children() if name != HEAD]
    named = [name for name in recipe.thaw if name != PROGRESSIVE] or [ALL]
    for name in named:
        if name not in (*parts, ALL):
            known = [*parts, ALL, PROGRESSIVE]
            raise RecipeError(f'thaw: the network has no part "{name}". {nearest(name, known)}')
        if name not in (*frozen.names, ALL):
            raise RecipeError(
                f"thaw: {name} is not frozen, so it learns from the start. Name it in `freeze`, too, or leave it out."
            )
    return [name for name in frozen.names if name in named or ALL in named]


def features_of(network: Network, frozen: FrozenParts, feed: Feed, recipe: Recipe) -> Features | None:
    """What the first parts make of the feed's images, computed each time; None if the first part learns."""
    if not frozen.place or not recipe.views:
        return None
    views = Views(feed.augmentation, min(recipe.views, recipe.epochs), recipe.seed)
    return Features(network, frozen.place, feed.cache, feed.card.preprocessing, feed.compute, views)


def thaw(phase: Phase, state: TrainState, feed: Feed, recipe: Recipe) -> None:
    """Lets the parts of a phase learn, and the feed show what those before them make of the images."""
    if phase.factors:
        let_learn(phase, state)
        feed.features = features_of(state.network, phase.frozen, feed, recipe)


def let_learn(phase: Phase, state: TrainState) -> None:
    """Lets the parts of a phase learn; what learns already goes on as it is, with all that the optimizer remembers.

    Twice is as good as once.
    """
    for part in phase.factors:
        state.network.get_submodule(part).requires_grad_(True)
    state.frozen = phase.frozen
    state.optimizer.include(state.network, phase.factors)


def enter(
    phase: Phase,
    state: TrainState,
    feed: Feed,
    recipe: Recipe,
    on_event: OnEvent,
    interrupted: Callable[[], bool],
) -> bool:
    """Begins a phase: thaws its parts, and computes once what those before them make of the images.

    Args:
        phase: The one to begin.
        state: Of the training; it is changed.
        feed: Of the training; it is changed.
        recipe: With the views.
        on_event: Hears what is thawed, and what is computed.
        interrupted: Asked after every batch.

    Returns:
        Whether it was not interrupted.
    """
    thaw(phase, state, feed, recipe)
    if phase.factors:
        thawed = [state.network.get_submodule(name) for name in phase.factors]
        on_event(
            LayersThawed(
                epoch=phase.first,
                names=tuple(phase.factors),
                parameters=sum(parameter.numel() for part in thawed for parameter in part.parameters()),
                text=f"{phase}{STATISTICS[recipe.thaw_statistics] if any(map(has_statistics, thawed)) else ''}.",
            )
        )
    return keep_for_training(
        feed, range(max(phase.first, state.epoch + 1), phase.last + 1), on_event, interrupted
    )
