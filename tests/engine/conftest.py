"""Fixtures of tests of the engine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vidsuite_core.results.store import Attempt, Store


@pytest.fixture(scope="session")
def toy_tasks_ran(toy_tasks_path: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Attempt], str]:
    """The attempts at all three cells by their benchmark's name, and what was printed."""
    home = tmp_path_factory.mktemp("ran")
    path = os.pathsep.join(filter(None, [str(toy_tasks_path), os.environ.get("PYTHONPATH", "")]))
    env = {**os.environ, "PYTHONPATH": path, "VIDSUITE_CACHE": str(home / "cache")}
    command = [sys.executable, "-P", "-m", "vidsuite_core.cli", "bench", "--plugin", "toy_tasks", "--keep", "weights"]
    for more in (["--benchmark", "crossing", "--keep", "outputs"], []):  # the others have no outputs to keep
        done = subprocess.run(
            [*command, "--out", str(home / "runs"), *more], env=env, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
    attempts = [one for one in Store(home / "runs").everything() if isinstance(one, Attempt)]
    return {one.record.cell.benchmark.partition("/")[2]: one for one in attempts}, done.stdout
