"""What processes that train together tell each other at a step, so that all of them take the very same one."""

import torch
from torch import Tensor

from mirada.processes.ranks import Ranks
from mirada.training.state import TrainState


def exchange(ranks: Ranks, state: TrainState, loss: Tensor) -> Tensor:
    """Makes the gradients of a process those of the whole batch, and its statistics of normalization everybody's.

    Every process has divided the loss of its images by the number of all, so that the sum of the gradients is that of
    the mean loss of the batch, however unevenly it is shared out. A parameter that has a gradient in no process keeps
    none. Running means and variances become the mean over the processes that had images, so that the first one's
    state is that of all.

    Args:
        ranks: The processes.
        state: Of the training; gradients and running statistics are changed.
        loss: What this process adds to the mean loss of the batch.

    Returns:
        The mean loss of the batch.
    """
    parameters = list(state.optimizer.parameters.values())
    there = [float(parameter.grad is not None) for parameter in parameters]
    words = torch.tensor([float(not ranks.idle), *there], device=loss.device)
    words = torch.cat((loss.detach().view(1), words))
    gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in parameters]
    running = [each for each in state.network.buffers() if each.is_floating_point()]
    if ranks.idle:
        for each in running:
            each.zero_()
    ranks.sum([*gradients, *running, words])
    total, busy, *known = words.tolist()
    for each in running:
        each.div_(busy)
    for parameter, gradient, count in zip(parameters, gradients, known, strict=True):
        parameter.grad = gradient if count else None
    return torch.tensor(total, device=loss.device)
