"""The recipe: all that decides a training run, the data aside. The only place with training defaults."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, Self

from mirada.data.augment import Augmentation
from mirada.data.pixels.preprocessing import Policy, Preprocessing
from mirada.errors import InvalidArgument, RecipeError, nearest
from mirada.evaluation.threshold import ThresholdRule
from mirada.models import facts, find
from mirada.models.families import OPTION_NAMES
from mirada.settings import check, described, setting, shown, shown_text
from mirada.training.averages import AVERAGES, Averaging, LastWeights
from mirada.training.pace import pace_of
from mirada.training.recipe_text import plain_value, toml_text
from mirada.training.schedules import SCHEDULES, Constant, Schedule
from mirada.training.stepping import OPTIMIZERS, Adam, Stepping

Settings = Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class Pixels:
    """What the network reads of an image file.

    Args:
        image_size: (height, width) in pixels.
        mode: Colours, or grey.
        policy: What happens to an image of other proportions.
        resize: As in ``Preprocessing``.
        depth: Bits per pixel and channel that are kept.
        window: As in ``Preprocessing``.
        clahe: As in ``Preprocessing``.
        normalize: ``data`` (mean and deviation of the training images), ``imagenet`` (those of its colours), ``half``
            (values −1 … 1), ``unit`` (values 0 … 1); ``auto`` is what ``weights`` expects, and ``data`` without any.
    """

    image_size: tuple[int, int] = setting((224, 224), "Size of the network's input in pixels.")
    mode: Literal["RGB", "L"] = setting("RGB", "Colours, or L for grey.")
    policy: Policy = setting(
        "stretch",
        "How an image of another size fits; pad keeps its proportions on black, frame enlarges nothing.",
    )
    resize: int = setting(
        0,
        "With policy=crop: pixels of the shorter side before the middle is cut; 0: those of image_size.",
        least=0,
    )
    depth: Literal[8, 16] = setting(8, "Bits per pixel and channel that are kept.")
    window: str = setting(
        "auto", "Levels that are shown as black and white: auto, full, file, two percentiles or centre/width."
    )
    clahe: float = setting(
        0.0, "Limit of contrast-limited adaptive histogram equalization; 0: none.", least=0
    )
    normalize: Literal["auto", "data", "imagenet", "half", "unit"] = setting(
        "auto", "Mean and deviation by which pixels are normalized; auto: as `weights` expect."
    )

    def __post_init__(self) -> None:
        check(self, RecipeError)

    def decoding(self) -> Preprocessing:
        """How files are decoded, with pixel values 0 … 1 and no further scaling."""
        channels = 3 if self.mode == "RGB" else 1
        return Preprocessing(
            mode=self.mode, size=self.image_size, policy=self.policy, resize=self.resize, depth=self.depth,
            window=self.window, clahe=self.clahe, mean=(0.0,) * channels, std=(1.0,) * channels,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Splits:
    """What is set aside where the data set has no such split."""

    val_fraction: float = setting(0.2, "Share of the images set aside for validation.", above=0, below=1)
    test_fraction: float = setting(0.15, "Share of the images set aside for the test.", least=0, below=1)

    def __post_init__(self) -> None:
        check(self, RecipeError)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that decides a training run, the data aside.

    ``with_settings`` takes settings by their short names (``lr``, ``head``) or their full ones (``optimizer.lr``,
    ``options.head``); ``mirada settings`` lists them.

    Args:
        model: A name of ``list_models``.
        weights: Public weights by name, a file of weights, or a model file, to start from instead of random weights;
            what does not fit of its heads is drawn anew. From all but a model file the head is ``average``, where the
            network has one and ``options`` do not name another.
        first_layer: A file whose first convolution, alone, takes the place of the network's.
        freeze: The parts, such as ``stem`` and ``stage1``, that keep the weights they start with; ``all`` but the head.
        thaw: Frozen parts that learn later, after the head: a second phase. With no ``freeze``, all but the head is
            frozen in the first one. ``progressive`` thaws them, or all if it names no others, one after the other, from
            the last to the first.
        thaw_after: The share of the epochs before that.
        thaw_rate: What the learning rate of the thawed part nearest to the head is multiplied by; that of the one
            before it by the square, and so on.
        stage_rate: Below 1 early parts learn slower: the head at the learning rate, the last stage at it times this,
            the one before it at its square (Howard & Ruder 2018, arXiv:1801.06146, §3.2).
        thaw_statistics: Whether batch normalization of thawed parts follows the images or keeps the statistics that it
            has, which is better for small batches and images like those of the weights.
        views: Where the first parts are frozen: how many augmented views of each training image there are, which the
            epochs show in turn; what the frozen parts make of them is computed once. 0 computes it in every epoch, of
            images that are augmented anew.
        epochs: Passes over the training images.
        duration: In place of ``epochs``; it is turned into whole epochs once, when the images are counted.
        batch_size: Images per optimizer step.
        micro_batch: A batch goes through the network in slices of so many images (0: whole), which needs less memory
            and gives the same gradient, but for batch normalization, whose statistics are then a slice's.
        patience: Epochs without improvement after which training stops (0: never).
        seed: Of everything random.
        loss: ``auto`` follows the task and the network; ``training.loss`` says what each is.
        label_smoothing: ε of cross-entropy: it takes ε from the right class and gives ε/K to each of the K (Szegedy et
            al. 2015, arXiv:1512.00567, §7). Numbers have no labels: for them it has no effect.
        class_weights: ``balanced`` lets every class weigh the same in the loss.
        sampling: ``balanced`` shows every class equally often. With ``class_weights`` a rare class counts twice.
        permute_labels: The classes or numbers of the training images are permuted with the seed, so that there is
            nothing true to learn (Adebayo et al. 2018, arXiv:1810.03292, §5).
        watch: ``gradients`` keeps the norm of every layer's gradient, its mean over the steps of each epoch.
        save: How often a checkpoint is taken, from which a run that was stopped goes on: a time or a number of epochs.
        tensorboard: The figures of every epoch are written as event files, too; needs ``mirada[tensorboard]``.
        batch_statistics: Of several processes: whether batch normalization goes by each one's images (``own``), or by
            those of all (``joint``), as if there were one process; then it waits for them at every such layer.
        device: As ``torch.device`` names it, or ``auto``.
        precision: Of matrix products; weights and sums stay in float32.
        flip_average: Whether the network's answer for an image is the mean of its outputs for the image and for its
            mirror image, wherever it is judged or used. ``evaluation.infer`` says more.
        contamination: What happens where test images are among those that ``weights``, a model file, was trained on:
            ``refuse`` to train, or ``mark`` every figure of the test.
        threshold: The rule by which a threshold of the probability of one class is chosen on the validation images:
            ``youden``, ``sensitivity=0.95``, ``specificity=0.9``, ``cost=FN:FP`` (what a missed and a false alarm
            cost). ``evaluation.threshold`` says more. None by default: which error is the worse one is for people to
            say.
        positive: The class of the threshold; ``evaluation.threshold.positive_class`` says which it is by default.
        clip: The largest norm of the gradient of all parameters together; a longer one is shortened to it. 0 for none.
        optimizer: A record of ``training.stepping``, with the learning rate.
        schedule: A record of ``training.schedules``, with the warm-up.
        average: ``LastWeights``, ``Ema`` or ``Polyak``: the average of weights that is judged and kept, if any.
        pixels: What the network reads of an image file.
        splits: What is set aside for validation and test.
        augment: What may happen to a training image.
        options: Those of the network's family, such as ``activation``. None is as if it were not there.

    Raises:
        RecipeError: For a value of the wrong type or out of its range.
    """

    model: str = setting("resnet18", "A network of `mirada models`.")
    weights: str = setting(
        "",
        "Public weights by name (`mirada weights list`), or a file of weights or a model, to start from.",
        file=True,
    )
    first_layer: str = setting("", "File whose first convolution, alone, is taken.", file=True)
    freeze: tuple[str, ...] = setting(
        (), "Parts that do not learn, such as stem,stage1; all: all but the head."
    )
    thaw: tuple[str, ...] = setting(
        (),
        "Frozen parts that learn in a second phase; without `freeze`, after the head. progressive: one by one.",
    )
    thaw_after: float = setting(0.3, "Share of the epochs before the second phase.", above=0, below=1)
    thaw_rate: float = setting(
        0.1, "Learning rate of a thawed part over that of the part behind it.", above=0, most=1
    )
    stage_rate: float = setting(
        1.0, "What the learning rate is multiplied by from each part to the one before it.", above=0
    )
    thaw_statistics: Literal["follow", "keep"] = setting(
        "follow", "What the statistics of thawed batch normalization do: follow the images again, or stay."
    )
    views: int = setting(
        4,
        "Augmented views of each image that frozen parts see, computed once; 0: new ones every epoch.",
        least=0,
    )
    epochs: int = setting(60, "Passes over the training images.", above=0)
    duration: str = setting(
        "", "Instead of epochs: a number of steps, images, minutes or hours, such as 64000 steps."
    )
    batch_size: int = setting(32, "Images per step.", above=0)
    micro_batch: int = setting(0, "Images that go through the network at once; 0: the batch.", least=0)
    patience: int = setting(0, "Epochs without improvement, after which training stops; 0: never.", least=0)
    seed: int = setting(0, "Of everything random: same seed, same machine, same weights.", least=0)
    loss: Literal["auto", "cross_entropy", "binary_cross_entropy", "map", "mse", "mae", "huber"] = setting(
        "auto", "What is minimized; auto: cross-entropy for classes, mse for numbers."
    )
    label_smoothing: float = setting(
        0.0, "Share of the probability that cross-entropy spreads over all classes.", least=0, below=1
    )
    class_weights: Literal["none", "balanced"] = setting(
        "none", "Let every class weigh the same in the loss."
    )
    sampling: Literal["shuffle", "balanced"] = setting("shuffle", "Show every class equally often.")
    permute_labels: bool = setting(
        False,
        "Deal the training labels out anew, for the test of maps by label randomisation and nothing else.",
    )
    save: Literal["auto"] | str = setting(
        "auto",
        "How often training saves: 10min, 2s, 1epoch …; auto: as often as takes at most 2 % of the time.",
    )
    batch_statistics: Literal["own", "joint"] = setting(
        "own",
        "Of several processes: whether batch normalization goes by each one's images, or by those of all.",
    )
    device: str = setting("auto", "cpu, cuda, cuda:1, mps; auto: the best there is.")
    precision: Literal["auto", "bfloat16", "float32"] = setting("auto", "Number format of matrix products.")
    flip_average: bool = setting(
        False, "Answers are the mean of the outputs for an image and for its mirror image."
    )
    contamination: Literal["refuse", "mark"] = setting(
        "refuse",
        "Where test images taught the weights to start from: no training, or a mark beside every figure.",
    )
    threshold: str = setting(
        "", "Rule for a threshold: youden, sensitivity=0.95, specificity=0.9 or cost=FN:FP; none without."
    )
    positive: str = setting(
        "", "Class of the threshold; else of two the one that is not called normal, benign or alike."
    )
    clip: float = setting(
        0.0, "Norm of the gradient, of all weights together, above which it is shortened; 0: none.", least=0
    )
    watch: Literal["nothing", "gradients"] = setting(
        "nothing", "What is kept of every epoch beside its figures: the norm of the gradient of every layer."
    )
    tensorboard: bool = setting(False, "Write the figures of every epoch for TensorBoard, too.")
    optimizer: Stepping = Adam()
    schedule: Schedule = Constant()
    average: Averaging = LastWeights()
    pixels: Pixels = Pixels()
    splits: Splits = Splits()
    augment: Augmentation = Augmentation()
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check(self, RecipeError)
        pace_of(self.save)
        if self.batch_statistics == "joint" and self.micro_batch:
            raise RecipeError(
                "`batch_statistics` = joint takes a batch as a whole, and `micro_batch` cuts it. Leave one of them out."
            )
        for name, kinds in PARTS.items():
            if not isinstance(part := getattr(self, name), kinds):
                known = " or ".join(kind.__name__ for kind in kinds)
                raise RecipeError(f"`{name}` of Recipe must be {known}. Got {shown(part)}.")
        object.__setattr__(self, "options", _plain_options(self.options))
        if self.threshold:
            ThresholdRule.parse(self.threshold)
        elif self.positive:
            raise RecipeError(
                f"`positive` names the class of a threshold, and there is none: set `threshold` as well, such as "
                f"threshold=youden. Got {shown(self.positive)}."
            )

    def with_settings(self, settings: Settings, *, origin: str = "settings") -> Self:
        """This recipe with some settings replaced.

        Args:
            settings: By short name (``lr``) or by full one (``optimizer.lr``, ``augment.zoom``). Tables with
                a kind (``optimizer``) take its name (``"sgd"``), ``augment`` that of a preset; all tables take a table.
            origin: Where they come from, for the message.

        Returns:
            A new recipe.

        Raises:
            RecipeError: For an unknown key (with the nearest one), a value that cannot be used, or a setting that
                the optimizer or the schedule does not take.
        """
        plain: dict[str, Any] = {}
        whole: dict[str, object] = {}
        inner: dict[str, dict[str, object]] = {name: {} for name in TABLES}
        try:
            for key, value in settings.items():
                table, name = place_of(key)
                stated = whole.get(table)
                if name in inner.get(table, {}) or (isinstance(stated, Mapping) and name in stated):
                    raise RecipeError(f"`{name}` is given twice, here as {shown_text(key)}. Give it once.")
                if not table:
                    plain[name] = value
                elif name:
                    inner[table][name] = value
                else:
                    twice = inner[table].keys() & (value.keys() if isinstance(value, Mapping) else ())
                    if twice:
                        raise RecipeError(
                            f"`{min(twice)}` is given twice, by itself and in the table {table}. Give it once."
                        )
                    whole[table] = value
            parts = {
                name: _part(name, getattr(self, name), whole.get(name), inner[name])
                for name in TABLES
                if name in whole or inner[name]
            }
            return replace(self, **plain, **parts)
        except (RecipeError, InvalidArgument) as error:
            raise RecipeError(f"{origin}: {error}") from error

    def to_dict(self) -> dict[str, object]:
        """The recipe as plain values.

        Returns:
            A value for each setting, a dict for each table; those with a ``kind`` have it first.
        """
        values = asdict(self)
        for name in KINDS:
            values[name] = {"kind": getattr(self, name).kind, **values[name]}
        return values

    def to_toml(self) -> str:
        """The recipe as TOML.

        Returns:
            All settings; ``read_settings`` of the text gives the same recipe, whatever recipe it is laid over.
        """
        return toml_text(self.to_dict())


