"""Top-model surgery: a trained network cut behind a stage, given a head of exact class maps, and trained on.

Zhou, Khosla, Lapedriza, Oliva & Torralba 2016, arXiv:1512.04150, §3 and Table 1.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from mirada.data.index import Index
from mirada.data.splits import complete_splits
from mirada.errors import InvalidArgument, RecipeError, counted, nearest
from mirada.evaluation.paired import Difference, differences, same_images
from mirada.evaluation.predictions import Predictions
from mirada.events import OnEvent
from mirada.explain.explainable import Explainable
from mirada.explain.explanation import Explanation, explain
from mirada.inference.matching import as_known_to, load_for
from mirada.inference.model import Model, load_model
from mirada.inference.trained_on import with_training_splits
from mirada.jobs.again import finished_run, go_on_with, is_complete
from mirada.jobs.durations import in_whole_epochs
from mirada.jobs.failure import silent
from mirada.jobs.train import Run, new_folder, train_in
from mirada.layers.modes import evaluating
from mirada.modelfile import Architecture, Card, load_cards
from mirada.models import facts
from mirada.models.cam import usual_width, without_final_pooling
from mirada.models.catalogue import MODULE
from mirada.models.families import CAM
from mirada.pages import write_report
from mirada.runs.folder import CUT, RunFolder, model_file
from mirada.runs.reader import read_record
from mirada.runs.records import DataRecord
from mirada.samples import Source
from mirada.text import number, places, with_unit
from mirada.training.recipe import Recipe, place_of, recipe_for
from mirada.training.recipe_text import modern

Grid = tuple[int, int]  # height, width
RECORD = "surgery.json"
DECIDED = (
    ("", "model"),
    ("", "weights"),
    ("options", "head"),
    ("options", "cam_after"),
    ("options", "cam_width"),
)


@dataclass(frozen=True, kw_only=True)
class MapGrid:
    """The finest map that a network has without being changed: how it is found, and on which grid.

    ``completeness_error`` is how far it is from adding up to the output; None for a method that need not.
    """

    method: str
    size: Grid
    completeness_error: float | None

    def __str__(self) -> str:
        return f"{self.method}, {self.size[0]} × {self.size[1]}"


@dataclass(frozen=True, kw_only=True)
class SurgeryRecord:
    """What a surgery has done: ``surgery.json``.

    Args:
        model: The file that was cut.
        network: Its name in the catalogue.
        after: The stage behind which it was cut.
        width: Maps of the new convolution.
        grid: On which the new maps lie.
        before: The maps of the model as it was.
        now: Those of the new one; None, as are those below, if training was interrupted.
        split: The images of the comparison.
        cost: What it has cost, or gained, on the same images.
        taught: How many of these images had taught the model as it was, whose figure is then too good.
    """

    model: str
    network: str
    after: str
    width: int
    grid: Grid
    before: MapGrid
    now: MapGrid | None = None
    split: str = ""
    cost: tuple[Difference, ...] = ()
    taught: int = 0

    @property
    def sentences(self) -> tuple[str, ...]:
        """What it cost and what it gained, as the terminal and the report say it."""
        lines = [_cost(each, self.split) for each in self.cost]
        if self.now:
            error = self.now.completeness_error
            adds_up = "" if error is None else f"; they add up to the output within {max(error, 1e-9):.0e}"
            lines.append(f"Maps: {self.before} before; {self.now} now{adds_up}.")
        if self.taught:
            lines.append(
                f"{self.taught:,} of these images had taught the model before the surgery, so its figure is too good."
            )
        return tuple(lines)


@dataclass(frozen=True)
class Surgery:
    """A network that was cut and trained on.

    Args:
        run: The training of the cut network.
        record: What was cut, what it cost and what it gained.
    """

    run: Run
    record: SurgeryRecord


@dataclass(frozen=True)
class _Cut:
    """Where a network is cut: the stage, the maps and the grid that it has without its final pooling."""

    after: str
    channels: int
    grid: Grid


def to_cam(
    model: str | Path,
    data: Index | str | Path,
    *,
    after: str | None = None,
    width: int | None = None,
    output: str | Path | None = None,
    on_event: OnEvent | None = None,
    settings: Mapping[str, object] | None = None,
) -> Surgery:
    """Cuts a trained network behind a stage, gives it a head of exact class maps, and trains it on.

    What follows the stage is taken away, and so is the pooling that ends it; then come a 3 × 3 convolution, the average
    of each map and one linear layer. The stages before keep their weights. Training is as the model's was, on its
    splits: at first the new layers alone learn, then the others at smaller rates (``thaw=all``).

    Args:
        model: A model file of one network, or the folder of its run.
        data: An index, or what ``load_data`` takes; images that the model was trained on stay in their split.
        after: The stage behind which to cut; by default the last that has places without its final pooling.
        width: Maps of the new convolution; by default four times those of the stage, and at most 1024.
        output: As for ``train``.
        on_event: As for ``train``.
        settings: Fields of ``Recipe``, such as ``{"epochs": 20}``, but those that the surgery decides.

    Returns:
        The run, and what the surgery cost in accuracy, or in mean absolute error, on the same test images.

    Raises:
        InvalidArgument: It is a module of one's own, keeps no places, has maps that are exact and as fine already, or
            no such stage.
        RecipeError: For a setting that the surgery decides.
        MiradaError: What else ``train`` raises.

    Source:
        Zhou et al. 2016, arXiv:1512.04150, §3.
    """
    file = model_file(model)
    old = _one_network(file)
    before = _maps_of(old)
    cut = _chosen_cut(old, after, before)
    chosen = _recipe(old.card, file, cut, width, settings or {})
    record = SurgeryRecord(
        model=file.name,
        network=old.card.architecture.model,
        after=cut.after,
        width=chosen.options["cam_width"],
        grid=cut.grid,
        before=before,
    )
    index = _index(record, old.card, data if isinstance(data, Index) else Source(path=Path(data)), chosen)
    chosen, index = in_whole_epochs(chosen, index)

    def make() -> RunFolder:
        folder = new_folder(index, chosen.model, output)
        folder.write(CUT, record)  # before all else: whoever takes the run up knows what it is
        return folder

    return _concluded(record, old, index, train_in(make, index, chosen, on_event or silent))


def go_on_with_surgery(folder: Path, data: Index | Source, recipe: Recipe, on_event: OnEvent) -> Surgery:
    """Takes up a surgery that was stopped; raises as ``to_cam``.

    Args:
        folder: Of its run.
        data: Those that it was given, or where they are.
        recipe: Of its run, which names the model that was cut.
        on_event: As for ``train``.
    """
    record: SurgeryRecord = read_record(folder / CUT, SurgeryRecord)
    old = _one_network(Path(recipe.weights))
    index = _index(record, old.card, data, recipe)
    run = finished_run(folder, index) if is_complete(folder) else go_on_with(folder, index, recipe, on_event)
    return _concluded(record, old, index, run)


def _concluded(record: SurgeryRecord, old: Model, index: Index, run: Run) -> Surgery:
    """What has come of it, which then stands in the run's folder."""
    if run.predictions is None:
        return Surgery(run, record)
    folder = RunFolder.reopened(run.folder)
    with folder.alone():
        record = _compared(record, old, index, run, run.predictions)
        _write(record, folder)
    return Surgery(run, record)


