"""The recipe: the only place with training defaults. TOML in and out; every key and value is checked."""

import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self, get_args, get_origin, get_type_hints

from mirada.errors import RecipeError, nearest, reason_of
from mirada.models import facts, find

TABLES = ("options", "augment")  # fields that hold settings of their own, checked where they are used
FILES = ("weights", "first_layer")
NOT_NEGATIVE = (
    "micro_batch", "momentum", "weight_decay", "decay", "warmup", "patience", "seed", "test_fraction",
    "label_smoothing",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that decides a training run, the data aside.

    Durations: ``epochs`` and ``warmup`` in epochs, ``patience`` in epochs without improvement (0: never stop
    early). ``lr`` is per optimizer step, at ``batch_size`` images; ``decay``, which only the
    schedule ``time`` reads, is per step.
    A batch goes through the network in slices of ``micro_batch`` images (0: whole), which needs less memory and
    gives the same gradient, but for batch normalization, whose statistics are then a slice's.
    ``val_fraction`` and ``test_fraction`` apply where the data set has no such split.

    ``loss`` ``auto`` follows the task and the network; ``training.loss`` says what each is. ``label_smoothing`` ε,
    from 0 to below 1, goes with cross-entropy: it takes ε from the right class and gives ε/K to each of the K
    (Szegedy et al. 2015, arXiv:1512.00567, §7). Numbers have no labels: for them it has no effect.
    ``class_weights`` ``balanced`` lets every class weigh the same in the loss; ``sampling`` ``balanced`` shows every
    class equally often. Both at once count a rare class twice.

    ``image_size`` is (height, width) in pixels; ``mode``, ``policy``, ``depth``, ``window`` and ``clahe`` are those of
    ``Preprocessing``.

    ``weights`` is a file of public weights, or a model file, to start from instead of random weights; what does
    not fit of its heads is drawn anew. ``first_layer`` is a file whose first convolution, alone, takes the place of the
    network's. ``freeze`` names the parts, such as ``stem`` and ``stage1``, that keep the weights they start with.
    ``normalize``: ``data`` (mean and std of the training images), ``imagenet``
    (those of its colours), ``half`` (values −1 … 1) or ``unit`` (values 0 … 1); ``auto`` is what ``weights``
    expects, and ``data`` without any.

    ``options`` are those of the network's family, such as ``activation``; ``augment`` holds the fields of
    ``Augmentation``.

    Raises ``RecipeError`` for a value of the wrong type or out of its range.
    """

    model: str = "resnet18"
    weights: str = ""
    first_layer: str = ""
    freeze: tuple[str, ...] = ()
    epochs: int = 30
    batch_size: int = 32
    micro_batch: int = 0
    lr: float = 1e-3
    optimizer: Literal["sgd", "adam", "rmsprop"] = "adam"
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: Literal["constant", "cosine", "time"] = "constant"
    decay: float = 0.0
    warmup: float = 0.0
    loss: Literal["auto", "cross_entropy", "binary_cross_entropy", "map", "mse", "mae", "huber"] = "auto"
    label_smoothing: float = 0.0
    class_weights: Literal["none", "balanced"] = "none"
    sampling: Literal["shuffle", "balanced"] = "shuffle"
    patience: int = 0
    seed: int = 0
    val_fraction: float = 0.2
    test_fraction: float = 0.15
    image_size: tuple[int, int] = (224, 224)
    mode: Literal["RGB", "L"] = "RGB"
    policy: Literal["stretch", "pad", "crop"] = "stretch"
    depth: Literal[8, 16] = 8
    window: str = "auto"
    clahe: float = 0.0
    normalize: Literal["auto", "data", "imagenet", "half", "unit"] = "auto"
    device: str = "auto"
    precision: Literal["auto", "bfloat16", "float32"] = "auto"
    options: dict[str, Any] = field(default_factory=dict)
    augment: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(type(self)).items():
            if name not in TABLES:
                object.__setattr__(self, name, _typed(name, getattr(self, name), hint, "recipe"))
        for name in ("epochs", "batch_size", "lr"):
            if not getattr(self, name) > 0:
                raise RecipeError(f"`{name}` must be above 0. Got {getattr(self, name)!r}.")
        for name in NOT_NEGATIVE:
            if getattr(self, name) < 0:
                raise RecipeError(f"`{name}` must not be negative. Got {getattr(self, name)!r}.")
        for name in ("val_fraction", "test_fraction", "label_smoothing"):
            if getattr(self, name) >= 1 or (name == "val_fraction" and self.val_fraction <= 0):
                raise RecipeError(f"`{name}` must be between 0 and 1. Got {getattr(self, name)!r}.")
        if min(self.image_size) < 1:
            raise RecipeError(f"`image_size` must be at least 1 pixel. Got {self.image_size!r}.")
        if self.seed >= 2**63:
            raise RecipeError(f"`seed` must be below 2⁶³. Got {self.seed!r}.")

    def with_settings(self, settings: Mapping[str, Any], *, origin: str = "settings") -> Self:
        """This recipe with some fields replaced; ``augment.zoom`` reaches into the augmentation.

        Raises ``RecipeError`` for an unknown key (with the nearest one) or a value of the wrong type.
        """
        hints = get_type_hints(type(self))
        changes: dict[str, Any] = {}
        tables = {name: dict(getattr(self, name)) for name in TABLES}
        for key, value in settings.items():
            name, dot, inner = key.partition(".")
            if name not in hints or (dot and (name not in TABLES or not inner)):
                raise RecipeError(f'{origin}: there is no setting "{key}". {nearest(key, hints)}')
            if inner:
                tables[name][inner] = value
            elif isinstance(value, Mapping) and name in TABLES:
                tables[name] = dict(value)
            elif name == "augment":
                tables[name] = augment_preset(value, origin)
            else:
                changes[name] = _typed(name, value, hints[name], origin)
        return replace(self, **{**changes, **tables})

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    def to_toml(self) -> str:
        """As TOML; ``read_settings`` of it gives the same recipe, whatever recipe it is laid over."""
        values = self.to_dict()
        tables = {name: values.pop(name) for name in TABLES}
        lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
        for name, table in tables.items():
            lines += ["", f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
        return "\n".join(lines) + "\n"


def read_settings(file: str | Path) -> dict[str, Any]:
    """The settings in a TOML file, not yet checked. Raises ``RecipeError`` naming the file and the line."""
    try:
        return tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"{file}: cannot be read ({reason_of(error)}).") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{file}: no valid TOML ({error}).") from error


# The lecture notes' example, §5.1. Their shear is in degrees, as in Keras.
NOTES_AUGMENT = {"shear": 0.2, "zoom": 0.2, "horizontal_flip": True}
PHOTO_AUGMENT = {
    "rotation": 10.0, "zoom": 0.15, "shift": 0.05, "horizontal_flip": True, "brightness": 0.2, "contrast": 0.2,
}  # fmt: skip
DIGIT_AUGMENT = {"rotation": 10.0, "zoom": 0.1, "shift": 0.05, "fill": "black"}
AUGMENT_PRESETS: dict[str, dict[str, Any]] = {
    "none": {},
    "notes": NOTES_AUGMENT,
    "photos": PHOTO_AUGMENT,
    "digits": DIGIT_AUGMENT,
}


def recipe_for(model: str) -> Recipe:
    """The recipe that a network starts from. Raises ``InvalidArgument`` for an unknown name."""
    entry = find(model)
    channels, *size = entry.image
    image = {"image_size": size, "mode": "L" if channels == 1 else "RGB"}
    return Recipe(model=model).with_settings({**image, **facts(model).recipe})


def augment_preset(name: Any, origin: str = "settings") -> dict[str, Any]:
    """A named set of augmentations. Raises ``RecipeError`` with the nearest name."""
    if not isinstance(name, str) or name not in AUGMENT_PRESETS:
        raise RecipeError(
            f'{origin}: there is no augmentation "{name}". {nearest(str(name), AUGMENT_PRESETS)}'
        )
    return dict(AUGMENT_PRESETS[name])


def _typed(name: str, value: Any, hint: Any, origin: str) -> Any:
    """``value`` as the field's type. Raises ``RecipeError`` if it is of another."""
    if get_origin(hint) is Literal:
        if any(value == known and type(value) is type(known) for known in get_args(hint)):
            return value
        raise RecipeError(
            f'{origin}: `{name}` cannot be "{value}". {nearest(str(value), map(str, get_args(hint)))}'
        )
    if name == "freeze":
        return _names(name, value, origin)
    if name == "image_size":
        size = (value, value) if isinstance(value, int) else value
        if isinstance(size, list | tuple) and len(size) == 2 and all(type(side) is int for side in size):
            return tuple(size)
        raise RecipeError(
            f"{origin}: `image_size` must be a side in pixels or [height, width]. Got {value!r}."
        )
    if hint is float and type(value) is int:
        return float(value)
    if name in FILES and isinstance(value, Path):
        return str(value)
    if type(value) is not hint:
        raise RecipeError(f"{origin}: `{name}` must be of type {hint.__name__}. Got {value!r}.")
    if hint is float and not math.isfinite(value):
        raise RecipeError(f"{origin}: `{name}` must be a finite number. Got {value!r}.")
    return value


def _names(name: str, value: Any, origin: str) -> tuple[str, ...]:
    """A list of words, or one text of words with commas between."""
    words = value.split(",") if isinstance(value, str) else value
    if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
        raise RecipeError(f'{origin}: `{name}` must be a list of names, such as ["stem"]. Got {value!r}.')
    return tuple(word.strip() for word in words if word.strip())
