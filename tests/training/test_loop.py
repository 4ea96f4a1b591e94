"""The loop on a few real PNG files of 16 × 16 pixels: it learns, stops, keeps the best, and repeats itself."""

import csv
import math
import random
import signal
import threading
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from mirada.compute import Compute
from mirada.data.batches import shuffled
from mirada.data.cache import Cache, open_cache
from mirada.data.index import Index
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.errors import TrainingError
from mirada.events import EpochDone, Event, OnEvent, Progress
from mirada.layers.network import Network
from mirada.modelfile import Architecture, Card, load_network
from mirada.runs.folder import LAST, MODEL, RESULTS, RunFolder
from mirada.samples import Classes, Covariate, Numbers, Scaling
from mirada.training import feed as feeding
from mirada.training import loop
from mirada.training.begin import begin
from mirada.training.feed import Feed
from mirada.training.loop import Outcome, Training, fit
from mirada.training.phases import phases_of
from mirada.training.recipe import Recipe
from mirada.training.scaling import target_scale
from mirada.training.validation import validate

SIDE, TRAIN, VAL = 16, 21, 9
MEAN, STD = 0.4, 0.25
CPU = Compute(torch.device("cpu"), "float32")


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    """Grey noise; every second image has a bright left half."""
    images = np.random.default_rng(0).integers(0, 120, (TRAIN + VAL, SIDE, SIDE), dtype=np.uint8)
    images[1::2, :, : SIDE // 2] += 130
    return images


@pytest.fixture(scope="module")
def make_cache(pixels: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Cache]:
    root = tmp_path_factory.mktemp("images")
    names = tuple(f"{number:02}.png" for number in range(len(pixels)))
    for name, image in zip(names, pixels, strict=True):
        Image.fromarray(image).save(root / name)
    splits = np.array(["train"] * TRAIN + ["val"] * VAL)
    means = pixels.mean(axis=(1, 2)).astype(np.float64)
    labels = np.arange(len(pixels)) % 2

    def make(task: str = "classification") -> Cache:
        index = (
            Index(root=root, paths=names, targets=labels, splits=splits, target=Classes(("dark", "bright")))
            if task == "classification"
            else Index(root=root, paths=names, targets=means, splits=splits, target=Numbers(unit="levels"))
        )
        return open_cache(index, Preprocessing(mode="L", size=(SIDE, SIDE), mean=(0.0,), std=(1.0,)))

    return make


@pytest.fixture
def make(make_cache: Callable[..., Cache], tmp_path: Path) -> Callable[..., Training]:
    """``make(task, on_event=…, **settings)``: lenet5 on the images, in a new run folder each time."""

    def training(
        task: str = "classification", *, on_event: OnEvent | None = None, **settings: Any
    ) -> Training:
        cache = make_cache(task)
        recipe = Recipe(model="lenet5").with_settings(
            {"image_size": SIDE, "mode": "L", "epochs": 3, "batch_size": 8, "lr": 3e-3, **settings}
        )
        values = cache.index.targets[cache.index.rows("train")]
        numeric = task == "regression"
        card = Card(
            architecture=Architecture(
                model="lenet5", outputs=1 if numeric else 2, in_channels=1, image_size=(SIDE, SIDE)
            ),
            target=cache.index.target,
            target_scaling=Scaling((float(values.mean()),), (float(values.std()),)) if numeric else None,
            preprocessing=Preprocessing(mode="L", size=(SIDE, SIDE), mean=(MEAN,), std=(STD,)),
            recipe=recipe.to_dict(),
        )
        torch.manual_seed(recipe.seed)
        folder = RunFolder.create(tmp_path / f"run{len(list(tmp_path.iterdir()))}")
        return started(
            card.architecture.build(), card, cache, recipe, folder, on_event or (lambda event: None)
        )

    return training


def started(
    network: Network, card: Card, cache: Cache, recipe: Recipe, folder: RunFolder, on_event: OnEvent
) -> Training:
    """A run of a network whose parts are frozen as the recipe says."""
    feed = Feed(
        cache=cache, card=card, compute=CPU, augmentation=recipe.augment, batch_size=recipe.batch_size,
        balanced=recipe.sampling == "balanced", seed=recipe.seed,
    )  # fmt: skip
    return begin(network, phases_of(network, recipe), feed, recipe, folder, on_event)


def validation(training: Training) -> dict[str, float]:
    return validate(training.state.judged, training.feed, training.loss)


def rows_of(training: Training) -> list[dict[str, float]]:
    """results.csv."""
    with (training.folder.path / RESULTS).open(newline="", encoding="utf-8") as stream:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(stream)]


