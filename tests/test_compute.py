"""Where tensors are computed: what is chosen, what is refused, and what is put back."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from mirada import compute
from mirada.compute import Compute, choose, deterministic, processor_name, processor_vendor
from mirada.errors import InvalidArgument

CPU = torch.device("cpu")


def test_auto_is_the_best_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for cuda, mps, expected in ((True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda mps=mps: mps)
        assert choose(precision="float32").device.type == expected


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_what_is_named_is_chosen(precision: str) -> None:
    assert choose("cpu", precision) == Compute(CPU, precision)


@pytest.mark.parametrize("name", ["cuda:99", "gpu", "", "cpu:x", "meta"])
def test_a_device_that_is_not_there(name: str) -> None:
    text = rf'^The device "{name}" is not available here\. Try --device cpu\.$'
    with pytest.raises(InvalidArgument, match=text):
        choose(name)


def test_memory_is_that_of_the_machine_or_of_its_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    total = int(Path("/proc/meminfo").read_text().split("MemTotal:")[1].split()[0]) * 1024
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(compute, "CONTAINER_LIMITS", (str(limit), str(tmp_path / "none")))
    assert compute.machine_memory() == total == choose("cpu").memory()
    limit.write_text("max\n")
    assert compute.machine_memory() == total
    limit.write_text("1000000\n")
    assert compute.machine_memory() == 1_000_000 == choose("cpu").memory()
    assert Compute(torch.device("mps"), "float32").memory() is None


def test_an_unknown_precision() -> None:
    with pytest.raises(InvalidArgument) as error:
        choose("cpu", "float16")
    assert str(error.value) == '`precision` must be auto, bfloat16, float32. Got "float16".'


def pretend(monkeypatch: pytest.MonkeyPatch, *, bf16: bool, amx: bool, vendor: str) -> None:
    """To be on a processor of some kind."""
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: bf16, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    monkeypatch.setattr(compute, "processor_vendor", lambda: vendor)


@pytest.mark.parametrize(
    ("bf16", "amx", "vendor", "expected"),
    [
        (False, False, "GenuineIntel", "float32"),
        (True, False, "GenuineIntel", "float32"),  # AVX512-BF16 alone is slower than float32
        (True, True, "GenuineIntel", "bfloat16"),
        (True, False, "AuthenticAMD", "bfloat16"),
        (False, False, "AuthenticAMD", "float32"),
    ],
)
def test_bfloat16_where_the_processor_is_fast_at_it(
    monkeypatch: pytest.MonkeyPatch, bf16: bool, amx: bool, vendor: str, expected: str
) -> None:
    pretend(monkeypatch, bf16=bf16, amx=amx, vendor=vendor)
    assert choose("cpu").precision == expected


def test_float32_where_torch_comes_without_its_cpu_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Apple's processors, whose torch has no operators named mkldnn."""
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    monkeypatch.setattr(torch.ops, "mkldnn", object())
    assert choose("cpu").precision == "float32"


@pytest.mark.parametrize(
    ("capability", "expected"), [((7, 5), "float32"), ((8, 0), "bfloat16"), ((9, 0), "bfloat16")]
)
def test_bfloat16_on_nvidia_since_ampere(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert choose().precision == expected


def test_float32_on_apple(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose().precision == "float32"


@pytest.mark.parametrize(("precision", "dtype"), [("bfloat16", torch.bfloat16), ("float32", torch.float32)])
def test_autocast(precision: str, dtype: torch.dtype) -> None:
    """Products in the precision, weights in float32, and nothing left behind."""
    layer = nn.Linear(3, 2)
    with choose("cpu", precision).autocast():
        assert layer(torch.ones(1, 3)).dtype == dtype
    assert layer(torch.ones(1, 3)).dtype == layer.weight.dtype == torch.float32


def test_place_and_to_device() -> None:
    layer = nn.Conv2d(3, 4, 3)
    chosen = choose("cpu", "float32")
    assert chosen.place(layer) is layer
    assert layer.weight.is_contiguous(memory_format=torch.channels_last)
    images = torch.arange(0, 256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert torch.equal(chosen.to_device(images), images)


def test_it_says_what_it_is() -> None:
    assert str(Compute(CPU, "float32")) == "cpu in float32"
    assert str(Compute(torch.device("cuda", 1), "bfloat16")) == "cuda:1 in bfloat16"


def cudnn() -> tuple[bool, bool]:
    return torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark


@pytest.mark.parametrize("before", [(False, True), (True, False), (False, False)])
def test_steady_puts_everything_back(monkeypatch: pytest.MonkeyPatch, before: tuple[bool, bool]) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", before[0])
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", before[1])
    with deterministic():
        assert cudnn() == (True, False)
    assert cudnn() == before
    with pytest.raises(ZeroDivisionError), deterministic():
        _ = 1 / 0
    assert cudnn() == before


DENORMAL = """
import torch
from mirada.compute import flush_denormals
torch.set_num_threads(2)
flush_denormals()
print(torch.full((2**20,), 1e-30).mul(1e-10).count_nonzero().item())
"""


def test_denormals_are_flushed_in_all_threads() -> None:
    told = subprocess.run([sys.executable, "-c", DENORMAL], capture_output=True, text=True, check=True).stdout
    assert told == "0\n"


CPUINFO = "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: EPYC: the 9th\n\nprocessor\t: 1\n"


def test_the_processor_in_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda self, encoding: CPUINFO)
    assert processor_vendor() == "AuthenticAMD"
    assert processor_name() == "EPYC: the 9th"


def test_the_processor_as_the_system_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no /proc/cpuinfo: Windows, then a system that tells nothing but its architecture."""

    def missing(self: Path, encoding: str) -> str:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(Path, "read_text", missing)
    windows = "Intel64 Family 6 Model 143 Stepping 8, GenuineIntel"
    monkeypatch.setattr(platform, "processor", lambda: windows)
    assert (processor_vendor(), processor_name()) == ("GenuineIntel", windows)
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    assert (processor_vendor(), processor_name()) == ("", "arm64")
