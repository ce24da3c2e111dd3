"""How a worker sees a cell's process to its end: what it prints and tells, how long it takes, what it leaves behind."""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidsuite_core.engine.order import Order
from vidsuite_core.engine.stopping import REASON
from vidsuite_core.results.store import LOG
from vidsuite_core.runner.cellprocess import DUMP
from vidsuite_core.runner.log import BoundedLog
from vidsuite_core.runner.messages import Broken, Lines
from vidsuite_core.runner.processes import (
    descendants,
    end_descendants,
    end_handle,
    oom_kills,
    reap,
    signal_name,
    tell,
)  # fmt: skip

if TYPE_CHECKING:
    import psutil

GRACE = 10.0
"""Seconds that a cell's process may take to end once it has told its outcome or closed its pipe."""
_DUMPING = 1.0
"""Seconds that a cell's stacks may take to be written, and at least those of each of its processes."""
_EACH = 0.2
_DUMPED = 16
"""Processes of a cell whose stacks are written at most, itself among them."""
_POLL = 0.02
"""Seconds between two looks at a process that tells its end in no other way."""
_RANKS, _RANK_GRACE = 0.2, 5.0
"""Seconds between two looks at further ranks, and in which rank 0 may say why one of them has failed."""
_NEVER = float("inf")


@dataclass(frozen=True)
class Cell:
    """A cell's process, the descriptors of what it prints and what it tells, and the processes of its further ranks."""

    pid: int
    output: int
    messages: int
    others: tuple[int, ...] = ()


class Attendance:
    """Sees one cell's process to its end.

    Args:
        timeout: seconds that it may take.
        send: called with a message's kind and fields to pass on what it tells, but for its outcome.
    """

    def __init__(self, cell: Cell, order: Order, timeout: float | None, send: Callable[..., None]) -> None:
        self._cell, self._timeout, self._send = cell, timeout, send
        self._kills = oom_kills()
        self._log = BoundedLog(Path(order.folder) / LOG)
        self._lines = Lines("note", "progress", "outcome")
        self._told: dict[str, Any] | None = None
        self._cause: dict[str, Any] | None = None
        """The outcome of a process that was ended from here."""
        self._stopping = False
        self._due, self._act = (time.monotonic() + timeout if timeout else _NEVER), self._time_out
        self._selector = selectors.DefaultSelector()

    def outcome(self, further: Mapping[int, Callable[[], None]]) -> dict[str, Any]:
        """What came of the cell, once its process and all that it started have ended.

        Args:
            further: descriptors to be watched meanwhile, and what to do when they can be read.
        """
        handle = end_handle(self._cell.pid)
        watched = {**further, self._cell.output: self._print, self._cell.messages: self._hear}
        if handle is not None:
            watched[handle] = lambda: None
        for descriptor, act in watched.items():
            self._selector.register(descriptor, selectors.EVENT_READ, act)
        others = dict(enumerate(self._cell.others, 1))
        while (code := self._ended()) is None:
            self._look_at(others)
            wait = max(0.0, self._due - time.monotonic())
            ready = self._selector.select(min(wait, _POLL if handle is None else _RANKS if others else 3600))
            for key, _ in ready:
                key.data()
            if time.monotonic() >= self._due:
                self._act()
        end_descendants()
        reap()
        self._drain()
        self._selector.close()
        for used in (self._cell.output, self._cell.messages, handle):
            if used is not None:
                os.close(used)
        self._log.close()
        told = self._told or (self._death(code) if self._cause is None else self._cause)
        if self._cause is None and self._stopping and told["status"] not in ("ok", "interrupted"):
            return {**told, "status": "interrupted", "reason": REASON}  # it was in the way of its own end
        return self._cause or told

    def stop(self, grace: float) -> None:
        """Tell the cell's process to save what it has and end, and end it where it has not within `grace` seconds."""
        if self._told is None and self._cause is None:
            self._stopping = True
            for pid in (self._cell.pid, *self._cell.others):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
            self._due, self._act = time.monotonic() + grace, self._stop_waiting

    def _look_at(self, others: dict[int, int]) -> None:
        """Fail the cell where one of its further ranks has failed, unless rank 0 says why within `_RANK_GRACE`."""
        for rank, pid in list(others.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            del others[rank]
            code = os.waitstatus_to_exitcode(status)
            if code and not (self._told or self._cause or self._stopping):
                how = f"signal {signal_name(-code)}" if code < 0 else f"exit code {code}"
                reason = f"its process {rank} of {len(self._cell.others) + 1} ended with {how}; its log says more"
                self._due = min(self._due, time.monotonic() + _RANK_GRACE)
                self._act = partial(self._end, "failed", reason)

    def _ended(self) -> int | None:
        """The exit code, negative for a signal's; None while it runs."""
        pid, status = os.waitpid(self._cell.pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if pid else None

    def _print(self) -> None:
        self._log.write(self._read(self._cell.output))

    def _hear(self) -> None:
        data = self._read(self._cell.messages)
        try:
            for message in self._lines.feed(data):
                if self._told is not None:
                    raise Broken("something after its outcome")
                if message["kind"] == "outcome":
                    self._told = message["outcome"]
                else:
                    self._send(**message)
        except Broken as error:
            self._selector.unregister(self._cell.messages)
            self._end("failed", f"its process told its worker what is no message: {error}")
        if (self._told or not data) and self._cause is None:
            self._due, self._act = time.monotonic() + GRACE, self._linger

    def _read(self, descriptor: int) -> bytes:
        """What there is; nothing at the end of it."""
        data = os.read(descriptor, 1 << 16)
        if not data:
            self._selector.unregister(descriptor)
        return data

    def _time_out(self) -> None:
        reason = f"not finished after {self._timeout:.0f} s (see --timeout); its log ends with its stacks"
        self._cause = {"status": "timeout", "reason": reason}
        running = descendants()[:_DUMPED]  # the cell's own process first
        self._dump(running, max(_DUMPING / max(len(running), 1), _EACH))

    def _dump(self, running: list[psutil.Process], pause: float) -> None:
        """Have one process after another write its stacks, as pieces of several would mix; the cell's own come last."""
        if running:
            tell([running.pop()], DUMP)
            self._due, self._act = time.monotonic() + pause, lambda: self._dump(running, pause)
        else:
            self._kill()

    def _stop_waiting(self) -> None:
        self._end("interrupted", REASON)

    def _linger(self) -> None:
        """End a process that has no more to tell and does not end."""
        if self._told is None:
            self._end("failed", "its process closed its pipe and told no outcome")
        else:
            self._kill()

    def _end(self, status: str, reason: str) -> None:
        self._cause = {"status": status, "reason": reason}
        self._kill()

    def _kill(self) -> None:
        self._due = _NEVER
        end_descendants()

    def _drain(self) -> None:
        """Take what is left in the pipes: processes that were not to be found may still hold them open."""
        watched = self._selector.get_map()
        for descriptor, act in ((self._cell.output, self._print), (self._cell.messages, self._hear)):
            os.set_blocking(descriptor, False)
            with suppress(BlockingIOError):
                while descriptor in watched:
                    act()

    def _death(self, code: int) -> dict[str, Any]:
        if code == -signal.SIGKILL and oom_kills() > self._kills:
            return {"status": "out_of_memory", "reason": "its process was killed by the kernel for want of memory"}
        if code < 0:
            return {"status": "failed", "reason": f"its process was killed by signal {signal_name(-code)}"}
        return {"status": "failed", "reason": f"its process ended with exit code {code}"}
