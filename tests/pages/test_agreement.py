"""The figures of trust: their marks stand where the axes say, absent data leave them out, names are only text."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from test_charts import Shapes, assert_only_numbers
from test_page import page_of

from mirada.errors import DataError
from mirada.evaluation.calibration import Bin, merged_bins
from mirada.evaluation.conformal import Coverage
from mirada.pages import agreement, numbers, results, write_report
from mirada.pages.agreement import DotRow, Level
from mirada.pages.trust import TrustRow
from mirada.runs.reader import read_run

NB = "\u00a0"
POINTS = [(10.0, 1.0, "a"), (20.0, -2.0, "b"), (30.0, 4.0, "<c>")]


def number_of(shape: dict[str, str | None], key: str) -> float:
    return float(shape[key] or "nan")


def change(run: Path, changed: Callable[[dict[str, Any]], None]) -> None:
    """Rewrites the evaluation of the test split."""
    file = run / "evaluation.json"
    evaluation = json.loads(file.read_text())
    changed(evaluation["test"])
    file.write_text(json.dumps(evaluation))


def test_error_cloud_places_points_lines_and_bands() -> None:
    levels = [Level(-3, "low", -4, -2), Level(1, "mean", 0.5, 1.5), Level(5, "high", 4, 6)]
    svg = agreement.error_cloud(POINTS, levels, across="true", unit="mm")
    shapes = Shapes(svg)
    rules = shapes.of("line", "rule")  # −4, −2 … 6
    assert len(rules) == 6
    zero, two = number_of(rules[2], "y1"), number_of(rules[3], "y1")
    assert number_of(shapes.of("line", "zero")[0], "y1") == zero

    def height(error: float) -> float:
        return zero + (two - zero) * error / 2

    assert [number_of(dot, "cy") for dot in shapes.of("circle", "dot")] == pytest.approx(
        [height(error) for _, error, _ in POINTS], abs=0.1
    )
    assert [number_of(line, "y1") for line in shapes.of("line", "identity")] == pytest.approx(
        [height(-3), height(1), height(5)], abs=0.1
    )
    bands = shapes.of("rect", "band")
    assert [number_of(band, "y") for band in bands] == pytest.approx(
        [height(-2), height(1.5), height(6)], abs=0.1
    )
    assert number_of(bands[0], "height") == pytest.approx(height(-4) - height(-2), abs=0.2)
    assert "&lt;c&gt;" in svg and "<c>" not in svg
    assert f"predicted − true{NB}(mm)" in svg and f"true{NB}(mm)" in svg


def test_names_of_close_lines_do_not_collide() -> None:
    """The outer two at the right, one above its line and one below; the mean at the left."""
    levels = [Level(-0.1, "low"), Level(0.0, "mean"), Level(0.1, "high")]
    texts = Shapes(agreement.error_cloud([*POINTS, (5.0, 99.0, "")], levels, across="true", unit="")).of(
        "text", "halo"
    )
    low, mean, high = texts
    assert number_of(low, "y") - number_of(high, "y") > 16
    assert (
        "end" in (low["class"] or "")
        and "end" in (high["class"] or "")
        and "end" not in (mean["class"] or "")
    )


@pytest.mark.parametrize("points", [[], [(3.0, 0.0, "")], [(float("nan"), 1.0, ""), (1.0, float("inf"), "")]])
def test_error_cloud_of_little_is_drawn(points: list[tuple[float, float, str]]) -> None:
    assert_only_numbers(agreement.error_cloud(points, [], across="true", unit=""))


def test_dot_plot_places_values_and_intervals() -> None:
    rows = [DotRow("under 80", 40, 10.0, 8.0, 12.0), DotRow("80 and over", 1, 5.0, None, None)]
    svg = agreement.dot_plot(rows, overall=7.5, unit="months", title="Error")
    shapes = Shapes(svg)
    rules = [number_of(rule, "x1") for rule in shapes.of("line", "rule")]  # 0, 5, 10, 15: from zero
    unit = (rules[-1] - rules[0]) / 15

    def place(value: float) -> float:
        return rules[0] + unit * value

    dots = [number_of(dot, "cx") for dot in shapes.of("circle", "dot")]
    assert dots == pytest.approx([place(10), place(5)], abs=0.1)
    (whisker,) = shapes.of("line", "whisker")
    assert (number_of(whisker, "x1"), number_of(whisker, "x2")) == pytest.approx(
        (place(8), place(12)), abs=0.1
    )
    assert number_of(shapes.of("line", "identity")[0], "x1") == pytest.approx(place(7.5), abs=0.1)
    assert f"under 80: 10.0{NB}months\n95 % interval 8.00 to 12.0" in svg


def test_reliability_diagram_places_dots_on_equal_axes() -> None:
    each = Bin(low=0.8, high=0.866, n=30, confidence=0.84, share=0.7, share_low=0.52, share_high=0.83)
    svg = agreement.reliability_diagram([each], [])
    shapes = Shapes(svg)
    (line,) = shapes.of("line", "identity")
    (dot,) = shapes.of("circle", "val")
    x = [number_of(line, name) for name in ("x1", "x2")]
    y = [number_of(line, name) for name in ("y1", "y2")]
    assert number_of(dot, "cx") == pytest.approx(x[0] + (x[1] - x[0]) * (0.84 - 0.5) / 0.5, abs=0.1)
    assert number_of(dot, "cy") == pytest.approx(y[0] + (y[1] - y[0]) * (0.7 - 0.5) / 0.5, abs=0.1)
    assert "before scaling" not in svg
    assert len(shapes.of("rect", "bar")) == 1
    assert f"30 images\nmean probability 84.0{NB}%\nright 70.0{NB}% (52.0{NB}% to 83.0{NB}%)" in svg
    assert "before scaling" in agreement.reliability_diagram([each], [each])


def test_all_figures_of_a_number(regression: Path) -> None:
    (found,) = results.results(read_run(regression))[0].numbers
    assert [figure.title for figure in found.figures] == [
        "Predicted and true values",
        "Distribution of the errors",
        "Error over the true value",
        "Limits of agreement",
    ]
    assert "+1.96 s: 21.7" in found.figures[3].svg
    assert [each.figure.title for each in found.subgroups] == [
        "Error by range of the true value",
        "Error by male",
    ]
    male = found.subgroups[1]
    assert male.figure.svg.count("male = ") == 2  # in the row and under the pointer; male = 1 has no number
    assert [(row.name, row.n, row.error, row.interval) for row in male.rows] == [
        ("male = 0", 200, f"9.90{NB}months", f"8.40–11.40{NB}months"),
        ("male = 1", 200, "–", ""),
    ]
    assert "male = 0 200 9.90 months 8.40–11.40 months" in page_of(regression).text
    assert found.coverage == (
        f"Predicted value ± 17.2{NB}months was to hold for 90{NB}% of new images; on these 400 images it held for "
        f"88.8{NB}% (95{NB}% interval 85.3{NB}% to 91.5{NB}%). The width was learnt from 200 validation images; "
        "they also chose the epoch, which can make it a little too small."
    )
    assert "lower limit of agreement −24.1 months" in page_of(regression).text


def test_an_older_evaluation_shows_what_it_has(regression: Path, classification: Path) -> None:
    def older(split: dict[str, Any]) -> None:
        for key in ("parts", "coverage", "calibration"):
            split.pop(key, None)
        split["metrics"] = split["metrics"][:3]

    change(regression, older)
    (found,) = results.results(read_run(regression))[0].numbers
    assert len(found.figures) == 3 and found.coverage == ""
    change(classification, older)
    text = page_of(classification).text
    assert text.count("Can the probabilities be trusted?") == 1  # on the validation images only
    assert "The network’s outputs are divided by the temperature 1.74" in text


def test_a_file_before_levels_and_kinds_is_read(classification: Path) -> None:
    def older(split: dict[str, Any]) -> None:
        for each in split["metrics"]:
            del each["level"], each["n"]

    change(classification, older)
    first = results.results(read_run(classification))[0].metrics[0]
    assert first.value.endswith(f"{NB}%") and first.level == "interval"


def test_without_predictions_the_parts_are_still_there(regression: Path) -> None:
    (regression / "predictions.csv").unlink()
    (found,) = results.results(read_run(regression))[0].numbers
    assert not found.figures
    assert [each.figure.title for each in found.subgroups] == [
        "Error by range of the true value",
        "Error by male",
    ]


def test_reliability_of_classes(classification: Path) -> None:
    found = results.results(read_run(classification))[0].trust
    assert found is not None
    assert found.rows == [
        TrustRow("Expected calibration error", f"11.0{NB}%", f"3.0{NB}%", "after"),
        TrustRow("Brier score (0 to 2)", "0.410", "0.330", "after"),
        TrustRow("Log loss (nats)", "0.610", "0.530", "after"),
    ]
    text = page_of(classification).text
    assert "It was too sure of itself. The answers stay the same." in text
    assert "would show about 2.1 % by chance" in text
    assert "These are the very images that it was fitted on" in text  # under the validation images
    assert "it lowered the log loss from 0.610 to 0.530" in text


def test_a_temperature_that_did_not_help_is_said_to_have_not(classification: Path) -> None:
    def worse(split: dict[str, Any]) -> None:
        found = split["calibration"]
        found["before"], found["after"] = found["after"], found["before"]
        found["temperature"] = 1.28
        for each in found["before"]["bins"]:
            each["share"] = each["confidence"]  # as sure as it should be

    change(classification, worse)
    found = results.results(read_run(classification))[0].trust
    assert found is not None
    assert [row.better for row in found.rows] == ["before"] * 3
    text = " ".join(found.sentences)
    assert "It did not help on these images: the log loss went from 0.530 to 0.610." in text
    assert "too sure" not in text and "sure enough" not in text
    html = write_report(classification).read_text()
    assert "<td><strong>0.530</strong></td><td>0.610</td>" in html


def test_the_temperatures_of_folds_are_named(classification: Path) -> None:
    change(classification, lambda split: split["calibration"].update(temperatures=[1.21, 1.39, 1.28]))
    text = page_of(classification).text
    assert "Each fold’s outputs are divided by its own temperature (1.21, 1.39, 1.28)" in text


def test_bins_of_few_images_are_put_together() -> None:
    def bin_of(number: int, n: int, share: float) -> Bin:
        low = number / 15
        return Bin(low, low + 1 / 15, n, low + 0.03, share, max(0.0, share - 0.1), min(1.0, share + 0.1))

    bins = [bin_of(6, 1, 0.0), bin_of(7, 4, 0.5), bin_of(9, 6, 1.0), bin_of(11, 30, 0.8), bin_of(14, 2, 1.0)]
    first, last = merged_bins(bins)
    assert (first.n, last.n) == (11, 32)
    assert (first.low, first.high) == (6 / 15, 10 / 15)
    assert first.share == pytest.approx((0 + 2 + 6) / 11)
    assert first.confidence == pytest.approx(np.average([0.43, 7 / 15 + 0.03, 0.63], weights=[1, 4, 6]))
    wilson = stats.binomtest(8, 11).proportion_ci(method="wilson")
    assert (first.share_low, first.share_high) == pytest.approx((wilson.low, wilson.high))
    assert merged_bins(bins[:1]) == (bins[0],) and merged_bins([]) == ()
    assert len(Shapes(agreement.reliability_diagram(bins, [])).of("circle", "val")) == 2


def test_a_network_that_always_answers_the_same_is_named(classification: Path, regression: Path) -> None:
    change(classification, lambda split: split.update(constant=[{"target": "", "answer": "cats"}]))
    change(regression, lambda split: split.update(constant=[{"target": "", "answer": 104.96}]))
    said = "it always gives the same answer, and has learnt nothing"
    assert f"the network answers “cats”: {said}" in page_of(classification).text
    assert f"the network answers 105 months: {said}" in page_of(regression).text


def test_probabilities_that_were_not_scaled(classification: Path) -> None:
    def unscaled(split: dict[str, Any]) -> None:
        split["calibration"] = {"temperature": 1.0, "after": split["calibration"]["after"]}

    change(classification, unscaled)
    text = page_of(classification).text
    assert "no temperature was applied, as none lowered the log loss of the validation images" in text
    assert "Smaller is better Value Expected calibration error 3.0 %" in text


def test_several_targets(regression: Path) -> None:
    def doubled(split: dict[str, Any]) -> None:
        for key in ("metrics", "parts", "coverage"):
            split[key] = [item | {"target": name} for name in ("width", "height") for item in split[key]]

    change(regression, doubled)
    file = regression / "predictions.csv"
    with file.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        three = ("target", "predicted", "error")
        writer.writerow(
            ["path", "split", *(f"{key}:{name}" for name in ("width", "height") for key in three)]
        )
        for row in rows:
            values = [row[key] for key in three]
            writer.writerow([row["path"], row["split"], *values, *values])
    found = results.results(read_run(regression))[0].numbers
    assert [each.name for each in found] == ["width", "height"]
    assert all(len(each.figures) == 4 and len(each.subgroups) == 2 and each.coverage for each in found)
    text = page_of(regression).text
    assert "mean absolute error of width 9.41 months on 400 test images" in text
    assert re.search(r"hands/\d+\.png \((width|height)\)", text)


def test_a_damaged_part_is_named(regression: Path) -> None:
    change(regression, lambda split: split["parts"][1].update(n="many"))
    with pytest.raises(DataError, match=r"test → parts → 1 → n must be a whole number. Got 'many'"):
        write_report(regression)


def test_hostile_names_of_parts_are_only_text(regression: Path) -> None:
    change(regression, lambda split: split["parts"][2].update(covariate="<script>", name="<b>1"))
    html = write_report(regression).read_text()
    assert "<script>" not in html and "<b>1" not in html
    assert "Error by &lt;script&gt;" in html


def test_coverage_without_an_interval() -> None:
    text = numbers.coverage_sentence(
        Coverage("", 0.9, 3.0, 20, 0, None, None, None, "no interval: no images"), ""
    )
    assert "on these 0 images it held for –. The width" in text
