"""The local executor: one warm worker process a device slot, replaced when it dies."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from typing import Any

from vidsuite_core.runner.devices import Slot
from vidsuite_core.runner.executor import Event, Executor, Job, Jobs
from vidsuite_core.runner.process import START_TIMEOUT, WorkerFailed, WorkerProcess

_SPENT = ("timeout", "out_of_memory", "interrupted")
"""Outcomes after which a worker is not used again."""


class LocalExecutor(Executor):
    """Runs cells on this machine; a slot whose worker fails to start is given up, and its job put back.

    `worker_module` is what `python -m` runs as a worker, and `start_timeout` the seconds until it must be ready.
    """

    worker_module = "vidsuite_core.runner.worker"
    start_timeout = START_TIMEOUT

    def run(self, jobs: Jobs) -> None:
        """See `Executor.run`."""
        slots, reason = self.slots, ""
        while slots:
            failures = self._serve_all(slots, jobs)
            if not failures:
                return
            reason = next(iter(failures.values()))
            slots = [slot for slot in slots if slot not in failures]  # they take what the failed ones put back
        jobs.abandon(f"no worker could be started: {reason}")

    def _serve_all(self, slots: Sequence[Slot], jobs: Jobs) -> dict[Slot, str]:
        """Serve on all slots until no job is left; returns the slots that were given up, with the reason."""
        stop = threading.Event()
        failures: dict[Slot, str] = {}
        errors: list[BaseException] = []

        def serve(slot: Slot) -> None:
            try:
                self._serve(slot, jobs, stop)
            except WorkerFailed as error:
                failures[slot] = str(error)
            except BaseException as error:
                errors.append(error)
                stop.set()
            finally:
                ended.put(slot)

        # Not Thread.join: when a signal interrupts it, CPython 3.11 takes the thread for ended.
        ended: queue.SimpleQueue[Slot] = queue.SimpleQueue()
        for slot in slots:
            threading.Thread(target=serve, args=(slot,), name=slot.device).start()
        running = len(slots)
        while running:
            try:
                ended.get()
                running -= 1
            except KeyboardInterrupt as interrupt:
                errors.insert(0, interrupt)
                stop.set()
        if errors:
            raise errors[0]
        return failures

    def _serve(self, slot: Slot, jobs: Jobs, stop: threading.Event) -> None:
        worker: WorkerProcess | None = None
        try:
            while not stop.is_set() and (job := jobs.take(stop.is_set)) is not None:
                if worker is not None and not worker.alive:  # it died while there was nothing to do
                    worker.kill()
                    worker = None
                if worker is None:
                    worker = self._start(slot, jobs, job, stop)
                outcome = self._run(worker, job, slot, stop)
                if outcome["status"] in _SPENT or not worker.alive:  # before its folder is moved into place
                    worker.kill()
                    worker = None
                jobs.finish(job, outcome)
        finally:
            if worker is not None:
                worker.kill()

    def _start(self, slot: Slot, jobs: Jobs, job: Job, stop: threading.Event) -> WorkerProcess:
        self.notify(Event(slot.device, job.cell, "starting worker"))
        try:
            return WorkerProcess(self.worker_module, slot, stop, self.start_timeout)
        except BaseException:
            jobs.give_back(job)
            raise

    def _run(self, worker: WorkerProcess, job: Job, slot: Slot, stop: threading.Event) -> dict[str, Any]:
        def progress(message: dict[str, Any]) -> None:
            self.notify(Event(slot.device, job.cell, message["what"], message["done"], message["total"]))

        return worker.run(job, progress, stop)
