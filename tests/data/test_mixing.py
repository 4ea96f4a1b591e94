"""mixup and CutMix against the papers' own lines, written out in NumPy."""

from collections import Counter

import numpy as np
import pytest
import torch
from scipy import stats

from mirada.data.augment import Augmentation
from mirada.data.batches import generator
from mirada.data.mixing import Mixing, Patch, draw_mixing

MIXUP, CUTMIX, BOTH = Augmentation(mixup=0.4), Augmentation(cutmix=1.0), Augmentation(mixup=0.4, cutmix=1.0)


def drawn(augmentation: Augmentation, seed: int, count: int = 6) -> Mixing:
    found = draw_mixing(augmentation, count, (20, 30), generator(seed))
    assert found is not None
    return found


def test_nothing_is_mixed_unless_asked() -> None:
    assert draw_mixing(Augmentation(rotation=10, erase=1), 6, (20, 30), generator(0)) is None
    assert not Augmentation().mixes and MIXUP.mixes and CUTMIX.mixes
    assert not MIXUP.changes  # of an image by itself


def test_mixup_is_the_weighed_sum() -> None:
    images = generator(1).random((6, 3, 20, 30))
    mixing = drawn(MIXUP, 0)
    assert mixing.patch is None and sorted(mixing.partners) == list(range(6))
    want = mixing.share * images + (1 - mixing.share) * images[mixing.partners]
    np.testing.assert_allclose(mixing.pixels(torch.from_numpy(images)), want, rtol=1e-12)
    ages = generator(2).random((6, 1))
    ages[4] = np.nan
    mixed = mixing.values(torch.from_numpy(ages)).numpy()
    np.testing.assert_allclose(mixed, mixing.share * ages + (1 - mixing.share) * ages[mixing.partners])
    assert np.isnan(mixed).sum() >= 1  # what is made of an unknown number is unknown


@pytest.mark.parametrize("seed", range(8))
def test_cutmix_pastes_a_rectangle_and_counts_its_area(seed: int) -> None:
    images = generator(1).random((6, 3, 20, 30))
    mixing = drawn(CUTMIX, seed)
    assert mixing.patch is not None
    top, bottom, left, right = mixing.patch
    want = images.copy()
    for row, other in enumerate(mixing.partners):
        want[row, :, top:bottom, left:right] = images[other, :, top:bottom, left:right]
    given = torch.from_numpy(images)
    np.testing.assert_array_equal(mixing.pixels(given), want)
    np.testing.assert_array_equal(given, images)
    assert 0 <= top <= bottom <= 20 and 0 <= left <= right <= 30
    assert mixing.share == pytest.approx(1 - (bottom - top) * (right - left) / 600)


def test_shares_and_boxes_are_drawn_as_the_papers_say() -> None:
    shares = [drawn(MIXUP, seed).share for seed in range(2000)]
    assert stats.kstest(shares, stats.beta(0.4, 0.4).cdf).pvalue > 0.01
    whole = []  # rectangles that do not touch the edge keep the share that was drawn, but for whole pixels
    for seed in range(500):
        mixing = draw_mixing(CUTMIX, 2, (1000, 1000), generator(seed))
        assert mixing is not None and mixing.patch is not None
        top, bottom, left, right = mixing.patch
        if top > 0 and left > 0 and bottom < 1000 and right < 1000:
            assert abs((bottom - top) - (right - left)) <= 1
            whole.append((bottom - top) ** 2 / 1e6)
    assert len(whole) > 50


def test_of_both_each_takes_half_of_the_batches() -> None:
    kinds = Counter(drawn(BOTH, seed).patch is None for seed in range(1000))
    assert abs(kinds[True] - 500) < 50


def test_the_generator_decides() -> None:
    one, again, other = drawn(BOTH, 5), drawn(BOTH, 5), drawn(BOTH, 6)
    assert one.share == again.share and one.patch == again.patch
    np.testing.assert_array_equal(one.partners, again.partners)
    assert one.share != other.share


def test_a_box_of_nothing_changes_nothing() -> None:
    images = torch.rand(2, 1, 4, 4)
    assert torch.equal(Mixing(np.array([1, 0]), 1.0, Patch(2, 2, 0, 4)).pixels(images), images)