KINDS: dict[str, dict[str, Any]] = {
    "optimizer": dict(OPTIMIZERS),
    "schedule": dict(SCHEDULES),
    "average": dict(AVERAGES),
}
PARTS: dict[str, tuple[type, ...]] = {
    **{name: tuple(kinds.values()) for name, kinds in KINDS.items()},
    "pixels": (Pixels,),
    "splits": (Splits,),
    "augment": (Augmentation,),
}
TABLES = (*PARTS, "options")
CARRIED = {"lr", "weight_decay", "warmup"}  # what stays when another optimizer or schedule is chosen
LONG = ("augment", "average")  # tables that are named before their settings, as in ``augment.zoom``
SHORT = {
    **dict.fromkeys(OPTION_NAMES, "options"),
    **{
        each.name: table
        for table, kinds in PARTS.items()
        if table not in LONG
        for kind in kinds
        for each in described(kind)
    },
}
PLAIN = tuple(each.name for each in described(Recipe))
SYNONYMS = {
    "learning_rate": "lr", "bs": "batch_size", "size": "image_size", "resolution": "image_size",
    "num_epochs": "epochs", "max_epochs": "epochs", "iterations": "epochs", "early_stopping": "patience",
    "network": "model", "architecture": "model", "arch": "model", "pretrained": "weights", "checkpoint": "weights",
    "l2": "weight_decay", "random_state": "seed", "augmentation": "augment", "normalization": "normalize",
    "ema": "average", "grad_clip": "clip", "clip_norm": "clip", "clipnorm": "clip", "tta": "flip_average",
}  # fmt: skip  # what other programs call a setting
ASKS = ("help", "?", "list", "settings")  # what people set to see what there is


