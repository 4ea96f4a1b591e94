"""What a GPU makes of it, within ten minutes: ResNet-50's training step, and CIFAR-10 by stock ``mirada train``.

First images per second of ResNet-50 at 224 pixels, in bfloat16, channels last and compiled, the images lying on the
device as bytes: Mirada's network, torchvision's and timm's in the very same plain loop, and Mirada's once more as
``mirada train`` steps, which does not compile. The sides take turns. Then, if a folder of CIFAR-10 as PNG files is
named, with train/ and test/ and a folder per class in each, one training to the end or to the last minute.

It needs a CUDA device, PyTorch built for it, and for the peers torchvision and timm; a peer that is not installed is
left out by name. ``--smoke`` does all of it in tiny sizes on the processor, so that a lent GPU is not needed to find
that a line is wrong; nothing of it is recorded.
"""

import argparse
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import harness
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mirada.compute import Compute
from mirada.models import create_model
from mirada.training.optimizer import Optimizer
from mirada.training.recipe import recipe_for

BENCHMARK = "gpu"
OURS, AS_IT_STEPS = "mirada", "mirada, as it steps"
GOALS = {"times the best peer": 1.15, "images/s on an H200": 4300, "accuracy on CIFAR-10": 0.94}
CLASSES = 1000
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CIFAR = (
    "--model", "resnet18", "--image-size", "128", "--batch-size", "512", "--epochs", "30", "--set", "optimizer=sgd",
    "--set", "lr=0.2", "--set", "nesterov=true", "--set", "weight_decay=5e-4", "--set", "schedule=one_cycle", "--set",
    "label_smoothing=0.1", "--set", "augment=none", "--set", "augment.crop=0.4", "--set",
    "augment.horizontal_flip=alternate", "--set", "average=ema", "--set", "average.decay=0.99", "--set",
    "flip_average=true", "--set", "val_fraction=0.02",
)  # fmt: skip
Step = Callable[[], Tensor]


@dataclass(frozen=True)
class Sizes:
    """How much is computed: of the real thing, or of one that only shows that every line runs."""

    model: str
    size: int
    batch: int
    steps: int  # of a side in a round
    resident: int  # images that lie on the device
    backend: str  # of torch.compile


REAL = Sizes("resnet50", 224, 256, 30, 4096, "inductor")
SMOKE = Sizes("resnet18", 32, 4, 1, 8, "eager")


class Resident:
    """Images that lie on the device as bytes, and the batches of random ones that a loop takes of them."""

    def __init__(self, sizes: Sizes, device: torch.device) -> None:
        shape = (sizes.resident, 3, sizes.size, sizes.size)
        images = torch.randint(256, shape, dtype=torch.uint8, device=device)
        self.images = images.contiguous(memory_format=torch.channels_last)
        self.targets = torch.randint(CLASSES, (sizes.resident,), device=device)
        self.mean, self.std = (
            torch.tensor(each, device=device).view(1, 3, 1, 1) * 255 for each in (MEAN, STD)
        )
        self.batch = sizes.batch

    def next(self) -> tuple[Tensor, Tensor]:
        """Normalized images (n, 3, H, W), channels last, and class numbers (n,)."""
        rows = torch.randint(len(self.images), (self.batch,), device=self.images.device)
        images = (self.images[rows].float() - self.mean) / self.std
        return images.contiguous(memory_format=torch.channels_last), self.targets[rows]


def networks(model: str) -> dict[str, Callable[[], nn.Module]]:
    """What makes each side's network; without the peers that are not installed."""
    found: dict[str, Callable[[], nn.Module]] = {OURS: lambda: create_model(model, num_classes=CLASSES)}
    if importlib.util.find_spec("torchvision"):
        sys.path.append(str(harness.ROOT / "parity"))
        import torchvision_on_cpu  # noqa: F401
        from torchvision import models

        found["torchvision"] = lambda: models.get_model(model, num_classes=CLASSES)
    if importlib.util.find_spec("timm") and "torchvision" in found:
        import timm

        found["timm"] = lambda: timm.create_model(model, num_classes=CLASSES)
    return found


