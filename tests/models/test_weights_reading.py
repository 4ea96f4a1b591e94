"""Reading public checkpoints: what is taken off, and what is refused, in which words."""

import os
import pickle
import re
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from mirada.errors import CheckpointError
from mirada.models.weight_files import read_public


def tensors() -> dict[str, Tensor]:
    draws = torch.Generator().manual_seed(0)
    found = {f"features.{number}.weight": torch.randn(4, 5, generator=draws) for number in range(9)}
    return {**found, "features.9.num_batches_tracked": torch.tensor(7)}


def saved(folder: Path, contents: object, name: str = "weights.pth", *, zipped: bool = True) -> Path:
    torch.save(contents, folder / name, _use_new_zipfile_serialization=zipped)
    return folder / name


def refusal(path: Path) -> str:
    """The message, without the file's name, with which a file is refused."""
    with pytest.raises(CheckpointError) as caught:
        read_public(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert torch.equal(found[key], value), key


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_wrappers_and_prefixes_are_taken_off(
    tmp_path: Path, zipped: bool, wrapper: str | None, prefix: str
) -> None:
    prefixed = {prefix + key: value for key, value in tensors().items()}
    contents = {"epoch": 3, "best": 0.5, wrapper: prefixed} if wrapper else prefixed
    assert_equal(read_public(saved(tmp_path, contents, "weights.th", zipped=zipped)), tensors())


def test_a_prefix_of_some_keys_only_is_part_of_their_names(tmp_path: Path) -> None:
    contents = {"module.a": torch.zeros(1), "b": torch.zeros(1)}
    assert read_public(saved(tmp_path, contents)).keys() == contents.keys()


def test_safetensors(tmp_path: Path) -> None:
    save_file({f"module.{key}": value for key, value in tensors().items()}, tmp_path / "weights.safetensors")
    assert_equal(read_public(str(tmp_path / "weights.safetensors")), tensors())


def test_the_content_says_the_format_not_the_suffix(tmp_path: Path) -> None:
    save_file(tensors(), tmp_path / "weights.pth")
    assert_equal(read_public(tmp_path / "weights.pth"), tensors())


@pytest.mark.parametrize("name", ["resnet20-12fca82f.th", "resnet32-d509ac18.th"])
def test_really_trained_files(shared_data: Path, name: str) -> None:
    """ResNet-20 has 20 weighted layers; its shortcuts have none."""
    found = read_public(shared_data / "cifar10" / name)
    weighted = [key for key, value in found.items() if key.endswith("weight") and value.dim() > 1]
    assert len(weighted) == int(name[6:8])
    assert found["conv1.weight"].shape == (16, 3, 3, 3)
    assert found["linear.weight"].shape == (10, 64)


class Gadget:
    """What runs a command when a careless reader opens it."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("wrap", [False, True])
def test_code_in_a_pickle_is_refused_and_does_not_run(tmp_path: Path, zipped: bool, wrap: bool) -> None:
    contents = {**tensors(), "gadget": Gadget(tmp_path / "ran")}
    path = saved(tmp_path, {"state_dict": contents} if wrap else contents, zipped=zipped)
    message = refusal(path)
    assert "mkdir), which could run code when opened; only tensors are read. Save the state_dict" in message
    assert not (tmp_path / "ran").exists()


def test_a_bare_pickle_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(pickle.dumps(Gadget(tmp_path / "ran")))
    assert re.match(
        r"no checkpoint \(its \d+ bytes begin like neither PyTorch's nor safetensors'", refusal(path)
    )
    assert not (tmp_path / "ran").exists()


def test_a_whole_module_is_refused(tmp_path: Path) -> None:
    assert "holds Python objects (torch.nn.modules" in refusal(saved(tmp_path, nn.Linear(2, 2)))
    best = {"state_dict": tensors(), "best": np.float64(0.5)}
    assert "holds Python objects (numpy" in refusal(saved(tmp_path, best))


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ({}, "holds an empty dictionary, and no tensors by name."),
        ({"state_dict": {}}, "holds an empty dictionary, and no tensors by name."),
        (torch.zeros(2), "holds a value of type Tensor, and no tensors by name."),
        (
            {"a": torch.zeros(2), "epoch": 3},
            "its entry 'epoch' is a value of type int, not a tensor by name. Save",
        ),
        (
            {1: torch.zeros(2)},
            "its entry 1 is a value of type Tensor, not a tensor by name. Save the state_dict",
        ),
        (
            {"a": torch.zeros(2, dtype=torch.complex64)},
            "its tensor a is not a plain one (torch.complex64, torch.strided).",
        ),
        (
            {"a": torch.eye(2).to_sparse()},
            "its tensor a is not a plain one (torch.float32, torch.sparse_coo).",
        ),
    ],
)
def test_anything_but_tensors_by_name_is_refused(tmp_path: Path, contents: object, message: str) -> None:
    assert refusal(saved(tmp_path, contents)).startswith(message)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_truncated_file_is_never_read(tmp_path: Path, zipped: bool) -> None:
    """Cut anywhere, and the message says where."""
    path = saved(tmp_path, tensors(), zipped=zipped)
    whole = path.read_bytes()
    fault = "truncated after {:,} bytes" if zipped else "truncated or damaged ({:,} bytes)"
    for size in [*range(16, 24), *range(24, len(whole), 97), len(whole) - 1]:
        path.write_bytes(whole[:size])
        assert refusal(path) == f"{fault.format(size)}. Use another copy."


def test_a_truncated_safetensors_file_is_never_read(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(tensors(), path)
    whole = path.read_bytes()
    for size in range(9, len(whole), 97):
        path.write_bytes(whole[:size])
        assert refusal(path) == f"truncated or damaged ({size:,} bytes). Use another copy."


def test_an_altered_zip_file_is_never_read(tmp_path: Path) -> None:
    """Of a change in the weights PyTorch itself would notice nothing."""
    path = saved(tmp_path, {"a": torch.full((4096,), 0.5)})
    whole = path.read_bytes()
    values = bytearray(whole)
    values[whole.index(b"\x00\x00\x00\x3f" * 8) + 40] ^= 1
    path.write_bytes(values)
    assert refusal(path) == "damaged (the checksum of weights/data/0 in it is wrong). Use another copy."
    path.write_bytes(whole.replace(b"PK\x01\x02", b"PK\x01\x00"))  # in the directory
    assert refusal(path) == f"truncated or damaged ({len(whole):,} bytes). Use another copy."


def test_a_zip_file_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("letter.txt", "hello")
    size = path.stat().st_size
    assert refusal(path) == (
        f"damaged, or not a checkpoint of tensors alone ({size:,} bytes). Use another copy, or save the "
        "state_dict alone."
    )


def test_an_altered_pickle_is_never_read(tmp_path: Path) -> None:
    path = saved(tmp_path, tensors(), zipped=False)
    path.write_bytes(path.read_bytes().replace(b"features.0.weight", b"features.0.weigh\xff"))
    assert refusal(path).startswith("truncated or damaged (")


def test_files_that_are_no_checkpoints(tmp_path: Path) -> None:
    page, empty = tmp_path / "page.pth", tmp_path / "empty.pth"
    page.write_text("<html>not found</html>")
    empty.write_bytes(b"")
    assert refusal(page).startswith("no checkpoint (its 22 bytes begin like neither PyTorch's nor")
    assert refusal(empty).startswith("no checkpoint (its 0 bytes begin like neither PyTorch's nor")
    assert refusal(tmp_path / "absent.pth") == "the checkpoint cannot be read (no such file or directory)."
    assert refusal(tmp_path) == "the checkpoint cannot be read (is a directory)."


def test_tar_files_of_early_pytorch(tmp_path: Path) -> None:
    (tmp_path / "tensors").write_bytes(bytes(5000))
    path = tmp_path / "weights.pth"
    with tarfile.open(path, "w") as archive:
        archive.add(tmp_path / "tensors", "tensors")
    assert refusal(path).startswith(
        "a tar file as PyTorch 0.1 wrote it, which cannot be read without running"
    )
    path.write_bytes(path.read_bytes()[:3000])
    assert refusal(path) == "truncated after 3,000 bytes. Use another copy."


@pytest.mark.parametrize(
    ("name", "size"), [("resnet18-5c106cde.pth", "1,048,576"), ("resnet18-f37072fd.pth", "579,901")]
)
def test_really_broken_downloads(shared_data: Path, name: str, size: str) -> None:
    path = shared_data / "broken-checkpoints" / name
    assert refusal(path) == f"truncated after {size} bytes. Use another copy."


def zipped(path: Path, members: dict[str, bytes], how: int) -> Path:
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_a_zip_bomb_is_refused_by_what_it_declares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = zipped(tmp_path / "bomb.pth", {"archive/data/0": bytes(50_000_000)}, zipfile.ZIP_DEFLATED)
    monkeypatch.setattr(zipfile.ZipFile, "testzip", None)  # it is not unpacked to see
    assert re.fullmatch(
        r"its [\d,]+ bytes would unpack to 50,000,000, which weights do not. Use another copy\.",
        refusal(bomb),
    )


def test_members_that_overlap_are_refused(tmp_path: Path) -> None:
    """A directory that names the same bytes many times."""
    path = saved(tmp_path, {"a": torch.zeros(10_000)})
    with zipfile.ZipFile(path, "a") as archive:
        whole = archive.infolist()
        for number in range(4):
            copy = zipfile.ZipInfo(f"more{number}")
            member = next(each for each in whole if each.filename.endswith("data/0"))
            for name in ("header_offset", "CRC", "compress_size", "file_size", "compress_type"):
                setattr(copy, name, getattr(member, name))
            archive.filelist.append(copy)
            archive.NameToInfo[copy.filename] = copy
        archive._didModify = True
    assert "which weights do not" in refusal(path)


def test_weights_that_were_packed_once_more_are_read(tmp_path: Path) -> None:
    path = saved(tmp_path, tensors())
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    assert_equal(read_public(zipped(tmp_path / "packed.pth", members, zipfile.ZIP_DEFLATED)), tensors())


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("shape", [(4, 5), (10**6, 10**6)])
def test_a_tensor_that_pretends_to_be_larger_than_its_bytes(
    tmp_path: Path, shape: tuple[int, int], zipped: bool
) -> None:
    path = saved(tmp_path, {"a": torch.zeros(1).expand(shape)}, zipped=zipped)
    assert refusal(path) == (
        f"its tensor a says it is {shape}, and the file holds 4 bytes for it. Use another copy."
    )


def test_tensors_that_share_their_bytes_are_read(tmp_path: Path) -> None:
    one = torch.arange(20.0)
    assert read_public(saved(tmp_path, {"a": one, "b": one[4:].reshape(4, 4).T}))["b"].shape == (4, 4)


def test_a_dictionary_that_holds_itself(tmp_path: Path) -> None:
    endless: dict[str, Any] = {"epoch": 1}
    endless["model"] = endless
    assert "not a tensor by name" in refusal(saved(tmp_path, endless))
