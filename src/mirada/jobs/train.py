"""The main job, from end to end: images → cache → training → predictions → maps → report, in one run folder."""

import os
import platform
import shlex
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mirada.compute import Compute, choose, deterministic, processor_name
from mirada.data.augment import Augmentation
from mirada.data.batches import channel_statistics
from mirada.data.cache import Cache, open_cache
from mirada.data.index import Index
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.data.sources import load_data, require_images
from mirada.data.splits import complete_splits, save_splits, splits_digest
from mirada.errors import InvalidArgument, RecipeError, TrainingError, nearest
from mirada.evaluation.calibration import scaled
from mirada.evaluation.evaluate import Evaluation, evaluate
from mirada.events import (
    BestEpoch,
    Evaluated,
    Event,
    FileExcluded,
    FirstLayerLoaded,
    LayersFrozen,
    OnEvent,
    Started,
    Stopped,
    WeightsLoaded,
)
from mirada.files import write_text
from mirada.inference.model import load_model
from mirada.jobs.gallery import draw_maps, save_samples
from mirada.modelfile import Architecture, Card, save_model
from mirada.models import find
from mirada.models.weights import Report
from mirada.pages import write_report
from mirada.runs.folder import MODEL, RunFolder, free_name
from mirada.samples import Numbers, Source
from mirada.summary import summarize
from mirada.training.demands import require_splits, require_targets
from mirada.training.first_layer import FirstLayer, load_first_layer
from mirada.training.freezing import freeze
from mirada.training.loop import Outcome, Training, fit
from mirada.training.loss import outputs_for
from mirada.training.recipe import Recipe, recipe_for
from mirada.training.scaling import covariate_scale, target_scale
from mirada.training.start import starting_network, starting_scale


@dataclass(frozen=True)
class Run:
    """A finished, or interrupted, training run and where its files are."""

    folder: Path
    outcome: Outcome
    evaluations: Mapping[str, Evaluation]

    @property
    def model_path(self) -> Path:
        """The best model by validation."""
        return self.folder / MODEL

    @property
    def report_path(self) -> Path:
        """The report, one self-contained HTML file."""
        return self.folder / "report.html"


def train(
    data: Index | str | Path,
    *,
    model: str | None = None,
    recipe: Recipe | None = None,
    output: str | Path | None = None,
    on_event: OnEvent | None = None,
    **settings: Any,
) -> Run:
    """Trains a network on images and leaves a run folder with model, predictions, maps and report.

    ``model`` is a name of ``list_models``, by default the recipe's, which is resnet18. ``settings`` are fields of
    ``Recipe`` (``epochs=25``, ``image_size=64``, …) on top of ``recipe``, which is the model's own by default.
    With ``weights=`` a file of public weights, or a model file, training starts from those instead of random ones:
    the layers of the heads that the file has in another size are drawn anew, pixels are normalized as the weights
    expect, and the event ``WeightsLoaded`` tells what became of every tensor. The index's covariates join the features
    before the head, and its groups stay in one split.
    ``output`` is the run folder: ``runs/<data>-<model>`` by default, numbered if it exists. ``on_event`` hears
    what happens as it happens, a record of ``mirada.events`` each time. The test split is used once, at the end.

    Raises ``DataError``, ``RecipeError``, ``InvalidArgument``, ``CheckpointError`` for what cannot be used,
    ``TrainingError`` when the loss is no longer a number.
    """
    chosen = chosen_recipe(model, recipe, settings)
    index = data if isinstance(data, Index) else load_data(data)
    with torch.random.fork_rng(), deterministic():
        return _Job(chosen, index, on_event or (lambda event: None)).run(output)


def chosen_recipe(model: str | None, recipe: Recipe | None, settings: dict[str, Any]) -> Recipe:
    """The recipe with the model and the settings that were named. Raises as ``train`` does."""
    named = {} if model is None else {"model": model}
    chosen = (recipe or recipe_for(model or Recipe.model)).with_settings(named | settings)
    find(chosen.model)
    return chosen


def run_path(index: Index, recipe: Recipe, output: str | Path | None, *, ending: str = "") -> Path:
    """``output``, or a free name in ``runs`` that tells data and network."""
    if output:
        return Path(output)
    origin = index.origin.resolve()
    name = origin.stem if origin.is_file() else origin.name
    return free_name(Path("runs"), f"{name}-{recipe.model}{ending}")


def augmentation_of(recipe: Recipe) -> Augmentation:
    """The recipe's augmentation. Raises ``RecipeError`` for an unknown key or a value out of range."""
    known = Augmentation.__dataclass_fields__
    for key in recipe.augment:
        if key not in known:
            raise RecipeError(f'augment: there is no setting "{key}". {nearest(key, known)}')
    try:
        return Augmentation(**recipe.augment)
    except (InvalidArgument, TypeError) as error:
        raise RecipeError(f"augment: {error}") from error


