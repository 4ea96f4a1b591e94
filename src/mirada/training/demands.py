"""What training asks of an index: targets to learn from, and enough images."""

import numpy as np
from numpy.typing import NDArray

from mirada.data.index import Index
from mirada.data.sources import require_images
from mirada.errors import DataError
from mirada.samples import Classes, Numbers


def require_targets(index: Index) -> None:
    """Raises ``DataError`` if an image to train or validate on has no usable target; of several, one is enough."""
    usable: NDArray[np.bool_]
    match index.target:
        case Classes(names):
            usable = (index.targets >= 0) & (index.targets < len(names))
        case Numbers():
            usable = np.asarray(np.isfinite(index.targets).any(axis=1) & ~np.isinf(index.targets).any(axis=1))
    bad = np.flatnonzero(~usable & (index.splits != "test"))
    if len(bad):
        found = np.squeeze(index.targets[bad[0]])
        raise DataError(
            f"{index.path(bad[0])}: has no target to train on ({found}); {len(bad):,} images have none. Leave them "
            f"out of the Index."
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
