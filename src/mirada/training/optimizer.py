"""The optimizers over plain tensors.

``torch.optim``'s classes import PyTorch's compiler when the first one is made, which takes a second; their functions,
the same code, do not. The state is plain tensors by name.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim.rmsprop import rmsprop
from torch.optim.sgd import sgd

from mirada.training.stepping import Adam, AdamW, NotesMomentum, Rmsprop, RmspropTF, Sgd, Stepping

COUNT = "count"  # of a parameter's steps; float32, as torch wants it
ADAM_BETAS, ADAM_EPS = (0.9, 0.999), 1e-8


def moments_of(stepping: Stepping) -> dict[str, float]:
    """What is remembered of a parameter from step to step, in the parameter's shape, and where each begins."""
    match stepping:
        case Sgd():
            return {"velocity": 0.0}
        case NotesMomentum(as_printed=as_printed):
            return {"gradient" if as_printed else "velocity": 0.0}
        case Adam():
            return {"mean": 0.0, "square": 0.0}
        case RmspropTF():
            return {"square": 1.0, "velocity": 0.0}
        case Rmsprop():
            return {"square": 0.0, "velocity": 0.0}


class Optimizer:
    """Moves what is trainable in a network as a record of ``training.stepping`` says.

    Weight decay applies to weights only, not to biases and normalization parameters, which have one dimension.
    ``state`` holds, by the parameter's name, the moments in the parameter's shape and ``count``, the number of
    its steps.

    Args:
        network: Whose parameters it moves.
        stepping: How a gradient becomes a step.
        clip: The largest norm of the gradient of all parameters together, to which a longer one is shortened; 0 for
            none.
        factors: By the name of a part, what the learning rate is multiplied by; else 1.

    Source:
        Pascanu, Mikolov & Bengio 2012, arXiv:1211.5063, Alg. 1, for ``clip``.
    """

    def __init__(
        self,
        network: nn.Module,
        stepping: Stepping,
        clip: float = 0.0,
        factors: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self.stepping = stepping
        self.clip = clip
        self.moments = moments_of(stepping)
        self.parameters: dict[str, nn.Parameter] = {}
        self.state: dict[str, dict[str, Tensor]] = {}
        self.factors: dict[str, float] = {}
        self.include(network, factors)

    def include(self, network: nn.Module, factors: Mapping[str, float]) -> None:
        """Takes up what has become trainable; what it moves already, it goes on moving as before.

        Args:
            network: That of the beginning.
            factors: By the name of a part, what the learning rate of its new parameters is multiplied by; else 1.
        """
        for name, parameter in network.named_parameters():
            if not parameter.requires_grad or name in self.parameters:
                continue
            self.parameters[name] = parameter
            self.factors[name] = factors.get(name.partition(".")[0], 1.0)
            self.state[name] = {
                **{moment: torch.full_like(parameter, begin) for moment, begin in self.moments.items()},
                COUNT: torch.zeros((), device=parameter.device),
            }

    def weight_decay(self, name: str) -> float:
        """How strongly a parameter is drawn towards zero."""
        return self.stepping.weight_decay if self.parameters[name].dim() > 1 else 0.0

    def zero_grad(self) -> None:
        """Forgets all gradients."""
        for parameter in self.parameters.values():
            parameter.grad = None

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """Moves every parameter that has a gradient."""
        if self.clip:
            clip_grad_norm_(self.parameters.values(), self.clip)
        groups: dict[tuple[float, float], list[str]] = {}
        for name, parameter in self.parameters.items():
            if parameter.grad is not None:
                groups.setdefault((self.weight_decay(name), self.factors[name]), []).append(name)
        for (decay, factor), names in groups.items():
            self._step(names, lr * factor, decay)

    def _step(self, names: Sequence[str], lr: float, decay: float) -> None:
        """Parameters of one weight decay. ``fused``: one pass over memory for all that a step computes."""
        parameters: list[Tensor] = [self.parameters[name] for name in names]
        gradients = [p.grad for p in parameters if p.grad is not None]
        counts = [self.state[name][COUNT] for name in names]
        moments = [[self.state[name][moment] for name in names] for moment in self.moments]
        match self.stepping:
            case Sgd(momentum=momentum, nesterov=nesterov):
                torch._foreach_add_(counts, 1)
                velocity: list[Tensor | None] = list(moments[0])
                sgd(
                    parameters, gradients, velocity, lr=lr, weight_decay=decay, momentum=momentum, dampening=0,
                    nesterov=nesterov, maximize=False, fused=True,
                )  # fmt: skip
            case Adam():
                mean, square = moments
                torch._foreach_add_(counts, 1)
                fused = torch._fused_adamw_ if isinstance(self.stepping, AdamW) else torch._fused_adam_
                fused(
                    parameters, gradients, mean, square, [], counts, lr=lr, weight_decay=decay, beta1=ADAM_BETAS[0],
                    beta2=ADAM_BETAS[1], eps=ADAM_EPS, amsgrad=False, maximize=False,
                )  # fmt: skip
            case NotesMomentum():
                torch._foreach_add_(counts, 1)
                _notes_step(self.stepping, parameters, gradients, moments[0], lr, decay)
            case RmspropTF():
                torch._foreach_add_(counts, 1)
                square, motion = moments
                _tensorflow_step(self.stepping, parameters, gradients, square, motion, lr, decay)
            case Rmsprop(momentum=momentum, alpha=alpha, eps=eps):
                square, motion = moments
                rmsprop(
                    parameters, gradients, square, [], motion, counts, lr=lr, weight_decay=decay, momentum=momentum,
                    alpha=alpha, eps=eps, centered=False,
                )  # fmt: skip


def _notes_step(
    rule: NotesMomentum,
    parameters: list[Tensor],
    gradients: list[Tensor],
    remembered: list[Tensor],
    lr: float,
    decay: float,
) -> None:
    """One step of the lecture notes' rule; what is remembered is the last step, or as printed the last gradient."""
    gradients = list(torch._foreach_add(gradients, parameters, alpha=decay))
    if rule.as_printed:
        torch._foreach_add_(parameters, gradients, alpha=-lr)
        torch._foreach_add_(parameters, remembered, alpha=rule.momentum)
        torch._foreach_copy_(remembered, gradients)
        return
    torch._foreach_mul_(remembered, rule.momentum)
    torch._foreach_add_(remembered, gradients, alpha=-lr)
    torch._foreach_add_(parameters, remembered)


def _tensorflow_step(
    rule: RmspropTF,
    parameters: list[Tensor],
    gradients: list[Tensor],
    square: list[Tensor],
    motion: list[Tensor],
    lr: float,
    decay: float,
) -> None:
    """One step of TensorFlow's RMSprop: ε within the root, and the rate within the momentum."""
    gradients = list(torch._foreach_add(gradients, parameters, alpha=decay))
    torch._foreach_mul_(square, rule.alpha)
    torch._foreach_addcmul_(square, gradients, gradients, value=1 - rule.alpha)
    roots = torch._foreach_add(square, rule.eps)
    torch._foreach_sqrt_(roots)
    torch._foreach_mul_(motion, rule.momentum)
    torch._foreach_addcdiv_(motion, gradients, roots, value=lr)
    torch._foreach_sub_(parameters, motion)
