"""Downloads from a server here that redirects, stalls, cuts off, serves ranges or not, or the wrong file."""

from __future__ import annotations

import errno
import hashlib
import json
import re
import shutil
import socket
import subprocess
import sys
import threading
import urllib.request
from email.message import Message
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from store_helpers import Server, Small

from mirada.cli.weights import command
from mirada.errors import MiradaError
from mirada.events import Progress
from mirada.models import create_model
from mirada.store import StoreError, catalogue
from mirada.store import fetch as module
from mirada.store.adding import add_file
from mirada.store.catalogue import named_weights
from mirada.store.fetch import announced, fetch, source_of
from mirada.store.store import StoredWeights, WeightStore

NAME = "lenet5.test_digits"


def got(
    store: WeightStore, name: str = NAME, *, mirror: str = "", heard: list[Progress] | None = None
) -> tuple[StoredWeights, bool]:
    public = named_weights(name)
    source = source_of(public, mirror)
    return fetch(store, public, source, on_event=(heard if heard is not None else []).append, stall=0.4)


def refusal(store: WeightStore, name: str = NAME, *, mirror: str = "") -> str:
    with pytest.raises(MiradaError) as caught:
        got(store, name, mirror=mirror)
    assert "\n" not in str(caught.value)
    assert store.names() == []
    return str(caught.value)


def part(store: WeightStore) -> Path:
    return store.folder / f".{NAME}.part"


def test_what_is_fetched_is_what_is_kept(store: WeightStore, published: Small, server: Server) -> None:
    heard: list[Progress] = []
    record, new = got(store, heard=heard)
    assert new and record.original_sha256 == published.digest
    assert (
        record.origin == f"{server.base}/{published.lenet.name}" and record.original == published.lenet.name
    )
    assert store.fault(NAME) == "" and not part(store).exists()
    assert heard and all(event.done <= event.total for event in heard)
    asked = len(server.asked)
    assert got(store) == (record, False)
    assert len(server.asked) == asked  # nothing is asked for that is here


def test_what_is_said_before(store: WeightStore, published: Small, server: Server) -> None:
    public = named_weights("lenet5")
    lines = announced(public, source_of(public))
    assert lines[0] == "lenet5.test_digits: weights of lenet5, trained on drawn digits"
    assert lines[1] == f"  from {server.base}/{published.lenet.name}"
    assert lines[2] == f"  size {published.lenet.stat().st_size:,} bytes"
    assert lines[3] == "  licence CC0-1.0 (the test that drew it)"
    assert lines[4] == f"  SHA-256 {published.digest}"
    assert server.asked == []


def test_redirects_are_followed(store: WeightStore, published: Small, server: Server) -> None:
    server.redirect[f"/{published.lenet.name}"] = "/elsewhere"
    server.content["/elsewhere"] = published.lenet.read_bytes()
    assert got(store)[1]
    server.redirect[f"/{published.simplecnn.name}"] = "file:///etc/passwd"
    store.remove(NAME)
    assert "Redirection to url 'file:///etc/passwd' is not allowed" in refusal(store, "simplecnn")


def test_the_hub_states_a_digest_where_its_publisher_does_not(
    store: WeightStore, published: Small, server: Server
) -> None:
    """With it a file that came in pieces can be judged, and one that is not the stated one is refused."""
    server.redirect["/mlp.pt"], server.content["/blob"] = "/blob", published.mlp.read_bytes()
    server.stated = "0" * 64
    assert "and mlp.test_digits begins with 000000000000. Nothing was kept" in refusal(store, "mlp")
    server.stated, server.cut = sha256(published.mlp), [3000]
    assert got(store, "mlp")[0].original_sha256 == server.stated
    assert [asked for path, asked in server.asked if path == "/blob"] == ["", "", "bytes=3000-"]


def test_a_file_of_which_nobody_states_a_digest_is_not_put_together(
    store: WeightStore, published: Small, server: Server
) -> None:
    server.cut = [3000]
    assert "ended after 3,000 bytes (cut off before " in refusal(store, "mlp")
    assert got(store, "mlp")[1]
    assert [asked for _, asked in server.asked] == ["", ""]


