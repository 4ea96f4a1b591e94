"""What the check finds in numeric targets: mistakes and codes are told, and no sound numbers are."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mirada.data.checks.kinds import Finding, Kind
from mirada.data.checks.targets import target_findings
from mirada.data.index import Index
from mirada.data.sources import load_data
from mirada.jobs.check import check
from mirada.samples import Numbers

Draw = Callable[[np.random.Generator, int], NDArray[np.float64]]

SOUND: dict[str, Draw] = {
    "normal": lambda rng, n: rng.normal(size=n),
    "normal, positive": lambda rng, n: rng.normal(100, 15, n),
    "normal, whole": lambda rng, n: rng.normal(100, 15, n).round(),
    "uniform": lambda rng, n: rng.random(n),
    "ages": lambda rng, n: rng.integers(12, 217, n).astype(float),
    "marks": lambda rng, n: rng.integers(0, 5, n).astype(float),
    "percent": lambda rng, n: rng.integers(0, 101, n).astype(float),
    "counts": lambda rng, n: rng.poisson(2, n).astype(float),
    "prices over three decades": lambda rng, n: (10 ** rng.uniform(1, 4, n)).round(2),
    "prices, lognormal": lambda rng, n: rng.lognormal(4, 1.5, n),
    "waiting times": lambda rng, n: rng.exponential(5, n),
    "mostly nothing": lambda rng, n: rng.lognormal(0, 1.5, n) * (rng.random(n) > 0.6),
    "negative": lambda rng, n: -rng.lognormal(2, 0.2, n),
    "two kinds": lambda rng, n: np.where(rng.random(n) < 0.8, rng.normal(0, 1, n), rng.normal(50, 1, n)),
    "two values": lambda rng, n: (rng.integers(0, 2, n) * 1000).astype(float),
}


def numbers_of(values: object, **changes: object) -> Index:
    """An index of numbers in months to train on, without files."""
    targets = np.asarray(values, dtype=np.float64)
    fields = {
        "root": Path("nowhere"),
        "paths": tuple(f"{row}.png" for row in range(len(targets))),
        "splits": np.full(len(targets), "train"),
        "targets": targets,
        "target": Numbers(unit="months"),
    }
    return Index(**(fields | changes))  # type: ignore[arg-type]


def findings_of(values: object, **changes: object) -> list[Finding]:
    found = list(target_findings(numbers_of(values, **changes)))
    assert all(isinstance(finding.kind, Kind) for finding in found)
    return found


def told(values: object, **changes: object) -> list[str]:
    return [str(finding) for finding in findings_of(values, **changes)]


def ages(count: int = 200, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).uniform(20, 230, count).round(3)


def odd_rows(values: NDArray[np.float64]) -> set[int]:
    """The rows of all findings on single numbers."""
    far = [finding for finding in findings_of(values) if finding.kind == "far-target"]
    return {int(path.removesuffix(".png")) for finding in far for path in finding.paths}


# --- numbers unlike the others ----------------------------------------------------------------


def test_targets_unlike_the_others() -> None:
    values = ages()
    assert told(values) == []
    values[[3, 5, 7, 9]] = 5000, 2000, -1, -36.5
    low, high = np.quantile(np.delete(values, [3, 5, 7, 9]), (0.25, 0.75))
    usual = f"(half of the others: {low:,.4g} to {high:,.4g})"
    assert told(values) == [
        f"7.png: its target, -1 months, is negative, unlike the others {usual}: check it",
        f"9.png: its target, -36.5 months, is negative, unlike the others {usual}: check it",
        f"5.png: its target, 2,000 months, is far from the others {usual}: check it",
        f"3.png: its target, 5,000 months, is far from the others {usual}: check it",
    ]


@pytest.mark.parametrize("count", [60, 200, 1000])
@pytest.mark.parametrize(
    "odd", [(999,), (999, 2000), (-999,), (-1,), (-5,), (-36,), (99999,), (5000,), (-1, -9), (0, 0, 0, 0)], ids=str
)  # fmt: skip
def test_a_few_odd_numbers_among_ages_and_nothing_else(odd: tuple[float, ...], count: int) -> None:
    for values in (ages(count), ages(count).round()):
        rows = np.arange(len(odd)) * 7
        values[rows] = odd
        assert odd_rows(values) == set(rows.tolist())


@pytest.mark.parametrize("code", [-999.0, -1.0, -1000.0, 0.0, 999.0])
@pytest.mark.parametrize("share", [0.03, 0.2])
def test_a_code_is_one_finding_however_often_it_is_there(code: float, share: float) -> None:
    values = ages(300)
    count = round(share * 300)
    values[:count] = code
    (finding,) = findings_of(values)
    assert (finding.kind, finding.where) == ("far-target", "")
    assert finding.message.startswith(f"the target of {count} rows, {code:,g} months, ")
    assert finding.paths == tuple(f"{row}.png" for row in range(count))


def test_codes_among_real_bone_ages(shared_data: Path) -> None:
    index = load_data(shared_data / "boneage" / "boneage.csv", target="boneage", image="filename")
    values = index.targets[:, 0].copy()
    values[40:61], values[100] = -999, -1
    single, several, rounded = findings_of(values)
    assert single.message.startswith('its target, -1 months, may stand for "unknown" ')
    assert several.message.startswith('the target of 21 rows, -999 months, may stand for "unknown" ')
    plain = np.delete(values, [*range(40, 61), 100])
    count = int((plain % 12 == 0).sum())
    assert rounded.message.startswith(f"{count} of 458 other targets (")


@pytest.mark.parametrize("name", SOUND)
def test_sound_numbers_are_let_be(name: str) -> None:
    """Of twenty samples each: what is told of one of them would be told of every tenth data set."""
    for seed in range(20):
        for count in (100, 500):
            assert odd_rows(SOUND[name](np.random.default_rng([seed, count]), count)) == set(), (seed, count)


def test_a_price_far_beyond_three_decades_is_told() -> None:
    values = SOUND["prices over three decades"](np.random.default_rng(0), 500)
    values[[4, 8]] = 1e9, 1e-6
    assert odd_rows(values) == {4, 8}


def test_numbers_too_few_or_too_alike_have_no_rule() -> None:
    for values in ([1.0, 2, 3, 999], [np.nan] * 20, np.r_[np.zeros(400), 1.0], [5.0] * 15 + [-1.0] * 2):
        assert odd_rows(np.asarray(values)) == set()


def test_without_any_target_nothing_is_told() -> None:
    assert told([]) == []
    assert told(np.full((20, 2), np.nan), target=Numbers(("a", "b"))) == []


def test_missing_targets_are_no_reason_to_doubt_the_others() -> None:
    values = ages()
    values[::3] = np.nan
    values[1] = -999
    (said,) = told(values)
    assert said.startswith("1.png: its target, -999 months")


# --- nothing to learn -------------------------------------------------------------------------


def test_a_constant_target_is_an_error() -> None:
    (finding,) = findings_of(np.full(400, 7.0))
    assert (finding.kind, finding.severity) == ("constant-target", "error")
    assert finding.message == "all 400 training targets are 7 months: there is nothing to learn"


def test_what_is_trained_on_must_differ_wherever_else_it_does() -> None:
    values = np.r_[np.full(30, 7.0), np.arange(10.0)]
    splits = np.array(["train"] * 30 + ["test"] * 10)
    assert told(values, splits=splits)[0].startswith("all 30 training targets are 7 months")
    assert told(values) == []
    assert told([7.0]) == []  # of one number there is no saying


def test_a_constant_target_among_several_is_named() -> None:
    values = np.stack([ages(), np.full(200, 3.0)], axis=1)
    assert told(values, target=Numbers(("age", "dose"))) == [
        "dose: all 200 training targets are 3: there is nothing to learn"
    ]


# --- rounded numbers --------------------------------------------------------------------------

RNG = np.random.default_rng(0)
WHOLE = np.r_[RNG.integers(0, 40, 199), 0]  # with a zero, which is a multiple of all


@pytest.mark.parametrize(
    "step", [0.01, 0.05, 0.1, 0.25, 0.5, 2, 3, 5, 7, 10, 12, 15, 20, 24, 25, 30, 50, 60, 100, 1000]
)
def test_the_step_of_all_targets_is_found(step: float) -> None:
    values = WHOLE * step
    expected = [f"200 of 200 targets (100%) are multiples of {step:,.10g} months"]
    if step in (0.01, 0.1):  # all the digits that they are written with: nothing speaks for rounding
        expected = []
    for numbers in (values, values.astype(np.float32), -values):
        assert [text.partition(":")[0] for text in told(numbers)] == expected


def test_nearly_all_is_counted_rightly() -> None:
    values = WHOLE * 12.0
    values[0] = 5.0
    assert told(values)[0].startswith(
        "199 of 200 targets (99%) are multiples of 12 months: they look rounded"
    )
    values[:20] = RNG.integers(1, 400, 20)
    count = int((values % 12 == 0).sum())
    assert told(values)[0].startswith(f"{count} of 200 targets (")


@pytest.mark.parametrize(
    ("values", "start"),
    [
        (np.r_[np.arange(12, 240, 12), np.arange(13, 25)], "20 of 31 targets (65%) are multiples of 12 months"),
        (np.r_[np.arange(0.5, 20, 0.5), 1.3, 2.7], "39 of 41 targets (95%) are multiples of 0.5 months"),
        (np.r_[np.arange(1, 41), RNG.uniform(0, 40, 20)], "40 of 60 targets (67%) are multiples of 1 months"),
        (np.r_[WHOLE * 12, np.full(10, 7)], "200 of 210 targets (95%) are multiples of 12 months"),
        (np.r_[WHOLE * 50, WHOLE[:120] * 5 + 5], "320 of 320 targets (100%) are multiples of 5 months"),
        (np.r_[np.arange(12, 240, 12), np.arange(13, 40)], ""),  # 21 of 46
        (np.arange(1, 100), ""),
        (np.arange(0, 5).repeat(9), ""),  # marks from 0 to 4
        (np.arange(0, 10, 2).repeat(9), ""),  # the same, doubled
        (np.full(40, 60), ""),
        (np.r_[np.zeros(90), np.arange(1, 30)], ""),
        (np.full(20, 1e300), ""),
    ],
)  # fmt: skip
def test_rounded_targets(values: NDArray[np.float64], start: str) -> None:
    found = [text for text in told(values) if "multiples" in text]
    assert len(found) == bool(start)
    assert all(text.startswith(start) for text in found)


@pytest.mark.parametrize("name", sorted(set(SOUND) - {"two values"}))
def test_sound_numbers_are_not_called_rounded(name: str) -> None:
    for seed in range(20):
        assert not [
            text for text in told(SOUND[name](np.random.default_rng(seed), 300)) if "multiples" in text
        ]


def test_several_targets_are_named() -> None:
    values = np.stack([RNG.uniform(1, 2, 40), np.arange(10, 410, 10), RNG.uniform(1, 2, 40)], axis=1)
    values[3, 0], values[5:9, 2] = 999, -99
    width, weight, depth = told(values, target=Numbers(("width", "weight", "depth"), "months"))
    assert width.startswith("3.png: its target, width 999 months, may stand for")
    assert weight.startswith("weight: 40 of 40 targets (100%) are multiples of 10 months")
    assert depth.startswith("depth: the target of 4 rows, -99 months, may stand for")


# --- all together -----------------------------------------------------------------------------


def test_the_report_fails_for_a_constant_target(tmp_path: Path) -> None:
    for row in range(12):
        noise = np.random.default_rng(row).integers(0, 256, (20, 20), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{row}.png")
    report = check(numbers_of([7.0] * 12, root=tmp_path))
    assert [finding.kind for finding in report.findings] == ["constant-target", "few-images"]
    assert not report.ok
