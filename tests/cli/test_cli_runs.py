"""``mirada report`` and ``mirada runs``: the page of a run anew, and which runs there are."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Cli = Callable[..., Any]


def test_the_page_is_written_anew(cli: Cli, trained: Callable[[str], Path]) -> None:
    folder = trained("lenet5").parent
    before = (folder / "report.html").read_bytes()
    (folder / "report.html").unlink()
    assert cli("report", folder) == (0, f"{folder / 'report.html'}\n", "")
    assert (folder / "report.html").read_bytes() == before


def test_what_is_no_run(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    code, out, err = cli("report", "empty")
    assert (code, out) == (1, "") and err.startswith(
        "Error: empty/data.json: the file is missing, which a run "
    )
    assert cli("report", "nowhere").code == 2
    assert cli("runs", "empty") == (1, "", "There are no runs in empty.\n")
    assert cli("runs").code == 2  # there is no folder runs


def test_how_to_take_up_a_run_can_be_typed(cli: Cli, trained: Callable[[str], Path], tmp_path: Path) -> None:
    folder, killed = trained("lenet5").parent, tmp_path / "my runs" / "a"
    killed.mkdir(parents=True)
    for file in ("recipe.toml", "model.json", "data.json", "job.json"):
        (killed / file).write_bytes((folder / file).read_bytes())
    (killed / "events.jsonl").touch()
    assert cli("runs", "my runs").out.endswith(
        "mirada train --resume 'my runs/a' takes up what was stopped.\n"
    )


def test_runs_are_listed(cli: Cli, trained: Callable[[str], Path], tmp_path: Path) -> None:
    """By name, each with how it ended, on what, and how well it does; one whose files are damaged is said."""
    folder = trained("lenet5").parent
    runs = tmp_path / "runs"
    for name in ("a", "b", "c", "d"):
        (runs / name).mkdir(parents=True)
        for file in ("recipe.toml", "model.json", "data.json", "events.jsonl"):
            (runs / name / file).write_bytes((folder / file).read_bytes())
    events = (folder / "events.jsonl").read_text().splitlines()
    (runs / "b" / "events.jsonl").write_text("\n".join(events[:3]) + "\n")  # killed
    stopped = json.dumps(
        {"event": "stopped", "reason": "failed", "epochs": 1, "text": "The loss is no number."}
    )
    (runs / "c" / "events.jsonl").write_text("\n".join([*events[:2], stopped]) + "\n")
    code, out, err = cli("runs")
    assert (code, err) == (0, "")
    header, *rows = (line.split() for line in out.splitlines())
    assert header == ["run", "state", "network", "data", "epochs", "result"]
    assert [row[:5] for row in rows] == [
        ["a", "finished", "lenet5", "shapes", "2"],
        ["b", "unfinished", "lenet5", "shapes", "2"],
        ["c", "failed", "lenet5", "shapes", "1"],
        ["d", "finished", "lenet5", "shapes", "2"],
    ]
    assert rows[0][5] == "accuracy" and " ".join(rows[0]).endswith("on 12 test images")
    (runs / "d" / "data.json").write_text("{")
    code, out, err = cli("runs")
    assert code == 1 and err.startswith("runs/d/data.json: the file is damaged") and "d    damaged" in out
    (runs / "c" / "model.json").unlink()  # as of several networks, or of a run that is only just beginning
    (runs / "c" / "job.json").touch()
    (runs / "c" / "events.jsonl").write_text("[]\n")
    code, out, err = cli("runs")
    assert code == 1 and err.startswith("runs/c/events.jsonl: the file is damaged")
    assert "a    finished" in out and "c    damaged" in out
