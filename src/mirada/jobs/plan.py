"""A plan for the time there is: image size and epochs from a few measured steps, each with its reason."""

import os
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import torch

from mirada.compute import Compute, choose
from mirada.data.batches import generator, normalize, steps_per_epoch, to_float
from mirada.data.index import Index
from mirada.data.pixels.arrays import decode_image, read_image, show_image
from mirada.data.pixels.decode import DecodeError
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.data.sources import load_data, require_images
from mirada.data.splits import complete_splits
from mirada.errors import InvalidArgument, RecipeError, counted
from mirada.evaluation.infer import AT_ONCE, infer
from mirada.models import create_model, facts, find
from mirada.training.demands import require_targets, usual_loss
from mirada.training.flips import settle_flips
from mirada.training.freezing import freeze
from mirada.training.known_weights import find_weights, with_average_head
from mirada.training.loss import chosen_loss, make_loss
from mirada.training.optimizer import Optimizer
from mirada.training.recipe import Recipe, recipe_for
from mirada.training.settings_table import as_written
from mirada.training.start import architecture_for, built
from mirada.training.state import TrainState
from mirada.training.step import Batch, train_step

SIDES = (32, 48, 64, 96, 128, 160, 192, 224, 256, 320, 384, 448, 512)  # of images, in pixels
USUAL = 224  # the largest side for networks of small images
SAMPLE = 16  # files that are decoded for their sizes and for the time that it takes
STEPS = 3  # that are measured, after one that is not
AROUND = 6.0  # seconds for what is neither decoding nor the network: start, maps, the page
SHARE = 0.9  # of the time that is planned for: a step now and then takes longer than the median
MOST = 10  # times the usual number of epochs; more of the same images teach little


class Costs(NamedTuple):
    """What was measured, in seconds: a step of a batch, the forward pass of an image, decoding an image."""

    step: float
    forward: float
    decoding: float


class Counts(NamedTuple):
    """Images by split, and how many one step takes."""

    train: int
    val: int
    test: int
    batch_size: int


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
            f"A plan for {self.minutes:g} minutes: {self.recipe.model}, expected to take "
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
) -> Plan:
    """Decides how large images are and how many epochs there are, so that a run takes the time there is.

    A few steps are measured, from the smallest images to larger ones, as long as the network's usual number of epochs
    fits. The time that is left goes into more epochs.

    Args:
        data: As for ``train``.
        minutes: For the whole run, from decoding to the report.
        recipe: What is not to be decided; by default resnet18's own.
        keep: ``image_size``, ``epochs`` or both, if the recipe's are to stay.

    Returns:
        The recipe, with the reason for each choice.

    Raises:
        InvalidArgument: For minutes that are none, or another name in ``keep``.
        RecipeError: If not even one epoch fits; the message tells how many minutes it takes.
        MiradaError: What else ``train`` raises before it decodes.
    """
    if not 0 < minutes < 1e6:
        raise InvalidArgument(f"`minutes` must be above 0. Got {minutes:g}.")
    if odd := sorted(set(keep) - {"image_size", "epochs"}):
        raise InvalidArgument(f'`keep` takes "image_size" and "epochs". Got "{odd[0]}".')
    wanted = recipe or recipe_for(Recipe.model)
    find(wanted.model)
    wanted, _ = with_average_head(wanted, find_weights(wanted))  # the network that training will begin with
    index = data if isinstance(data, Index) else load_data(data)
    require_targets(index)
    require_images(index)
    index, _ = complete_splits(index, **asdict(wanted.splits), seed=wanted.seed)
    train, val, test = (len(index.rows(split)) for split in ("train", "val", "test"))
    counts = Counts(train, val, test, min(wanted.batch_size, train))
    compute = choose(wanted.device, wanted.precision)
    side, decoding = look_at_some(index, wanted.pixels.decoding())

    def measure(size: tuple[int, int]) -> Costs:
        return Costs(*measured(_at(wanted, size), index, compute, counts), decoding)

    sizes = [wanted.pixels.image_size] if "image_size" in keep else _sizes(wanted, side)
    with torch.random.fork_rng():
        torch.manual_seed(wanted.seed)
        return decided(wanted, sizes, counts, measure, minutes=minutes, keep_epochs="epochs" in keep)


