"""A plan for the time there is: image size, epochs and what is frozen, from a few measured steps, with reasons."""

import os
import shutil
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch

from mirada.compute import choose
from mirada.data.batches import generator
from mirada.data.cache_files import default_directory
from mirada.data.index import Index
from mirada.data.pixels.arrays import decode_image, read_image, show_image
from mirada.data.pixels.decode import DecodeError
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.data.sources import load_data, require_images
from mirada.data.splits import complete_splits
from mirada.errors import InvalidArgument, RecipeError, counted
from mirada.layers.network import Network
from mirada.layers.own import OwnNetwork
from mirada.models import create_model, facts, find
from mirada.models.families import AVERAGE, CAM
from mirada.text import mebibytes
from mirada.training.costs import Bench, Counts, Stretch, duration, features_in, kept_bytes
from mirada.training.demands import (
    require_colour,
    require_fitting,
    require_splits,
    require_targets,
    require_threshold,
)
from mirada.training.flips import require_mirrored_answers
from mirada.training.freezing import ALL
from mirada.training.known_weights import StartingWeights, find_weights, with_average_head
from mirada.training.recipe import Recipe, recipe_for
from mirada.training.settings_table import as_written
from mirada.training.start import architecture_for, starting_network, starting_scale

SIDES = (32, 48, 64, 96, 128, 160, 192, 224, 256, 320, 384, 448, 512)  # of images, in pixels
USUAL = 224  # the largest side for networks of small images
SAMPLE = 16  # files that are decoded for their sizes and for the time that it takes
SHARE = 0.9  # of the time that is planned for: a step now and then takes longer than the median
MOST = 10  # times the usual number of epochs; more of the same images teach little
LONGEST = 1_000_000  # minutes, and epochs that are counted
DECIDED = ("image_size", "epochs", "freeze", "views")


class Choice(NamedTuple):
    """A setting that was decided, and why."""

    key: str
    value: str
    reason: str

    def __str__(self) -> str:
        return f"{self.key} = {self.value}: {self.reason}"


@dataclass(frozen=True)
class Plan:
    """A recipe for the time there is.

    Args:
        recipe: What is to be trained.
        minutes: The time that was given.
        seconds: How long the whole run should take.
        choices: What was decided.
    """

    recipe: Recipe
    minutes: float
    seconds: float
    choices: tuple[Choice, ...]

    def __str__(self) -> str:
        """The sentence that sums up, and a line for every choice."""
        head = (
            f"A plan for {self.minutes:.4g} minutes: {self.recipe.model}, expected to take "
            f"{self.seconds / 60:.1f} minutes in all."
        )
        return "\n".join([head, *(f"  {choice}" for choice in self.choices)])

    def to_toml(self) -> str:
        """The recipe as ``--recipe`` takes it, with the plan in comments above it."""
        return "".join(f"# {line}\n" for line in str(self).split("\n")) + "\n" + self.recipe.to_toml()


def plan(
    data: Index | str | Path,
    *,
    minutes: float = 15.0,
    recipe: Recipe | None = None,
    keep: Collection[str] = (),
    training: bool = False,
) -> Plan:
    """Decides how large images are, what is frozen and how many epochs there are, to take the time there is.

    A few steps are measured, from the smallest images to larger ones, as long as the network's usual number of epochs
    fits. From random weights the time that is left goes into more epochs. From trained weights the head alone learns at
    first, on features that are computed once, of larger images and then of more views, and the time that is left goes
    into thawing the last stages. Where the images of a step are mixed, the frozen parts are run in every step instead;
    with a ``stage_rate``, by which all parts learn, nothing is frozen.

    Args:
        data: As for ``train``.
        minutes: For the whole run, from decoding to the report.
        recipe: What is not to be decided; by default resnet18's own.
        keep: ``image_size``, ``epochs``, ``views`` and ``freeze``, with which ``thaw`` goes, if the recipe's are to
            stay.
        training: Whether training follows at once, so that the minutes are those of the measuring as well.

    Returns:
        The recipe, with the reason for each choice.

    Raises:
        InvalidArgument: For minutes that are none, or another name in ``keep``.
        RecipeError: If not even one epoch fits; the message tells how many minutes it takes. Or for a recipe with a
            ``duration``, which says itself how long training is.
        MiradaError: What else ``train`` raises before it decodes.
    """
    started = time.perf_counter()
    _require_sensible(minutes, keep)
    wanted = recipe or recipe_for(Recipe.model)
    find(wanted.model)
    if wanted.duration:
        raise RecipeError(
            f"`duration` says how long training is, and so do the minutes of a plan. Leave one of them out. Got "
            f"`duration` = {wanted.duration}."
        )
    weights = find_weights(wanted)
    wanted, _ = with_average_head(wanted, weights)  # the network that training will begin with
    side, bench = _bench(data if isinstance(data, Index) else load_data(data), wanted, weights)

    def left() -> float:
        return 60 * minutes * SHARE - (time.perf_counter() - started if training else 0.0)

    sizes = [wanted.pixels.image_size] if "image_size" in keep else _sizes(wanted, side)
    ways = () if "freeze" in keep else _ways(wanted, weights)
    views, mixed = _views(wanted) if ways and "views" not in keep else ([wanted.views], [])
    with torch.random.fork_rng():
        torch.manual_seed(wanted.seed)
        budget = Budget(bench.counts, bench.stretches, left)
        found = decided(wanted, minutes, budget, sizes, ways, views, keep_epochs="epochs" in keep)
        return replace(found, choices=(*mixed, *found.choices))