@pytest.mark.parametrize("target", ["http://a.invalid/x", "ftp://a.invalid/x"])
def test_no_redirect_leads_from_a_protected_address_to_an_open_one(target: str) -> None:
    request = urllib.request.Request("https://a.invalid/x")
    with pytest.raises(StoreError, match=f"leads to {target}, which is not a protected address"):
        module._Redirects().redirect_request(request, None, 302, "Found", Message(), target)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_connection_that_is_cut_off(
    ranges: bool, store: WeightStore, published: Small, server: Server
) -> None:
    """Goes on where it ended; a server without ranges begins anew."""
    server.ranges, server.cut = ranges, [1000, 5000]
    assert got(store)[1] and store.fault(NAME) == ""
    offsets = [asked for _, asked in server.asked]
    assert offsets == ["", "bytes=1000-", "bytes=6000-" if ranges else "bytes=5000-"]


def test_a_server_that_goes_silent(store: WeightStore, published: Small, server: Server) -> None:
    """What came stays, and the same command goes on from there."""
    server.stall = [2000, 0, 0, 0]
    message = refusal(store)
    assert re.search(r"ended after 2,000 bytes \(no answer in time\)\. The same command goes on", message)
    assert part(store).stat().st_size == 2000 and store.has_part(NAME)
    server.stall = []
    assert got(store)[1]
    assert server.asked[-1][1] == "bytes=2000-"


def test_what_was_there_of_another_file_is_thrown_away(
    store: WeightStore, published: Small, server: Server
) -> None:
    """A beginning that is not this file's, or is longer than all of it."""
    size = published.lenet.stat().st_size
    for content in (b"x" * 1000, b"x" * size, b"x" * (size + 10)):
        store.folder.mkdir(exist_ok=True)
        part(store).write_bytes(content)
        record, new = got(store)
        assert new and record.original_sha256 == published.digest
        store.remove(NAME)


def test_another_file_than_was_published(
    store: WeightStore, published: Small, server: Server, tmp_path: Path
) -> None:
    """Never kept; if it is a known one, it is named."""
    data = published.lenet.read_bytes()
    at = f"/{published.lenet.name}"
    server.content[at] = data[:700] + bytes([data[700] ^ 1]) + data[701:]
    assert "has the digest " in refusal(store)
    assert not part(store).exists()
    server.content[at] = data + b"\0"
    assert f"the server has {len(data) + 1:,} bytes under this name" in refusal(store)
    server.content[f"/{published.simplecnn.name}"] = data
    assert "what came is lenet5.test_digits, and simplecnn.test_digits begins with" in refusal(
        store, "simplecnn"
    )
    server.content["/mlp.pt"] = b"<html>please log in</html>"
    assert re.search(r"mlp\.pt: what came cannot be used: no checkpoint", refusal(store, "mlp"))
    server.content["/mlp.pt"] = data
    assert "what came is lenet5.test_digits, and not mlp.test_digits" in refusal(store, "mlp")
    torch.save(create_model("lenet5").state_dict(), tmp_path / "own.pth")
    server.content["/mlp.pt"] = (tmp_path / "own.pth").read_bytes()
    assert "these weights are those of lenet5" in refusal(store, "mlp")
    server.content["/mlp.pt"] = published.mlp.read_bytes()
    assert got(store, "mlp")[0].original_sha256 == hashlib.sha256(published.mlp.read_bytes()).hexdigest()


def test_a_server_whose_answers_are_smaller_parts_than_was_asked_for(
    store: WeightStore, published: Small, server: Server
) -> None:
    """As the protocol lets it: the length of the whole is what the range says, and the rest is asked for."""
    server.cut, server.part = [1000], published.lenet.stat().st_size // 3
    assert got(store)[0].original_sha256 == published.digest
    assert [asked for _, asked in server.asked][1] == "bytes=1000-" and len(server.asked) == 4


