"""The page of verdicts: what it claims of each test, names of strangers, and images of which nothing is known."""

import re

import pytest

from mirada.judging.verdict import Quantity, Verdict
from mirada.pages.explanations import (
    ExplanationsPage,
    ImageCard,
    MapChoice,
    SimilarImage,
    p_value,
    render_explanations,
    title,
)

PICTURE = "data:image/png;base64,AAAA"
PASSED = Verdict(
    test="JPEG", outcome="pass", rule="Pass: above 0.7.", reason="the whole interval lies above 0.7",
    statistic="mean rank correlation", value=0.9, low=0.85, high=0.95, p_value=0.0001, images=40,
    quantities=(Quantity(name="quality 75", value=0.9, low=0.85, high=0.95),),
)  # fmt: skip
UNTOLD = Verdict(
    test="Localisation", outcome="cannot tell", rule="Pass: better.", reason="the data have no boxes",
    statistic="mean difference", left_out=40,
)  # fmt: skip
FAILED = Verdict(
    test="ROAD", outcome="fail", rule="Fail: worse.", reason="no better than a rival", statistic="difference",
    value=-0.1, low=-0.2, high=-0.01, p_value=0.99, images=40,
    quantities=(
        Quantity(name="map − centre", value=-0.1, low=-0.2, high=-0.01, unit="%", p_value=0.99),
        Quantity(name="insertion area", value=130.0, low=120.0, high=140.0, unit="months"),
    ),
)  # fmt: skip


def card(*choices: MapChoice, similar: tuple[SimilarImage, ...] = ()) -> ImageCard:
    return ImageCard(
        path="<b>&.png", photo=PICTURE, true="", answer="<i>cat</i> (90 %)", limit=2.5, unit="logits",
        choices=choices, numbers=[("IoU", 0.5)], similar=similar,
    )  # fmt: skip


def page(*cards: ImageCard) -> ExplanationsPage:
    return ExplanationsPage(
        data="<pets>", method="Grad-CAM", layer="stage4", unit="logits", seed=0, available=600, judged=40,
        excluded=1, notes=["the boxes are labelled <x>"], verdicts=[PASSED, UNTOLD, FAILED], means=[], cards=cards,
        grid=(7, 7), input_size=(224, 224),
    )  # fmt: skip


def test_the_verdicts_are_said_at_the_top_and_with_their_rules() -> None:
    assert title(page()) == "<pets>: 1 pass, 1 fail, 1 cannot tell"
    html = render_explanations(page(card(MapChoice(name="cat", picture=PICTURE, note="")))).replace(
        "\xa0", " "
    )
    assert "40 of 600 test images, drawn with seed 0; 1 of those that were drawn could not be read" in html
    assert "7 × 7 cells, each of 32 × 32 pixels" in html
    assert html.count('class="outcome pass"') == html.count('class="outcome fail"') == 2
    assert html.count('class="outcome unsure"') == 2
    assert "0.900</strong> (0.850–0.950), p &lt; 0.001, 40 images" in html
    assert "0 images; 40 left out. The data have no boxes." in html
    assert "−10.0 %" in html and "−20.0 to −1.0 %" in html and "120–140 months" in html
    assert all(each.rule in html for each in (PASSED, UNTOLD, FAILED))
    assert html.count('<th scope="col">p</th>') == 1  # of the one table that has comparisons


def test_names_of_strangers_are_text() -> None:
    choices = (
        MapChoice(name="<u>dog</u>", picture=PICTURE, note="<s>"),
        MapChoice(name="b", picture=PICTURE, note=""),
    )
    html = render_explanations(page(card(*choices)))
    assert not re.search(r"<(b|i|u|s|x|pets)>", html)
    assert "&lt;u&gt;dog&lt;/u&gt;" in html and html.count("<option") == 2
    assert html.count('class="map"') == 2 and html.count("hidden>") == 1  # one at a time


def test_one_class_needs_no_choice_and_a_lost_picture_keeps_its_name() -> None:
    near = (SimilarImage(path="train/a.png", cosine=0.91, picture=""),)
    html = render_explanations(page(card(MapChoice(name="months", picture=PICTURE, note=""), similar=near)))
    assert "<select" not in html and '<p class="only">months</p>' in html
    assert "train/a.png <span>0.91" in html and "39 more images were judged" in html
    assert "<li class" not in render_explanations(page())


@pytest.mark.parametrize(
    ("value", "said"), [(0.2, "p = 0.20"), (0.04, "p = 0.040"), (0.0009, "p < 0.001"), (1.0, "p = 1.00")]
)
def test_p_values_are_never_nought(value: float, said: str) -> None:
    assert p_value(value) == said
