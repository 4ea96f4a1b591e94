"""What frozen parts make of images is computed once, and training goes as if it were computed each time."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from mirada.compute import Compute
from mirada.data.cache import Cache, open_cache
from mirada.data.feature_store import FeatureStore
from mirada.data.index import Index
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.events import Event, FeaturesPlanned, Progress
from mirada.inference.model import Model
from mirada.layers.network import Network
from mirada.modelfile import Architecture, Card
from mirada.runs.folder import RunFolder
from mirada.samples import Classes
from mirada.training.begin import begin
from mirada.training.feed import Feed
from mirada.training.kept import keep_for_evaluation, keep_for_training
from mirada.training.loop import Training, fit
from mirada.training.phases import phases_of
from mirada.training.recipe import Recipe

CPU = Compute(torch.device("cpu"), "float32")
SIDE, COUNTS = 32, {"train": 11, "val": 5, "test": 4}
NAMES = [f"{number:02}.png" for number in range(sum(COUNTS.values()))]


class Ran(NamedTuple):
    training: Training
    events: list[Event]

    @property
    def plan(self) -> FeaturesPlanned:
        return next(event for event in self.events if isinstance(event, FeaturesPlanned))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for name in NAMES:
        pixels = random.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / name)
    return tmp_path / "images"


def cache_of(images: Path, names: list[str], directory: Path, side: int) -> Cache:
    splits = np.repeat(list(COUNTS), list(COUNTS.values()))[: len(names)]
    index = Index(
        root=images, paths=tuple(names), targets=np.arange(len(names)) % 2, splits=splits,
        target=Classes(("a", "b")),
    )  # fmt: skip
    plain = Preprocessing(size=(side, side), mean=(0.0,) * 3, std=(1.0,) * 3)
    return open_cache(index, plain, directory=directory)


@pytest.fixture
def make(images: Path, tmp_path: Path) -> Callable[..., Ran]:
    """``make(model, names=…, **settings)``: a run before its first step, of a network that is drawn anew."""

    def made(model: str = "resnet20", *, names: list[str] = NAMES, side: int = SIDE, **settings: Any) -> Ran:
        cache = cache_of(images, names, tmp_path / "caches", side)
        recipe = Recipe(model=model).with_settings(
            {"image_size": side, "epochs": 4, "batch_size": 4, "augment": "photos", "views": 2, **settings}
        )
        card = Card(
            architecture=Architecture(
                model=model, options=recipe.options, outputs=2, in_channels=3, image_size=(side, side)
            ),
            target=cache.index.target,
            preprocessing=replace(cache.preprocessing, mean=(0.4,) * 3, std=(0.3,) * 3),
            recipe=recipe.to_dict(),
        )
        torch.manual_seed(0)
        network = card.architecture.build()
        feed = Feed(
            cache=cache, card=card, compute=CPU, augmentation=replace(recipe.augment, horizontal_flip=True),
            batch_size=4, seed=recipe.seed,
        )  # fmt: skip
        events: list[Event] = []
        folder = RunFolder.create(tmp_path / f"run{len(list(tmp_path.iterdir()))}")
        return Ran(begin(network, phases_of(network, recipe), feed, recipe, folder, events.append), events)

    return made


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images have gone through frozen parts, call by call; one of them is to see how large a row is."""
    counts: list[int] = []
    original = Network.forward_to

    def counting(network: Network, name: str, images: Tensor) -> Tensor:
        counts.append(len(images))
        return original(network, name, images)

    monkeypatch.setattr(Network, "forward_to", counting)
    return counts


@pytest.fixture
def no_room(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(FeatureStore, "free", lambda store: 0)
        yield


def weights(training: Training) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in training.state.network.state_dict().items()}


CASES = {
    "a prefix, batch normalization behind it": ("resnet20", {"freeze": "stem,stage1"}),
    "all but the head": ("resnet20", {"freeze": "all"}),
    "dropout in the head": ("vgg11", {"freeze": "all", "options.head": "average"}),
    "no augmentation": ("resnet20", {"freeze": "all", "augment": "none"}),
    "slices": ("resnet20", {"freeze": "stem,stage1", "micro_batch": 2}),
    "another part further on": ("resnet20", {"freeze": "stem,stage2"}),
}


@pytest.mark.parametrize(("model", "settings"), CASES.values(), ids=CASES)
def test_both_ways_give_the_same_numbers(
    make: Callable[..., Ran], request: pytest.FixtureRequest, model: str, settings: dict[str, Any]
) -> None:
    kept = make(model, **settings)
    fit(kept.training)
    request.getfixturevalue("no_room")
    shutil.rmtree(kept.plan.folder)
    each_time = make(model, **settings)
    before = weights(each_time.training)
    fit(each_time.training)
    assert kept.plan.folder and not each_time.plan.folder
    after = weights(each_time.training)
    assert not torch.equal(after["head.linear.weight"], before["head.linear.weight"])
    for name, value in weights(kept.training).items():
        torch.testing.assert_close(value, after[name], rtol=1e-5, atol=1e-6, msg=name)


