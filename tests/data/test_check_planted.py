"""The proof of the search for shortcuts: what is planted is found, and where nothing is planted nothing is.

Each planting has a seed of its own, which draws the sample, the class (or the end of the numbers), the place, the size,
the grey value and the share of its images that bear it.
"""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from planting import SETS, bearing, found, planted, rectangle, written


@pytest.mark.parametrize("sample", ["shapes", "ages"])
def test_one_planted_marker_is_found_where_it_is_and_named(tmp_path: Path, sample: str) -> None:
    index = written(tmp_path / "clean", sample, 5)
    assert found(index) == []
    marked = bearing(index, np.random.default_rng(0), 0.5)
    for row, bears in enumerate(marked):
        if bears:
            with Image.open(index.path(row)) as image:
                changed = rectangle(image, (57, 2, 62, 7), 230)
            changed.save(index.path(row))
    for finding in found(index):
        assert "a marker (a spot at the top right, grey 22" in finding.fact
        assert {path for path, bears in zip(index.paths, marked, strict=True) if bears} >= {
            *finding.paths[:3]
        }
    assert found(index)


@pytest.mark.slow
@pytest.mark.parametrize("sample", ["shapes", "ages"])
def test_plantings_are_found(tmp_path: Path, sample: str) -> None:
    """At least 38 of 40: were a tenth of such shortcuts missed, 38 or more would be found in 22 % of tests only."""
    missed = []
    for seed in range(SETS):
        what, index = planted(tmp_path / str(seed), sample, seed)
        if not found(index):
            missed.append((seed, what))
    assert len(missed) <= 2, missed
