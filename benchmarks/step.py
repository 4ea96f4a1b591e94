"""One training step on a processor, beside the convolutions and dense layers of its network by themselves.

In one process a step of ``mirada train`` (the batch from the cache, augmented and normalized; forward, loss, backward,
optimizer) takes turns with the layers that have weights, each by itself, forward and backward, on the shapes that it
has in the step: what a step costs as long as these layers are the library's. ``--profile`` lists a step's operators.
"""

import argparse
import itertools
import math
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import NamedTuple

import harness
import numpy as np
import torch
from torch import Tensor, nn

from mirada.compute import Compute, choose, flush_denormals, keep_freed_memory
from mirada.data.cache import Cache
from mirada.data.index import Index
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.modelfile import Architecture, Card
from mirada.samples import Classes
from mirada.training.begin import loss_of, state_of
from mirada.training.feed import Feed
from mirada.training.loss import Loss
from mirada.training.phases import phases_of
from mirada.training.recipe import recipe_for
from mirada.training.state import TrainState
from mirada.training.step import Batch, fitting_step

BENCHMARK = "step"
CASES = {  # network: side in pixels, images per step
    "simplecnn": (64, 32),
    "lenet5": (32, 64),
    "resnet18": (224, 16),
    "resnet50": (224, 16),
    "vgg16": (224, 8),
    "densenet121": (224, 16),  # with fewer images one thread takes another convolution for 1 × 1
    "googlenet_bn": (224, 16),
}
CLASSES = 10
STEPS = 32  # of an epoch: that of a thousand images
WEIGHTED = nn.Conv2d | nn.Linear


class Clock(NamedTuple):
    """Seconds, of the wall and of the process's processors, and how many pages of memory were mapped."""

    wall: float
    cpu: float
    faults: int

    @classmethod
    def now(cls) -> "Clock":
        """The time."""
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        return cls(time.perf_counter(), time.process_time(), faults)

    def since(self, began: "Clock") -> "Clock":
        """What has passed."""
        return Clock(self.wall - began.wall, self.cpu - began.cpu, self.faults - began.faults)


@dataclass
class Step:
    """A network in training: called, it takes the next step."""

    state: TrainState
    feed: Feed
    loss: Loss
    lr: float
    within: float = 0.0  # CPU seconds of the last step in forward, loss, backward and optimizer
    batches: Iterator[Batch] = field(init=False)

    def __post_init__(self) -> None:
        self.batches = (batch for epoch in itertools.count(1) for batch in self.feed.epoch(epoch))

    def __call__(self) -> Tensor:
        """One step, as the training loop takes it."""
        batch = next(self.batches)
        return fitting_step(self.state, batch, self.lr, loss=self.loss, compute=self.feed.compute)


def make_step(name: str, compute: Compute) -> Step:
    """A step of a network's own recipe on noise: epochs of ``STEPS`` steps, in which the same few images come again."""
    side, count = CASES[name]
    channels = 1 if name == "lenet5" else 3
    recipe = recipe_for(name).with_settings({"batch_size": count, "image_size": side})
    pixels = np.random.default_rng(0).integers(0, 256, (2 * count, side, side, channels), dtype=np.uint8)
    preprocessing = Preprocessing(
        mode="L" if channels == 1 else "RGB",
        size=(side, side),
        mean=(0.5,) * channels,
        std=(0.25,) * channels,
    )
    images = STEPS * count
    index = Index(
        root=Path(),
        paths=tuple(f"{number}.png" for number in range(images)),
        targets=np.arange(images) % CLASSES,
        splits=np.array(["train"] * images),
        target=Classes(tuple(map(str, range(CLASSES)))),
    )
    card = Card(
        architecture=Architecture(
            model=name, options=recipe.options, outputs=CLASSES, in_channels=channels, image_size=(side, side)
        ),
        preprocessing=preprocessing,
        target=index.target,
    )
    cache = Cache(index, pixels, np.arange(images) % len(pixels), preprocessing, 0)
    feed = Feed(
        cache=cache,
        card=card,
        compute=compute,
        augmentation=recipe.augment,
        batch_size=count,
        seed=recipe.seed,
    )
    torch.manual_seed(recipe.seed)
    network = card.architecture.build()
    compute.place(network)
    state = state_of(network, phases_of(network, recipe), recipe, feed.steps)
    state.learn()
    return Step(state, feed, loss_of(recipe, card, None), recipe.optimizer.lr)


@dataclass
class Layer:
    """A layer with weights, what it took in a step, and a gradient of what it put out."""

    module: nn.Module
    taken: Tensor
    gradient: Tensor

    def __call__(self) -> None:
        """Forward and backward, by all that a gradient goes to."""
        put_out = self.module(self.taken)
        wanted = [each for each in (self.taken, *self.module.parameters()) if each.requires_grad]
        torch.autograd.grad(put_out, wanted, self.gradient)


@dataclass
class Alone:
    """The layers of a network by themselves: called, each runs once."""

    layers: list[Layer]
    compute: Compute

    def __call__(self) -> None:
        """All layers, one after the other."""
        with self.compute.autocast():
            for layer in self.layers:
                layer()


