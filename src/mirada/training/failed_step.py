"""The step that gave NaN or infinity: found by training again to it, looked into, kept as a file, and replayed.

Nothing is watched while a run trains, and so nothing is slowed down. Once its loss is no number, the same steps are
taken anew, from the last checkpoint that is whole, and each is looked at before it is forgotten.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mirada.codec import BadRecord, from_json
from mirada.compute import Compute, choose, deterministic
from mirada.errors import CheckpointError, InvalidArgument
from mirada.layers.network import Network
from mirada.layers.own import own_network
from mirada.modelfile import Architecture, Card
from mirada.models.catalogue import MODULE
from mirada.training.begin import loss_of, state_of
from mirada.training.checkpoints import read_tensors, write_tensors
from mirada.training.loop import Training
from mirada.training.loss import Loss
from mirada.training.phases import let_learn, phases_of
from mirada.training.recipe import recipe_for
from mirada.training.recipe_text import parse_settings
from mirada.training.search import StepFound
from mirada.training.state import TrainState
from mirada.training.step import Batch, train_step

KEY = "failed step"  # of the description, in the metadata
BEFORE, SHOWN = "before.", "batch."  # the state's tensors, and those of the batch
TENSORS = ("images", "targets", "covariates", "others")  # of a batch, those that are there
WEIGHTS = "class weights"


@dataclass(frozen=True, kw_only=True)
class FailedStep:
    """A step, and what is needed to take it again, beside its tensors.

    Args:
        step: Its number in the run, counted from 1.
        epoch: The epoch that it is in, counted from 1.
        rate: The learning rate.
        seed: That dropout was drawn by.
        files: The images of the batch, in its order.
        place: Where the first number came from that is not finite, in words.
        after: The part of the network that the batch is what it puts out; "" for the images themselves.
        share: How much of each image is not mixed in.
        steps: Of an epoch.
        device: That it was computed on.
        precision: That it was computed in.
        card: Of the model.
        recipe: As TOML.
    """

    step: int
    epoch: int
    rate: float
    seed: int
    files: tuple[str, ...]
    place: str
    after: str
    share: float
    steps: int
    device: str
    precision: str
    card: str
    recipe: str


def look_into(training: Training, found: StepFound, recipe: str) -> FailedStep:
    """Says which step it was, of which images, and where in it the first number came from that is not finite.

    Args:
        training: Whose state is that after the step; it is taken back to before it.
        found: The step.
        recipe: As TOML.
    """
    state, feed = training.state, training.feed
    state.restore(found.before)
    rows = feed.rows(state.epoch + 1, state.batch)
    step, epoch = state.step + 1, state.epoch + 1
    return FailedStep(
        step=step,
        epoch=epoch,
        rate=found.rate,
        seed=found.batch.seed,
        files=tuple(feed.cache.index.paths[row] for row in rows.tolist()),
        place=first_place(state, found.batch, found.rate, training.loss, feed.compute, state.micro_batch),
        after=found.batch.after,
        share=found.batch.share,
        steps=feed.steps,
        device=str(feed.compute.device),
        precision=feed.compute.precision,
        card=feed.card.to_json(),
        recipe=recipe,
    )


def first_place(
    state: TrainState, batch: Batch, rate: float, loss: Loss, compute: Compute, micro_batch: int
) -> str:
    """Where the first number comes from that is not finite, when a step is taken; "" if none does.

    Args:
        state: Before the step; afterwards it is broken.
        batch: What the step is shown.
        rate: The learning rate.
        loss: What is minimized.
        compute: Device and precision.
        micro_batch: As for ``train_step``.
    """
    broken = {name for name, value in state.tensors().items() if not value.isfinite().all()}
    infinite = {f"network.{name}" for name, value in state.network.named_buffers() if not value.isnan().any()}
    for name in state.network.state_dict():
        if f"network.{name}" in broken - infinite:  # a mask of one's own may hold infinities
            return f"{name} before the step"
    for name in ("images", "targets", "covariates"):
        value = getattr(batch, name)
        if value is not None and not (value.isfinite() | _may_be_unknown(name, value)).all():
            return f"the {name}"
    with _heard(state.network) as heard:
        value = train_step(state, batch, rate, loss=loss, compute=compute, micro_batch=micro_batch)
    if heard:
        return f"the output of {heard[0]}"
    if not value.isfinite():
        return "the loss"
    for name, parameter in reversed(list(state.network.named_parameters())):
        if parameter.grad is not None and not parameter.grad.isfinite().all():
            return f"the gradient of {name}"
    left = (name for name, value in state.tensors().items() if "." in name and not value.isfinite().all())
    name = next((name for name in left if name not in broken), "")
    return f"{name.partition('.')[2]} after the step" if name else ""


def _may_be_unknown(name: str, value: Tensor) -> Tensor:
    """Where a number that is NaN is nothing wrong: a target that nobody knows."""
    return value.isnan() if name == "targets" else torch.zeros_like(value, dtype=torch.bool)


@contextmanager
def _heard(network: Network) -> Iterator[list[str]]:
    """The modules of which an output is not finite, in the order in which they answer; parts come before the whole."""
    heard: list[str] = []

    def listen(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hear(module: nn.Module, inputs: Any, output: Any) -> None:
            values = output if isinstance(output, tuple | list) else (output,)
            if any(isinstance(value, Tensor) and not _is_finite(value) for value in values):
                heard.append(name)

        return hear

    hooks = [part.register_forward_hook(listen(name)) for name, part in network.named_modules() if name]
    try:
        yield heard
    finally:
        for hook in hooks:
            hook.remove()


def _is_finite(value: Tensor) -> bool:
    dense = value.to_dense() if value.is_mkldnn else value
    return bool(dense.isfinite().all())


def save_failed_step(file: Path, step: FailedStep, found: StepFound, weights: Tensor | None) -> None:
    """Writes the step, with the state before it and its batch, into one file; raises ``OSError``."""
    shown = {name: getattr(found.batch, name) for name in TENSORS}
    tensors = {
        **{f"{BEFORE}{name}": value.cpu() for name, value in found.before.items()},
        **{f"{SHOWN}{name}": value.cpu() for name, value in shown.items() if value is not None},
        **({} if weights is None else {WEIGHTS: weights.cpu()}),
    }
    write_tensors(file, tensors, {KEY: json.dumps(asdict(step))})


def replay(file: str | Path, model: nn.Module | None = None) -> tuple[FailedStep, str]:
    """Takes a step again that gave what is not finite; needs nothing but the file.

    Args:
        file: ``failed-step.safetensors`` of a run.
        model: For a run of a module of your own, one that its class has built as it was built then.

    Returns:
        What the file says of the step, and where the first number came from this time; "" if all were finite.

    Raises:
        CheckpointError: The file cannot be read, was altered, or is of another module.
        InvalidArgument: It is of a module of one's own and ``model`` is not given, or the reverse.
    """
    tensors, values = read_tensors(Path(file), KEY)
    try:
        step = from_json(FailedStep, values)
    except BadRecord as error:
        raise CheckpointError(f"{file}: its description cannot be understood ({error}).") from error
    with torch.random.fork_rng(), deterministic():  # as in training; the caller's random numbers stay
        return step, _taken_again(step, tensors, file, model)


def _taken_again(
    step: FailedStep, tensors: Mapping[str, Tensor], file: str | Path, model: nn.Module | None
) -> str:
    """Where the first number comes from that is not finite, when the step is taken; "" if all are."""
    card, compute = Card.from_json(step.card), choose(step.device, step.precision)
    settings = parse_settings(step.recipe, str(file))
    recipe = recipe_for(str(settings["model"])).with_settings(settings, origin=str(file))
    network = _network_of(card.architecture, file, model)
    compute.place(network)
    phases = phases_of(network, recipe)
    state = state_of(network, phases, recipe, step.steps)
    for phase in phases:
        if phase.first <= step.epoch:
            let_learn(phase, state)
    state.restore(_with_prefix(tensors, BEFORE))
    state.learn()
    shown = {name: value.to(compute.device) for name, value in _with_prefix(tensors, SHOWN).items()}
    batch = Batch(
        shown["images"].contiguous(memory_format=torch.channels_last), shown["targets"], shown.get("covariates"),
        step.seed, step.after, shown.get("others"), step.share,
    )  # fmt: skip
    loss = loss_of(recipe, card, tensors.get(WEIGHTS))
    return first_place(state, batch, step.rate, loss, compute, state.micro_batch)


def _network_of(architecture: Architecture, file: str | Path, module: nn.Module | None) -> Network:
    """The network of a step, built; of a module of one's own, a copy of the one that is given."""
    if architecture.model != MODULE:
        if module is not None:
            raise InvalidArgument(
                f"{file}: the step is one of {architecture.model}, which the file itself builds. Leave `model` out."
            )
        return architecture.build()
    if module is None:
        title = architecture.title
        raise InvalidArgument(
            f"{file}: the step is one of a module of one's own, {title}, which only its class builds. Take it again in "
            f"Python: mirada.training.failed_step.replay(file, model={title}(…))."
        )
    return own_network(
        module,
        in_channels=architecture.in_channels,
        image_size=architecture.image_size,
        covariates=architecture.covariates,
    )


def _with_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
