"""The schedule with jobs that run nothing: what is reused, run, waited for, given back, and kept."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import CODE, SOFTWARE, clip_arrays, make_cell
from planned_runs import CELLS, FAILED, Inline, Run, good, order

from vidsuite_core.results.claims import OUTCOME, disown
from vidsuite_core.results.store import LOG, PREDICTIONS, Store, Workspace, write_predictions
from vidsuite_core.runner import schedule as module
from vidsuite_core.runner.executor import Job
from vidsuite_core.support import environment


@pytest.fixture(autouse=True)
def same_software(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Software that the tests can change."""
    found = dict(SOFTWARE)
    monkeypatch.setattr(environment, "software", lambda: dict(found))
    monkeypatch.setattr(module, "_POLL", 0.02)
    return found


def test_cells_run_once_and_are_reused(tmp_path: Path) -> None:
    first = Run(tmp_path).go()
    assert (first.ran, first.reused) == (["0", "1", "2"], [])
    assert all(outcome.ok for outcome in first.outcomes)
    second = Run(tmp_path).go()
    assert (second.ran, second.reused, second.said) == ([], ["0", "1", "2"], [])
    assert [o.attempt for o in second.outcomes] == [o.attempt for o in first.outcomes]


def test_fresh_runs_them_all_and_keeps_the_old(tmp_path: Path) -> None:
    Run(tmp_path).go()
    assert Run(tmp_path, fresh=True).go().ran == ["0", "1", "2"]
    assert len(list(Store(tmp_path).everything())) == 6


@pytest.mark.parametrize("status", ["failed", "timeout", "out_of_memory", "interrupted"])
def test_what_did_not_end_well_is_kept_and_tried_again(tmp_path: Path, status: str) -> None:
    first = Run(tmp_path, answer=lambda job: {"status": status, "reason": "r"}).go()
    assert not any(outcome.ok for outcome in first.outcomes)
    assert [outcome.attempt.record.status for outcome in first.outcomes if outcome.attempt] == [status] * 3
    second = Run(tmp_path).go()
    assert (second.ran, second.reused) == (["0", "1", "2"], [])
    assert len(list(Store(tmp_path).everything())) == 6


def test_one_that_fails_leaves_the_others_alone(tmp_path: Path) -> None:
    run = Run(tmp_path, answer=lambda job: FAILED if job.cell.fold == "1" else good(job)).go()
    assert [outcome.ok for outcome in run.outcomes] == [True, False, True]
    again = Run(tmp_path).go()
    assert (again.ran, again.reused) == (["1"], ["0", "2"])


def test_a_record_says_what_was_planned_and_what_was_run(tmp_path: Path) -> None:
    def answer(job: Job) -> dict[str, Any]:
        (job.workspace.path / LOG).write_text("\n".join(f"line {n}" for n in range(100)))
        return {**FAILED, "warnings": ["another"], "phases": {"train": 1.5}}

    record = Run(tmp_path, CELLS[:1], answer).go().outcomes[0].attempt.record  # type: ignore[union-attr]
    assert record.warnings == ["a warning", "another"]
    assert record.log_end == [f"line {n}" for n in range(80, 100)]
    assert (record.score_id, record.cell_id) == (CELLS[0].score_id, CELLS[0].cell_id)
    assert (record.code, record.software, record.phases) == (CODE, SOFTWARE, {"train": 1.5})
    assert record.device == {"kind": "cpu: test", "count": 1}
    assert record.hardware == {"cores": 2}  # of the place where it ran


def test_other_software_runs_them_again_and_says_why_once(tmp_path: Path, same_software: dict[str, str]) -> None:
    Run(tmp_path).go()
    same_software["torch"] = "2.12.0"
    again = Run(tmp_path).go()
    assert again.ran == ["0", "1", "2"]
    assert again.said == ["running again what was run before, since these changed: software.torch: 2.11.0 -> 2.12.0"]
    same_software["torch"] = "2.11.0"
    assert Run(tmp_path).go().reused == ["0", "1", "2"]  # the older attempts are still good


def test_other_sources_run_them_again_and_another_version_of_the_same_does_not(tmp_path: Path) -> None:
    Run(tmp_path).go()
    moved = {"core": {**CODE["core"], "version": "2", "commit": "fff"}}
    assert Run(tmp_path, code=moved).go().reused == ["0", "1", "2"]
    changed = Run(tmp_path, code={"core": {**CODE["core"], "sources": "xyz"}}).go()
    assert changed.ran == ["0", "1", "2"]
    assert len(changed.said) == 1
    assert "code.core.sources: abc -> xyz" in changed.said[0]
    assert Run(tmp_path, code={**CODE, "plugin": CODE["core"]}).go().reused == []


