"""Class maps of ResNet-18 at 224 pixels on a processor: Mirada against a bare forward pass, captum, torchcam, grad-cam.

All sides have the same weights and images and take turns, a call each per round. What is told is the processor time of
the process, which other work on the machine moves least, and the wall time; ratios are those of each round. Mirada's
maps stay on the grid of the last layer, as captum's and torchcam's do; grad-cam always enlarges its own.
"""

import argparse
import importlib.metadata
import time
from collections.abc import Callable
from statistics import median

import harness
import torch
import torchvision_on_cpu  # noqa: F401
from captum.attr import LayerGradCam
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn
from torch.nn.functional import conv2d
from torchcam.methods import CAM
from torchvision.models import resnet18

from mirada.explain.class_maps import class_maps
from mirada.explain.explainable import Explainable
from mirada.explain.explanation import explain
from mirada.models import create_model
from mirada.models.resnet import PUBLIC_KEYS
from mirada.models.weights import convert

BENCHMARK = "maps"
SIZE = 224  # pixels
BARE, OURS = "bare forward pass", "Mirada"
PEERS = ("captum", "torchcam", "grad-cam")
Call = Callable[[Tensor, int], object]  # images and how many classes → maps
Cost = dict[str, float]


def sides() -> dict[str, Call]:
    """What every side does for some images and the first so many classes."""
    torch.manual_seed(0)
    theirs = resnet18().eval()
    ours = create_model("resnet18", num_classes=1000).eval()
    ours.load_state_dict(convert(theirs.state_dict(), ours, PUBLIC_KEYS))
    return {
        BARE: lambda images, _: _forward(theirs, images),
        OURS: lambda images, classes: _mirada(ours, images, classes),
        "1 × 1 convolution by hand": lambda images, _: _by_hand(theirs, images),
        "torchcam": lambda images, classes: _torchcam(theirs, images, classes),
        "captum": lambda images, classes: _captum(theirs, images, classes),
        "grad-cam": lambda images, classes: _grad_cam(theirs, images, classes),
    }


def _forward(network: nn.Module, images: Tensor) -> Tensor:
    with torch.inference_mode():
        return network(images)


def _mirada(network: nn.Module, images: Tensor, classes: int) -> object:
    """All classes at once; of a single one what ``explain`` gives, its notes included."""
    if classes == 1:
        return explain(Explainable(network), images, [0] * len(images)).maps
    return class_maps(network, images).maps[:, :classes]


def _by_hand(network: nn.Module, images: Tensor) -> Tensor:
    kept: list[Tensor] = []
    hook = network.layer4.register_forward_hook(lambda _module, _inputs, maps: kept.append(maps))
    with torch.inference_mode():
        network(images)
        maps = conv2d(kept[0], network.fc.weight[:, :, None, None])
    hook.remove()
    return maps


def _torchcam(network: nn.Module, images: Tensor, classes: int) -> list[Tensor]:
    with CAM(network, "layer4", "fc") as method, torch.inference_mode():
        network(images)
        return [method(number, normalized=False)[0] for number in range(classes)]


def _captum(network: nn.Module, images: Tensor, classes: int) -> list[Tensor]:
    method = LayerGradCam(network, network.layer4)
    return [method.attribute(images, target=number) for number in range(classes)]


def _grad_cam(network: nn.Module, images: Tensor, classes: int) -> list[object]:
    with GradCAM(network, [network.layer4]) as method:
        return [method(images, [ClassifierOutputTarget(number)] * len(images)) for number in range(classes)]


def measure(calls: dict[str, Call], images: Tensor, classes: int, rounds: int) -> dict[str, list[Cost]]:
    """The cost of every call in every round, after a round that is not counted; who is first changes."""
    taken: dict[str, list[Cost]] = {name: [] for name in calls}
    names = list(calls)
    for number in range(-1, rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            wall, cpu = time.perf_counter(), time.process_time()
            calls[name](images, classes)
            cost = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
            if number >= 0:
                taken[name].append(cost)
    return taken


def column(costs: list[Cost], field: str) -> list[float]:
    """One number of every round."""
    return [cost[field] for cost in costs]


def times(taken: dict[str, list[Cost]], name: str, other: str, field: str) -> float:
    """How many times what the other takes a side takes: the median of the rounds."""
    pairs = zip(column(taken[name], field), column(taken[other], field), strict=True)
    return median(one / two for one, two in pairs)


def report(
    taken: dict[str, list[Cost]], images: int, classes: int, rounds: int, options: argparse.Namespace
) -> None:
    """Prints and records the costs, as times of the bare pass and of Mirada's."""
    rows = []
    known = {name: importlib.metadata.version(name) for name in ("torchvision", *PEERS)}
    command = f"benchmarks/run.sh maps --threads {options.threads} --rounds {options.rounds}"
    for name, costs in taken.items():
        values = {"side": name, "classes": classes, "batch": images, "rounds": rounds}
        values["computing_threads"] = options.threads
        for field in ("wall_s", "cpu_s"):
            clock = field.removesuffix("_s")
            values[field] = median(column(costs, field))
            values[f"{clock}_times_bare"] = times(taken, name, BARE, field)
            values[f"{clock}_times_miradas"] = times(taken, name, OURS, field)
        harness.record(
            options.results, BENCHMARK,
            {**values, "versions": {**harness.versions(), **known}, "command": command},
        )  # fmt: skip
        ratios = [
            f"{values[key]:.3f} ×" for key in ("cpu_times_bare", "cpu_times_miradas", "wall_times_bare")
        ]
        spreads = [harness.spread([1000 * value for value in column(costs, f)]) for f in ("cpu_s", "wall_s")]
        rows.append([f"{name}, {classes} of {images}", *spreads, *ratios])
    harness.print_table(
        [
            "maps for … classes of … images",
            "CPU, ms",
            "wall, ms",
            "CPU ÷ bare",
            "CPU ÷ Mirada",
            "wall ÷ bare",
        ],
        rows,
    )
    print(f"Median (least–greatest) of {rounds} rounds on {options.threads} threads; ratios of each round.\n")


def main() -> None:
    """Reads the arguments, measures, prints."""
    parser = harness.options(__doc__, rounds=15)
    parser.add_argument("--threads", type=int, default=1, help="that torch computes on (1)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    calls = sides()
    draw = torch.Generator().manual_seed(0)
    few = max(3, options.rounds // 3)  # of what takes seconds
    for images, classes, rounds, names in (
        (16, 1000, options.rounds, (BARE, OURS, "1 × 1 convolution by hand", "torchcam")),
        (1, 10, few, (BARE, OURS, "torchcam", "captum", "grad-cam")),
        (1, 1, options.rounds, (BARE, OURS, "torchcam", "captum", "grad-cam")),
    ):
        batch = torch.randn((images, 3, SIZE, SIZE), generator=draw)
        chosen = {name: calls[name] for name in names}
        report(measure(chosen, batch, classes, rounds), images, classes, rounds, options)


if __name__ == "__main__":
    main()
