"""``mirada train``: what it says, what it leaves, what it refuses, and Ctrl-C."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from mirada.cli.training_lines import advice_on
from mirada.compute import choose
from mirada.data.augment import Augmentation
from mirada.modelfile import load_network

Cli = Callable[..., Any]
PROGRESS = re.compile(r"^\w+: [\d,]+ of [\d,]+\n", re.MULTILINE)  # a slow machine tells how far it is
TINY = ("--epochs", "2", "--image-size", "32", "--batch-size", "16", "--device", "cpu")


def test_what_it_says(cli: Cli, shapes: Path, unchanged: None) -> None:
    code, out, err = cli("train", shapes, "--model", "lenet5", *TINY, "--output", "run")
    assert code == 0 and err == ""
    first, *lines = out.splitlines()
    assert first == "boxes: in 60 images"  # what was found beside the images
    assert lines[0].split() == ["class", "train", "val", "test"] and lines[5].split() == [
        "all",
        "40",
        "8",
        "12",
    ]
    assert lines[6] == (
        "Set aside, stratified, with seed 0: 20% of the training images for validation. splits.csv names them."
    )
    assert lines.pop(7) == "Augmentation: rotation 10.0, zoom 0.1, shift 0.05, fill black."
    assert lines[7].startswith("61,196 parameters, ")
    assert lines[7].endswith(
        f", training on {choose('cpu', 'auto')}."
    )  # bfloat16 where the processor has AMX
    assert [line.split()[:2] for line in lines[8:10]] == [["epoch", "1"], ["epoch", "2"]]
    assert lines[8].endswith("best") and "validation loss" in lines[8] and "%" in lines[8]
    assert lines[10].startswith("best epoch: ")
    assert lines[11].startswith("validation, 8 images: accuracy ") and lines[12].startswith(
        "test, 12 images: "
    )
    assert lines[13:] == [str(Path("run") / "report.html")]


def test_settings_come_in_layers(cli: Cli, shapes: Path, tmp_path: Path) -> None:
    """The model's recipe < the file < --set < the flags, whoever names the model."""
    (tmp_path / "r.toml").write_text(
        'model = "simplecnn"\nepochs = 9\nlr = 0.5\nseed = 4\n[augment]\nzoom = 0.3\n'
    )
    common = ("--recipe", "r.toml", "--set", "lr=0.002", "--set", "epochs=1", "--set", "policy=pad")
    assert cli("train", shapes, *common, "--image-size", "32", "--output", "a").code == 0
    left = tomllib.loads((tmp_path / "a" / "recipe.toml").read_text())
    assert left["model"] == "simplecnn" and left["pixels"]["normalize"] == "unit"  # the network's own recipe
    assert (left["epochs"], left["optimizer"]["lr"], left["seed"]) == (1, 0.002, 4)
    assert left["pixels"]["policy"] == "pad" and left["pixels"]["image_size"] == [32, 32]
    assert Augmentation(**left["augment"]) == Augmentation(zoom=0.3)
    settings = (
        "--set",
        "model=lenet5",
        "--set",
        'augment="none"',
        "--set",
        "augment.zoom=0.1",
        "--epochs",
        "1",
    )
    assert cli("train", shapes, *settings, "--output", "b").code == 0
    left = tomllib.loads((tmp_path / "b" / "recipe.toml").read_text())
    assert left["model"] == "lenet5" and left["pixels"]["mode"] == "L"
    assert left["pixels"]["image_size"] == [32, 32] and Augmentation(**left["augment"]) == Augmentation(
        zoom=0.1
    )


