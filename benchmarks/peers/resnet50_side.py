"""One side of the ResNet-50 benchmark, as a process: at every line that it reads it trains one step and tells its cost.

Standard output has one JSON object per step. Every side draws the same weights and the same images in the same order.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
import torchvision_on_cpu  # noqa: F401
from torch import Tensor, nn
from torchvision.models import resnet50

from mirada.compute import Compute, choose, flush_denormals, keep_freed_memory
from mirada.models import create_model
from mirada.models.resnet import PUBLIC_KEYS
from mirada.models.weights import convert
from mirada.training.optimizer import Optimizer
from mirada.training.recipe import recipe_for

CLASSES = 1000
SIZE = 224  # pixels
Step = Callable[[Tensor, Tensor], float]


def networks() -> dict[str, nn.Module]:
    """torchvision's network and Mirada's with the same weights."""
    theirs = resnet50(num_classes=CLASSES)
    ours = create_model("resnet50", num_classes=CLASSES)
    ours.load_state_dict(convert(theirs.state_dict(), ours, PUBLIC_KEYS))
    return {"mirada": ours, "torchvision": theirs}


def their_step(network: nn.Module) -> Step:
    """torchvision's reference script (``references/classification/train.py``) without options, nor its logging.

    That is float32 in PyTorch's usual memory order, and ``torch.optim.SGD`` as it comes.
    """
    network.train()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)

    def step(images: Tensor, targets: Tensor) -> float:
        outputs = network(images)
        loss = criterion(outputs, targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def our_step(network: nn.Module, compute: Compute) -> Step:
    """What ``mirada train`` does with a batch, from where its images are normalized (``mirada.training.step``)."""
    flush_denormals()
    keep_freed_memory()
    recipe = recipe_for("resnet50").with_settings({"optimizer": "sgd", "lr": 0.02})  # theirs is SGD, too
    compute.place(network.train())
    optimizer = Optimizer(network, recipe.optimizer)

    def step(images: Tensor, targets: Tensor) -> float:
        images = images.contiguous(memory_format=torch.channels_last)
        optimizer.zero_grad()
        with compute.autocast():
            outputs = network(images)
        loss = F.cross_entropy(outputs.float(), targets)
        loss.backward()
        optimizer.step(recipe.optimizer.lr)
        return loss.item()

    return step


def main() -> None:
    """Reads the arguments, then takes a step for every line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--network", choices=("mirada", "torchvision"), required=True)
    parser.add_argument("--loop", choices=("mirada", "torchvision"), required=True)
    parser.add_argument("--precision", default="auto", help="of Mirada's loop")
    parser.add_argument("--batch", type=int, default=16)
    options = parser.parse_args()
    torch.manual_seed(0)
    network = networks()[options.network]
    compute = choose("cpu", options.precision if options.loop == "mirada" else "float32")
    step = our_step(network, compute) if options.loop == "mirada" else their_step(network)
    random = torch.Generator().manual_seed(0)
    for _ in sys.stdin:
        images = torch.randn((options.batch, 3, SIZE, SIZE), generator=random)
        targets = torch.randint(CLASSES, (options.batch,), generator=random)
        wall, cpu = time.perf_counter(), time.process_time()
        loss = step(images, targets)
        cost = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        told = {**cost, "peak_rss_mib": peak, "loss": loss, "precision": compute.precision}
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
