"""Situations that people met with other tools, rebuilt small: each is a script that exits with 0 where all is right.

They lie beside the real data, where ``MIRADA_TEST_CASES`` says otherwise; ``mirada`` is taken from the PATH.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CASES = Path(os.environ.get("MIRADA_TEST_CASES", Path(__file__).parents[2] / "shared" / "cases"))
OLD_ADDRESSES = Path(__file__).with_name("old_addresses.py")

# These call parts by addresses and shapes from before rooms moved, numbers became (N, T) and predictions had a target:
# `old_addresses.py` maps them to those of today, and what they expect stands.
RENAMED = {"02", "13", "14", "15", "21", "32", "35", "39", "44"}
# It asks for the full range of 16 bits by default, where `auto` lays a window on each deep image: a 12-bit X-ray would
# be black. What is right there is that the window is documented and that `check` tells where classes differ in level;
# the script's two pictures are the same with `window="full"`. tests/data/test_check.py and test_window.py hold both.
OTHERWISE = {"23"}
NAMES = sorted(folder.name for folder in CASES.glob("[0-9][0-9]-*")) if CASES.is_dir() else []


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if name[:2] not in OTHERWISE] or ["absent"])
def test_case(name: str, tmp_path: Path) -> None:
    if name == "absent":
        pytest.skip("the folder of cases is not here (set MIRADA_TEST_CASES)")
    python = sys.executable
    if name[:2] in RENAMED:
        python = str(tmp_path / "python")
        Path(python).write_text(f'#!/bin/sh\nexec "{sys.executable}" "{OLD_ADDRESSES}"\n')
        Path(python).chmod(0o755)
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    done = subprocess.run(
        ["bash", str(CASES / name / "run.sh")], capture_output=True, text=True, check=False,
        env={**os.environ, "PATH": path, "TMPDIR": str(tmp_path), "PY": python},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
