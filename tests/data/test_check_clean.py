"""The other half of the proof of the search for shortcuts: where nothing is planted, nothing is found."""

from pathlib import Path

import pytest
from planting import SETS, found, written


@pytest.mark.slow
@pytest.mark.parametrize("sample", ["shapes", "ages"])
def test_clean_sets_are_left_alone(tmp_path: Path, sample: str) -> None:
    """At most 2 of 40: at the 1 % that is meant, more come up in 0.7 % of tests; at 15 %, in 94 % of them."""
    told = {seed: found(written(tmp_path / str(seed), sample, 1000 + seed)) for seed in range(SETS)}
    alarms = {seed: [str(each) for each in findings] for seed, findings in told.items() if findings}
    assert len(alarms) <= 2, alarms
