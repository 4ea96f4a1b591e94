"""The main job, from end to end: images → cache → training → predictions → maps → report, in one run folder."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from mirada.compute import choose, deterministic
from mirada.data.batches import channel_statistics
from mirada.data.cache import Cache, open_cache
from mirada.data.index import Index
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.data.sources import load_data, require_images
from mirada.data.splits import complete_splits, save_splits, splits_digest
from mirada.errors import InvalidArgument, RecipeError, TrainingError, counted
from mirada.evaluation.evaluate import Evaluation, Measured, evaluate
from mirada.evaluation.predictions import Predictions, called_at
from mirada.events import (
    BestEpoch,
    Evaluated,
    FileExcluded,
    FirstLayerLoaded,
    HowToRead,
    LayersFrozen,
    LoadReport,
    OnEvent,
    Resumed,
    Started,
    Stopped,
    ThresholdChosen,
)
from mirada.files import write_text
from mirada.inference.model import Model, load_model
from mirada.inference.similar import training_features
from mirada.inference.trained_on import KEY as IMAGES
from mirada.inference.trained_on import contamination, digests_of, remember
from mirada.jobs.beside import common_folder, listeners
from mirada.jobs.cells import draw_cells
from mirada.jobs.describe import (
    command_line,
    data_name,
    data_record,
    environment_record,
    job_record,
    network_record,
    weights_origin,
)
from mirada.jobs.durations import in_whole_epochs
from mirada.jobs.ending import LastPage, reported, together
from mirada.jobs.failure import explained, silent
from mirada.jobs.gallery import draw_maps, save_samples
from mirada.jobs.memory import Room
from mirada.jobs.sameness import CONTENTS, SPLITS, changes, digests, require_same, save_contents
from mirada.layers.own import OwnNetwork
from mirada.modelfile import Card, save_model
from mirada.models import find
from mirada.models.catalogue import MODULE
from mirada.processes.ranks import by_itself, here, joined
from mirada.runs.folder import BEST, CHECKPOINTS, DIGESTS, JOB, MODEL, NOTHING, SIMILAR, RunFolder
from mirada.runs.reader import read_record
from mirada.runs.records import EnvironmentRecord
from mirada.runs.tensorboard import require_tensorboard
from mirada.samples import Classes, Numbers
from mirada.text import html_table, number, percent, with_unit
from mirada.training.begin import begin, go_on
from mirada.training.best import Held
from mirada.training.checkpoints import Checkpoint, put_back, read_latest, remove_checkpoints
from mirada.training.demands import (
    require_batches,
    require_colour,
    require_fitting,
    require_splits,
    require_targets,
    require_threshold,
    require_whole_batches,
)
from mirada.training.feed import Feed
from mirada.training.first_layer import FirstLayerOrigin, load_first_layer
from mirada.training.flips import require_mirrored_answers, settle_flips
from mirada.training.interrupt import interruptible
from mirada.training.kept import keep_for_evaluation
from mirada.training.known_weights import find_weights, size_note, with_average_head
from mirada.training.loop import LossNotFinite, Outcome, Training, fit
from mirada.training.phases import phases_of, rates_told
from mirada.training.reading import said_of
from mirada.training.recipe import Recipe, recipe_for
from mirada.training.scaling import covariate_scale, target_scale
from mirada.training.start import architecture_for, module_for, own_notes, starting_network, starting_scale

PERMUTED = "training labels are permuted: for the test by label randomisation; the answers are worth nothing."


@dataclass(frozen=True)
class Run:
    """A finished, or interrupted, training run and where its files are.

    Args:
        folder: The run folder.
        outcome: How training ended.
        evaluations: What the best model is worth, by split; none after an interruption.
        predictions: What it says of the images of these splits; None after an interruption.
    """

    folder: Path
    outcome: Outcome
    evaluations: Mapping[str, Evaluation]
    predictions: Predictions | None = None

    missing: ClassVar[tuple[str, ...]] = ()  # of several runs, those that are not finished

    @property
    def complete(self) -> bool:
        """Whether it was not interrupted, and its model is judged."""
        return self.outcome.reason != "interrupted"

    @property
    def model_path(self) -> Path:
        """The best model by validation."""
        return self.folder / MODEL

    @property
    def report_path(self) -> Path:
        """The report, one self-contained HTML file."""
        return self.folder / "report.html"

    def _repr_html_(self) -> str:
        """What a notebook shows: how training ended, and what the best model is worth on each split."""
        rows = [
            [split, metric.key, *(_shown(metric, value) for value in (metric.value, metric.low, metric.high))]
            for split, evaluation in self.evaluations.items()
            for metric in evaluation.metrics
        ]
        ended = f"{self.folder}: {self.outcome.reason}, best epoch {self.outcome.best_epoch} of {self.outcome.epochs}"
        return html_table(["split", "metric", "value", "from", "to"], rows, caption=ended)


def _shown(metric: Measured, value: float | None) -> str:
    """A metric's value, or an end of its interval, as its kind is shown."""
    return percent(value) if metric.metric.kind == "share" else with_unit(number(value), metric.unit)