def weights(network: nn.Module) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in network.state_dict().items()}


def assert_same_bits(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for key, value in one.items():
        assert torch.equal(value, other[key]), key


def plain_batch(pixels: NDArray[np.uint8], rows: NDArray[np.int64]) -> Tensor:
    """What the network sees of the images without augmentation, by the formula of Preprocessing."""
    return torch.from_numpy((pixels[rows] / 255.0 - MEAN) / STD).float()[:, None]


# It learns -----------------------------------------------------------------------------------------------


def test_learns_classes(make: Callable[..., Training]) -> None:
    training = make(epochs=12)
    assert fit(training) == Outcome("finished", 12, best_epoch(rows_of(training)))
    rows = rows_of(training)
    assert [row["epoch"] for row in rows] == list(range(1, 13))
    assert rows[-1]["train_loss"] < 0.2 * rows[0]["train_loss"]
    assert rows[-1]["val_accuracy"] == 1.0


def test_learns_numbers(make: Callable[..., Training]) -> None:
    training = make("regression", epochs=20)
    fit(training)
    rows = rows_of(training)
    assert rows[-1]["train_loss"] < 0.2 * rows[0]["train_loss"]
    assert rows[-1]["val_mae"] < 0.5 * rows[0]["val_mae"]
    assert rows[-1].keys() >= {"val_loss", "val_mae", "val_rmse", "val_r2"}


def best_epoch(rows: list[dict[str, float]]) -> int:
    """Highest accuracy, then lowest loss; or the lowest error; the first of equals."""
    key = [
        (-row["val_accuracy"] if "val_accuracy" in row else row["val_mae"], row["val_loss"]) for row in rows
    ]
    return key.index(min(key)) + 1


def assert_one_step(training: Training, twin: torch.nn.Module, loss: torch.Tensor) -> None:
    """Training takes one step, W ← W − 0.1·g, with the gradient g of the twin's loss."""
    before = weights(training.state.network)
    loss.backward()
    fit(training)
    for name, parameter in twin.named_parameters():
        assert parameter.grad is not None
        expected = before[name] - 0.1 * parameter.grad
        torch.testing.assert_close(training.state.network.state_dict()[name], expected, rtol=1e-4, atol=1e-6)
    assert rows_of(training)[0]["train_loss"] == pytest.approx(loss.item(), abs=1e-5)


def test_one_step_is_the_formula(make: Callable[..., Training], pixels: NDArray[np.uint8]) -> None:
    """A batch of all images: mean cross-entropy, its gradient, W ← W − α·g."""
    training = make(epochs=1, batch_size=TRAIN, optimizer="sgd", lr=0.1, momentum=0.0)
    before = weights(training.state.network)
    twin = training.feed.card.architecture.build()
    twin.load_state_dict(before)
    loss = F.cross_entropy(twin(plain_batch(pixels, np.arange(TRAIN))), torch.arange(TRAIN) % 2)
    assert_one_step(training, twin, loss)


def test_slices_of_a_batch_give_the_same_step(make: Callable[..., Training]) -> None:
    """Also where the last slice is smaller: gradients add up to those of the whole batch."""
    whole, sliced = make(epochs=1), make(epochs=1, micro_batch=3)
    fit(whole)
    fit(sliced)
    for name, value in weights(whole.state.network).items():
        torch.testing.assert_close(weights(sliced.state.network)[name], value, rtol=1e-4, atol=1e-5)


def test_every_image_once_per_epoch_and_no_validation_image(
    make: Callable[..., Training], pixels: NDArray[np.uint8]
) -> None:
    training = make(epochs=2)
    seen: list[Tensor] = []

    def look(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        if module.training:
            seen.append(arguments[0].detach().clone())

    training.state.network.stem.register_forward_pre_hook(look)
    fit(training)
    assert [len(batch) for batch in seen] == [8, 8, 5] * 2 == [8, 8, 5] * training.recipe.epochs
    expected = plain_batch(pixels, np.arange(TRAIN)).flatten(1)
    for epoch in (torch.cat(seen[:3]), torch.cat(seen[3:])):
        distance = torch.cdist(epoch.flatten(1), expected)
        assert sorted(distance.argmin(dim=1).tolist()) == list(range(TRAIN))
        assert distance.min(dim=1).values.max() < 1e-2
    assert not torch.equal(torch.cat(seen[:3]), torch.cat(seen[3:]))  # in another order


def test_the_rate_follows_the_schedule(make: Callable[..., Training]) -> None:
    """The last step's of each epoch, three steps long: warm-up, then half a cosine over six steps."""
    training = make(epochs=3, lr=0.01, schedule="cosine", warmup=1)
    fit(training)
    expected = [0.01, 0.005 * (1 + math.cos(math.pi * 2 / 6)), 0.005 * (1 + math.cos(math.pi * 5 / 6))]
    assert [row["lr"] for row in rows_of(training)] == pytest.approx(expected, rel=1e-9)


def test_validation_is_the_plain_formula(make: Callable[..., Training], pixels: NDArray[np.uint8]) -> None:
    """And leaves the network in the mode it was in."""
    training, rows = make(augment="digits"), np.arange(TRAIN, TRAIN + VAL)
    training.state.network.train()
    found = validation(training)
    assert training.state.network.training
    with torch.no_grad():
        raw = training.state.network.eval()(plain_batch(pixels, rows))
    targets = torch.from_numpy(rows % 2)
    assert found["loss"] == pytest.approx(F.cross_entropy(raw, targets).item(), rel=1e-4)
    assert found["accuracy"] == (raw.argmax(1) == targets).double().mean().item()


def test_validation_of_numbers_is_in_their_unit(
    make: Callable[..., Training], pixels: NDArray[np.uint8]
) -> None:
    training, rows = make("regression"), np.arange(TRAIN, TRAIN + VAL)
    found, card = validation(training), training.feed.card
    means = pixels.mean(axis=(1, 2))
    assert card.target_scaling is not None and card.target_scaling.mean == pytest.approx(
        (means[:TRAIN].mean(),)
    )
    with torch.no_grad():
        raw = training.state.network.eval()(plain_batch(pixels, rows))[:, 0].numpy()
    error = raw * means[:TRAIN].std() + means[:TRAIN].mean() - means[rows]
    assert found["mae"] == pytest.approx(np.abs(error).mean(), rel=1e-4)
    assert found["rmse"] == pytest.approx(np.sqrt(np.square(error).mean()), rel=1e-4)
    assert found["loss"] == pytest.approx(np.square(error / means[:TRAIN].std()).mean(), rel=1e-4)


# What it keeps -------------------------------------------------------------------------------------------


def scripted(monkeypatch: pytest.MonkeyPatch, values: list[dict[str, float]]) -> None:
    """Validation that says what the test wants."""
    told = iter(values)
    monkeypatch.setattr(loop, "validate", lambda network, feed, loss: next(told))


def accuracies(*pairs: tuple[float, float]) -> list[dict[str, float]]:
    return [{"loss": loss, "accuracy": accuracy} for accuracy, loss in pairs]


@pytest.mark.parametrize(
    ("validation", "best"),
    [
        (accuracies((0.5, 0.7), (0.9, 0.5), (0.7, 0.1)), 2),  # accuracy decides, not the loss
        (accuracies((0.5, 0.7), (0.5, 0.5), (0.5, 0.6)), 2),  # then the loss
        (accuracies((0.5, 0.5), (0.5, 0.5), (0.5, 0.5)), 1),  # then the first
        (
            [{"loss": 1.0, "mae": 3.0}, {"loss": 3.0, "mae": 2.0}, {"loss": 0.5, "mae": 4.0}],
            2,
        ),  # lowest error
    ],
)
def test_the_best_model_is_the_best_row(
    make: Callable[..., Training],
    monkeypatch: pytest.MonkeyPatch,
    validation: list[dict[str, float]],
    best: int,
) -> None:
    scripted(monkeypatch, validation)
    history: list[dict[str, Tensor]] = []
    flags: list[bool] = []

    def hear(event: Event) -> None:
        if isinstance(event, EpochDone):
            history.append(weights(training.state.network))
            flags.append(event.best)

    training = make(on_event=hear)
    assert fit(training) == Outcome("finished", 3, best)
    assert best == best_epoch(rows_of(training))
    assert flags.index(True) == 0
    assert max(number for number, flag in enumerate(flags, start=1) if flag) == best
    folder = training.folder.path
    network, card = load_network(folder / MODEL)
    assert_same_bits(weights(network), history[best - 1])
    assert_same_bits(weights(load_network(folder / LAST)[0]), history[-1])
    assert card.to_json() == training.feed.card.to_json()


@pytest.mark.parametrize("unit", [1.0, 1e-6, 1e-9, 1e30])
def test_the_unit_of_a_number_changes_nothing(
    make: Callable[..., Training], monkeypatch: pytest.MonkeyPatch, unit: float
) -> None:
    """A thickness in metres is chosen by as in micrometres, and results.csv has it."""
    errors = [3.0, 2.0000002, 2.0000001, 2.5]
    scripted(monkeypatch, [{"loss": 1.0, "mae": error * unit} for error in errors])
    training = make("regression", epochs=4)
    assert fit(training).best_epoch == 3
    written = [row["val_mae"] for row in rows_of(training)]
    assert written == pytest.approx([error * unit for error in errors], rel=1e-7)


def test_what_is_written_is_what_was_validated(
    make: Callable[..., Training], pixels: NDArray[np.uint8]
) -> None:
    training = make()
    outcome = fit(training)
    row = rows_of(training)[outcome.best_epoch - 1]
    network, card = load_network(training.folder.path / MODEL)
    rows = np.arange(TRAIN, TRAIN + VAL)
    with torch.no_grad():
        raw = network(plain_batch(pixels, rows))
    assert row["val_loss"] == pytest.approx(F.cross_entropy(raw, torch.from_numpy(rows % 2)).item(), rel=1e-3)
    assert card.target == Classes(("dark", "bright"))


@pytest.mark.parametrize(
    ("patience", "outcome"),
    [(0, Outcome("finished", 6, 2)), (2, Outcome("early", 4, 2)), (4, Outcome("finished", 6, 2))],
)
def test_patience(
    make: Callable[..., Training], monkeypatch: pytest.MonkeyPatch, patience: int, outcome: Outcome
) -> None:
    """Epochs without improvement; where they end with the recipe, it is finished and not early."""
    scripted(monkeypatch, accuracies((0.5, 1), (0.8, 1), (0.6, 1), (0.7, 1), (0.7, 1), (0.7, 1)))
    training = make(epochs=6, patience=patience)
    assert fit(training) == outcome
    assert len(rows_of(training)) == outcome.epochs


def test_the_rate_falls_where_validation_stands_still(
    make: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best epoch is the second: after the fourth there is the first plateau, after the sixth another one."""
    scripted(monkeypatch, accuracies((0.5, 1), (0.8, 1), *[(0.6, 1)] * 5))
    training = make(epochs=7, schedule="plateau", gamma=0.5, wait=2, lr=0.01)
    fit(training)
    assert [row["lr"] for row in rows_of(training)] == [0.01] * 4 + [0.005] * 2 + [0.0025]
    assert (training.state.plateaus, training.state.lowered) == (2, 6)


def test_events_tell_each_epoch(make: Callable[..., Training]) -> None:
    """The same numbers as results.csv; progress counts up to all steps of the run."""
    events: list[Event] = []
    training = make(on_event=events.append)
    fit(training)
    epochs = [event for event in events if isinstance(event, EpochDone)]
    for event, row in zip(epochs, rows_of(training), strict=True):
        told = asdict(event)
        measured = {f"val_{name}": value for name, value in told.pop("metrics").items()}
        assert (told | measured) == {**row, "best": event.best}
    progress = [event for event in events if isinstance(event, Progress)]
    done = [event.done for event in progress]
    assert done == sorted(set(done))
    assert done[-1] == 9
    assert {event.total for event in progress} == {9}
    assert {event.what for event in progress} == {"training"}


# A loss that is no number --------------------------------------------------------------------------------


def test_a_loss_that_is_no_number_stops_the_run(make: Callable[..., Training]) -> None:
    training = make(optimizer="sgd", lr=1e30)
    with pytest.raises(TrainingError) as error:
        fit(training)
    assert str(error.value) == (
        "The loss is no longer a number (epoch 1, learning rate 1e+30). Try a lower --lr; the best model so far, "
        "if any, is kept in the run folder."
    )
    assert not (training.folder.path / MODEL).exists()


def test_the_best_model_so_far_is_kept(make: Callable[..., Training]) -> None:
    def hear(event: Event) -> None:
        if isinstance(event, EpochDone) and event.epoch == 2:
            with torch.no_grad():
                next(training.state.network.parameters()).fill_(math.nan)

    training = make(on_event=hear)
    with pytest.raises(TrainingError, match=r"\(epoch 3, learning rate 0\.003\)"):
        fit(training)
    network, _ = load_network(training.folder.path / MODEL)
    assert all(value.isfinite().all() for value in network.state_dict().values())


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_weights_broken_by_the_last_step_are_no_model(make: Callable[..., Training], task: str) -> None:
    """The training loss is computed before the step, so only the validation loss can tell."""
    training = make(task, epochs=1, batch_size=TRAIN, optimizer="sgd", lr=1e30)
    with pytest.raises(TrainingError, match=r"^The .*loss is no longer a number \(epoch 1, "):
        fit(training)
    assert not (training.folder.path / MODEL).exists()


# It repeats itself ---------------------------------------------------------------------------------------


def with_dropout(training: Training) -> Training:
    """So that the network draws random numbers too."""
    head = training.state.network.head
    assert isinstance(head, nn.Sequential)
    training.state.network.head = nn.Sequential(head[0], nn.Dropout(0.3), *list(head)[1:])
    return training


def draw_elsewhere(event: Event) -> None:
    torch.rand(5)
    np.random.rand(5)  # the global one is meant
    random.random()


def test_a_run_is_a_function_of_its_seed(make: Callable[..., Training]) -> None:
    """Bit by bit, dropout and augmentation included, whatever else draws random numbers meanwhile."""
    quiet = with_dropout(make(augment="photos", seed=4))
    torch.manual_seed(1)
    fit(quiet)
    noisy = with_dropout(make(augment="photos", seed=4, on_event=draw_elsewhere))
    torch.manual_seed(2)
    fit(noisy)
    assert_same_bits(weights(quiet.state.network), weights(noisy.state.network))
    timeless = [
        [{k: v for k, v in row.items() if k not in ("seconds", "images_per_second")} for row in rows_of(run)]
        for run in (quiet, noisy)
    ]
    assert timeless[0] == timeless[1]
    other = with_dropout(make(augment="photos", seed=5))
    other.state.network.load_state_dict(with_dropout(make(seed=4)).state.network.state_dict())
    fit(other)
    assert any(
        not torch.equal(value, other.state.network.state_dict()[key])
        for key, value in quiet.state.network.state_dict().items()
    )


def test_a_run_that_is_longer_begins_the_same(make: Callable[..., Training]) -> None:
    """With a rate that does not depend on the length."""
    kept: list[dict[str, Tensor]] = []

    def hear(event: Event) -> None:
        if isinstance(event, EpochDone) and event.epoch == 2:
            kept.append(weights(long.state.network))

    short, long = make(epochs=2, augment="digits"), make(epochs=4, augment="digits", on_event=hear)
    fit(short)
    fit(long)
    assert_same_bits(weights(short.state.network), kept[0])


def test_a_batch_is_a_function_of_seed_epoch_and_step(make: Callable[..., Training]) -> None:
    """In any order, and after other draws; and each of the three matters."""
    rows = np.arange(8)
    one, two = make(augment="photos"), make(augment="photos")
    places = [(1, 0), (1, 1), (2, 0)]
    forward = {place: one.feed.batch(rows, *place).images for place in places}
    torch.rand(7)
    backward = {place: two.feed.batch(rows, *place).images for place in reversed(places)}
    for place in places:
        assert torch.equal(forward[place], backward[place])
    assert not torch.equal(forward[1, 0], forward[1, 1])
    assert not torch.equal(forward[1, 0], forward[2, 0])
    assert not torch.equal(forward[1, 0], make(augment="photos", seed=9).feed.batch(rows, 1, 0).images)


@pytest.mark.parametrize("start", [0, 1, 4, 6])
def test_a_step_drawn_with_others_is_that_drawn_alone(
    make: Callable[..., Training], monkeypatch: pytest.MonkeyPatch, start: int
) -> None:
    """Bit by bit, from wherever an epoch goes on: pixels, what is mixed, and dropout."""
    monkeypatch.setattr(feeding, "DRAWN_AT_ONCE", 9)
    everything = {"augment": "photos", "augment.saturation": 0, "augment.erase": 0.5, "augment.cutmix": 1}
    feed = make(batch_size=2, **everything, **{"augment.horizontal_flip": "alternate"}).feed
    assert feed.steps == 10
    batches = list(feed.epoch(2, start))
    assert len(batches) == feed.steps - start
    for step, batch in enumerate(batches, start=start):
        alone = feed.batch(feed.rows(2, step), 2, step)
        assert torch.equal(batch.images, alone.images) and torch.equal(batch.targets, alone.targets)
        assert (batch.seed, batch.share) == (alone.seed, alone.share)
    assert len({batch.seed for batch in batches}) == len(batches)


def test_a_batch_without_augmentation_is_the_image(
    make: Callable[..., Training], pixels: NDArray[np.uint8]
) -> None:
    training = make()
    rows = shuffled(training.feed.train_rows, seed=0, epoch=1)[:8]
    images, targets, *_ = training.feed.batch(rows, 1, 0)
    torch.testing.assert_close(images, plain_batch(pixels, rows), rtol=1e-5, atol=1e-5)
    assert targets.tolist() == (rows % 2).tolist()
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_a_state_goes_on_where_it_was(make: Callable[..., Training]) -> None:
    """Two epochs, and two more by another run that takes over the state: the weights of four, bit by bit."""
    whole, short, rest = (make(epochs=epochs, augment="digits") for epochs in (4, 2, 4))
    fit(whole)
    fit(short)
    rest.state.restore(short.state.tensors())
    assert fit(rest).epochs == 4
    assert [row["epoch"] for row in rows_of(rest)] == [3, 4]
    assert_same_bits(weights(whole.state.network), weights(rest.state.network))


# Ctrl-C --------------------------------------------------------------------------------------------------


def press_in(epoch: int) -> OnEvent:
    """Presses Ctrl-C at the first progress of an epoch."""
    pressed: list[bool] = []

    def hear(event: Event) -> None:
        if isinstance(event, Progress) and event.epoch == epoch and not pressed:
            pressed.append(True)
            signal.raise_signal(signal.SIGINT)

    return hear


@pytest.mark.parametrize("epoch", [1, 2])
def test_one_press_ends_the_run_in_order(make: Callable[..., Training], epoch: int) -> None:
    """The epochs that are whole count; the last weights are kept; the old handler is back."""
    before = signal.getsignal(signal.SIGINT)
    training = make(on_event=press_in(epoch))
    outcome = fit(training)
    assert (outcome.reason, outcome.epochs) == ("interrupted", epoch - 1)
    assert signal.getsignal(signal.SIGINT) is before
    assert (training.folder.path / MODEL).exists() == (epoch > 1)
    assert isinstance(load_network(training.folder.path / LAST)[0], Network)


@pytest.mark.parametrize("options", [{"epochs": 2}, {"epochs": 5, "lr": 1e-12, "patience": 1}])
def test_a_press_while_the_last_epoch_is_judged_is_not_lost(
    make: Callable[..., Training], options: dict[str, Any]
) -> None:
    """Nor in the epoch after which there is no improvement any more."""

    def hear(event: Event) -> None:
        if isinstance(event, EpochDone) and event.epoch == 2:
            signal.raise_signal(signal.SIGINT)

    outcome = fit(make(on_event=hear, **options))
    assert (outcome.reason, outcome.epochs) == ("interrupted", 2)


def test_a_second_press_ends_it_at_once(make: Callable[..., Training]) -> None:
    before = signal.getsignal(signal.SIGINT)

    def hear(event: Event) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fit(make(on_event=hear))
    assert signal.getsignal(signal.SIGINT) is before


def test_the_handler_is_back_after_an_error(make: Callable[..., Training]) -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(TrainingError):
        fit(make(optimizer="sgd", lr=1e30))
    assert signal.getsignal(signal.SIGINT) is before


def test_trains_in_another_thread(make: Callable[..., Training]) -> None:
    """Where Python delivers no signals; the weights are those of the main thread."""
    here, there = make(epochs=1), make(epochs=1)
    outcomes: list[Outcome] = []
    thread = threading.Thread(target=lambda: outcomes.append(fit(there)))
    thread.start()
    thread.join()
    assert outcomes == [fit(here)]
    assert_same_bits(weights(here.state.network), weights(there.state.network))


# Images that are mixed, flips by turns -----------------------------------------------------------------------


@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_step_with_mixed_images_is_the_formula(
    make: Callable[..., Training], pixels: NDArray[np.uint8], mix: str, smoothing: float
) -> None:
    """The cross-entropy with the mixed label, share · one-hot + (1 − share) · that of the partner."""
    training = make(
        epochs=1, batch_size=TRAIN, micro_batch=8, optimizer="sgd", lr=0.1, momentum=0.0,
        label_smoothing=smoothing, **{f"augment.{mix}": 1.0},
    )  # fmt: skip
    mixing, order = training.feed.mixing(TRAIN, 1, 0), training.feed.order(1)
    assert mixing is not None and 0 < mixing.share < 1
    plain, labels = plain_batch(pixels, order), F.one_hot(torch.from_numpy(order % 2), 2).float()
    images = mixing.pixels(plain)
    assert not torch.equal(images, plain)
    wanted = mixing.share * labels + (1 - mixing.share) * labels[mixing.rows]
    twin = training.feed.card.architecture.build()
    twin.load_state_dict(weights(training.state.network))
    loss = F.cross_entropy(twin(images), wanted, label_smoothing=smoothing)
    assert_one_step(training, twin, loss)


def test_a_step_with_mixed_numbers_is_the_formula(
    make_numbers: Callable[..., Training], pixels: NDArray[np.uint8]
) -> None:
    """Targets and covariates are mixed like pixels; a mean with an unknown number is unknown."""
    training = make_numbers(
        epochs=1, batch_size=TRAIN, optimizer="sgd", lr=0.1, momentum=0.0, **{"augment.mixup": 1.0}
    )
    mixing, order, card = training.feed.mixing(TRAIN, 1, 0), training.feed.order(1), training.feed.card
    assert mixing is not None and mixing.patch is None

    def mixed(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return mixing.share * values + (1 - mixing.share) * values[mixing.partners]

    twin = card.architecture.build()
    twin.load_state_dict(weights(training.state.network))
    beside = torch.from_numpy(mixed((order % 2 - 0.5) / 0.25)).float()[:, None]
    true = mixed(card.target_scaling.forward(training.feed.cache.index.targets[order]))  # type: ignore[union-attr]
    known = torch.from_numpy(~np.isnan(true))
    error = (
        twin(mixing.pixels(plain_batch(pixels, order)), beside)
        - torch.from_numpy(np.nan_to_num(true)).float()
    )
    assert_one_step(training, twin, (error.square() * known).sum() / (2 * TRAIN))


def test_mixing_goes_by_the_seed(make: Callable[..., Training]) -> None:
    settings = {"augment.mixup": 0.4, "augment.cutmix": 1.0, "augment.erase": 0.5}
    one, again = make(epochs=2, **settings), make(epochs=2, **settings)
    other = make(epochs=2, **settings, seed=1)
    for training in (one, again, other):
        fit(training)
    assert_same_bits(weights(one.state.network), weights(again.state.network))
    shares = [training.feed.mixing(8, 1, step).share for training in (one, other) for step in range(3)]  # type: ignore[union-attr]
    assert len(set(shares)) == 6


def test_two_epochs_show_each_image_both_ways(
    make: Callable[..., Training], pixels: NDArray[np.uint8]
) -> None:
    training = make(**{"augment.horizontal_flip": "alternate"})
    feed, rows = training.feed, np.arange(TRAIN)
    plain = plain_batch(pixels, rows)
    mirrored = []
    for epoch in (1, 2, 3):
        seen = feed.images(rows[::-1].copy(), epoch, 5).flip(0)  # the step and the order are no matter
        as_it_is = (seen - plain).abs().flatten(1).amax(dim=1) < 1e-3
        turned = (seen - plain.flip(-1)).abs().flatten(1).amax(dim=1) < 1e-3
        assert torch.equal(turned, ~as_it_is)
        mirrored.append(turned)
    assert torch.equal(mirrored[0], ~mirrored[1]) and torch.equal(mirrored[0], mirrored[2])
    assert 0 < mirrored[0].sum() < TRAIN


# Weighted, balanced, frozen, several numbers, covariates ------------------------------------------------------


def test_balanced_epochs_and_weights(make: Callable[..., Training]) -> None:
    """Ten dark and eleven bright: 22 visits, eleven of each; the weights are n / (K n_k)."""
    training = make(sampling="balanced", class_weights="balanced")
    assert training.feed.visits == 22 and training.feed.steps == 3
    order = training.feed.order(1)
    assert np.bincount(order % 2).tolist() == [11, 11]
    assert not np.array_equal(order, training.feed.order(2))
    raw, labels = torch.tensor([[2.0, -1.0], [0.5, 0.0]]), torch.tensor([0, 1])
    weights = 21 / (2 * np.array([11, 10]))  # rows 0, 2, … are dark
    rows = F.cross_entropy(raw, labels, reduction="none").numpy()
    assert training.loss(raw, labels).item() == pytest.approx((weights * rows).mean(), rel=1e-6)
    fit(training)
    assert rows_of(training)[-1]["val_accuracy"] >= 0.5


def test_frozen_parts_stay_through_a_run(make: Callable[..., Training]) -> None:
    training = make(epochs=2, freeze="stem")
    before = weights(training.state.network)
    fit(training)
    after = weights(load_network(training.folder.path / LAST)[0])
    for name, value in after.items():
        assert torch.equal(value, before[name]) == name.startswith("stem."), name


@pytest.fixture
def make_numbers(make: Callable[..., Training], tmp_path: Path) -> Callable[..., Training]:
    """Two numbers, of which every third image lacks the second, and one covariate."""

    def training(**settings: Any) -> Training:
        plain = make("regression", **settings)
        index = plain.feed.cache.index
        targets = np.concatenate((index.targets, 1e4 - 30.0 * index.targets), axis=1)
        targets[::3, 1] = np.nan
        covariates = np.arange(len(index), dtype=np.float64)[:, None] % 2
        index = replace(
            index,
            targets=targets,
            target=Numbers(("light", "dark")),
            covariates=covariates,
            covariate_specs=(Covariate("odd"),),
        )
        card = replace(
            plain.feed.card, architecture=replace(plain.feed.card.architecture, outputs=2, covariates=1),
            target=index.target,
            target_scaling=target_scale(index), covariates=index.covariate_specs,
            covariate_scaling=Scaling((0.5,), (0.25,)),
        )  # fmt: skip
        torch.manual_seed(0)
        cache = replace(plain.feed.cache, index=index)
        return started(card.architecture.build(), card, cache, plain.recipe, plain.folder, plain.on_event)

    return training


def test_a_step_with_covariates_and_missing_targets_is_the_formula(
    make_numbers: Callable[..., Training], pixels: NDArray[np.uint8]
) -> None:
    """In slices, too: mean over all N · T, what is unknown counting as met."""
    training = make_numbers(epochs=1, batch_size=TRAIN, micro_batch=4, optimizer="sgd", lr=0.1, momentum=0.0)
    rows, card = np.arange(TRAIN), training.feed.card
    before = weights(training.state.network)
    twin = training.feed.card.architecture.build()
    twin.load_state_dict(before)
    beside = torch.from_numpy((rows % 2 - 0.5) / 0.25).float()[:, None]
    true = card.target_scaling.forward(training.feed.cache.index.targets[rows])  # type: ignore[union-attr]
    known = torch.from_numpy(~np.isnan(true))
    error = twin(plain_batch(pixels, rows), beside) - torch.from_numpy(np.nan_to_num(true)).float()
    loss = (error.square() * known).sum() / (2 * TRAIN)
    assert_one_step(training, twin, loss)
    joint = training.state.network.head.joint.weight  # type: ignore[union-attr]
    assert (joint[:, -1] != 0).any()


def test_validation_of_several_numbers(
    make_numbers: Callable[..., Training], pixels: NDArray[np.uint8]
) -> None:
    """Each over the images for which it is known, then their mean; the best epoch has the lowest loss."""
    training = make_numbers(epochs=3)
    rows, card = np.arange(TRAIN, TRAIN + VAL), training.feed.card
    found = validation(training)
    beside = torch.from_numpy((rows % 2 - 0.5) / 0.25).float()[:, None]
    with torch.no_grad():
        raw = training.state.network.eval()(plain_batch(pixels, rows), beside).numpy()
    errors = card.target_scaling.inverse(raw) - training.feed.cache.index.targets[rows]  # type: ignore[union-attr]
    assert found["mae"] == pytest.approx(np.nanmean(np.abs(errors), axis=0).mean(), rel=1e-4)
    outcome = fit(training)
    losses = [row["val_loss"] for row in rows_of(training)]
    assert outcome.best_epoch == 1 + losses.index(min(losses))