def decided(
    recipe: Recipe,
    sizes: Sequence[tuple[int, int]],
    counts: Counts,
    measure: Callable[[tuple[int, int]], Costs],
    *,
    minutes: float,
    keep_epochs: bool = False,
) -> Plan:
    """The largest of some sizes at which the recipe's number of epochs fits, and then as many epochs as fit.

    Args:
        recipe: What the plan starts from.
        sizes: (height, width) from the smallest; one of them alone is not weighed.
        counts: Images by split.
        measure: What a size costs. It is asked from the smallest size until one is too large.
        minutes: The time there is.
        keep_epochs: Whether there are to be as many epochs as the recipe says.

    Raises:
        RecipeError: If the smallest size does not fit with one epoch, or with the epochs that are kept.
    """
    needed = recipe.epochs if keep_epochs else 1
    chosen, costs = sizes[0], measure(sizes[0])
    if epochs_in(minutes, costs, counts) < needed:
        least = duration(needed, costs, counts) / (60 * SHARE)
        raise RecipeError(
            f"{minutes:g} minutes are too few: {recipe.model} at {_shown(chosen)} pixels takes "
            f"{least:.1f} minutes here for {counted(needed, 'epoch')}. Give more minutes, or take a smaller network."
        )
    larger = ""
    for size in sizes[1:]:
        more = measure(size)
        if (fitting := epochs_in(minutes, more, counts)) < recipe.epochs:
            larger = f"; at {_shown(size)} only {counted(fitting, 'epoch')} would"
            break
        chosen, costs = size, more
    fitting = epochs_in(minutes, costs, counts)
    epochs = recipe.epochs if keep_epochs else min(fitting, MOST * recipe.epochs)
    choices = []
    if len(sizes) > 1:
        usual = f"{counted(recipe.epochs, 'epoch')}, the usual number,"
        why = (
            f"the largest at which {usual} fit{larger}"
            if fitting >= recipe.epochs
            else f"the smallest; not even so would {usual} fit"
        )
        choices.append(Choice("image_size", as_written(chosen), why))
    each = duration(1, costs, counts) - duration(0, costs, counts)
    if not keep_epochs:
        enough = f", and more than {MOST} times the usual number teach little" if epochs < fitting else ""
        per = f"{each:.2g} s each, {costs.step * 1e3:.0f} ms a step of {counts.batch_size}, measured{enough}"
        choices.append(Choice("epochs", str(epochs), per))
    planned = replace(_at(recipe, chosen), epochs=epochs)
    return Plan(planned, minutes, duration(epochs, costs, counts), tuple(choices))


def duration(epochs: int, costs: Costs, counts: Counts) -> float:
    """Seconds of a whole run: decoding, epochs with their validation, the last judgement, and what is around it."""
    images = counts.train + counts.val + counts.test
    epoch = steps_per_epoch(counts.train, counts.batch_size) * costs.step + counts.val * costs.forward
    return AROUND + images * costs.decoding + epochs * epoch + (counts.val + counts.test) * costs.forward


def epochs_in(minutes: float, costs: Costs, counts: Counts) -> int:
    """How many whole epochs fit into the share of the time that is planned for."""
    before = duration(0, costs, counts)
    return max(0, int((60 * minutes * SHARE - before) / (duration(1, costs, counts) - before)))


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


def measured(recipe: Recipe, index: Index, compute: Compute, counts: Counts) -> tuple[float, float]:
    """The seconds of a training step, augmentation included, and of an image's forward pass, on noise.

    Args:
        recipe: What is trained, and at which size.
        index: What is learnt.
        compute: Where.
        counts: How many images a step takes.
    """
    architecture, decoding, count = (
        architecture_for(recipe, index),
        recipe.pixels.decoding(),
        counts.batch_size,
    )
    network = built(architecture)
    compute.place(network)
    frozen = freeze(network, recipe.freeze)
    frozen.train(network)
    state = TrainState(network=network, optimizer=Optimizer(network, recipe.optimizer), frozen=frozen)
    name = chosen_loss(recipe.loss, index.target, usual_loss(recipe))
    loss = make_loss(name, index.target, outputs=architecture.outputs)
    noise = generator(recipe.seed).integers(
        256, size=(count, *decoding.size, decoding.channels), dtype=np.uint8
    )
    pixels = torch.from_numpy(noise).permute(0, 3, 1, 2)
    wanted = torch.from_numpy(np.zeros(index.target.shape(count), dtype=index.targets.dtype))
    targets = wanted.float() if wanted.is_floating_point() else wanted
    beside = torch.zeros(count, architecture.covariates) if architecture.covariates else None

    augment, _ = settle_flips(recipe.augment, index)

    def step() -> None:
        images = to_float(compute.to_device(pixels))
        draw = augment.draw(count, generator(recipe.seed))
        images = normalize(augment.apply(images, draw), decoding)
        batch = Batch(images.contiguous(memory_format=torch.channels_last), targets, beside, recipe.seed)
        train_step(
            state, batch, recipe.optimizer.lr, loss=loss, compute=compute, micro_batch=recipe.micro_batch
        )

    step()
    each = median(_seconds(step) for _ in range(STEPS))
    judged = pixels[:AT_ONCE]
    known = None if beside is None else beside[:AT_ONCE]
    return each, _seconds(
        lambda: infer(network, judged, decoding, compute, known, recipe.flip_average)
    ) / len(judged)


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


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
        least = create_model(recipe.model, **recipe.options).min_size
    head = recipe.options.get("head", facts(recipe.model).options["head"].default)
    most = max(own, USUAL) if head == "average" else own
    sides = (
        [each for each in SIDES if least <= each < own]
        + [own]
        + [each for each in SIDES if own < each <= most]
    )
    fitting = [each for each in sides if each <= side] or sides[:1]
    return [(round(each * height / own), round(each * width / own)) for each in fitting]
