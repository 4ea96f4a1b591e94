"""What each family of networks takes and how training begins with it, readable without torch.

One row per family: the function that builds it, its options, and the recipe that its networks start from, as plain
settings over the defaults of ``training.recipe.Recipe``. What one network has that its family has not is in ``OWN``.
A test holds every option against the builder's signature and behaviour.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from mirada.models.options import Option, Value

Settings = Mapping[str, object]  # keys of a recipe; ``augment.crop`` reaches into a table
Scale = Literal["imagenet", "half"]
Loss = Literal["cross_entropy", "map"]

# ---- options ---------------------------------------------------------------------------------

ACTIVATIONS = (
    "absolute", "leaky_relu", "prelu", "prelu_per_channel", "relu", "scaled_tanh", "sigmoid", "tanh",
)  # fmt: skip
AVERAGE = "average"  # global average pooling and one linear layer: the form of which class maps are exact
CAM = "cam"  # a convolution before those, behind a stage of which the final pooling is taken away (``models/cam.py``)
ACTIVATION = Option(default="relu", choices=ACTIVATIONS, meaning="the activation behind every weighted layer")
AVERAGE_HEAD = Option(
    default=AVERAGE,
    choices=(AVERAGE,),
    meaning="average each map, then one linear layer (arXiv:1512.04150); class maps are exact",
)
DENSE_HEAD = Option(
    default="dense",
    choices=("dense", AVERAGE),
    meaning="dense: as published; average: average each map, then one linear layer, with exact class maps (the default "
    "with public weights)",
)
AUXILIARY = Option(default=False, meaning="heads in the middle of the network that help in training")
CAM_OPTIONS: Mapping[str, Option] = {  # of every network whose parts put out maps with places
    "cam_after": Option(
        default="", meaning="with head=cam: the stage behind which it is cut; empty: the last"
    ),
    "cam_width": Option(
        default=1024,
        least=1,
        most=65_536,
        meaning="with head=cam: maps of the 3 x 3 convolution before the average",
    ),
    "cam_groups": Option(default=1, least=1, most=1024, meaning="with head=cam: groups of this convolution"),
}
OF_THE_HEADS = frozenset(
    {"head", "dropout", "auxiliary", *CAM_OPTIONS}
)  # options that change no part before them
OWN_HEAD = "own"  # what a stack has behind its maps; the head of averages where it has nothing
CAM_MEANING = (
    "cut behind cam_after, then a 3 x 3 convolution, average and linear, with finer exact class maps"
)


def dropout(share: float) -> Option:
    """The option of a network that leaves out this share in training."""
    return Option(
        default=share,
        least=0,
        most=1,
        meaning="share of the values before a linear layer of the head that training leaves out",
    )


# ---- recipes ---------------------------------------------------------------------------------

# Adam, because it needs no rate of its own for every network, size and task: with SGD at 0.02 ``resnet18`` diverges
# where it learns a number, and ``resnet20`` stays at the mean. Without batch normalization the rate is lower.
ADAM: Settings = {
    "optimizer": "adam", "lr": 1e-3, "weight_decay": 5e-4, "schedule": "cosine", "warmup": 1.0,
    "augment": "photos", "augment.crop": 0.35,
}  # fmt: skip
GENTLE_ADAM: Settings = {**ADAM, "lr": 3e-4}


@dataclass(frozen=True, kw_only=True)
class Family:
    """Networks that one function builds.

    ``builder`` is that function, ``module:name`` in this folder. ``recipe`` holds the settings to begin training with.
    ``maps`` says whether its parts put out maps with places, which can be averaged.
    """

    builder: str
    options: Mapping[str, Option]
    recipe: Settings = field(default_factory=lambda: ADAM)
    maps: bool = True


@dataclass(frozen=True, kw_only=True)
class Own:
    """What one network has in place of its family's; an option of None is one that it does not have.

    ``scale`` is that of the pixel values that its public weights expect: ``imagenet``, or ``half``, from −1 to 1; None
    where they expect another, which the catalogue of weights knows.
    ``loss`` is what the recipe's ``auto`` stands for with classes: ``map`` where the outputs are minus a squared
    distance to the code of each class.
    ``of`` is the network of the family that it is cut from, and ``cam`` the values of ``CAM_OPTIONS`` that it has then;
    it has no other head.
    """

    options: Mapping[str, Option | None] = field(default_factory=dict)
    recipe: Settings = field(default_factory=dict)
    scale: Scale | None = "imagenet"
    loss: Loss = "cross_entropy"
    of: str = ""
    cam: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What there is to know of a network besides its layers: its family's, and its own on top.

    ``taken`` are the options that the builder takes, and ``uncut`` is the name by which it knows the network.
    """

    builder: str
    options: Mapping[str, Option]
    recipe: Settings
    scale: Scale | None
    loss: Loss
    taken: tuple[str, ...]
    uncut: str

    def loss_with(self, options: Mapping[str, object]) -> Loss:
        """The loss for classes when it is built with these options: a head of averages has no codes to compare."""
        return "cross_entropy" if options.get("head") in (AVERAGE, CAM) else self.loss


