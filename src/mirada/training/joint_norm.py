"""Batch normalization by the images of all processes that train together, as if there were one.

PyTorch's ``SyncBatchNorm`` does the same on GPUs, and refuses processors.
"""

from typing import Any

import torch
from torch import Tensor, nn

from mirada.processes.ranks import here


class JointSum(torch.autograd.Function):
    """The sum of a tensor over all processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(context: Any, value: Tensor) -> Tensor:
        """The sum, of a tensor of any shape."""
        total = value.clone()
        here().sum([total])
        return total

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        """The gradient, of a tensor of any shape."""
        (total,) = (each.clone() for each in gradients)
        here().sum([total])
        return total


def joint_sum(value: Tensor) -> Tensor:
    """The sum over all processes of a tensor of any shape, through which gradients go."""
    total: Tensor = JointSum.apply(value)  # type: ignore[no-untyped-call]
    return total


class JointBatchNorm(nn.BatchNorm2d):
    """Batch normalization whose mean and variance are those of the images of all processes."""

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, H, W)."""
        ranks = here()
        if not self.training or ranks.size == 1:
            return super().forward(images)
        counts = 0.0 if ranks.idle else 1.0  # an image that is only shown so that a process takes part
        values = images.float()
        number = torch.tensor([counts * values.numel() / values.shape[1]], device=values.device)
        sums = joint_sum(torch.cat((counts * values.sum((0, 2, 3)), number)))
        mean, total = sums[:-1] / sums[-1], sums[-1].detach()
        centred = values - mean[:, None, None]
        variance = joint_sum(counts * centred.square().sum((0, 2, 3))) / total
        self._follow(mean.detach(), variance.detach() * total / (total - 1))
        factor: Tensor = torch.rsqrt(variance + self.eps) * self.weight
        return (centred * factor[:, None, None] + self.bias[:, None, None]).to(images.dtype)

    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Takes a batch into the running statistics; ``variance`` is the unbiased one."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


def normalize_jointly(network: nn.Module) -> None:
    """Lets all batch normalization of a network go by the images of all processes; its tensors stay as they are."""
    for layer in network.modules():
        if type(layer) is nn.BatchNorm2d:
            layer.__class__ = JointBatchNorm


def normalizes_jointly(network: nn.Module) -> bool:
    """Whether batch normalization of a network goes by the images of all processes."""
    return any(isinstance(layer, JointBatchNorm) for layer in network.modules())
