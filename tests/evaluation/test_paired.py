"""Two recipes on the same images, against SciPy, a hand computation, and simulated runs that differ by seed alone."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from mirada.errors import DataError
from mirada.evaluation.paired import Difference, differences, mcnemar, paired, same_images
from mirada.evaluation.predictions import Predictions
from mirada.samples import Classes, Numbers

CLASSES = Classes(("cat", "dog"))


def answers(hits: Sequence[bool] | NDArray[np.bool_], *, groups: tuple[str, ...] = ()) -> Predictions:
    """A table of images that are all cats, of which some are recognised."""
    right = np.asarray(hits, dtype=bool)
    share = np.where(right, 0.9, 0.2)
    return Predictions(
        paths=tuple(f"{row}.png" for row in range(len(right))),
        splits=("test",) * len(right),
        target=CLASSES,
        targets=np.zeros(len(right), dtype=np.int64),
        groups=groups,
        outputs=np.stack([share, 1 - share], axis=1),
    )


def lengths(values: Sequence[float], truth: Sequence[float]) -> Predictions:
    return Predictions(
        paths=tuple(f"{row}.png" for row in range(len(values))),
        splits=("test",) * len(values),
        target=Numbers(unit="cm"),
        targets=np.array(truth, dtype=np.float64)[:, None],
        outputs=np.array(values, dtype=np.float64)[:, None],
    )


def only(found: list[Difference]) -> Difference:
    (one,) = found
    return one


# --- the test on images ----------------------------------------------------------------------------------------------


def test_mcnemar_by_hand_and_by_scipy() -> None:
    """2 against 10: twice the probability of at most 2 heads in 12 throws, 2 · 79 / 4096."""
    assert mcnemar(2, 10) == pytest.approx(2 * (1 + 12 + 66) / 2**12)
    assert mcnemar(10, 2) == mcnemar(2, 10) and mcnemar(0, 0) == 1.0
    assert mcnemar(5, 7) == pytest.approx(stats.binomtest(5, 12).pvalue)


@pytest.mark.parametrize("sides", ["greater", "two-sided"])
def test_sign_flips_are_counted_whole_for_few_images(sides: str) -> None:
    """All 2⁶ patterns of signs, written out."""
    values = np.array([0.3, -0.1, 0.4, 0.2, 0.25, -0.05])
    means = [float(np.mean(values * signs)) for signs in itertools.product((1, -1), repeat=6)]
    share = np.mean(np.array(means) >= values.mean() - 1e-12)
    expected = share if sides == "greater" else 2 * share
    assert paired(values, sides=sides).p_value == pytest.approx(expected)  # type: ignore[arg-type]


def test_two_networks_of_one_seed_each_are_never_called_better() -> None:
    """However clear the images are: another seed might have turned it round."""
    one, other = answers([True] * 60 + [False] * 40), answers([True] * 95 + [False] * 5)
    found = only(differences([one], [other]))
    assert (found.first, found.second, found.difference) == (0.6, 0.95, pytest.approx(0.35))
    assert (found.only_first, found.only_second, found.n) == (0, 35, 100)
    assert found.p_value == mcnemar(0, 35) and found.test == "McNemar, exact"
    assert found.low is not None and found.low > 0.2
    assert found.called == "cannot tell" and found.reason.endswith("Train with --seeds 3.")


def test_several_seeds_that_agree_allow_the_word() -> None:
    one = [answers([True] * (60 + seed) + [False] * (40 - seed)) for seed in range(3)]
    other = [answers([True] * (94 + seed) + [False] * (6 - seed)) for seed in range(3)]
    found = only(differences(one, other))
    assert found.called == "better" and found.luck is not None and found.luck < found.difference
    assert only(differences(other, one)).called == "worse"
    alone = only(differences(one, other[:1]))  # the deviation of the one side stands for both
    assert alone.called == "better" and alone.luck is not None and alone.luck > found.luck


def test_seeds_that_scatter_forbid_it() -> None:
    one = [answers([True] * k + [False] * (100 - k)) for k in (60, 95, 40)]
    other = [answers([True] * k + [False] * (100 - k)) for k in (95, 70, 99)]
    found = only(differences(one, other))
    assert found.low is not None and found.low > 0 and found.p_value < 0.05
    assert found.called == "no difference shown" and "Other seeds" in found.reason


def test_luck_by_hand() -> None:
    """t(0.975, 2 + 2) · s · √(1/3 + 1/3), and the half-width over images, added as squares."""
    one = [answers([True] * k + [False] * (100 - k)) for k in (60, 62, 64)]
    other = [answers([True] * k + [False] * (100 - k)) for k in (90, 93, 96)]
    found = only(differences(one, other))
    variance = (np.var([0.60, 0.62, 0.64], ddof=1) + np.var([0.90, 0.93, 0.96], ddof=1)) / 2
    over_seeds = 2.776 * np.sqrt(variance * (1 / 3 + 1 / 3))
    assert found.low is not None and found.high is not None
    assert found.luck == pytest.approx(np.hypot(over_seeds, (found.high - found.low) / 2), rel=1e-3)


@pytest.mark.slow
def test_runs_that_differ_by_seed_alone_are_not_called_different() -> None:
    """100 pairs of three seeds each, on 200 images, with an accuracy that scatters by 3 % from seed to seed."""
    called = []
    for trial in range(100):
        random = np.random.default_rng(trial)
        hard = random.normal(size=200)  # what makes an image hard is hard for every network

        def run(hard: NDArray[np.float64] = hard, random: np.random.Generator = random) -> Predictions:
            return answers(hard + 0.5 * random.normal(size=200) < 0.7 + random.normal(0, 0.12))

        called.append(only(differences([run() for _ in range(3)], [run() for _ in range(3)])).called)
    assert sum(word in ("better", "worse") for word in called) <= 5


def test_numbers_are_compared_by_their_errors() -> None:
    truth = np.arange(40.0)
    random = np.random.default_rng(0)
    one = lengths((truth + random.normal(0, 4, 40)).tolist(), truth.tolist())
    other = lengths((truth + random.normal(0, 1, 40)).tolist(), truth.tolist())
    found = only(differences([one], [other]))
    errors = [np.abs(table.outputs[:, 0] - truth) for table in (one, other)]
    assert (found.name, found.unit) == ("mae", "cm")
    assert found.difference == pytest.approx(errors[1].mean() - errors[0].mean())
    assert found.only_second == (errors[1] < errors[0]).sum()
    assert found.high is not None and found.high < 0 and found.p_value < 0.01
    several = only(differences([one, one], [other, other]))
    assert several.called == "better"  # lower is better


def test_images_of_a_patient_count_as_one_draw() -> None:
    """Ten patients with ten images each that agree: the interval is wider, and the test by patients."""
    one, other = [True] * 50 + [False] * 50, [True] * 70 + [False] * 30
    groups = tuple(f"p{row // 10}" for row in range(100))
    alone = only(differences([answers(one)], [answers(other)]))
    grouped = only(differences([answers(one, groups=groups)], [answers(other, groups=groups)]))
    assert None not in (alone.low, alone.high, grouped.low, grouped.high)
    assert grouped.high - grouped.low > 1.5 * (alone.high - alone.low)  # type: ignore[operator]
    assert grouped.p_value > 10 * alone.p_value and grouped.test == "sign flips of the differences, by group"
    assert grouped.p_value == pytest.approx(0.5)  # two of ten patients differ: one pattern of four, two-sided


def test_one_or_two_images_say_nothing() -> None:
    for few in (1, 2):
        found = only(differences([answers([False] * few)], [answers([True] * few)]))
        assert found.called in ("cannot tell", "no difference shown") and found.p_value > 0.05
    assert only(differences([answers([False])], [answers([True])])).low is None


# --- the same images -------------------------------------------------------------------------------------------------


def test_images_are_known_by_their_path_in_any_order() -> None:
    one = answers([True, False, True, False])
    other = answers([False, False, True, True]).take([3, 1, 0])
    (left, right), apart = same_images([one, other])
    assert left.paths == right.paths == ("0.png", "1.png", "3.png") and apart == 1
    assert right.predicted.tolist() == [1, 1, 0]


def test_another_target_is_refused() -> None:
    with pytest.raises(DataError, match=r"^1\.png has another target in one run than in another"):
        same_images([lengths([1, 2], [1, 2]), lengths([1, 2], [1, 3])])
    with pytest.raises(DataError, match=r"^What is predicted must be the same"):
        same_images([answers([True]), lengths([1], [1])])


def test_unknown_targets_are_passed_over() -> None:
    one, other = lengths([1, 2, 3], [1, float("nan"), 3]), lengths([2, 2, 4], [1, float("nan"), 3])
    tables, _ = same_images([one, other])
    assert only(differences([tables[0]], [tables[1]])).n == 2


def test_a_difference_that_is_nowhere_has_no_interval() -> None:
    """Of equal answers each resample gives 0: that is no interval from 0 to 0."""
    first = answers([True, False] * 8)
    found = only(differences([first], [answers([True, False] * 8)]))
    assert (found.difference, found.low, found.high) == (0.0, None, None)
    assert (found.called, found.reason) == ("no difference shown", "Both do equally well on every image.")
    other = only(differences([first], [answers([True, False] * 7 + [True, True])]))
    assert other.low == 0 and other.high is not None and other.high > 0


def test_errors_that_differ_by_the_same_everywhere_have_no_interval() -> None:
    truth = [10.0] * 12
    found = only(differences([lengths([12.0] * 12, truth)], [lengths([11.0] * 12, truth)]))
    assert (found.difference, found.low, found.high) == (-1.0, None, None)
    assert found.called == "cannot tell" and found.reason.startswith(
        "The difference is the same on every image"
    )
