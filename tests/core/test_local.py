"""The local executor and the worker's end of its pipes, with cells that misbehave in every way a process can."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from helpers import make_cell

from vidsuite_core.engine.order import Order
from vidsuite_core.results.store import LOG, Store
from vidsuite_core.runner import process
from vidsuite_core.runner.devices import Slot
from vidsuite_core.runner.executor import Event, Job
from vidsuite_core.runner.local import LocalExecutor

CPU = Slot("cpu", "cpu: test", "", "fp32")
GPUS = [Slot(f"cuda:{n}", "cuda: test", f"GPU-{n}", "bf16") for n in range(2)]


@dataclass
class Queue:
    """Jobs that do what they are told, and what came of each."""

    root: Path
    deeds: list[str]
    timeout: float | None = 60
    options: dict[str, Any] = field(default_factory=dict)
    outcomes: dict[str, dict[str, Any]] = field(default_factory=dict)
    given_back: int = 0
    abandoned: str = ""
    pause: float = 0

    def __post_init__(self) -> None:
        self.waiting = [(str(place), deed) for place, deed in enumerate(self.deeds)]
        self.lock = threading.Lock()
        self.taken: dict[str, str] = {}

    def pids(self, name: str) -> list[int]:
        """What the cell wrote down of its process and its child's."""
        path = self.root / f"{name}.pids"
        return [int(text) for text in path.read_text().split()] if path.is_file() else []

    def take(self, stopped: Callable[[], bool]) -> Job | None:
        if self.taken:
            time.sleep(self.pause)
        with self.lock:
            if not self.waiting or stopped():
                return None
            name, deed = self.waiting.pop(0)
            self.taken[name] = deed
        workspace = Store(self.root).begin("paper", f"cell{name}")
        order = Order(
            score_key={}, task="", dataset="", weights={}, code="", device="cpu", cost=False,
            root=str(self.root / f"{name}.pids"), options={"do": deed, **self.options}, folder=str(workspace.path),
        )  # fmt: skip
        return Job(make_cell(fold=name), order, workspace, self.timeout)

    def give_back(self, job: Job) -> None:
        with self.lock:
            self.given_back += 1
            self.waiting.insert(0, (job.cell.fold, self.taken.pop(job.cell.fold)))

    def finish(self, job: Job, outcome: dict[str, Any]) -> None:
        self.outcomes[job.cell.fold] = {**outcome, "folder": job.workspace.path}

    def abandon(self, reason: str) -> None:
        self.abandoned = reason

    def of(self, name: str) -> tuple[str, str]:
        return self.outcomes[name]["status"], self.outcomes[name]["reason"]


class TinyExecutor(LocalExecutor):
    worker_module = "tiny_worker"
    start_timeout = 60.0


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [*map(str, Path(__file__).parents[:2]), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))


def run(queue: Queue, slots: list[Slot] | None = None, start_timeout: float = 60) -> list[Event]:
    events: list[Event] = []
    executor = TinyExecutor(slots or [CPU], events.append)
    executor.start_timeout = start_timeout
    executor.run(queue)
    return events


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def test_one_warm_worker_runs_many_cells_and_ends_with_them(tmp_path: Path) -> None:
    queue = Queue(tmp_path, ["work"] * 3)
    events = run(queue)
    assert [queue.of(name) for name in "012"] == [("ok", "")] * 3
    pids = {queue.outcomes[name]["details"]["pid"] for name in "012"}
    assert len(pids) == 1
    assert gone(pids.pop())
    assert [event.what for event in events] == ["starting worker", "work", "work", "work"]


def test_each_slot_has_a_worker_that_sees_its_device_alone(tmp_path: Path) -> None:
    queue = Queue(tmp_path, ["work"] * 6, pause=0.05)
    run(queue, GPUS)
    seen = {(o["details"]["pid"], o["details"]["visible"]) for o in queue.outcomes.values()}
    assert {visible for _, visible in seen} <= {"GPU-0", "GPU-1"}
    assert len(seen) == len({pid for pid, _ in seen})


def test_a_cell_without_a_gpu_sees_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    queue = Queue(tmp_path, ["work"])
    run(queue)
    assert queue.outcomes["0"]["details"]["visible"] == ""


