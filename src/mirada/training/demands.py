"""What training asks of an index: targets to learn from, and enough images."""

from dataclasses import replace

import numpy as np

from mirada.data.index import Index
from mirada.data.sources import require_images
from mirada.errors import DataError


def with_plain_target(index: Index) -> Index:
    """The index with a single target as (N,), without a name."""
    if index.targets.ndim == 1:
        return replace(index, target_names=())
    if index.targets.shape[1] == 1:
        return replace(index, targets=index.targets[:, 0], target_names=())
    return index


def require_targets(index: Index) -> None:
    """Raises ``DataError`` if an image to train or validate on has no usable target; of several, one is enough."""
    if index.targets.ndim > 1 and len(index.target_names) != index.targets.shape[1]:
        raise DataError(
            f"{index.origin}: {index.targets.shape[1]} targets need as many `target_names`. Got {index.target_names}."
        )
    if index.task == "regression":
        columns = index.targets.reshape(len(index), -1)
        usable = np.isfinite(columns).any(axis=1) & ~np.isinf(columns).any(axis=1)
    else:
        usable = (index.targets >= 0) & (index.targets < len(index.classes))
    bad = np.flatnonzero(~usable & (index.splits != "test"))
    if len(bad):
        raise DataError(
            f"{index.path(bad[0])}: has no target to train on ({index.targets[bad[0]]}); {len(bad):,} images have "
            f"none. Leave them out of the Index."
        )


def require_splits(index: Index) -> None:
    """Raises ``DataError`` if decoding left too little to train or validate on."""
    require_images(index)
    if len(index.rows("train")) < 2 or len(index.rows("val")) < 1:
        counts = {split: len(index.rows(split)) for split in ("train", "val")}
        raise DataError(
            f"{index.origin}: {counts['train']} images to train on and {counts['val']} for validation are too few; "
            f"at least 2 and 1 are needed."
        )
