"""The parts of a page of explanations, and their mean maps, compared with numpy."""

from base64 import b64decode
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from mirada.data.index import Index
from mirada.jobs.explanation_cohort import columns_of, mean_columns
from mirada.samples import Classes, Covariate, Numbers

ANSWERS = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.6, 0.4]])


def index_of(**columns: object) -> Index:
    values = {"root": Path(), "paths": ("a", "b", "c", "d"), "splits": np.full(4, "test")}
    return Index(**(values | columns))  # type: ignore[arg-type]


def test_images_are_parted_by_class_error_site_and_sex() -> None:
    index = index_of(
        target=Classes(("cat", "dog")),
        targets=np.array([0, 1, 0, -1]),
        by=(("A",), ("B",), ("",), ("B",)),
        by_names=("site",),
        covariate_specs=(Covariate("sex", "M", "F"), Covariate("age")),
        covariates=np.array([[1, 30.0], [0, 40.0], [0, 50.0], [1, 60.0]]),
    )
    assert columns_of(index, ANSWERS) == {
        "class": ["cat", "dog", "cat", "(unknown)"],
        "answer": ["right", "right", "wrong", "(unknown)"],
        "site": ["A", "B", "(unknown)", "B"],
        "sex": ["M", "F", "F", "M"],
    }


def test_numbers_have_no_classes_and_what_is_the_same_for_all_parts_nothing() -> None:
    index = index_of(target=Numbers(), targets=np.ones((4, 1)), by=(("A",),) * 4, by_names=("site",))
    assert columns_of(index, np.ones((4, 1))) == {}


def test_mean_maps_of_a_column_share_a_scale() -> None:
    maps = np.random.default_rng(0).normal(size=(30, 4, 6)).astype(np.float32)
    words = ["cat"] * 16 + ["dog"] * 12 + ["rare"] * 2
    everything, by_class = mean_columns(maps, {"class": words}, (64, 96))
    assert (everything.name, by_class.name) == ("", "class")
    assert [(each.part, each.images) for each in by_class.pictures] == [("cat", 16), ("dog", 12)]
    largest = max(np.abs(maps[:16].mean(axis=0)).max(), np.abs(maps[16:28].mean(axis=0)).max())
    assert np.isclose(by_class.limit, largest, rtol=1e-5)
    assert np.isclose(everything.limit, np.abs(maps.mean(axis=0)).max(), rtol=1e-5)
    picture = by_class.pictures[0].picture.removeprefix("data:image/png;base64,")
    assert Image.open(BytesIO(b64decode(picture))).size == (128, 85)  # the shape of the network's input


def test_few_images_have_no_mean() -> None:
    assert mean_columns(np.ones((9, 2, 2), dtype=np.float32), {"class": ["a", "b", "c"] * 3}, (8, 8)) == []
