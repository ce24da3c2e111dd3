"""What tests of labels that are kept back share: runs of a user without them, and the labels' holder's data."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from vidsuite_core.results.store import Attempt, Store

TASKS = ("turning", "crossing", "growing", "passing")
HOLDER = "The Holders"


@dataclass(frozen=True)
class Places:
    """Where things lie: `user` and `holder` are caches, of which the latter has the labels; `printed` is by `bench`."""

    home: Path
    printed: str

    @property
    def user(self) -> Path:
        return self.home / "user"

    @property
    def holder(self) -> Path:
        return self.home / "holder"

    def labels(self, name: str) -> Path:
        """The folder of a dataset with its labels."""
        return labelled(self.holder, name)

    def attempt(self, name: str, runs: str = "runs") -> Attempt:
        """The only attempt at a benchmark."""
        found = [one for one in Store(self.home / runs).everything() if isinstance(one, Attempt)]
        (one,) = [one for one in found if one.record.cell.benchmark.endswith(f"/{name}")]
        return one


def labelled(cache: Path, name: str) -> Path:
    return cache / "data" / "toy_withheld" / name / "data"


def run_all(home: Path, site: Path) -> Places:
    """Run the four benchmarks without labels (`runs`), and as if nothing were kept back (`open`)."""
    for name in TASKS:
        (labelled(home / "holder", name) / "answers").mkdir(parents=True)
    printed = bench(home, site, "user", "runs", "--plugin", "toy_withheld")
    bench(home, site, "holder", "open", "--plugin", "toy_open")
    return Places(home, printed)


def bench(home: Path, site: Path, cache: str, out: str, *words: str) -> str:
    """`vidsuite bench` with the data below a cache; what it printed."""
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH", "")]))
    env = {**os.environ, "PYTHONPATH": path, "VIDSUITE_CACHE": str(home / cache), "COLUMNS": "200"}
    command = [sys.executable, "-P", "-m", "vidsuite_core.cli", "bench", "--out", str(home / out), *words]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
