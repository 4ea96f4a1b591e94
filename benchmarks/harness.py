"""What the benchmarks share: weigh a process, describe the machine, append a result, print a table.

Standard library only, and small on purpose: Linux counts the memory of the process that starts another one
towards the peak of the started one, so no peak below the harness's own (about 20 MiB) can be seen.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
MIRADA = Path(sys.executable).with_name("mirada")  # of the environment that runs the benchmark
PACKAGES = ("mirada", "torch", "numpy", "pillow")
SAMPLE_S = 0.02  # between two looks at the memory of a running process


@dataclass(frozen=True)
class Process:
    """What a finished process cost, its own children included, and what it printed.

    ``cpu_s`` is user and system time. ``peak_rss_mib`` is the largest resident set of any one process of
    the tree, pages of memory-mapped files included. ``peak_anonymous_mib`` is the largest sum over the tree
    of the memory that no file stands behind, sampled every 20 ms; 0 unless it was asked for.
    """

    output: str
    wall_s: float
    cpu_s: float
    peak_rss_mib: float
    peak_anonymous_mib: float


def run(
    command: Sequence[str | Path], *, environment: Mapping[str, str] | None = None, watch_memory: bool = False
) -> Process:
    """Runs a command to its end, without a GPU, and weighs it. Raises ``RuntimeError`` if it fails."""
    variables = {**os.environ, "CUDA_VISIBLE_DEVICES": "", **(environment or {})}
    variables.pop(
        "PYTHONDONTWRITEBYTECODE", None
    )  # an installed package is compiled; a checkout is not always
    with tempfile.TemporaryFile() as printed:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=printed, stderr=subprocess.STDOUT, env=variables)
        if watch_memory:
            peak, status, usage = _watch(process.pid)
        else:
            peak, (_, status, usage) = 0.0, os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        printed.seek(0)
        output = printed.read().decode(errors="replace")
    if process.returncode:
        last_lines = "\n".join(output.splitlines()[-15:])
        raise RuntimeError(f"{' '.join(map(str, command))}\nended with {process.returncode}:\n{last_lines}")
    return Process(output, wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, peak)


def _watch(pid: int) -> tuple[float, int, "os.struct_rusage"]:
    """Waits for a process and looks at its tree's anonymous memory (MiB) meanwhile."""
    peak = 0.0
    while True:
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if ended:
            return peak, status, usage
        peak = max(peak, _anonymous_mib(pid))
        time.sleep(SAMPLE_S)


def _anonymous_mib(pid: int) -> float:
    """Anonymous memory of a process and its descendants; a page shared by n of them counts 1/n for each."""
    folder = Path("/proc") / str(pid)
    try:
        lines = (folder / "smaps_rollup").read_text().splitlines()
        children = [
            child for task in (folder / "task").glob("*/children") for child in task.read_text().split()
        ]
    except OSError:  # it ended between two looks
        return 0.0
    own = sum(int(line.split()[1]) for line in lines if line.startswith("Pss_Anon:")) / 1024
    return own + sum(_anonymous_mib(int(child)) for child in children)


def machine() -> dict[str, object]:
    """The processor's name and how many of its threads may be used."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "processor": names[0].partition(":")[2].strip() if names else platform.machine(),
        "threads": len(os.sched_getaffinity(0)),
    }


def versions() -> dict[str, str]:
    """Of Python and the packages in the environment that runs the benchmark, and Mirada's commit."""
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **found, "commit": _commit()}


def _commit() -> str:
    """The commit that is checked out, with a + if the package's source differs from it."""
    known = _git("rev-parse", "--short", "HEAD") or "none"
    return f"{known}+" if _git("status", "--porcelain", "src") else known


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def record(file: Path, benchmark: str, values: Mapping[str, object]) -> None:
    """Appends one measurement to ``file`` as one JSON object; numbers are rounded to 4 decimals."""
    date = datetime.now(UTC).isoformat(timespec="seconds")
    rounded = {key: round(value, 4) if isinstance(value, float) else value for key, value in values.items()}
    line = {"benchmark": benchmark, "date": date, **rounded, **machine()}
    with file.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line, ensure_ascii=False) + "\n")


def options(description: str, *, rounds: int) -> argparse.ArgumentParser:
    """A parser with the options that every benchmark has."""
    parser = argparse.ArgumentParser(description=description.partition("\n")[0])
    parser.add_argument(
        "--rounds", type=int, default=rounds, help=f"how often each side is measured ({rounds})"
    )
    parser.add_argument("--results", type=Path, default=HERE / "results.jsonl", help="file to append to")
    return parser


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Median (least – greatest)."""
    return f"{median(values):,.{digits}f} ({min(values):,.{digits}f}–{max(values):,.{digits}f})"


def print_table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints rows under headings: the first column to the left, the others to the right."""
    lines = [list(headings), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    lines.insert(1, ["-" * width for width in widths])
    for first, *others in lines:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        print("  ".join([first.ljust(widths[0]), *cells]))
