"""A worker process as the main process sees it: orders go in, messages come out, and its end is told apart."""

from __future__ import annotations

import dataclasses
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from vidsuite_core.runner.devices import Slot
from vidsuite_core.runner.executor import Job

START_TIMEOUT = 300.0
"""Seconds that a worker may take to import its libraries."""
_HEARTBEAT = 30.0
_GRACE = 10.0
"""Seconds that a worker may take to end once it has closed its pipe."""


class WorkerFailed(Exception):
    """A worker that did not start, with the end of what it printed."""


class WorkerProcess:
    """A worker process and its two pipes.

    Args:
        module: what `python -m` runs.
        slot: the device that it sees.
        stop: once set, waiting for the worker ends.
        start_timeout: seconds until it must say that it is ready.

    Raises:
        WorkerFailed: it did not start.
    """

    def __init__(self, module: str, slot: Slot, stop: threading.Event, start_timeout: float) -> None:
        read_orders, self._orders = os.pipe()
        self._messages, write_messages = os.pipe()
        self._output = tempfile.TemporaryFile()  # noqa: SIM115
        self._buffer = b""
        environment = dict(os.environ, CUDA_VISIBLE_DEVICES=slot.visible, PYTHONUNBUFFERED="1")
        environment["PYTHONIOENCODING"] = "utf-8:backslashreplace"  # what a cell prints never fails it
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", module, str(read_orders), str(write_messages)],
                pass_fds=(read_orders, write_messages),
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            self._close()
            raise WorkerFailed(f"{error.strerror or error}") from error
        finally:
            os.close(read_orders)
            os.close(write_messages)
        deadline = time.monotonic() + start_timeout
        message = self._receive(deadline, stop)
        if message is None or message["kind"] != "ready":
            late = self.alive and time.monotonic() >= deadline
            self._end()
            silent = f"it ended with exit code {self._process.returncode} and said nothing"
            words = f"it was not ready after {start_timeout:.0f} s" if late else self._last_words() or silent
            self._close()
            raise WorkerFailed(words)

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def run(self, job: Job, progress: Callable[[dict[str, Any]], None], stop: threading.Event) -> dict[str, Any]:
        """Run a job to its outcome, whatever becomes of the process."""
        kills = _oom_kills()
        deadline = time.monotonic() + job.timeout if job.timeout else None
        try:
            self._send((json.dumps(dataclasses.asdict(job.order)) + "\n").encode())
        except OSError:
            return self._death(kills)
        beat = 0.0
        while True:
            if time.monotonic() - beat > _HEARTBEAT:
                job.workspace.heartbeat()
                beat = time.monotonic()
            message = self._receive(min(deadline or float("inf"), time.monotonic() + _HEARTBEAT), stop)
            if message is None:
                if stop.is_set():
                    return {"status": "interrupted", "reason": "stopped by the user; the same command goes on"}
                if not self.alive:
                    return self._death(kills)
                if deadline and time.monotonic() >= deadline:
                    return {"status": "timeout", "reason": f"not finished after {job.timeout:.0f} s (see --timeout)"}
            elif message["kind"] == "outcome":
                outcome: dict[str, Any] = message["outcome"]
                return outcome
            else:
                progress(message)

    def kill(self) -> None:
        """End the process, its children and its pipes."""
        self._end()
        self._close()

    def _end(self) -> None:
        with suppress(ProcessLookupError, PermissionError):  # macOS says the latter of a dead group
            os.killpg(self._process.pid, signal.SIGKILL)  # the group outlives its leader: data loaders, decoders
        self._process.wait()

    def _close(self) -> None:
        os.close(self._orders)
        os.close(self._messages)
        self._output.close()

    def _send(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._orders, data) :]

    def _receive(self, deadline: float, stop: threading.Event) -> dict[str, Any] | None:
        """The next message; None at the deadline, on `stop`, or when the process has ended."""
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or stop.is_set():
                return None
            dead = not self.alive  # asked first, so that what it sent before it died is read
            ready, _, _ = select.select([self._messages], [], [], min(left, 0.2))
            if not ready and dead:
                return None  # its children may hold the pipe open
            if ready:
                chunk = os.read(self._messages, 65536)
                if not chunk:
                    self._wait()
                    return None
                self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    def _death(self, kills: int) -> dict[str, Any]:
        code = self._wait()
        if code == -signal.SIGKILL and _oom_kills() > kills:
            return {"status": "out_of_memory", "reason": "the worker was killed by the kernel for want of memory"}
        if code < 0:
            return {"status": "failed", "reason": f"the worker process was killed by signal {_signal_name(-code)}"}
        words = f": {self._last_words()}" if self._last_words() else ""
        return {"status": "failed", "reason": f"the worker process ended with exit code {code}{words}"}

    def _wait(self) -> int:
        """The exit code of a process that has closed its pipe; one that does not end by itself is killed."""
        try:
            return self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._end()
            return self._process.wait()

    def _last_words(self) -> str:
        """The last line that it printed outside any cell."""
        self._output.seek(0)
        lines = self._output.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # the real-time signals have none
        return str(number)


def _oom_kills() -> int:
    """How often the kernel has killed in this control group for want of memory."""
    for path in (Path("/sys/fs/cgroup/memory.events"), Path("/proc/vmstat")):
        try:
            for line in path.read_text().splitlines():
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
        except OSError:
            continue
    return 0