def test_a_server_that_answers_with_another_part(
    store: WeightStore, published: Small, server: Server
) -> None:
    """Is asked for all of it."""
    server.cut, server.other_part = [1000], 600
    assert got(store)[0].original_sha256 == published.digest
    assert [asked for _, asked in server.asked] == ["", "bytes=1000-", ""]


def test_a_server_without_ranges_that_always_cuts_off_is_given_up(
    store: WeightStore, published: Small, server: Server
) -> None:
    """What comes anew every time is nothing new, though it may be more than came by the connection before."""
    server.ranges, server.cut = False, [5000, 3000, 4000, 4500] * 20
    assert "(cut off before " in refusal(store)
    assert len(server.asked) == 4


def test_a_body_that_does_not_end_is_given_up(store: WeightStore, published: Small, server: Server) -> None:
    server.endless = True
    size = published.lenet.stat().st_size
    assert f"the server sends more than the {size:,} bytes of {published.lenet.name}. Nothing" in refusal(
        store
    )
    assert list(store.folder.iterdir()) == []


def test_the_file_of_another_set_is_refused_where_no_digest_is_published(
    store: WeightStore, published: Small, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though its tensors fit; the catalogue knows it, or the records of the store do."""
    monkeypatch.setattr(module, "require_network", lambda *_: None)
    server.content["/mlp.pt"] = published.lenet.read_bytes()
    assert "what came is lenet5.test_digits, and not mlp.test_digits. Nothing was kept" in refusal(
        store, "mlp"
    )
    server.content["/mlp.pt"] = published.mlp.read_bytes()
    got(store, "mlp")
    for file in store.folder.iterdir():
        text = file.read_bytes().replace(b'"mlp.test_digits"', b'"simplecnn.test_digits"')
        file.with_name(file.name.replace("mlp", "simplecnn", 1)).write_bytes(text)
        file.unlink()
    with pytest.raises(StoreError, match=r"what came is simplecnn\.test_digits, and not mlp"):
        got(store, "mlp")


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_server_that_refuses(status: int, store: WeightStore, published: Small, server: Server) -> None:
    server.status = status
    assert f"the server answers {status} (" in refusal(store)


def test_what_is_no_server_of_the_web_is_said_in_one_line(
    store: WeightStore, published: Small, server: Server
) -> None:
    """Whatever it says; and so is a redirect that leads to itself, of which the library speaks in several lines."""
    with socket.create_server(("127.0.0.1", 0)) as other:

        def speak() -> None:
            for _ in range(3):
                connection, _ = other.accept()
                with connection:
                    connection.sendall(b"SSH-2.0-\x1b[2JOpenSSH\r\n")
                    connection.recv(2000)

        thread = threading.Thread(target=speak, daemon=True)
        thread.start()
        message = refusal(store, mirror=f"http://127.0.0.1:{other.getsockname()[1]}")
        thread.join()
    assert r"(SSH-2.0-\x1b[2JOpenSSH). Name a mirror" in message
    server.redirect[f"/{published.lenet.name}"] = f"/{published.lenet.name}"
    assert "the server answers 302 (The HTTP server returned a redirect error" in refusal(store)


def test_a_redirect_that_is_not_followed_is_said_to_be_one(
    store: WeightStore, published: Small, server: Server
) -> None:
    """And is no lack of a connection, which one would try again."""
    server.redirect[f"/{published.lenet.name}"] = "ftp://a.invalid/x"
    message = refusal(store)
    assert message.endswith("leads to ftp://a.invalid/x, which is not a protected address. Use a mirror.")
    assert message.startswith(server.base) and len(server.asked) == 1


def test_no_connection(store: WeightStore, published: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence with both ways out."""
    message = refusal(store, mirror="http://127.0.0.1:9")
    assert message.startswith("No connection to 127.0.0.1:9 (connection refused). Name a mirror, ")
    assert message.endswith("mirada weights add FILE.")


def test_proxies_of_the_environment(
    store: WeightStore, published: Small, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy is asked for the whole address."""
    address = f"http://weights.invalid/{published.lenet.name}"
    server.content[address] = published.lenet.read_bytes()
    monkeypatch.setenv("http_proxy", server.base)
    assert got(store, mirror="http://weights.invalid/")[1]
    assert server.asked == [(address, "")]


def test_mirrors(store: WeightStore, published: Small, server: Server, tmp_path: Path) -> None:
    """A base address, a folder of files as published, or a folder that is another store."""
    server.content[f"/mirror/{published.lenet.name}"] = published.lenet.read_bytes()
    assert got(store, mirror=f"{server.base}/mirror/")[0].origin.endswith(f"/mirror/{published.lenet.name}")
    other = WeightStore(tmp_path / "other")
    record, new = got(other, mirror=str(store.folder))
    assert new and record.sha256 == sha256(other.path(NAME))
    third = WeightStore(tmp_path / "third")
    assert got(third, mirror=str(published.folder))[0].original_sha256 == published.digest
    assert got(third, "mlp", mirror=str(published.folder))[1]  # no digest is published; its tensors fit
    asked = len(server.asked)
    assert "has no simplecnn-" in refusal(WeightStore(tmp_path / "fourth"), "simplecnn", mirror=str(tmp_path))
    (tmp_path / published.simplecnn.name).write_bytes(published.lenet.read_bytes())
    assert "is the file of lenet5.test_digits, not of simplecnn.test_digits" in refusal(
        WeightStore(tmp_path / "fifth"), "simplecnn", mirror=str(tmp_path)
    )
    assert len(server.asked) == asked


def test_mirrors_as_addresses_of_folders(
    store: WeightStore, published: Small, server: Server, tmp_path: Path
) -> None:
    folder = tmp_path / "a stick"
    shutil.copytree(published.folder, folder)
    assert got(store, mirror=folder.as_uri())[0].origin == str(folder / published.lenet.name)
    server.content[f"/my%20files/{published.simplecnn.name}"] = published.simplecnn.read_bytes()
    assert got(store, "simplecnn", mirror=f"{server.base}/my files")[1]
    assert "http://[::1: no address (Invalid IPv6 URL). Name a base address" in refusal(
        WeightStore(tmp_path / "other"), mirror="http://[::1"
    )


def test_a_mirror_has_files_of_which_no_digest_is_published(
    store: WeightStore, published: Small, tmp_path: Path
) -> None:
    """Though one is of another file of the same set, as of timm's whose older pickles alone have digits."""
    text = catalogue.FILE.read_text()
    catalogue.FILE.write_text(
        text.replace('{ name = "mlp.pt" }', '{ name = "mlp.pt" }, { name = "o.pth", sha256 = "01234567" }')
    )
    catalogue.public_weights.cache_clear()
    assert got(store, "mlp", mirror=str(published.folder))[1]
    assert add_file(WeightStore(tmp_path / "other"), published.mlp, lambda: None, stated="mlp")[1]


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_no_space(
    store: WeightStore, published: Small, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said before anything is written, where the size is known."""
    monkeypatch.setattr("mirada.store.store.shutil.disk_usage", lambda _: shutil._ntuple_diskusage(10, 5, 5))
    assert "are needed, and 0.0 MiB are free. Free some space" in refusal(store)
    assert not part(store).exists()


def test_a_disk_that_fills_up(
    store: WeightStore, published: Small, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module._Download, "_copy", full)
    assert "no space left on device. Free some space, or name another folder" in refusal(store)
    assert list(store.folder.iterdir()) == []


def test_several_at_once_fetch_one_copy(store: WeightStore, published: Small, server: Server) -> None:
    """Two that begin at the same time: one fetches, the other waits, says so, and finds it."""
    server.delay = 0.2
    heard: list[list[Progress]] = [[], []]
    results: list[tuple[StoredWeights, bool]] = []

    def work(number: int) -> None:
        results.append(got(WeightStore(store.folder), heard=heard[number]))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(new for _, new in results) == [False, True]
    assert len(server.asked) == 1
    assert any("waiting for another process" in event.what for each in heard for event in each)


def test_a_set_without_an_address(store: WeightStore, published: Small) -> None:
    from dataclasses import replace

    public = named_weights("mlp")
    bare = replace(public, files=())
    with pytest.raises(
        StoreError, match=r"No address of mlp\.test_digits is known\. Bring in a copy: .* --as mlp"
    ):
        source_of(bare)


def test_the_verb_says_what_it_does_before_it_does_it(
    store: WeightStore, published: Small, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From where, how large, under which licence; and where it is then. As JSON, on the other stream."""
    lines = CliRunner().invoke(command, ["get", "lenet5"]).stdout.splitlines()
    assert lines[0] == "lenet5.test_digits: weights of lenet5, trained on drawn digits"
    assert lines[1] == f"  from {server.base}/{published.lenet.name}"
    assert lines[3] == "  licence CC0-1.0 (the test that drew it)"
    assert lines[-1] == str(store.path(NAME))
    again = CliRunner().invoke(command, ["get", "lenet5"])
    assert again.stdout == f"{store.path(NAME)} (was there)\n" and len(server.asked) == 1
    monkeypatch.setenv("MIRADA_WEIGHTS_MIRROR", str(published.folder))
    done = CliRunner().invoke(command, ["get", "simplecnn", "--json"])
    assert json.loads(done.stdout)["origin"] == str(published.simplecnn) and len(server.asked) == 1


def test_what_is_fetched_again_is_said_again(store: WeightStore, published: Small, server: Server) -> None:
    """A damaged file is fetched as a missing one is, and never unannounced."""
    got(store)
    store.path(NAME).write_bytes(b"x")
    lines = CliRunner().invoke(command, ["get", "lenet5"]).stdout.splitlines()
    assert lines[1] == f"  from {server.base}/{published.lenet.name}" and store.fault(NAME) == ""


def test_what_lies_there_as_it_was_published_is_not_fetched(
    store: WeightStore, published: Small, server: Server
) -> None:
    """Unless it has the name alone, which is said."""
    store.folder.mkdir()
    lying = Path(shutil.copy(published.lenet, store.folder))
    assert (
        CliRunner().invoke(command, ["get", "lenet5"]).stdout == f"{store.path(NAME)}\n"
        and server.asked == []
    )
    record = store.whole(NAME)
    assert record and record.original_sha256 == published.digest
    store.remove(NAME)
    lying.write_bytes(b"x")
    done = CliRunner().invoke(command, ["get", "lenet5"])
    assert f"{lying}: its digest is " in done.stderr and "It is fetched." in done.stderr
    assert len(server.asked) == 1 and store.fault(NAME) == ""


def test_what_is_here_needs_neither_a_place_to_write_nor_a_mirror(
    store: WeightStore, published: Small, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shared folder that takes no files."""
    got(store)

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(store.folder))

    monkeypatch.setattr("mirada.store.store.locked", refuse)
    done = CliRunner().invoke(command, ["get", "lenet5", "--mirror", str(store.folder / "nothing")])
    assert done.stdout == f"{store.path(NAME)} (was there)\n"
    for file in (published.lenet, store.path(NAME)):
        done = CliRunner().invoke(command, ["add", str(file)])
        assert done.stdout == f"{NAME}: {file.name} (was there)\n"
    assert "permission denied. Name another folder in MIRADA_WEIGHTS" in str(
        CliRunner().invoke(command, ["get", "simplecnn"]).exception
    )


def test_a_download_that_is_killed_goes_on(store: WeightStore, published: Small, server: Server) -> None:
    """A process that ends at once leaves its part, and its lock is nobody's."""
    server.stall = [3000]
    code = (
        "import os, threading, time; from mirada.cli import run;"
        "from pathlib import Path; from mirada.store import catalogue;"
        f"catalogue.FILE = Path({str(catalogue.FILE)!r}); part = Path({str(part(store))!r})\n"
        "def end():\n"
        "    while not part.exists() or part.stat().st_size < 3000: time.sleep(0.01)\n"
        "    os._exit(9)\n"
        "threading.Thread(target=end, daemon=True).start()\n"
        "run(['weights', 'get', 'lenet5'])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert done.returncode == 9
    assert store.names() == [] and part(store).stat().st_size == 3000
    server.stall = []
    assert got(store)[1] and server.asked[-1][1] == "bytes=3000-"
