"""How alike two maps of one image are."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from mirada.judging.subject import Grid, constant
from mirada.judging.verdict import Floats


def rank_correlation(one: Grid, other: Grid) -> float:
    """Spearman's rank correlation between two maps (h, w); NaN where one of them is constant, or of another size.

    Source: Spearman 1904, as Adebayo et al. 2018, arXiv:1810.03292, §3.1, compare maps.
    """
    if one.shape != other.shape or one.size < 3 or constant(one) or constant(other):
        return float("nan")
    return float(stats.spearmanr(one.ravel(), other.ravel()).statistic)


def correlations(ones: Sequence[Grid], others: Sequence[Grid]) -> Floats:
    """The rank correlation of each pair (N,)."""
    return np.array([rank_correlation(one, other) for one, other in zip(ones, others, strict=True)])
