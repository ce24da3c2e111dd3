"""A worker as its owner sees it: orders go in, messages come out, and its end is told apart."""

from __future__ import annotations

import dataclasses
import fcntl
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidsuite_core.runner.messages import PROTOCOL, Broken, Lines, Message, written
from vidsuite_core.runner.processes import end_descendants, oom_kills, signal_name
from vidsuite_core.runner.stop import BY_USER, Stop

if TYPE_CHECKING:
    from vidsuite_core.engine.order import Order
    from vidsuite_core.runner.devices import Slot

START_TIMEOUT = 300.0
"""Seconds that a worker may take to import its libraries."""
MODULE = "vidsuite_core.runner.worker"
HEARTBEAT = 30.0
"""Seconds between two signs of life of a job that is under way."""
FOLDERS = ("VIDSUITE_CACHE", "VIDSUITE_DATA", "VIDSUITE_WEIGHTS", "XDG_CACHE_HOME")
"""Variables that name folders, which may be relative to where the run was started."""
_GRACE = 10.0
"""Seconds that a worker may take to end once it has closed its pipe."""
_OVERDUE = 60.0
"""Seconds after a cell's time-out within which its worker must have ended it."""
_LATE = 5.0
"""Seconds beyond its grace within which a worker must have ended a cell that was told to stop."""
_LAST = 1 << 14
"""Bytes of the end of what a worker printed that are looked at for a reason."""


class WorkerFailed(Exception):
    """A worker that did not start, with the end of what it printed."""


