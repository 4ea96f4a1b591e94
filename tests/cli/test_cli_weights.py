"""``mirada weights`` on the command line: what it prints, and how it ends."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MIRADA_WEIGHTS", str(tmp_path / "store"))
    monkeypatch.delenv("MIRADA_WEIGHTS_MIRROR", raising=False)
    return tmp_path / "store"


def test_listing(cli: Cli) -> None:
    code, out, err = cli("weights", "list")
    assert (code, err) == (0, "") and out.count("\n") > 50
    code, out, _ = cli("weights", "list", "resnet18")
    first = out.splitlines()[1]
    assert first.split()[0] == "resnet18.tv_in1k" and "BSD-3-Clause" in first and "69.8 %" in first
    code, out, _ = cli("weights", "list", "resnet50", "--json")
    row = json.loads(out)[0]
    assert row["files"][0]["sha256"].startswith("0676ba61") and row["here"] is False
    assert row["scale"]["mean"] == [0.485, 0.456, 0.406]
    code, out, err = cli("weights", "list", "alexnet_bn")
    assert code == 2 and "nearest network that has is alexnet_owt" in err
    code, out, err = cli("weights", "list", "vgg*")
    assert code == 0 and {line.split(".")[0] for line in out.splitlines()[1:]} == {
        f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn")
    }


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("get", "resnet19.tv_in1k"), 'Did you mean "resnet1'),
        (("get", "overfeat_fast"), "overfeat_fast has no public weights; the nearest network that has is "),
        (("get", "vgg16.features_in1k"), "No address of vgg16.features_in1k is known. Bring in a copy: "),
        (("get", "resnet18", "--mirror", "nowhere"), "nowhere: has no resnet18-f37072fd.pth or "),
        (("add", "unknown.pth"), "unknown.pth: no public weights that Mirada knows have its digest"),
        (("add", "resnet18-f37072fd.pth"), "resnet18-f37072fd.pth: truncated: 3 of 46,830,571 bytes; "),
        (("remove", "resnet18"), "resnet18 is not in "),
        (("verify", "nothing"), "nothing is not in "),
    ],
)
def test_wrong_use_is_one_sentence(
    arguments: tuple[str, ...], sentence: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("unknown.pth", "resnet18-f37072fd.pth"):
        Path(name).write_bytes(b"abc")
    code, out, err = cli("weights", *arguments)
    assert ((code, out) == (2, "") and err.startswith(f"Error: {sentence}")) or sentence in err
    assert code == 2 and err.count("\n") == 1
    assert not list(tmp_path.glob("store/*"))


def test_bringing_in_verifying_and_taking_away(cli: Cli, shared_data: Path, own_store: Path) -> None:
    file = shared_data / "cifar10" / "resnet20-12fca82f.th"
    name = "resnet20.idelbayev_cifar10"
    assert cli("weights", "add", file) == (0, f"{name}: resnet20-12fca82f.th\n", "")
    assert cli("weights", "add", file) == (0, f"{name}: resnet20-12fca82f.th (was there)\n", "")
    code, out, _ = cli("weights", "get", name, "--mirror", shared_data / "cifar10")
    assert code == 0 and out == f"{own_store / name}.safetensors (was there)\n"
    code, out, _ = cli("weights", "list", "resnet20")
    assert out.splitlines()[1].split()[:4] == [name, "CIFAR-10", "BSD-2-Clause", "yes"]
    assert cli("weights", "verify") == (0, f"{name}: as it was\n", "")
    code, out, _ = cli("weights", "where", "--json")
    assert json.loads(out)["sets"] == 1 and json.loads(out)["folder"] == str(own_store)
    kept = own_store / f"{name}.safetensors"
    kept.write_bytes(kept.read_bytes()[:-1])
    code, out, _ = cli("weights", "verify", "resnet20")
    assert code == 1 and out.startswith(f"{kept}: truncated; it has ")
    code, out, _ = cli("weights", "verify", "--json")
    assert code == 1 and "truncated" in json.loads(out)["faults"][name]
    assert cli("weights", "remove", "resnet20-12fca82f.th") == (0, f"removed: {name}\n", "")
    assert list(own_store.iterdir()) == []


def test_a_folder(cli: Cli, shared_data: Path, tmp_path: Path) -> None:
    code, out, _ = cli("weights", "add", shared_data / "broken-checkpoints")
    assert code == 1 and out.count("left out: ") == 2 and "truncated: 579,901 of 46,830,571 bytes" in out
    code, out, err = cli("weights", "add", shared_data / "cifar10")
    assert (code, err) == (0, "") and out.endswith("2 sets of weights, 0 files left out\n")
