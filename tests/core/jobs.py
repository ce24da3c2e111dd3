"""Jobs for a worker without heavy libraries, and what comes of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from helpers import make_cell

from vidsuite_core.engine.order import Order
from vidsuite_core.results.store import Store
from vidsuite_core.runner.devices import Slot
from vidsuite_core.runner.executor import Event, Job, Resources
from vidsuite_core.runner.local import LocalExecutor
from vidsuite_core.runner.stop import Stop

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
    grace: float = 5
    codes: list[str] = field(default_factory=list)
    kind: str = "cpu: test"
    code: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.waiting = [(str(place), deed) for place, deed in enumerate(self.deeds)]
        self.lock = threading.Lock()
        self.taken: dict[str, str] = {}
        self.stop = Stop(grace=self.grace)

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
            score_key={}, task="", dataset="", weights={}, device="cpu", cost=False,
            code=self.codes[int(name)] if self.codes else "",
            root=str(self.root / f"{name}.pids"), options={"do": deed, **self.options}, folder=str(workspace.path),
        )  # fmt: skip
        return Job(make_cell(fold=name, device=self.kind), order, workspace, self.timeout, self.code, Stop(self.stop))

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


@dataclass
class Heard:
    """What an executor tells."""

    events: list[Event] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def say(self, line: str) -> None:
        self.said.append(line)

    def event(self, event: Event) -> None:
        self.events.append(event)


class TinyExecutor(LocalExecutor):
    worker_module = "tiny_worker"
    start_timeout = 60.0
    pauses = (0.05, 0.1)

    def __init__(self, slots: list[Slot], heard: Heard) -> None:
        super().__init__(Resources(), heard)
        self._slots = slots

    def slots(self) -> list[Slot]:
        return self._slots


def run(queue: Queue, slots: list[Slot] | None = None, start_timeout: float = 60) -> Heard:
    heard = Heard()
    executor = TinyExecutor(slots or [CPU], heard)
    executor.start_timeout = start_timeout
    executor.run(queue)
    return heard


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
