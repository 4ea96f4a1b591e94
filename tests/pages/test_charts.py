"""The figures: round ticks, positions of points, gaps, and no drawing command that is not a number."""

import re
from collections.abc import Iterable
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirada import svg as kit
from mirada.pages import charts
from mirada.pages.charts import Series
from mirada.svg import PixelScale

NAN, INF = float("nan"), float("inf")

GOLDEN_TICKS = {
    (0, 1): [0, 0.2, 0.4, 0.6, 0.8, 1],
    (0.13, 0.87): [0, 0.2, 0.4, 0.6, 0.8, 1],
    (0, 0.7354): [0, 0.2, 0.4, 0.6, 0.8],
    (0.612, 0.771): [0.6, 0.65, 0.7, 0.75, 0.8],
    (1, 24): [0, 5, 10, 15, 20, 25],
    (1, 150): [0, 50, 100, 150],
    (4, 228): [0, 50, 100, 150, 200, 250],
    (-36.2, 41.9): [-40, -20, 0, 20, 40, 60],
    (0, 12345): [0, 5000, 10000, 15000],
    (0.00012, 0.00031): [0.0001, 0.00015, 0.0002, 0.00025, 0.0003, 0.00035],
    (0.7, 0.7): [0, 0.2, 0.4, 0.6, 0.8],
    (-3, -3): [-3, -2, -1, 0],
    (0, 0): [0, 0.2, 0.4, 0.6, 0.8, 1],
}


class Shapes(HTMLParser):
    """Collects the elements of a drawing."""

    def __init__(self, svg: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(svg)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def of(self, tag: str, kind: str) -> list[dict[str, str | None]]:
        return [
            attrs for name, attrs in self.found if name == tag and kind in (attrs.get("class") or "").split()
        ]


@pytest.mark.parametrize(("interval", "expected"), GOLDEN_TICKS.items())
def test_ticks_golden(interval: tuple[float, float], expected: list[float]) -> None:
    assert kit.ticks(*interval) == expected


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9), st.integers(2, 20))
def test_ticks_cover_the_interval_and_are_evenly_spaced(a: float, b: float, count: int) -> None:
    low, high = min(a, b), max(a, b)
    marks = kit.ticks(low, high, count)
    slack = 1e-6 * (marks[-1] - marks[0])
    assert 2 <= len(marks) <= 2.5 * count + 3
    assert marks[0] <= low + slack
    assert marks[-1] >= high - slack
    assert np.allclose(np.diff(marks), marks[1] - marks[0], rtol=1e-3)


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([0, 0.5, 1], False, ["0.0", "0.5", "1.0"]),
        ([0.6, 0.65, 0.7], True, ["60\u00a0%", "65\u00a0%", "70\u00a0%"]),
        ([0.995, 1.0], True, ["99.5\u00a0%", "100.0\u00a0%"]),
        ([-20, 0, 20], False, ["−20", "0", "20"]),
        ([0, 5000, 10000], False, ["0", "5,000", "10,000"]),
        ([0, 2e6, 4e6], False, ["0", "2e+06", "4e+06"]),
        ([0, 1e-5], False, ["0", "1e−05"]),
        ([3], False, ["3"]),
    ],
)
def test_tick_labels(values: list[float], share: bool, expected: list[str]) -> None:
    assert kit.tick_labels(values, share) == expected


def test_scale_places_values_linearly() -> None:
    scale = PixelScale(10, 20, 100, 300)
    assert [scale(value) for value in (10, 15, 20, 22.5)] == [100, 200, 300, 350]


def test_learning_curve_places_points_where_the_axis_says() -> None:
    svg = charts.learning_curve([1, 2, 3], [Series("training", "train", [1.0, 0.5, 0.25])], best=2)
    shapes = Shapes(svg)
    rules = [float(rule["y1"] or "nan") for rule in shapes.of("line", "rule")]  # 0, 0.2 … 1
    dots = [float(dot["cy"] or "nan") for dot in shapes.of("circle", "dot")]
    assert dots == pytest.approx(np.interp([1.0, 0.5, 0.25], np.linspace(0, 1, 6), rules))
    assert shapes.of("line", "best")[0]["x1"] == shapes.of("circle", "dot")[1]["cx"]
    assert "best: epoch 2" in svg
    assert "epoch 3\ntraining 0.250" in svg


def test_learning_curve_of_shares_is_in_percent_and_starts_near_the_data() -> None:
    svg = charts.learning_curve([1, 2], [Series("accuracy", "val", [0.81, 0.87])], best=None, share=True)
    assert "80\u00a0%" in svg
    assert ">0\u00a0%" not in svg
    assert "accuracy 87.0\u00a0%" in svg
    assert "best" not in svg


def test_learning_curve_leaves_a_gap_where_there_is_no_number() -> None:
    svg = charts.learning_curve([1, 2, 3, 4, 5], [Series("loss", "val", [1, NAN, 0.5, INF, 1e200])], best=1)
    path = Shapes(svg).of("path", "val")[0]["d"] or ""
    assert path.count("M") == 2
    assert "L" not in path
    assert_only_numbers(svg)


