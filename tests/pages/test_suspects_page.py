"""The page of suspect labels: what it claims, and what it does not."""

import re
from dataclasses import replace

import numpy as np

from mirada.evaluation.predictions import Predictions
from mirada.evaluation.suspects import SuspectLabels, suspect_labels
from mirada.pages.suspects import SuspectsPage, meaning, render_suspects
from mirada.samples import Classes, Numbers

PICTURE = "data:image/jpeg;base64,AAAA"


def of_classes() -> SuspectLabels:
    """Two of six labels are suspected."""
    outputs = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.1, 0.9], [0.7, 0.3], [0.1, 0.9]])
    return suspect_labels(
        Predictions(
            paths=("a.png", "<b>.png", "c.png", "d.png", "e.png", "f.png"),
            splits=np.full(6, "test"),
            target=Classes(("cat", "dog")),
            targets=np.array([0, 0, 0, 1, 1, 1]),
            outputs=outputs,
        )
    )


def test_a_page_of_classes() -> None:
    page = SuspectsPage(name="pets", folds=5, labels=of_classes(), pictures=[PICTURE, ""])
    html = render_suspects(page).replace("\xa0", " ")
    assert "<h1>pets: 2 of 6 labels to look at</h1>" in html
    assert "no verdict: nothing was changed" in html
    assert "it would contradict about 1.1 of them in this way" in html
    assert "Confident learning estimates 2 wrong labels (33.3 %)" in html
    assert html.count("<li>") == 2 and html.count(PICTURE) == 1 and "cannot be read any more" in html
    assert "<strong>cat (20.0 %)</strong>" in html and "<strong>dog (80.0 %)</strong>" in html
    assert "margin −0.60" in html and "&lt;b&gt;.png" in html and "<b>.png" not in html
    assert 'href="report.html"' in html and not re.search(r"https?://", html)
    assert html.startswith("<!DOCTYPE html>")


def test_of_a_network_that_errs_much_it_is_said_that_wrong_labels_are_hidden() -> None:
    """Where a tenth of right labels would be contradicted, the first tenth of the list can be full of them."""
    said = "So many hard images stand between the wrong labels"
    labels = of_classes()  # 1.1 of 6
    assert said in " ".join(meaning(labels)) and "--weights" in " ".join(meaning(labels))
    assert said not in " ".join(meaning(replace(labels, by_chance=0.6)))


def test_what_does_not_fit_is_counted() -> None:
    html = render_suspects(SuspectsPage(name="pets", folds=0, labels=of_classes(), pictures=[PICTURE]))
    assert "1 more are not shown here" in html and 'href="report.html"' not in html


def test_a_page_of_numbers_and_one_without_suspects() -> None:
    given = np.full((40, 1), 3.0)
    given[5] = 9
    labels = suspect_labels(
        Predictions(
            paths=tuple(f"{row}.png" for row in range(40)),
            splits=np.full(40, "test"),
            target=Numbers(("",), "months"),
            targets=given,
            outputs=np.full((40, 1), 3.0),
        )
    )
    html = render_suspects(SuspectsPage(name="hands", folds=5, labels=labels, pictures=[PICTURE]))
    html = html.replace("\xa0", " ")
    assert "hands: 1 of 40 labels to look at" in html
    assert "<strong>9.00 months</strong>" in html and "<strong>3.00 months</strong>" in html
    assert "Of normal errors about 0.3 would" in html
    nobody = SuspectLabels(target=Classes(("cat", "dog")), ranked=(), by_chance=0.0, wrong=0.0)
    assert "No label lies further" in render_suspects(
        SuspectsPage(name="pets", folds=5, labels=nobody, pictures=[])
    )