@pytest.mark.parametrize(
    ("deed", "reason"),
    [
        ("kill", "the worker process was killed by signal SIGKILL"),
        ("signal", f"the worker process was killed by signal {signal.SIGRTMIN + 6}"),
        ("exit", "the worker process ended with exit code 3"),
        ("no_json", "the worker process ended with exit code 1: TypeError: Object of type set is not JSON"),
    ],
)
def test_a_worker_that_dies_fails_its_cell_and_is_replaced(tmp_path: Path, deed: str, reason: str) -> None:
    queue = Queue(tmp_path, ["work", deed, "work"])
    run(queue)
    assert queue.of("1")[0] == "failed"
    assert queue.of("1")[1].startswith(reason)
    assert queue.of("0") == queue.of("2") == ("ok", "")
    first, second = (queue.outcomes[name]["details"]["pid"] for name in "02")
    assert first != second


def test_a_cell_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    queue = Queue(tmp_path, ["hang", "work"], timeout=1.5)
    run(queue)
    assert queue.of("0") == ("timeout", "not finished after 2 s (see --timeout)")
    assert queue.of("1") == ("ok", "")
    until(lambda: all(gone(pid) for pid in queue.pids("0")))


def test_a_dead_worker_is_noticed_though_a_child_holds_its_pipes_open(tmp_path: Path) -> None:
    queue = Queue(tmp_path, ["kill_self_leaving_a_child", "work"])
    start = time.monotonic()
    run(queue)
    assert time.monotonic() - start < 20
    assert queue.of("0") == ("failed", "the worker process was killed by signal SIGKILL")
    assert queue.of("1") == ("ok", "")
    until(lambda: all(gone(pid) for pid in queue.pids("0")))


def test_a_worker_that_closes_its_pipes_and_stays_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_GRACE", 0.2)
    queue = Queue(tmp_path, ["close_pipes_and_hang", "work"])
    run(queue)
    assert [queue.of(name)[0] for name in "01"] == ["failed", "ok"]


def test_a_worker_that_dies_between_two_cells_costs_neither(tmp_path: Path) -> None:
    queue = Queue(tmp_path, ["die_later", "work"], pause=1)
    run(queue)
    assert [queue.of(name) for name in "01"] == [("ok", "")] * 2


def test_what_a_cell_prints_goes_to_its_log(tmp_path: Path) -> None:
    queue = Queue(tmp_path, ["say", "work"])
    run(queue)
    log = (queue.outcomes["0"]["folder"] / LOG).read_text()
    assert log == "hello from python\nhello from a child\nhello from stderr\n"
    assert (queue.outcomes["1"]["folder"] / LOG).read_text() == ""


def test_a_large_order_arrives_whole_and_many_messages_come_back(tmp_path: Path) -> None:
    queue = Queue(tmp_path, ["measure", "talk"], options={"load": "x" * 2_000_000})
    events = run(queue)
    assert queue.outcomes["0"]["details"]["length"] == 2_000_000
    assert [event.done for event in events if event.what == "step"] == list(range(1000))


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        ("raise", "RuntimeError: no driver for this device"),
        ("exit", "it ended with exit code 7 and said nothing"),
    ],
)
def test_a_worker_that_does_not_start_gives_its_job_back_and_all_are_abandoned_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: str, reason: str
) -> None:
    monkeypatch.setenv("TINY_START", start)
    queue = Queue(tmp_path, ["work"] * 3)
    run(queue)
    assert queue.abandoned == f"no worker could be started: {reason}"
    assert queue.given_back == 1
    assert queue.outcomes == {}
    assert len(queue.waiting) == 3


def test_a_worker_that_is_not_ready_in_time_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINY_START", "hang")
    queue = Queue(tmp_path, ["work"])
    run(queue, start_timeout=1)
    assert queue.abandoned == "no worker could be started: it was not ready after 1 s"


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
    assert queue.of("0") == ("interrupted", "stopped by the user; the same command goes on")
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
        [sys.executable, "-P", "-m", "tiny_worker", str(read), str(answer_write)],
        pass_fds=(read, answer_write),
        start_new_session=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        stderr=subprocess.DEVNULL,
    )
    os.close(read)
    os.close(answer_write)
    assert b"ready" in os.read(answer_read, 100)
    os.write(write, b'{"score_key": {')
    os.close(write)
    assert worker.wait(20) == -signal.SIGKILL
    os.close(answer_read)
