"""The optimizers over plain tensors, and the learning rate as a pure function of the step.

``torch.optim``'s classes import PyTorch's compiler when the first one is made, which takes a second; their functions,
the same code, do not. The state is plain tensors by name.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.adam import adam
from torch.optim.rmsprop import rmsprop
from torch.optim.sgd import sgd

from mirada.training.recipe import Recipe

MOMENTS = {"sgd": ("velocity",), "adam": ("mean", "square"), "rmsprop": ("square", "velocity")}
COUNT = "count"  # of a parameter's steps; float32, as torch wants it
ADAM_BETAS, ADAM_EPS = (0.9, 0.999), 1e-8
RMSPROP_ALPHA, RMSPROP_EPS = 0.99, 1e-8


class Optimizer:
    """SGD with momentum (v ← μv + g, W ← W − lr·v), Adam or RMSprop on what is trainable in a network.

    Weight decay applies to weights only, not to biases and normalization parameters, which have one dimension.
    ``state`` holds, by the parameter's name, the moments in the parameter's shape and ``count``, the number of
    its steps.  Sources: Sutskever et al. 2013; Kingma & Ba 2014, arXiv:1412.6980, Alg. 1; Tieleman & Hinton 2012.
    """

    def __init__(self, network: nn.Module, recipe: Recipe) -> None:
        self.recipe = recipe
        self.parameters = {name: p for name, p in network.named_parameters() if p.requires_grad}
        self.state: dict[str, dict[str, Tensor]] = {
            name: {
                **{moment: torch.zeros_like(p) for moment in MOMENTS[recipe.optimizer]},
                COUNT: torch.zeros((), device=p.device),
            }
            for name, p in self.parameters.items()
        }

    def weight_decay(self, name: str) -> float:
        """How strongly a parameter is drawn towards zero."""
        return self.recipe.weight_decay if self.parameters[name].dim() > 1 else 0.0

    def zero_grad(self) -> None:
        """Forgets all gradients."""
        for parameter in self.parameters.values():
            parameter.grad = None

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """Moves every parameter that has a gradient."""
        groups: dict[float, list[str]] = {}
        for name, parameter in self.parameters.items():
            if parameter.grad is not None:
                groups.setdefault(self.weight_decay(name), []).append(name)
        for decay, names in groups.items():
            self._step(names, lr, decay)

    def _step(self, names: Sequence[str], lr: float, decay: float) -> None:
        """Parameters of one weight decay. ``fused``: one pass over memory for all that a step computes."""
        parameters: list[Tensor] = [self.parameters[name] for name in names]
        gradients = [p.grad for p in parameters if p.grad is not None]
        counts = [self.state[name][COUNT] for name in names]
        moments = [[self.state[name][moment] for name in names] for moment in MOMENTS[self.recipe.optimizer]]
        momentum = self.recipe.momentum
        if self.recipe.optimizer == "sgd":
            torch._foreach_add_(counts, 1)
            velocity: list[Tensor | None] = list(moments[0])
            sgd(
                parameters, gradients, velocity, lr=lr, weight_decay=decay, momentum=momentum, dampening=0,
                nesterov=False, maximize=False, fused=True,
            )  # fmt: skip
        elif self.recipe.optimizer == "adam":
            mean, square = moments
            adam(
                parameters, gradients, mean, square, [], counts, lr=lr, weight_decay=decay, beta1=ADAM_BETAS[0],
                beta2=ADAM_BETAS[1], eps=ADAM_EPS, amsgrad=False, maximize=False, fused=True,
            )  # fmt: skip
        else:
            square, motion = moments
            rmsprop(
                parameters, gradients, square, [], motion, counts, lr=lr, weight_decay=decay, momentum=momentum,
                alpha=RMSPROP_ALPHA, eps=RMSPROP_EPS, centered=False,
            )  # fmt: skip


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """The rate at a step of the whole run, counted from 0.

    A linear warm-up over ``warmup`` epochs, then the rate itself (``constant``), half a cosine that would reach
    zero one step after the last (``cosine``; Loshchilov & Hutter 2016, arXiv:1608.03983, eq. 5, no restarts), or
    lr / (1 + decay · t) at step t after the warm-up (``time``; what Keras 2's optimizers did with ``decay``).
    """
    warmup = round(recipe.warmup * steps_per_epoch)
    if step < warmup:
        return recipe.lr * (step + 1) / warmup
    if recipe.schedule == "constant":
        return recipe.lr
    if recipe.schedule == "time":
        return recipe.lr / (1 + recipe.decay * (step - warmup))
    rest = max(1, recipe.epochs * steps_per_epoch - warmup)
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / rest))
