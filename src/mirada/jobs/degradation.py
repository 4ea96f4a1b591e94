"""The degradation experiment: deeper plain networks learn worse than shallower ones, and residual ones do not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from mirada.data.index import Index
from mirada.data.sources import load_data
from mirada.errors import InvalidArgument
from mirada.events import OnEvent
from mirada.jobs.compare import compare_runs
from mirada.jobs.train import new_folder, train
from mirada.pages.compare import ComparisonPage
from mirada.pages.degradation import write_degradation
from mirada.training.recipe import Recipe, recipe_for

KINDS = ("plain", "resnet")
DEPTHS = (20, 56)
EPOCHS = 30
PAGE = "degradation.html"


@dataclass(frozen=True)
class Degradation:
    """Four runs, and each deep network beside the shallow one of its kind.

    Args:
        folder: Holds a folder for each network, and the page.
        pairs: The plain networks, then the residual ones; fewer if it was interrupted.
    """

    folder: Path
    pairs: tuple[ComparisonPage, ...]

    @property
    def complete(self) -> bool:
        """Whether all networks were trained and judged."""
        return len(self.pairs) == len(KINDS)

    @property
    def report_path(self) -> Path:
        """The page, which is there if it is complete."""
        return self.folder / PAGE


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
    recipes = [recipe_of(f"{kind}{depth}", epochs, settings) for kind in KINDS for depth in depths]
    folder = new_folder(index, "degradation", output)
    pairs: list[ComparisonPage] = []
    for first in range(0, len(recipes), 2):
        own = [folder.path / recipe.model for recipe in recipes[first : first + 2]]
        for recipe, place in zip(recipes[first : first + 2], own, strict=True):
            run = train(index, recipe=recipe, output=place, on_event=on_event)
            if not run.complete:
                return Degradation(folder.path, tuple(pairs))
        pairs.append(compare_runs(own))
    write_degradation(pairs, folder.path / PAGE)
    return Degradation(folder.path, tuple(pairs))


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
