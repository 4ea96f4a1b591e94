"""The table of samples: rows, parts, what is left out, and columns that do not fit together."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mirada.data.index import Index
from mirada.errors import DataError
from mirada.samples import Classes, Covariate, Excluded, Numbers, Source

INDEX = Index(
    root=Path("data"),
    paths=("a/1.png", "a/2.png", "b/1.png", "b/2.png"),
    targets=np.array([0, 0, 1, -1]),
    splits=np.array(["train", "val", "train", "train"]),
    target=Classes(("a", "b")),
    excluded=(Excluded("b/notes.txt", "no image"),),
)


def test_rows_and_paths() -> None:
    assert len(INDEX) == 4
    assert INDEX.rows("train").tolist() == [0, 2, 3]
    assert INDEX.rows("test").tolist() == []
    assert INDEX.path(2) == Path("data/b/1.png")


def test_take_keeps_the_order_it_is_given() -> None:
    part = INDEX.take([2, 0, 2])
    assert part.paths == ("b/1.png", "a/1.png", "b/1.png")
    assert part.targets.tolist() == [1, 0, 1]
    assert part.splits.tolist() == ["train"] * 3
    assert (part.root, part.classes, part.excluded) == (INDEX.root, INDEX.classes, INDEX.excluded)
    assert len(INDEX.take([])) == 0
    assert len(INDEX) == 4


def test_without_moves_files_to_those_left_out() -> None:
    bad = Excluded("a/1.png", "damaged")
    rest = INDEX.without([bad])
    assert rest.paths == INDEX.paths[1:]
    assert rest.excluded == (*INDEX.excluded, bad)
    assert INDEX.without([]).paths == INDEX.paths


def test_counts_are_per_split_and_class() -> None:
    assert INDEX.counts() == {"train": {"a": 1, "b": 1}, "val": {"a": 1, "b": 0}}  # one has no target


@pytest.mark.parametrize(("unit", "name"), [("months", "months"), ("", "value")])
def test_counts_of_numbers_are_per_split_and_unit(unit: str, name: str) -> None:
    index = Index(
        root=Path(),
        paths=("1", "2", "3"),
        targets=np.array([1.0, 2.0, 3.0]),
        splits=np.array(["train", "test", "train"]),
        target=Numbers(unit=unit),
    )
    assert index.counts() == {"train": {name: 2}, "test": {name: 1}}


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(DataError) as caught:
        Index(root=Path(), paths=("1", "2"), targets=np.array([0]), splits=np.array(["train"]))
    assert str(caught.value) == (
        "The columns of Index must have the same length: for 2 paths, targets (2,) and 2 splits. Got targets (1,) "
        "and 1 splits."
    )


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(DataError, match=r"^A split is called train, val or test\. Got dev, holdout\.$"):
        Index(root=Path(), paths=("1", "2"), targets=np.array([0, 0]), splits=np.array(["holdout", "dev"]))


BESIDE = replace(
    INDEX,
    groups=("p", "p", "q", "r"),
    covariates=np.array([[1.0], [0.0], [1.0], [0.0]]),
    covariate_specs=(Covariate("male"),),
    notes=("target: kind",),
)


def test_what_is_known_beside_the_images_goes_with_its_row() -> None:
    part = BESIDE.take([3, 0])
    assert part.groups == ("r", "p")
    assert part.covariates.tolist() == [[0.0], [1.0]]
    assert part.without([Excluded("a/1.png", "damaged")]).groups == ("r",)
    assert (part.covariate_names, part.notes) == (("male",), ("target: kind",))
    assert INDEX.covariates.shape == (4, 0)


def test_the_origin_is_the_source_or_else_the_root() -> None:
    assert INDEX.origin == Path("data")
    assert replace(INDEX, source=Source(path=Path("data/table.csv"))).origin == Path("data/table.csv")


def test_what_has_not_one_row_for_each_image_is_refused() -> None:
    with pytest.raises(DataError, match=r"^The covariates of Index must be \(4, 1\)\. Got \(3, 1\)\.$"):
        replace(BESIDE, covariates=np.zeros((3, 1)))
    with pytest.raises(DataError, match=r"must be none or one per row\. Got 2 groups and 4 paths\.$"):
        replace(BESIDE, groups=("p", "q"))


def test_several_targets_are_counted_as_one() -> None:
    index = Index(
        root=Path(),
        paths=("1", "2"),
        targets=np.ones((2, 3)),
        splits=np.array(["train", "val"]),
        target=Numbers(("x", "y", "z")),
    )
    assert index.counts() == {"train": {"value": 1}, "val": {"value": 1}}
