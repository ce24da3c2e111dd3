"""A place where cells run: a slot with its worker, wherever it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from vidsuite_core.results.claims import claim, heartbeat
from vidsuite_core.runner.devices import Slot, cpu_slot, parse_devices
from vidsuite_core.runner.messages import Message
from vidsuite_core.runner.process import MODULE, START_TIMEOUT, WorkerFailed, WorkerProcess
from vidsuite_core.runner.stop import Stop

if TYPE_CHECKING:
    from vidsuite_core.engine.order import Order

    Report = Callable[[str, int, int], None]

PAUSES = (1.0, 5.0)
"""Seconds before each further try to start a worker."""


class Place:
    """A slot and its worker: started when it is needed, replaced when it died or when cells of another kind are due.

    Args:
        stop: once set, what runs here ends as "interrupted".
        module: what `python -m` runs as a worker.
        start_timeout: seconds until it must be ready.
        pauses: see `PAUSES`.
    """

    def __init__(
        self,
        slot: Slot,
        stop: Stop | None = None,
        module: str = MODULE,
        start_timeout: float = START_TIMEOUT,
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        self.slot = slot
        self._stop = stop or Stop()
        self._module, self._start_timeout, self._pauses = module, start_timeout, pauses
        self._worker: WorkerProcess | None = None

    def ready(self, order: Order, told: Callable[[str], None]) -> None:
        """Have a worker for the order.

        Args:
            told: called with what is done for it.

        Raises:
            WorkerFailed: none could be started, several times over.
        """
        if self._worker is not None and not (self._worker.alive and self._worker.kind in ("", order.kind)):
            self.close()
        if self._worker is None:
            told("starting worker")
            self._worker = self._start(told, order.python)

    def run(
        self,
        order: Order,
        timeout: float | None,
        hear: Callable[[Message], None],
        beat: Callable[[], None],
        stop: Stop | None = None,
    ) -> dict[str, Any]:
        """What came of an order for which the place is `ready`: see `WorkerProcess.run`; `stop` is the cell's own."""
        assert self._worker is not None
        outcome = self._worker.run(order, timeout, hear, stop or self._stop, beat)
        if not self._worker.alive:  # before the cell's folder is moved away
            self.close()
        return outcome

    def close(self) -> None:
        """End the worker and all that it has started."""
        if self._worker is not None:
            self._worker.kill()
            self._worker = None

    def __enter__(self) -> Place:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _start(self, told: Callable[[str], None], python: str) -> WorkerProcess:
        for pause in self._pauses:
            try:
                return WorkerProcess(self.slot, self._stop, self._module, self._start_timeout, python)
            except WorkerFailed as error:
                if self._stop.wait(pause):
                    raise
                told(f"starting worker again, since {error}")
        return WorkerProcess(self.slot, self._stop, self._module, self._start_timeout, python)


def run_order(
    order: Order,
    report: Report,
    timeout: float | None = None,
    slot: Slot | None = None,
    stop: Stop | None = None,
    place: Place | None = None,
    module: str = MODULE,
) -> dict[str, Any]:
    """Run an order on its own, away from the process that took the job: as an executor's job on another machine does.

    The order's folder, which must be there, is claimed by this process and given signs of life meanwhile. Nothing is
    inherited but the environment; the outcome, with the hardware and software of this place, is for `Jobs.finish`.

    Args:
        report: called as report(what, done, total) with each step.
        timeout: seconds that the cell may take.
        slot: by default the first GPU that is visible, or the processor, as the order's device says.
        stop: once set, the outcome is "interrupted"; for a place that is made here.
        place: one that is there already, and is left so; by default one is made of `slot`, `stop` and `module`.

    Raises:
        WorkerFailed: no worker could be started here.
    """

    def hear(message: Message) -> None:
        if message["kind"] == "progress":
            report(message["what"], message["done"], message["total"])
        else:
            report(message["text"], 0, 0)

    folder = Path(order.folder)
    claim(folder)
    if place is not None:
        place.ready(order, lambda what: report(what, 0, 0))
        return place.run(order, timeout, hear, lambda: heartbeat(folder))
    slot = slot or (cpu_slot() if order.device == "cpu" else parse_devices("auto")[0])
    with Place(slot, stop, module) as made:
        made.ready(order, lambda what: report(what, 0, 0))
        return made.run(order, timeout, hear, lambda: heartbeat(folder))
