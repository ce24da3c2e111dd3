"""The local executor: one worker a device slot, replaced when it dies or when cells of another kind are due."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vidsuite_core.errors import UsageError
from vidsuite_core.runner.devices import Slot, joined, parse_devices, shared_out
from vidsuite_core.runner.executor import Event, Executor, Job, Jobs, Listener, Resources
from vidsuite_core.runner.messages import Message
from vidsuite_core.runner.options import settled
from vidsuite_core.runner.place import PAUSES, Place
from vidsuite_core.runner.process import MODULE, START_TIMEOUT, WorkerFailed
from vidsuite_core.runner.stop import Stop, interrupted


@dataclass(frozen=True)
class NoOptions:
    """The local executor has no options of its own."""


class LocalExecutor(Executor):
    """Runs cells on this machine; a slot whose worker fails to start several times is given up, and its job put back.

    `worker_module` is what `python -m` runs as a worker, `start_timeout` the seconds until it must be ready, and
    `pauses` the seconds before each further try to start one.
    """

    worker_module = MODULE
    start_timeout = START_TIMEOUT
    pauses: Sequence[float] = PAUSES

    def __init__(self, resources: Resources, listener: Listener) -> None:
        super().__init__(resources, listener)
        settled(NoOptions, "local", resources.options)
        self._noted: set[str] = set()
        self._lock = threading.Lock()

    def slots(self) -> list[Slot]:
        """See `Executor.slots`; of several classes of device "auto" takes the first."""
        slots = parse_devices(self.resources.devices)
        kinds = list(dict.fromkeys(slot.kind for slot in slots))
        if len(kinds) > 1 and self.resources.devices != "auto":
            raise UsageError(f"--devices {self.resources.devices} mixes device classes, whose speeds do not compare; "
                             "run them apart")  # fmt: skip
        if len(kinds) > 1:
            self.listener.say(f"of several classes of device only {kinds[0]} is used; --devices chooses others")
        together = joined([slot for slot in slots if slot.kind == kinds[0]], self.resources.gpus_per_cell)
        return shared_out(together, self.resources.workers_per_device)

    def run(self, jobs: Jobs) -> None:
        """See `Executor.run`."""
        slots, reason = self.slots(), ""
        while slots:
            failures = self._serve_all(slots, jobs)
            if not failures or jobs.stop.is_set():  # a start that was cut short is no failure
                return
            reason = next(iter(failures.values()))
            slots = [slot for slot in slots if slot not in failures]  # they take what the failed ones put back
        jobs.abandon(f"no worker could be started: {reason}")

    def _serve_all(self, slots: Sequence[Slot], jobs: Jobs) -> dict[Slot, str]:
        """Serve on all slots until no job is left; returns the slots that were given up, with the reason."""
        stop = jobs.stop
        failures: dict[Slot, str] = {}
        errors: list[BaseException] = []

        def serve(slot: Slot) -> None:
            try:
                self._serve(slot, jobs, stop)
            except WorkerFailed as error:
                failures[slot] = str(error)
            except BaseException as error:
                errors.append(error)
                stop.hurry()
            finally:
                ended.put(slot)

        # Not Thread.join: when a signal interrupts it, CPython 3.11 takes the thread for ended.
        ended: queue.SimpleQueue[Slot] = queue.SimpleQueue()
        for slot in slots:
            threading.Thread(target=serve, args=(slot,), name=slot.name).start()
        running = len(slots)
        while running:
            try:
                ended.get()
                running -= 1
            except KeyboardInterrupt as interrupt:
                if stop.is_set():
                    stop.hurry()
                else:
                    stop.set(interrupted(interrupt))
                    self.listener.say(f"stopping: cells under way have {stop.grace:.0f} s to save what they have; "
                                      "once more, and they end at once")  # fmt: skip
                errors.insert(0, interrupt)
        if errors:
            raise errors[0]
        return failures

    def _serve(self, slot: Slot, jobs: Jobs, stop: Stop) -> None:
        with Place(slot, stop, self.worker_module, self.start_timeout, self.pauses) as place:
            while not stop.is_set() and (job := jobs.take(stop.is_set)) is not None:
                jobs.finish(job, self._run(place, jobs, job))

    def _run(self, place: Place, jobs: Jobs, job: Job) -> dict[str, Any]:
        def step(what: str, done: int = 0, total: int = 0) -> None:
            self.listener.event(Event(place.slot.name, job.cell, what, done, total))

        def hear(message: Message) -> None:
            if message["kind"] == "note":
                self._note(message["text"])
            else:
                step(message["what"], message["done"], message["total"])

        try:
            place.ready(job.order, step)
        except BaseException:
            jobs.give_back(job)
            raise
        return place.run(job.order, job.timeout, hear, job.workspace.heartbeat, job.stop)

    def _note(self, text: str) -> None:
        """Say what a cell's process noted, once: each cell may note the same."""
        with self._lock:
            new = text not in self._noted
            self._noted.add(text)
        if new:
            self.listener.say(text)
