"""The options for φ: accuracies by scikit-learn's own means, intervals by SciPy, histograms on images made by hand."""

import re

import numpy as np
import pytest
from lesson_pages import text_of
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVC

from mirada.errors import InvalidArgument
from mirada.jobs.lessons import teach
from mirada.lessons import Material
from mirada.lessons.features import BINS, OPTIONS, SIZES, fit, histograms, hog, lesson, load


def test_the_kernel_machine_is_scikit_learns() -> None:
    digits = load()
    assert (len(digits.train), len(digits.test)) == (SIZES[-1], 360)
    flat = FunctionTransformer(lambda images: images.reshape(len(images), -1) / 16)
    machine = make_pipeline(flat, SVC(C=10, gamma="scale")).fit(digits.train, digits.train_labels)
    assert fit("kernel").scores[-1].accuracy == accuracy_score(
        digits.test_labels, machine.predict(digits.test)
    )


@pytest.mark.parametrize("option", OPTIONS)
def test_scores_are_those_of_the_answers_and_intervals_those_of_scipy(option: str) -> None:
    found, digits = fit(option), load()
    assert [score.images for score in found.scores] == list(SIZES)
    assert found.scores[-1].correct == int((found.answers == digits.test_labels).sum())
    for score in found.scores:
        expected = binomtest(score.correct, score.of).proportion_ci(method="wilson")
        assert score.interval == pytest.approx((expected.low, expected.high), rel=1e-9)
        assert score.accuracy > 0.85


def test_what_the_page_concludes() -> None:
    """The generic φ is beyond the pixels; the interval of the learnt one overlaps both; HOG decides nothing."""
    scores = {option: fit(option).scores[-1] for option in OPTIONS}
    assert scores["kernel"].accuracy > scores["pixels"].interval[1]
    assert scores["pixels"].accuracy < scores["learnt"].accuracy < scores["kernel"].accuracy
    assert scores["learnt"].interval[0] < scores["pixels"].interval[1]
    assert scores["learnt"].interval[1] > scores["kernel"].interval[0]
    assert scores["designed"].interval[0] < scores["pixels"].interval[1]


@pytest.mark.parametrize(("angle", "part"), [(10, 0), (50, 2), (90, 4), (130, 6), (170, 8)])
def test_an_even_slope_has_one_orientation(angle: float, part: int) -> None:
    """The middle of a part is (part + ½) · 20°; inner cells have no border."""
    rows, columns = np.indices((8, 8))
    slope = np.cos(np.radians(angle)) * columns + np.sin(np.radians(angle)) * rows
    inner = histograms(slope[None])[0, 1:3, 1:3]
    expected = np.zeros(BINS)
    expected[part] = 4 / 16  # four pixels of gradient 1, on a scale to 16
    np.testing.assert_allclose(inner, np.broadcast_to(expected, inner.shape), atol=1e-12)


def test_blocks_forget_contrast() -> None:
    images = load().test[:5]
    np.testing.assert_allclose(np.linalg.norm(hog(images).reshape(5, 9, -1), axis=2), 1, atol=0.02)
    np.testing.assert_allclose(hog(images / 2), hog(images), atol=0.02)
    assert hog(images).shape == (5, 324) == (5, fit("designed").dimensions)


def test_an_option_that_there_is_not() -> None:
    with pytest.raises(InvalidArgument, match="no option 'sift'"):
        fit("sift")


def test_the_page_shows_every_accuracy() -> None:
    found, page = lesson(Material()), text_of(teach("features", Material(), "es").html)
    for each in found.fitted:
        for score in each.scores:
            assert f"{100 * score.accuracy:.1f}".removesuffix(".0").replace(".", ",") + " % (" in page
    assert len(re.findall("verdadero", page)) >= 12
