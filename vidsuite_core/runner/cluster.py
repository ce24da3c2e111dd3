"""What executors share whose jobs run on their own elsewhere: jobs are handed over in bundles and waited for."""

from __future__ import annotations

import queue
import threading
import time
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.runner.executor import Event, Executor, Job, Jobs
from vidsuite_core.runner.process import HEARTBEAT, MODULE
from vidsuite_core.runner.remote import tidy
from vidsuite_core.runner.stop import interrupted

_STOPPING = 60.0
"""Seconds that jobs may take to end once they were told to."""
STOPPED = {"status": "interrupted", "reason": "stopped by the user; the same command goes on"}


class ClusterExecutor(Executor):
    """Hands jobs over to a cluster, whose own scheduler says when and where they run.

    Attributes:
        window: how many may be handed over and not ended at a time.
        settle: seconds without a further job after which those that have come are handed over together.
        poll: seconds between two looks at what has ended.
        worker_module: what `python -m` runs as a worker.
    """

    window = 1000
    settle = 1.0
    poll = 1.0
    worker_module = MODULE

    @abstractmethod
    def submit(self, jobs: Sequence[Job]) -> None:
        """Hand over jobs; raises `VidsuiteError` where the cluster takes none of them."""

    @abstractmethod
    def ended(self) -> Iterator[tuple[Job, dict[str, Any]]]:
        """The jobs that have ended since the last look, with what came of each."""

    @abstractmethod
    def cancel(self) -> None:
        """Tell all jobs that have not ended to do so."""

    def close(self) -> None:
        """Leave the cluster: no job is left there, or the run ends by an error."""

    def step(self, job: Job, what: str, done: int, total: int) -> None:
        """Pass on how far a job is."""
        self.listener.event(Event(f"job of {job.cell.cell_id}", job.cell, what, done, total))

    def run(self, jobs: Jobs) -> None:
        """See `Executor.run`."""
        try:
            self._run(jobs)
        finally:
            self.close()

    def _run(self, jobs: Jobs) -> None:
        under_way: dict[int, Job] = {}
        beaten = time.monotonic()
        with _Feed(jobs, self.window) as feed:
            try:
                while feed.open or under_way:
                    if jobs.stop.is_set():
                        feed.close()
                        self._stop(jobs, under_way, feed)
                        return
                    if bundle := feed.bundle(self.settle, 0.0 if not feed.open else self.poll):
                        try:
                            self.submit(bundle)
                        except VidsuiteError as error:
                            feed.give_back(bundle)
                            feed.close()
                            jobs.abandon(str(error))
                        else:
                            under_way |= {id(job): job for job in bundle}
                    self._finish(jobs, under_way, feed)
                    if time.monotonic() - beaten >= HEARTBEAT:
                        beaten = time.monotonic()
                        for job in under_way.values():
                            job.workspace.heartbeat()
                    if not feed.open and under_way:
                        time.sleep(self.poll)
            except KeyboardInterrupt as interrupt:
                jobs.stop.set(interrupted(interrupt))
                feed.close()
                self._stop(jobs, under_way, feed)
                raise

    def _finish(self, jobs: Jobs, under_way: dict[int, Job], feed: _Feed) -> None:
        for job, outcome in self.ended():
            del under_way[id(job)]
            tidy(job.workspace.path)
            jobs.finish(job, outcome)
            feed.room.release()

    def _stop(self, jobs: Jobs, under_way: dict[int, Job], feed: _Feed) -> None:
        """Have all jobs end, wait for what they leave, and keep the others as interrupted."""
        self.cancel()
        deadline = time.monotonic() + _STOPPING
        while under_way and time.monotonic() < deadline:
            self._finish(jobs, under_way, feed)
            time.sleep(min(0.2, self.poll))
        for job in under_way.values():
            tidy(job.workspace.path)
            jobs.finish(job, dict(STOPPED))


class _Feed:
    """Takes jobs in a thread of its own, since taking waits for cells that other processes run."""

    def __init__(self, jobs: Jobs, window: int) -> None:
        self.room = threading.Semaphore(window)
        self._jobs, self._window = jobs, window
        self._stop = threading.Event()
        self._taken: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._error: BaseException | None = None
        self.open = True
        self._thread = threading.Thread(target=self._take, name="feed", daemon=True)

    def bundle(self, settle: float, wait: float) -> list[Job]:
        """The jobs that have come, once none has for `settle` seconds; none where none comes within `wait`."""
        found: list[Job] = []
        while self.open and len(found) < self._window:
            try:
                job = self._taken.get(timeout=settle if found else max(wait, 0.01))
            except queue.Empty:
                break
            if job is None:
                self.open = False
                if self._error is not None:
                    raise self._error
            else:
                found.append(job)
        return found

    def give_back(self, jobs: Sequence[Job]) -> None:
        """Put back jobs that were not begun."""
        for job in reversed(jobs):
            self._jobs.give_back(job)

    def close(self) -> None:
        """Take no more, and put back what was taken and not handed on."""
        self._stop.set()
        self.room.release()
        self._thread.join()
        self.open = False
        left: list[Job] = []
        while not self._taken.empty():
            job = self._taken.get()
            if job is not None:
                left.append(job)
        self.give_back(left)

    def __enter__(self) -> _Feed:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            self.close()

    def _take(self) -> None:
        try:
            while not self._stop.is_set():
                self.room.acquire()
                job = None if self._stop.is_set() else self._jobs.take(self._stop.is_set)
                if job is None:
                    return
                self._taken.put(job)
        except BaseException as error:
            self._error = error
        finally:
            self._taken.put(None)
