"""Optimizers as PyTorch has them, and the learning rate as a pure function of the step."""

import math

import torch
from torch import nn

from mirada.training.recipe import Recipe


def make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """SGD with momentum (v ← μv + g, W ← W − lr·v), Adam or RMSprop.

    Weight decay applies to weights only, not to biases and normalisation parameters, which have one dimension.
    """
    parameters = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, fused=True)
    if recipe.optimizer == "adam":
        return torch.optim.Adam(groups, lr=recipe.lr, fused=True)
    return torch.optim.RMSprop(groups, lr=recipe.lr, momentum=recipe.momentum)


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """The rate at a step of the whole run, counted from 0.

    A linear warm-up over ``warmup`` epochs, then the rate itself (``constant``) or half a cosine that would reach
    zero one step after the last (``cosine``; Loshchilov & Hutter 2016, arXiv:1608.03983, eq. 5, no restarts).
    """
    warmup = round(recipe.warmup * steps_per_epoch)
    if step < warmup:
        return recipe.lr * (step + 1) / warmup
    if recipe.schedule == "constant":
        return recipe.lr
    rest = max(1, recipe.epochs * steps_per_epoch - warmup)
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / rest))