def train(
    data: Index | str | Path,
    *,
    model: str | nn.Module | None = None,
    recipe: Recipe | None = None,
    output: str | Path | None = None,
    on_event: OnEvent | None = None,
    **settings: Any,
) -> Run:
    """Trains a network on images and leaves a run folder with model, predictions, maps and report.

    What is known is in the folder before training starts, so that a run that is killed can be read and reported.
    The test split is used once, at the end. Covariates of the data join the features before the head, and groups
    stay in one split.

    Args:
        data: An index, or what ``load_data`` takes.
        model: A name of ``list_models``, by default the recipe's, which is resnet18; ``layers`` with the setting
            ``layers="conv 6 k5; relu; …"`` for a stack of your own; or a ``torch.nn.Module`` of your own that makes
            outputs (N, K) of images (N, C, H, W), of which a copy is trained.
        recipe: All settings; by default the model's own.
        output: The run folder, which must be new; by default ``runs/<data>-<model>``, numbered if it exists.
        on_event: Called with a record of ``mirada.events`` for each thing that happens.
        **settings: Fields of ``Recipe`` on top of it (``epochs=25``, ``image_size=64``, …). With ``weights=`` the
            name of public weights, a file of them or a model file, training starts from those: layers of the heads that
            the file has in another size are drawn anew, pixels are normalized as the weights expect, from public
            weights the head is ``average`` unless ``head=`` names another, and ``events.LoadReport`` tells
            what became of every tensor.

    Returns:
        The run, where its files are, and how well the network does.

    Raises:
        DataError: If the data cannot be trained on, or ``output`` exists.
        RecipeError: For a setting that is unknown or does not fit.
        InvalidArgument: For an unknown network, or images too small for it.
        CheckpointError: If the weights cannot be used.
        TrainingError: If the loss is no longer a number, or the run folder disappears.
    """
    chosen = chosen_recipe(model, recipe, settings)
    index = data if isinstance(data, Index) else load_data(data)
    module = module_of(model)
    chosen, index = in_whole_epochs(chosen, index, module=module)
    return train_in(
        lambda: new_folder(index, chosen.model, output), index, chosen, on_event or silent, module
    )


def train_in(
    make: Callable[[], RunFolder],
    index: Index,
    recipe: Recipe,
    on_event: OnEvent,
    module: nn.Module | None = None,
) -> Run:
    """One run, in the folder that ``make`` makes or opens, which of several processes the first one calls alone."""
    with joined(recipe.device) as ranks, torch.random.fork_rng(), deterministic():
        job = TrainJob(recipe, index, on_event, module)
        return job.run(common_folder(ranks, make))


def module_of(model: str | nn.Module | None) -> nn.Module | None:
    """A module of one's own, if the model is one and no name. Raises ``InvalidArgument`` for what is neither."""
    if model is None or isinstance(model, str | nn.Module):
        return model if isinstance(model, nn.Module) else None
    got = f"the class {model.__name__}; build it" if isinstance(model, type) else repr(model)
    raise InvalidArgument(f"`model` must be a name or a torch.nn.Module. Got {got}.")