def test_wrong_settings(cli: Cli, shapes: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("epochs = \n")
    (tmp_path / "unknown.toml").write_text("epoch = 3\n")
    (tmp_path / "typed.toml").write_text('epochs = "three"\n')
    wrong = {
        ("--set", "epoch=3"): '--set: there is no setting "epoch". Did you mean "epochs"? Known: ',
        ("--set", "lr=fast"): "--set: `lr` must be a number above 0. Got 'fast'.",
        ("--set", "lr"): '--set needs KEY=VALUE. Got "lr".',
        ("--set", "optimizer=sdg"): '--set: `optimizer` cannot be "sdg". Did you mean "sgd"?',
        ("--set", "augment.zom=0.1"): '--set: augment: there is no setting "zom". Did you mean "zoom"?',
        ("--set", "augment=nots"): '--set: there is no augmentation "nots". Did you mean "notes"?',
        (
            "--set",
            "augment.zoom=-3",
        ): "--set: `zoom` of Augmentation must be a number from 0 to 0.95. Got -3.",
        (
            "--set",
            "loss=binary_cross_entropy",
        ): 'The loss "binary_cross_entropy" is for two classes; there are 4.',
        (
            "--set",
            "loss=map",
        ): 'The loss "map" is for distances to codes, which lenet5_1998 puts out and this resnet18 ',
        ("--set", "label_smoothing=1"): "--set: `label_smoothing` must be a number from 0 to below 1. Got 1.",
        (
            "--set",
            "label_smoothing=0.1",
            "--set",
            "loss=mse",
        ): '`label_smoothing` goes with cross-entropy and not with the loss "mse". Set it to 0. Got 0.1.',
        (
            "--set",
            "normalize=halve",
        ): '--set: `normalize` cannot be "halve". Did you mean "half"? Known: auto, ',
        (
            "--model",
            "inception_v3",
            "--image-size",
            "96",
        ): "Images of 96 × 96 pixels are too small for this network; it needs at least 299 × 299. Without auxiliary ",
        ("--model", "lenet6"): 'There is no network "lenet6". Did you mean "lenet5"?',
        ("--epochs", "0"): "options: `epochs` must be a whole number above 0. Got 0.",
        ("--epochs", "many"): "Invalid value for '--epochs'",
        ("--model", "lenet5", "--image-size", "8"): "Images of 8 × 8 pixels are too small for this network",
        ("--recipe", "bad.toml"): "bad.toml: no valid TOML (Invalid value (at line 1, column 10)).",
        ("--recipe", "unknown.toml"): 'unknown.toml: there is no setting "epoch". Did you mean "epochs"?',
        ("--recipe", "typed.toml"): "typed.toml: `epochs` must be a whole number above 0. Got 'three'.",
        ("--device", "abacus"): 'The device "abacus" is not available here. Try --device cpu.',
    }
    for arguments, text in wrong.items():
        code, out, err = cli("train", shapes, *arguments)
        assert (code, out) == (2, "") and err.startswith(f"Error: {text}") and err.count("\n") == 1, err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.toml", "typed.toml", "unknown.toml"]


def test_starting_from_weights(
    cli: Cli, shapes: Path, tmp_path: Path, trained: Callable[[str], Path]
) -> None:
    """What became of every tensor is printed and kept; the recipe that is left names the file."""
    file = trained("lenet5")
    two = tmp_path / "two"
    for name in ("circle", "star"):
        shutil.copytree(shapes / "train" / name, two / name)
    again = ("train", two, "--model", "lenet5", *TINY, "--weights", file, "--output", "run")
    code, out, err = cli(*again)  # the images that it was trained on
    assert code == 2 and "test images are among those that model.safetensors" in err
    code, out, err = cli(*again, "--set", "contamination=mark")
    assert code == 0 and err == ""
    assert "test: no honest test: 4 of these 4 images were used in training" in out
    lines = out.splitlines()
    first = lines.index("model.safetensors: 8 tensors loaded by Mirada's own names, 0 renamed.")
    assert lines[first + 1] == (
        "  of another size in the file, newly drawn: head.linear.weight, head.linear.bias"
    )
    assert lines[first + 2].startswith("epoch   1")
    left = [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    assert [event["event"] for event in left[:2]] == ["start", "weights"]
    assert tomllib.loads((tmp_path / "run" / "recipe.toml").read_text())["weights"] == str(file)


def test_weights_that_cannot_be_used(
    cli: Cli, shapes: Path, tmp_path: Path, trained: Callable[[str], Path]
) -> None:
    (tmp_path / "page.pth").write_text("<html>not found</html>")
    wrong = {
        "none.pth": (2, "Invalid value for '--weights': File 'none.pth' does not exist."),
        "page.pth": (
            1,
            "page.pth: no checkpoint (its 22 bytes begin like neither PyTorch's nor safetensors'",
        ),
        str(trained("simplecnn")): (
            1,
            f"{trained('simplecnn')}: stem.0.weight is (32, 3, 3, 3) in the file and ",
        ),
    }
    (tmp_path / "r.toml").write_text('weights = "none.pth"\n')
    for setting in (("--set", "weights=none.pth"), ("--recipe", "r.toml"), ("--set", "first_layer=none")):
        code, out, err = cli("train", shapes, "--model", "lenet5", *TINY, *setting, "--output", "run")
        assert (code, out) == (2, "") and "there is no file 'none" in err and err.count("\n") == 1, err
    for file, (expected, text) in wrong.items():
        code, out, err = cli(
            "train", shapes, "--model", "lenet5", *TINY, "--weights", file, "--output", "run"
        )
        assert (code, out) == (expected, "") and err.startswith(f"Error: {text}") and err.count("\n") == 1, (
            err
        )
    assert not (tmp_path / "run").exists()


def test_an_existing_folder_is_left_alone(cli: Cli, shapes: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("precious")
    code, out, err = cli("train", shapes, "--model", "lenet5", *TINY, "--output", "run")
    assert (code, out) == (1, "")
    assert err == "Error: run: exists already; a run is never overwritten. Choose another --output.\n"
    assert [path.read_text() for path in (tmp_path / "run").iterdir()] == ["precious"]


def test_bad_files_are_named(cli: Cli, shapes: Path, tmp_path: Path) -> None:
    shutil.copytree(shapes, tmp_path / "data")
    for number in range(12):
        (tmp_path / "data" / "train" / "star" / f"bad{number:02}.png").write_bytes(b"no image %d" % number)
    code, out, _ = cli("train", "data", "--model", "lenet5", *TINY, "--output", "run")
    assert code == 0
    named = [line for line in out.splitlines() if line.startswith("left out: ")]
    assert len(named) == 11 and named[0].startswith("left out: train/star/bad00.png: not an image")
    assert named[10] == "left out: more, all named in events.jsonl and in the report"
    left = [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    assert sum(event["event"] == "excluded" for event in left) == 12


@pytest.mark.slow
def test_a_loss_that_runs_away(cli: Cli, shapes: Path) -> None:
    code, _, err = cli(
        "train", shapes, "--model", "resnet18", *TINY, "--lr", "1e6", "--output", "run",
        "--set", "optimizer=sgd", "--set", "warmup=0", "--set", "schedule=constant",
    )  # fmt: skip
    assert (
        code == 1 and err.startswith("Error: The loss is no longer a number (epoch ") and err.count("\n") == 1
    )


def test_stopping_early_is_said(cli: Cli, shapes: Path) -> None:
    code, out, _ = cli(
        "train", shapes, "--model", "lenet5", *TINY, "--epochs", "50", "--lr", "1e-9", "--set", "patience=1",
        "--output", "run",
    )  # fmt: skip
    assert code == 0 and "no improvement for `patience` epochs." in out


def interrupted(
    arguments: list[object], cwd: Path, *, when: Callable[[str], bool], number: int = signal.SIGINT
) -> tuple[int, str, str]:
    """A run in a process of its own that gets a signal once a line of its output is the right one."""
    process = subprocess.Popen(
        [sys.executable, "-m", "mirada", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout
        lines = []
        for line in process.stdout:
            lines.append(line)
            if when(line):
                process.send_signal(number)
                break
        out, err = process.communicate(timeout=60)
    return process.returncode, "".join(lines) + out, PROGRESS.sub("", err)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", pytest.param("SIGHUP", marks=pytest.mark.slow)])
def test_interrupted_during_training(name: str, shapes: Path, tmp_path: Path) -> None:
    arguments = ["train", shapes, "--model", "lenet5", *TINY, "--epochs", "100000", "--output", "run"]
    code, out, err = interrupted(
        arguments,
        tmp_path,
        when=lambda line: line.startswith("epoch   1"),
        number=getattr(signal, name),
    )
    assert code == 75 and "Traceback" not in err
    assert err == "Interrupted. What there is: run\nGo on with: mirada train --resume run\n"
    assert out.endswith("run/report.html\n")
    for name in ("model.safetensors", "checkpoints/last.safetensors"):
        load_network(tmp_path / "run" / name)
    assert "interrupted" in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.parametrize(
    "end", ["> /dev/full", "| head -n 1", pytest.param(">&- 2>&-", marks=pytest.mark.slow)]
)
def test_training_goes_on_though_nobody_reads(end: str, shapes: Path, tmp_path: Path) -> None:
    """Its folder is what counts: the disk of its output is full, or `head` has gone, or there is no output."""
    train = f"{sys.executable} -m mirada train {shapes} {' '.join(TINY)} --epochs 1 --model lenet5"
    command = f"set -o pipefail; {train} --output run {end}"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"model.safetensors", "predictions.csv", "report.html"} <= left


def test_names_of_strangers_are_not_obeyed(cli: Cli, shapes: Path, tmp_path: Path) -> None:
    """By any verb: no title is set, no screen cleared, no line forged, no word turned; names need not be UTF-8."""
    strange = ["x\x1b]0;owned\x07\nNo findings: ready to train.", "gpj.\u202eexe", "犬"]
    for name, folder in zip(strange, sorted((shapes / "train").iterdir()), strict=False):
        shutil.copytree(folder, tmp_path / "data" / name)
        for bad in (b"caf\xe9.png", b"a\n\x9b\x1b[2J.png"):
            (tmp_path / "data" / name / os.fsdecode(bad)).write_bytes(b"no image")
    answers = [
        cli("train", "data", "--model", "lenet5", *TINY, "--output", "run"),
        *(
            cli(verb, *words)
            for verb, *words in (
                ["check", "data", "--no-html"],
                ["check", "data", "--json"],
                ["predict", "run/model.safetensors", "data/犬"],
                ["predict", "run/model.safetensors", "data/犬", "--json", "-"],
                ["evaluate", "run/model.safetensors", "data"],
                ["explain", "run/model.safetensors", "data/犬"],
                ["train", "data/no\x1b[2J"],
            )
        ),
    ]
    for code, out, err in answers:
        assert code in (0, 1, 2) and (out or err)
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\ud800-\udfff]", out + err)
        assert "\nNo findings" not in out
    assert {answer.code for answer in answers[:1]} == {0}
    assert "x\\x1b]0;owned\\x07\\nNo findings: ready to train.  " in answers[0].out
    found = json.loads(answers[4].out)
    assert "p:" + strange[0] in found[0] and "data/犬/caf\udce9.png" in {each["path"] for each in found}


def test_a_folder_whose_name_is_not_utf_8(cli: Cli, shapes: Path, tmp_path: Path) -> None:
    data = tmp_path / os.fsdecode(b"caf\xe9")
    shutil.copytree(shapes, data)
    code, out, err = cli("train", data, "--model", "lenet5", *TINY, "--output", data / "run")
    assert (code, err) == (0, "")
    assert out.endswith("caf\\udce9/run/report.html\n") and (data / "run" / "report.html").exists()


PRESS = """
import os, signal, {module} as module
from mirada.cli import main
original, calls = module.{function}, []
def pressing(*arguments, **named):
    calls.append(1)
    if len(calls) == {call}:
        os.kill(os.getpid(), signal.SIGINT)
    return original(*arguments, **named)
module.{function} = pressing
main(["train", *{arguments}])
"""


def pressed(cwd: Path, arguments: list[str], module: str, function: str, call: int) -> tuple[int, str, str]:
    """A run in a process of its own that gets SIGINT at one call of a function."""
    script = PRESS.format(module=module, function=function, call=call, arguments=arguments)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=cwd, capture_output=True, text=True, timeout=120
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, PROGRESS.sub("", done.stderr)


@pytest.mark.slow
def test_interrupted_in_the_first_epoch(shapes: Path, tmp_path: Path) -> None:
    """Nothing is the best yet, but what was learned is kept."""
    arguments = [str(shapes), "--model", "lenet5", *TINY, "--output", "run"]
    code, out, err = pressed(tmp_path, arguments, "mirada.training.loop", "fitting_step", 2)
    assert code == 75 and err == "Interrupted. What there is: run\nGo on with: mirada train --resume run\n"
    assert "best epoch" not in out and out.endswith("run/report.html\n")
    load_network(tmp_path / "run" / "checkpoints" / "last.safetensors")
    assert not (tmp_path / "run" / "model.safetensors").exists()
    assert "interrupted after 0 of 2 epochs" in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.slow
def test_interrupted_while_decoding(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIRADA_CACHE", str(tmp_path / "cache"))
    arguments = [str(shapes), "--model", "lenet5", *TINY, "--output", "run"]
    code, out, err = pressed(tmp_path, arguments, "mirada.data.cache", "_look", 20)
    assert (code, out, err) == (130, "", "\nInterrupted.\n")
    assert not (tmp_path / "run").exists()
    assert not list((tmp_path / "cache").rglob("building-*"))  # what was decoded ahead is there, and whole


# Tables, patients, covariates -----------------------------------------------------------------------------------


@pytest.fixture
def xrays(tmp_path: Path) -> Path:
    """24 grey images, two of each patient, whose age is their brightness, more for the male; and their table."""
    rows = ["file;age (months);male;patient"]
    for number in range(24):
        level = 10 * number
        Image.new("L", (20, 24), level).save(tmp_path / f"{number:02}.png")
        rows.append(f"{number:02}.png;{level / 2 + 20 * (number % 2)};{'FM'[number % 2]};p{number // 2}")
    (tmp_path / "ages.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "ages.csv"


COLUMNS = ("--target", "age", "--group", "patient", "--covariates", "male")
NUMBERS = ("--model", "resnet20", *TINY, "--set", "mode=L", "--set", "loss=huber")


def test_a_table_from_training_to_maps(cli: Cli, xrays: Path) -> None:
    """What was inferred and what is frozen is said; prediction and explanation ask for the covariate."""
    code, out, err = cli("train", xrays, *COLUMNS, *NUMBERS, "--set", "freeze=stem,stage1", "--output", "run")
    assert code == 0 and err == ""
    lines = out.splitlines()
    assert lines[:3] == [
        "image: file", "target: age, 24 numbers from 0 to 135 months → regression", "group: patient, 12 groups",
    ]  # fmt: skip
    assert lines[3].startswith("covariate: male=M|F (") and lines[4].split() == ["train", "val", "test"]
    assert lines[5].split()[0] == "images"  # of numbers there are no classes
    assert "no group divided" in lines[6] and "frozen: stem, stage1, 14,192 parameters" in lines
    model = "run/model.safetensors"
    code, out, err = cli("predict", model, "00.png", "01.png")
    assert (code, out) == (1, "") and err.startswith(
        "Error: The model reads male=M|F as well as each image, and these come "
    )
    code, out, err = cli("predict", model, "00.png", "01.png", "--known", "male=M")
    assert (code, err) == (0, "") and out.splitlines()[1].startswith("00.png  ") and out.count(" months") == 2
    other = cli("predict", model, "00.png", "01.png", "--known", "male=F").out
    assert other != out
    code, out, err = cli("explain", model, "00.png", "--known", "male=M")
    assert code == 0 and "class activation map (exact), adds up to the output within" in out
    assert cli("explain", model, "00.png").code == 1
    wrong = {
        "mal=1": 'The model reads no covariate "mal". Did you mean "male=M|F"? Known: male=M|F.',
        "male": "Invalid value for '--known': expected NAME=VALUE, such as male=1. Got \"male\".",
        "male=": "Invalid value for '--known': expected NAME=VALUE, such as male=1. Got \"male=\".",
    }
    for known, text in wrong.items():
        assert cli("predict", model, "00.png", "--known", known) == (2, "", f"Error: {text}\n")


def test_the_command_that_is_left_repeats_the_run(cli: Cli, xrays: Path, tmp_path: Path) -> None:
    """With the columns, which are no part of a recipe."""
    assert cli("train", xrays, *COLUMNS, *NUMBERS, "--output", "run").code == 0
    command = json.loads((tmp_path / "run" / "environment.json").read_text())["command"]
    verb = shlex.split(command)[1:]
    assert cli(*verb, "--output", "again").code == 0
    one, other = (
        load_network(tmp_path / name / "model.safetensors")[0].state_dict() for name in ("run", "again")
    )
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_several_numbers(cli: Cli, xrays: Path) -> None:
    table = xrays.read_text().splitlines()
    xrays.write_text(
        "\n".join([table[0] + ";size", *(f"{row};{n % 7}" for n, row in enumerate(table[1:]))]) + "\n"
    )
    arguments = ("--target", "age,size", "--model", "lenet5", *TINY, "--output", "run")
    code, out, err = cli("train", xrays, *arguments)
    assert code == 0 and err == "", err
    test = out.splitlines()[-2]
    assert (
        test.startswith("test, ")
        and all(f" {name}:" in test for name in ("mae", "r2"))
        and "bias" not in test
    )
    code, out, _ = cli("predict", "run/model.safetensors", "00.png")
    assert code == 0 and "age" in out.splitlines()[0] and "size" in out.splitlines()[0]
    code, out, _ = cli("explain", "run/model.safetensors", "00.png", "--class", "size")
    assert code == 0 and "what raises the size" in out


def test_what_does_not_go_with_a_number(cli: Cli, xrays: Path, tmp_path: Path) -> None:
    before = sorted(path.name for path in tmp_path.iterdir())
    wrong = {
        "sampling=balanced": '`sampling` = "balanced" is for classes, and the target is a number. Leave it out.',
        "class_weights=balanced": '`class_weights` = "balanced" is for classes, and the target is a number.',
        "freeze=stm": 'freeze: the network has no part "stm". Did you mean "stem"? Known: ',
        "freeze=3": '--set: `freeze` must be a list of names, such as ["stem"]. Got 3.',
        "loss=hubert": '--set: `loss` cannot be "hubert". Did you mean "huber"?',
        "depth=12": '--set: `depth` cannot be "12". Did you mean "16"? Known: 16, 8.',
        "window=wide": '`window` must be "auto", "full", "file", two percentiles',
        "decay=-1": '--set: cosine takes no `decay`. Leave it out, or choose schedule = "time". Got -1.',
    }
    for setting, text in wrong.items():
        code, out, err = cli("train", xrays, *COLUMNS, *NUMBERS, "--set", setting)
        assert (code, out) == (2, "") and err.startswith(f"Error: {text}") and err.count("\n") == 1, err
    code, out, err = cli("train", xrays, *COLUMNS, *NUMBERS, "--set", "first_layer=none.pth")
    assert (code, out, err) == (2, "", "Error: first_layer: there is no file 'none.pth'.\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_folds(cli: Cli, shapes: Path, tmp_path: Path) -> None:
    """Cross-validation: a folder of runs, one report; a data set with a test split is told what to do."""
    code, out, err = cli(
        "train", shapes / "train", "--model", "lenet5", *TINY, "--folds", "2", "--output", "run"
    )
    assert code == 0 and err == ""
    lines = out.splitlines()
    assert "fold 1 of 2" in lines and "fold 2 of 2" in lines
    assert lines[-2].startswith("test, 48 images: accuracy ") and lines[-1] == str(
        Path("run") / "report.html"
    )
    folders = {path.name for path in (tmp_path / "run").iterdir() if path.is_dir()}
    assert folders == {"figures", "fold-1", "fold-2", "tables"}
    code, out, err = cli("train", shapes, *TINY, "--folds", "2", "--output", "other")
    assert code != 0 and "has 12 test images of its own" in err and not (tmp_path / "other").exists()
    assert cli("train", shapes, *TINY, "--folds", "1").code == 2


@pytest.mark.parametrize(
    ("network", "images", "said"),
    [("resnet18", 400, True), ("resnet18", 5000, False), ("lenet5", 400, False), ("", 400, False)],
)
def test_few_images_and_random_weights(network: str, images: int, said: bool) -> None:
    """A newcomer hears of public weights where the network has any."""
    advice = advice_on(network, images)
    assert bool(advice) == said
    assert not said or "--weights resnet18; mirada weights list resnet18 " in advice
