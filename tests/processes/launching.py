"""Starts processes as torchrun does, without its own, which would take as long again to load torch."""

import os
import socket
import subprocess
import sys
from pathlib import Path


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


def start(size: int, *arguments: object, logs: Path | None = None) -> list[subprocess.Popen[str]]:
    """Python with these arguments as so many processes, whose standard error goes to ``logs-RANK`` if it is named."""
    port = str(free_port())
    started = []
    for rank in range(size):
        own = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size)}
        environment = {
            **os.environ, **own, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
        }  # fmt: skip
        command = [sys.executable, *map(str, arguments)]
        if logs is None:
            started.append(subprocess.Popen(command, env=environment, text=True))
            continue
        with logs.with_name(f"{logs.name}-{rank}").open("w") as log:
            started.append(
                subprocess.Popen(command, env=environment, text=True, stdout=subprocess.DEVNULL, stderr=log)
            )
    return started
