"""A run that is killed at any instant leaves whole attempts only, and none that it had reported is missing."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from helpers import begin, clip_arrays, keep, make_cell, make_record

from vidsuite_core.results.store import PREDICTIONS, Attempt, Store, write_predictions

KILLS, MANY = 30, int(os.environ.get("VIDSUITE_KILLS", "1000"))
CELLS = [make_cell(fold=fold) for fold in ("0", "1")]


def commit_for_ever(root: Path, reports: Connection) -> None:
    """Commit attempts and report each once it is kept, until killed.

    The disk is a slow one, so that the instants between two steps are long enough to be hit.
    """
    fsync = os.fsync

    def slowly(handle: int) -> None:
        time.sleep(0.002)
        fsync(handle)
        time.sleep(0.002)

    os.fsync = slowly
    store = Store(root)
    number = os.getpid()
    while True:
        number += 1
        cell = CELLS[number % len(CELLS)]
        workspace = begin(store, cell)
        workspace.work.mkdir(exist_ok=True)
        (workspace.work / f"epoch_{number}.pth").write_bytes(b"weights" * 1000)
        write_predictions(workspace.path / PREDICTIONS, clip_arrays(cell.fold, seed=number))
        reports.send(workspace.commit(make_record(cell, workspace.attempt)).path)


def killed_after(seconds: float, root: Path) -> list[Path]:
    """Paths that a process reported before it was killed `seconds` after its first."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["helpers", "psutil", "vidsuite_core.results.record"])
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=commit_for_ever, args=(root, theirs), daemon=True)
    process.start()
    theirs.close()
    reported = [ours.recv()]
    time.sleep(seconds)
    process.kill()
    process.join()
    try:
        while True:
            reported.append(ours.recv())
    except (EOFError, OSError):  # the latter in the middle of a message
        return reported


@pytest.mark.parametrize("kills", [KILLS, pytest.param(MANY, marks=pytest.mark.slow)])
def test_killed_at_random_instants(tmp_path: Path, kills: int) -> None:
    chance = random.Random(kills)
    reported: list[Path] = []
    for _ in range(kills):
        reported += killed_after(chance.uniform(0, 0.1), tmp_path)
    store = Store(tmp_path)
    rows = list(store.everything())
    assert all(isinstance(row, Attempt) for row in rows), [row for row in rows if not isinstance(row, Attempt)]
    kept = {row.path for row in rows}
    assert set(reported) <= kept
    assert len(set(reported)) == len(reported)
    assert len(kept) <= len(reported) + kills  # of each process one may have been kept and not yet reported
    for row in rows:
        assert isinstance(row, Attempt)
        assert row.faulty_files() == []
        assert set(row.predictions()) == set(clip_arrays())
        assert sorted(path.name for path in row.path.iterdir()) == sorted(["result.json", *row.record.files])
    assert not any(store.claimed(cell.plugin, cell.cell_id) for cell in CELLS if not _just_left(store.root))
    assert keep(store, CELLS[0], clip_arrays()).faulty_files() == []


def _just_left(root: Path) -> bool:
    """Whether a process was killed before it could name itself as a folder's owner, which counts as alive a while."""
    return any(not (path / "owner.json").exists() for path in root.rglob(".tmp-*"))
