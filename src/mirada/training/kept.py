"""What frozen parts make of the images is computed once, if there is room to keep it: said before, then done."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from mirada.compute import Compute
from mirada.data.batches import Rows
from mirada.data.feature_store import FeatureStore
from mirada.data.views import judged
from mirada.errors import counted, reason_of
from mirada.evaluation.features import Demand, Features, open_features
from mirada.events import FeaturesPlanned, OnEvent
from mirada.models.families import OF_THE_HEADS
from mirada.training.feed import Feed


def keep_for_training(feed: Feed, epochs: range, on_event: OnEvent, interrupted: Callable[[], bool]) -> bool:
    """Computes what the frozen parts make of all that some epochs show.

    Where there is no room to keep it, the feed goes on computing it each time, of the very same views.

    Args:
        feed: Whose features are to be kept; it is changed.
        epochs: Counted from 1.
        on_event: Hears what room it takes, then of progress.
        interrupted: Asked after every batch.

    Returns:
        Whether it was not interrupted.
    """
    if feed.features is None:
        return True
    views = feed.features.views
    demands = [Demand(view, feed.train_rows) for view in views.between(epochs[0], epochs[-1])]
    said = []
    if views.augmentation.changes:
        said.append(
            f"Frozen parts see each training image in {counted(views.count, 'augmented view')}, in turn (`views`)."
        )
    if passed := [name for name in feed.features.network.auxiliary_heads() if name in feed.features.parts]:
        said.append(
            f"The auxiliary heads of {', '.join(passed)} are left out, since what they read is frozen."
        )
    demands += _of_answers(feed, feed.val_rows)
    feed.features = _kept(feed, feed.features, demands, on_event, interrupted, said)
    return not interrupted()


def keep_for_evaluation(feed: Feed, compute: Compute, on_event: OnEvent) -> Features | None:
    """Computes what the frozen parts make of the images that the final evaluation looks at.

    Args:
        feed: With its features, if there are any.
        compute: The device and the precision of the evaluation.
        on_event: Hears as in training.

    Returns:
        The features, None where nothing is frozen.
    """
    if feed.features is None:
        return None
    rows = np.concatenate([feed.val_rows, feed.cache.index.rows("test")])
    features = replace(feed.features, compute=compute, store=None)
    return _kept(feed, features, _of_answers(feed, rows), on_event, lambda: False, [])


def _of_answers(feed: Feed, rows: Rows) -> list[Demand]:
    """What is wanted of images that are to be judged."""
    return [Demand(view, rows) for view in judged(feed.card.flip_average)]


def _kept(
    feed: Feed,
    features: Features,
    demands: Sequence[Demand],
    on_event: OnEvent,
    interrupted: Callable[[], bool],
    said: Sequence[str],
) -> Features:
    """Features with all that is wanted on disk; without a place on disk where that cannot be."""
    plain, built = replace(features, store=None), feed.card.architecture
    deciding = {key: value for key, value in built.options.items() if key not in OF_THE_HEADS}
    kept = open_features(plain, repr((built.model, deciding, built.in_channels, built.image_size)))
    store = kept.store
    if store is None:
        return plain
    why_not = _lack_of_room(store, kept.missing(demands))
    on_event(_plan(kept, store, demands, why_not, said))
    if why_not:
        return plain
    try:
        kept.keep(demands, on_event, interrupted)
    except OSError as error:
        if str(store.folder) not in str(error.filename):
            raise  # the listener's
        on_event(_plan(kept, store, demands, f"{store.folder} cannot be written ({reason_of(error)})", []))
        return plain
    return kept


def _lack_of_room(store: FeatureStore, missing: int) -> str:
    """Why so many more rows cannot be kept; "" if they can."""
    needed = missing * store.row_bytes
    try:
        free = store.free()
    except OSError as error:
        return f"{store.folder} cannot be looked at ({reason_of(error)})"
    if needed <= free:
        return ""
    return f"they would take {_size(needed)} in {store.folder}, where {_size(free)} are free"


def _plan(
    kept: Features, store: FeatureStore, demands: Sequence[Demand], why_not: str, said: Sequence[str]
) -> FeaturesPlanned:
    """What is computed, and what room it takes."""
    rows, missing = sum(len({*kept.digests(each.rows)}) for each in demands), kept.missing(demands)
    left = f"{missing:,} of them are still to be computed" if missing else "all are there already"
    text = (
        f"Features after {kept.place} are computed each time, since {why_not}."
        if why_not
        else f"Features after {kept.place} are computed once: {counted(rows, 'row')} of "
        f"{_size(store.row_bytes)}, {_size(rows * store.row_bytes)} in {store.folder}; {left}."
    )
    return FeaturesPlanned(
        place=kept.place,
        rows=rows,
        missing=missing,
        row_bytes=store.row_bytes,
        folder="" if why_not else str(store.folder),
        text=" ".join((*said, text)),
    )


def _size(count: int) -> str:
    """Bytes as people read them."""
    for unit, size in (("GiB", 2**30), ("MiB", 2**20)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count / 2**10:,.1f} KiB"
