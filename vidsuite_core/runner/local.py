"""The local executor: one warm worker process a device slot, replaced when it dies."""

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
from pathlib import Path
from typing import Any

from vidsuite_core.runner.devices import Slot
from vidsuite_core.runner.executor import Event, Executor, Job, Jobs

START_TIMEOUT = 300.0
"""Seconds that a worker may take to import its libraries."""
_HEARTBEAT = 30.0


class WorkerFailed(Exception):
    """A worker that did not start, with the end of what it printed."""


class LocalExecutor(Executor):
    """Runs cells on this machine; a slot whose worker fails to start is given up, and its job put back."""

    def run(self, jobs: Jobs) -> None:
        """See `Executor.run`."""
        stop = threading.Event()
        failures: list[str] = []
        threads = [threading.Thread(target=self._serve, args=(slot, jobs, stop, failures)) for slot in self.slots]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():
                    thread.join(0.2)
        except KeyboardInterrupt:
            stop.set()
            for thread in threads:
                thread.join()
            raise
        if failures:
            jobs.abandon(f"no worker could be started: {failures[-1]}")

    def _serve(self, slot: Slot, jobs: Jobs, stop: threading.Event, failures: list[str]) -> None:
        worker: _Worker | None = None
        try:
            while not stop.is_set() and (job := jobs.take(stop.is_set)) is not None:
                try:
                    if worker is None:
                        self.notify(Event(slot.device, job.cell, "starting worker"))
                        worker = _Worker(slot, stop)
                except WorkerFailed as error:
                    failures.append(str(error))
                    jobs.give_back(job)
                    return
                outcome = self._run(worker, job, slot, stop)
                jobs.finish(job, outcome)
                if outcome["status"] in ("timeout", "out_of_memory", "interrupted") or not worker.alive:
                    worker.kill()
                    worker = None
        finally:
            if worker is not None:
                worker.kill()

    def _run(self, worker: _Worker, job: Job, slot: Slot, stop: threading.Event) -> dict[str, Any]:
        def progress(message: dict[str, Any]) -> None:
            self.notify(Event(slot.device, job.cell, message["what"], message["done"], message["total"]))

        return worker.run(job, progress, stop)


class _Worker:
    """A worker process and its two pipes."""

    def __init__(self, slot: Slot, stop: threading.Event) -> None:
        read_orders, self._orders = os.pipe()
        self._messages, write_messages = os.pipe()
        self._output = tempfile.TemporaryFile()  # noqa: SIM115
        environment = dict(os.environ, CUDA_VISIBLE_DEVICES=slot.visible, PYTHONUNBUFFERED="1")
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "vidsuite_core.runner.worker", str(read_orders), str(write_messages)],
            pass_fds=(read_orders, write_messages),
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        os.close(read_orders)
        os.close(write_messages)
        self._buffer = b""
        message = self._receive(time.monotonic() + START_TIMEOUT, stop)
        if message is None or message["kind"] != "ready":
            self.kill()
            raise WorkerFailed(self._last_words())

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def run(self, job: Job, progress: Callable[[dict[str, Any]], None], stop: threading.Event) -> dict[str, Any]:
        """Run a job to its outcome, whatever becomes of the process."""
        kills = _oom_kills()
        deadline = time.monotonic() + job.timeout if job.timeout else None
        try:
            os.write(self._orders, (json.dumps(dataclasses.asdict(job.order)) + "\n").encode())
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
        if self.alive:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for handle in (self._orders, self._messages):
            if handle >= 0:
                os.close(handle)
        self._orders = self._messages = -1

    def _receive(self, deadline: float, stop: threading.Event) -> dict[str, Any] | None:
        """The next message; None at the deadline, on `stop`, or when the process has ended."""
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or stop.is_set():
                return None
            ready, _, _ = select.select([self._messages], [], [], min(left, 0.2))
            if ready:
                chunk = os.read(self._messages, 65536)
                if not chunk:
                    self._process.wait()
                    return None
                self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    def _death(self, kills: int) -> dict[str, Any]:
        code = self._process.wait()
        if code == -signal.SIGKILL and _oom_kills() > kills:
            return {"status": "out_of_memory", "reason": "the worker was killed by the kernel for want of memory"}
        how = f"was killed by signal {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return {"status": "failed", "reason": f"the worker process {how}"}

    def _last_words(self) -> str:
        self._output.seek(0)
        lines = self._output.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"it ended with exit code {self._process.returncode} and said nothing"


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