def chosen_recipe(
    model: str | nn.Module | None, recipe: Recipe | None, settings: Mapping[str, object]
) -> Recipe:
    """The recipe with the model and the settings that were named. Raises as ``train`` does."""
    named: dict[str, object] = {} if model is None else {"model": model}
    if module_of(model) is not None:
        named, model = {"model": MODULE, "options": {}}, MODULE
    chosen = (recipe or recipe_for(str(model or Recipe.model))).with_settings({**named, **settings})
    find(chosen.model)
    return chosen


def new_folder(index: Index, what: str, output: str | Path | None) -> RunFolder:
    """``output``, or a new folder in ``runs`` whose name tells the data and what is trained. Raises ``DataError``."""
    if output:
        return RunFolder.create(Path(output))
    return RunFolder.numbered(Path("runs"), f"{data_name(index)}-{what}")


class TrainJob:
    """One run of ``train``, step by step; ``card`` and ``feed`` serve what is tried before one, too."""

    def __init__(
        self, recipe: Recipe, index: Index, on_event: OnEvent, module: nn.Module | None = None
    ) -> None:
        self.asked, self.given, self.module = recipe, index, module
        augmentation, note = settle_flips(recipe.augment, index)
        self.start = find_weights(recipe)
        recipe, head_note = with_average_head(recipe, self.start)
        self.recipe = recipe = replace(recipe, augment=augmentation)
        self.on_event = on_event if here().first else silent
        self.compute = choose(recipe.device, recipe.precision)
        require_targets(index)
        require_images(index)
        require_fitting(recipe, index.target)
        require_mirrored_answers(recipe, index)
        own = module_for(module, recipe, index)
        self.architecture = architecture_for(recipe, index, own)
        require_colour(recipe, self.architecture.in_channels)
        self.index, self.split_note = complete_splits(index, **asdict(recipe.splits), seed=recipe.seed)
        permuted = PERMUTED if recipe.permute_labels else ""
        notes = [each for each in (note, head_note, size_note(recipe, self.start), permuted) if each]
        notes += own_notes(self.architecture, recipe.pixels.mode)
        self.index = replace(self.index, notes=(*self.index.notes, *notes))
        self.weights: LoadReport | None = None
        self.first_layer: FirstLayerOrigin | None = None
        self.seen = 0  # test images that the weights to start from were trained on
        room = Room(self.architecture, recipe, self.compute, len(self.index.rows("train")), own)
        room.require_for_weights()
        torch.manual_seed(recipe.seed)
        self.network, self.weights = starting_network(  # fails early on images too small
            recipe, self.architecture, index.target, index.covariate_specs, self.start, own
        )
        self.scale = starting_scale(recipe, self.weights, self.architecture.in_channels, self.start)
        if recipe.first_layer:
            self.first_layer = load_first_layer(self.network, recipe.first_layer)
        self.phases = phases_of(self.network, recipe)
        self.index = replace(self.index, notes=(*self.index.notes, *rates_told(self.network, recipe)))
        if recipe.tensorboard:
            require_tensorboard()
        self.summary = room.require_for_maps(self.network, self.phases)
        for phase in self.phases:
            require_whole_batches(phase.frozen, recipe)
            require_batches(self.network, phase.frozen, recipe)

    def run(self, folder: RunFolder) -> Run:
        """The whole run, into its folder: from the beginning, or from the last checkpoint that is there."""
        environment = environment_record(self.compute, command_line(self.index, folder.path))
        with folder.alone():
            with _undone_if_it_fails(folder):
                checkpoint, problems = (None, []) if folder.is_new else read_latest(folder)
                if checkpoint:
                    environment = read_record(folder.path / "environment.json", EnvironmentRecord)
                else:
                    self._begin(folder, environment)
                training = self._prepare(folder, environment, checkpoint)
            if not folder.is_new:
                _tell_how_it_goes_on(training, environment, [*problems, _place(checkpoint)])
            with reported(folder, environment) as page:
                outcome, evaluations, predictions = self._learn(training, page)
            if predictions:
                remove_checkpoints(folder.path / CHECKPOINTS)
        return Run(folder.path, outcome, evaluations, predictions)

    def _begin(self, folder: RunFolder, environment: EnvironmentRecord) -> None:
        """Writes what is known before any image is decoded: enough to list, report and resume a run that is killed."""
        folder.rewind(NOTHING)
        if not (folder.path / JOB).exists():
            folder.write(JOB, job_record(self.index.source, self.asked))
        write_text(folder.file("recipe.toml"), self.recipe.to_toml(), synced=False)
        folder.write("environment.json", environment)
        folder.write("data.json", data_record(self.index, self.split_note))
        folder.write("model.json", network_record(self.summary, self.architecture, None, self.recipe))
        folder.touch()

    def _prepare(
        self, folder: RunFolder, environment: EnvironmentRecord, checkpoint: Checkpoint | None
    ) -> Training:
        """Decodes the images, writes all else that is known before training, and builds what training needs."""
        with here().turns():  # the first process decodes, the others find it done
            cache = open_cache(self.index, self.recipe.pixels.decoding(), on_event=self.on_event)
        require_splits(cache.index)
        require_threshold(self.recipe, cache.index)
        require_same(folder, cache, self.recipe)
        cache = self._with_contamination(cache)
        card = self.card(cache)
        network = network_record(self.summary, self.architecture, card.preprocessing, self.recipe)
        if not checkpoint:
            folder.write("data.json", data_record(cache.index, self.split_note))
            folder.write("model.json", network)
            save_splits(cache.index, folder.file(SPLITS))
            save_contents(cache, folder.file(CONTENTS))
        feed = self.feed(cache, card)
        tell = listeners(folder, self.recipe, self.on_event)
        training = begin(self.network, self.phases, feed, self.recipe, folder, tell)
        if checkpoint:
            go_on(training, checkpoint)
            if here().first:
                put_back(folder, checkpoint.moment)
        else:
            folder.write("samples.json", save_samples(feed, folder.file("samples.jpg")))
        self._tell_start(training, network.parameters, self.on_event if checkpoint else training.on_event)
        here().same(list(training.state.tensors().values()))  # drawn by the seed or read, but maybe elsewhere
        return training

    def _learn(
        self, training: Training, page: LastPage
    ) -> tuple[Outcome, dict[str, Evaluation], Predictions | None]:
        """Trains, then evaluates the best model and writes the report, unless Ctrl-C was pressed."""
        try:
            outcome = fit(training)
        except LossNotFinite as error:
            told = explained(error, training, lambda folder: self._anew(training.feed, folder))
            training.on_event(Stopped("failed", training.state.epoch, str(told)))
            raise told from error
        except TrainingError as error:
            training.on_event(Stopped("failed", training.state.epoch, str(error)))
            raise
        except KeyboardInterrupt:  # a second press, which waits for nothing
            training.on_event(Stopped("interrupted", training.state.epoch))
            raise
        if outcome.reason == "interrupted":
            training.on_event(Stopped(outcome.reason, outcome.epochs))
            return outcome, {}, None
        if not here().first:
            return _looked_on(training, outcome), {}, None
        marks, best = training.folder.marks(), Held(training.folder.path / BEST, training.feed.card, {})
        training.on_event(Stopped(outcome.reason, outcome.epochs))
        if outcome.best_epoch:
            training.on_event(BestEpoch(outcome.best_epoch))
        try:
            training.saver.trained(training.state, best, marks)
            evaluations, predictions = _conclude(training, self.seen)
            page.write()
            training.saver.wait()
            training.folder.write(DIGESTS, digests(training))
            here().any(False)
            return outcome, evaluations, predictions
        except KeyboardInterrupt:
            page.is_written = False  # it will say that the end is still to come
            training.saver.save(training.state, best, marks)
            training.on_event(Stopped("interrupted", outcome.epochs, "during the final evaluation"))
            here().any(True)
            return replace(outcome, reason="interrupted"), {}, None

    def _anew(self, feed: Feed, folder: RunFolder) -> Training:
        """The very same training before its first step; nobody hears of it."""
        job = TrainJob(self.asked, self.given, silent, self.module)
        again = job.feed(feed.cache, feed.card)
        return begin(job.network, job.phases, again, job.recipe, folder, silent)

    def feed(self, cache: Cache, card: Card) -> Feed:
        """What is shown to the network in which order."""
        return Feed(
            cache=cache,
            card=card,
            compute=self.compute,
            augmentation=self.recipe.augment,
            batch_size=self.recipe.batch_size,
            balanced=self.recipe.sampling == "balanced",
            seed=self.recipe.seed,
            permuted=self.recipe.permute_labels,
        )

    def _tell_start(self, training: Training, parameters: int, tell: OnEvent) -> None:
        """What is trained on what, and what the network starts with."""
        index = training.feed.cache.index
        tell(
            Started(
                folder=str(training.folder.path),
                compute=str(self.compute),
                decoded=training.feed.cache.decoded,
                parameters=parameters,
                counts=index.counts(),
                classes=isinstance(index.target, Classes),
                split_note=self.split_note,
                notes=index.notes,
                augmentation=str(self.recipe.augment),
            )
        )
        if self.weights:
            tell(self.weights)
        if self.first_layer:
            tell(FirstLayerLoaded(**asdict(self.first_layer), text=str(self.first_layer)))
        if self.phases[0].frozen.names:
            tell(self._frozen())
        if told := "\n".join(said_of(self.recipe)):
            tell(HowToRead(told))
        for item in index.excluded:
            tell(FileExcluded(item.path, item.reason))

    def _frozen(self) -> LayersFrozen:
        """What does not learn, what of it will, and that it is random, if it is."""
        frozen, *later = self.phases[0].frozen, *self.phases[1:]
        lines = [*map(str, (frozen, *later))]
        if not self.recipe.weights and not self.recipe.first_layer:
            lines.append("  Training starts from no `weights`, so frozen parts keep random ones.")
        return LayersFrozen(
            names=frozen.names, parameters=frozen.parameters, place=frozen.place, text="\n".join(lines)
        )

    def _with_contamination(self, cache: Cache) -> Cache:
        """The cache, whose notes say if the weights to start from have seen the test images.

        Raises ``RecipeError`` if that is to be refused.
        """
        before = self.start.card if self.start else None
        tested = digests_of(cache, "test")
        self.seen, said = contamination(before, tested, self.recipe.weights) if before else (0, "")
        if said and self.recipe.contamination == "refuse":
            raise refused(said)
        notes = (*cache.index.notes, *([f"weights: {said}"] if said else []))
        return replace(cache, index=replace(cache.index, notes=notes))

    def _preprocessing(self, cache: Cache) -> Preprocessing:
        """With the mean and standard deviation that the recipe asks for, or that its weights expect."""
        plain = self.recipe.pixels.decoding()
        mean, std = self.scale or channel_statistics(cache, cache.index.rows("train"))
        return replace(plain, mean=mean, std=std)

    def card(self, cache: Cache) -> Card:
        """What the model file says, once the images are known."""
        index = cache.index
        return Card(
            architecture=self.architecture,
            target=index.target,
            target_scaling=target_scale(index) if isinstance(index.target, Numbers) else None,
            covariates=index.covariate_specs,
            covariate_scaling=covariate_scale(index),
            preprocessing=self._preprocessing(cache),
            flip_average=self.recipe.flip_average,
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
                "weights": weights_origin(self.weights),
                "first_layer": asdict(self.first_layer) if self.first_layer else {},
                IMAGES: remember(cache),
            },
        )


