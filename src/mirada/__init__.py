"""Mirada trains the classic convolutional networks on your own images, shows every layer, and where they look.

Names are imported when they are first used, so ``import mirada`` alone is quick and does not load torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mirada.data.augment import Augmentation as Augmentation
    from mirada.data.index import Index as Index
    from mirada.data.pixels.preprocessing import Preprocessing as Preprocessing
    from mirada.data.sources import load_data as load_data
    from mirada.errors import CheckpointError as CheckpointError
    from mirada.errors import DataError as DataError
    from mirada.errors import InvalidArgument as InvalidArgument
    from mirada.errors import MiradaError as MiradaError
    from mirada.errors import RecipeError as RecipeError
    from mirada.errors import TrainingError as TrainingError
    from mirada.evaluation.evaluate import evaluate as evaluate
    from mirada.evaluation.predictions import Predictions as Predictions
    from mirada.evaluation.suspects import suspect_labels as suspect_labels
    from mirada.explain.class_maps import ClassMaps as ClassMaps
    from mirada.explain.class_maps import class_maps as class_maps
    from mirada.inference.model import Model as Model
    from mirada.inference.model import load_model as load_model
    from mirada.inference.similar import predict_with_similar as predict_with_similar
    from mirada.jobs.check import check as check
    from mirada.jobs.folds import cross_validate as cross_validate
    from mirada.jobs.plan import plan as plan
    from mirada.jobs.resume import resume as resume
    from mirada.jobs.seeds import train_seeds as train_seeds
    from mirada.jobs.surgery import to_cam as to_cam
    from mirada.jobs.train import Run as Run
    from mirada.jobs.train import train as train
    from mirada.layers.network import Network as Network
    from mirada.models import list_models as list_models
    from mirada.summary import summarize as summarize
    from mirada.training.papers import paper_recipe as paper_recipe
    from mirada.training.pretrained import create_model as create_model
    from mirada.training.recipe import Recipe as Recipe

_HOMES = {
    "Augmentation": "mirada.data.augment",
    "CheckpointError": "mirada.errors",
    "ClassMaps": "mirada.explain.class_maps",
    "DataError": "mirada.errors",
    "Index": "mirada.data.index",
    "InvalidArgument": "mirada.errors",
    "MiradaError": "mirada.errors",
    "Model": "mirada.inference.model",
    "Network": "mirada.layers.network",
    "Predictions": "mirada.evaluation.predictions",
    "Preprocessing": "mirada.data.pixels.preprocessing",
    "Recipe": "mirada.training.recipe",
    "RecipeError": "mirada.errors",
    "Run": "mirada.jobs.train",
    "TrainingError": "mirada.errors",
    "check": "mirada.jobs.check",
    "class_maps": "mirada.explain.class_maps",
    "create_model": "mirada.training.pretrained",
    "cross_validate": "mirada.jobs.folds",
    "evaluate": "mirada.evaluation.evaluate",
    "list_models": "mirada.models",
    "load_data": "mirada.data.sources",
    "load_model": "mirada.inference.model",
    "paper_recipe": "mirada.training.papers",
    "plan": "mirada.jobs.plan",
    "predict_with_similar": "mirada.inference.similar",
    "resume": "mirada.jobs.resume",
    "summarize": "mirada.summary",
    "suspect_labels": "mirada.evaluation.suspects",
    "to_cam": "mirada.jobs.surgery",
    "train": "mirada.jobs.train",
    "train_seeds": "mirada.jobs.seeds",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("mirada")
    if name not in _HOMES:
        raise AttributeError(f"module 'mirada' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
