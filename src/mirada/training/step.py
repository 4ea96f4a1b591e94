"""One step of training: a batch through the network in slices, and the optimizer's step along the gradient."""

from collections.abc import Iterator
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor

from mirada.compute import Compute
from mirada.errors import TrainingError, counted
from mirada.events import OnEvent, SlicesHalved
from mirada.processes.ranks import here
from mirada.training.exchange import exchange
from mirada.training.freezing import has_statistics
from mirada.training.joint_norm import normalizes_jointly
from mirada.training.loss import Loss
from mirada.training.state import TrainState


class Batch(NamedTuple):
    """What the network sees at a step.

    ``images`` (n, C, H, W) are augmented and normalized, or what the part ``after`` has made of such images;
    ``targets`` are class numbers (n,) or scaled numbers (n, T) with NaN where unknown, ``covariates`` (n, K) or None;
    ``seed`` is that of dropout. Of images that are mixed, ``targets`` count by ``share``, and the classes of what is
    mixed in, ``others`` (n,), by the rest. ``whole`` are the images of the step in all processes that train together,
    0 if they are these, and ``idle`` says that these do not count.
    """

    images: Tensor
    targets: Tensor
    covariates: Tensor | None
    seed: int
    after: str = ""
    others: Tensor | None = None
    share: float = 1.0
    whole: int = 0
    idle: bool = False

    def loss_of(self, loss: Loss, outputs: Tensor, part: slice) -> Tensor:
        """The mean loss of the outputs for some of the rows."""
        outputs = outputs.float()
        value = loss(outputs, self.targets[part])
        if self.others is None:
            return value
        return self.share * value + (1 - self.share) * loss(outputs, self.others[part])


def slices(count: int, size: int) -> Iterator[slice]:
    """Cuts ``count`` images into slices of ``size``, 0 for one; a last slice of one joins the one before it.

    Batch normalization cannot train on a single image.

    >>> list(slices(7, 3)), list(slices(2, 0))
    ([slice(0, 3, None), slice(3, 7, None)], [slice(0, 2, None)])
    """
    size = size or count
    start = 0
    while start < count:
        end = start + size
        if size > 1 and count - end <= 1:
            end = count
        yield slice(start, end)
        start = end


def fitting_step(
    state: TrainState,
    batch: Batch,
    rate: float,
    *,
    loss: Loss,
    compute: Compute,
    on_event: OnEvent = lambda event: None,
) -> Tensor:
    """``train_step`` in slices that fit into the device's memory: where one does not, they are halved from then on.

    The step stays the same but for batch normalization, which sees the smaller slices: nothing has moved when memory
    runs out, and running statistics are put back to what they were.

    Args:
        state: As for ``train_step``; its ``micro_batch`` is the size of the slices.
        batch: As for ``train_step``.
        rate: As for ``train_step``.
        loss: As for ``train_step``.
        compute: As for ``train_step``.
        on_event: Hears when slices are halved.

    Returns:
        The batch's mean loss, still on the device.

    Raises:
        TrainingError: Not even slices of one image, or of two where there is batch normalization, fit.
    """
    while True:
        kept = [buffer.clone() for buffer in state.network.buffers()]
        try:
            return train_step(state, batch, rate, loss=loss, compute=compute, micro_batch=state.micro_batch)
        except torch.OutOfMemoryError as error:
            if normalizes_jointly(state.network):
                raise TrainingError(
                    f"The memory of {compute.device} is too small for {counted(len(batch.images), 'image')} at once, "
                    "and `batch_statistics` = joint takes them whole. Take a smaller `batch_size` or more processes."
                ) from error
            normalizes = has_statistics(state.network)
            before = min(state.micro_batch or len(batch.images), len(batch.images))
            if before <= 1 + normalizes:
                raise TrainingError(
                    f"The memory of {compute.device} is too small even for {counted(before, 'image')} at a time. Take "
                    f"smaller images (--image-size) or a smaller network."
                ) from error
        state.optimizer.zero_grad()
        for buffer, value in zip(state.network.buffers(), kept, strict=True):
            buffer.copy_(value)
        compute.release()
        state.micro_batch = max(1 + normalizes, -(-before // 2))
        on_event(_halved(before, state.micro_batch, normalizes))


def _halved(before: int, after: int, normalizes: bool) -> SlicesHalved:
    but = ", but for batch normalization, which sees the smaller slices" if normalizes else ""
    return SlicesHalved(
        before,
        after,
        f"Out of memory with {before:,} images at once: {after:,} from now on, whose gradients add up to the same "
        f"step{but} (--set micro_batch={after} says so from the start).",
    )


def train_step(
    state: TrainState, batch: Batch, rate: float, *, loss: Loss, compute: Compute, micro_batch: int = 0
) -> Tensor:
    """Moves the network one optimizer step along the gradient of the batch's mean loss, that of all processes.

    Args:
        state: What is trained; it is changed.
        batch: What it is shown.
        rate: The learning rate of this step.
        loss: (outputs, targets) → mean over the rows.
        compute: Device and precision.
        micro_batch: Images that go through the network at once, 0 for all; their gradients add up.

    Returns:
        The batch's mean loss, still on the device.
    """
    compute.seed(batch.seed)
    state.optimizer.zero_grad()
    ranks = here()
    ranks.idle = batch.idle
    count = batch.whole or len(batch.images)
    losses = []
    for part in slices(len(batch.images), micro_batch):
        with compute.autocast():
            known = None if batch.covariates is None else batch.covariates[part]
            images = batch.images[part]
            images = images if batch.after else state.network.laid_out(images, compute.dtype)
            outputs, *auxiliary = state.network.training_outputs(images, known, after=batch.after)
        value = batch.loss_of(loss, outputs, part)
        for extra in auxiliary:
            value = value + state.network.auxiliary_weight * batch.loss_of(loss, extra, part)
        share = 0.0 if batch.idle else len(outputs) / count
        value = value if share == 1 else value * share  # a product costs two operators, forward and back
        value.backward()  # type: ignore[no-untyped-call]
        losses.append(value.detach())
    total = reduce(torch.add, losses)
    if ranks.size > 1:
        total = exchange(ranks, state, total)
    if state.watch:
        state.watch.see()
    state.optimizer.step(rate)
    state.moved(total, count)
    return total
