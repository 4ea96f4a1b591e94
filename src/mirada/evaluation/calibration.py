"""Whether probabilities mean what they say: temperature scaling, calibration error, reliability diagram.

Sources: Guo, Pleiss, Sun & Weinberger 2017, On Calibration of Modern Neural Networks, arXiv:1706.04599, §2 and §4.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi, sqrt
from statistics import NormalDist

import numpy as np

from mirada.errors import InvalidArgument
from mirada.evaluation import metrics as m
from mirada.evaluation.estimate import Groups, defined
from mirada.evaluation.intervals import wilson

BINS = 15  # of equal width, as in the paper
HOTTEST = 100.0  # the temperature of a network whose answers are no better than chance
CLOSE = 1e-10  # of the inverse temperature, relative
STEPS = 200
FEWEST = 50  # images that a temperature is learnt from; a handful says nothing of how sure the network may be
LEAST = 10  # images in a bin that is drawn
PARTS = 5  # of the cross-validation that judges it
BEYOND_CHANCE = NormalDist().inv_cdf(0.95)  # standard errors that its gain must exceed


@dataclass(frozen=True)
class Bin:
    """The ``n`` images whose most probable class got a probability in (``low``, ``high``].

    ``confidence`` is the mean of those probabilities, ``share`` the share of right answers with its Wilson interval.
    """

    low: float
    high: float
    n: int
    confidence: float
    share: float
    share_low: float
    share_high: float


@dataclass(frozen=True)
class Reliability:
    """How well probabilities fit what is true.

    ``ece`` is biased upwards, the more the fewer images there are; ``ece_by_chance`` is about what a perfectly
    calibrated network with the same probabilities would show. None for no images. ``bins`` leaves out empty ones.
    """

    log_loss: float | None
    brier: float | None
    ece: float | None
    ece_by_chance: float | None
    bins: tuple[Bin, ...]


@dataclass(frozen=True)
class Calibration:
    """Reliability after scaling by ``temperature``, and before; ``before`` is None where nothing was scaled.

    Where the images are those of several networks, ``temperatures`` are theirs and ``temperature`` is the geometric
    mean over the images.
    """

    temperature: float
    after: Reliability
    before: Reliability | None = None
    temperatures: tuple[float, ...] | None = None


def scaled(outputs: m.Floats, temperature: float | m.Floats) -> m.Floats:
    """Class probabilities at another temperature T: softmax(ln p / T), which is softmax(logits / T).

    The logits are ln p up to a constant per row, which the softmax does not see. T > 1 makes the network less sure,
    T < 1 surer; the order of the classes stays.

    Args:
        outputs: Class probabilities (n, K).
        temperature: T, or one per row (n,).

    Returns:
        Class probabilities (n, K).

    Raises:
        InvalidArgument: Unless every T > 0.

    >>> scaled(np.array([[0.8, 0.2]]), 2.0).round(3)
    array([[0.667, 0.333]])
    """
    each = np.asarray(temperature, dtype=np.float64)
    if not (each > 0).all():
        raise InvalidArgument(f"`temperature` of scaled must be above 0. Got {temperature}.")
    logits = _logits(outputs) / (each[:, None] if each.ndim else each)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def fit_temperature(targets: m.Integers, outputs: m.Floats, *, groups: Groups = None) -> float:
    """The temperature that betters the log loss of softmax(ln p / T) beyond chance, 1 where none does.

    It is the likeliest one if, in a cross-validation of these images, temperatures learnt from four fifths lower the
    loss of the other fifth by more than 1.64 standard errors. So a few confident mistakes, or wrong labels, do not
    decide it, and the cross-validated loss never rises.

    Args:
        targets: Class numbers (n,) of images that were not trained on, and that are not those of the test.
        outputs: Class probabilities (n, K) for them.
        groups: A number per row, equal for rows that belong together: a group is not divided (n,).

    Returns:
        T; 1 for fewer than 50 images or groups, or if all answers are right.
    """
    n = len(targets)
    distinct, member = np.unique(np.arange(n) if groups is None else groups, return_inverse=True)
    if len(distinct) < FEWEST:
        return 1.0
    part = member % PARTS
    gains = m.row_losses(targets, outputs)
    for number in range(PARTS):
        held = part == number
        temperature = likeliest_temperature(targets[~held], outputs[~held])
        gains[held] -= m.row_losses(targets[held], scaled(outputs[held], temperature))
    sums = np.bincount(member, weights=gains)
    error = sqrt(len(sums)) * sums.std(ddof=1)
    return likeliest_temperature(targets, outputs) if sums.sum() > BEYOND_CHANCE * error else 1.0


def likeliest_temperature(targets: m.Integers, outputs: m.Floats) -> float:
    """The temperature T that makes the log loss of softmax(ln p / T) smallest, for targets (n,) and outputs (n, K).

    The loss is convex in β = 1 / T, with the slope mean(Σₖ pₖ zₖ − z_target) and the curvature mean(Varₚ z) for
    z = ln p: Newton's steps, and bisection where one would leave the bracket.

    1 where there is nothing to learn from: no images, or all answers right, so that the loss falls forever as T goes
    to 0. At most 100, which the answers of a network that is no better than chance get.
    """
    hits = m.top_k_hits(targets, outputs, 1)
    if hits.all():  # of no images, too
        return 1.0
    logits = _logits(outputs)
    logits = logits - np.take_along_axis(logits, targets[:, None], axis=1)  # 0 for the true class
    low, high, beta = 1 / HOTTEST, np.inf, 1.0
    for _ in range(STEPS):
        slope, curvature = _slope(logits, beta)
        low, high = (beta, high) if slope < 0 else (low, beta)
        if high <= low * (1 + CLOSE):
            break
        newton = beta - slope / curvature if curvature > 0 else np.nan
        step = newton if low < newton < high else (2 * low if high == np.inf else (low + high) / 2)
        if abs(step - beta) <= CLOSE * beta:
            return float(1 / step)
        beta = step
    return float(1 / beta)


def reliability(targets: m.Integers, outputs: m.Floats) -> Reliability:
    """Reliability of probabilities (n, K) for class numbers (n,): 15 bins of equal width by the largest one.

    ECE = Σ n_b / n · |share right_b − mean probability_b|.
    """
    confidence = outputs.max(axis=1, initial=0.0)
    hits = outputs.argmax(axis=1) == targets
    bins = tuple(_bins(confidence, hits))
    n = len(targets)
    gaps = sum(each.n * abs(each.share - each.confidence) for each in bins)
    return Reliability(
        log_loss=defined(m.log_loss(targets, outputs)),
        brier=defined(float(m.mean(m.row_brier(targets, outputs)))),
        ece=gaps / n if n else None,
        ece_by_chance=_by_chance(confidence) if n else None,
        bins=bins,
    )


def calibration(targets: m.Integers, outputs: m.Floats, temperature: float | m.Floats) -> Calibration:
    """Reliability of outputs (n, K) that have been scaled by ``temperature``, one or one per row, and before it."""
    each = np.asarray(temperature, dtype=np.float64)
    before = None if (each == 1).all() else reliability(targets, scaled(outputs, 1 / each))
    after = reliability(targets, outputs)
    if not each.ndim:
        return Calibration(float(each), after, before)
    distinct = tuple(dict.fromkeys(each.tolist()))
    usual = distinct[0] if len(distinct) == 1 else float(np.exp(np.log(each).mean()))
    return Calibration(usual, after, before, distinct if len(distinct) > 1 else None)


def merged_bins(bins: Sequence[Bin], least: int = LEAST) -> tuple[Bin, ...]:
    """Neighbouring bins put together until each holds ``least`` images: of one or two nothing can be said.

    A last one that is too small joins the one before.
    """
    groups: list[list[Bin]] = []
    for each in bins:
        if groups and sum(one.n for one in groups[-1]) < least:
            groups[-1].append(each)
        else:
            groups.append([each])
    if len(groups) > 1 and sum(one.n for one in groups[-1]) < least:
        groups[-2:] = [groups[-2] + groups[-1]]
    return tuple(_joined(group) for group in groups)


def _joined(bins: Sequence[Bin]) -> Bin:
    if len(bins) == 1:
        return bins[0]
    n = sum(each.n for each in bins)
    right = round(sum(each.n * each.share for each in bins))
    low, high = wilson(right, n) or (0.0, 1.0)
    confidence = sum(each.n * each.confidence for each in bins) / n
    return Bin(bins[0].low, bins[-1].high, n, confidence, right / n, low, high)


def _logits(outputs: m.Floats) -> m.Floats:
    """Logits up to a constant per row; a probability of 0 gets the lowest that has a logarithm."""
    return np.asarray(np.log(np.maximum(outputs, np.finfo(np.float64).tiny)))


def _slope(logits: m.Floats, beta: float) -> tuple[float, float]:
    """First and second derivative of the mean log loss by β, the logit of the true class being 0."""
    powers = np.exp(beta * logits - (beta * logits).max(axis=1, keepdims=True))
    shares = powers / powers.sum(axis=1, keepdims=True)
    first = (shares * logits).sum(axis=1)
    second = (shares * logits**2).sum(axis=1) - first**2
    return float(first.mean()), float(second.mean())


def _which_bin(confidence: m.Floats) -> m.Integers:
    """The bin of each probability, ends belonging to the lower one. (n,)"""
    return np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)


def _bins(confidence: m.Floats, hits: np.ndarray) -> list[Bin]:
    own = _which_bin(confidence)
    found = []
    for number in np.unique(own).tolist():
        members = own == number
        n, right = int(members.sum()), int(hits[members].sum())
        low, high = wilson(right, n) or (0.0, 1.0)
        mean = float(confidence[members].mean())
        found.append(Bin(number / BINS, (number + 1) / BINS, n, mean, right / n, low, high))
    return found


def _by_chance(confidence: m.Floats) -> float:
    """The mean ECE of a network that is right exactly as often as it says.

    A bin's share of right answers then scatters about its mean confidence with the variance Σ c (1 − c) / n_b², and
    the mean size of a normal deviation is √(2/π) of its standard deviation.
    """
    variance = np.bincount(_which_bin(confidence), weights=confidence * (1 - confidence), minlength=BINS)
    return float(sqrt(2 / pi) * np.sqrt(variance).sum() / len(confidence))
