"""The schedule: which planned cell is run next, which is taken from the store, and what came of each."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidsuite_core.results.cell import Cell
from vidsuite_core.results.store import PREDICTIONS, Attempt, Store, Workspace
from vidsuite_core.results.verification import unsound
from vidsuite_core.runner.executor import Job
from vidsuite_core.runner.forecast import Forecast, History, forecast, longest_first, whole_course
from vidsuite_core.runner.recording import failed_record, make_record, record_or_fault
from vidsuite_core.runner.reuse import reusable
from vidsuite_core.runner.stop import Stop, Why
from vidsuite_core.support import environment
from vidsuite_core.support.files import why

if TYPE_CHECKING:
    from vidsuite_core.engine.order import Order

_POLL = 0.5
ONE_CELL = Why("interrupted", "this cell was stopped by the user (vidsuite runs stop); the same command goes on")


@dataclass(frozen=True)
class Planned:
    """A cell with what running it takes.

    `code` tells whose sources decide its scores, and `identity` names these and the software (see `support.code`);
    `warnings` are known before it runs, as random initial weights. `speed` is the protocol by which an attempt must
    have measured what a prediction costs so as to be reused; "" for any, or none. `software` is that of the Python
    that runs it.
    """

    cell: Cell
    order: Callable[[Path], Order]
    code: Mapping[str, Any]
    identity: str
    timeout: float | None
    warnings: Sequence[str] = ()
    keep: Sequence[str] = ()
    speed: str = ""
    software: Mapping[str, str] = field(default_factory=lambda: environment.software())


@dataclass(frozen=True)
class Outcome:
    """What came of a cell: its attempt, and whether that is an earlier one.

    Without an attempt, it was not run, or what came of it could not be kept; `problem` says which, and why.
    """

    cell: Cell
    attempt: Attempt | None
    reused: bool = False
    problem: str = ""

    @property
    def ok(self) -> bool:
        """Whether the cell has scores, or predictions where labels are kept back."""
        return self.attempt is not None and self.attempt.record.status == "ok"


class Schedule:
    """Hands out cells as jobs (see `vidsuite_core.runner.executor.Jobs`) and keeps what comes of them.

    Args:
        started, finished: called from the threads that take and finish jobs.
        say: called with a line for the user.
        fresh: run cells even where an attempt could be reused.
        stop: once set, no more jobs are handed out; that of each job follows it.
    """

    def __init__(
        self,
        store: Store,
        planned: Sequence[Planned],
        started: Callable[[Cell], None],
        finished: Callable[[Outcome], None],
        say: Callable[[str], None],
        fresh: bool = False,
        stop: Stop | None = None,
    ) -> None:
        self.stop = stop or Stop()
        self.store = store
        self._waiting = deque(planned)
        self._running: dict[str, Planned] = {}
        self._began: dict[str, float] = {}
        self._history = History(store)
        self.begun = False
        """Whether it has looked back: what comes from now on takes time."""
        self._started, self._finished, self._say, self._fresh = started, finished, say, fresh
        self._lock = threading.Lock()
        self._told: set[str] = set()
        self._stops: dict[str, Stop] = {}
        self._bad: dict[str, Planned] = {}
        self.paused = False
        """Whether no job is handed out for now."""
        self.outcomes: list[Outcome] = []

    def look_back(self) -> None:
        """Keep what earlier attempts stand for, and put what is left in order: what takes longest first."""
        left = []
        while self._waiting:
            planned = self._waiting.popleft()
            attempt = None if self._fresh else self._reusable(planned)
            if attempt is None:
                left.append(planned)
            else:
                self._keep(Outcome(planned.cell, attempt, reused=True))
        self._waiting.extend(longest_first(left, self._history))
        self.begun = True

    def forecast(self, slots: int) -> Forecast:
        """How long the cells that are left, and those under way, will take on so many slots."""
        now = time.monotonic()
        with self._lock:
            running = [
                max(0.0, (self._history.expected(planned) or 0.0) - (now - self._began[attempt]))
                for attempt, planned in self._running.items()
            ]
            return forecast(list(self._waiting), self._history, slots, running)

    def take(self, stopped: Callable[[], bool]) -> Job | None:
        """See `Jobs.take`."""
        deferred = 0
        while not (stopped() or self.stop.is_set()):
            if self.paused:
                time.sleep(_POLL)
                continue
            with self._lock:
                if not self._waiting:
                    return None
                planned = self._waiting.popleft()
                left = len(self._waiting)
            job, claimed = self._try(planned)
            if job is not None:
                return job
            if claimed:
                with self._lock:
                    self._waiting.append(planned)
                deferred += 1
                if deferred > left:
                    deferred = 0
                    self._tell("waiting for cells that another process is running")
                    time.sleep(_POLL)
        return None

    def _try(self, planned: Planned) -> tuple[Job | None, bool]:
        """A job for the cell, or whether another process is at it."""
        cell = planned.cell
        reusable = None if self._fresh else self._reusable(planned)
        if reusable is not None:
            self._keep(Outcome(cell, reusable, reused=True))
            return None, False
        try:
            if self.store.claimed(cell.plugin, cell.cell_id):
                return None, True
            if not self._fresh and self._finished_elsewhere(planned):
                return None, False
            begin = self.store.begin_anew if self._fresh else self.store.begin
            workspace = begin(cell.plugin, cell.cell_id, planned.identity)
            # Another process may have kept an attempt, or begun one, since we looked.
            if not self._fresh and (reusable := self._reusable(planned)):
                workspace.discard()
                self._keep(Outcome(cell, reusable, reused=True))
                return None, False
            if self.store.claimed(cell.plugin, cell.cell_id, before=workspace):
                workspace.discard()
                return None, True
        except OSError as error:
            self._keep(
                Outcome(cell, None, problem=f"cannot write below {self.store.root}: {why(error, self.store.root)}")
            )
            return None, False
        with self._lock:
            self._running[workspace.attempt] = planned
            self._began[workspace.attempt] = time.monotonic()
        self._started(cell)
        return self._job(planned, workspace), False

    def _job(self, planned: Planned, workspace: Workspace) -> Job:
        order = planned.order(workspace.path)
        stop = self._stops[workspace.attempt] = Stop(self.stop)
        return Job(planned.cell, order, workspace, planned.timeout, planned.code, stop)

    def _finished_elsewhere(self, planned: Planned) -> bool:
        """Keep what a job on another machine came to after its run was gone; whether that is good."""
        cell = planned.cell
        for workspace, outcome in self.store.finished_elsewhere(cell.plugin, cell.cell_id, planned.identity):
            if outcome.get("status") != "ok" or not isinstance(outcome.get("reason", ""), str):
                workspace.discard()  # tried again as any other failure
                continue
            self._tell("taking what ended on other machines after an earlier run was gone")
            with self._lock:
                self._running[workspace.attempt] = planned
                self._began[workspace.attempt] = time.monotonic()
            self.finish(self._job(planned, workspace), outcome)
            return True
        return False

    def give_back(self, job: Job) -> None:
        """See `Jobs.give_back`."""
        job.workspace.discard()
        with self._lock:
            del self._began[job.workspace.attempt], self._stops[job.workspace.attempt]
            self._waiting.appendleft(self._running.pop(job.workspace.attempt))

    def finish(self, job: Job, outcome: Mapping[str, Any]) -> None:
        """See `Jobs.finish`; an attempt that cannot be written is reported, and the others go on."""
        with self._lock:
            planned = self._running.pop(job.workspace.attempt)
            del self._began[job.workspace.attempt], self._stops[job.workspace.attempt]
        if outcome["status"] == "interrupted" and (told := job.stop.why) is not None:
            outcome = {**outcome, "status": told.status, "reason": told.reason}
        record = record_or_fault(planned, job.workspace, outcome)
        if record.status == "ok":
            fault = unsound(job.order.task, job.workspace.path / PREDICTIONS, record)
            if fault:
                record = failed_record(planned, job.workspace, outcome, f"its predictions do not hold: {fault}")
        try:
            attempt = job.workspace.commit(record)
        except OSError as error:
            job.workspace.discard()
            problem = f"its attempt could not be written below {self.store.root}: {why(error, self.store.root)}"
            self._bad[job.cell.cell_id] = planned
            self._keep(Outcome(job.cell, None, problem=problem))
            return
        if attempt.record.status != "ok":
            self._bad[job.cell.cell_id] = planned
        if (seconds := whole_course(attempt.record)) is not None:
            with self._lock:
                self._history.learn(job.cell, seconds)
        self._keep(Outcome(job.cell, attempt))

    def abandon(self, reason: str) -> None:
        """See `Jobs.abandon`."""
        while self._waiting:
            planned = self._waiting.popleft()
            reusable = None if self._fresh else self._reusable(planned)
            problem = "" if reusable else f"not run: {reason}"
            self._keep(Outcome(planned.cell, reusable, reused=reusable is not None, problem=problem))

    @property
    def waiting(self) -> int:
        """How many cells wait to be run."""
        return len(self._waiting)

    def under_way(self) -> list[tuple[Cell, float]]:
        """The cells under way, and for how many seconds."""
        now = time.monotonic()
        with self._lock:
            return [(planned.cell, now - self._began[attempt]) for attempt, planned in self._running.items()]

    def stop_cell(self, cell_id: str) -> None:
        """Have cells whose id begins so end, those under way with time to save what they have."""
        with self._lock:
            for attempt, planned in self._running.items():
                if planned.cell.cell_id.startswith(cell_id):
                    self._stops[attempt].set(ONE_CELL)
            named = [one for one in self._waiting if one.cell.cell_id.startswith(cell_id)]
            for planned in named:
                self._waiting.remove(planned)
        for planned in named:
            self._bad[planned.cell.cell_id] = planned
            self._leave_out(planned, ONE_CELL.reason)

    def retry(self, cell_id: str = "") -> None:
        """Run again what has failed so far, as far as its id begins so."""
        with self._lock:
            for name in [name for name in self._bad if name.startswith(cell_id)]:
                self._waiting.append(self._bad.pop(name))

    def leave_out(self, reason: str) -> None:
        """Keep a row for each cell that is left, which says that it was skipped and why; good attempts are reused."""
        while self._waiting:
            self._leave_out(self._waiting.popleft(), reason)

    def _leave_out(self, planned: Planned, reason: str) -> None:
        cell = planned.cell
        attempt = None if self._fresh else self._reusable(planned)
        if attempt is not None:
            self._keep(Outcome(cell, attempt, reused=True))
            return
        try:
            if self.store.claimed(cell.plugin, cell.cell_id):
                self._keep(Outcome(cell, None, problem=f"another process runs it, and {reason}"))
                return
            workspace = self.store.begin_beside(cell.plugin, cell.cell_id)
            record = make_record(planned, workspace, {"status": "skipped", "reason": reason})
            self._keep(Outcome(cell, workspace.commit(record)))
        except OSError as error:
            problem = f"{reason}, which cannot be written: {why(error, self.store.root)}"
            self._keep(Outcome(cell, None, problem=problem))

    def _reusable(self, planned: Planned) -> Attempt | None:
        """See `reuse.reusable`; says what differs from what was run before."""
        attempt, changed = reusable(self.store, planned)
        if changed:
            self._tell(f"running again what was run before, since these changed: {changed}")
        return attempt

    def _keep(self, outcome: Outcome) -> None:
        with self._lock:
            self.outcomes.append(outcome)
        self._finished(outcome)

    def _tell(self, line: str) -> None:
        with self._lock:
            new = line not in self._told
            self._told.add(line)
        if new:
            self._say(line)