def plain_step(network: nn.Module, data: Resident, sizes: Sizes, device: torch.device) -> Step:
    """A plain loop as good as one writes it: compiled, autocast, the optimizer's update in one kernel."""
    network = network.to(device, memory_format=torch.channels_last).train()
    compiled = torch.compile(network, backend=sizes.backend)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4, fused=True)

    def step() -> Tensor:
        images, targets = data.next()
        with torch.autocast(device.type, dtype=torch.bfloat16):
            outputs = compiled(images)
        loss = F.cross_entropy(outputs.float(), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def own_step(network: nn.Module, data: Resident, device: torch.device) -> Step:
    """What ``mirada train`` does with a batch, from where its images are normalized (``mirada.training.step``)."""
    compute = Compute(device, "bfloat16")
    network = compute.place(network.train())
    recipe = recipe_for("resnet50").with_settings({"optimizer": "sgd", "lr": 0.1})
    optimizer = Optimizer(network, recipe.optimizer)

    def step() -> Tensor:
        images, targets = data.next()
        optimizer.zero_grad()
        with compute.autocast():
            outputs = network(images)
        loss = F.cross_entropy(outputs.float(), targets)
        loss.backward()
        optimizer.step(recipe.optimizer.lr)
        return loss.detach()

    return step


def images_per_second(step: Step, sizes: Sizes, device: torch.device) -> float:
    """Of so many steps, from an idle device to an idle one. Raises ``RuntimeError`` if a loss is not finite."""
    _settle(device)
    started = time.perf_counter()
    for _ in range(sizes.steps):
        loss = step()
    _settle(device)
    seconds = time.perf_counter() - started
    if not torch.isfinite(loss):
        raise RuntimeError("The loss is no longer a number, so the step is not worth measuring.")
    return sizes.steps * sizes.batch / seconds


def _settle(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measure_steps(sizes: Sizes, device: torch.device, rounds: int, until: float) -> dict[str, list[float]]:
    """Images per second of every side, a number for each round; fewer rounds if the time is up."""
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(0)
    data = Resident(sizes, device)
    steps = {side: plain_step(make(), data, sizes, device) for side, make in networks(sizes.model).items()}
    steps[AS_IT_STEPS] = own_step(create_model(sizes.model, num_classes=CLASSES), data, device)
    for side, step in steps.items():
        started = time.perf_counter()
        images_per_second(step, sizes, device)  # compiles, and chooses its kernels
        print(f"{side}: ready after {time.perf_counter() - started:.1f} s", flush=True)
    taken: dict[str, list[float]] = {side: [] for side in steps}
    for number in range(rounds):
        if number and time.monotonic() > until:
            print(f"The time is up after {number} of {rounds} rounds.")
            break
        order = list(steps)[number % len(steps) :] + list(steps)[: number % len(steps)]
        for side in order:
            taken[side].append(images_per_second(steps[side], sizes, device))
    return taken


def report_steps(taken: Mapping[str, list[float]], sizes: Sizes, options: argparse.Namespace) -> None:
    """Prints and records images per second, and Mirada's over each side's: the median over the rounds."""
    rows = []
    for side, speeds in taken.items():
        ratio = median(ours / other for ours, other in zip(taken[OURS], speeds, strict=True))
        rows.append([side, harness.spread(speeds, 0), f"{ratio:.3f} ×"])
        values = {"side": side, "images_per_s": median(speeds), "rounds": len(speeds), "mirada_times": ratio}
        keep({**values, "model": sizes.model, "size": sizes.size, "batch": sizes.batch}, options)
    harness.print_table(["", "images/s", "mirada ÷ it"], rows)
    if absent := [peer for peer in ("torchvision", "timm") if peer not in taken]:
        print(f"Left out, since not installed: {', '.join(absent)}.")
    told = ", ".join(f"{number:g} {what}" for what, number in GOALS.items())
    print(f"Goals: {told}.\n", flush=True)


def train_cifar(
    folder: Path, arguments: tuple[str, ...], seconds: float, options: argparse.Namespace
) -> None:
    """One training by the command line; at the last minute it is told to stop, and saves."""
    with tempfile.TemporaryDirectory() as place:
        run = Path(place) / "run"
        command = [harness.MIRADA, "train", folder, *arguments, "--output", run]
        environment = {**os.environ, "MIRADA_CACHE": str(Path(place) / "cache")}
        started = time.monotonic()
        process = subprocess.Popen(command, env=environment)
        try:
            code = process.wait(max(seconds, 1.0))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
            code = process.wait()
        wall_s = time.monotonic() - started
        if code:
            print(
                f"CIFAR-10: mirada train ended with {code} after {wall_s:.0f} s; 75 says that the time was up."
            )
            return
        judged = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))["test"]
        accuracy = next(each["value"] for each in judged["metrics"] if each["name"] == "accuracy")
    print(
        f"CIFAR-10: {100 * accuracy:.2f} % of the test images after {wall_s:.0f} s, decoding and report included."
    )
    keep(
        {"side": "cifar-10", "accuracy": accuracy, "wall_s": wall_s, "settings": " ".join(arguments)}, options
    )


def keep(values: Mapping[str, object], options: argparse.Namespace) -> None:
    """Records what was measured on a GPU."""
    if not options.smoke:
        about = {"gpu": torch.cuda.get_device_name(), "versions": harness.versions()}
        harness.record(options.results, BENCHMARK, {**values, **about, "command": "benchmarks/run.sh gpu"})


def main() -> None:
    """Reads the arguments, measures, prints."""
    parser = harness.options(__doc__, rounds=5)
    parser.add_argument(
        "--cifar", type=Path, help="folder of PNG files: train/ and test/, a folder per class"
    )
    parser.add_argument(
        "--batch", type=int, default=REAL.batch, help=f"images of a step of ResNet-50 ({REAL.batch})"
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="for all of it (10)")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes on the processor, nothing recorded")
    options = parser.parse_args()
    if not options.smoke and not torch.cuda.is_available():
        sys.exit(
            "No CUDA device here, so nothing was measured; --smoke shows on the processor that every line runs."
        )
    began = time.monotonic()
    end = began + 60 * options.minutes
    real = replace(REAL, batch=options.batch)
    sizes, device = (SMOKE, torch.device("cpu")) if options.smoke else (real, torch.device("cuda"))
    rounds = 1 if options.smoke else options.rounds
    try:
        taken = measure_steps(sizes, device, rounds, began + 20 * options.minutes)
    except torch.OutOfMemoryError:
        sys.exit(
            f"{torch.cuda.get_device_name()} has too little memory for {sizes.batch} images: --batch takes fewer."
        )
    report_steps(taken, sizes, options)
    if not options.cifar:
        print("CIFAR-10 was not trained on: name its folder with --cifar.")
        return
    small = ("--model", "lenet5", "--image-size", "32", "--epochs", "1", "--device", "cpu")
    train_cifar(options.cifar, small if options.smoke else CIFAR, end - time.monotonic() - 30, options)


if __name__ == "__main__":
    main()
