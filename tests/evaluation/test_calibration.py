"""Temperature scaling against SciPy and a known truth; the calibration error against simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special

from mirada.errors import InvalidArgument
from mirada.evaluation import metrics as m
from mirada.evaluation.calibration import (
    BINS,
    calibration,
    fit_temperature,
    likeliest_temperature,
    reliability,
    scaled,
)


def sampled(n, num_classes, *, temperature, seed, spread=2.0):
    """Targets drawn from softmax(logits), and the probabilities of a network whose logits are that times T."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, spread, size=(n, num_classes))
    truth = special.softmax(logits, axis=1)
    targets = (random.random((n, 1)) > truth.cumsum(axis=1)).sum(axis=1)
    return targets, special.softmax(logits * temperature, axis=1)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
@pytest.mark.parametrize("num_classes", [2, 10])
def test_a_known_temperature_is_recovered(temperature, num_classes):
    targets, outputs = sampled(20_000, num_classes, temperature=temperature, seed=0)
    assert fit_temperature(targets, outputs) == pytest.approx(temperature, rel=0.04)


@settings(max_examples=40)
@given(
    n=st.integers(5, 200), num_classes=st.integers(2, 8), seed=st.integers(0, 10**6), hot=st.floats(0.2, 5)
)
def test_the_minimum_is_that_of_scipy(n, num_classes, seed, hot):
    targets, outputs = sampled(n, num_classes, temperature=hot, seed=seed)
    logits = np.log(outputs)

    def loss(log_temperature):
        z = logits / np.exp(log_temperature)
        return float(-(special.log_softmax(z, axis=1)[np.arange(n), targets]).mean())

    found = likeliest_temperature(targets, outputs)
    if (outputs.argmax(axis=1) == targets).all():
        assert found == 1.0
        return
    expected = optimize.minimize_scalar(loss, bounds=(np.log(1e-3), np.log(100)), method="bounded")
    assert loss(np.log(found)) <= expected.fun + 1e-9
    assert 1e-3 < found <= 100 * (1 + 1e-9)


def test_nothing_to_learn_leaves_the_probabilities_as_they_are():
    for fit in (fit_temperature, likeliest_temperature):
        assert fit(np.array([0, 1]), np.array([[0.6, 0.4], [0.1, 0.9]])) == 1.0  # all right
        assert fit(np.empty(0, int), np.empty((0, 3))) == 1.0
    assert fit_temperature(np.arange(200) % 2, np.eye(2)[np.arange(200) % 2] * 0.8 + 0.1) == 1.0


def test_a_network_worse_than_chance_ends_at_the_hottest_temperature():
    assert likeliest_temperature(
        np.array([0, 0, 1]), np.array([[0.1, 0.9], [0.2, 0.8], [0.7, 0.3]])
    ) == pytest.approx(100)


def test_probabilities_of_zero_do_no_harm():
    outputs = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.3, 0.7]])
    found = likeliest_temperature(np.array([0, 1, 1, 1]), outputs)
    assert np.isfinite(found) and found > 10
    assert np.isfinite(scaled(outputs, found)).all()


def test_scaling_is_the_softmax_of_the_divided_logits_and_can_be_undone():
    logits = np.random.default_rng(1).normal(0, 4, size=(50, 6))
    outputs = special.softmax(logits, axis=1)
    np.testing.assert_allclose(scaled(outputs, 3.0), special.softmax(logits / 3, axis=1), rtol=1e-9)
    np.testing.assert_allclose(scaled(scaled(outputs, 3.0), 1 / 3), outputs, rtol=1e-9)
    assert (scaled(outputs, 3.0).argmax(axis=1) == outputs.argmax(axis=1)).all()
    assert scaled(outputs[:0], 2.0).shape == (0, 6)


@pytest.mark.parametrize("temperature", [0, -1, np.nan])
def test_temperatures_that_are_none_are_refused(temperature):
    with pytest.raises(InvalidArgument, match=r"`temperature` of scaled must be above 0. Got"):
        scaled(np.array([[0.5, 0.5]]), temperature)