def test_a_damaged_attempt_is_not_reused(tmp_path: Path) -> None:
    outcome = Run(tmp_path, CELLS[:1]).go().outcomes[0]
    assert outcome.attempt is not None
    (outcome.attempt.path / PREDICTIONS).write_bytes(b"overwritten")
    again = Run(tmp_path, CELLS[:1]).go()
    assert again.ran == ["0"]
    assert "damaged files" in again.said[0]


def test_another_config_is_another_cell(tmp_path: Path) -> None:
    Run(tmp_path).go()
    other = Run(tmp_path, [make_cell(fold="0", folds=3, config={"lr": 0.2})]).go()
    assert (other.ran, other.said) == (["0"], [])


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another living process that has begun the first cell; a line on its input makes it finish the cell."""
    code = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from pathlib import Path; import helpers, test_schedule as t\n"
        "store, cell = t.Store(Path(sys.argv[1])), t.CELLS[0]; workspace = helpers.begin(store, cell)\n"
        "print('ready', flush=True)\n"
        "if sys.stdin.readline():\n"
        "    job = t.Job(cell, None, workspace, None); fields = t.good(job)\n"
        "    workspace.commit(helpers.make_record(cell, workspace.attempt, **fields)); print('done', flush=True)\n"
    )
    arguments = [sys.executable, "-c", code, str(tmp_path), *map(str, Path(__file__).parents[:2])]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        yield other
        other.kill()


def in_background(run: Run) -> threading.Thread:
    thread = threading.Thread(target=run.go)
    thread.start()
    return thread


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def test_a_cell_that_another_process_runs_is_waited_for_and_then_reused(
    tmp_path: Path, elsewhere: subprocess.Popen[str]
) -> None:
    run = Run(tmp_path)
    thread = in_background(run)
    until(lambda: len(run.said) == 1)
    assert run.said == ["waiting for cells that another process is running"]
    assert run.ran == ["1", "2"]  # the others were not held up
    assert elsewhere.stdin is not None
    elsewhere.stdin.write("go on\n")
    elsewhere.stdin.flush()
    thread.join(20)
    assert not thread.is_alive()
    assert (run.ran, run.reused) == (["1", "2"], ["0"])
    assert len(run.said) == 1


def test_a_cell_whose_other_process_dies_is_run_here(tmp_path: Path, elsewhere: subprocess.Popen[str]) -> None:
    run = Run(tmp_path)
    thread = in_background(run)
    until(lambda: len(run.said) == 1)
    elsewhere.kill()
    thread.join(20)
    assert not thread.is_alive()
    assert (run.ran, run.reused) == (["1", "2", "0"], [])


def test_waiting_ends_when_the_run_is_stopped(tmp_path: Path, elsewhere: subprocess.Popen[str]) -> None:
    run, stop = Run(tmp_path, CELLS[:1]), threading.Event()
    schedule, taken = run.schedule(), []
    thread = threading.Thread(target=lambda: taken.append(schedule.take(stop.is_set)))
    thread.start()
    until(lambda: len(run.said) == 1)
    stop.set()
    thread.join(20)
    assert taken == [None]
    assert elsewhere.poll() is None


def test_an_attempt_that_cannot_be_written_is_a_problem_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = Workspace.commit

    def full(self: Workspace, record: Any) -> Any:
        if record.cell.fold == "1":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return commit(self, record)

    monkeypatch.setattr(Workspace, "commit", full)
    run = Run(tmp_path).go()
    assert [outcome.ok for outcome in run.outcomes] == [True, False, True]
    bad = run.outcomes[1]
    assert bad.attempt is None
    assert "could not be written below" in bad.problem
    assert "No space left on device" in bad.problem
    assert list(Store(tmp_path).cell_folder("paper", bad.cell.cell_id).iterdir()) == []


def test_a_run_folder_that_cannot_be_written_is_a_problem_of_each_cell(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file where the folder should be")
    run = Run(tmp_path / "runs").go()
    assert len(run.outcomes) == 3
    assert all("cannot write below" in outcome.problem for outcome in run.outcomes)
    assert run.ran == []


def test_a_job_given_back_is_the_next_one_and_leaves_no_folder(tmp_path: Path) -> None:
    run = Run(tmp_path)
    schedule = run.schedule()
    job = schedule.take(lambda: False)
    assert job is not None
    schedule.give_back(job)
    assert not job.workspace.path.exists()
    again = schedule.take(lambda: False)
    assert again is not None
    assert again.cell == job.cell
    schedule.finish(again, FAILED)
    assert [outcome.cell.fold for outcome in run.outcomes] == ["0"]


def test_what_is_left_when_no_slot_is_left_was_not_run_and_what_is_there_is_reused(tmp_path: Path) -> None:
    Run(tmp_path, CELLS[2:]).go()
    run = Run(tmp_path)
    schedule = run.schedule()
    job = schedule.take(lambda: False)
    assert job is not None
    schedule.finish(job, good(job))
    schedule.abandon("no worker could be started: it said boom")
    found = [(o.cell.fold, o.reused, o.ok, o.problem) for o in run.outcomes]
    assert found == [
        ("0", False, True, ""),
        ("1", False, False, "not run: no worker could be started: it said boom"),
        ("2", True, True, ""),
    ]
    assert schedule.take(lambda: False) is None
    assert len(list(Store(tmp_path).everything())) == 2


def test_many_threads_run_each_cell_once(tmp_path: Path) -> None:
    cells = [make_cell(fold=str(n), folds=20) for n in range(20)]
    run = Run(tmp_path, cells)
    schedule = run.schedule()
    threads = [threading.Thread(target=Inline(lambda job: FAILED).run, args=(schedule,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(run.ran, key=int) == [cell.fold for cell in cells]
    assert len(run.outcomes) == len(schedule.outcomes) == 20


def test_an_outcome_that_no_record_can_hold_fails_its_cell_alone(tmp_path: Path) -> None:
    odd = {"f1": {"value": 1, "unit": "", "direction": "sideways", "n": 1}}
    run = Run(tmp_path, answer=lambda job: {**good(job), **({"scores": odd} if job.cell.fold == "1" else {})}).go()
    assert [outcome.ok for outcome in run.outcomes] == [True, False, True]
    assert run.outcomes[1].attempt is not None
    assert "scores.f1.direction" in run.outcomes[1].attempt.record.reason


def test_checkpoints_are_continued_by_the_same_code_alone_and_never_where_all_begins_anew(tmp_path: Path) -> None:
    def stopped(job: Job) -> dict[str, Any]:
        (job.workspace.work / "epoch_1.pth").write_bytes(b"weights")
        return {"status": "interrupted", "reason": "r"}

    found: list[bool] = []

    def look(job: Job) -> dict[str, Any]:
        found.append((job.workspace.work / "epoch_1.pth").is_file())
        return FAILED

    for run in (Run(tmp_path), Run(tmp_path, identity="other code"), Run(tmp_path, fresh=True)):
        Run(tmp_path, CELLS[:1], stopped).go()
        run.cells, run.answer = CELLS[:1], look
        run.go()
    assert found == [True, False, False]


def left_by_a_dead_run(root: Path, identity: str, outcome: Any) -> Workspace:
    """A folder with a cell's predictions and outcome, as a job on another machine leaves it, whose owner is dead."""
    cell = CELLS[0]
    workspace = Store(root).begin(cell.plugin, cell.cell_id, identity)
    job = Job(cell, order(workspace.path), workspace, None)
    found = {**good(job), "hardware": {"cores": 64}, "software": dict(SOFTWARE)}
    (workspace.path / OUTCOME).write_text(json.dumps(found if outcome == "good" else outcome))
    disown(workspace.path)
    return workspace


