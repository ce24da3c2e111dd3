"""What an executor is: it asks for jobs, has them run somewhere, and hands back what came of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from vidsuite_core.results.cell import Cell
from vidsuite_core.runner.devices import Slot

if TYPE_CHECKING:
    from vidsuite_core.engine.order import Order
    from vidsuite_core.results.store import Workspace


@dataclass(frozen=True)
class Job:
    """A cell to be run now, with its order for the worker, its temporary folder, and its time-out in seconds."""

    cell: Cell
    order: Order
    workspace: Workspace
    timeout: float | None


@dataclass(frozen=True)
class Event:
    """Progress of a cell on a slot: a phase or step that is under way, `done` of `total` (0: unknown)."""

    slot: str
    cell: Cell
    what: str
    done: int = 0
    total: int = 0


class Jobs(Protocol):
    """Where executors get jobs; safe to be called from several threads."""

    def take(self, stopped: Callable[[], bool]) -> Job | None:
        """The next job, or None where nothing is left; waits for cells of other processes until `stopped()`."""

    def give_back(self, job: Job) -> None:
        """Put back a job that was not begun (its worker did not start)."""

    def finish(self, job: Job, outcome: dict[str, Any]) -> None:
        """Keep what came of a job: the fields of `Record` that its run tells, at least `status` and `reason`."""

    def abandon(self, reason: str) -> None:
        """Fail all jobs that are left: no slot can run them."""


class Executor(ABC):
    """Runs jobs until none is left.

    Args:
        slots: the device slots to use.
        notify: called with each event, from any thread.
    """

    def __init__(self, slots: Sequence[Slot], notify: Callable[[Event], None]) -> None:
        self.slots = list(slots)
        self.notify = notify

    @abstractmethod
    def run(self, jobs: Jobs) -> None:
        """Run all jobs; on KeyboardInterrupt finish those under way as "interrupted" and raise it again."""
