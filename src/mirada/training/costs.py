"""What a training costs on this machine: the seconds of its parts, measured on noise, and what they add up to."""

import time
from collections.abc import Callable, Sequence
from math import inf
from statistics import median
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mirada.compute import Compute
from mirada.data.augment import Augmentation
from mirada.data.batches import generator, normalize, steps_per_epoch, to_float
from mirada.data.index import Index
from mirada.data.views import Views
from mirada.evaluation.infer import AT_ONCE, images_at_once, infer
from mirada.layers.modes import evaluating
from mirada.layers.network import Network
from mirada.layers.own import OwnNetwork
from mirada.training.demands import require_whole_batches, usual_loss
from mirada.training.flips import settle_flips
from mirada.training.freezing import FrozenParts
from mirada.training.loss import chosen_loss, make_loss
from mirada.training.optimizer import Optimizer
from mirada.training.phases import Phase, phases_of, stage_factors
from mirada.training.recipe import Recipe
from mirada.training.start import architecture_for, built
from mirada.training.state import TrainState
from mirada.training.step import Batch, train_step

STEPS = 3  # that are measured, after one that is not
LONG = 1.5  # seconds: what takes longer is measured once
FEW = 8  # images that go through frozen parts to be measured
AROUND = 6.0  # seconds for what is neither decoding nor the network: start, weights, the page
DRAWN = 54  # forward passes that the maps of the report are worth: 18 images, there and back


class Costs(NamedTuple):
    """A training at one size, with some parts frozen: seconds, and bytes on disk.

    ``step`` is one of a batch and ``forward`` the pass of an image, both through what is not computed once;
    ``decoding`` an image; ``judged`` an image that the whole network predicts, in float32; ``before`` the pass of an
    image through the frozen parts that are computed once, which leaves ``row`` bytes of it.
    """

    step: float
    forward: float
    decoding: float
    judged: float
    before: float = 0.0
    row: int = 0


class Counts(NamedTuple):
    """Images by split, how many one step takes, and the bytes that are free where features are kept.

    ``looks`` is 2 where answers are averaged over an image and its mirror image, else 1.
    """

    train: int
    val: int
    test: int
    batch_size: int
    free: float = inf
    looks: int = 1


class Stretch(NamedTuple):
    """Epochs in which the same parts are frozen: how many, how many views of an image they show, and what they cost."""

    epochs: int
    views: int
    costs: Costs


def duration(stretches: Sequence[Stretch], counts: Counts) -> float:
    """Seconds of a whole run: decoding, features, epochs with their validation, the last judgement, what is around it.

    In the end the images of validation and test are judged, and those of training seen once more, as similar ones.
    """
    last = stretches[-1].costs
    seconds = AROUND + (counts.train + counts.val + counts.test) * last.decoding
    for each in stretches:
        epoch = steps_per_epoch(counts.train, counts.batch_size) * each.costs.step
        seconds += features_in(each, counts) + each.epochs * (epoch + counts.val * each.costs.forward)
    similar = stretches[-1].views * last.forward if last.row else last.judged
    return seconds + (counts.val + counts.test + DRAWN) * last.judged + counts.train * similar


def features_in(stretch: Stretch, counts: Counts) -> float:
    """Seconds for what frozen parts make of the images: once a view, or in every epoch if there is no room for it."""
    kept = kept_bytes(stretch, counts) <= counts.free
    views, again = (stretch.views, 1) if kept else (stretch.epochs, stretch.epochs)
    return (views * counts.train + again * counts.looks * counts.val) * stretch.costs.before


def kept_bytes(stretch: Stretch, counts: Counts) -> int:
    """The space of the features: of every view of the training images, and of all others."""
    rows = stretch.views * counts.train + counts.looks * (counts.val + counts.test)
    return rows * stretch.costs.row


class Bench:
    """Measures trainings of one network on some data, each part of them once.

    Args:
        index: What is learnt.
        compute: Where.
        counts: How many images a step takes.
        decoding: Seconds of an image.
        own: The network, if it is a module of one's own; it is changed.
    """

    def __init__(
        self, index: Index, compute: Compute, counts: Counts, decoding: float, own: OwnNetwork | None = None
    ) -> None:
        self.index = index
        self.compute = compute
        self.counts = counts
        self.decoding = decoding
        self.own = own
        self.networks: dict[tuple[int, int], Network] = {}
        self.known: dict[tuple[tuple[int, int], tuple[str, ...], bool], Costs] = {}

    def stretches(self, recipe: Recipe) -> list[Stretch]:
        """What a run by a recipe consists of. Raises ``RecipeError`` where nothing can be trained so."""
        network = self._network(recipe)
        phases = phases_of(network, recipe)
        stage_factors(network, recipe)  # refuses what training would
        for phase in phases:
            require_whole_batches(phase.frozen, recipe)
        augment, _ = settle_flips(recipe.augment, self.index)
        return [self._stretch(recipe, network, phase, augment) for phase in phases]

    def _network(self, recipe: Recipe) -> Network:
        """With random weights, which are as fast as any."""
        size = recipe.pixels.image_size
        if size not in self.networks:
            self.networks = {size: self.own or built(architecture_for(recipe, self.index))}
            self.compute.place(self.networks[size])
        return self.networks[size]

    def _stretch(self, recipe: Recipe, network: Network, phase: Phase, augmentation: Augmentation) -> Stretch:
        place = (recipe.pixels.image_size, phase.frozen.names, recipe.views > 0)
        if place not in self.known:
            costs = measured(recipe, network, phase.frozen, self.index, self.compute, self.counts.batch_size)
            self.known[place] = costs._replace(decoding=self.decoding)
        views = 1
        if self.known[place].row:
            shown = Views(augmentation, min(recipe.views, recipe.epochs), recipe.seed)
            views = len(shown.between(phase.first, phase.last))
        return Stretch(phase.last - phase.first + 1, views, self.known[place])