def test_what_ended_elsewhere_after_its_run_was_gone_is_kept_and_not_run_again(tmp_path: Path) -> None:
    left_by_a_dead_run(tmp_path, "this code", "good")
    run = Run(tmp_path, CELLS[:1]).go()
    assert (run.ran, run.reused) == ([], [])
    attempt = run.outcomes[0].attempt
    assert attempt is not None
    assert attempt.record.status == "ok"
    assert attempt.record.hardware == {"cores": 64}
    assert run.said == ["taking what ended on other machines after an earlier run was gone"]
    assert not (attempt.path / OUTCOME).exists()
    assert Run(tmp_path, CELLS[:1]).go().reused == ["0"]


@pytest.mark.parametrize(
    ("identity", "outcome", "fresh"),
    [
        ("other code", "good", False),
        ("this code", FAILED, False),
        ("this code", ["no outcome"], False),
        ("this code", {"status": "ok", "reason": 3}, False),
        ("this code", "good", True),
    ],
)
def test_what_was_left_by_other_code_or_did_not_end_well_is_run_again(
    tmp_path: Path, identity: str, outcome: Any, fresh: bool
) -> None:
    left_by_a_dead_run(tmp_path, identity, outcome)
    run = Run(tmp_path, CELLS[:1], fresh=fresh).go()
    assert run.ran == ["0"]
    assert [one.ok for one in run.outcomes] == [True]
    assert not list(tmp_path.glob("*/*/.tmp-*"))


def test_left_predictions_that_do_not_give_the_left_scores_are_no_result(tmp_path: Path) -> None:
    workspace = left_by_a_dead_run(tmp_path, "this code", "good")
    write_predictions(workspace.path / PREDICTIONS, clip_arrays("1", skill=0.1, seed=5))
    outcome = Run(tmp_path, CELLS[:1]).go().outcomes[0]
    assert not outcome.ok
    assert outcome.attempt is not None
    assert outcome.attempt.record.reason.startswith("its predictions do not hold: ")