FAMILIES: dict[str, Family] = {
    "mlp": Family(
        builder="mlp:mlp",
        options={
            "widths": Option(default=(256, 128), least=1, most=65_536, meaning="units of each hidden layer"),
            "activation": ACTIVATION,
            "head": DENSE_HEAD,
        },
        recipe={"schedule": "cosine", "augment": "digits"},
        maps=False,
    ),
    "lenet": Family(
        builder="lenet:lenet",
        options={"activation": ACTIVATION, "head": DENSE_HEAD},
        recipe={
            "epochs": 60, "batch_size": 64, "lr": 2e-3, "weight_decay": 5e-4, "schedule": "cosine", "augment": "digits",
        },
    ),
    "alexnet": Family(
        builder="alexnet:alexnet",
        options={"activation": ACTIVATION, "dropout": dropout(0.5), "head": DENSE_HEAD},
        recipe=GENTLE_ADAM,
    ),
    "overfeat": Family(
        builder="overfeat:overfeat",
        options={"activation": ACTIVATION, "dropout": dropout(0.5), "head": DENSE_HEAD},
        recipe=GENTLE_ADAM,
    ),
    "vgg": Family(
        builder="vgg:vgg",
        options={"activation": ACTIVATION, "dropout": dropout(0.5), "head": DENSE_HEAD},
        recipe=GENTLE_ADAM,
    ),
    "googlenet": Family(
        builder="googlenet:googlenet",
        options={
            "activation": ACTIVATION,
            "dropout": dropout(0.4),
            "auxiliary": AUXILIARY,
            "head": AVERAGE_HEAD,
        },
        recipe={**ADAM, "options.auxiliary": True},
    ),
    "inception": Family(
        builder="inception:inception",
        options={
            "activation": ACTIVATION,
            "dropout": dropout(0.5),
            "auxiliary": AUXILIARY,
            "head": AVERAGE_HEAD,
        },
    ),
    "inception_v4": Family(
        builder="inception_v4:inception_v4",
        options={"activation": ACTIVATION, "dropout": dropout(0.2), "head": AVERAGE_HEAD},
        recipe={**ADAM, "label_smoothing": 0.1},
    ),
    "resnet": Family(
        builder="resnet:resnet",
        options={
            "version": Option(
                default=1.5,
                choices=(1, 1.5),
                meaning="which convolution of a bottleneck strides: the first (1, the paper) or the middle (1.5)",
            ),
            "shortcut": Option(
                default="B",
                choices=("A", "B", "C"),
                meaning="where shapes change: A pads, B projects; C projects everywhere (§3.3)",
            ),
            "width": Option(
                default=1, least=1, most=16, meaning="how many times the maps of each stage, k (arXiv:1605.07146)"
            ),
            "activation": ACTIVATION,
            "head": AVERAGE_HEAD,
        },
    ),
    "densenet": Family(
        builder="densenet:densenet",
        options={
            "growth": Option(default=32, least=1, most=1024, meaning="maps that each layer adds, k"),
            "compression": Option(
                default=0.5, least=0.01, most=1, meaning="share of the maps that a transition keeps, θ"
            ),
            "activation": ACTIVATION,
            "head": AVERAGE_HEAD,
        },
    ),
    "simplecnn": Family(
        builder="simplecnn:simplecnn",
        options={"activation": ACTIVATION, "head": DENSE_HEAD},
        # the notes': Adam at 1e-3, batches of 32, pixel values 0 … 1; not theirs: schedule, augment
        recipe={"epochs": 25, "normalize": "unit", "schedule": "cosine", "augment": "photos"},
    ),
    "bonet": Family(
        builder="bonet:bonet",
        options={
            "stride": Option(default=2, least=1, most=64, meaning="stride of the first layer"),
            "padding": Option(
                default="valid",
                choices=("same", "valid"),
                meaning="same: convolutions keep the size; valid: none pads",
            ),
            "head": Option(
                default="flatten",
                choices=("flatten", "average_dense", AVERAGE),
                meaning="flatten or average_dense: every value, or each map's mean, into 2,048 units; "
                "average: each map's mean into one linear layer, with exact class maps",
            ),
            "deformation": Option(default=False, meaning="a spatial transformer behind the first layer"),
            "activation": ACTIVATION,
        },
        # The notes', §5.2 and §5.3: MAE, the rate, its decay, momentum, the frozen first layer, 150 passes. They may
        # mean iterations by the passes, or weight decay by the decay; these are the defaults of Keras, which they use.
        # Of batch size, augmentation, warm-up and weight decay they say nothing: 32 as in their §5.1, and none.
        recipe={
            "epochs": 150, "optimizer": "sgd", "lr": 0.002, "momentum": 0.9, "schedule": "time", "decay": 2e-4,
            "loss": "mae", "freeze": ["stem"], "views": 0,
        },
    ),
}  # fmt: skip