def _write(record: SurgeryRecord, folder: RunFolder) -> None:
    """Adds the record to the run's folder, and what it says to the report."""
    data: DataRecord = read_record(folder.path / "data.json", DataRecord)
    notes = [each for each in record.sentences if each not in data.notes]
    folder.write("data.json", replace(data, notes=(*data.notes, *notes)))
    write_report(folder.path)
    folder.write(RECORD, record)
    (folder.path / CUT).unlink()


def _cost(cost: Difference, split: str) -> str:
    """The values before and after, and the difference with its interval."""
    share = cost.metric.kind == "share"
    scale, unit = (100, "%") if share else (1, cost.unit)
    decimals = 1 if share else places(cost.first)
    first, second = (with_unit(number(scale * value, decimals), unit) for value in (cost.first, cost.second))
    change, *ends = (
        _signed(scale * value, decimals)
        for value in (cost.difference, cost.low, cost.high)
        if value is not None
    )
    span = f"95 % interval {' to '.join(ends)}, " if ends else ""
    of = f" of {cost.target}" if cost.target else ""
    return (
        f"{cost.metric.title.capitalize()}{of} on {counted(cost.n, f'{split} image')}: {first} before, {second} now, "
        f"{with_unit(change, 'points' if share else unit)} ({span}p = {cost.p_value:.2g}, {cost.test})."
    )


def _signed(value: float, decimals: int) -> str:
    return f"{'−' if value < 0 else '+'}{number(abs(value), decimals)}"


def _one_network(file: Path) -> Model:
    """The model of a file. Raises ``InvalidArgument`` for an ensemble, and for a module of one's own."""
    if (of := load_cards(file)[0].architecture).model == MODULE:
        raise InvalidArgument(
            f"{file}: holds a module of one's own, {of.title}, of which nobody knows in which order its parts run, so "
            "it is not cut. Give it a head of averages and one linear layer, and train it with that."
        )
    model = load_model(file)
    if model.ensemble:
        raise InvalidArgument(
            f"{file}: holds {len(model.ensemble)} networks, and one is cut at a time. Name the model of a fold."
        )
    return model


def _index(record: SurgeryRecord, card: Card, data: Index | Source, recipe: Recipe) -> Index:
    """The data with notes and splits: those of the model's training where it knows the images, else drawn."""
    index = as_known_to(card, data if isinstance(data, Index) else load_for(card, data))
    index, note = with_training_splits(card, index, Path(recipe.weights).resolve().with_name("splits.csv"))
    index, drawn = complete_splits(index, **asdict(recipe.splits), seed=recipe.seed)
    told = (
        f"Top-model surgery of {record.model}: {record.network} is cut behind {record.after}; its maps were "
        f"{record.before}, and will be exact on {record.grid[0]} × {record.grid[1]}."
    )
    return replace(index, notes=(*index.notes, told, *filter(None, [note or drawn])))


