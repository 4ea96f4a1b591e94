"""A catalogue of three small sets, and a server on this machine that may misbehave."""

import time
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

TOML = """
[sources.test]
address = "{base}/{{file}}"
data = "drawn digits"
classes = 10
input = 28
resize = 28
scale = {{ mean = [0.5], std = [0.25] }}
licence = "CC0-1.0"
licence_source = "the test that drew it"

[[weights]]
name = "lenet5.test_digits"
network = "lenet5"
source = "test"
files = [{{ name = "lenet5-{short}.pth", sha256 = "{lenet}", bytes = {size} }}, {{ name = "lenet5-0ld.pth" }}]

[[weights]]
name = "simplecnn.test_digits"
network = "simplecnn"
source = "test"
files = [{{ name = "simplecnn-{other_short}.pth", sha256 = "{other_short}" }}]

[[weights]]
name = "mlp.test_digits"
network = "mlp"
source = "test"
files = [{{ name = "mlp.pt" }}]
"""


@dataclass
class Server:
    """What is served, and how; ``asked`` are the paths and ranges that were asked for."""

    content: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    redirect: dict[str, str] = field(default_factory=dict)
    cut: list[int] = field(default_factory=list)  # bytes after which the next connections end
    stall: list[int] = field(default_factory=list)  # … after which they go silent
    status: int = 0
    base: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)
    delay: float = 0.0
    stated: str = ""  # the digest that a redirect says
    part: int = 0  # bytes that an answer to a range has at most
    other_part: int = 0  # bytes before the range that was asked for at which the answer begins
    endless: bool = False  # no length is said, and rubbish comes as long as somebody reads


@dataclass(frozen=True)
class Small:
    """The files of the test's catalogue, and what is in them."""

    folder: Path
    lenet: Path
    simplecnn: Path
    mlp: Path
    digest: str


class Handler(BaseHTTPRequestHandler):
    state: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        state, asked = self.state, self.headers.get("Range", "")
        state.asked.append((self.path, asked))
        time.sleep(state.delay)
        if self.path in state.redirect:
            self.send_response(302)
            self.send_header("Location", state.redirect[self.path])
            if state.stated:
                self.send_header("X-Linked-Etag", f'"{state.stated}"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = state.content.get(self.path)
        if body is None or state.status:
            self.send_error(state.status or 404)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and state.ranges else 0
        if asked and state.ranges and start >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if asked and state.ranges else 200)
        if state.endless:
            self._send_for_ever()
            return
        end = len(body)
        if asked and state.ranges:
            start -= state.other_part
            end = min(end, start + state.part) if state.part else end
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(body)}")
        self.send_header("Content-Length", str(end - start))
        self.end_headers()
        rest = body[start:end]
        if state.cut:
            self.wfile.write(rest[: state.cut.pop(0)])
            self.close_connection = True
        elif state.stall:
            self.wfile.write(rest[: state.stall.pop(0)])
            self.wfile.flush()
            time.sleep(1.5)
            self.close_connection = True
        else:
            with suppress(BrokenPipeError, ConnectionResetError):  # whoever asked has seen enough
                self.wfile.write(rest)

    def _send_for_ever(self) -> None:
        self.close_connection = True
        self.end_headers()
        with suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(1000):
                self.wfile.write(bytes(2**16))

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""
