"""What comes in is what was published, stays what it was, or is never used."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from store_helpers import Small

from mirada.cli import run
from mirada.cli.weights import command
from mirada.errors import CheckpointError, InvalidArgument, MiradaError
from mirada.models import create_model, load_weights
from mirada.models.weight_files import read_public
from mirada.store import StoreError
from mirada.store import store as module
from mirada.store.adding import add_file, add_folder
from mirada.store.catalogue import named_weights
from mirada.store.store import WeightStore, store_folder


def nobody() -> None:
    raise AssertionError("nobody else is here")


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def refusal(store: WeightStore, file: Path, **how: str) -> str:
    with pytest.raises(MiradaError) as caught:
        add_file(store, file, nobody, **how)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_pickle_comes_in_as_safetensors_once(store: WeightStore, published: Small) -> None:
    """With the tensors that it had, both digests, and what is known of it in its own metadata."""
    record, new = add_file(store, published.lenet, nobody)
    file = store.path("lenet5.test_digits")
    assert new and record == store.record("lenet5.test_digits")
    assert record.original == published.lenet.name and record.original_sha256 == published.digest
    assert record.sha256 == sha256(file) and record.bytes == file.stat().st_size
    assert record.origin == str(published.lenet)
    tensors = read_public(published.lenet)
    kept = load_file(file)
    assert kept.keys() == tensors.keys() and all(torch.equal(kept[key], tensors[key]) for key in kept)
    with safe_open(file, framework="np") as opened:
        said = opened.metadata()
    assert said["name"] == "lenet5.test_digits" and said["licence"] == "CC0-1.0" and said["mean"] == "0.5"
    assert load_weights(create_model("lenet5"), "lenet5", file).whole
    before = file.stat().st_mtime_ns
    assert add_file(store, published.lenet, nobody) == (record, False)
    assert file.stat().st_mtime_ns == before
    assert store.verified(named_weights("lenet5")) == (file, record.sha256)
    assert sorted(each.name for each in store.folder.iterdir()) == [
        "lenet5.test_digits.json",
        "lenet5.test_digits.safetensors",
    ]


def test_files_are_known_by_digest_not_by_name(store: WeightStore, published: Small, tmp_path: Path) -> None:
    """Renamed ones come in as what they are; altered and truncated ones do not, whatever their name."""
    renamed = shutil.copy(published.lenet, tmp_path / "resnet50-19c8e357.pth")
    assert add_file(store, Path(renamed), nobody)[0].name == "lenet5.test_digits"
    data = published.lenet.read_bytes()
    cases = {
        data[:-100]: f"truncated: {len(data) - 100:,} of {len(data):,} bytes; its digest is ",
        data[:500] + bytes([data[500] ^ 1]) + data[501:]: "altered, or another file; its digest is ",
        published.mlp.read_bytes() + b"\0" * len(data): "altered, or another file; its digest is ",
    }
    for content, sentence in cases.items():
        wrong = tmp_path / published.lenet.name
        wrong.write_bytes(content)
        assert refusal(store, wrong).startswith(f"{wrong}: {sentence}")
    (tmp_path / "own.pth").write_bytes(data[:-100])
    assert "no public weights that Mirada knows have its digest" in refusal(store, tmp_path / "own.pth")


def test_eight_digits_are_enough_where_no_more_are_published(store: WeightStore, published: Small) -> None:
    record, _ = add_file(store, published.simplecnn, nobody)
    assert record.original_sha256 == sha256(published.simplecnn)
    assert store.fault("simplecnn.test_digits") == ""


def test_without_a_published_digest_a_person_says_what_it_is(
    store: WeightStore, published: Small, tmp_path: Path
) -> None:
    """And the tensors must be those of the network."""
    assert "have its digest" in refusal(store, published.mlp)
    record, _ = add_file(store, published.mlp, nobody, stated="mlp")
    assert record.original_sha256 == sha256(published.mlp)
    assert "is not lenet5.test_digits, whose digest is published" in refusal(
        store, published.mlp, stated="lenet5"
    )
    assert "is the file of lenet5.test_digits, not of mlp.test_digits. Leave --as out" in refusal(
        store, published.lenet, stated="mlp.test_digits"
    )
    torch.save(create_model("lenet5").state_dict(), tmp_path / "own.pth")
    with pytest.raises(CheckpointError, match="these weights are those of lenet5, and the network is mlp"):
        add_file(store, tmp_path / "own.pth", nobody, stated="mlp.test_digits")
    with pytest.raises(InvalidArgument, match="no public weights"):
        add_file(store, published.lenet, nobody, stated="nothing")


def test_a_colleagues_store_is_known_by_its_records(
    store: WeightStore, published: Small, tmp_path: Path
) -> None:
    for file in (published.lenet, published.simplecnn):
        add_file(store, file, nobody)
    other = WeightStore(tmp_path / "other")
    (store.folder / "notes.pth").write_bytes(b"x")
    added = {each.file.name: each for each in add_folder(other, store.folder, nobody)}
    assert {each.name for each in added.values() if each.new} == {
        "lenet5.test_digits",
        "simplecnn.test_digits",
    }
    assert "have its digest" in added["notes.pth"].reason
    for name in ("lenet5.test_digits", "simplecnn.test_digits"):
        assert other.fault(name) == ""
        assert sha256(other.path(name)) == sha256(store.path(name))
    with store.path("lenet5.test_digits").open("ab") as stream:
        stream.write(b"\0")
    third = WeightStore(tmp_path / "third")
    reasons = [each.reason for each in add_folder(third, store.folder, nobody) if not each.name]
    assert any(str(store.path("lenet5.test_digits")) in reason for reason in reasons)


def test_a_record_that_states_another_origin_than_was_published_is_not_believed(
    store: WeightStore, published: Small, tmp_path: Path
) -> None:
    """A colleague's file is what its record says only if that came from the published file, where there is one."""
    add_file(store, published.lenet, nobody)
    record = store.folder / "lenet5.test_digits.json"
    record.write_text(record.read_text().replace(published.digest, "0" * 64))
    other = WeightStore(tmp_path / "other")
    assert "have its digest" in refusal(other, store.path("lenet5.test_digits"))
    assert other.names() == []