class WorkerProcess:
    """A worker and its two pipes.

    Args:
        slot: the device and the processors that it sees.
        stop: once set, waiting for the worker ends.
        module: what `python -m` runs.
        start_timeout: seconds until it must say that it is ready.
        python: the interpreter that runs it; "" for this process's own.

    Attributes:
        place: `hardware` and `software` of where it runs, as records hold them.
        kind: what it has loaded beforehand, see `Order.kind`; "" before its first order.

    Raises:
        WorkerFailed: it did not start.
    """

    def __init__(
        self,
        slot: Slot,
        stop: Stop,
        module: str = MODULE,
        start_timeout: float = START_TIMEOUT,
        python: str = "",
    ) -> None:
        self.kind = ""
        self._lines = Lines("ready", "note", "progress", "outcome")
        self._received: deque[Message] = deque()
        read_orders, self._orders = _pipe()
        self._messages, write_messages = _pipe()
        self._output = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            self._process = subprocess.Popen(
                [
                    python or sys.executable,
                    "-P",
                    "-m",
                    module,
                    str(read_orders),
                    str(write_messages),
                    ",".join(map(str, slot.processors)),
                ],
                pass_fds=(read_orders, write_messages),
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.STDOUT,
                env=_environment(slot),
                start_new_session=True,
            )
        except OSError as error:
            self._close()
            raise WorkerFailed(f"{error.strerror or error}") from error
        finally:
            os.close(read_orders)
            os.close(write_messages)
        try:
            self.place = self._await_ready(time.monotonic() + start_timeout, start_timeout, stop)
        except BaseException:
            self.kill()
            raise

    def _await_ready(self, deadline: float, seconds: float, stop: Stop) -> dict[str, Any]:
        try:
            message = self._receive(deadline, stop.is_set)
        except Broken as error:
            raise WorkerFailed(f"it said what is no message: {error}") from error
        if message is None:
            late = self.alive and time.monotonic() >= deadline
            self._end()
            silent = f"it ended with {_ended(self._process.returncode)} and said nothing"
            raise WorkerFailed(f"it was not ready after {seconds:.0f} s" if late else self._last_words() or silent)
        if message["kind"] != "ready" or message["protocol"] != PROTOCOL:
            raise WorkerFailed(f"it speaks another protocol than {PROTOCOL}")
        return {"hardware": message["hardware"], "software": message["software"]}

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def run(
        self,
        order: Order,
        timeout: float | None,
        hear: Callable[[Message], None],
        stop: Stop,
        beat: Callable[[], None],
    ) -> dict[str, Any]:
        """Run an order to its outcome, whatever becomes of the process.

        Args:
            timeout: seconds that the cell may take.
            hear: called with each note and each step of progress.
            stop: once set, the cell is given its time to save what it has, and the outcome is "interrupted" unless it
                has ended by itself.
            beat: called now and then while the cell runs.
        """
        self.kind = order.kind
        kills = oom_kills()
        overdue = time.monotonic() + timeout + _OVERDUE if timeout else float("inf")
        try:
            message = written("order", order=dataclasses.asdict(order), timeout=timeout)
        except (ValueError, TypeError) as error:
            return self._failed(f"its order cannot be passed on: {error}")
        try:
            self._send(message)
            outcome = self._outcome(overdue, hear, stop, beat)
        except OSError:
            outcome = None
        except Broken as error:
            self._end()
            return self._failed(f"its worker said what is no message: {error}")
        if outcome is not None:
            return outcome
        if stop.is_set():
            self._end()
            return {**self.place, "status": "interrupted", "reason": BY_USER.reason}
        if self.alive and time.monotonic() >= overdue:
            self._end()
            return {**self.place, "status": "timeout", "reason": f"not finished after {timeout:.0f} s (see --timeout)"}
        return self._death(kills)

    def _outcome(
        self, overdue: float, hear: Callable[[Message], None], stop: Stop, beat: Callable[[], None]
    ) -> dict[str, Any] | None:
        beaten, told = float("-inf"), False
        while self.alive or self._received:
            if time.monotonic() - beaten >= HEARTBEAT:
                beat()
                beaten = time.monotonic()
            message = self._receive(min(overdue, beaten + HEARTBEAT), (lambda: stop.at_once) if told else stop.is_set)
            if stop.is_set() and not told:
                told = True
                self._send(written("stop", grace=stop.grace))
                overdue = min(overdue, time.monotonic() + stop.grace + _LATE)
            if message is None:
                if stop.at_once or time.monotonic() >= overdue:
                    return None
            elif message["kind"] == "outcome":
                return {**self.place, **message["outcome"], "software": self.place["software"]}
            else:
                hear(message)
        return None

    def kill(self) -> None:
        """End the process, all that it has started, and its pipes."""
        self._end()
        self._close()

    def _end(self) -> None:
        end_descendants(self._process.pid)  # those too that left its group
        with suppress(ProcessLookupError, PermissionError):  # macOS says the latter of a dead group
            os.killpg(self._process.pid, signal.SIGKILL)  # the group outlives its leader: data loaders, decoders
        self._process.wait()

    def _close(self) -> None:
        for descriptor in (self._orders, self._messages):
            os.close(descriptor)
        self._output.close()

    def _send(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._orders, data) :]

    def _receive(self, deadline: float, stopped: Callable[[], bool]) -> Message | None:
        """The next message; None at the deadline, once `stopped`, or when the process has ended; raises `Broken`."""
        while not self._received:
            left = deadline - time.monotonic()
            if left <= 0 or stopped():
                return None
            dead = not self.alive  # asked first, so that what it sent before it died is read
            ready, _, _ = select.select([self._messages], [], [], min(left, 0.2))
            if not ready and dead:
                return None  # its children may hold the pipe open
            if ready:
                data = os.read(self._messages, 1 << 16)
                if not data:
                    self._wait()
                    return None
                self._received += self._lines.feed(data)
        return self._received.popleft()

    def _death(self, kills: int) -> dict[str, Any]:
        code = self._wait()
        if code == -signal.SIGKILL and oom_kills() > kills:
            reason = "its worker was killed by the kernel for want of memory"
            return {**self.place, "status": "out_of_memory", "reason": reason}
        words = self._last_words() if code >= 0 else ""
        return self._failed(f"its worker ended with {_ended(code)}{words and ': '}{words}")

    def _failed(self, reason: str) -> dict[str, Any]:
        return {**self.place, "status": "failed", "reason": reason}

    def _wait(self) -> int:
        """The exit code of a process that has closed its pipe; one that does not end by itself is killed."""
        try:
            return self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._end()
            return self._process.wait()

    def _last_words(self) -> str:
        """The last line that it printed outside any cell."""
        self._output.seek(max(0, self._output.seek(0, os.SEEK_END) - _LAST))
        lines = self._output.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""


def _environment(slot: Slot) -> dict[str, str]:
    """The environment of a worker: it holds wherever a plugin goes, and what a cell prints never fails it."""
    found = dict(os.environ, CUDA_VISIBLE_DEVICES=slot.visible, PYTHONUNBUFFERED="1")
    found["PYTHONIOENCODING"] = "utf-8:backslashreplace"
    if slot.processors and not hasattr(os, "sched_setaffinity"):
        found.setdefault("OMP_NUM_THREADS", str(len(slot.processors)))
    for name in FOLDERS:
        if found.get(name):
            found[name] = str(Path(found[name]).expanduser().absolute())
    return found


def _ended(code: int) -> str:
    return f"signal {signal_name(-code)}" if code < 0 else f"exit code {code}"


def _pipe() -> tuple[int, int]:
    """A pipe whose ends are none of the standard streams' descriptors, also where these are closed."""
    ends = os.pipe()
    moved = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 3) for end in ends)
    for end in ends:
        os.close(end)
    return moved[0], moved[1]