def epochs_within(recipe: Recipe, index: Index, minutes: float, own: OwnNetwork | None = None) -> int:
    """How many epochs of a recipe fit into the time there is, however many; 0 if not even the fewest do.

    Args:
        recipe: What is trained, as it is; its own number of epochs does not count.
        index: On what.
        minutes: For the whole run.
        own: The network, if it is a module of one's own; it is changed.

    Raises:
        MiradaError: As ``plan`` does.
    """
    _require_sensible(minutes, ())
    weights = find_weights(recipe)
    recipe, _ = with_average_head(recipe, weights)
    _, bench = _bench(index, recipe, weights, own)
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        budget = Budget(bench.counts, bench.stretches, lambda: 60 * minutes * SHARE)
        return budget.epochs(recipe, len(budget.measure(replace(recipe, epochs=LONGEST))), LONGEST)


def _bench(
    index: Index, recipe: Recipe, weights: StartingWeights | None, own: OwnNetwork | None = None
) -> tuple[int, Bench]:
    """The side of the images, and what measures trainings on them; raises what ``train`` raises before it decodes."""
    require_targets(index)
    require_images(index)
    index, _ = complete_splits(index, **asdict(recipe.splits), seed=recipe.seed)
    require_splits(index)
    _require_usable(recipe, index, weights)
    side, decoding = look_at_some(index, recipe.pixels.decoding())
    return side, Bench(index, choose(recipe.device, recipe.precision), _counts(index, recipe), decoding, own)


def _require_sensible(minutes: float, keep: Collection[str]) -> None:
    if not 0 < minutes < LONGEST:
        raise InvalidArgument(f"`minutes` must be above 0 and below {LONGEST:,}. Got {minutes:g}.")
    if odd := sorted(set(keep) - set(DECIDED)):
        names = ", ".join(f'"{each}"' for each in DECIDED)
        raise InvalidArgument(f'`keep` takes {names}. Got "{odd[0]}".')


def _require_usable(recipe: Recipe, index: Index, weights: StartingWeights | None) -> None:
    """Raises what training would raise: nobody need wait for a plan that cannot be followed."""
    require_fitting(recipe, index.target)
    require_mirrored_answers(recipe, index)
    require_colour(recipe, recipe.pixels.decoding().channels)
    require_threshold(recipe, index)
    if weights:
        architecture = architecture_for(recipe, index)
        _, report = starting_network(recipe, architecture, index.target, index.covariate_specs, weights)
        starting_scale(recipe, report, architecture.in_channels, weights)


def _counts(index: Index, recipe: Recipe) -> Counts:
    train, val, test = (len(index.rows(split)) for split in ("train", "val", "test"))
    return Counts(train, val, test, min(recipe.batch_size, train), _free(), looks=1 + recipe.flip_average)


@dataclass(frozen=True)
class Budget:
    """The time there is, and what trainings take of it.

    Args:
        counts: Images by split.
        measure: What a run by a recipe consists of.
        left: The seconds there are to be planned.
    """

    counts: Counts
    measure: Callable[[Recipe], Sequence[Stretch]]
    left: Callable[[], float]

    def seconds(self, recipe: Recipe) -> float:
        """How long a run by a recipe takes."""
        return duration(self.measure(recipe), self.counts)

    def fits(self, recipe: Recipe) -> bool:
        """Whether there is the time for it."""
        return self.seconds(recipe) <= self.left()

    def epochs(self, recipe: Recipe, least: int, most: int) -> int:
        """The largest number of epochs that fits, between two numbers; 0 if not even the least does."""
        if not self.fits(replace(recipe, epochs=least)):
            return 0
        low, high = least, most
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.fits(replace(recipe, epochs=middle)) else (low, middle - 1)
        return low