def test_learning_curve_with_nothing_but_nan_is_an_empty_chart() -> None:
    svg = charts.learning_curve([1, 2], [Series("loss", "val", [NAN, NAN])], best=None)
    assert Shapes(svg).of("path", "val")[0]["d"] == ""
    assert_only_numbers(svg)


def test_one_epoch_stands_in_the_middle() -> None:
    svg = charts.learning_curve([1], [Series("loss", "val", [0.7])], best=1)
    dot = Shapes(svg).of("circle", "dot")[0]
    middle = (kit.LEFT + kit.WIDTH - kit.RIGHT) / 2
    assert float(dot["cx"] or "nan") == pytest.approx(middle)
    assert_only_numbers(svg)


def test_dots_are_shown_always_for_few_epochs_and_under_the_pointer_for_many() -> None:
    def drawn(n: int) -> str:
        return charts.learning_curve(list(range(1, n + 1)), [Series("loss", "val", [0.5] * n)], best=None)

    assert 'class="few"' in drawn(30)
    assert 'class="many"' in drawn(31)
    assert drawn(5000).count('class="hover"') <= charts.HOVERS


def test_hover_strips_stay_inside_the_plot() -> None:
    svg = charts.learning_curve([1, 2, 3], [Series("loss", "val", [3, 2, 1])], best=None)
    for strip in Shapes(svg).of("rect", "strip"):
        left, width = float(strip["x"] or "nan"), float(strip["width"] or "nan")
        assert left >= kit.LEFT
        assert left + width <= kit.WIDTH - kit.RIGHT + 0.1


def test_parity_puts_perfect_answers_on_the_diagonal() -> None:
    svg = charts.parity([(10, 10, "a"), (90, 90, "b"), (50, 60, "c")], "months")
    dots = [(float(dot["cx"] or ""), float(dot["cy"] or "")) for dot in Shapes(svg).of("circle", "dot")]
    line = {
        key: float(value or "")
        for key, value in Shapes(svg).of("line", "identity")[0].items()
        if key != "class"
    }
    slope = (line["y2"] - line["y1"]) / (line["x2"] - line["x1"])
    off = [y - (line["y1"] + slope * (x - line["x1"])) for x, y in dots]
    assert off[:2] == pytest.approx([0, 0], abs=0.2)
    assert off[2] < -5  # above the diagonal: too high
    assert "c\ntrue 50, predicted 60" in svg


def test_parity_draws_a_part_of_many_points_and_none_that_is_no_number() -> None:
    svg = charts.parity([(k, k + 1, str(k)) for k in range(4000)] + [(NAN, 1, "x")], "")
    assert 1000 <= svg.count("<circle") <= charts.POINTS
    assert_only_numbers(svg)
    assert_only_numbers(charts.parity([], ""))


def histogram_of(values: Iterable[float], unit: str = "") -> str:
    return charts.histogram(
        [(value, 1) for value in values], across="error", unit=unit, title="Errors", zero=True
    )


def test_a_histogram_without_zero_begins_at_the_data() -> None:
    svg = charts.histogram([(100.0, 3), (140.0, 1)], across="height", unit="pixels", title="Heights")
    assert not Shapes(svg).of("line", "identity")
    assert "100 to 102\u00a0pixels\n3 images" in svg and "\n1 image<" in svg
    assert "height\u00a0(pixels)" in svg


def test_histogram_counts_like_numpy() -> None:
    values = np.random.default_rng(0).normal(3, 10, 500)
    svg = histogram_of(values, "months")
    counts, _ = np.histogram(values, kit.ticks(values.min(), values.max(), count=20))
    titles = [int(count) for count in re.findall(r"\n(\d+) images?<", svg)]
    assert titles == [count for count in counts if count]
    assert sum(titles) == 500


@pytest.mark.parametrize("values", [[], [0.0], [5.0], [NAN, 1.0], [1e-12, 2e-12], [-1e8, 1e8]])
def test_histogram_of_odd_values(values: list[float]) -> None:
    assert_only_numbers(histogram_of(values))


def test_confusion_map_colours_by_share_of_the_row() -> None:
    svg = charts.confusion_map([[3, 1], [0, 0]], ["a <b>", "an uncommonly long class name 17"])
    shapes = Shapes(svg)
    assert len(shapes.of("rect", "hit")) == 1
    assert len(shapes.of("rect", "miss")) == 1
    assert float(shapes.of("rect", "hit")[0]["fill-opacity"] or "") > float(
        shapes.of("rect", "miss")[0]["fill-opacity"] or ""
    )
    assert "a &lt;b&gt; → an uncommonly long class name 17: 1 of 4 (25.0\u00a0%)" in svg
    assert "an uncommo…name 17</text>" in svg
    assert "<b>" not in svg


def assert_only_numbers(svg: str) -> None:
    for tag, attrs in Shapes(svg).found:
        for name, value in attrs.items():
            if name in {
                "x",
                "y",
                "x1",
                "x2",
                "y1",
                "y2",
                "cx",
                "cy",
                "r",
                "width",
                "height",
                "fill-opacity",
                "d",
            }:
                assert not re.search(r"nan|inf|e\+", value or "", re.IGNORECASE), (tag, name, value)
