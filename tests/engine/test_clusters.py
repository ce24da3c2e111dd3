"""`bench` with the toy plugin through clusters' executors: the same scores as here, and nothing lost with the run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from jobs import until

from vidsuite_core.results.claims import OUTCOME
from vidsuite_core.results.store import Attempt, Store

pytestmark = pytest.mark.slow

SLURM = ("--executor", "slurm", "--executor-options", "cluster=local", "time=5")


def command(out: Path, *more: str) -> list[str]:
    return [sys.executable, "-P", "-m", "vidsuite_core.cli", "bench", "--plugin", "toy", "--devices", "cpu",
            "--out", str(out), *more]  # fmt: skip


def bench(out: Path, *more: str, env: Mapping[str, str]) -> str:
    done = subprocess.run(command(out, *more), env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return " ".join(done.stdout.split())


def scores(out: Path) -> dict[str, float | None]:
    attempts = [one for one in Store(out).everything() if isinstance(one, Attempt)]
    return {one.record.cell_id: next(iter(one.record.scores.values())).value for one in attempts}


def test_cells_of_slurm_are_the_cells_of_this_machine(toy_env: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    told = bench(tmp_path / "runs", *SLURM, env=toy_env)
    assert "2 of 2 cells have scores (0 reused)" in told
    assert "said by device= and precision=" in told
    assert "2 of 2 cells have scores (2 reused)" in bench(tmp_path / "runs", env=toy_env)


def test_what_ends_after_the_run_is_gone_is_taken_by_the_next_one(toy_env: dict[str, str], tmp_path: Path) -> None:
    """The run is killed as it waits: its jobs go on, as Slurm's do, and nothing of them is done again."""
    pytest.importorskip("submitit")
    out = tmp_path / "runs"
    bench(tmp_path / "here", env=toy_env)
    run = subprocess.Popen(
        command(out, *SLURM), env=toy_env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    assert run.stdout is not None
    for line in run.stdout:
        if b"2 cells are with local as job" in line:
            break
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    until(lambda: len(list(out.glob(f"*/*/.tmp-*/{OUTCOME}"))) == 2, 120)
    assert not list(Store(out).everything())
    told = bench(out, env=toy_env)
    assert "taking what ended on other machines after an earlier run was gone" in told
    assert "2 of 2 cells have scores (0 reused)" in told
    assert scores(out) == scores(tmp_path / "here")
    assert not list(out.glob(f"*/*/*/{OUTCOME}"))
