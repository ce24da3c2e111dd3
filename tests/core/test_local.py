"""The local executor: warm workers, replaced when they die, given up when they do not start."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest
from jobs import CPU, GPUS, Queue, gone, run, until

from vidsuite_core.results.claims import OWNER
from vidsuite_core.runner import place, process
from vidsuite_core.runner.devices import shared_out
from vidsuite_core.runner.executor import Job
from vidsuite_core.runner.stop import BY_USER
from vidsuite_core.support.environment import host_hash


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [*map(str, Path(__file__).parents[:2]), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))


def test_one_warm_worker_runs_many_cells_each_in_a_process_of_its_own_and_ends_with_them(tmp_path: Path) -> None:
    queue = Queue(tmp_path, ["work"] * 3)
    events = run(queue).events
    assert [queue.of(name) for name in "012"] == [("ok", "")] * 3
    workers = {queue.outcomes[name]["details"]["worker"] for name in "012"}
    assert len(workers) == 1
    assert len({queue.outcomes[name]["details"]["pid"] for name in "012"} - workers) == 3
    assert gone(workers.pop())
    assert [event.what for event in events] == ["starting worker", "work", "work", "work"]


def test_cells_of_another_kind_get_another_worker(tmp_path: Path) -> None:
    queue = Queue(tmp_path, ["work"] * 4, codes=["ours", "ours", "theirs", "ours"])
    run(queue)
    workers = [queue.outcomes[name]["details"]["worker"] for name in "0123"]
    assert workers[0] == workers[1]
    assert len(set(workers)) == 3


def test_each_slot_has_a_worker_that_sees_its_device_alone(tmp_path: Path) -> None:
    queue = Queue(tmp_path, ["work"] * 6, pause=0.05)
    run(queue, GPUS)
    seen = {(o["details"]["worker"], o["details"]["visible"]) for o in queue.outcomes.values()}
    assert {visible for _, visible in seen} <= {"GPU-0", "GPU-1"}
    assert len(seen) == len({worker for worker, _ in seen})


def test_a_cell_without_a_gpu_sees_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    queue = Queue(tmp_path, ["work"])
    run(queue)
    assert queue.outcomes["0"]["details"]["visible"] == ""


def test_a_worker_that_dies_fails_its_cell_and_is_replaced(tmp_path: Path) -> None:
    queue = Queue(tmp_path, ["work", "kill_worker", "work"])
    run(queue)
    assert queue.of("1") == ("failed", "its worker ended with signal SIGKILL")
    assert queue.of("0") == queue.of("2") == ("ok", "")
    assert len({queue.outcomes[name]["details"]["worker"] for name in "02"}) == 2


BAD_STARTS = {
    "raise": "RuntimeError: no driver for this device",
    "exit": "it ended with exit code 7 and said nothing",
    "kill": "it ended with signal SIGKILL and said nothing",
    "garbage": "it said what is no message: b'hello'",
}


@pytest.mark.parametrize("start", BAD_STARTS)
def test_a_worker_that_never_starts_gives_its_job_back_and_what_is_left_is_not_run_for_the_true_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    monkeypatch.setenv("TINY_START", start)
    queue = Queue(tmp_path, ["work"] * 3)
    heard = run(queue)
    assert queue.abandoned == f"no worker could be started: {BAD_STARTS[start]}"
    assert queue.given_back == 1
    assert queue.outcomes == {}
    assert len(queue.waiting) == 3
    assert len(heard.events) == 3


@pytest.mark.parametrize("start", BAD_STARTS)
def test_a_worker_that_dies_once_while_it_starts_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    monkeypatch.setenv("TINY_START", f"once: {start}")
    monkeypatch.setenv("TINY_MARK", str(tmp_path / "mark"))
    queue = Queue(tmp_path, ["work"] * 3)
    heard = run(queue)
    assert [queue.of(name) for name in "012"] == [("ok", "")] * 3
    assert heard.events[1].what == f"starting worker again, since {BAD_STARTS[start]}"


def test_a_worker_that_is_not_ready_in_time_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINY_START", "hang")
    queue = Queue(tmp_path, ["work"])
    run(queue, start_timeout=1)
    assert queue.abandoned == "no worker could be started: it was not ready after 1 s"


@pytest.mark.parametrize("closed", [(0,), (0, 1), (0, 1, 2)])
def test_closed_standard_streams_harm_no_worker(tmp_path: Path, closed: tuple[int, ...]) -> None:
    code = (
        "import os, sys, json; from pathlib import Path; import test_local as t\n"
        f"for number in {closed}: os.close(number)\n"
        "queue = t.Queue(Path(sys.argv[1]), ['work', 'say']); t.run(queue)\n"
        "found = [queue.of(name) for name in '01']\n"
        "Path(sys.argv[1], 'found.json').write_text(json.dumps(found))\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert json.loads((tmp_path / "found.json").read_text()) == [["ok", ""]] * 2


def test_a_python_that_cannot_be_run_is_a_worker_that_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no_python"))
    queue = Queue(tmp_path, ["work"])
    run(queue)
    assert queue.abandoned == "no worker could be started: No such file or directory"


def test_a_slot_that_cannot_start_leaves_its_job_to_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINY_START", "raise on GPU-0")
    queue = Queue(tmp_path, ["work"] * 3)
    run(queue, GPUS)
    assert queue.abandoned == ""
    assert {o["details"]["visible"] for o in queue.outcomes.values()} == {"GPU-1"}
    assert len(queue.outcomes) == 3
    assert queue.given_back == 1


def test_modules_in_the_users_folder_do_not_stand_in_for_the_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "queue.py").write_text("raise SystemExit('the wrong queue')")
    monkeypatch.chdir(tmp_path)
    queue = Queue(tmp_path / "runs", ["work"])
    run(queue)
    assert queue.of("0") == ("ok", "")


def test_ctrl_c_keeps_the_cell_under_way_as_interrupted(tmp_path: Path) -> None:
    queue = Queue(tmp_path, ["hang", "work"])

    def press() -> None:
        until(lambda: bool(queue.pids("0")))
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press).start()
    with pytest.raises(KeyboardInterrupt):
        run(queue)
    assert queue.of("0") == ("interrupted", "told to stop while it ran; the same command goes on")
    assert queue.stop.why == BY_USER
    assert set(queue.outcomes) == {"0"}
    until(lambda: all(gone(pid) for pid in queue.pids("0")))


def test_a_fault_of_our_own_comes_out_and_leaves_no_process(tmp_path: Path) -> None:
    queue = Queue(tmp_path, ["work", "work"])
    pids = []

    def broken(job: Job, outcome: dict[str, Any]) -> None:
        pids.append(outcome["details"]["pid"])
        raise ZeroDivisionError("a bug")

    queue.finish = broken  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError, match="a bug"):
        run(queue)
    assert len(pids) == 1
    assert gone(pids[0])


def test_a_worker_ends_itself_and_its_children_when_the_main_process_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import test_local as t\n"
        "t.run(t.Queue(Path(sys.argv[1]), ['hang'], timeout=None))\n"
    )
    main = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    queue = Queue(tmp_path, [])
    until(lambda: len(queue.pids("0")) == 2)
    worker, child = (psutil.Process(pid) for pid in queue.pids("0"))
    assert worker.is_running()
    main.kill()
    main.wait()
    until(lambda: gone(worker.pid) and gone(child.pid))


def test_a_worker_ends_itself_when_the_main_process_dies_in_the_middle_of_an_order() -> None:
    read, write = os.pipe()
    answer_read, answer_write = os.pipe()
    worker = subprocess.Popen(
        [sys.executable, "-P", "-m", "tiny_worker", str(read), str(answer_write), ""],
        pass_fds=(read, answer_write),
        start_new_session=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        stderr=subprocess.DEVNULL,
    )
    os.close(read)
    os.close(answer_write)
    assert b"ready" in os.read(answer_read, 4096)
    os.write(write, b'{"kind": "order", "order": {')
    os.close(write)
    assert worker.wait(20) == -signal.SIGKILL
    os.close(answer_read)


def test_a_job_can_run_on_its_own_claimed_and_kept_alive_by_the_place_where_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on another machine: the process that took the job is gone, and no pipe leads to it."""
    monkeypatch.setattr(process, "HEARTBEAT", 0.1)
    job = Queue(tmp_path, ["linger"]).take(lambda: False)
    assert job is not None
    owner = job.workspace.path / OWNER
    owner.write_text(json.dumps({"host": "elsewhere", "pid": 1, "started": 0, "token": "taken"}))
    steps, beats = [], set()

    def report(what: str, done: int, total: int) -> None:
        steps.append((what, done, total))
        beats.add(owner.stat().st_mtime_ns)

    outcome = place.run_order(job.order, report, timeout=60, module="tiny_worker")
    assert outcome["status"] == "ok"
    assert steps[:2] == [("starting worker", 0, 0), ("linger", 0, 1)]
    assert len(beats) > 2
    told = json.loads(owner.read_text())
    assert (told["pid"], told["host"]) == (os.getpid(), host_hash())
    assert outcome["hardware"]["host"] == host_hash()
    assert "python" in outcome["software"]


def test_processors_are_divided_among_workers_so_that_none_fight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = sorted(os.sched_getaffinity(0))
    slots = shared_out(GPUS, 1)
    assert [slot.name for slot in slots] == ["cuda:0", "cuda:1"]
    queue = Queue(tmp_path, ["work"] * 6, pause=0.05)
    run(queue, slots)
    shares = {tuple(o["details"]["processors"]) for o in queue.outcomes.values()}
    assert sorted(number for share in shares for number in share) == mine or len(mine) < 2
    assert {o["hardware"]["cores"] for o in queue.outcomes.values()} == {len(mine)}
    run(alone := Queue(tmp_path / "alone", ["work"]), shared_out([CPU], 1))
    assert alone.outcomes["0"]["details"]["processors"] == mine