def decided(
    recipe: Recipe,
    minutes: float,
    budget: Budget,
    sizes: Sequence[tuple[int, int]],
    ways: Sequence[tuple[str, ...]] = (),
    views: Sequence[int] = (),
    *,
    keep_epochs: bool = False,
) -> Plan:
    """The largest of some sizes at which the recipe's number of epochs fits, then views, what is thawed, and epochs.

    Args:
        recipe: What the plan starts from.
        minutes: The time there is.
        budget: What a run takes of it; larger images, and more that learns, are only measured if the last ones fit.
        sizes: (height, width) from the smallest; one of them alone is not weighed.
        ways: What may be thawed, from nothing to more and more, where it is to be decided what is frozen.
        views: How many views of an image there may be, from the fewest; one alone, or none, is not weighed.
        keep_epochs: Whether there are to be as many epochs as the recipe says.

    Raises:
        RecipeError: If the smallest size does not fit with the fewest epochs, or with those that are kept.
    """
    first = replace(recipe, freeze=(ALL,), thaw=ways[0]) if ways else recipe
    first = replace(first, views=views[0]) if views else first
    chosen, choices = _sized(first, minutes, budget, sizes, keep_epochs=keep_epochs)
    if len(views) > 1:
        chosen, shown = _seen(chosen, budget, views)
        choices.append(shown)
    if ways:
        chosen, frozen = _frozen(chosen, budget, ways)
        choices += frozen
    if not keep_epochs:
        chosen, epochs = _long(chosen, budget, 1 if ways else MOST)
        choices.append(epochs)
    return Plan(chosen, minutes, budget.seconds(chosen), tuple(choices))


def _sized(
    recipe: Recipe, minutes: float, budget: Budget, sizes: Sequence[tuple[int, int]], *, keep_epochs: bool
) -> tuple[Recipe, list[Choice]]:
    """The recipe at the largest size at which its epochs fit, else at the smallest. Raises as ``decided`` does."""
    chosen = _at(recipe, sizes[0])
    needed = recipe.epochs if keep_epochs else len(budget.measure(chosen))
    enough = budget.fits(chosen)
    if not enough and not budget.fits(at_least := replace(chosen, epochs=needed)):
        least = budget.seconds(at_least) / (60 * SHARE)
        raise RecipeError(
            f"{minutes:.4g} minutes are too few: {recipe.model} at {_shown(sizes[0])} pixels takes "
            f"{least:.1f} minutes here for {counted(needed, 'epoch')}. Give more minutes, or take a smaller network."
        )
    larger = ""
    for size in sizes[1:] if enough else ():
        more = _at(recipe, size)
        if not budget.fits(more):
            fitting = budget.epochs(more, needed, recipe.epochs)
            would = f"only {counted(fitting, 'epoch')} would" if fitting else "not even the fewest would"
            larger = f"; at {_shown(size)} {would}"
            break
        chosen = more
    if len(sizes) == 1:
        return chosen, []
    usual = f"{counted(recipe.epochs, 'epoch')}, the usual number,"
    if not enough:
        why = f"the smallest; not even so would {usual} fit"
    elif larger:
        why = f"the largest at which {usual} fit{larger}"
    else:  # it is not the time that limits it
        why = f"the largest for these images and this network; {usual} fit"
    return chosen, [Choice("image_size", as_written(chosen.pixels.image_size), why)]


def _seen(recipe: Recipe, budget: Budget, views: Sequence[int]) -> tuple[Recipe, Choice]:
    """The recipe with as many views of an image as there is time for, and why."""
    most, left = max(views), budget.left()
    fitting = [each for each in views if budget.seconds(replace(recipe, views=each)) <= left]
    chosen = max(fitting, default=min(views))
    why = (
        "the usual number"
        if chosen == most
        else f"{most}, the usual number, would take more time than there is"
    )
    return replace(recipe, views=chosen), Choice("views", str(chosen), f"of each training image; {why}")


def _frozen(recipe: Recipe, budget: Budget, ways: Sequence[tuple[str, ...]]) -> tuple[Recipe, list[Choice]]:
    """The recipe with as many of the last parts thawed as there is time for, and why."""
    stretch, counts = budget.measure(recipe)[0], budget.counts
    once = features_in(stretch, counts)
    each = f"{stretch.costs.before * 1e3:.0f} ms"
    if not stretch.costs.row:
        frozen = "the weights know images already; they are run in every step"
    elif kept_bytes(stretch, counts) > counts.free:
        frozen = f"the weights know images already; they are run each time, {each} an image"
    else:
        frozen = (
            f"what the weights make of an image is computed once, {each} each, {once:.0f} s for "
            f"{counted(stretch.views, 'view')}, {mebibytes(kept_bytes(stretch, counts))} kept"
        )
    chosen, beyond = recipe, ""
    for thaw in ways[1:] if recipe.epochs > 1 and budget.fits(recipe) else ():
        more = replace(recipe, thaw=thaw)
        if not budget.fits(more):
            takes = f"{counted(recipe.epochs, 'epoch')} would take {budget.seconds(more) / 60:.1f} minutes"
            beyond = f"with {','.join(thaw)} {takes}"
            break
        chosen = more
    thawed = beyond or "there is time for no more than the head"
    if chosen.thaw:
        late = f"learns as well, more slowly, after {chosen.thaw_after:.0%} of the epochs, as there is time for it"
        thawed = f"{late}; {beyond}" if beyond else late
    return chosen, [Choice("freeze", ALL, frozen), Choice("thaw", as_written(chosen.thaw), thawed)]