def place_of(key: str) -> tuple[str, str]:
    """The table of a setting, "" for none, and its name in it, "" for the table itself.

    Raises ``RecipeError`` for an unknown key, with the nearest one.

    >>> place_of("lr"), place_of("head"), place_of("augment.zoom"), place_of("epochs")
    (('optimizer', 'lr'), ('options', 'head'), ('augment', 'zoom'), ('', 'epochs'))
    """
    if key in PLAIN:
        return "", key
    table, dot, name = key.partition(".") if key not in SHORT else (SHORT[key], ".", key)
    if table in TABLES and (name or not dot):
        return table, name
    if key in ASKS:
        raise RecipeError(f'there is no setting "{key}"; `mirada settings` lists those there are.')
    known = sorted({*PLAIN, *SHORT, *TABLES})
    raise RecipeError(f'there is no setting "{shown_text(key)}". {nearest(key[:100], known, SYNONYMS)}')


def _part(table: str, part: Any, whole: object, inner: dict[str, object]) -> Any:
    """A table of a recipe with new values: ``whole`` is what it is said to be, ``inner`` some of its settings."""
    if table == "options":
        if whole is not None and not isinstance(whole, Mapping):
            raise RecipeError(f"`options` must be a table. Got {shown(whole)}.")
        return {**(part if whole is None else whole), **inner}
    if isinstance(whole, PARTS[table]):
        part, whole = whole, None
    if table == "augment":
        if whole is not None:
            part = Augmentation() if isinstance(whole, Mapping) else augment_preset(whole)
            inner = {**(whole if isinstance(whole, Mapping) else {}), **inner}
    elif table in KINDS:
        stated = whole if isinstance(whole, Mapping) else {} if whole is None else {"kind": whole}
        inner = {**stated, **inner}
        part = _of_kind(table, part, inner.pop("kind", part.kind))
    elif whole is not None:
        if not isinstance(whole, Mapping):
            raise RecipeError(f"`{table}` must be a table. Got {shown(whole)}.")
        inner = {**whole, **inner}
    _require_taken(table, part, inner)
    return replace(part, **inner)