# Of networks that no paper has (``catalogue.OF_ONES_OWN``).
OF_ONES_OWN: dict[str, Family] = {
    "stack": Family(
        builder="stack:stack",
        options={
            "layers": Option(
                default="flatten",
                meaning='the stack, such as "conv 6 k5; relu; pool k2; flatten; dense 84; relu"',
            ),
            "head": Option(
                default=OWN_HEAD,
                choices=(OWN_HEAD, AVERAGE, "dense"),
                meaning="own: what the stack has behind its maps, or average where it has nothing; average: average "
                "each map, then one linear layer, with exact class maps; dense: flatten them, then one linear layer",
            ),
        },
        recipe={"schedule": "cosine", "warmup": 1.0, "augment": "photos"},
    ),
    "module": Family(
        builder="module:module",
        options={"class_name": Option(default="", meaning="the class that builds it")},
        recipe={"schedule": "cosine", "warmup": 1.0, "augment": "photos"},
        maps=False,
    ),
}

# A plain network has no shortcuts; the CIFAR networks pad theirs, and they alone may be wider.
_IMAGENET = Own(options={"width": None})
_PLAIN = Own(options={"shortcut": None, "width": None})
_PLAIN_CIFAR = Own(options={"shortcut": None})
_CIFAR = Own(options={"shortcut": replace(FAMILIES["resnet"].options["shortcut"], default="A")})
_TRAINED_WITH_HEADS: Settings = {"label_smoothing": 0.1, "options.auxiliary": True}
# Whose public weights, torchvision's as well as timm's, were trained on values from −1 to 1; all others on ImageNet's
# scale. (torchvision's own networks turn the latter into the former.)
OWN: dict[str, Own] = {
    "lenet5_1998": Own(  # the passes of 1998, with the loss of then
        options={
            "activation": replace(ACTIVATION, default="scaled_tanh"),
            "head": Option(
                default="codes",
                choices=("codes", AVERAGE),
                meaning="codes: distances to fixed codes, as published; average: average each map, then linear",
            ),
        },
        recipe={"epochs": 20, "batch_size": 32},
        loss="map",
    ),
    "googlenet_bn": Own(options={"dropout": dropout(0.2)}, scale="half"),
    "bn_inception": Own(options={"dropout": dropout(0.0), "auxiliary": None}, scale=None),  # Caffe's, to 255
    "inception_v2": Own(recipe=_TRAINED_WITH_HEADS),
    "inception_v3": Own(recipe=_TRAINED_WITH_HEADS, scale="half"),
    "inception_v4": Own(scale="half"),
    "inception_resnet_v2": Own(scale="half"),
    "densenet161": Own(options={"growth": replace(FAMILIES["densenet"].options["growth"], default=48)}),
    "bonet_simple": Own(
        options={"head": replace(FAMILIES["bonet"].options["head"], default="average_dense")}
    ),
    # Zhou et al. 2016: AlexNet by their §3, VGG16 and GoogLeNet as released (a CAM_conv of two groups; no dropout).
    "alexnet_gap": Own(of="alexnet", cam={"cam_after": "stage4", "cam_width": 1024}),
    "vgg16_gap": Own(of="vgg16", cam={"cam_after": "stage4", "cam_width": 1024, "cam_groups": 2}),
    "googlenet_gap": Own(
        of="googlenet", options={"dropout": dropout(0.0)}, cam={"cam_after": "stage4", "cam_width": 1024}
    ),
    **dict.fromkeys(("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"), _IMAGENET),
    **dict.fromkeys(("resnet20", "resnet32", "resnet44", "resnet56", "resnet110"), _CIFAR),
    **dict.fromkeys(("plain18", "plain34"), _PLAIN),
    **dict.fromkeys(("plain20", "plain32", "plain44", "plain56", "plain110"), _PLAIN_CIFAR),
}


# The names of the options that any network has.
_ROWS: list[Family | Own] = [*FAMILIES.values(), *OF_ONES_OWN.values(), *OWN.values()]
OPTION_NAMES = tuple(sorted({name for row in _ROWS for name in row.options} | CAM_OPTIONS.keys()))


def facts_of(name: str, family: str) -> Facts:
    """The facts of a network of this family; ``mirada.models.facts`` finds the family by itself."""
    row, own = {**FAMILIES, **OF_ONES_OWN}[family], OWN.get(name, Own())
    options = {key: option for key, option in {**row.options, **own.options}.items() if option is not None}
    return Facts(
        builder=row.builder,
        options={**options, **_cam_options(options["head"], own)} if row.maps else options,
        recipe={**row.recipe, **own.recipe},
        scale=own.scale,
        loss=own.loss,
        # An option with a single choice decides nothing, and no builder takes it.
        taken=tuple(key for key, option in options.items() if len(option.choices) != 1),
        uncut=own.of or name,
    )


def _cam_options(head: Option, own: Own) -> dict[str, Option]:
    """What a head of class activation maps adds to the options of a network, its head among them."""
    added = {
        key: replace(option, default=own.cam.get(key, option.default)) for key, option in CAM_OPTIONS.items()
    }
    if own.of:
        return {"head": Option(default=CAM, choices=(CAM,), meaning=CAM_MEANING), **added}
    meaning = f"{head.meaning}; {CAM}: {CAM_MEANING}"
    return {"head": replace(head, choices=(*head.choices, CAM), meaning=meaning), **added}
