"""How a gradient g becomes a step of the weights W. A new way is a class, a name below, and a case in ``optimizer``."""

from dataclasses import dataclass
from typing import ClassVar

from mirada.errors import RecipeError
from mirada.settings import check, setting

LR = "Learning rate, per step of `batch_size` images; the highest one where a schedule changes it."
WEIGHT_DECAY = "How strongly weights, not biases, are drawn towards 0."
MOMENTUM = "The share of the last step that is added to the next one."
ALPHA = "What each step leaves of the mean of squared gradients."
EPS = "What is added so that nothing is divided by 0."


@dataclass(frozen=True, kw_only=True)
class Adam:
    """Kingma & Ba 2014, arXiv:1412.6980, Alg. 1, with its β and ε; weight decay is added to the gradient."""

    kind: ClassVar[str] = "adam"
    lr: float = setting(1e-3, LR, above=0)
    weight_decay: float = setting(0.0, WEIGHT_DECAY, least=0)

    def __post_init__(self) -> None:
        check(self, RecipeError)


@dataclass(frozen=True, kw_only=True)
class AdamW(Adam):
    """Adam whose weight decay shrinks the weights themselves, by lr · weight_decay each step.

    Source:
        Loshchilov & Hutter 2017, arXiv:1711.05101, Alg. 2.
    """

    kind: ClassVar[str] = "adamw"


@dataclass(frozen=True, kw_only=True)
class Sgd:
    """Stochastic gradient descent: v ← μv + g, W ← W − lr · v; by Nesterov's rule W ← W − lr · (g + μv).

    Source:
        Sutskever et al. 2013, ICML 28:1139, eq. 1–4, in the form of PyTorch.
    """

    kind: ClassVar[str] = "sgd"
    lr: float = setting(1e-3, LR, above=0)
    momentum: float = setting(0.9, MOMENTUM, least=0)
    nesterov: bool = setting(False, "Whether the gradient is taken where the momentum leads.")
    weight_decay: float = setting(0.0, WEIGHT_DECAY, least=0)

    def __post_init__(self) -> None:
        check(self, RecipeError)


@dataclass(frozen=True, kw_only=True)
class NotesMomentum:
    """The rule of the lecture notes, §2.2.2: v ← μv − lr · g, W ← W + v, with the step v in the place of the gradient.

    As printed it is W(τ+1) = W(τ) − lr · g(τ) + μ · g(τ−1), whose last term leads up the slope just come down: with
    μ > lr it runs away. ``reference.optimizer`` tells more.
    """

    kind: ClassVar[str] = "notes"
    lr: float = setting(1e-3, LR, above=0)
    momentum: float = setting(0.9, MOMENTUM, least=0)
    as_printed: bool = setting(False, "The notes' rule with its misprint, which runs away.")
    weight_decay: float = setting(0.0, WEIGHT_DECAY, least=0)

    def __post_init__(self) -> None:
        check(self, RecipeError)


@dataclass(frozen=True, kw_only=True)
class Rmsprop:
    """s ← αs + (1 − α)g², v ← μv + g / (√s + ε), W ← W − lr · v, s beginning at 0: PyTorch's.

    Source:
        Tieleman & Hinton 2012, lecture 6e of "Neural networks for machine learning"; ``torch.optim.RMSprop``.
    """

    kind: ClassVar[str] = "rmsprop"
    lr: float = setting(1e-3, LR, above=0)
    momentum: float = setting(0.0, MOMENTUM, least=0)
    alpha: float = setting(0.99, ALPHA, least=0, below=1)
    eps: float = setting(1e-8, EPS, above=0)
    weight_decay: float = setting(0.0, WEIGHT_DECAY, least=0)

    def __post_init__(self) -> None:
        check(self, RecipeError)


@dataclass(frozen=True, kw_only=True)
class RmspropTF(Rmsprop):
    """s ← αs + (1 − α)g², v ← μv + lr · g / √(s + ε), W ← W − v, s beginning at 1: TensorFlow's.

    By it the Inception networks were trained, with ε = 1, where the two rules are far apart.

    Source:
        ``tf.compat.v1.train.RMSPropOptimizer``; Szegedy et al. 2015, arXiv:1512.00567, §8.
    """

    kind: ClassVar[str] = "rmsprop_tf"
    alpha: float = setting(0.9, ALPHA, least=0, below=1)
    eps: float = setting(1e-10, EPS, above=0)


Stepping = Adam | AdamW | Sgd | NotesMomentum | Rmsprop | RmspropTF
OPTIMIZERS: dict[str, type[Stepping]] = {
    each.kind: each for each in (Adam, AdamW, Sgd, NotesMomentum, Rmsprop, RmspropTF)
}
