"""Runs on a disk that takes nothing, and under a clock that jumps back."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from helpers import clip_arrays, core_suite, keep
from planned_runs import CELLS, FAILED, Run, good
from test_cli_results import Command, vidsuite  # noqa: F401 (a fixture)

from vidsuite_core.results import store
from vidsuite_core.results.store import PREDICTIONS, RESULT, Attempt, Store
from vidsuite_core.results.summary import measured_rows
from vidsuite_core.runner.control import Control, Steps
from vidsuite_core.runner.executor import Job


def test_a_read_only_run_folder_is_told_cell_by_cell_and_what_is_there_is_reused(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        Run(disk, cells=CELLS[:1]).go()
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        run = Run(disk)
        schedule = run.schedule()
        with Control(disk, schedule, Steps(run), "vidsuite bench", 1, len(CELLS)):  # type: ignore[arg-type]
            schedule.look_back()
            assert schedule.take(lambda: False) is None
        assert [outcome.reused for outcome in run.outcomes] == [True, False, False]
        assert all("Read-only file system" in outcome.problem for outcome in run.outcomes[1:])
        assert len(list(Store(disk).everything())) == 1
    finally:
        subprocess.run(["umount", str(disk)], check=True)


class Back:
    """A clock that is a day earlier at each look."""

    looks = 0

    @classmethod
    def now(cls, zone: Any = None) -> datetime:
        cls.looks += 1
        return datetime.now(UTC) - timedelta(days=cls.looks)


def test_a_clock_that_jumps_back_loses_nothing_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails_at_first(job: Job) -> dict[str, Any]:
        return good(job) if Run(tmp_path).cells[0] != job.cell else dict(FAILED)

    assert [outcome.ok for outcome in Run(tmp_path, answer=fails_at_first).go().outcomes] == [False, True, True]
    monkeypatch.setattr(store, "datetime", Back)
    again = Run(tmp_path).go()
    assert (again.ran, sorted(again.reused)) == (["0"], ["1", "2"])
    assert Back.looks
    assert Run(tmp_path).go().ran == []
    attempts = [entry for entry in Store(tmp_path).everything() if isinstance(entry, Attempt)]
    assert len(attempts) == 4
    (row, *_) = measured_rows(core_suite(), attempts)
    assert (row.done, row.expected, row.problems) == (3, 3, ())


@pytest.mark.parametrize("name", [RESULT, PREDICTIONS])
@pytest.mark.parametrize("how", ["half", "edited"])
def test_verify_says_which_file_is_cut_or_edited(
    tmp_path: Path,
    vidsuite: Command,  # noqa: F811
    name: str,
    how: str,
) -> None:
    whole, spoilt = (keep(Store(tmp_path), cell, clip_arrays(cell.fold)) for cell in CELLS[:2])
    path = spoilt.path / name
    content = path.read_bytes()
    if how == "half":
        path.write_bytes(content[: len(content) // 2])
    elif name == RESULT:
        path.write_text(json.dumps({**json.loads(content), "classes": ["a", "b", "c"]}))
    else:
        path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    done = vidsuite("verify", tmp_path)
    assert done.code == 1
    assert str(spoilt.path) in done.out
    assert str(whole.path) not in done.out
