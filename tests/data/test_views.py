"""A view is a pure function of the seed, its number and the image."""

import hashlib
import itertools
from dataclasses import replace

import numpy as np

from mirada.data.augment import Augmentation
from mirada.data.draw import Draw
from mirada.data.views import PLAIN, Views

PHOTOS = Augmentation(
    rotation=10.0, zoom=0.2, shift=0.1, horizontal_flip=True, crop=0.5, brightness=0.3, contrast=0.3
)
IMAGES = [hashlib.sha256(str(number).encode()).hexdigest()[:32] for number in range(6)]


def assert_same(one: Draw, other: Draw) -> None:
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def test_it_does_not_depend_on_what_is_drawn_beside_it() -> None:
    views = Views(PHOTOS, 3, seed=7)
    whole = views.draw(IMAGES, 1)
    assert_same(Draw(*(part[[4, 2]] for part in whole)), views.draw([IMAGES[4], IMAGES[2]], 1))


def test_views_images_and_seeds_differ() -> None:
    draws = [Views(PHOTOS, 3, seed).draw(IMAGES, view).brightness for seed in (0, 1) for view in range(3)]
    assert len({value for draw in draws for value in draw.tolist()}) == len(draws) * len(IMAGES)


def test_it_is_the_draw_of_the_augmentation() -> None:
    random = np.random.default_rng(5)
    numbers = random.random((14, 4))
    assert_same(PHOTOS.drawn(numbers), PHOTOS.draw(4, np.random.default_rng(5)))


def test_epochs_show_them_in_turn() -> None:
    views = Views(PHOTOS, 3, seed=0)
    assert [views.at(epoch) for epoch in range(1, 8)] == [0, 1, 2, 0, 1, 2, 0]
    assert (
        views.between(1, 2) == [0, 1] and views.between(1, 9) == [0, 1, 2] and views.between(5, 6) == [1, 2]
    )
    plain = Views(Augmentation(), 3, seed=0)
    assert plain.between(1, 9) == [PLAIN]


def test_a_name_tells_what_is_seen() -> None:
    names = {
        views.name(view)
        for views in (Views(PHOTOS, 3, 0), Views(PHOTOS, 3, 1), Views(Augmentation(zoom=0.1), 3, 0))
        for view in range(3)
    }
    assert len(names) == 9
    assert Views(PHOTOS, 3, 0).name(PLAIN) == Views(Augmentation(), 1, 1).name(PLAIN)
    assert Views(PHOTOS, 3, 0).name(2) == Views(PHOTOS, 5, 0).name(2)


def test_flips_that_alternate_do_so_from_view_to_view() -> None:
    views = Views(replace(PHOTOS, horizontal_flip="alternate"), 4, seed=7)
    turns = [np.linalg.det(views.draw(IMAGES, view).matrices[:, :, :2]) < 0 for view in range(4)]
    for before, after in itertools.pairwise(turns):
        np.testing.assert_array_equal(after, ~before)
    assert len({*turns[0].tolist()}) == 2  # some begin as they are, the others mirrored
    np.testing.assert_array_equal(views.draw(IMAGES[2:4], 1).matrices, views.draw(IMAGES, 1).matrices[2:4])


def test_what_is_erased_of_a_view_is_erased_again() -> None:
    views = Views(replace(PHOTOS, erase=1.0), 2, seed=0)
    whole = views.draw(IMAGES, 1)
    assert whole.erased.shape == (6, 5) and (whole.erased[:, 0] > 0).all()
    assert_same(Draw(*(part[[3]] for part in whole)), views.draw([IMAGES[3]], 1))
    assert views.name(1) != Views(PHOTOS, 2, seed=0).name(1)
    assert Views(Augmentation(erase=0.5), 2, seed=0).at(1) == 0  # it is augmented
