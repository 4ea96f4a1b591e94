"""Stability against maps that are known: those that move with the image, those that stay, those of chance."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from mirada.judging.stability import QUALITIES, SHIFTS, jpeg, seeds, shifts
from mirada.judging.subject import Grid, Subject

COUNT, SIDE = 16, 64


def images() -> list[np.ndarray]:
    draw = np.random.default_rng(0)
    clouds = [ndimage.gaussian_filter(draw.normal(0, 1, (SIDE, SIDE, 3)), (4, 4, 0)) for _ in range(COUNT)]
    return [np.rint(np.clip(128 + 400 * each, 0, 255)).astype(np.uint8) for each in clouds]


def brightness(shown: Sequence[np.ndarray], rows: np.ndarray) -> list[Grid]:
    """The mean of 4 × 4 pixels: it goes where the image goes."""
    return [each.mean(axis=2).reshape(16, 4, 16, 4).mean(axis=(1, 3)).astype(np.float32) for each in shown]


def fixed(shown: Sequence[np.ndarray], rows: np.ndarray) -> list[Grid]:
    """Noise of its own for every image and size of the picture's sum: nothing that the image shows."""
    return [np.random.default_rng(int(each.sum())).random((16, 16)).astype(np.float32) for each in shown]


def subject(explain) -> Subject:
    shown = images()
    maps = explain(shown, np.arange(COUNT))
    return Subject(
        images=shown, maps=maps, score=lambda s, r: np.zeros(len(s)), explain=explain, level=(0.5, 0.5, 0.5)
    )


def test_maps_that_move_with_the_image_pass_and_maps_of_chance_fail() -> None:
    steady = shifts(subject(brightness))
    assert steady.outcome == "pass" and steady.value is not None and steady.value > 0.97
    assert len(steady.quantities) == len(SHIFTS)
    assert shifts(subject(fixed)).outcome == "fail"


def test_maps_that_bear_compression_pass_and_maps_of_chance_fail() -> None:
    calls = []
    judged = jpeg(subject(brightness), lambda: calls.append(1))
    assert judged.outcome == "pass" and len(judged.quantities) == len(calls) == len(QUALITIES)
    assert jpeg(subject(fixed)).outcome == "fail"


def test_constant_maps_tell_nothing() -> None:
    flat = subject(lambda shown, rows: [np.ones((16, 16), np.float32)] * len(shown))
    assert shifts(flat).outcome == jpeg(flat).outcome == "cannot tell"


def test_networks_that_agree_pass_and_those_that_do_not_fail() -> None:
    who = subject(brightness)
    alike = [[grid + 0.01 * seed for grid in who.maps] for seed in range(3)]
    assert seeds(alike, who).outcome == "pass"
    chance = [
        list(np.random.default_rng(seed).random((COUNT, 16, 16)).astype(np.float32)) for seed in range(3)
    ]
    judged = seeds(chance, who)
    assert judged.outcome == "fail" and judged.quantities[0].name == "3 networks"
    one = seeds([who.maps, [-grid for grid in who.maps]], who)
    assert one.value is not None and abs(one.value + 1) < 1e-9
