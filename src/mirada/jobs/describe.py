"""What is known of a run before it trains, as the records of its folder."""

import os
import platform
import shlex
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from mirada.compute import Compute, processor_name
from mirada.data.index import Index
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.events import FileExcluded, LoadReport
from mirada.modelfile import Architecture, WeightsOrigin
from mirada.processes.ranks import here
from mirada.runs.records import DataRecord, EnvironmentRecord, JobRecord, NetworkRecord
from mirada.samples import Source
from mirada.summary import Summary
from mirada.training.recipe import Recipe

FITTED = {
    "stretch": "stretched",
    "pad": "padded with black",
    "frame": "framed with black",
    "crop": "cropped at the centre",
}


def data_name(index: Index) -> str:
    """What the data are called: their folder, wherever one stands, or their file without its ending."""
    origin = index.origin.resolve()
    return (origin.stem if origin.is_file() else origin.name) or "data"


def command_line(index: Index, folder: Path, *more: str) -> str:
    """The command that repeats a run with the recipe in its folder."""
    recipe = ("--recipe", str(folder / "recipe.toml"))
    return shlex.join(("mirada", "train", str(index.origin), *_options(index.source), *recipe, *more))


def _options(source: Source | None) -> tuple[str, ...]:
    """What was said of the data, as options of the command line."""
    if source is None:
        return ()
    said = {
        "--target": ",".join(source.targets), "--image": source.image, "--group": source.group,
        "--covariates": ",".join(source.covariates), "--task": source.task, "--split": source.split,
        "--encoding": source.encoding, "--by": ",".join(source.by),
    }  # fmt: skip
    return tuple(word for option, value in said.items() if value for word in (option, value))


def environment_record(compute: Compute, command: str) -> EnvironmentRecord:
    """Where, when and by which command a run is made; threads and processor decide its last bits."""
    return EnvironmentRecord(
        command=command,
        mirada=version("mirada"),
        torch=torch.__version__,
        numpy=np.__version__,
        python=platform.python_version(),
        platform=platform.platform(),
        processor=f"{processor_name()}, {os.cpu_count()} cores",
        threads=torch.get_num_threads(),
        processes=here().size,
        device=str(compute.device),
        precision=compute.precision,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def data_record(index: Index, split_note: str) -> DataRecord:
    """What is trained on, and what was left out."""
    return DataRecord(
        name=data_name(index),
        root=str(index.root),
        task=index.task,
        classes=index.classes,
        unit=index.unit,
        target_names=index.target_names,
        covariate_names=index.covariate_names,
        groups=len(set(index.groups)),
        counts=index.counts(),
        excluded=tuple(FileExcluded(item.path, item.reason) for item in index.excluded),
        split_note=split_note,
        notes=index.notes,
    )


def job_record(
    source: Source | None, recipe: Recipe, *, folds: int = 0, seeds: int = 0, depths: tuple[int, ...] = ()
) -> JobRecord:
    """What it takes to begin a run, or several, again; a table that lies in memory alone is not there then."""
    whole = source and replace(source, path=source.path.absolute())
    return JobRecord(
        recipe=recipe.to_toml(), source=whole, place=str(Path.cwd()), folds=folds, seeds=seeds, depths=depths
    )


def network_record(
    summary: Summary, architecture: Architecture, preprocessing: Preprocessing | None, recipe: Recipe
) -> NetworkRecord:
    """What is trained: its layers, its size and memory in this training, and what it takes in.

    Args:
        summary: Of the network.
        architecture: Of the network.
        preprocessing: What is done to its images; None as long as these have not been looked at.
        recipe: That it is trained by.
    """
    summary = replace(summary, network=architecture.title)
    return NetworkRecord(
        name=architecture.title,
        parameters=summary.parameters,
        macs=summary.macs,
        image=(architecture.in_channels, *architecture.image_size),
        preprocessing=preprocessing_sentence(preprocessing) if preprocessing else "",
        summary=summary.to_text(
            batch_size=recipe.micro_batch or recipe.batch_size, optimizer=recipe.optimizer.kind
        ),
    )


def preprocessing_sentence(pre: Preprocessing) -> str:
    """What is done to every image before the network sees it."""
    colour = "RGB" if pre.mode == "RGB" else "grey"
    mean, std = (", ".join(f"{value:.3g}" for value in values) for values in (pre.mean, pre.std))
    window = "" if pre.window == "auto" else f", window {pre.window}"
    resized = f", the shorter side brought to {pre.resize} first" if pre.resize else ""
    equalized = f", equalized by CLAHE with the limit {pre.clahe:g}" if pre.clahe else ""
    return (
        f"Turned upright by EXIF, decoded as {pre.depth}-bit {colour}{window}, {FITTED[pre.policy]} to {pre.size[0]} × "
        f"{pre.size[1]} pixels{resized}{equalized}, then (value / {2**pre.depth - 1:,} − mean) / std with mean {mean} "
        f"and std {std}."
    )


def weights_origin(weights: LoadReport | None) -> dict[str, str]:
    """What a model file says about the weights that its training began with."""
    if not weights:
        return {}
    return asdict(
        WeightsOrigin(
            file=weights.file,
            sha256=weights.sha256,
            names=weights.convention,
            name=weights.name,
            data=weights.data,
            licence=weights.licence,
            expects=weights.expects,
        )
    )