def _compared(
    record: SurgeryRecord, old: Model, index: Index, run: Run, predictions: Predictions
) -> SurgeryRecord:
    """The record with the maps of the new model, and with what both say of the images that judge the run."""
    split = "test" if "test" in run.evaluations else "val"
    first = old.predict(index.take(index.rows(split)))
    (one, other), _ = same_images([first, predictions.of_split(split)])
    return replace(
        record,
        now=_maps_of(load_model(run.model_path)),
        split=split,
        cost=tuple(differences([one], [other])),
        taught=int(first.trained_on.sum()),
    )


# ---- where -----------------------------------------------------------------------------------


def _zeros(architecture: Architecture, device: torch.device) -> Tensor:
    """An image of zeros, of the network's size."""
    return torch.zeros(1, architecture.in_channels, *architecture.image_size, device=device)


def _maps_of(model: Model) -> MapGrid:
    """The maps that ``mirada explain`` draws of a model when it is not told which."""
    architecture, device = model.card.architecture, model.compute.device
    beside = torch.zeros(1, architecture.covariates, device=device) if architecture.covariates else None
    opened = Explainable(model.network, beside)
    found: Explanation = explain(opened, _zeros(architecture, device), [0], target=model.card.target)
    height, width = found.maps.shape[1:]
    return MapGrid(method=found.title, size=(height, width), completeness_error=found.completeness_error)


def _chosen_cut(model: Model, after: str | None, before: MapGrid) -> _Cut:
    """The stage that was asked for, or the last one with places. Raises ``InvalidArgument`` if nothing is gained."""
    name = model.card.architecture.model
    head = facts(name).options.get("head")
    if not head or CAM not in head.choices:
        raise InvalidArgument(
            f"{name} keeps no places of the image, so there is nothing to cut. Choose another."
        )
    if not model.network.trunk()[1:]:
        raise InvalidArgument(
            f"{name} has no stage behind its stem, so there is nothing to cut. Choose another."
        )
    exact = before.completeness_error is not None
    cuts = {cut.after: cut for cut in _cuts(model) if cut.grid != (1, 1)}
    finer = (
        [cut for cut in cuts.values() if prod(cut.grid) > prod(before.size)] if exact else list(cuts.values())
    )
    if after is not None and after not in cuts:
        raise InvalidArgument(f'{name} has no stage "{after}" with places. {nearest(after, cuts)}')
    if after is not None and cuts[after] in finer:
        return cuts[after]
    if after is None and not exact and finer:
        return finer[-1]
    names = ", ".join(f"{cut.after} ({cut.grid[0]} × {cut.grid[1]})" for cut in finer)
    advice = f"Name an earlier stage for a finer grid: {names}." if finer else "No stage has a finer grid."
    raise InvalidArgument(
        f"The maps of {name} are exact already, on {before.size[0]} × {before.size[1]}. {advice}"
    )


def _cuts(model: Model) -> list[_Cut]:
    """Every stage that the network has been trained with, without its final pooling."""
    network, found = model.network, []
    with evaluating(network), torch.no_grad():
        maps = network.stem(_zeros(model.card.architecture, model.compute.device))
        for name in network.trunk()[1:]:
            stage = network.get_submodule(name)
            _, channels, height, width = without_final_pooling(stage)(maps).shape
            found.append(_Cut(name, channels, (height, width)))
            maps = stage(maps)
    return found


# ---- how -------------------------------------------------------------------------------------


def _recipe(card: Card, file: Path, cut: _Cut, width: int | None, settings: Mapping[str, object]) -> Recipe:
    """The model's own recipe, from its weights, with the new head; then what was asked for."""
    stated = [place_of(key) for key in settings]
    for place in DECIDED:
        if place in stated:
            raise RecipeError(f"`{place[1]}` is decided by the surgery. Leave it out.")
    name = card.architecture.model
    read, _ = modern(card.recipe, file.name)
    own = recipe_for(name).with_settings(read, origin=file.name)
    phases = () if {("", "freeze"), ("", "thaw")} & set(stated) else ("all",)
    chosen = own.with_settings(
        {
            "model": name,
            "weights": str(file),
            "first_layer": "",
            "freeze": [],
            "thaw": list(phases),
            "image_size": list(card.architecture.image_size),
            "loss": "auto"
            if own.loss == "map"
            else own.loss,  # of distances to codes, which this head has not
            "options": {
                **card.architecture.options,
                "head": CAM,
                "cam_after": cut.after,
                "cam_width": width or usual_width(cut.channels),
            },
        }
    )
    return chosen.with_settings(settings)
