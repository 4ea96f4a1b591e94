"""Mean and standard deviation of what is no image, from the training images alone: the targets and the covariates."""

import numpy as np
from numpy.typing import NDArray

from mirada.data.index import Index
from mirada.errors import DataError
from mirada.samples import Scaling

Columns = NDArray[np.float64]


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
    return _scale(columns)


def covariate_scale(index: Index) -> Scaling:
    """That of every covariate. Raises ``DataError`` for an image without a finite value of one."""
    bad = np.argwhere(~np.isfinite(index.covariates))
    if len(bad):
        row, column = bad[0].tolist()
        raise DataError(
            f"{index.path(row)}: its covariate {index.covariate_specs[column].label} is "
            f"{index.covariates[row, column]}. Leave the image or the covariate out."
        )
    return _scale(index.covariates[index.rows("train")])


def _scale(columns: Columns) -> Scaling:
    means, stds = [], []
    for column in columns.T:
        known = column[~np.isnan(column)]
        mean, std = float(known.mean()), float(known.std())
        same = std <= 1e-9 * np.abs(known).max()  # but for rounding
        means.append(mean)
        stds.append(1.0 if same else std)
    return Scaling(tuple(means), tuple(stds))
