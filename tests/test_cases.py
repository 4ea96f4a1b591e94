"""Situations that people met with other tools, rebuilt small: each is a script that exits with 0 where all is right.

They lie beside the real data, where ``MIRADA_TEST_CASES`` says otherwise; ``mirada`` is taken from the PATH.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CASES = Path(os.environ.get("MIRADA_TEST_CASES", Path(__file__).parents[2] / "shared" / "cases"))

# These import modules by addresses that they had before the rooms moved, or use shapes from before numbers were (N, T)
# and predictions had a target; a test has their inputs and expectations.
ELSEWHERE = {
    "02-index-column": "tests/data/test_columns_found.py",
    "13-empty-rescale": "tests/data/test_dicom.py",
    "14-dicom-bits": "tests/data/test_dicom.py",
    "15-dicom-window": "tests/data/test_dicom.py",
    "21-temperature-of-few": "tests/evaluation/test_calibration.py",
    "23-own-window-of-each": "tests/data/test_check.py",
    "32-roc-auc": "tests/evaluation/test_evaluation.py",
    "35-map-on-the-photo": "tests/explain/test_overlay.py",
    "39-dicom-frames-and-tables": "tests/data/test_dicom.py",
    "44-stale-cache": "tests/data/test_cache_trust.py",
}
NAMES = sorted(folder.name for folder in CASES.glob("[0-9][0-9]-*")) if CASES.is_dir() else []


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if name not in ELSEWHERE] or ["absent"])
def test_case(name: str, tmp_path: Path) -> None:
    if name == "absent":
        pytest.skip("the folder of cases is not here (set MIRADA_TEST_CASES)")
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    done = subprocess.run(
        ["bash", str(CASES / name / "run.sh")], capture_output=True, text=True, check=False,
        env={**os.environ, "PATH": path, "TMPDIR": str(tmp_path), "PY": sys.executable},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", sorted(set(ELSEWHERE.values())))
def test_what_stands_for_the_others_is_there(file: str) -> None:
    assert (Path(__file__).parents[1] / file).is_file()