class _Job:
    """One run of ``train``, step by step."""

    def __init__(self, recipe: Recipe, index: Index, on_event: OnEvent) -> None:
        self.recipe = recipe
        self.on_event = on_event
        self.compute = choose(recipe.device, recipe.precision)
        self.augmentation = augmentation_of(recipe)
        require_targets(index)
        require_images(index)
        self.outputs = outputs_for(recipe, index.target)
        self.index, self.split_note = complete_splits(
            index, val_fraction=recipe.val_fraction, test_fraction=recipe.test_fraction, seed=recipe.seed
        )
        torch.manual_seed(recipe.seed)
        self.weights: Report | None = None
        self.first_layer: FirstLayer | None = None
        card = self._card(self.index, _unit_scale(recipe))
        self.network, self.weights = starting_network(recipe, card)  # fails early on images too small
        if recipe.first_layer:
            self.first_layer = load_first_layer(self.network, recipe.first_layer)
        self.frozen = freeze(self.network, recipe.freeze)

    def run(self, output: str | Path | None) -> Run:
        cache = open_cache(self.index, _unit_scale(self.recipe), on_event=self.on_event)
        require_splits(cache.index)
        card = self._card(cache.index, self._preprocessing(cache))
        folder = RunFolder(run_path(self.index, self.recipe, output))
        started = datetime.now(UTC)
        with _all_or_nothing(folder.path):
            training = self._prepare(folder, cache, card)
        try:
            outcome, evaluations = _learn(training)
        finally:  # a run that fails, too, leaves a report of how far it came
            folder.json("environment.json", _environment(folder, self.compute, self.index, started))
            write_report(folder.path)
        return Run(folder.path, outcome, evaluations)

    def _prepare(self, folder: RunFolder, cache: Cache, card: Card) -> Training:
        """Writes all that is known before training, and builds what training needs."""
        self._describe(folder, cache, card)
        training = Training(
            network=self.network,
            card=card,
            cache=cache,
            recipe=self.recipe,
            augmentation=self.augmentation,
            compute=self.compute,
            folder=folder,
            on_event=_both(folder, self.on_event),
            frozen=self.frozen,
        )
        save_samples(training, folder.path / "samples.jpg")
        return training

    def _preprocessing(self, cache: Cache) -> Preprocessing:
        """With the mean and standard deviation that the recipe asks for, or that its weights expect."""
        plain = _unit_scale(self.recipe)
        scale = starting_scale(self.recipe, self.weights, plain.channels)
        mean, std = scale or channel_statistics(cache, cache.index.rows("train"))
        return replace(plain, mean=mean, std=std)

    def _card(self, index: Index, preprocessing: Preprocessing) -> Card:
        architecture = Architecture(
            model=self.recipe.model,
            options=self.recipe.options,
            outputs=self.outputs,
            in_channels=preprocessing.channels,
            image_size=preprocessing.size,
            covariates=len(index.covariate_specs),
        )
        return Card(
            architecture=architecture,
            target=index.target,
            target_scaling=target_scale(index) if isinstance(index.target, Numbers) else None,
            covariates=index.covariate_specs,
            covariate_scaling=covariate_scale(index),
            preprocessing=preprocessing,
            recipe=self.recipe.to_dict(),
            provenance={
                "mirada": version("mirada"),
                "torch": torch.__version__,
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "data": str(index.origin.resolve()),
                "columns": dict(index.columns),
                "counts": index.counts(),
                "excluded": len(index.excluded),
                "splits": splits_digest(self.index),  # before decoding: what can be drawn again
                "weights": _identity(self.weights),
                "first_layer": asdict(self.first_layer) if self.first_layer else {},
            },
        )

    def _describe(self, folder: RunFolder, cache: Cache, card: Card) -> None:
        """Writes what is known before training: recipe, data, splits, network."""
        index = cache.index
        excluded = [{"path": item.path, "reason": item.reason} for item in index.excluded]
        write_text(folder.path / "recipe.toml", self.recipe.to_toml())
        save_splits(index, folder.path / "splits.csv")
        data = {
            "root": str(index.root),
            "task": index.task,
            "classes": list(index.classes),
            "unit": index.unit,
            "target_names": list(index.target_names),
            "covariate_names": list(index.covariate_names),
            "groups": len(set(index.groups)),
            "counts": index.counts(),
            "excluded": excluded,
            "split_note": self.split_note,
            "notes": list(index.notes),
        }
        folder.json("data.json", data)
        architecture = card.architecture
        summary = summarize(self.network, (architecture.in_channels, *architecture.image_size))
        folder.json(
            "model.json",
            {
                "name": architecture.model,
                "parameters": summary.parameters,
                "macs": summary.macs,
                "image": [architecture.in_channels, *architecture.image_size],
                "preprocessing": _sentence(card.preprocessing),
                "summary": str(summary),
            },
        )
        tell = _both(folder, self.on_event)
        tell(
            Started(
                folder=str(folder.path),
                compute=str(self.compute),
                decoded=cache.decoded,
                parameters=summary.parameters,
                counts=index.counts(),
                split_note=self.split_note,
                notes=index.notes,
            )
        )
        if self.weights:
            tell(WeightsLoaded(**asdict(self.weights), text=str(self.weights)))
        if self.first_layer:
            tell(FirstLayerLoaded(**asdict(self.first_layer), text=str(self.first_layer)))
        if self.frozen.names:
            tell(LayersFrozen(**asdict(self.frozen), text=str(self.frozen)))
        for item in index.excluded:
            tell(FileExcluded(item.path, item.reason))


