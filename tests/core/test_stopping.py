"""Runs that are told to end: cells save what they have, all that is left out has a row, and twice means at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import click
import pytest
from helpers import clip_arrays, keep
from jobs import Queue, gone, run, until
from planned_runs import CELLS, Run, good, order

from vidsuite_core.cli.numbers import Duration
from vidsuite_core.cli.signals import ended_by_signals
from vidsuite_core.results.claims import WORK
from vidsuite_core.results.store import Attempt, Store
from vidsuite_core.runner.stop import BY_USER, Stop, Why

BUDGET = Why("timeout", "the budget was spent")


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [*map(str, Path(__file__).parents[:2]), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))


def when_begun(queue: Queue, act: object, name: str = "0") -> threading.Thread:
    def wait() -> None:
        until(lambda: bool(queue.pids(name)))
        act()  # type: ignore[operator]

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_a_cell_that_is_told_to_stop_saves_what_it_has_and_its_worker_is_not_lost(tmp_path: Path) -> None:
    queue = Queue(tmp_path, ["save", "work"])
    one = queue.stop
    taken = queue.take

    def take(stopped: object) -> object:
        job = taken(stopped)  # type: ignore[arg-type]
        if job is not None and job.cell.fold == "0":
            when_begun(queue, job.stop.set)
        return job

    queue.take = take  # type: ignore[method-assign,assignment]
    run(queue)
    assert queue.of("0") == ("interrupted", "saved")
    assert (queue.outcomes["0"]["folder"] / "saved").read_text() == "all"
    assert queue.of("1") == ("ok", "")  # only the one was stopped
    assert not one.is_set()


def test_one_that_has_not_saved_in_its_time_is_ended(tmp_path: Path) -> None:
    queue = Queue(tmp_path, ["save"], grace=1, options={"saving": 60})
    when_begun(queue, queue.stop.set)
    start = time.monotonic()
    run(queue)
    assert time.monotonic() - start < 30
    assert queue.of("0")[0] == "interrupted"
    assert not (queue.outcomes["0"]["folder"] / "saved").exists()
    assert all(gone(pid) for pid in queue.pids("0"))


def test_the_second_time_nobody_waits(tmp_path: Path) -> None:
    queue = Queue(tmp_path, ["save"], grace=300, options={"saving": 250})

    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGINT)

    when_begun(queue, twice)
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run(queue)
    assert time.monotonic() - start < 30
    assert queue.of("0") == ("interrupted", BY_USER.reason)
    assert all(gone(pid) for pid in queue.pids("0"))


def test_one_that_ends_well_when_it_is_told_is_well(tmp_path: Path) -> None:
    queue = Queue(tmp_path, ["finish_when_told"])
    when_begun(queue, queue.stop.set)
    run(queue)
    assert queue.of("0") == ("ok", "")


def test_what_fails_because_it_is_being_stopped_is_interrupted(tmp_path: Path) -> None:
    queue = Queue(tmp_path, ["fail_when_told"])
    when_begun(queue, queue.stop.set)
    run(queue)
    assert queue.of("0")[0] == "interrupted"


def test_a_stop_while_a_worker_starts_is_no_fault_of_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINY_START", "hang")
    queue = Queue(tmp_path, ["work", "work"])
    threading.Timer(1, queue.stop.set).start()
    run(queue)
    assert (queue.abandoned, queue.given_back, queue.outcomes) == ("", 1, {})


def test_children_of_a_cell_end_by_the_signal_as_usual(tmp_path: Path) -> None:
    queue = Queue(tmp_path, ["with_a_loader"])
    heard = run(queue)
    assert queue.of("0") == ("ok", "")
    assert [(event.what, event.done) for event in heard.events][-1] == ("child", 1)


def test_a_signal_to_all_processes_leaves_the_worker_to_tell(tmp_path: Path) -> None:
    """As Slurm sends it: the cell has it too, and first."""
    queue = Queue(tmp_path, ["save"])

    def to_all() -> None:
        (pid,) = queue.pids("0")
        worker = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(pid, signal.SIGTERM)
        os.kill(worker, signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)

    when_begun(queue, to_all)
    with pytest.raises(KeyboardInterrupt, match="SIGTERM"), ended_by_signals():
        run(queue)
    assert queue.of("0") == ("interrupted", "saved")
    assert queue.stop.why == Why("interrupted", "the run was told to end by SIGTERM; the same command goes on")


def test_ignored_signals_stay_ignored() -> None:
    code = (
        "import os, signal\nfrom vidsuite_core.cli.signals import ended_by_signals\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "with ended_by_signals():\n    os.kill(os.getpid(), signal.SIGHUP)\n"
        "    assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL\n"
        "assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL\n"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def statuses(root: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for attempt in Store(root).everything():
        assert isinstance(attempt, Attempt)
        found.setdefault(attempt.record.cell.fold, []).append(f"{attempt.record.status}: {attempt.record.reason}")
    return found


def test_when_the_budget_is_spent_every_cell_has_a_row_that_says_so(tmp_path: Path) -> None:
    run_ = Run(tmp_path)
    schedule = run_.schedule()
    keep(Store(tmp_path), CELLS[2], clip_arrays("2"), code={"core": {"version": "0", "sources": "older"}})
    first = schedule.take(lambda: False)
    assert first is not None
    (first.workspace.work / "iter_7.pth").write_bytes(b"weights")
    schedule.stop.set(BUDGET)
    assert first.stop.is_set()
    assert schedule.take(lambda: False) is None
    schedule.finish(first, {"status": "interrupted", "reason": "told to stop", "hardware": {}, "software": {}})
    schedule.leave_out("the budget was spent")
    found = statuses(tmp_path)
    assert found["0"] == ["timeout: the budget was spent"]
    assert found["1"] == ["skipped: the budget was spent"]
    assert sorted(found["2"]) == ["ok: ", "skipped: the budget was spent"]
    assert [outcome.ok for outcome in run_.outcomes] == [False] * 3
    assert [path.name for path in tmp_path.rglob("*.pth")] == ["iter_7.pth"]  # for the same command, which goes on
    again = Run(tmp_path).go()
    assert again.ran == ["0", "1", "2"]


def test_what_is_left_out_leaves_checkpoints_to_the_next_run(tmp_path: Path) -> None:
    store = Store(tmp_path)
    workspace = store.begin(CELLS[1].plugin, CELLS[1].cell_id, "this code")
    (workspace.work / "iter_7.pth").write_bytes(b"weights")
    owner = workspace.path / "owner.json"
    owner.write_text(owner.read_text().replace(f'"pid": {os.getpid()}', '"pid": -1'))
    run_ = Run(tmp_path)
    schedule = run_.schedule()
    schedule.stop.set(BUDGET)
    schedule.leave_out("the budget was spent")
    assert statuses(tmp_path)["1"] == ["skipped: the budget was spent"]
    again = Run(tmp_path)
    jobs = again.schedule()
    job = [jobs.take(lambda: False) for _ in CELLS][1]
    assert job is not None
    assert (job.workspace.path / WORK / "iter_7.pth").read_bytes() == b"weights"


def test_good_attempts_and_cells_of_others_are_not_left_out(tmp_path: Path) -> None:
    Run(tmp_path, cells=CELLS[:1]).go()
    other = Store(tmp_path).begin(CELLS[1].plugin, CELLS[1].cell_id)
    run_ = Run(tmp_path, answer=good)
    schedule = run_.schedule()
    schedule.leave_out("the budget was spent")
    assert [(o.reused, o.problem) for o in run_.outcomes] == [
        (True, ""), (False, "another process runs it, and the budget was spent"), (False, "")
    ]  # fmt: skip
    other.discard()
    assert order is not None


def test_a_stop_follows_that_of_its_run_and_the_first_reason_counts() -> None:
    whole = Stop(grace=7)
    one, other = Stop(whole), Stop(whole)
    assert one.grace == 7
    one.set()
    assert (one.is_set(), other.is_set(), whole.is_set()) == (True, False, False)
    whole.set(BUDGET)
    assert (one.why, other.why) == (BY_USER, BUDGET)
    assert not other.at_once
    whole.hurry()
    assert other.at_once
    assert other.wait(5)
    assert not Stop().wait(0.2)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2h", 7200), ("90m", 5400), ("1h30m", 5400), ("45s", 45), ("45", 45), ("1d", 86400), ("1h 30m", None),
     ("", None), ("0", None), ("-1h", None), ("h", None), ("2w", None), ("nan", None), ("9" * 30, None), ("٣h", None)],
)  # fmt: skip
def test_times_of_the_command_line(text: str, seconds: float | None) -> None:
    if seconds is None:
        with pytest.raises(click.BadParameter, match="is no time"):
            Duration().convert(text, None, None)
    else:
        assert Duration().convert(text, None, None) == seconds