def test_the_error_by_hand():
    """Four images at 0.9, three right; two at 0.6, none right: 4/6 · |0.75 − 0.9| + 2/6 · |0 − 0.6|."""
    outputs = np.array([[0.9, 0.1]] * 4 + [[0.6, 0.4]] * 2)
    found = reliability(np.array([0, 0, 0, 1, 1, 1]), outputs)
    assert found.ece == pytest.approx(4 / 6 * 0.15 + 2 / 6 * 0.6)
    assert [(each.n, each.share) for each in found.bins] == [(2, 0.0), (4, 0.75)]
    assert [(each.low, each.high) for each in found.bins] == [(8 / BINS, 9 / BINS), (13 / BINS, 14 / BINS)]


def test_the_error_agrees_with_a_loop():
    targets, outputs = sampled(500, 4, temperature=2.0, seed=3)
    confidence, hits = outputs.max(axis=1), outputs.argmax(axis=1) == targets
    expected = 0.0
    for number in range(BINS):
        rows = (confidence > number / BINS) & (confidence <= (number + 1) / BINS)
        if rows.any():
            expected += rows.mean() * abs(hits[rows].mean() - confidence[rows].mean())
    assert reliability(targets, outputs).ece == pytest.approx(expected)


def test_a_calibrated_network_shows_what_chance_gives_and_nothing_with_many_images():
    found = [reliability(*sampled(400, 3, temperature=1.0, seed=seed)) for seed in range(300)]
    by_chance = np.mean([each.ece_by_chance for each in found])
    assert np.mean([each.ece for each in found]) == pytest.approx(by_chance, rel=0.05)
    many = reliability(*sampled(200_000, 3, temperature=1.0, seed=0))
    assert many.ece < 0.005


def test_the_fit_lowers_log_loss_and_error_of_an_overconfident_network():
    validation, test = (sampled(3000, 5, temperature=3.0, seed=seed) for seed in (1, 2))
    temperature = fit_temperature(*validation)
    found = calibration(test[0], scaled(test[1], temperature), temperature)
    assert found.before.ece == pytest.approx(reliability(*test).ece)
    assert found.after.ece < 0.3 * found.before.ece
    assert found.after.log_loss < found.before.log_loss
    assert found.after.brier < found.before.brier
    assert found.after.brier == pytest.approx(m.row_brier(test[0], scaled(test[1], temperature)).mean())


def test_no_images_have_no_error():
    found = reliability(np.empty(0, int), np.empty((0, 3)))
    assert (found.ece, found.log_loss, found.brier, found.bins) == (None, None, None, ())


@pytest.mark.parametrize("n", [0, 1, 3, 12, 49])
def test_a_handful_of_images_teaches_no_temperature(n):
    targets, outputs = sampled(n, 3, temperature=4.0, seed=1)
    assert fit_temperature(targets, outputs) == 1.0


@pytest.mark.parametrize("n", [50, 100, 300])
def test_of_honest_probabilities_few_draws_learn_a_temperature(n):
    """A test at one sided 5 %: of 200 draws from a calibrated network some 10 pass by chance."""
    found = [fit_temperature(*sampled(n, 3, temperature=1.0, seed=seed)) for seed in range(200)]
    assert sum(each != 1 for each in found) <= 20


def test_one_confident_mistake_does_not_decide():
    """99 of 100 right at 98 %, and one wrong label that got 1e-6: the likeliest temperature is far from 1."""
    outputs = np.full((100, 2), [0.98, 0.02])
    outputs[0] = [1 - 1e-6, 1e-6]
    targets = np.zeros(100, int)
    targets[0] = 1
    assert likeliest_temperature(targets, outputs) > 1.15
    assert fit_temperature(targets, outputs) == 1.0


def test_images_of_one_patient_count_once():
    targets, outputs = sampled(20, 2, temperature=4.0, seed=3)
    rows = np.repeat(np.arange(20), 10)
    assert fit_temperature(targets[rows], outputs[rows]) > 1
    assert fit_temperature(targets[rows], outputs[rows], groups=rows) == 1.0


def test_the_fit_does_not_depend_on_the_order_of_the_groups_names():
    targets, outputs = sampled(300, 3, temperature=3.0, seed=5)
    assert fit_temperature(targets, outputs) == pytest.approx(
        fit_temperature(targets, outputs, groups=np.arange(300)), rel=1e-12
    )
