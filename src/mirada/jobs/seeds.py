"""The same training with several seeds: how much of a figure is luck."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mirada.data.index import Index
from mirada.data.sources import load_data
from mirada.data.splits import complete_splits
from mirada.errors import InvalidArgument
from mirada.evaluation.seeds import SeedSpread, seed_spreads
from mirada.events import Evaluated, OnEvent, SeedStarted
from mirada.jobs.family import Family, Planned, interrupted, judged_on, measured, member
from mirada.jobs.train import Run, chosen_recipe, new_folder
from mirada.pages import write_report
from mirada.training.demands import require_splits
from mirada.training.recipe import Recipe


@dataclass(frozen=True)
class Seeds:
    """Finished, or interrupted, runs that differ in their seed alone.

    Args:
        folder: The folder of all runs.
        runs: Those that have ended, in order.
        spreads: How much each metric varies between them; none if they were interrupted.
    """

    folder: Path
    runs: tuple[Run, ...]
    spreads: tuple[SeedSpread, ...]

    @property
    def report_path(self) -> Path:
        """The report of all seeds, one HTML file; each run has its own in its folder."""
        return self.folder / "report.html"


def train_seeds(
    data: Index | str | Path,
    *,
    seeds: int = 3,
    model: str | None = None,
    recipe: Recipe | None = None,
    output: str | Path | None = None,
    on_event: OnEvent | None = None,
    **settings: Any,
) -> Seeds:
    """Trains with several seeds on the same split, and says how much the figures vary by luck alone.

    The first run is the one that ``train`` makes; the others take the next seeds, on the images that the first seed
    chose for training, validation and test. Each leaves its folder, ``seed-0`` and so on, in ``output``.

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
    split, note = complete_splits(index, **asdict(chosen.splits), seed=chosen.seed)
    require_splits(split)
    told = f"{note} The same in all {seeds} runs, which differ in their seed alone.".strip()
    folder = new_folder(index, chosen, output, ending="-seeds")
    family = Family(
        folder,
        index,
        ("--seeds", str(seeds)),
        lambda found: replace(found, split_note=told),
        on_event or (lambda event: None),
    )
    numbers = range(chosen.seed, chosen.seed + seeds)
    runs = family.train(
        [
            Planned(
                f"seed-{seed}",
                split,
                chosen.with_settings({"seed": seed}),
                SeedStarted(seed, place, seeds),
            )
            for place, seed in enumerate(numbers, start=1)
        ]
    )
    if interrupted(runs):
        return Seeds(folder.path, runs, ())
    spreads = seed_spreads([measured(run) for run in runs])
    done = Evaluated(
        judged_on(runs[0]),
        runs[0].evaluations[judged_on(runs[0])].n,
        {_key(each): each.mean for each in spreads},
    )
    folder.event(done)
    family.finish(runs, lambda found: replace(found, seeds=tuple(map(member, runs))))
    write_report(folder.path)
    return Seeds(folder.path, runs, spreads)


def _key(spread: SeedSpread) -> str:
    return f"{spread.name}:{spread.target}" if spread.target else spread.name
