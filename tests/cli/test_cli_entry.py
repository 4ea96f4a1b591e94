"""The door: help without torch, wrong verbs, exit codes, readers that go away."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from PIL import Image

from mirada.cli import VERBS, main, run
from mirada.explain.methods import METHODS

Cli = Callable[..., Any]

LIGHT = """
import sys
from mirada.cli import run
code = run(sys.argv[1:])
heavy = [name for name in ("torch", "numpy", "PIL", "rich", "sklearn") if name in sys.modules]
assert not heavy, heavy
sys.exit(code)
"""


WITHOUT_COMPILER = """
import sys
from mirada.cli import run
code = run(sys.argv[1:])
assert "torch" in sys.modules
heavy = [name for name in ("torch._dynamo", "torch.fx.experimental.symbolic_shapes", "sympy") if name in sys.modules]
assert not heavy, heavy
sys.exit(code)
"""


def slow_each(*values: str) -> list[Any]:
    """Variants of what another one tests in every run of the tests."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


@pytest.mark.parametrize("model", ["resnet20", *slow_each("simplecnn", "lenet5")])
def test_training_does_not_import_torchs_compiler(model: str, shapes: Path, shell: Cli) -> None:
    """It takes longer than all else that has to be imported."""
    answer = shell(
        "train", shapes, "--model", model, "--epochs", "1", "--device", "cpu", prefix=("-c", WITHOUT_COMPILER)
    )
    assert answer.code == 0, answer.err


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["models"], ["sumary"], []], ids=" ".join)
def test_light_commands_import_nothing_heavy(arguments: list[str], shell: Cli) -> None:
    code = shell(*arguments, prefix=("-c", LIGHT)).code
    assert code == (0 if arguments and arguments[0] != "sumary" else 2)


def test_help_of_every_verb_is_light(shell: Cli) -> None:
    every = "import sys\nfrom mirada.cli import run\n" + "".join(
        f"assert run(['{verb}', '--help']) == 0\n" for verb in VERBS
    )
    check = "assert not {'torch', 'numpy', 'PIL', 'rich', 'sklearn'} & sys.modules.keys()\n"
    code, out, err = shell(prefix=("-c", every + check))
    assert code == 0, err
    assert out.count("Usage: mirada ") == len(VERBS)


def test_help(cli: Cli) -> None:
    answer = cli("--help")
    assert answer.code == 0 and answer.err == ""
    assert all(re.search(rf"^  {verb} ", answer.out, re.MULTILINE) for verb in VERBS)
    assert "VERB" in answer.out and "COMMAND" not in answer.out
    assert cli("-h").out == answer.out
    nothing = cli()
    assert nothing.code == 2 and nothing.out == "" and "Usage: mirada" in nothing.err


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb(verb: str, cli: Cli) -> None:
    answer = cli(verb, "--help")
    assert answer.code == 0 and answer.out.startswith(f"Usage: mirada {verb} ")
    assert max(map(len, answer.out.splitlines())) <= 80


def test_version(cli: Cli) -> None:
    assert re.fullmatch(r"mirada \d+\.\d+\.\d+\n", cli("--version").out)


@pytest.mark.parametrize(
    ("said", "meant"), [("resume", "train"), ("fit", "train"), ("test", "evaluate"), ("infer", "predict")]
)
def test_a_verb_by_what_others_call_it(said: str, meant: str, cli: Cli) -> None:
    code, out, err = cli(said, "data")
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert err.startswith(f'Error: There is no verb "{said}". Did you mean "{meant}"? Known: cache, ')


def test_wrong_use_is_one_sentence(cli: Cli) -> None:
    answer = cli("trian", "data")
    assert answer.code == 2 and answer.out == ""
    assert answer.err == (
        'Error: There is no verb "trian". Did you mean "train"? Known: cache, cancel, check, compare, '
        "degradation, evaluate, explain, learn, models, plan, predict, rate, recipes, report, runs, sample, settings, "
        "submit, summary, surgery, train, units, weights.\n"
    )
    for wrong in (
        ["train"],
        ["train", "absent"],
        ["predict", "--frobnicate"],
        ["summary", "lenet5", "--classes", "0"],
    ):
        answer = cli(*wrong)
        assert answer.code == 2 and answer.out == "" and answer.err.startswith("Error: "), wrong
        assert answer.err.count("\n") == 1, answer.err