def measured(
    recipe: Recipe, network: Network, frozen: FrozenParts, index: Index, compute: Compute, count: int
) -> Costs:
    """What training costs, decoding aside, on noise.

    Args:
        recipe: What is trained, and at which size.
        network: On the device; its weights are changed.
        frozen: What does not learn.
        index: What is learnt.
        compute: Where.
        count: Images of a step.
    """
    network.requires_grad_(True)
    for name in frozen.names:
        network.get_submodule(name).requires_grad_(False)
    frozen.train(network)
    decoding, place = recipe.pixels.decoding(), frozen.place if recipe.views else ""
    noise = generator(recipe.seed).integers(
        256, size=(count, *decoding.size, decoding.channels), dtype=np.uint8
    )
    pixels = torch.from_numpy(noise).permute(0, 3, 1, 2)
    augment, _ = settle_flips(recipe.augment, index)
    beside = torch.zeros(count, network.covariates) if network.covariates else None

    def images(some: Tensor) -> Tensor:
        draw = augment.draw(len(some), generator(recipe.seed))
        return normalize(augment.apply(to_float(compute.to_device(some)), draw), decoding)

    def judge() -> object:
        known, plain = None if beside is None else beside[:FEW], Compute(compute.device, "float32")
        return infer(network, pixels[:FEW], decoding, plain, known, recipe.flip_average)

    def features() -> Tensor:
        with evaluating(network), torch.no_grad(), compute.autocast():
            shown = images(pixels[:FEW]).contiguous(memory_format=torch.channels_last)
            return network.forward_to(place, shown).cpu()

    maps = features() if place else None
    judged = _timed(judge) / min(count, FEW)
    step, forward = _steps(recipe, network, frozen, index, compute), _passes(recipe, network, compute)
    if maps is None:
        shown = pixels[: images_at_once(decoding.size, compute.device)]
        return Costs(
            _timed(lambda: step(images(pixels), beside, "")),
            _timed(lambda: forward(shown, beside, "")) / len(shown),
            0.0,
            judged,
        )
    seen = compute.to_device(
        maps.repeat(-(-count // len(maps)), 1, 1, 1)[:count].contiguous(memory_format=torch.channels_last)
    )
    return Costs(
        _timed(lambda: step(seen, beside, place)),
        _timed(lambda: forward(seen[:AT_ONCE], beside, place)) / min(count, AT_ONCE),
        0.0,
        judged,
        before=_timed(features) / len(maps),
        row=maps[0].numel() * maps.element_size(),
    )


Work = Callable[[Tensor, Tensor | None, str], object]  # on images or maps, covariates, and what made the maps


def _steps(recipe: Recipe, network: Network, frozen: FrozenParts, index: Index, compute: Compute) -> Work:
    """A step of training, by the recipe's own optimizer and loss, on targets of zero."""
    state = TrainState(network=network, optimizer=Optimizer(network, recipe.optimizer), frozen=frozen)
    name = chosen_loss(recipe.loss, index.target, usual_loss(recipe))
    own = network if isinstance(network, OwnNetwork) else None
    loss = make_loss(name, index.target, outputs=architecture_for(recipe, index, own).outputs)

    def step(images: Tensor, beside: Tensor | None, after: str) -> object:
        wanted = torch.from_numpy(np.zeros(index.target.shape(len(images)), dtype=index.targets.dtype))
        targets = compute.to_device(wanted.float() if wanted.is_floating_point() else wanted)
        known = None if beside is None else compute.to_device(beside)
        batch = Batch(images, targets, known, recipe.seed, after)
        rate, slices = recipe.optimizer.lr, recipe.micro_batch
        return float(train_step(state, batch, rate, loss=loss, compute=compute, micro_batch=slices))

    return step


def _passes(recipe: Recipe, network: Network, compute: Compute) -> Work:
    """The pass of a few images, or of what the part ``after`` has made of them, through the rest of the network."""

    def forward(images: Tensor, beside: Tensor | None, after: str) -> object:
        known = None if beside is None else beside[: len(images)].to(compute.device)
        if not after:
            return infer(network, images, recipe.pixels.decoding(), compute, known, recipe.flip_average)
        with evaluating(network), torch.inference_mode(), compute.autocast():
            for _ in range(1 + recipe.flip_average):
                outputs = network.forward_from(after, images, known).float().cpu()
            return outputs

    return forward


def _timed(work: Callable[[], object]) -> float:
    """The seconds of some work, by the median of a few times; of what takes long, the first."""
    first = _seconds(work)
    if first > LONG:
        return first
    return median(_seconds(work) for _ in range(STEPS))


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