def test_a_second_run_computes_nothing(make: Callable[..., Ran], computed: list[int]) -> None:
    first = make(freeze="all")
    fit(first.training)
    rows = 2 * COUNTS["train"] + COUNTS["val"]
    assert sum(computed) == rows + 1
    assert (first.plan.rows, first.plan.missing, first.plan.row_bytes) == (rows, rows, 64 * 4)
    computed.clear()
    second = make(freeze="all")
    fit(second.training)
    assert (
        computed == [1] and second.plan.missing == 0 and second.plan.text.endswith("all are there already.")
    )
    for name, value in weights(first.training).items():
        assert torch.equal(value, weights(second.training)[name]), name


def test_another_head_computes_nothing(make: Callable[..., Ran], computed: list[int]) -> None:
    """What the frozen parts make of an image does not depend on what reads it."""
    for dropout in (0.5, 0.1):
        computed.clear()
        ran = make("vgg11", **{"freeze": "all", "options.head": "average", "options.dropout": dropout})
        assert keep_for_training(ran.training.feed, range(1, 5), ran.events.append, lambda: False)
    assert computed == [1] and ran.plan.missing == 0


def test_only_new_images_and_new_views_are_computed(make: Callable[..., Ran], computed: list[int]) -> None:
    fit(make(freeze="all", names=NAMES[:14]).training)  # 11 to train on, 3 to validate
    computed.clear()
    fit(make(freeze="all").training)
    assert sum(computed) == 1 + COUNTS["val"] - 3
    computed.clear()
    fit(make(freeze="all", views=3).training)
    assert sum(computed) == 1 + COUNTS["train"]
    computed.clear()
    fit(
        make(freeze="all", seed=1).training
    )  # another seed sees other views, and validates on the same images
    assert sum(computed) == 1 + 2 * COUNTS["train"]


def test_no_more_views_than_epochs(make: Callable[..., Ran], computed: list[int]) -> None:
    fit(make(freeze="all", epochs=1, views=9).training)
    assert sum(computed) == 1 + COUNTS["train"] + COUNTS["val"]


def test_other_weights_are_other_features(make: Callable[..., Ran], computed: list[int]) -> None:
    fit(make(freeze="all").training)
    computed.clear()
    other = make(freeze="all")
    with torch.no_grad():
        next(other.training.state.network.stage2.parameters())[0] += 1e-3
    fit(other.training)
    assert other.plan.missing == other.plan.rows == sum(computed) - 1
    computed.clear()
    shorter = make(freeze="stem")  # nor are those of another place
    fit(shorter.training)
    assert shorter.plan.missing == shorter.plan.rows


