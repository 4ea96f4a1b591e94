"""Windows: their text, and what becomes black and white, against ramps worked out by hand."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mirada.data.pixels.raw import DecodeError, Raw
from mirada.data.pixels.window import WindowRule, parse, shades
from mirada.errors import InvalidArgument

SIXTEEN = (0, 65_535)


def grey(values: object, dtype: str = "u2", **fields: Any) -> Raw:
    bits = {"u1": 8, "u2": 16}.get(dtype, 32)
    full = {8: (0, 255), 16: SIXTEEN, 32: (0, 1)}[bits]
    return Raw(np.atleast_2d(np.array(values, dtype=dtype)), **{"bits": bits, "full": full, **fields})


def twelve_bit_scan() -> NDArray[np.uint16]:
    """A hand on a dark ground, in 12 of 16 bits."""
    rows, columns = np.mgrid[:200, :160]
    hand = np.hypot((rows - 100) / 90, (columns - 80) / 50) < 1
    return np.where(hand, 900 + 12 * rows, 60 + rows // 10).astype(np.uint16)


# --- text ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("auto", WindowRule("auto")),
        ("full", WindowRule("full")),
        ("file", WindowRule("file")),
        ("1%..99%", WindowRule("percentiles", 1, 99)),
        (" 0.5% .. 99.5% ", WindowRule("percentiles", 0.5, 99.5)),
        ("0%..100%", WindowRule("percentiles", 0, 100)),
        ("-200..400", WindowRule("values", -200, 400)),
        ("0.1..1.5e3", WindowRule("values", 0.1, 1500)),
    ],
)
def test_a_window_is_read(text: str, window: WindowRule) -> None:
    assert parse(text) == window


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Auto",
        "1..",
        "5..5",
        "400..-200",
        "1%..99",
        "1..99%",
        "-1%..50%",
        "2%..101%",
        "nan..1",
        "1...9",
        "a",
    ],
)
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse(text)
    assert str(caught.value) == (
        '`window` must be "auto", "full", "file", two percentiles such as "1%..99%" or two values such as '
        f'"-200..400", the lower first. Got "{text}".'
    )


@pytest.mark.parametrize(
    "text", ["0..1e400", "-1e400..0", "-1e308..1e308", "1e31..2e31", "0..1e-320", "0..1e-31"]
)
def test_a_window_that_no_number_can_be_within_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse(text)
    assert str(caught.value) == (
        "`window` must lie within ±1e+30 and be at least 1e-30 wide, or no image shows anything. "
        f'Got "{text}".'
    )


@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "f4", "f8"])
@pytest.mark.parametrize(("text", "want"), [("-1e30..1e30", [0.5, 0.5]), ("0..1e-30", [0, 1])])
def test_the_widest_and_the_narrowest_window_give_shades(dtype: str, text: str, want: list[float]) -> None:
    np.testing.assert_allclose(shades(grey([0, 200], dtype), text), [want])


@settings(max_examples=100)
@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_any_two_numbers_are_a_window(first: float, second: float) -> None:
    low, high = sorted((first, second))
    if high - low >= 1e-30:
        assert parse(f"{low!r}..{high!r}") == WindowRule("values", low, high)


# --- ramps --------------------------------------------------------------------------------------------------


def test_by_the_full_range_a_picture_is_the_same_with_8_and_16_bits_and_levels_are_kept() -> None:
    picture = np.arange(60, 145, dtype=np.uint8)
    deep = picture.astype(np.uint16) * 257
    np.testing.assert_allclose(
        shades(grey(deep, "u2"), "full"), shades(grey(picture, "u1"), "full"), rtol=1e-6
    )
    ten_times = shades(grey(deep // 10 * 10, "u2"), "full") / shades(grey(deep // 10, "u2"), "full")
    np.testing.assert_allclose(ten_times, 10, rtol=1e-5)


def test_the_full_range_is_that_of_the_type() -> None:
    np.testing.assert_allclose(
        shades(grey([0, 32_768, 65_535]), "full"), [[0, 32_768 / 65_535, 1]], rtol=1e-6
    )
    np.testing.assert_allclose(shades(grey([0, 51, 255], "u1"), "full"), [[0, 0.2, 1]], rtol=1e-6)
    np.testing.assert_allclose(shades(grey([0, 0.25, 1], "f4"), "full"), [[0, 0.25, 1]], rtol=1e-6)


def test_two_values_become_black_and_white() -> None:
    got = shades(grey([-1000, -200, 100, 400, 3000], "i4"), "-200..400")
    np.testing.assert_allclose(got, [[0, 0, 0.5, 1, 1]])


def test_a_file_without_a_window_goes_from_its_lowest_to_its_highest() -> None:
    np.testing.assert_allclose(shades(grey([100, 200, 500]), "file"), [[0, 0.25, 1]])


@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "f4", "f8"])
@pytest.mark.parametrize("percents", [(1, 99), (0, 100), (0.5, 99.5), (25, 60)])
def test_percentiles_are_numpys(dtype: str, percents: tuple[float, float]) -> None:
    values = np.random.default_rng(0).normal(120, 30, (37, 41)).clip(0, 255).astype(dtype)
    low, high = np.percentile(values, percents, method="inverted_cdf").astype(float)
    got = shades(grey(values, dtype), "{}%..{}%".format(*percents))
    np.testing.assert_allclose(got, np.clip((values - low) / (high - low), 0, 1), atol=1e-6)


def test_no_level_of_16_bits_is_lost() -> None:
    ramp = np.arange(65_536, dtype=np.uint16).reshape(256, 256)
    levels = np.rint(shades(grey(ramp), "full").astype(np.float64) * 65_535)
    np.testing.assert_array_equal(levels, ramp)


def test_32_bit_integers_are_subtracted_exactly() -> None:
    got = shades(grey([2_000_000_000, 2_000_000_007, 2_000_000_010], "i4"), "file")
    np.testing.assert_allclose(got, [[0, 0.7, 1]], rtol=1e-6)


# --- auto ---------------------------------------------------------------------------------------------------


def test_auto_shows_a_12_bit_scan() -> None:
    """The complaint of many: all black by the type's range, all white if cut off at 8 bits."""
    scan = twelve_bit_scan()
    by_type, by_auto = shades(grey(scan), "full"), shades(grey(scan), "auto")
    assert by_type.max() < 0.06
    assert 0.2 < by_auto.mean() < 0.8 and by_auto.std() > 0.2
    assert (by_auto == 1).mean() < 0.01 and len(np.unique(by_auto)) > 150
    np.testing.assert_array_equal(by_auto, shades(grey(scan), "0.5%..99.5%"))


