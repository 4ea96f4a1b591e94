"""Progress with and without a terminal, tables, numbers as people read them."""

import io
import sys
from pathlib import Path

import pytest

from mirada.cli import console
from mirada.cli.again import ended
from mirada.cli.console import ProgressBar, counts_table, figure
from mirada.events import Progress


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def event(done: int) -> Progress:
    return Progress("decoding", done, 2000)


def test_how_to_go_on_can_be_typed(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar() as progress:
        assert ended(progress, Path("my runs/a"), Path("a.html"), complete=False, missing=("b",)) == 75
    assert capsys.readouterr().err == (
        "Interrupted. What there is: my runs/a\nNot finished: b. How far each came: mirada runs 'my runs/a'\n"
        "Go on with: mirada train --resume 'my runs/a'\n"
    )


def test_plain_lines_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "SECONDS_BETWEEN_LINES", 0.0)
    with ProgressBar() as progress:
        progress.on_event(event(1000))
        progress.line("a line")
        progress.on_event(event(2000))  # the end is told by what follows
    assert capsys.readouterr() == ("a line\n", "decoding: 1,000 of 2,000\n")
    monkeypatch.setattr(console, "SECONDS_BETWEEN_LINES", 1000.0)
    with ProgressBar() as progress:
        progress.on_event(event(1000))
    assert capsys.readouterr() == ("", "")


def test_lines_say_how_long_the_rest_takes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 5.0, 20.0, 65.0])
    monkeypatch.setattr("mirada.cli.console.time.monotonic", lambda: next(clock))
    with ProgressBar() as progress:
        for done in (100, 400, 1000):  # after 5, 20 and 65 seconds
            progress.on_event(event(done))
    assert capsys.readouterr().err.splitlines() == [
        "decoding: 400 of 2,000, about 80 s left",
        "decoding: 1,000 of 2,000, about 67 s left",
    ]


def test_such_work_once_more_has_a_pace_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second of two folds: what the first has taken is not counted."""
    clock = iter([0.0, 5.0, 6.0, 1000.0, 1020.0])
    monkeypatch.setattr("mirada.cli.console.time.monotonic", lambda: next(clock))
    with ProgressBar() as progress:
        for done in (100, 2000, 100, 1000):
            progress.on_event(event(done))
    assert capsys.readouterr().err.splitlines()[-1] == "decoding: 1,000 of 2,000, about 22 s left"


@pytest.mark.parametrize("redirected", [False, True])
def test_a_bar_on_a_terminal(redirected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines stay above the bar; with standard output in a file they go into the file."""
    out, err = io.StringIO() if redirected else Terminal(), Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    with ProgressBar() as progress:
        progress.line("before")
        progress.on_event(event(1000), note="epoch 1")
        progress.line("between [red]")
        assert progress.bar is not None
        progress.on_event(event(2000))
        assert progress.bar is None
        progress.line("after")
    assert out.getvalue() == ("before\nbetween [red]\nafter\n" if redirected else "before\nafter\n")
    assert ("between [red]" in err.getvalue()) is not redirected
    assert "decoding" in err.getvalue() and "2000/2000" in err.getvalue()


def test_tables() -> None:
    assert counts_table({"train": {"a": 1200, "b": 3}, "test": {"a": 1}}) == [
        "class  train  test",
        "a      1,200     1",
        "b          3     0",
        "all    1,203     1",
    ]


def test_figures() -> None:
    assert figure("accuracy", 0.98765) == "98.8%"
    assert figure("mae", 12.3456, "months") == "12.35 months"
    assert figure("r2", 0.5) == "0.5" and figure("r2", None) == "–"
