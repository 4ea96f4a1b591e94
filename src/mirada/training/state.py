"""How far training is: everything that a step changes, by name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

import torch
from torch import Tensor

from mirada.errors import CheckpointError
from mirada.layers.network import Network
from mirada.training.averaged import AveragedNetwork
from mirada.training.freezing import NOTHING, FrozenParts
from mirada.training.optimizer import Optimizer
from mirada.training.watch import GradientNorms


class Best(NamedTuple):
    """The best epoch so far by validation, 0 for none, and its score, of which more is better."""

    epoch: int = 0
    score: tuple[float, float] = (-inf, -inf)


@dataclass(kw_only=True)
class TrainState:
    """Everything that a step of training changes.

    Args:
        network: What is trained.
        optimizer: Its moments.
        average: The average of its weights; None without one.
        micro_batch: Images that go through the network at once, 0 for the batch; halved where memory runs out.
        watch: The norms of its gradients; None where nobody asks for them.
        frozen: Parts that do not learn.
        epoch: Epochs that are done.
        step: Optimizer steps that are done, over all epochs.
        best: The best epoch so far.
        plateaus: How often the schedule has lowered the rate because validation stood still.
        lowered: The epoch after which it last did; 0 if never.
        batch: Steps that are done of the epoch that is not.
        seen: Images that these have shown.
        seconds: How long they have taken.
        loss: The sum of the losses of these images, on the device.
    """

    network: Network
    optimizer: Optimizer
    average: AveragedNetwork | None = None
    micro_batch: int = 0
    watch: GradientNorms | None = None
    frozen: FrozenParts = NOTHING
    epoch: int = 0
    step: int = 0
    best: Best = Best()
    plateaus: int = 0
    lowered: int = 0
    batch: int = 0
    seen: int = 0
    seconds: float = 0.0
    loss: Tensor = field(default_factory=lambda: torch.zeros(()))

    @property
    def judged(self) -> Network:
        """The network that is validated and kept: that of the averaged weights, once there are any."""
        if self.average and self.step > self.average.first:
            return self.average.network
        return self.network

    def learn(self) -> None:
        """Puts the network into training mode, but for its frozen parts."""
        self.frozen.train(self.network)
        if self.average:
            self.average.follow(self.network, self.frozen)

    def moved(self, loss: Tensor, count: int) -> None:
        """Counts a step of the optimizer, and takes the weights after it into their average.

        Args:
            loss: The mean of the losses of the step's images.
            count: How many these are.
        """
        self.step, self.batch, self.seen = self.step + 1, self.batch + 1, self.seen + count
        self.loss = self.loss.to(loss.device) + loss * count
        if self.average:
            self.average.update(self.step)

    def done(self, epoch: int) -> None:
        """Counts an epoch; the next one begins with nothing."""
        self.epoch, self.batch, self.seen, self.seconds = epoch, 0, 0, 0.0
        self.loss = torch.zeros_like(self.loss)

    def tensors(self) -> dict[str, Tensor]:
        """All of it as tensors by name, as safetensors takes them: ``network.…``, ``optimizer.…``, ``average.…``.

        Beside them are ``progress`` and ``loss``. They are the tensors that go on changing, not copies.
        """
        moments = {
            f"optimizer.{name}.{moment}": value
            for name, state in self.optimizer.state.items()
            for moment, value in state.items()
        }
        weights = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        average = self.average.tensors() if self.average else {}
        averages = {f"average.{name}": value for name, value in average.items()}
        watch = self.watch.tensors() if self.watch else {}
        watched = {f"watch.{name}": value for name, value in watch.items()}
        numbers = (
            self.epoch, self.step, self.best.epoch, *self.best.score, self.plateaus, self.lowered,
            self.batch, self.seen, self.seconds, self.micro_batch,
        )  # fmt: skip
        progress = torch.tensor(numbers, dtype=torch.float64)
        return {**weights, **moments, **averages, **watched, "progress": progress, "loss": self.loss}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes over what ``tensors`` gave.

        Raises:
            CheckpointError: If names or shapes are not those of this network and optimizer; nothing has changed then.
        """
        own = self.tensors()
        if odd := sorted(own.keys() ^ tensors.keys()):
            raise CheckpointError(
                f"The state is that of another network or optimizer: {odd[0]} is in one of them alone."
            )
        for name, value in own.items():
            if value.shape != tensors[name].shape:
                raise CheckpointError(
                    f"The state is another network's: {name} has the shape {tuple(tensors[name].shape)} and not "
                    f"{tuple(value.shape)}."
                )
        with torch.no_grad():
            for name, value in own.items():
                value.copy_(tensors[name])
        epoch, step, best, *score, plateaus, lowered, batch, seen, seconds, micro = tensors[
            "progress"
        ].tolist()
        self.epoch, self.step, self.plateaus, self.lowered = map(int, (epoch, step, plateaus, lowered))
        self.best = Best(int(best), (score[0], score[1]))
        self.batch, self.seen, self.seconds, self.micro_batch = int(batch), int(seen), seconds, int(micro)
