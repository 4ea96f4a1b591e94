"""Pages of lessons as a browser without a network shows them."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium")
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip


@pytest.fixture
def browsed(tmp_path: Path) -> Callable[..., str]:
    """The page after its script has run, and after a further script of the test, if there is one."""
    if CHROMIUM is None:
        pytest.skip("chromium is not on this machine: what scripts compute is seen by a browser alone")

    def browse(page: str, then: str = "") -> str:
        if then:  # only the test's own copy lets a further script run
            page = re.sub(r"; script-src '[^']*'", "; script-src 'unsafe-inline'", page)
            page = page.replace("</body>", f"<script>{then}</script></body>")
        file = tmp_path / "page.html"
        file.write_text(page, encoding="utf-8")
        command = [
            str(CHROMIUM),
            *QUIET,
            f"--user-data-dir={tmp_path / 'profile'}",
            "--dump-dom",
            file.as_uri(),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
        assert "Refused to" not in done.stderr and "Uncaught" not in done.stderr
        return done.stdout

    return browse