def refused(said: str) -> RecipeError:
    """What is raised where ``contamination`` is said and is to be refused."""
    return RecipeError(
        f"`weights`: {said}. Keep the splits of its run (--split splits.csv), or set contamination=mark, which trains "
        f"all the same and says so beside every figure of the test."
    )


def _tell_how_it_goes_on(training: Training, environment: EnvironmentRecord, said: Sequence[str]) -> None:
    """From where, and what stands in the way of the very same bits."""
    text = " ".join((*said, *changes(environment, training.feed.compute)))
    training.on_event(Resumed(training.state.step, training.state.epoch, text))


def _place(checkpoint: Checkpoint | None) -> str:
    """Where a run goes on."""
    if not checkpoint:
        return "The run begins again: there is no checkpoint."
    moment = checkpoint.moment
    return (
        f"The run goes on after step {moment.step:,}, with {counted(moment.epoch, 'whole epoch')} behind it."
    )


@contextmanager
def _undone_if_it_fails(folder: RunFolder) -> Iterator[None]:
    """Takes the new folder of a run that cannot be prepared away again."""
    try:
        yield
    except BaseException:
        folder.discard()
        raise


def _conclude(training: Training, seen: int) -> tuple[dict[str, Evaluation], Predictions]:
    """Evaluates the best model on validation and, for the first and only time, test images; draws maps."""
    model, predictions = _judged(training, training.on_event)
    with by_itself():  # the other processes have done their part
        return _written(training, seen, model, predictions)