def _of_kind(table: str, part: Any, kind: object) -> Any:
    """The part itself, or one of another kind with what all kinds take: rate and weight decay, or the warm-up."""
    kinds = KINDS[table]
    if not isinstance(kind, str) or kind not in kinds:
        text = shown_text(kind)
        raise RecipeError(f'`{table}` cannot be "{text}". {nearest(text, kinds)}')
    if kind == part.kind:
        return part
    shared = {each.name for each in fields(part)} & {each.name for each in fields(kinds[kind])} & CARRIED
    return kinds[kind](**{name: getattr(part, name) for name in shared})


def _require_taken(table: str, part: Any, inner: Settings) -> None:
    known = {each.name for each in described(type(part))}
    for name in inner:
        if name in known:
            continue
        takers = [kind for kind, one in KINDS.get(table, {}).items() if name in one.__dataclass_fields__]
        if takers:
            raise RecipeError(
                f'{part.kind} takes no `{name}`. Leave it out, or choose {table} = "{takers[0]}". '
                f"Got {shown(inner[name])}."
            )
        raise RecipeError(f'{table}: there is no setting "{shown_text(name)}". {nearest(name[:100], known)}')


def _plain_options(options: object) -> dict[str, object]:
    if not isinstance(options, Mapping):
        raise RecipeError(f"`options` must be a table. Got {shown(options)}.")
    for name, value in options.items():
        if not isinstance(name, str) or not name.isidentifier() or not plain_value(value):
            raise RecipeError(f"options: {shown_text(name)} cannot be {shown(value)}.")
    return {name: value for name, value in options.items() if value is not None}


# The lecture notes' example, §5.1. Their shear is in degrees, as in Keras.
NOTES_AUGMENT = {"shear": 0.2, "zoom": 0.2, "horizontal_flip": "auto"}
PHOTO_AUGMENT = {
    "rotation": 10.0, "zoom": 0.15, "shift": 0.05, "horizontal_flip": "auto", "brightness": 0.2, "contrast": 0.2,
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


def augment_preset(name: object) -> Augmentation:
    """A named set of augmentations. Raises ``RecipeError`` with the nearest name."""
    if not isinstance(name, str) or name not in AUGMENT_PRESETS:
        text = shown_text(name)
        raise RecipeError(f'there is no augmentation "{text}". {nearest(text, AUGMENT_PRESETS)}')
    return Augmentation(**AUGMENT_PRESETS[name])
