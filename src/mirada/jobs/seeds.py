"""The same training with several seeds: how much of a figure is luck."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from mirada.data.index import Index
from mirada.data.sources import load_data
from mirada.data.splits import complete_splits
from mirada.errors import InvalidArgument
from mirada.evaluation.seeds import SeedSpread, seed_spreads
from mirada.events import Evaluated, OnEvent, SeedStarted
from mirada.jobs.describe import job_record
from mirada.jobs.durations import in_whole_epochs
from mirada.jobs.family import Planned, RunFamily, finished, judged_on, measured, missing
from mirada.jobs.train import Run, chosen_recipe, module_of, new_folder
from mirada.runs.folder import DIGESTS, RunFolder
from mirada.runs.records import DigestsRecord
from mirada.training.demands import require_splits
from mirada.training.recipe import Recipe


@dataclass(frozen=True)
class Seeds:
    """Finished, or interrupted, runs that differ in their seed alone.

    Args:
        folder: The folder of all runs.
        runs: Those that have ended, in order; the last one may have been interrupted.
        spreads: How much each metric varies between those that are finished; none for fewer than two.
        missing: The names of the runs that are not finished, such as ``seed-2``.
    """

    folder: Path
    runs: tuple[Run, ...]
    spreads: tuple[SeedSpread, ...]
    missing: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether all runs are finished, and compared."""
        return not self.missing

    @property
    def report_path(self) -> Path:
        """The report of all seeds, one HTML file; each run has its own in its folder."""
        return self.folder / "report.html"


def train_seeds(
    data: Index | str | Path,
    *,
    seeds: int = 3,
    model: str | nn.Module | None = None,
    recipe: Recipe | None = None,
    output: str | Path | None = None,
    on_event: OnEvent | None = None,
    **settings: Any,
) -> Seeds:
    """Trains with several seeds on the same split, and says how much the figures vary by luck alone.

    The first run is the one that ``train`` makes; the others take the next seeds, on the images that the first seed
    chose for training, validation and test. Each leaves its folder, ``seed-0`` and so on, in ``output``. If they are
    interrupted, those that are finished are compared, and the report names those that are missing.

    Args:
        data: As for ``train``.
        seeds: How many runs, 2 or more.
        model: As for ``train``.
        recipe: As for ``train``; its seed is the first.
        output: The folder of all runs, which must be new; by default ``runs/<data>-<model>-seeds``, numbered.
        on_event: Called with each event of each run, and with ``SeedStarted`` before them.
        **settings: As for ``train``.

    Returns:
        The runs, and how much each metric varies between them.

    Raises:
        InvalidArgument: For fewer than 2 seeds.
        MiradaError: What else ``train`` raises.
    """
    if seeds < 2:
        raise InvalidArgument(f"`seeds` must be at least 2. Got {seeds}.")
    chosen = chosen_recipe(model, recipe, settings)
    index = data if isinstance(data, Index) else load_data(data)
    split, _ = complete_splits(index, **asdict(chosen.splits), seed=chosen.seed)
    require_splits(split)
    chosen, index = in_whole_epochs(chosen, index, module=module_of(model))
    folder = new_folder(index, f"{chosen.model}-seeds", output)
    return train_all_seeds(index, seeds, chosen, folder, on_event or (lambda event: None), module_of(model))


def train_all_seeds(
    index: Index, seeds: int, recipe: Recipe, folder: RunFolder, on_event: OnEvent, module: nn.Module | None
) -> Seeds:
    """The runs of all seeds, into a folder in which some may be finished; raises as ``train_seeds``."""
    split, note = complete_splits(index, **asdict(recipe.splits), seed=recipe.seed)
    told = f"{note} The same in all {seeds} runs, which differ in their seed alone.".strip()
    family = RunFamily(
        folder,
        index,
        job_record(index.source, recipe, seeds=seeds),
        lambda first, members: replace(first, split_note=told, seeds=members),
        on_event,
        module,
    )
    planned = _planned(split, recipe, seeds)
    with folder.alone():
        runs = family.train(planned)
        absent = missing(planned, runs)
        spreads = _compare(family, finished(runs))
        if absent:
            family.stop("interrupted")
        else:
            family.finish()
            folder.write(DIGESTS, DigestsRecord())
    return Seeds(folder.path, runs, spreads, absent)


def _planned(split: Index, recipe: Recipe, seeds: int) -> list[Planned]:
    """One run for each seed, from the recipe's own on."""
    return [
        Planned(
            f"seed-{recipe.seed + place}",
            split,
            recipe.with_settings({"seed": recipe.seed + place}),
            SeedStarted(recipe.seed + place, place + 1, seeds),
        )
        for place in range(seeds)
    ]


def _compare(family: RunFamily, runs: Sequence[Run]) -> tuple[SeedSpread, ...]:
    """Compares the runs, if there are two or more, and records their means."""
    if len(runs) < 2:
        return ()
    spreads = seed_spreads([measured(run) for run in runs])
    split = judged_on(runs[0])
    means: dict[str, float | None] = {_key(each): each.mean for each in spreads}
    judged = runs[0].evaluations[split]
    constant = sum(bool(run.evaluations[split].constant) for run in runs)
    family.folder.event(Evaluated(split, judged.n, means, judged.trained_on, constant, len(runs)))
    return spreads


def _key(spread: SeedSpread) -> str:
    return f"{spread.name}:{spread.target}" if spread.target else spread.name
