"""The scale of targets and covariates: from the training images alone, missing values left out."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mirada.data.index import Index
from mirada.errors import DataError
from mirada.samples import Covariate, Numbers, Scaling
from mirada.training.demands import require_targets
from mirada.training.scaling import covariate_scale, target_scale

NAN = float("nan")


def index(targets: Any, covariates: Any = None, **changes: Any) -> Index:
    values = np.array(targets, dtype=np.float64)
    beside = (
        {}
        if covariates is None
        else {"covariates": np.array(covariates, float), "covariate_specs": (Covariate("male"),)}
    )
    fields = {
        "root": Path("xrays"), "paths": tuple(f"{n}.png" for n in range(len(values))), "targets": values,
        "splits": np.array(["train"] * (len(values) - 1) + ["val"]),
        "target": Numbers(("age", "height")[: values.shape[1]] if values.ndim > 1 else ("",)), **beside,
    }  # fmt: skip
    return Index(**(fields | changes))


def test_one_target() -> None:
    scaling = target_scale(index([10, 20, 60, 1e9]))
    assert scaling.mean == (30.0,) and scaling.std == (pytest.approx(np.std([10, 20, 60])),)


def test_several_targets_and_missing_values() -> None:
    table = index([[10, 1], [20, NAN], [60, 5], [1e9, 1e9]])
    scaling = target_scale(table)
    assert scaling.mean == (30.0, 3.0) and scaling.std == (pytest.approx(np.std([10, 20, 60])), 2.0)
    require_targets(table)  # one of the two is enough


@pytest.mark.parametrize("value", [0.0, 0.1, -7e12])
def test_equal_values_are_not_divided_by_zero(value: float) -> None:
    scaling = target_scale(index([value] * 5))
    assert scaling.mean == (pytest.approx(value),) and scaling.std == (1.0,)
    assert covariate_scale(index([1, 2, 3], [[value]] * 3)).std == (1.0,)


def test_covariates() -> None:
    assert covariate_scale(index([1, 2, 3, 4, 5], [[0], [1], [1], [0], [99]])) == Scaling((0.5,), (0.5,))
    assert covariate_scale(index([1, 2, 3])) == Scaling((), ())


def test_what_cannot_be_scaled() -> None:
    with pytest.raises(DataError) as error:
        target_scale(index([[10, NAN], [20, NAN], [60, 5]]))
    assert str(error.value) == 'xrays: no training image has a value of "height". Leave that target out.'
    with pytest.raises(DataError) as error:
        covariate_scale(index([1, 2, 3], [[0], [NAN], [1]]))
    assert str(error.value) == "xrays/1.png: its covariate male is nan. Leave the image or the covariate out."


def test_targets_that_cannot_be_trained_on() -> None:
    with pytest.raises(DataError, match=r"^xrays/1\.png: has no target to train on"):
        require_targets(index([[10, 1], [NAN, NAN], [60, 5]]))
    with pytest.raises(DataError, match=r"^xrays/2\.png: has no target to train on"):
        require_targets(index([[10, 1], [NAN, 2], [60, np.inf]]))
    with pytest.raises(DataError, match=r"for 2 paths, targets \(2, 1\) and 2 splits\. Got targets \(2, 2\)"):
        index([[10, 1], [20, 2]], target=Numbers())


def test_a_single_column_is_one_number() -> None:
    """And may come without a second axis."""
    for plain in (index([[10], [20]]), index([10, 20])):
        assert plain.targets.tolist() == [[10], [20]] and plain.target_names == ()
    assert index([[10, 1], [20, 2]]).target_names == ("age", "height")
