"""The degradation experiment: deeper plain networks learn worse than shallower ones, and residual ones do not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from mirada.data.index import Index
from mirada.data.sources import load_data
from mirada.errors import InvalidArgument
from mirada.events import OnEvent, Stopped
from mirada.jobs.again import one_of_several
from mirada.jobs.compare import compare_runs
from mirada.jobs.describe import job_record
from mirada.jobs.train import new_folder
from mirada.pages.compare import ComparisonPage
from mirada.pages.degradation import write_degradation
from mirada.runs.folder import DIGESTS, FOUR_NETWORKS, JOB, RunFolder
from mirada.runs.records import DigestsRecord
from mirada.training.recipe import Recipe, recipe_for

KINDS = ("plain", "resnet")
DEPTHS = (20, 56)
EPOCHS = 30


@dataclass(frozen=True)
class Degradation:
    """Four runs, and each deep network beside the shallow one of its kind.

    Args:
        folder: Holds a folder for each network, and the page.
        pairs: The plain networks, then the residual ones; fewer if it was interrupted.
        missing: The networks that are not finished, such as ``resnet56``.
    """

    folder: Path
    pairs: tuple[ComparisonPage, ...]
    missing: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether all networks were trained and judged."""
        return not self.missing

    @property
    def report_path(self) -> Path:
        """The page, which is there if it is complete."""
        return self.folder / FOUR_NETWORKS


def degradation(
    data: Index | str | Path,
    *,
    depths: Sequence[int] = DEPTHS,
    epochs: int = EPOCHS,
    output: str | Path | None = None,
    on_event: OnEvent | None = None,
    settings: Mapping[str, object] = MappingProxyType({}),
) -> Degradation:
    """Trains plain and residual networks of two depths by one recipe, and sets them beside each other.

    Args:
        data: Images with classes, of at least 32 × 32 pixels.
        depths: Layers of the shallow and of the deep network: 20, 32, 44, 56 or 110.
        epochs: Of each network.
        output: A new folder; by default ``runs/<data>-degradation``, numbered.
        on_event: Called with each event of each run.
        settings: Fields of ``Recipe`` that all four share.

    Returns:
        The runs, whose gradients were watched, and what may be said of each pair.

    Raises:
        InvalidArgument: Depths that are no two networks of the catalogue.
        MiradaError: What else ``train`` raises.

    Source: He, Zhang, Ren & Sun 2015, arXiv:1512.03385, Figure 1 and §4.2, on fewer images and for fewer steps.
    """
    if len(depths) != 2 or depths[0] >= depths[1]:
        raise InvalidArgument(
            f"`depths` must be two, the smaller first, such as 20 and 56. Got {list(depths)}."
        )
    index = data if isinstance(data, Index) else load_data(data)
    recipe, *_ = [recipe_of(name, epochs, settings) for name in _networks(depths)]
    folder = new_folder(index, "degradation", output)
    return train_pairs(index, tuple(depths), recipe, folder, on_event or (lambda event: None))


def train_pairs(
    index: Index, depths: tuple[int, ...], recipe: Recipe, folder: RunFolder, on_event: OnEvent
) -> Degradation:
    """The four runs, into a folder in which some may be finished; raises as ``degradation``.

    Args:
        index: The data of all four.
        depths: Layers of the shallow and of the deep network.
        recipe: Of the first network; the others' differ in their network alone.
        folder: Of all four.
        on_event: Called with each event of each run.
    """
    names = _networks(depths)
    with folder.alone():
        if folder.is_new:
            folder.write(JOB, job_record(index.source, recipe, depths=depths))
        else:
            folder.forget(Stopped)
        for done, name in enumerate(names):
            try:
                run = one_of_several(
                    folder.path / name, index, recipe.with_settings({"model": name}), on_event
                )
            except BaseException:
                if not (folder.path / names[0]).exists():
                    folder.discard()
                raise
            if not run.complete:
                folder.event(Stopped("interrupted"))
                return Degradation(folder.path, _pairs(folder.path, names[:done]), names[done:])
        pairs = _pairs(folder.path, names)
        write_degradation(pairs, folder.path / FOUR_NETWORKS)
        folder.write(DIGESTS, DigestsRecord())
    return Degradation(folder.path, pairs)


def _networks(depths: Sequence[int]) -> tuple[str, ...]:
    """The four of them, in the order in which they are trained."""
    return tuple(f"{kind}{depth}" for kind in KINDS for depth in depths)


def _pairs(folder: Path, finished: Sequence[str]) -> tuple[ComparisonPage, ...]:
    """Each deep network beside the shallow one of its kind, of the kinds of which both are finished."""
    return tuple(
        compare_runs([folder / name for name in finished[first : first + 2]])
        for first in range(0, len(finished) - 1, 2)
    )


def recipe_of(model: str, epochs: int, settings: Mapping[str, object]) -> Recipe:
    """The paper's recipe for CIFAR, its two falls of the rate at a half and at three quarters of the epochs.

    Args:
        model: A network of the catalogue.
        epochs: Passes over the training images.
        settings: What is to be otherwise.

    Raises:
        RecipeError: A setting that is unknown or does not fit.
        InvalidArgument: There is no such network.
    """
    own: dict[str, object] = {
        "epochs": epochs,
        "batch_size": 64,
        "watch": "gradients",
        "optimizer": {"kind": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 1e-4},
        "schedule": {"kind": "multi_step", "gamma": 0.1, "milestones": [epochs / 2, epochs * 3 / 4]},
    }
    return recipe_for(model).with_settings(own).with_settings({**settings, "model": model})
