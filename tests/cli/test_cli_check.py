"""``mirada check``: what it prints, where its page lies, and that it leaves the data alone."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Cli = Callable[..., Any]


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Two classes of 30 pictures each; one is there twice, under both, and 25 are flat."""
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "pets" / "train" / name).mkdir(parents=True)
        for number in range(30):
            values = rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)
            if name == "dog" and number < 25:
                values[:] = values[0, 0]
            Image.fromarray(values).save(tmp_path / "pets" / "train" / name / f"{number:02}.png")
    shutil.copy(tmp_path / "pets/train/cat/00.png", tmp_path / "pets/train/dog/copy.png")
    return tmp_path / "pets"


def test_a_page_beside_the_lines(cli: Cli, pets: Path, tmp_path: Path) -> None:
    code, out, err = cli("check", pets)
    assert (code, err) == (1, "")
    assert (
        "warning: train/cat/00.png: has the same content as train/dog/copy.png, but the labels are cat and"
        in out
    )
    assert out.count("all its pixels are the same") == 20
    assert out.endswith(
        "warning: … and 5 more like this; --json names all\nwith pictures: pets-check.html\n26 findings\n"
    )
    html = (tmp_path / "pets-check.html").read_text()
    assert html.count("data:image/jpeg;base64,") == 2 + 24 + 12  # at most 24 of a kind, and six of each class
    assert "1 more is not shown here" in html
    assert "train, dog" in html
    assert cli("check", pets).out.endswith("with pictures: pets-check-2.html\n26 findings\n")


def test_the_page_where_it_is_wanted(cli: Cli, pets: Path, shapes: Path, tmp_path: Path) -> None:
    assert "with pictures: mine.html\n" in cli("check", pets, "--html", "mine.html").out
    assert cli("check", pets, "--no-html").out.endswith("--json names all\n26 findings\n")
    code, out, _ = cli("check", pets, "--json")
    assert code == 1 and len(json.loads(out)["findings"]) == 26
    _, out, _ = cli("check", pets, "--json", "--html", "json.html")
    assert len(json.loads(out)["findings"]) == 26
    assert cli("check", shapes).code == 0
    assert sorted(path.name for path in tmp_path.glob("*.html")) == ["json.html", "mine.html"]
    assert "with pictures: sound.html\nNo findings" in cli("check", shapes, "--html", "sound.html").out


def test_nothing_is_written_among_the_images(
    cli: Cli, pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(pets.rglob("*"))
    code, out, err = cli("check", pets, "--html", pets / "train" / "page.html")
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert "lies in the data folder, in which nothing is changed. Choose another place." in err
    monkeypatch.chdir(pets)
    assert (
        "No page is written into the data folder; --html FILE writes it elsewhere.\n" in cli("check", ".").out
    )
    assert "with pictures: ../page.html\n" in cli("check", ".", "--html", "../page.html").out
    assert sorted(pets.rglob("*")) == before


def test_options_that_make_no_sense(cli: Cli, pets: Path) -> None:
    for options, said in (
        (("--html", "a.html", "--no-html"), "--html and --no-html contradict each other."),
        (("--html", "absent/a.html"), "there is no folder absent to write a.html into."),
        (("--html", pets), "is a directory"),
    ):
        code, out, err = cli("check", pets, *options)
        assert (code, out) == (2, "") and said in err and err.count("\n") == 1


def test_turned_files_are_a_note_and_no_failure(cli: Cli, shapes: Path, tmp_path: Path) -> None:
    shutil.copytree(shapes, tmp_path / "data")
    turned = Image.Exif()
    turned[0x0112] = 8
    file = next((tmp_path / "data" / "train" / "star").glob("*.png"))
    with Image.open(file) as image:
        image.save(file, exif=turned)
    code, out, _ = cli("check", "data")
    assert code == 0
    assert re.search(r"note: train/star/\S+ is stored turned, with an EXIF orientation; Mirada turns", out)
    assert out.endswith("with pictures: data-check.html\nNo findings: ready to train. (1 note)\n")


def test_a_table_with_groups(cli: Cli, pets: Path, tmp_path: Path) -> None:
    lines = [f"pets/train/cat/{number:02}.png,{number + 0.5},p{number // 2},{'val' if number == 1 else 'train'}"
             for number in range(30)]  # fmt: skip
    (tmp_path / "ages.csv").write_text("\n".join(["image,age,patient,split", *lines]))
    columns = ("--image", "image", "--target", "age", "--group", "patient", "--split", "split")
    code, out, err = cli("check", "ages.csv", *columns)
    assert (code, err) == (1, "")
    assert re.search(
        r"warning: group hash-[0-9a-f]{12}: has images in several splits \(1 in train and 1 in val\)", out
    )
    html = (tmp_path / "ages-check.html").read_text()
    assert "val, 1.5" in html and "p0" not in re.sub(r"base64,[^\"]*", "", html)