@contextmanager
def _all_or_nothing(folder: Path) -> Iterator[None]:
    """Takes a run folder away again if it cannot be prepared."""
    try:
        yield
    except BaseException:
        shutil.rmtree(folder)
        raise


def _learn(training: Training) -> tuple[Outcome, dict[str, Evaluation]]:
    """Trains, then evaluates the best model, unless Ctrl-C was pressed."""
    try:
        outcome = fit(training)
    except TrainingError as error:
        training.on_event(Stopped("failed", text=str(error)))
        raise
    training.on_event(Stopped(outcome.reason, outcome.epochs))
    if outcome.best_epoch:
        training.on_event(BestEpoch(outcome.best_epoch))
    if outcome.reason == "interrupted":
        return outcome, {}
    try:
        return outcome, _conclude(training.folder, training.cache, training.compute, training.on_event)
    except KeyboardInterrupt:
        training.on_event(Stopped("interrupted", outcome.epochs, "during the final evaluation"))
        return replace(outcome, reason="interrupted"), {}


def _conclude(folder: RunFolder, cache: Cache, compute: Compute, on_event: OnEvent) -> dict[str, Evaluation]:
    """Evaluates the best model on validation and, for the first and only time, test images; draws maps."""
    model = load_model(folder.path / MODEL, device=str(compute.device))
    splits = [split for split in ("val", "test") if len(cache.index.rows(split))]
    plain = model.predict_cached(cache, splits)
    model = model.calibrated(plain.of_split("val"))
    save_model(folder.path / MODEL, model.network, model.card)
    predictions = (
        replace(plain, outputs=scaled(plain.outputs, model.card.temperature)) if plain.classes else plain
    )
    predictions.to_csv(folder.path / "predictions.csv")
    evaluations = {
        split: evaluate(
            predictions.of_split(split),
            temperature=model.card.temperature,
            conformal=model.card.conformal if split == "test" else None,
        )
        for split in splits
    }
    folder.json("evaluation.json", {split: result.to_dict() for split, result in evaluations.items()})
    for split, result in evaluations.items():
        values = {metric.key: metric.value for metric in result.metrics}
        on_event(Evaluated(split, result.n, values))
    folder.json("maps.json", draw_maps(model, cache.index, predictions.of_split(splits[-1]), folder.path))
    return evaluations


def _identity(weights: Report | None) -> dict[str, str]:
    """What a model file says about the weights that its training began with."""
    return {"file": weights.file, "sha256": weights.sha256, "names": weights.convention} if weights else {}


def _unit_scale(recipe: Recipe) -> Preprocessing:
    """The recipe's decoding, with pixel values 0 … 1 and no further scaling."""
    channels = 3 if recipe.mode == "RGB" else 1
    return Preprocessing(
        mode=recipe.mode,
        size=recipe.image_size,
        policy=recipe.policy,
        depth=recipe.depth,
        window=recipe.window,
        clahe=recipe.clahe,
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
    )


def _sentence(pre: Preprocessing) -> str:
    colour = "RGB" if pre.mode == "RGB" else "grey"
    how = {"stretch": "stretched", "pad": "padded with black", "crop": "cropped at the centre"}[pre.policy]
    mean, std = (", ".join(f"{value:.3g}" for value in values) for values in (pre.mean, pre.std))
    window = "" if pre.window == "auto" else f", window {pre.window}"
    equalized = f", equalized by CLAHE with the limit {pre.clahe:g}" if pre.clahe else ""
    return (
        f"Turned upright by EXIF, decoded as {pre.depth}-bit {colour}{window}, {how} to {pre.size[0]} × {pre.size[1]} "
        f"pixels{equalized}, then (value / {2**pre.depth - 1:,} − mean) / std with mean {mean} and std {std}."
    )


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
    }  # fmt: skip
    return tuple(word for option, value in said.items() if value for word in (option, value))


def _environment(
    folder: RunFolder, compute: Compute, index: Index, started: datetime
) -> dict[str, str | int | float]:
    return {
        "mirada": version("mirada"),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": f"{processor_name()}, {os.cpu_count()} cores",
        "threads": torch.get_num_threads(),
        "device": str(compute.device),
        "precision": compute.precision,
        "command": command_line(index, folder.path),
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(folder.seconds, 2),
    }


def _both(folder: RunFolder, on_event: OnEvent) -> OnEvent:
    """Tells the run folder first, then the watcher."""

    def tell(event: Event) -> None:
        folder.event(event)
        on_event(event)

    return tell
