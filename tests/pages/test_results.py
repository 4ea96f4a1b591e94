"""What is shown of the results, compared with numpy and numbers made by hand."""

import json
import re
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mirada.pages import numbers, results, write_report
from mirada.runs.reader import read_run

NB = "\u00a0"


def test_pairs_are_sorted_by_count_then_share() -> None:
    pairs = results.confused_pairs([[5, 3, 0], [1, 9, 3], [0, 0, 0]], ["a", "b", "c"])
    found = [(pair.true, pair.predicted, pair.count, pair.share) for pair in pairs]
    assert found == [("a", "b", 3, 3 / 8), ("b", "c", 3, 3 / 13), ("b", "a", 1, 1 / 13)]


def test_class_baseline() -> None:
    text = results.class_baseline([[50, 10], [5, 15]], ["cats", "dogs"])
    assert text == f"For comparison: always answering “cats” would be right for 75.0{NB}% of these images."
    assert results.class_baseline([], []) == ""


def test_regression_baseline_is_the_median() -> None:
    truths = np.random.default_rng(3).uniform(4, 228, 41)
    text = numbers.baseline([(truth, 0.0, "") for truth in truths], "months")
    error = np.abs(truths - np.median(truths)).mean()
    assert f"always answering {np.median(truths):.0f}{NB}months" in text
    assert f"mean absolute error of {error:.1f}{NB}months." in text
    assert numbers.baseline([], "") == ""


def test_residual_summary_agrees_with_numpy() -> None:
    rng = np.random.default_rng(4)
    true, guess = rng.uniform(0, 200, 97), rng.uniform(0, 200, 97)
    error = guess - true
    low, high = np.quantile(error, (0.025, 0.975))
    points = [(a, b, "") for a, b in zip(true.tolist(), guess.tolist(), strict=True)]
    assert dict(numbers.residual_summary(points, "mm")) == {
        "Mean error (systematic)": f"{error.mean():.1f}{NB}mm".replace("-", "−"),
        "Standard deviation of the errors": f"{error.std(ddof=1):.1f}{NB}mm",
        "Middle 95 % of the errors": f"{low:.1f} to {high:.1f}{NB}mm".replace("-", "−"),
        "90 % of the images are off by at most": f"{np.quantile(abs(error), 0.9):.1f}{NB}mm",
        "Half of the images are off by at most": f"{np.median(abs(error)):.1f}{NB}mm",
        "Largest error": f"{abs(error).max():.1f}{NB}mm",
    }


def test_residual_summary_of_one_image() -> None:
    rows = numbers.residual_summary([(1.0, 1.5, "")], "")
    assert [value for _, value in rows] == ["0.500", "0.500", "0.500"]


@pytest.mark.parametrize(
    ("n", "as_svg", "pairs"), [(2, False, 0), (20, False, 0), (21, True, 20), (101, False, 20)]
)
def test_the_confusion_matrix_by_number_of_classes(
    many_classes: Callable[[int], Path], n: int, as_svg: bool, pairs: int
) -> None:
    found = results.results(read_run(many_classes(n)))[0]
    assert (found.matrix is not None) == as_svg
    assert len(found.pairs) == pairs


def test_worst_are_mistakes_of_the_split_sorted(classification: Path) -> None:
    worst = results.results(read_run(classification))[0].worst
    assert len(worst) == results.WORST
    assert all(row.split == "test" and row.target != row.predicted for row in worst)
    assert [row.wrong for row in worst] == sorted((row.wrong for row in worst), reverse=True)


def test_curves_of_both_tasks(classification: Path, regression: Path) -> None:
    titles = [figure.title for figure in results.curves(read_run(classification))]
    assert titles == ["Loss", "Accuracy on the validation images"]
    figures = results.curves(read_run(regression))
    assert figures[1].title == "Error on the validation images (months)"
    assert "root mean square error" in figures[1].svg


@pytest.mark.parametrize(("n", "drawn"), [(5, False), (6, True)])
def test_top5_is_drawn_where_it_can_fail(many_classes: Callable[[int], Path], n: int, drawn: bool) -> None:
    file = many_classes(n) / "results.csv"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([f"{lines[0]},val_top5", *(f"{row},0.95" for row in lines[1:])]) + "\n")
    figure = results.curves(read_run(file.parent))[1]
    assert ("top-5 accuracy" in figure.svg) == drawn
    assert ("five most probable" in figure.caption) == drawn


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_curves_without_a_metric_show_the_loss(task: str, request: pytest.FixtureRequest) -> None:
    run: Path = request.getfixturevalue(task)
    (run / "results.csv").write_text(
        "epoch,seconds,images_per_second,lr,train_loss,val_loss\n1,2,3,4,0.5,0.6\n"
    )
    assert [figure.title for figure in results.curves(read_run(run))] == ["Loss"]


def test_many_points_are_drawn_in_part_and_told() -> None:
    points = [(float(k), float(k + k % 3), "") for k in range(3001)]
    assert "1,001 of 3,001 images are drawn." in numbers.clouds(points, "")[0].caption


def test_map_groups_keep_their_order(classification: Path) -> None:
    file = classification / "maps.json"
    items = json.loads(file.read_text())
    file.write_text(json.dumps([item for item in reversed(items) if item["section"] != "uncertain"]))
    groups = results.map_groups(read_run(classification))
    assert [(title, len(items)) for title, _, items in groups] == [("Most wrong", 3), ("Right and sure", 3)]


def test_a_cell_of_the_matrix_leads_to_its_pictures(classification: Path) -> None:
    """Every cell with pictures is a link, each to a place of its own, which holds them; of the test images alone."""
    cells = json.loads((classification / "cells.json").read_text())
    page = write_report(classification).read_text(encoding="utf-8")
    for cell in cells:
        place = "cell-{}-{}".format(*(["cats", "dogs"].index(cell[name]) for name in ("true", "predicted")))
        assert page.count(f'href="#{place}"') == page.count(f'id="{place}"') == 1
        below = page.split(f'id="{place}"')[1].split("</section>")[0]
        found = "found" if cell["true"] == cell["predicted"] else f"taken for {cell['predicted']}"
        assert f"images of {cell['true']}, {found} (1 shown)" in below
        content = b64encode((classification / cell["images"][0]["image"]).read_bytes()).decode()
        assert below.count(f'src="data:image/jpeg;base64,{content}" alt="{cell["images"][0]["path"]}"') == 1
    assert len(cells) == 4 and page.count('class="cell"') == 4


def test_without_pictures_a_matrix_has_no_links(classification: Path) -> None:
    """Runs of older versions have no cells.json."""
    (classification / "cells.json").unlink()
    page = write_report(classification).read_text(encoding="utf-8")
    assert "Confusion matrix" in page and "#cell-" not in page and "Choose a cell" not in page


@pytest.mark.parametrize("count", [30, 101])
def test_larger_matrices_lead_to_pictures_too(many_classes: Callable[[int], Path], count: int) -> None:
    """A drawn matrix by its cells, and one that is too large to be drawn by the most confused pairs."""
    run = many_classes(count)
    page = write_report(run).read_text(encoding="utf-8")
    places = set(re.findall(r'id="(cell-\d+-\d+)"', page))
    linked = set(re.findall(r'href="#(cell-\d+-\d+)"', page))
    assert linked == places
    assert len(places) == 30 if count == 30 else len(places) <= 20
