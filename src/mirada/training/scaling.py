"""Mean and standard deviation of what is no image, from the training images alone: the targets and the covariates."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mirada.data.index import Index
from mirada.errors import DataError
from mirada.samples import Scaling

Columns = NDArray[np.float64]
SAME = 4.5e-16  # of the largest value, two steps of float64: below it, a deviation is the rounding of equal values


def target_scale(index: Index) -> Scaling:
    """That of every numeric target, over the images for which it is known.

    Raises ``DataError`` for one that no training image has.
    """
    columns = index.targets[index.rows("train")].astype(np.float64)
    unknown = np.flatnonzero(np.isnan(columns).all(axis=0)).tolist()
    if unknown:
        raise DataError(
            f'{index.origin}: no training image has a value of "{index.target.names[unknown[0]]}". Leave that target '
            f"out."
        )
    return _scale(columns, index.target.names, index.origin)


def covariate_scale(index: Index) -> Scaling:
    """That of every covariate. Raises ``DataError`` for an image without a finite value of one."""
    bad = np.argwhere(~np.isfinite(index.covariates))
    if len(bad):
        row, column = bad[0].tolist()
        raise DataError(
            f"{index.path(row)}: its covariate {index.covariate_specs[column].label} is "
            f"{index.covariates[row, column]}. Leave the image or the covariate out."
        )
    names = [each.label for each in index.covariate_specs]
    return _scale(index.covariates[index.rows("train")], names, index.origin)


def _scale(columns: Columns, names: Sequence[str], origin: Path) -> Scaling:
    """In float64. Raises ``DataError`` for numbers so large that their squares are none."""
    means, stds = [], []
    for name, column in zip(names, columns.T, strict=True):
        known = column[~np.isnan(column)]
        with np.errstate(over="ignore", invalid="ignore"):
            mean, std = float(known.mean()), float(known.std())
            total = float(np.square(known).sum())
        if not math.isfinite(total):
            raise DataError(
                f'{origin}: "{name}" reaches {np.abs(known).max():g}, which is too large to compute with. Give it in a '
                f"larger unit."
            )
        means.append(mean)
        stds.append(1.0 if std <= SAME * np.abs(known).max() else std)
    return Scaling(tuple(means), tuple(stds))
