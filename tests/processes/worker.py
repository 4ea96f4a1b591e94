"""One of some processes that train small networks together for two epochs, and write down all that came of it."""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from mirada.compute import deterministic
from mirada.data.cache import open_cache
from mirada.data.sources import load_data
from mirada.evaluation.features import infer_cached
from mirada.jobs.train import TrainJob
from mirada.processes.ranks import here, joined
from mirada.runs.folder import RunFolder
from mirada.training.begin import begin
from mirada.training.recipe import recipe_for
from mirada.training.step import train_step

COMMON = {"image_size": 32, "batch_size": 16, "device": "cpu", "epochs": 2, "precision": "float32"}
SGD = {"optimizer": "sgd", "lr": 0.05}
CASES: dict[str, tuple[str, dict[str, object]]] = {
    "lenet5": ("lenet5", SGD),
    "adam": ("lenet5", {"lr": 1e-3}),
    "augmented": (
        "lenet5",
        {**SGD, "augment": {"horizontal_flip": "alternate", "rotation": 20, "shift": 0.1}},
    ),
    "mixup": ("lenet5", {**SGD, "augment": {"mixup": 0.4}}),
    "cutmix": ("lenet5", {**SGD, "augment": {"cutmix": 1.0}}),
    "balanced": ("lenet5", {**SGD, "sampling": "balanced", "class_weights": "balanced"}),
    "average": ("lenet5", {**SGD, "average": "ema"}),
    "slices": ("lenet5", {**SGD, "micro_batch": 5}),
    "uneven": ("lenet5", {**SGD, "batch_size": 37}),  # 40 images: the last batch has 3, one process none
    "resnet20": ("resnet20", SGD),
    "joint": (
        "resnet20",
        {"optimizer": "sgd", "lr": 1e-3, "batch_statistics": "joint"},
    ),  # at 0.05 it is chaotic
}


def train(data: Path, name: str, out: Path) -> None:
    model, settings = CASES[name]
    ranks = here()
    recipe = recipe_for(model).with_settings({**COMMON, **settings})
    with torch.random.fork_rng(), deterministic():
        job = TrainJob(recipe, load_data(data), lambda event: None)
        with ranks.turns():
            cache = open_cache(job.index, job.recipe.pixels.decoding())
        feed = job.feed(cache, job.card(cache))
        folder = RunFolder.create(out / f"{name}-run-{ranks.size}-{ranks.rank}")
        training = begin(job.network, job.phases, feed, job.recipe, folder, lambda event: None)
        state, losses, seen = training.state, [], []
        for epoch in (1, 2):
            state.learn()
            for step, batch in enumerate(feed.epoch(epoch)):
                seen.append(torch.tensor([0 if batch.idle else len(batch.images), batch.whole, step]))
                losses.append(
                    train_step(
                        state, batch, training.rate(state.step), loss=training.loss, compute=feed.compute,
                        micro_batch=recipe.micro_batch,
                    )
                )  # fmt: skip
        rows = feed.val_rows
        card = feed.card
        raw = infer_cached(state.judged, cache, rows, card.preprocessing, feed.compute, feed.covariates)
    told = {f"weights.{key}": value.contiguous() for key, value in state.judged.state_dict().items()}
    told |= {"losses": torch.stack(losses), "seen": torch.stack(seen), "raw": raw}
    save_file(told, out / f"{name}-{ranks.size}-{ranks.rank}.safetensors")


def exchanges(out: Path) -> None:
    """What the words between processes come to."""
    ranks = here()
    each = torch.full((3, 2), float(ranks.rank + 1))
    count = torch.tensor([ranks.rank])
    ranks.sum([each, count])
    same = torch.arange(4.0) + ranks.rank
    ranks.same([same])
    counts = [2, 0, *[1] * ranks.size][: ranks.size]
    rows = torch.full((counts[ranks.rank], 3), float(ranks.rank)) if counts[ranks.rank] else torch.empty(0, 0)
    told = {
        "sum": each, "count": count, "same": same, "gathered": ranks.gather(rows, counts),
        "any": torch.tensor([ranks.any(ranks.rank == 1), ranks.any(False)]),
        "told": torch.tensor(list(ranks.told(f"año {ranks.rank}").encode())),
        "empty": torch.tensor([len(ranks.told(""))]),
        "compiler": torch.tensor([float(name in sys.modules) for name in ("torch._dynamo", "sympy")]),
    }  # fmt: skip
    save_file(told, out / f"exchange-{ranks.size}-{ranks.rank}.safetensors")


if __name__ == "__main__":
    images, target, *names = sys.argv[1:]
    torch.set_num_threads(1)
    with joined("cpu"):
        for case in names:
            exchanges(Path(target)) if case == "exchange" else train(Path(images), case, Path(target))
