"""Claims on cells: the living are left alone, the dead are taken over, and a stranger's folder leads nowhere."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from helpers import begin, make_cell, make_record

from vidsuite_core.results import claims
from vidsuite_core.results.claims import CODE, OWNER, WORK
from vidsuite_core.results.store import LOG, PREDICTIONS, RESULT, Store, Workspace
from vidsuite_core.support.environment import process_space

CELL = make_cell()


@pytest.fixture
def runs(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


@pytest.fixture
def cell(runs: Store) -> Path:
    """The folder of CELL, which is there."""
    folder = runs.cell_folder(CELL.plugin, CELL.cell_id)
    folder.mkdir(parents=True)
    return folder


def claimed(runs: Store) -> bool:
    return runs.claimed(CELL.plugin, CELL.cell_id)


def orphan(cell: Path, owner: Any = None, name: str = ".tmp-orphan", code: str = "") -> Path:
    """A temporary folder with a checkpoint and half-written files; by default its owner is a dead process."""
    folder = cell / name
    (folder / WORK).mkdir(parents=True)
    (folder / WORK / "epoch_3.pth").write_bytes(b"weights")
    (folder / WORK / CODE).write_text(code)
    for leftover in (RESULT, PREDICTIONS, LOG, "core.1234"):
        (folder / leftover).write_text("half of")
    owner = {**process_space(), "pid": dead_pid(), "started": 0} if owner is None else owner
    (folder / OWNER).write_text(owner if isinstance(owner, str) else json.dumps(owner))
    return folder


def kept(workspace: Workspace) -> list[str]:
    """The checkpoints that a workspace goes on from."""
    return sorted(path.name for path in workspace.work.iterdir() if path.name != CODE)


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def aged(path: Path, seconds: float) -> Path:
    then = time.time() - seconds
    os.utime(path, (then, then))
    return path


def test_a_cell_is_claimed_while_its_owner_lives(runs: Store) -> None:
    assert not claimed(runs)
    workspace = begin(runs, CELL)
    assert claimed(runs)
    workspace.commit(make_record(CELL, workspace.attempt, status="failed"))
    assert not claimed(runs)


def test_a_claim_ends_with_its_process(runs: Store) -> None:
    code = (
        "import sys, time; from pathlib import Path; from vidsuite_core.results.store import Store\n"
        "Store(Path(sys.argv[1])).begin(sys.argv[2], sys.argv[3]); print('ready', flush=True); time.sleep(60)"
    )
    arguments = [sys.executable, "-c", code, str(runs.root), CELL.plugin, CELL.cell_id]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        assert claimed(runs)
        other.kill()
        while psutil.Process(other.pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        assert not claimed(runs)  # dead, though nobody has asked for its exit code yet


def test_the_dead_owners_checkpoints_are_taken_over_and_nothing_else(runs: Store, cell: Path) -> None:
    left = orphan(cell)
    assert not claimed(runs)
    workspace = runs.begin(CELL.plugin, CELL.cell_id)
    assert not left.exists()
    assert (workspace.work / "epoch_3.pth").read_bytes() == b"weights"
    assert sorted(path.name for path in workspace.path.iterdir()) == sorted([OWNER, WORK])
    assert claimed(runs)


@pytest.mark.parametrize("written", ["other code", ""])
def test_checkpoints_of_other_code_are_never_continued(runs: Store, cell: Path, written: str) -> None:
    left = orphan(cell, code=written)
    workspace = runs.begin(CELL.plugin, CELL.cell_id, "this code")
    assert not left.exists()
    assert kept(workspace) == []
    workspace.discard()
    left = orphan(cell, code="this code")
    assert kept(runs.begin(CELL.plugin, CELL.cell_id, "this code")) == ["epoch_3.pth"]


def test_checkpoints_of_an_unknown_origin_are_never_continued(runs: Store, cell: Path) -> None:
    (orphan(cell) / WORK / CODE).unlink()
    assert kept(runs.begin(CELL.plugin, CELL.cell_id)) == []


def test_of_several_orphans_that_of_the_same_code_is_continued(runs: Store, cell: Path) -> None:
    for name in ("a", "b", "c"):
        orphan(cell, name=f".tmp-{name}", code="this code" if name == "b" else name)
    assert kept(runs.begin(CELL.plugin, CELL.cell_id, "this code")) == ["epoch_3.pth"]


def test_an_attempt_that_begins_anew_continues_nothing(runs: Store, cell: Path) -> None:
    left = orphan(cell, code="this code")
    workspace = runs.begin_anew(CELL.plugin, CELL.cell_id, "this code")
    assert not left.exists()
    assert kept(workspace) == []


def test_a_living_owners_folder_is_left_alone(runs: Store) -> None:
    first, second = begin(runs, CELL), begin(runs, CELL)
    assert first.path != second.path
    assert first.path.is_dir()


def test_of_many_that_want_one_orphan_one_gets_it_and_all_get_a_folder(runs: Store, cell: Path) -> None:
    orphan(cell)
    barrier, found = threading.Barrier(8), []

    def work() -> None:
        barrier.wait()
        found.append(runs.begin(CELL.plugin, CELL.cell_id))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert all((workspace.path / OWNER).is_file() for workspace in found)
    assert sum((workspace.work / "epoch_3.pth").is_file() for workspace in found) == 1


def test_losing_an_orphan_to_another_just_after_taking_it(
    runs: Store, cell: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orphan(cell)
    claim = claims.claim

    def stolen(temporary: Path) -> None:
        monkeypatch.setattr(claims, "claim", claim)
        temporary.rename(cell / ".tmp-thief")
        claim(temporary)

    monkeypatch.setattr(claims, "claim", stolen)
    workspace = runs.begin(CELL.plugin, CELL.cell_id)
    assert (workspace.path / OWNER).is_file()
    assert kept(workspace) == []
    assert (cell / ".tmp-thief" / WORK).is_dir()


def test_a_folder_that_another_took_over_in_the_meantime_is_put_back(runs: Store, cell: Path) -> None:
    theirs = begin(runs, CELL)  # found dead a moment ago, and alive by now
    assert claims.take_over(theirs.path, cell / ".tmp-ours", "") is False
    assert (theirs.path / LOG).is_file()
    assert list(cell.iterdir()) == [theirs.path]


class Clock:
    """The clock that nobody sets, as the tests set it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(claims.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(claims, "_seen", {})


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


ELSEWHERE = [{"host": "elsewhere"}, {"boot": "another"}, {"processes": "pid:[1]"}]
"""Places whose processes cannot be seen from here: another machine, another boot, another container of one name."""


@pytest.mark.parametrize("place", ELSEWHERE)
@pytest.mark.parametrize("ahead", [0, 7200, -7200])
def test_an_owner_that_cannot_be_seen_lives_while_it_gives_signs_of_life_whatever_the_clocks_say(
    runs: Store, cell: Path, clock: Clock, place: dict[str, str], ahead: float
) -> None:
    """Its process number is that of a dead process here, and its clock may be ahead or behind."""
    folder = orphan(cell, {**process_space(), **place, "pid": dead_pid(), "started": 0})
    for beat in range(40):
        aged(folder / OWNER, ahead - beat)
        for _ in range(4):
            assert claimed(runs)
            clock.now += 15


@pytest.mark.parametrize("place", ELSEWHERE)
@pytest.mark.parametrize(
    ("silent", "wait"), [(100_000, claims.QUIET), (-100_000, claims.QUIET), (0, claims.STALE_AFTER)]
)
def test_an_owner_that_cannot_be_seen_is_dead_once_it_gave_none_for_long(
    runs: Store, cell: Path, clock: Clock, place: dict[str, str], silent: float, wait: float
) -> None:
    folder = orphan(cell, {**process_space(), **place, "pid": os.getpid(), "started": claims._started(os.getpid())})
    aged(folder / OWNER, silent)
    assert claimed(runs)
    clock.now += wait - 1
    assert claimed(runs)
    clock.now += 1
    assert not claimed(runs)
    assert kept(runs.begin(CELL.plugin, CELL.cell_id)) == ["epoch_3.pth"]


def test_a_step_of_the_clock_takes_no_cell_from_its_living_owner(runs: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(runs, CELL)
    real = time.time
    for step in (-86_400, 86_400, 10**8):
        monkeypatch.setattr(time, "time", lambda step=step: real() + step)
        monkeypatch.setattr(psutil, "boot_time", lambda step=step: step)  # which psutil counts from
        assert claimed(runs)


@pytest.mark.skipif(shutil.which("unshare") is None, reason="no unshare to make a space of process numbers with")
def test_a_container_of_the_same_host_name_takes_no_cell_from_its_living_owner(runs: Store) -> None:
    begin(runs, CELL)
    code = (
        "import sys; from pathlib import Path; from vidsuite_core.results.store import Store\n"
        "print(Store(Path(sys.argv[1])).claimed(sys.argv[2], sys.argv[3]))"
    )
    command = ["unshare", "--fork", "--pid", "--mount-proc", sys.executable, "-c", code]
    done = subprocess.run([*command, str(runs.root), CELL.plugin, CELL.cell_id], capture_output=True, text=True)
    if "unshare" in done.stderr:
        pytest.skip("making a space of process numbers is not permitted here")
    assert done.stdout == "True\n", done.stderr


def test_the_job_side_can_claim_and_beat(runs: Store) -> None:
    workspace = begin(runs, CELL)
    code = (
        "import sys, time; from pathlib import Path; from vidsuite_core.results.store import Workspace\n"
        "Workspace(Path(sys.argv[1]), '').claim(); print('ready', flush=True); time.sleep(60)"
    )
    arguments = [sys.executable, "-c", code, str(workspace.path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout is not None
        assert job.stdout.readline() == "ready\n"
        assert json.loads((workspace.path / OWNER).read_text())["pid"] == job.pid
        assert claimed(runs)
        job.kill()
        job.wait()
        assert not claimed(runs)


def test_a_heartbeat_keeps_it_alive_and_a_lost_folder_does_not_stop_it(runs: Store) -> None:
    workspace = begin(runs, CELL)
    aged(workspace.path / OWNER, 10_000)
    workspace.heartbeat()
    assert time.time() - (workspace.path / OWNER).stat().st_mtime < 60
    shutil.rmtree(runs.root)
    workspace.heartbeat()
    with pytest.raises(OSError, match="No such file"):
        workspace.commit(make_record(CELL, workspace.attempt))


def test_a_folder_just_made_is_claimed_though_its_owner_is_not_written_yet(runs: Store, cell: Path) -> None:
    folder = cell / ".tmp-new"
    folder.mkdir()
    assert claimed(runs)
    aged(folder, 60)
    assert not claimed(runs)


def test_another_process_with_the_dead_ones_number_is_not_the_owner(runs: Store, cell: Path) -> None:
    orphan(cell, {**process_space(), "pid": os.getpid(), "started": claims._started(os.getpid()) - 1})
    assert not claimed(runs)


@pytest.mark.parametrize(
    "owner",
    [
        "[]", "null", "5", '"text"', "{}", "[" * 4000, '{"host": NaN}',
        *({**process_space(), "pid": pid, "started": 0} for pid in (-1, 0, 2**70, "1", None, 1.5, [1])),
        {**process_space(), "pid": os.getpid(), "started": "noon"},
        {**process_space(), "pid": os.getpid()},
        {"host": "elsewhere", "pid": -1},
    ],
)  # fmt: skip
def test_an_owner_file_of_any_content_is_that_of_nobody(runs: Store, cell: Path, owner: Any) -> None:
    folder = orphan(cell, owner)
    aged(folder / OWNER, 10_000)
    aged(folder, 60)
    assert not claimed(runs)
    assert kept(runs.begin(CELL.plugin, CELL.cell_id)) == ["epoch_3.pth"]


def test_a_linked_temporary_folder_is_not_ours_to_clear(runs: Store, cell: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    for name in (LOG, "config.py", OWNER):
        (victim / name).write_text("precious")
    aged(victim, 60)
    (cell / ".tmp-trap").symlink_to(victim)
    workspace = runs.begin(CELL.plugin, CELL.cell_id)
    workspace.commit(make_record(CELL, workspace.attempt, status="failed"))
    assert {path.name: path.read_text() for path in victim.iterdir()} == dict.fromkeys(
        (LOG, "config.py", OWNER), "precious"
    )


@pytest.mark.parametrize("name", [OWNER, LOG, WORK, f"{WORK}/last_checkpoint", f"{WORK}/deep/epoch_4.pth"])
def test_an_orphan_with_a_link_in_it_is_thrown_away_unfollowed(
    runs: Store, cell: Path, tmp_path: Path, name: str
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    folder = orphan(cell)
    link = folder / name
    link.parent.mkdir(exist_ok=True)
    shutil.rmtree(link) if link.is_dir() else link.unlink(missing_ok=True)
    link.symlink_to(victim)
    aged(folder, 60)
    workspace = runs.begin(CELL.plugin, CELL.cell_id)
    assert kept(workspace) == []
    assert victim.read_text() == "precious"
    assert list(cell.iterdir()) == [workspace.path]


def test_an_owner_that_is_a_pipe_does_not_block(runs: Store, cell: Path) -> None:
    folder = orphan(cell)
    (folder / OWNER).unlink()
    os.mkfifo(folder / OWNER)
    aged(folder, 60)
    assert not claimed(runs)
    assert kept(runs.begin(CELL.plugin, CELL.cell_id)) == ["epoch_3.pth"]


def test_no_space_while_taking_over_keeps_the_checkpoints(
    runs: Store, cell: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orphan(cell)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(claims, "write_synced", full)
        runs.begin(CELL.plugin, CELL.cell_id)
    for left in cell.iterdir():
        aged(left, 60)
    workspace = runs.begin(CELL.plugin, CELL.cell_id)
    assert (workspace.work / "epoch_3.pth").read_bytes() == b"weights"
