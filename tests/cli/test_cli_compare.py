"""``compare``: what it says of runs, what its page shows, and what cannot be compared."""

import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mirada.evaluation.paired import mcnemar
from mirada.evaluation.predictions import Predictions
from mirada.pages.methods import methods_paragraph
from mirada.runs.reader import read_run

Cli = Callable[..., Any]
Train = Callable[[str], Path]


@pytest.fixture
def runs(trained: Train, tmp_path: Path) -> tuple[Path, Path]:
    """Two runs on the same shapes, of one seed each, in a folder of the test's own."""
    found = []
    for name in ("lenet5", "simplecnn"):
        shutil.copytree(trained(name).parent, tmp_path / name)
        found.append(tmp_path / name)
    return found[0], found[1]


def test_two_runs_of_one_seed(cli: Cli, runs: tuple[Path, Path]) -> None:
    """The figures are those of the two tables of predictions, counted by hand; nothing is called better."""
    one, other = (Predictions.from_csv(run / "predictions.csv").of_split("test") for run in runs)
    hits = [dict(zip(t.paths, (t.predicted == t.class_numbers).tolist(), strict=True)) for t in (one, other)]
    only = [sum(hits[a][path] and not hits[1 - a][path] for path in hits[0]) for a in (0, 1)]
    code, out, err = cli("compare", *runs, "--json")
    assert code == 0 and err == ""
    found = json.loads(out)
    (pair,) = found["pairs"]
    (difference,) = pair["differences"]
    assert (pair["split"], pair["images"], pair["images_not_in_both"]) == ("test", 12, 0)
    assert (
        difference["first"] == sum(hits[0].values()) / 12
        and difference["second"] == sum(hits[1].values()) / 12
    )
    assert [difference["only_first"], difference["only_second"]] == only
    assert difference["p_value"] == mcnemar(*only)
    assert difference["called"] in ("cannot tell", "no difference shown") and difference["luck"] is None


def test_the_page(cli: Cli, runs: tuple[Path, Path]) -> None:
    code, out, _ = cli("compare", *runs)
    assert code == 0 and out.splitlines()[-1] == "compare.html"
    assert out.startswith("simplecnn beside lenet5, accuracy on 12 images: ")
    page = Path("compare.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://(?!www\.w3\.org)", page) and "<script" not in page
    differs = page[page.index("What differs") : page.index("Learning curves")]
    assert '<td class="words">lenet5</td><td class="words">simplecnn</td>' in differs
    assert "batch_" not in differs  # both were trained with 16
    assert page.count('<path class="line run1"') == page.count('<path class="line run2"') == 3
    shown = page.count("<dt>Truth</dt>")
    assert shown == page.count('<img src="data:image/jpeg;base64,') and (shown or "Where" not in page)
    assert cli("compare", *runs)[0] == 0 and not Path("compare-2.html").exists()  # its own page is replaced


def test_its_figures_and_tables_for_a_paper(cli: Cli, runs: tuple[Path, Path]) -> None:
    """The numbers are those of ``--json``, and the figures those of the page."""
    code, out, err = cli("compare", *runs, "--json", "--paper", "for/paper")
    assert code == 0
    assert err.splitlines() == [
        "for/paper/figures: 3 figures, each as SVG and PDF",
        "for/paper/tables: 4 tables",
    ]
    tables = {}
    for file in Path("for/paper/tables").iterdir():
        with file.open(encoding="utf-8", newline="") as stream:
            tables[file.stem] = list(csv.DictReader(stream))
    (difference,) = json.loads(out)["pairs"][0]["differences"]
    (row,) = tables["differences"]
    assert (row["run"], row["beside"], row["split"]) == ("simplecnn", "lenet5", "test")
    for name in ("first", "second", "difference", "low", "high", "p_value", "called", "reason"):
        assert row[name] == ("" if difference[name] is None else str(difference[name])), name
    assert {(each["setting"], each["lenet5"], each["simplecnn"]) for each in tables["settings"]} >= {
        ("model", "lenet5", "simplecnn")
    }
    assert len(tables["epochs"]) == 4 and [each["run"] for each in tables["runs"]] == ["lenet5", "simplecnn"]
    assert len(list(Path("for/paper/figures").glob("*.pdf"))) == 3


def test_several_seeds_are_one_recipe(cli: Cli, shapes: Path, runs: tuple[Path, Path]) -> None:
    tiny = ("--epochs", 1, "--image-size", 32, "--batch-size", 16, "--device", "cpu")
    assert cli("train", shapes, "--model", "lenet5", *tiny, "--seeds", 2, "--output", "seeds")[0] == 0
    code, out, _ = cli("compare", "seeds", runs[0], "--json", "--output", "s.html")
    assert code == 0
    (difference,) = json.loads(out)["pairs"][0]["differences"]
    tables = [Predictions.from_csv(f"seeds/seed-{seed}/predictions.csv").of_split("test") for seed in (0, 1)]
    shares = [float((table.predicted == table.class_numbers).mean()) for table in tables]
    assert difference["first"] == pytest.approx(sum(shares) / 2)
    assert difference["luck"] is not None and difference["test"] == "sign flips"
    code, out, err = cli("compare", "seeds/seed-1", "seeds")
    assert (code, out) == (2, "") and err == (
        "Error: seeds/seed-1 is one of the runs of seeds. Name runs that share none.\n"
    )
    assert "over 2 seeds" in Path("s.html").read_text(encoding="utf-8")


