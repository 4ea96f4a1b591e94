"""How numbers are written."""

from mirada.evaluation.evaluate import Measured
from mirada.pages import words

NB = "\u00a0"


def metric(
    name: str, value: float | None, low: float | None, high: float | None, unit: str = ""
) -> words.Shown:
    return words.shown(Measured(name, value, low, high, "Wilson 95 %", unit, level=0.95, n=40))


def test_the_page_shows_a_metric_by_its_kind() -> None:
    assert metric("ece", 0.0312, None, None).value == f"3.1{NB}%"
    assert metric("roc_auc", 0.8734, 0.81, 0.92).value == "0.873"
    assert metric("log_loss", 0.5, None, None, "nats").value == f"0.500{NB}nats"
    assert metric("top5", 0.9, None, None).label == "top-5 accuracy"


def test_the_level_is_that_of_the_value_and_not_of_its_method() -> None:
    found = words.shown(Measured("mae", 9.0, 8.0, 10.0, "Wilson 95 %", "mm", level=0.9))
    assert found.level == f"90{NB}% interval"
    assert words.shown(Measured("mae", 9.0, 8.0, 10.0, "as it was")).level == "interval"  # of an older file


def test_shown_share() -> None:
    found = metric("accuracy", 0.732, 0.695, 0.766)
    assert (found.value, found.interval, found.level) == (
        f"73.2{NB}%",
        f"69.5–76.6{NB}%",
        f"95{NB}% interval",
    )
    assert found.share


def test_shown_quantity_gives_value_and_interval_the_same_decimals() -> None:
    found = metric("mae", 9.412, 8.871, 10.02, "months")
    assert (found.value, found.interval) == (f"9.41{NB}months", f"8.87–10.02{NB}months")


def test_shown_interval_with_negative_end() -> None:
    assert metric("bias", 0.5, -0.25, 1.25).interval == "−0.250 to 1.250"


def test_shown_without_value_or_interval() -> None:
    found = metric("accuracy", None, None, None)
    assert (found.value, found.interval, found.level) == ("–", "", "")