def test_a_damaged_row_is_computed_again(make: Callable[..., Ran], computed: list[int]) -> None:
    first = make(freeze="all")
    fit(first.training)
    file = max(Path(first.plan.folder).glob("features-*.bin"), key=lambda each: each.stat().st_size)
    data = bytearray(file.read_bytes())
    data[5] ^= 4
    file.write_bytes(data)
    computed.clear()
    second = make(freeze="all")
    fit(second.training)
    assert computed == [1, 1]
    for name, value in weights(first.training).items():
        torch.testing.assert_close(value, weights(second.training)[name], rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.usefixtures("no_room")
def test_the_plain_way_where_there_is_no_room(make: Callable[..., Ran]) -> None:
    ran = make(freeze="all")
    fit(ran.training)
    assert ran.plan.text == (
        f"Frozen parts see each training image in 2 augmented views, in turn (`views`). Features after stage3 are "
        f"computed each time, since they would take {27 * 256 / 1024:.1f} KiB in "
        f"{ran.training.feed.cache.directory}/{Path(str(kept_folder(ran))).name}, where 0.0 KiB are free."
    )
    assert not any(file.name == "features.json" for file in caches_of(ran).rglob("*"))


def kept_folder(ran: Ran) -> str:
    return ran.plan.text.split(" in ")[3].split(",")[0]


def caches_of(ran: Ran) -> Path:
    assert ran.training.feed.cache.directory
    return ran.training.feed.cache.directory


def test_the_plain_way_where_writing_fails(make: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(store: FeatureStore, *_: object) -> None:
        raise OSError(28, "No space left on device", str(store.folder / "features.json"))

    ran = make(freeze="all")
    monkeypatch.setattr(FeatureStore, "add", full)
    assert fit(ran.training).reason == "finished"
    texts = [event.text for event in ran.events if isinstance(event, FeaturesPlanned)]
    assert len(texts) == 2 and "cannot be written (no space left on device)" in texts[1]


def test_the_listener_s_error_is_its_own(make: Callable[..., Ran]) -> None:
    def deaf(event: Event) -> None:
        if isinstance(event, Progress):
            raise OSError(5, "Input/output error", "terminal")

    ran = make(freeze="all")
    with pytest.raises(OSError, match="terminal"):
        keep_for_training(ran.training.feed, range(1, 3), deaf, lambda: False)


def test_ctrl_c_keeps_what_is_there(make: Callable[..., Ran], computed: list[int]) -> None:
    asked = iter([False, False, True])
    ran = make(freeze="all")
    done = keep_for_training(ran.training.feed, range(1, 3), ran.events.append, lambda: next(asked, True))
    assert not done
    computed.clear()
    fit(make(freeze="all", epochs=2).training)
    assert sum(computed) == 1 + COUNTS["train"] + COUNTS["val"]  # the first view is there


def test_the_evaluation_reads_them_too(make: Callable[..., Ran], computed: list[int]) -> None:
    ran = make(freeze="all")
    fit(ran.training)
    feed, network = ran.training.feed, ran.training.state.network
    computed.clear()
    features = keep_for_evaluation(feed, CPU, ran.events.append)
    assert sum(computed) == 1 + COUNTS["test"]
    model = Model(network, feed.card, CPU)
    computed.clear()
    kept = model.predict_cached(feed.cache, ["val", "test"], features)
    assert not computed
    plain = model.predict_cached(feed.cache, ["val", "test"])
    np.testing.assert_allclose(kept.outputs, plain.outputs, atol=1e-6)
    assert kept.paths == plain.paths


def test_nothing_is_kept_where_it_is_not_wanted_or_the_first_part_learns(make: Callable[..., Ran]) -> None:
    for settings in ({"freeze": "all", "views": 0}, {"freeze": "stage1"}, {}):
        ran = make(epochs=1, **settings)
        assert ran.training.feed.features is None
        fit(ran.training)
        assert not any(isinstance(event, FeaturesPlanned) for event in ran.events)
        assert keep_for_evaluation(ran.training.feed, CPU, ran.events.append) is None
    assert not list(caches_of(ran).rglob("features*"))


def test_batches_and_pictures_show_the_same_view(make: Callable[..., Ran]) -> None:
    feed = make(freeze="stem").training.feed
    rows = feed.order(3)[:4]
    seen = feed.images(rows, 3, 0)
    assert torch.equal(seen[[2, 0]], feed.images(rows[[2, 0]], 1, 7))  # epochs 1 and 3 have one view
    assert not torch.equal(seen, feed.images(rows, 2, 0))
    batch = feed.batch(rows, 3, 0)
    assert batch.after == "stem" and feed.features
    stem = feed.features.network.stem.eval()
    torch.testing.assert_close(batch.images, stem(seen).detach(), rtol=1e-5, atol=1e-6)


def test_auxiliary_heads_that_would_teach_nobody_are_left_out(make: Callable[..., Ran]) -> None:
    ran = make("googlenet", side=79, freeze="all", epochs=1, **{"options.auxiliary": True})
    network = ran.training.state.network
    keep_for_training(ran.training.feed, range(1, 2), ran.events.append, lambda: True)
    heads = list(network.auxiliary_heads())
    assert (
        len(heads) == 2 and f"The auxiliary heads of {', '.join(heads)} are left out, since" in ran.plan.text
    )


def test_bfloat16_is_kept_as_it_is_computed(make: Callable[..., Ran]) -> None:
    """In training; the final evaluation is in float32 and has rows of its own."""
    half = Compute(torch.device("cpu"), "bfloat16")
    ran = make("vgg11", freeze="all", epochs=2, **{"options.head": "average"})
    feed = ran.training.feed
    assert feed.features
    feed.compute, plain = half, replace(feed.features, compute=half)
    feed.features = plain
    assert keep_for_training(feed, range(1, 3), ran.events.append, lambda: False)
    kept = feed.features
    assert ran.plan.row_bytes == 2 * 512 and kept.store and kept is not plain
    for view in (0, 1):
        maps = kept.maps(feed.train_rows, view)
        assert maps.dtype == torch.bfloat16 and torch.equal(maps, plain.maps(feed.train_rows, view))
    final = keep_for_evaluation(feed, CPU, ran.events.append)
    assert final and final.store and final.store.folder != kept.store.folder
    assert final.maps(feed.val_rows).dtype == torch.float32
    model = Model(ran.training.state.network, feed.card, CPU)
    plainly = model.predict_cached(feed.cache, ["val"])  # features of another precision do not serve
    np.testing.assert_array_equal(model.predict_cached(feed.cache, ["val"], kept).outputs, plainly.outputs)