def _long(recipe: Recipe, budget: Budget, times: int) -> tuple[Recipe, Choice]:
    """The recipe with as many epochs as fit, up to so many times the usual number, and why."""
    usual = recipe.epochs
    epochs = budget.epochs(recipe, len(budget.measure(recipe)), times * usual)
    chosen = replace(recipe, epochs=epochs)
    *_, last = budget.measure(chosen)
    each = duration([last._replace(epochs=1)], budget.counts) - duration(
        [last._replace(epochs=0)], budget.counts
    )
    why = f"{each:.2g} s each, {last.costs.step * 1e3:.0f} ms a step of {budget.counts.batch_size}, measured"
    if epochs == times * usual:
        why += (
            f", and more than {times} times the usual number teach little"
            if times > 1
            else ", the usual number: trained weights need no more"
        )
    return chosen, Choice("epochs", str(epochs), why)


def look_at_some(index: Index, preprocessing: Preprocessing) -> tuple[int, float]:
    """The median of the shorter side, in pixels, of some images, and the seconds that decoding one takes.

    All cores decode, so a file's time is divided among them.

    Raises:
        DecodeError: If none of them can be decoded.
    """
    sides, seconds, faults = [], [], []
    for row in generator(0).permutation(len(index))[:SAMPLE]:
        started = time.perf_counter()
        try:
            image = read_image(index.path(row))
            decode_image(image, preprocessing)
            seconds.append(time.perf_counter() - started)
            sides.append(min(show_image(image).size))
        except DecodeError as error:
            faults.append(error)
    if not sides:
        raise faults[0]
    return round(median(sides)), median(seconds) / (os.cpu_count() or 1)


def _free() -> float:
    """Bytes that are free where features are kept; 0 where nobody knows."""
    directory = default_directory()
    try:
        there = next(place for place in (directory, *directory.parents) if place.exists())
        return shutil.disk_usage(there).free
    except OSError:
        return 0


def _at(recipe: Recipe, size: tuple[int, int]) -> Recipe:
    return recipe.with_settings({"image_size": list(size)})


def _shown(size: tuple[int, int]) -> str:
    return f"{size[0]} × {size[1]}"


def _sizes(recipe: Recipe, side: int) -> list[tuple[int, int]]:
    """The sizes that are weighed, of the recipe's proportions: no larger than the images, which are ``side`` pixels.

    Nor larger than the recipe's own, unless the network averages its maps whatever their size.
    """
    height, width = recipe.pixels.image_size
    own = min(height, width)
    with torch.device("meta"):
        least = _built(recipe).min_size
    head = recipe.options.get("head", facts(recipe.model).options["head"].default)
    most = max(own, USUAL) if head in (AVERAGE, CAM) else own
    sides = (
        [each for each in SIDES if least <= each < own]
        + [own]
        + [each for each in SIDES if own < each <= most]
    )
    fitting = [each for each in sides if each <= side] or sides[:1]
    return [(round(each * height / own), round(each * width / own)) for each in fitting]


def _built(recipe: Recipe) -> Network:
    """The network for the recipe's images."""
    pixels = recipe.pixels.decoding()
    return create_model(recipe.model, in_channels=pixels.channels, image_size=pixels.size, **recipe.options)


def _views(recipe: Recipe) -> tuple[list[int], list[Choice]]:
    """How many views of an image there may be, from the fewest, and why, where there is no choice."""
    if recipe.views and recipe.augment.mixes:
        return [0], [Choice("views", "0", "images are mixed in every step, and none is computed once")]
    return [*range(1, recipe.views + 1)] or [0], []


def _ways(recipe: Recipe, weights: StartingWeights | None) -> list[tuple[str, ...]]:
    """What may be thawed, nothing first, then the last part before the head, the last two, and so on.

    Nothing is to be decided from random weights, nor where the recipe says itself what is frozen, or at which rate
    every part learns.
    """
    if not weights or recipe.freeze or recipe.thaw or recipe.stage_rate != 1:
        return []
    with torch.device("meta"):
        parts = _built(recipe).trunk()
    return [parts[len(parts) - count :] for count in range(len(parts) + 1)]