def test_debug_shows_the_traceback_and_keeps_the_exit_code(shell: Cli) -> None:
    for arguments, code in ((["summary", "lenet6", "--debug"], 2), (["--debug", "check", "/dev/null"], 1)):
        found, _, err = shell(*arguments)
        assert found == code
        assert "Traceback" in err and err.splitlines()[-1].startswith("Error: ")


def test_the_systems_errors_are_one_sentence(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    answer = cli("check", tmp_path / "a.png")
    assert answer == (
        1,
        "",
        f"Error: {tmp_path / 'a.png'}: expected a folder of images, a table (.csv, .tsv, .txt), or an IDX "
        f"or .npz file; found a .png file there.\n",
    )


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (OSError(28, "No space left on device", "out.csv"), 1, "Error: out.csv: no space left on device.\n"),
        (OSError("odd"), 1, "Error: odd\n"),
        (KeyboardInterrupt(), 130, "\nInterrupted.\n"),
        (click.UsageError("So not."), 2, "Error: So not.\n"),
        (click.UsageError("no\x1b[2J\nfindings"), 2, "Error: no\\x1b[2J\\nfindings\n"),
        (SystemExit(3), 3, ""),
        (SystemExit(), 0, ""),
        (SystemExit("a text"), 1, ""),
    ],
)
def test_exit_codes(
    error: BaseException, code: int, text: str, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(pattern: str) -> None:
        raise error

    monkeypatch.setattr("mirada.cli.models.list_models", fail)
    assert cli("models") == (code, "", text)


def test_ctrl_c_before_a_verb_begins(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def press(environment: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mirada.cli.spin_briefly", press)
    with pytest.raises(SystemExit) as caught:
        main(["models"])
    assert caught.value.code == 130 and capsys.readouterr() == ("", "Interrupted.\n")


def test_main_exits_with_the_code() -> None:
    with pytest.raises(SystemExit) as caught:
        main(["no-such-verb"])
    assert caught.value.code == 2


def test_python_m_mirada(shell: Cli) -> None:
    code, out, err = shell("models", "le*")
    assert code == 0 and err == "" and "lenet5" in out


@pytest.mark.parametrize("lines", [1, 20_000])
def test_a_reader_that_goes_away(lines: int, shell: Cli) -> None:
    """Little output meets the closed pipe when it is flushed, much of it while it is printed; both end quietly."""
    script = (
        "import mirada.cli.models as models\nfrom mirada.cli import main\n"
        f"models._with_source_left = lambda *_: ['x' * 80] * {lines}\nmain(['models'])"
    )
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert shell(prefix=("-c", script), stdout=writer) == (0, "", "")
    finally:
        os.close(writer)


def test_an_output_that_is_full_is_said(shell: Cli) -> None:
    with Path("/dev/full").open("w") as full:
        answer = shell("models", stdout=full.fileno())
    assert answer == (1, "", "Error: standard output: no space left on device.\n")


@pytest.mark.parametrize("closed", ["<&- >&- 2>&-", *slow_each(">&-", ">&- 2>&-")])
def test_closed_outputs_lead_nowhere(closed: str, tmp_path: Path) -> None:
    """Also not into the file that is opened next, whose number would be theirs."""
    command = f"{sys.executable} -m mirada summary lenet5 --diagram drawn.svg {closed}"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    drawn = (tmp_path / "drawn.svg").read_text(encoding="utf-8")
    assert drawn.startswith("<svg") and "drawn.svg" not in drawn


ENDING = """
import signal, sys
from mirada.cli import main
import mirada.cli.models as models
signal.signal(signal.SIGINT, signal.{interrupt})
signal.signal(signal.SIGHUP, signal.{hangup})
models.list_models = lambda pattern: signal.raise_signal(signal.{number}) or []
main(["models"])
"""


@pytest.mark.parametrize(
    ("number", "interrupt", "hangup", "code"),
    [
        ("SIGTERM", "default_int_handler", "SIG_DFL", 130),
        ("SIGHUP", "default_int_handler", "SIG_DFL", 130),
        ("SIGTERM", "SIG_IGN", "SIG_DFL", 130),  # a command in the background of a script
        ("SIGHUP", "default_int_handler", "SIG_IGN", 1),  # nohup: it goes on, and finds no network
    ],
)
def test_the_signals_that_end_a_session(
    number: str, interrupt: str, hangup: str, code: int, shell: Cli
) -> None:
    script = ENDING.format(number=number, interrupt=interrupt, hangup=hangup)
    answer = shell(prefix=("-c", script))
    assert answer.code == code
    assert answer.err.endswith("Interrupted.\n") == (code == 130)


def test_run_returns_what_the_verb_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "nothing*"]) == 1
    assert capsys.readouterr().err == 'No network matches "nothing*". mirada models lists them all.\n'


# Threads that wait -------------------------------------------------------------------------------------------

POLICY = """
import os, sys
for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
    os.environ.pop(name, None)
os.environ.update({given!r})
class Look:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
            print({{name: os.environ.get(name) for name in names}}, flush=True)
            os._exit(0)  # what comes then is the same for all
sys.meta_path.insert(0, Look())
{act}
"""
RUN = "from mirada.cli import main; main(['summary', 'lenet5'])"


@pytest.mark.parametrize(
    ("act", "given", "found"),
    [
        (RUN, {}, (None, "10000", "1")),
        (RUN, {"OMP_WAIT_POLICY": "active"}, ("active", None, None)),
        (RUN, {"GOMP_SPINCOUNT": "5"}, (None, "5", None)),
        ("import mirada; mirada.create_model('lenet5')", {}, (None, None, None)),
    ],
)
def test_waiting_is_settled_before_torch_is_loaded_and_only_by_the_command_line(
    act: str, given: dict[str, str], found: tuple[str | None, ...], shell: Cli
) -> None:
    """Unless the user has said how threads are to wait; the user of the library is left alone."""
    out = shell(prefix=("-c", POLICY.format(given=given, act=act))).out
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
    assert out.startswith(str(dict(zip(names, found, strict=True))))


EARLY = """
import builtins, sys
from mirada.__main__ import start
load = builtins.__import__
def press(name, *arguments, **named):
    if name == "mirada.cli":
        raise KeyboardInterrupt
    return load(name, *arguments, **named)
builtins.__import__ = press
start()
"""


def test_ctrl_c_while_the_verbs_are_loaded(shell: Cli) -> None:
    assert shell(prefix=("-c", EARLY)) == (130, "", "Interrupted.\n")


def test_help_of_explain_names_every_method(cli: Cli) -> None:
    text = cli("explain", "--help").out
    assert all(key in text for key in METHODS)


def test_a_working_folder_that_was_removed_is_said(tmp_path: Path) -> None:
    """Torch's library of mathematics would end the process with a word of its own."""
    command = f"mkdir gone && cd gone && rmdir ../gone && {sys.executable} -m mirada models"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: the working folder has been removed. Change to another one: cd\n"


@pytest.mark.parametrize("printed", ["latin-1", None])
def test_names_of_any_script_are_read_in_any_locale(printed: str | None, tmp_path: Path) -> None:
    for name in ("кот", "犬"):
        (tmp_path / "data" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "data" / name / f"{name}é.png")
    environment = {key: value for key, value in os.environ.items() if key not in ("LANG", "PYTHONIOENCODING")}
    environment |= {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    environment |= {"PYTHONIOENCODING": printed} if printed else {}
    command = [sys.executable, "-m", "mirada", "check", "data"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    shown = ["кот", "犬"] if printed is None else [r"\u043a\u043e\u0442", r"\u72ac"]
    assert done.returncode == 1 and done.stderr == b""  # 1: there are findings in two images
    assert all(name in done.stdout.decode(printed or "utf-8") for name in shown)