def layers_of(step: Step) -> Alone:
    """The layers with weights in the order in which one step runs them, on noise in the shapes that they had.

    Where the step keeps maps in oneDNN's layout, they lie here with the channels last, as the library computes them.
    """
    layers: list[Layer] = []

    def note(module: nn.Module, given: tuple[Tensor, ...], put_out: Tensor) -> None:
        taken, gradient = (_noise_like(each) for each in (given[0], put_out))
        layers.append(Layer(module, taken.requires_grad_(given[0].requires_grad), gradient))

    hooks = [
        each.register_forward_hook(note)
        for each in step.state.network.modules()
        if isinstance(each, WEIGHTED)
    ]
    step()
    for hook in hooks:
        hook.remove()
    return Alone(layers, step.feed.compute)


def _noise_like(values: Tensor) -> Tensor:
    if values.is_mkldnn:
        values = values.to_dense().contiguous(memory_format=torch.channels_last)
    return torch.empty_strided(values.shape, values.stride(), dtype=values.dtype).normal_()


@contextmanager
def timed_within(step: Step) -> Iterator[None]:
    """Inside, ``step.within`` is the time of forward, loss, backward and optimizer."""
    network, optimizer, backward = step.state.network, step.state.optimizer, Tensor.backward
    loss = step.loss

    def timed(function: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            began = time.process_time()
            try:
                return function(*arguments, **named)
            finally:
                step.within += time.process_time() - began

        return call

    network.training_outputs, optimizer.step = timed(network.training_outputs), timed(optimizer.step)
    step.loss, Tensor.backward = timed(loss), timed(backward)
    try:
        yield
    finally:
        step.loss, Tensor.backward = loss, backward
        del network.training_outputs, optimizer.step


def clocked(work: Callable[[], object]) -> Clock:
    """What one call costs."""
    began = Clock.now()
    work()
    return Clock.now().since(began)


def measure(name: str, compute: Compute, options: argparse.Namespace) -> dict[str, object]:
    """The medians over the rounds, after one that is not counted."""
    step = make_step(name, compute)
    alone = layers_of(step)
    alone()
    steps, layers, within = [], [], 0.0
    with timed_within(step):
        for _ in range(options.rounds):
            step.within = 0.0
            steps.append(clocked(step))
            within += step.within
            layers.append(clocked(alone))
    ratios = {
        clock: [getattr(one, clock) / getattr(other, clock) for one, other in zip(steps, layers, strict=True)]
        for clock in ("wall", "cpu")
    }
    if options.profile:
        print(profile(step, options.profile))
    side, count = CASES[name]
    return {
        "network": name,
        "side": side,
        "batch": count,
        "precision": compute.precision,
        "threads_used": torch.get_num_threads(),
        "rounds": options.rounds,
        "step_cpu_s": median(one.cpu for one in steps),
        "step_wall_s": median(one.wall for one in steps),
        "layers_cpu_s": median(one.cpu for one in layers),
        "step_by_layers_cpu": median(ratios["cpu"]),
        "step_by_layers_cpu_least": min(ratios["cpu"]),
        "step_by_layers_cpu_greatest": max(ratios["cpu"]),
        "step_by_layers_wall": median(ratios["wall"]),
        "outside_share": 1 - within / sum(one.cpu for one in steps),  # some draw for those after them
        "step_faults": median(one.faults for one in steps),
    }


def profile(step: Step, rows: int) -> str:
    """The operators of a step by the time that they take themselves: the least of three steps, and their number."""
    least: dict[str, float] = {}
    calls: dict[str, int] = {}
    for _ in range(3):
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
            step()
        for each in profiler.key_averages():
            least[each.key] = min(least.get(each.key, math.inf), each.self_cpu_time_total / 1000)
            calls[each.key] = each.count
    total = sum(least.values())
    first = sorted(least, key=lambda name: -least[name])[:rows]
    return "\n".join(
        f"{least[name]:10.2f} ms {100 * least[name] / total:5.1f} %  {calls[name]:5}  {name}"
        for name in first
    )


def main() -> None:
    """Reads the arguments, measures, prints."""
    parser = harness.options(__doc__, rounds=7)
    parser.add_argument("networks", nargs="*", default=list(CASES), help=f"of {', '.join(CASES)} (all)")
    parser.add_argument("--threads", type=int, default=1, help="threads of PyTorch (1)")
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--profile", type=int, default=0, help="operators of a step to list (0)")
    options = parser.parse_args()
    flush_denormals()  # as the command line does
    keep_freed_memory()
    torch.set_num_threads(options.threads)
    compute = choose("cpu", options.precision)
    command = f"benchmarks/run.sh step --threads {options.threads} --precision {options.precision}"
    rows = []
    for name in options.networks:
        values = measure(name, compute, options)
        harness.record(
            options.results, BENCHMARK, {**values, "versions": harness.versions(), "command": command}
        )
        rows.append(
            [
                f"{name}, {values['side']} × {values['batch']}",
                f"{1000 * values['step_cpu_s']:,.1f}",
                f"{1000 * values['layers_cpu_s']:,.1f}",
                f"{values['step_by_layers_cpu']:.3f} ({values['step_by_layers_cpu_least']:.3f}–"
                f"{values['step_by_layers_cpu_greatest']:.3f})",
                f"{values['step_by_layers_wall']:.3f}",
                f"{100 * values['outside_share']:.1f} %",
                f"{values['step_faults']:,.0f}",
            ]
        )
    harness.print_table(
        ["", "step, CPU ms", "layers alone, CPU ms", "step ÷ layers", "by wall", "outside", "faults"], rows
    )
    print(
        f"\nMedians of {options.rounds} rounds, the ratio (least–greatest) that of each round. Outside: the share of a "
        "step that is not forward, loss, backward or optimizer. Faults: pages of memory that a step has mapped anew."
    )


if __name__ == "__main__":
    main()
