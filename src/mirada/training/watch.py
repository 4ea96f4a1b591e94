"""How steep the loss is along the weights of every layer, epoch by epoch: what a network's depth does to learning."""

import torch
from torch import Tensor, nn

KERNEL = 2  # dimensions from which a tensor of weights is a layer's own, and no scale or bias


class GradientNorms:
    """The norm ‖∂L/∂W‖₂ of every convolution and dense layer, its mean over the steps of an epoch.

    It is taken before gradients are clipped, and of the parts that learn; it changes nothing.

    Args:
        network: What is trained, on its device.

    Source: Glorot & Bengio 2010, AISTATS, §4.2.1 (gradients by layer); He et al. 2015, arXiv:1512.03385, §4.1.
    """

    def __init__(self, network: nn.Module) -> None:
        named = network.named_parameters()
        self.weights = {name: weight for name, weight in named if weight.dim() >= KERNEL}
        device = next(iter(self.weights.values())).device if self.weights else None
        self.sums = torch.zeros(len(self.weights), dtype=torch.float64, device=device)
        self.steps = torch.zeros(len(self.weights), dtype=torch.float64, device=device)

    def see(self) -> None:
        """Takes the gradients of a step."""
        for place, weight in enumerate(self.weights.values()):
            if weight.grad is not None:
                self.sums[place] += weight.grad.float().norm()
                self.steps[place] += 1

    def take(self) -> dict[str, float]:
        """The mean norm since the last call of every layer that had a gradient, from the input to the output."""
        means = (self.sums / self.steps).tolist()
        found = {
            name.removesuffix(".weight"): mean
            for name, mean, steps in zip(self.weights, means, self.steps.tolist(), strict=True)
            if steps
        }
        self.sums.zero_()
        self.steps.zero_()
        return found

    def tensors(self) -> dict[str, Tensor]:
        """What has been seen since the last ``take``; the tensors themselves, not copies."""
        return {"sums": self.sums, "steps": self.steps}
