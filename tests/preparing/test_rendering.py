"""Work in processes of its own: reports as they are made, failures with their reason, and nothing left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.preparing.processes import clear_left_behind, in_processes

WORK = f"{Path(__file__).stem}:double"


def double(job):
    """What the processes do here; they find this module by the tests' own path."""
    if "print" in job:
        print("no report")
    if "warn" in job:
        os.write(2, b"a warning\n" * 20_000)
    if "long" in job:
        yield "x" * job["long"]
    if "fail" in job:
        raise ValueError("the reason")
    if "die" in job:
        os.kill(os.getpid(), signal.SIGKILL)
    if "wait" in job:
        yield os.getpid()
        time.sleep(job["wait"])
    yield job.get("n", 0) * 2


@pytest.fixture(autouse=True)
def _on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_every_job_is_done_once(workers: int) -> None:
    assert sorted(in_processes(WORK, [{"n": n} for n in range(7)], workers)) == [0, 2, 4, 6, 8, 10, 12]
    assert list(in_processes(WORK, [], workers)) == []


def test_warnings_beyond_what_a_pipe_holds_stop_nobody() -> None:
    """A pipe that nobody reads before the end holds 64 KiB, and then its writer waits."""
    jobs = [{"n": n, "warn": True, "print": True} for n in range(4)]
    assert sorted(in_processes(WORK, jobs, 2)) == [0, 2, 4, 6]


def test_long_reports_of_two_processes_do_not_mix() -> None:
    found = [one for one in in_processes(WORK, [{"long": 300_000}] * 6, 3) if one]
    assert found == ["x" * 300_000] * 6


def test_a_failure_is_told_in_its_own_last_line() -> None:
    with pytest.raises(VidsuiteError, match=r"rendering wards failed with code 1: ValueError: the reason\Z"):
        list(in_processes(WORK, [{"n": 1}, {"fail": True, "warn": True}], 2, "rendering wards"))
    with pytest.raises(VidsuiteError, match=r"rendering failed with code -9: the process was killed\Z"):
        list(in_processes(WORK, [{"n": 1}, {"die": True}], 2))


def test_who_stops_early_leaves_no_process_behind() -> None:
    reports = in_processes(WORK, [{"wait": 60}, {"wait": 60}], 2)
    pids = [next(reports), next(reports)]
    reports.close()
    assert not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" for pid in pids)


def test_processes_end_after_the_one_that_they_worked_for(tmp_path: Path) -> None:
    code = (
        f"from vidsuite_core.preparing.processes import in_processes\n"
        f"for pid in in_processes({WORK!r}, [{{'wait': 1}}] * 4, 2):\n    print(pid, flush=True)\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=env) as parent:
        assert parent.stdout
        pids = [int(parent.stdout.readline()) for _ in range(2)]
        parent.kill()
    deadline = time.monotonic() + 30
    while any(map(psutil.pid_exists, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(psutil.pid_exists, pids))


def test_only_what_dead_processes_left_is_cleared(tmp_path: Path) -> None:
    code = "from vidsuite_core.support.paths import atomic_folder; import os, pathlib, sys\n"
    code += "with atomic_folder(pathlib.Path(sys.argv[1])) as folder: os._exit(0)"
    folder = tmp_path / "new"
    clear_left_behind(folder)
    subprocess.run([sys.executable, "-c", code, str(folder / "made")], check=True)
    (folder / "mine").mkdir()
    assert len(list(folder.iterdir())) == 2
    clear_left_behind(folder)
    assert [path.name for path in folder.iterdir()] == ["mine"]
