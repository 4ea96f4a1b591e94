"""Looking at every step of a training, for the first one that leaves what is no number."""

from collections.abc import Mapping

from torch import Tensor

from mirada.training.state import TrainState
from mirada.training.step import Batch


class StepFound(Exception):
    """The step was found; it ends the training that looked for it.

    Args:
        before: The tensors of the state before the step.
        batch: What it was shown.
        rate: Its learning rate.
    """

    def __init__(self, before: Mapping[str, Tensor], batch: Batch, rate: float) -> None:
        super().__init__("found")
        self.before = before
        self.batch = batch
        self.rate = rate


class Search:
    """Looks at every step of a training, and raises ``StepFound`` after the first that leaves what is not finite."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.finite: set[str] = set()

    def before(self, state: TrainState) -> None:
        """Keeps a copy of the state."""
        self.tensors = {name: value.detach().clone() for name, value in state.tensors().items()}
        self.finite = {
            name for name, value in self.tensors.items() if "." in name and bool(value.isfinite().all())
        }

    def after(self, state: TrainState, batch: Batch, rate: float, loss: Tensor) -> None:
        """Looks at what a step has left, where all was finite before it: a buffer of one's own may hold infinities."""
        left = [loss, *(value for name, value in state.tensors().items() if name in self.finite)]
        if not all(bool(value.isfinite().all()) for value in left):
            raise StepFound(self.tensors, batch, rate)
