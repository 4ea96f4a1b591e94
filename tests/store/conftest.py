"""A catalogue of three small sets, the files that hold them, and a server that has them."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from store_helpers import TOML, Handler, Server, Small

from mirada.models import create_model
from mirada.store import catalogue
from mirada.store.store import WeightStore


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    state = Server()
    handler = type("Bound", (Handler,), {"state": state})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        http.daemon_threads = True
        state.base = f"http://127.0.0.1:{http.server_address[1]}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield state
        http.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Small:
    folder = tmp_path_factory.mktemp("published")
    torch.manual_seed(0)
    files = {}
    for name in ("lenet5", "simplecnn", "mlp"):
        file = folder / f"{name}.pth"
        torch.save(create_model(name).state_dict(), file)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        files[name] = file.rename(folder / (f"{name}-{digest[:8]}.pth" if name != "mlp" else "mlp.pt"))
    digest = hashlib.sha256(files["lenet5"].read_bytes()).hexdigest()
    return Small(folder, files["lenet5"], files["simplecnn"], files["mlp"], digest)


@pytest.fixture
def published(
    drawn: Small, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Small]:
    """The files, a catalogue that names them, a server that has them, and an empty store."""
    text = TOML.format(
        base=server.base,
        short=drawn.digest[:8],
        lenet=drawn.digest,
        size=drawn.lenet.stat().st_size,
        other_short=drawn.simplecnn.stem.rpartition("-")[2],
    )
    (tmp_path / "catalogue.toml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(catalogue, "FILE", tmp_path / "catalogue.toml")
    monkeypatch.setenv("MIRADA_WEIGHTS", str(tmp_path / "store"))
    for file in (drawn.lenet, drawn.simplecnn, drawn.mlp):
        server.content[f"/{file.name}"] = file.read_bytes()
    catalogue.public_weights.cache_clear()
    yield drawn
    catalogue.public_weights.cache_clear()


@pytest.fixture
def store(published: Small) -> WeightStore:
    return WeightStore()
