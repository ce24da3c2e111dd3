"""`bench --dry-run` does nothing, as what watches each write of its process tells, and says what a run would do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

WATCH = """
import os, sys
log = os.open(os.environ["WATCH_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
WRITES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod",
          "os.utime", "socket.connect", "subprocess.Popen", "os.posix_spawn", "os.fork"}
FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

def watch(event, arguments):
    if event == "open":
        path, mode, flags = arguments
        if isinstance(path, int) or not isinstance(flags, int) or not flags & FLAGS:
            return
    elif event not in WRITES:
        return
    name = arguments[0]
    if event in ("os.remove", "os.rmdir", "os.mkdir") and arguments[-1] != -1:
        name = os.path.join(os.readlink(f"/proc/self/fd/{arguments[-1]}"), name)
    os.write(log, f"{event} {name!r}\\n".encode())

sys.addaudithook(watch)
"""


def tree(*roots: Path) -> dict[str, tuple[int, int]]:
    paths = (path for root in roots for path in (root, *root.rglob("*")))
    return {str(path): (path.lstat().st_size, path.lstat().st_mtime_ns) for path in paths}


class Machine:
    """A home, caches, a temporary folder and a working folder of its own, and what a command writes there."""

    def __init__(self, root: Path, toy_path: Path) -> None:
        self.root, self.log = root / "machine", root / "log"
        for name in ("home", "cache", "tmp", "here"):
            (self.root / name).mkdir(parents=True)
        site = root / "watch"
        site.mkdir()
        (site / "sitecustomize.py").write_text(WATCH)
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("VIDSUITE", "XDG"))},
            "HOME": str(self.root / "home"), "VIDSUITE_CACHE": str(self.root / "cache"),
            "TMPDIR": str(self.root / "tmp"), "PYTHONDONTWRITEBYTECODE": "1", "VIDSUITE_OFFLINE": "1",
            "PYTHONPATH": str(toy_path),
        }  # fmt: skip
        self.watched = {"WATCH_LOG": str(self.log), "PYTHONPATH": os.pathsep.join([str(site), str(toy_path)])}

    def __call__(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-P", "-m", "vidsuite_core.cli", *words]
        return subprocess.run(command, env=self.env | env, cwd=self.root / "here", capture_output=True, text=True)

    def dry(self, *words: str) -> list[str]:
        """The lines of a dry run, which left nothing, wrote nothing, reached nobody and warned of nothing."""
        self.log.unlink(missing_ok=True)
        before = tree(self.root / "home", self.root / "cache", self.root / "here")
        done = self("bench", "--dry-run", *words, **self.watched)
        assert (done.returncode, done.stderr) == (0, "")
        assert tree(self.root / "home", self.root / "cache", self.root / "here") == before
        assert list((self.root / "tmp").iterdir()) == []
        writes = self.log.read_text().splitlines()
        assert writes, "the watch saw nothing at all"
        # mmengine reads configs from copies of its own in the temporary folder, which are gone by now; git is asked.
        scratch = f"'{self.root / 'tmp'}/"
        assert [line for line in writes if scratch not in line and line != "subprocess.Popen 'git'"] == []
        return done.stdout.splitlines()


@pytest.fixture
def machine(tmp_path: Path, toy_path: Path) -> Machine:
    return Machine(tmp_path, toy_path)


def test_where_nothing_is_here_it_says_what_would_be_made_and_fetched(machine: Machine) -> None:
    lines = machine.dry("--plugin", "seizure_i3d")
    assert lines[0].startswith("generate  seizure_i3d/synthetic, about ")
    assert lines[0].endswith(" MB")
    assert lines[1].startswith("fetch     weights i3d_rgb_kinetics400")
    assert lines[1].endswith(", 47 MB")
    assert "run       core/prior · synthetic · 5 folds, 1 seeds" in lines
    assert lines[-1] == "of data that are not here yet cells and times are not known"


def test_where_data_are_the_users_it_says_how_to_get_them(machine: Machine) -> None:
    lines = machine.dry("--plugin", "seizure_i3d", "--dataset", "recordings", "--preset", "paper")
    assert lines[0].startswith("get       seizure_i3d/recordings: ")
    assert "data import" in lines[0]


def test_where_all_is_here_it_tells_cells_that_are_reused_from_those_that_are_run_and_their_time(
    machine: Machine,
) -> None:
    assert machine("data", "prepare", "toy/blobs").returncode == 0
    assert [line.split()[0] for line in machine.dry("--plugin", "toy")] == ["run", "run", "2"]
    assert machine("bench", "--plugin", "toy").returncode == 0
    lines = machine.dry("--plugin", "toy", "--seeds", "2")
    assert [line.split()[0] for line in lines] == ["reuse", "reuse", "run", "run", "2"]
    assert lines[-1].startswith("2 cells to run, 2 reused; about ")
    assert lines[-1].endswith(" s by past attempts")
    fresh = machine.dry("--plugin", "toy", "--fresh", "--workers-per-device", "2")
    assert fresh[-1].startswith("2 cells to run, 0 reused; about ")
    assert "on 2 workers" in fresh[-1]
    kept = machine.dry("--plugin", "toy", "--keep", "weights")
    assert "changed   --keep asks for weights.pth, which was not kept" in kept
    as_json = machine("bench", "--plugin", "toy", "--dry-run", "--json")
    assert json.loads(as_json.stdout)[-1].startswith("0 cells to run, 2 reused")
