"""What an executor is: it asks for jobs, has them run somewhere, and hands back what came of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from vidsuite_core.results.cell import Cell
from vidsuite_core.runner.devices import Slot
from vidsuite_core.runner.stop import Stop

if TYPE_CHECKING:
    from vidsuite_core.engine.order import Order
    from vidsuite_core.results.store import Workspace


@dataclass(frozen=True)
class Job:
    """A cell to be run now, with its order for the worker, its temporary folder, and its time-out in seconds.

    `code` tells whose sources decide its scores, see `vidsuite_core.support.code`; `stop` is set when it is to end.
    """

    cell: Cell
    order: Order
    workspace: Workspace
    timeout: float | None
    code: Mapping[str, Any] = field(default_factory=dict)
    stop: Stop = field(default_factory=Stop)


@dataclass(frozen=True)
class Event:
    """Progress of a cell on a slot: a phase or step that is under way, `done` of `total` (0: unknown)."""

    slot: str
    cell: Cell
    what: str
    done: int = 0
    total: int = 0


class Listener(Protocol):
    """What an executor tells of a run's progress; called from any thread."""

    def say(self, line: str) -> None:
        """A line for the user."""

    def event(self, event: Event) -> None:
        """Progress of a cell."""


class Jobs(Protocol):
    """Where executors get jobs; safe to be called from several threads.

    A job's folder is claimed by the process that took it, which must call the workspace's `heartbeat` while the job is
    under way. Where the job runs on its own somewhere else, that place claims the folder and beats: see `place`.

    Attributes:
        stop: once set, no more jobs are to be taken, and those under way are to end, each as its own `stop` tells.
    """

    stop: Stop

    def take(self, stopped: Callable[[], bool]) -> Job | None:
        """The next job, or None where nothing is left; waits for cells of other processes until `stopped()`."""

    def give_back(self, job: Job) -> None:
        """Put back a job that was not begun (its worker did not start)."""

    def finish(self, job: Job, outcome: dict[str, Any]) -> None:
        """Keep what came of a job: the fields of `Record` that its run tells, at least `status` and `reason`.

        `hardware` and `software` among them are those of the place where it ran.
        """

    def abandon(self, reason: str) -> None:
        """Leave all jobs that are left as not run: no slot can run them."""


@dataclass(frozen=True)
class Resources:
    """What a user lets a run use: devices (see `devices.parse_devices`), and workers on each of them.

    `options` are the executor's own, by name (see `vidsuite_core.runner.options`); `looking` says that nothing is to be
    run, so that nothing may be started to find the slots. `gpus_per_cell` processes run each cell together.
    """

    devices: str = "auto"
    workers_per_device: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    looking: bool = False
    gpus_per_cell: int = 1


class Executor(ABC):
    """Runs jobs until none is left.

    Args:
        resources: what it may use.
        listener: told of each event, and of what the user should know.
    """

    def __init__(self, resources: Resources, listener: Listener) -> None:
        self.resources = resources
        self.listener = listener

    @abstractmethod
    def slots(self) -> list[Slot]:
        """The slots that it has, all of one class of device, for which cells are planned.

        Raises:
            UsageError: the devices that are asked for are not there, or are of several classes.
        """

    @abstractmethod
    def run(self, jobs: Jobs) -> None:
        """Run all jobs; on KeyboardInterrupt set `jobs.stop`, finish those under way, and raise it again.

        At a second KeyboardInterrupt nobody waits for what cells have to save.
        """