def _judged(training: Training, on_event: OnEvent) -> tuple[Model, Predictions]:
    """The best model, calibrated, and what it says; of several processes each looks at its share of the images."""
    with together():
        here().any(False)  # the first one has written the model
        feed, own = training.feed, training.state.network
        model = load_model(
            training.folder.path / MODEL,
            device=str(feed.compute.device),
            network=own.module if isinstance(own, OwnNetwork) else None,
        )
        with here().turns():
            features = keep_for_evaluation(feed, model.compute, on_event)
        return model.calibrated_on(feed.cache, judged_splits(feed.cache), features)


def _looked_on(training: Training, outcome: Outcome) -> Outcome:
    """How a run ended in a process that does not write: it judges its share, and hears what became of the first."""
    with suppress(KeyboardInterrupt):  # which the first one raises as well
        _judged(training, silent)
    with interruptible():
        stopped = here().any(False)
    return replace(outcome, reason="interrupted") if stopped else outcome


def judged_splits(cache: Cache) -> list[str]:
    """The splits that a model is judged on."""
    return [split for split in ("val", "test") if len(cache.index.rows(split))]


def _written(
    training: Training, seen: int, model: Model, predictions: Predictions
) -> tuple[dict[str, Evaluation], Predictions]:
    """Leaves the model, what it says and how well it does in the run folder, and draws maps."""
    folder, feed, on_event, recipe = training.folder, training.feed, training.on_event, training.recipe
    cache = feed.cache
    splits = judged_splits(cache)
    if recipe.threshold:
        model = model.with_threshold(predictions.of_split("val"), recipe.threshold, recipe.positive)
    save_model(folder.path / MODEL, model.network, model.card)
    if threshold := model.card.threshold:
        on_event(ThresholdChosen(threshold.positive, threshold.value, str(threshold)))
        predictions = called_at(predictions, threshold)
    similar = training_features(model, folder.path / MODEL, cache, feed.compute, feed.features)
    similar.save(folder.path / SIMILAR)
    predictions.to_csv(folder.path / "predictions.csv")
    evaluations = {
        split: evaluate(
            predictions.of_split(split),
            temperature=model.card.temperature,
            conformal=model.card.conformal if split == "test" else None,
            threshold=threshold,
        )
        for split in splits
    }
    if seen and "test" in evaluations:
        evaluations["test"] = replace(evaluations["test"], trained_on=seen)
    folder.write("evaluation.json", {split: result.to_dict() for split, result in evaluations.items()})
    for split, result in evaluations.items():
        metrics = {metric.key: metric.value for metric in result.metrics}
        on_event(Evaluated(split, result.n, metrics, result.trained_on, int(bool(result.constant))))
    judged = predictions.of_split(splits[-1])
    gone: set[str] = set()
    folder.write("maps.json", draw_maps(model, cache, judged, folder.path, similar, gone))
    folder.write("cells.json", draw_cells(cache.index, judged, folder.path, gone))
    if gone:
        lost = counted(len(gone), "image")
        on_event(HowToRead(f"{lost} to be shown cannot be read any more, the first: {min(gone)}."))
    return evaluations, predictions