def test_what_cannot_be_compared_is_said(cli: Cli, runs: tuple[Path, Path], tmp_path: Path) -> None:
    """A run that was killed, and one of other classes, stand on the page all the same."""
    killed = tmp_path / "killed"
    shutil.copytree(runs[0], killed)
    (killed / "predictions.csv").unlink()
    (killed / "evaluation.json").unlink()
    other = tmp_path / "other"
    shutil.copytree(runs[0], other)
    table = (other / "predictions.csv").read_text(encoding="utf-8")
    (other / "predictions.csv").write_text(table.replace("star", "moon"), encoding="utf-8")
    code, out, _ = cli("compare", runs[0], killed, other)
    assert code == 0
    first, second, _ = out.splitlines()
    assert first == "killed beside lenet5: Not judged yet: killed."
    assert second.startswith(
        "other beside lenet5: What is predicted must be the same. Got the classes circle, "
    )


def test_nothing_is_called_better_that_was_not_tested_honestly(
    cli: Cli, runs: tuple[Path, Path], tmp_path: Path
) -> None:
    """The second run's weights began with test images, and it is right on all of them; the first is never right."""
    for run, answer in zip(runs, ("circle", "target"), strict=True):
        file = run / "predictions.csv"
        with file.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        for row in rows:
            row["predicted"] = (
                row["target"] if answer == "target" else "star" if row["target"] != "star" else "circle"
            )
            for name in ("circle", "square", "star", "triangle"):
                row[f"p:{name}"] = "0.97" if name == row["predicted"] else "0.01"
        with file.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    events = runs[1] / "events.jsonl"
    events.write_text(events.read_text().replace('"trained_on": 0', '"trained_on": 12'))
    code, out, _ = cli("compare", *runs, "--paper", "paper")
    assert code == 0
    first, second, *_ = out.splitlines()
    assert first == (
        "simplecnn: no honest test: 12 of these 12 images were used in training. Its figures flatter it."
    )
    assert second.endswith("Cannot tell: test images were used in training, so this is no honest test.")
    assert "no honest test: 12 of these 12" in Path("paper/tables/differences.csv").read_text(
        encoding="utf-8"
    )


def test_a_network_that_has_learnt_nothing_is_told_wherever_its_figure_is(
    cli: Cli, runs: tuple[Path, Path], tmp_path: Path
) -> None:
    events, evaluation = runs[0] / "events.jsonl", runs[0] / "evaluation.json"
    events.write_text(re.sub(r'"constant": \d', '"constant": 1', events.read_text()))
    found = json.loads(evaluation.read_text(encoding="utf-8"))
    for split in found.values():
        split["constant"] = [{"target": "", "answer": "star"}]
    evaluation.write_text(json.dumps(found), encoding="utf-8")
    said = "always the same answer: it has learnt nothing"
    listed = cli("runs", tmp_path).out.splitlines()
    assert f"on 12 test images; {said}" in next(line for line in listed if line.startswith("lenet5"))
    assert f"lenet5: {said}." in cli("compare", *runs).out.splitlines()


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["lenet5"], "Runs to compare must be 2 to 6. Got 1."),
        (["lenet5"] * 2, "is named twice. Name each run once."),
        (["lenet5", "there-is-none"], "Directory 'there-is-none' does not exist."),
        (["lenet5", "."], "is no run folder"),
    ],
)
def test_wrong_use(cli: Cli, runs: tuple[Path, Path], names: list[str], said: str) -> None:
    code, out, err = cli("compare", *names)
    assert code in (1, 2) and out == "" and not Path("compare.html").exists()
    assert len(err.strip().splitlines()) <= 4 and (said in err or "data.json" in err)


def test_runs_as_json(cli: Cli, runs: tuple[Path, Path], tmp_path: Path) -> None:
    code, out, _ = cli("runs", tmp_path, "--json")
    assert code == 0
    listed = json.loads(out)
    assert [Path(run["path"]).name for run in listed] == ["lenet5", "simplecnn"]
    assert {run["state"] for run in listed} == {"finished"} and listed[0]["judged"]["n"] == 12


def test_the_paragraph_for_a_paper_says_how_a_run_was_trained(runs: tuple[Path, Path]) -> None:
    """Every setting that matters, from a run that was really made."""
    text = methods_paragraph(read_run(runs[0]))
    for said in (
        "60 images of 4 classes (circle, square, star, triangle) were used: 40 for training, 8 for validation, 12",
        "It was trained for 2 epochs in batches of 16 by Adam (learning rate 0.002, weight decay 0.0005)",
        "with the rate following the schedule cosine",
        "Augmentation: rotation 10.0, zoom 0.1, shift 0.05, fill black.",
        "It began with random weights.",
        "The seed of everything random was 0.",
        "The test images were used once, after training. The accuracy on 12 test images is ",
    ):
        assert said in text, said