def test_a_file_that_cannot_be_read_does_not_keep_the_others_out(
    store: WeightStore, published: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a folder that is brought in, or of a store that is verified; nor does a record that is damaged."""
    add_file(store, published.simplecnn, nobody)
    (store.folder / "simplecnn.test_digits.json").write_text("{")
    stick = tmp_path / "stick"
    stick.mkdir()
    shutil.copy(published.lenet, stick / "LENET.PTH")
    shutil.copy(published.simplecnn, stick)
    (stick / "a.pth").write_bytes(b"x")
    plain = module.sha256_of

    def read(file: Path) -> str:
        if file.name in ("a.pth", "lenet5.test_digits.safetensors") and faulty:
            raise OSError(errno.EIO, "Input/output error")
        return plain(file)

    faulty = False
    monkeypatch.setattr(module, "sha256_of", read)
    add_file(store, published.lenet, nobody)
    faulty = True
    other = WeightStore(tmp_path / "other")
    added = {each.file.name: each for each in add_folder(other, stick, nobody)}
    assert added["a.pth"].reason == f"{stick / 'a.pth'}: cannot be read (input/output error)."
    assert added[published.simplecnn.name].new
    assert store.fault("lenet5.test_digits").endswith("cannot be read (input/output error).")
    faulty = False
    added = {each.file.name: each for each in add_folder(store, stick, nobody)}
    assert added["LENET.PTH"].name == "lenet5.test_digits" and not added["LENET.PTH"].new
    assert "it is no record of weights" in added[published.simplecnn.name].reason


def test_a_folders_files_are_known_by_what_they_hold(
    store: WeightStore, published: Small, tmp_path: Path
) -> None:
    """Whatever they are called, and behind links, of which one may lead back; each is named once."""
    stick, disk = tmp_path / "stick", tmp_path / "disk"
    stick.mkdir()
    disk.mkdir()
    shutil.copy(published.lenet, stick / "weights.bin")
    save_file(create_model("mlp").state_dict(), stick / "blob")
    (stick / "back").symlink_to(stick)
    (stick / "other").symlink_to(disk)
    shutil.copy(published.simplecnn, disk / "blob")
    (stick / "named.pth").symlink_to(disk / "blob")
    (stick / "notes.txt").write_text("12345678{")
    shutil.make_archive(str(stick / "photos"), "zip", disk)
    added = {each.file: each for each in add_folder(store, stick, nobody)}
    assert added[stick / "weights.bin"].name == "lenet5.test_digits"
    assert added[stick / "named.pth"].name == "simplecnn.test_digits"
    assert "have its digest" in added[stick / "blob"].reason and len(added) == 3


@pytest.mark.skipif(os.name != "posix", reason="Windows knows no such permissions")
@pytest.mark.parametrize(("mask", "file", "folder"), [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700)])
def test_what_one_fills_the_others_may_read(
    mask: int, file: int, folder: int, store: WeightStore, published: Small, tmp_path: Path
) -> None:
    """If the user's mask says so: a pickle that was rewritten, a copy, the records, a folder that was made."""
    save_file(create_model("mlp").state_dict(), tmp_path / "mlp.safetensors")
    before = os.umask(mask)
    try:
        add_file(store, published.lenet, nobody)
        add_file(store, tmp_path / "mlp.safetensors", nobody, stated="mlp")
    finally:
        os.umask(before)
    modes = {each.name: each.stat().st_mode & 0o777 for each in store.folder.iterdir()}
    assert set(modes.values()) == {file} and len(modes) == 4
    assert store.folder.stat().st_mode & 0o777 == folder


def test_what_a_download_left_goes_when_the_set_comes_in_otherwise(
    store: WeightStore, published: Small
) -> None:
    store.folder.mkdir()
    store.part("lenet5.test_digits").write_bytes(b"x")
    add_file(store, published.lenet, nobody)
    assert not store.part("lenet5.test_digits").exists()


def test_a_file_that_changes_while_it_comes_in_is_refused(
    store: WeightStore, published: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its digest and its copy, for which both kinds of files are read once more."""
    safetensors = tmp_path / "mlp.safetensors"
    save_file(create_model("mlp").state_dict(), safetensors)
    pickle = Path(shutil.copy(published.mlp, tmp_path))
    public = named_weights("mlp")
    for file in (safetensors, pickle):
        digest = sha256(file)
        file.write_bytes(file.read_bytes().replace(b"mlp", b"plm"))
        other = create_model("mlp").state_dict()
        save_file(other, file) if file == safetensors else torch.save(other, file)
        with (
            store.alone(public.name, nobody),
            pytest.raises(StoreError, match="was altered while it was read"),
        ):
            store.bring(public, file, digest, original=file.name, origin="")
        assert list(store.folder.iterdir()) == []


def test_taking_away_touches_nothing_outside_the_store(
    store: WeightStore, published: Small, tmp_path: Path
) -> None:
    """A path is no name of weights, and somebody's model beside the store is not one of them."""
    add_file(store, published.lenet, nobody)
    for name in ("best.safetensors", "best.json"):
        (tmp_path / name).write_text("mine")
    for name in ("../best", str(tmp_path / "best"), "../store/lenet5.test_digits"):
        done = CliRunner().invoke(command, ["remove", name])
        assert str(done.exception) == f"{name} is not in {store.folder}. mirada weights list shows what is."
    assert (tmp_path / "best.safetensors").read_text() == (tmp_path / "best.json").read_text() == "mine"
    assert store.fault("lenet5.test_digits") == ""


def test_files_as_published_are_verified_and_strangers_are_named(
    store: WeightStore, published: Small
) -> None:
    """In a shared folder without records; somebody's JSON is no record of weights."""
    store.folder.mkdir()
    file = Path(shutil.copy(published.lenet, store.folder))
    (store.folder / "config.json").write_text("{}")
    done = CliRunner().invoke(command, ["verify"])
    assert done.stdout.splitlines() == [
        "lenet5.test_digits: as it was",
        f"{store.folder / 'config.json'}: nobody brought it in; mirada weights add does",
    ]
    file.write_bytes(file.read_bytes()[:-1])
    for arguments in (["verify"], ["verify", "lenet5"]):
        done = CliRunner().invoke(command, arguments, standalone_mode=False)
        assert done.return_value == 1 and f"{file}: its digest is " in done.stdout


def test_the_hubs_cache_calls_files_by_their_digest(
    store: WeightStore, published: Small, tmp_path: Path
) -> None:
    """Of timm's files without a published digest the folder says which they are, if content and name agree."""
    data = published.mlp.read_bytes()
    hub = tmp_path / "models--timm--mlp.test_digits"
    blob = hub / "blobs" / sha256(published.mlp)
    link = hub / "snapshots" / "abc" / "model.pt"
    for file in (blob, link):
        file.parent.mkdir(parents=True)
    blob.write_bytes(data)
    link.symlink_to(blob)
    (added,) = add_folder(store, hub, nobody)
    assert added.name == "mlp.test_digits" and added.new
    blob.write_bytes(data + b"\0")
    (added,) = add_folder(store, hub, nobody)
    assert "have its digest" in added.reason


def test_what_was_altered_since_is_named_and_never_used(store: WeightStore, published: Small) -> None:
    name, public = "lenet5.test_digits", named_weights("lenet5")
    record, _ = add_file(store, published.lenet, nobody)
    add_file(store, published.simplecnn, nobody)
    file, other = store.path(name), store.path("simplecnn.test_digits")
    whole = file.read_bytes()
    middle = len(whole) // 2
    cases = {
        whole[:-1]: f"truncated; it has {len(whole) - 1:,} of {len(whole):,} bytes.",
        whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]: "altered since it came in; ",
        whole + b"\0": "altered since it came in; ",
        other.read_bytes(): "is the file of simplecnn.test_digits, under another name.",
    }
    for content, sentence in cases.items():
        file.write_bytes(content)
        assert store.fault(name).startswith(f"{file}: {sentence}")
        with pytest.raises(StoreError, match=r"mirada weights get lenet5\.test_digits, or add FILE\.$"):
            store.verified(public)
    file.unlink()
    assert "missing" in store.fault(name)
    file.write_bytes(whole)
    assert store.verified(public) == (file, record.sha256)
    text = (store.folder / f"{name}.json").read_text()
    (store.folder / f"{name}.json").write_text(text.replace("lenet5.test", "simplecnn.test", 1))
    assert "renamed; its record says simplecnn.test_digits" in store.fault(name)
    for broken in ("{", "[]", '{"name": 3}', text.replace('"bytes"', '"size"')):
        (store.folder / f"{name}.json").write_text(broken)
        assert "it is no record of weights" in store.fault(name)
        with pytest.raises(StoreError, match="no record of weights"):
            store.verified(public)
    assert add_file(WeightStore(store.folder.parent / "new"), published.lenet, nobody)[1]


def test_what_is_not_there_says_both_ways_to_it(store: WeightStore) -> None:
    with pytest.raises(StoreError) as caught:
        store.verified(named_weights("lenet5"))
    message = str(caught.value)
    assert message.startswith(
        f"lenet5.test_digits is not in {store.folder}: mirada weights get lenet5.test_digits"
    )
    assert message.endswith("mirada weights add FILE brings in a copy.") and "MiB" in message


def test_a_shared_folder_of_files_as_published(store: WeightStore, published: Small) -> None:
    """Read-only, without records: a file under its own name is used if it is what was published."""
    store.folder.mkdir()
    file = Path(shutil.copy(published.lenet, store.folder))
    store.folder.chmod(0o500)
    try:
        assert store.verified(named_weights("lenet5")) == (file, published.digest)
    finally:
        store.folder.chmod(0o700)
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(StoreError, match="its digest is "):
        store.verified(named_weights("lenet5"))
    assert store.strangers() == [] and store.has(named_weights("lenet5"))
    assert not store.has(named_weights("simplecnn"))


def test_files_that_would_run_code_come_in_without_running_any(
    store: WeightStore, published: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (os.system, (f"touch {tmp_path / 'ran'}",))

    file = tmp_path / "mlp.pt"
    torch.save({"state_dict": Evil()}, file)
    with pytest.raises(CheckpointError, match="could run code"):
        add_file(store, file, nobody, stated="mlp")
    assert run(["weights", "add", str(file), "--as", "mlp"]) == 2
    assert not (tmp_path / "ran").exists() and store.names() == []


def test_a_full_disk_leaves_nothing(
    store: WeightStore, published: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "_rewrite", full)
    assert "no space left on device. Free some space, or name another folder in MIRADA_WEIGHTS" in refusal(
        store, published.lenet
    )
    monkeypatch.undo()
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 5, 5))
    store = WeightStore(store.folder)
    assert "are needed, and 0.0 MiB are free" in refusal(store, published.lenet)
    assert list(store.folder.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_takes_no_files(store: WeightStore, published: Small) -> None:
    store.folder.mkdir(mode=0o500)
    assert "permission denied. Name another folder in MIRADA_WEIGHTS." in refusal(store, published.lenet)


@pytest.mark.skipif(
    not Path("/proc/self").exists(), reason="a folder that nobody may write is there on Linux"
)
def test_a_folder_that_not_even_root_may_write(published: Small) -> None:
    """Reading says what is missing, and writing that the folder takes nothing."""
    store = WeightStore(Path("/proc/self/weights"))
    assert "/proc/self/weights: " in refusal(store, published.lenet)
    with pytest.raises(StoreError, match=r"lenet5\.test_digits is not in /proc/self/weights: "):
        store.verified(named_weights("lenet5"))


def test_a_folder_that_is_a_file(store: WeightStore, published: Small) -> None:
    store.folder.write_text("")
    assert "Name another folder in MIRADA_WEIGHTS." in refusal(store, published.lenet)


def test_the_lock_of_a_dead_process_holds_nobody_up(store: WeightStore, published: Small) -> None:
    """Its file may lie there; the system has freed the lock."""
    store.folder.mkdir()
    lock = store.folder / ".lenet5.test_digits.lock"
    code = f"import fcntl, os; s = open({str(lock)!r}, 'a'); fcntl.flock(s, fcntl.LOCK_EX); os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert lock.exists()
    assert add_file(store, published.lenet, nobody)[1]


def test_a_safetensors_file_comes_in_byte_for_byte(store: WeightStore, tmp_path: Path) -> None:
    file = tmp_path / "mlp.safetensors"
    save_file(create_model("mlp").state_dict(), file, {"format": "pt"})
    record, _ = add_file(store, file, nobody, stated="mlp")
    assert record.sha256 == record.original_sha256 == sha256(file) == sha256(store.path("mlp.test_digits"))


def test_where_weights_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Beside the decoded images' usual place, not where MIRADA_CACHE may throw them away."""
    monkeypatch.setenv("MIRADA_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MIRADA_WEIGHTS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert store_folder() == tmp_path / "xdg" / "mirada" / "weights"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert store_folder() == tmp_path / ".cache" / "mirada" / "weights"
    monkeypatch.setenv("MIRADA_WEIGHTS", str(tmp_path / "own"))
    assert store_folder() == tmp_path / "own"


def test_the_real_ones(shared_data: Path, tmp_path: Path) -> None:
    """Of the folder of real data: known by digest, kept, verified, and the same tensors."""
    store = WeightStore(tmp_path / "store")
    names = {"resnet20.idelbayev_cifar10", "resnet32.idelbayev_cifar10", "vgg16.features_in1k"}
    added = [
        *add_folder(store, shared_data / "cifar10", nobody),
        *add_folder(store, shared_data / "weights", nobody),
    ]
    assert {each.name for each in added} == names == set(store.names())
    for name in names:
        assert store.fault(name) == ""
    theirs = read_public(shared_data / "cifar10" / "resnet20-12fca82f.th")
    ours = load_file(store.verified(named_weights("resnet20"))[0])
    assert theirs.keys() == ours.keys() and all(torch.equal(theirs[key], ours[key]) for key in ours)
    record = json.loads((store.folder / "resnet20.idelbayev_cifar10.json").read_text())
    assert record["original_sha256"].startswith("12fca82f")


def test_truncated_downloads_are_named(shared_data: Path, tmp_path: Path) -> None:
    file = shared_data / "broken-checkpoints" / "resnet18-f37072fd.pth"
    assert "truncated: 579,901 of 46,830,571 bytes" in refusal(WeightStore(tmp_path), file)
