"""A job's script as it is, with torchrun and two processes: its walltime ends, and it trains on until it is done."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mirada.cluster.job import NOTICE, SLACK, ClusterJob
from mirada.cluster.schedulers import SCHEDULERS
from mirada.cluster.script import job_script
from mirada.data.examples.shapes import write_shapes

EPOCHS, SECONDS = 400, 40  # mostly more than can be trained in one walltime


@pytest.mark.slow
def test_a_job_trains_until_it_is_done(tmp_path: Path) -> None:
    write_shapes(tmp_path / "my shapes", count=60, size=32)
    run, called = tmp_path / "runs" / "it's one", tmp_path / "called"
    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text(f'#!/bin/bash\necho "$@" >> "{called}"\n')
    scontrol.chmod(0o755)
    job = ClusterJob(
        run=run,
        workdir=tmp_path,
        python=Path(sys.executable),
        arguments=(
            "train", "my shapes", "--model", "lenet5", "--epochs", str(EPOCHS), "--image-size", "32", "--device", "cpu",
            "--set", "save=1epoch", "--output", str(run),
        ),
        processes=2,
        cpus=2,
        walltime=NOTICE + SLACK + SECONDS,
    )  # fmt: skip
    job.folder.mkdir(parents=True)
    script = job.folder / "job.sh"
    script.write_text(job_script(job, SCHEDULERS["slurm"]))
    environment = {
        **os.environ, "PATH": f"{scontrol.parent}:{os.environ['PATH']}", "SLURM_JOB_ID": "7",
        "MIRADA_CACHE": str(tmp_path / "cache"),
    }  # fmt: skip
    jobs = 0
    while not (run / "digests.json").exists():
        jobs += 1
        assert jobs < 20 and subprocess.run(["bash", script], env=environment, check=False).returncode == 0
    assert (len(called.read_text().splitlines()) if called.exists() else 0) == jobs - 1
    epochs = [line.partition(",")[0] for line in (run / "results.csv").read_text().splitlines()[1:]]
    assert epochs == [str(epoch) for epoch in range(1, EPOCHS + 1)]