def test_auto_leaves_8_bits_and_colours_as_they_are() -> None:
    dark = np.array([[10, 40]], dtype=np.uint8)
    np.testing.assert_allclose(shades(grey(dark, "u1"), "auto"), dark / 255, rtol=1e-6)
    colour = np.array([[[100, 2000, 300]]], dtype=np.uint16)
    np.testing.assert_allclose(shades(Raw(colour, 16, SIXTEEN), "auto"), colour / 65_535, rtol=1e-6)
    real = np.array([[[0.2, 0.4, 0.3]]], dtype=np.float32)
    np.testing.assert_allclose(shades(Raw(real, 32, (0, 1)), "auto"), real)


def test_auto_scales_colours_that_are_beyond_their_range() -> None:
    colour = np.array([[[0, 128, 255]]], dtype=np.float32)
    np.testing.assert_allclose(shades(Raw(colour, 32, (0, 1)), "auto"), colour / 255, rtol=1e-6)


def test_a_window_of_the_file_comes_first() -> None:
    raw = grey([0, 10, 20], voi=lambda values: (values / 100).astype(np.float32))
    for window in ("auto", "file"):
        np.testing.assert_allclose(shades(raw, window), [[0, 0.1, 0.2]])
    np.testing.assert_allclose(shades(raw, "0..20"), [[0, 0.5, 1]])


def test_a_small_bright_spot_on_an_empty_ground_is_seen() -> None:
    """Its percentiles are both 0."""
    values = np.zeros((100, 100), dtype=np.uint16)
    values[5, 5] = 700
    got = shades(grey(values), "auto")
    assert got[5, 5] == 1 and got.sum() == 1


# --- inversion and what is no number -------------------------------------------------------------------------


def test_inversion_comes_after_the_window() -> None:
    np.testing.assert_allclose(shades(grey([0, 50, 100, 900], inverted=True), "0..100"), [[1, 0.5, 0, 0]])


@pytest.mark.parametrize("inverted", [False, True])
def test_pixels_without_data_are_black_and_infinite_ones_are_clipped(inverted: bool) -> None:
    raw = grey([np.nan, -np.inf, 1, 2, 3, np.inf], "f4", inverted=inverted)
    want = np.array([0, 0, 0, 0.5, 1, 1])
    got = shades(raw, "file")[0]
    np.testing.assert_allclose(got[1:], 1 - want[1:] if inverted else want[1:])
    assert got[0] == 0
    assert not np.isnan(raw.values).all()  # the image itself is left as it was


def test_alpha_is_laid_on_white_after_the_window_and_what_cannot_be_seen_counts_for_none() -> None:
    alpha = np.array([[1, 1, 1, 0.5, 0]], dtype=np.float32)
    raw = grey([100, 200, 300, 100, 60_000], alpha=alpha)
    for window in ("file", "0%..100%", "100..300"):
        np.testing.assert_allclose(shades(raw, window), [[0, 0.5, 1, 0.5, 1]])
    colours = Raw(np.array([[[0, 0.5, 1], [0, 9, 1]]], dtype=np.float32), 32, (0, 1), alpha=alpha[:, 2::2])
    np.testing.assert_allclose(shades(colours, "auto"), [[[0, 0.5, 1], [1, 1, 1]]])
    unseen = grey([5, 6], alpha=np.zeros((1, 2), np.float32))
    np.testing.assert_array_equal(shades(unseen, "auto"), [[1, 1]])


def test_an_image_without_a_number_says_so() -> None:
    for window in ("auto", "full", "file", "1%..99%"):
        with pytest.raises(
            DecodeError, match=r"^none of its pixels is a number \(all are NaN or infinite\)$"
        ):
            shades(grey([np.nan, np.inf], "f4"), window)


@pytest.mark.parametrize("window", ["auto", "file", "1%..99%"])
def test_an_image_of_one_value_is_black(window: str) -> None:
    assert (shades(grey([[700, 700], [700, 700]]), window) == 0).all()


def test_values_beyond_the_full_range_are_refused_by_it_alone() -> None:
    raw = grey([-5, 70_000], "i4", full=SIXTEEN)
    with pytest.raises(DecodeError) as caught:
        shades(raw, "full")
    assert str(caught.value) == (
        "values from -5 to 70,000 are outside of the full range 0 … 65,535; another window, such as 0.5%..99.5%, "
        "can show them"
    )
    np.testing.assert_array_equal(shades(raw, "file"), [[0, 1]])
