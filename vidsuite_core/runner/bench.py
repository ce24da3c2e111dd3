"""What `vidsuite bench` does: choose, prepare, plan, run."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from vidsuite_core.errors import UsageError
from vidsuite_core.results.cell import Cell
from vidsuite_core.results.store import Store
from vidsuite_core.runner.control import Control, Steps
from vidsuite_core.runner.executor import Event, Executor, Resources
from vidsuite_core.runner.forecast import Forecast, duration
from vidsuite_core.runner.foresight import Foresight, import_configs
from vidsuite_core.runner.initial_weights import InitialWeights
from vidsuite_core.runner.options import gathered
from vidsuite_core.runner.planner import EFFICIENCY, QUICK, Planner
from vidsuite_core.runner.pythons import chosen
from vidsuite_core.runner.schedule import Outcome, Planned, Schedule
from vidsuite_core.runner.stop import GRACE, Stop, Why
from vidsuite_core.specs import resolve
from vidsuite_core.support.text import command

if TYPE_CHECKING:
    from vidsuite_core.suite import BenchmarkHandle, Suite

_EVERY = 1.0
"""Least seconds between two forecasts."""


@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """What to run and how; see `vidsuite bench --help`."""

    plugin: str | None = None
    benchmark: str | None = None
    dataset: str | None = None
    model: str | None = None
    preset: str = QUICK
    seeds: int = 1
    devices: str = "auto"
    workers_per_device: int = 1
    gpus_per_cell: int = 1
    python: Sequence[str] = ()
    executor: str = "local"
    executor_options: Sequence[str] = ()
    executor_profile: Path | None = None
    out: Path = Path("runs")
    data: Path | None = None
    fresh: bool = False
    dry_run: bool = False
    timeout: float | None = None
    budget: float | None = None
    grace: float = GRACE
    weights: Sequence[str] = ()
    cfg_options: Sequence[str] = ()
    keep: Sequence[str] = ()
    backend: str | None = None
    precision: str | None = None
    only: str = ""


class Watcher(Protocol):
    """What is told of a run's progress; the terminal shows it."""

    def say(self, line: str) -> None:
        """A line for the user."""

    def preparing(self, what: str, done: int, total: int) -> None:
        """A step before any cell runs: data or weights."""

    def planned(self, cells: Sequence[Cell]) -> None:
        """The cells of this run."""

    def expects(self, forecast: Forecast) -> None:
        """What is known of how long the cells that are left will take; told before the first, and then now and then."""

    def event(self, event: Event) -> None:
        """Progress of a cell."""

    def finished(self, outcome: Outcome) -> None:
        """A cell has ended, or was reused."""


class Silent:
    """A watcher that shows nothing."""

    def say(self, line: str) -> None:
        """See `Watcher`."""

    def preparing(self, what: str, done: int, total: int) -> None:
        """See `Watcher`."""

    def planned(self, cells: Sequence[Cell]) -> None:
        """See `Watcher`."""

    def expects(self, forecast: Forecast) -> None:
        """See `Watcher`."""

    def event(self, event: Event) -> None:
        """See `Watcher`."""

    def finished(self, outcome: Outcome) -> None:
        """See `Watcher`."""


@dataclass(frozen=True)
class Results:
    """What a run came to: its cells, in the plan's order, and what came of each; a dry run has foresight alone."""

    cells: Sequence[Cell]
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    foreseen: Foresight | None = None

    @property
    def ok(self) -> bool:
        """Whether every cell has scores."""
        return all(cell.cell_id in self.outcomes and self.outcomes[cell.cell_id].ok for cell in self.cells)


def bench(suite: Suite, options: BenchOptions, watcher: Watcher | None = None) -> Results:
    """Run the cells that `options` ask for; finished ones are reused, failed ones tried again.

    Raises:
        UsageError: the options name something that is not there.
        VidsuiteError: data or weights cannot be had.
        KeyboardInterrupt: after the cells under way were kept as interrupted.
    """
    session = Session(suite, options, watcher or Silent())
    if options.dry_run:
        return Results([], foreseen=session.foresee(range(options.seeds)))
    return session.run(session.plan(range(options.seeds)))


class Session:
    """The devices and initial weights of one call: cells are planned for them, and run on them.

    Raises:
        UsageError: the options name devices, weights or an executor that are not there.
    """

    def __init__(self, suite: Suite, options: BenchOptions, watcher: Watcher) -> None:
        self.suite, self.options, self.watcher = suite, options, watcher
        self._steps = Steps(watcher)
        if options.only not in ("", EFFICIENCY):
            raise UsageError(f"--only {options.only}: there is {EFFICIENCY} alone")
        if options.only and options.workers_per_device > 1:
            raise UsageError("--only efficiency measures speed, so a device has one worker; leave --workers-per-device")
        resources = Resources(
            options.devices,
            options.workers_per_device,
            gathered(options.executor_profile, options.executor_options),
            options.dry_run,
            options.gpus_per_cell,
        )
        if options.gpus_per_cell > 1 and options.executor != "local":
            raise UsageError(
                f"--gpus-per-cell is for the local executor; {options.executor} gives each cell one device"
            )
        self._pythons = chosen(options.python, Path.cwd())
        if self._pythons.paths and options.executor != "local":
            raise UsageError(
                f"--python is for the local executor; {options.executor} runs cells by its own installation"
            )
        self._executor: Executor = resolve(suite.executors[options.executor].spec.builder)(resources, self._steps)
        self._slots = self._executor.slots()
        self._stop = Stop(grace=options.grace)
        self._ends = time.monotonic() + options.budget if options.budget else None
        self._weights = InitialWeights(suite, options.weights, options.preset == QUICK, watcher.say, watcher.preparing)
        self._weights.may_fetch = not options.dry_run

    def plan(self, seeds: Sequence[int]) -> list[Planned]:
        """The cells that the options ask for, data and weights prepared; raises as `bench` does."""
        planned = [entry for planner in self._planners() for entry in planner.plan(seeds)]
        self._weights.refuse_unused()
        return planned

    def foresee(self, seeds: Sequence[int]) -> Foresight:
        """What a run would do; nothing is prepared, fetched, run or written for it."""
        import_configs()
        found = Foresight(Store(self.options.out.absolute()), len(self._slots), self.options.fresh)
        for planner in self._planners():
            planner.foresee(seeds, found)
        self._weights.refuse_unused()
        found.fetched = self._weights.foreseen
        return found

    def _planners(self) -> Iterator[Planner]:
        for benchmark in _benchmarks(self.suite, self.options):
            yield Planner(
                self.suite, self.options, self.watcher, benchmark, self._slots[0], self._weights, self._pythons
            )

    def run(self, planned: Sequence[Planned]) -> Results:
        """Run cells of the plan, or reuse what was run before."""
        notify, watcher = self.suite.manager.notify, self.watcher
        cells = [entry.cell for entry in planned]
        watcher.planned(cells)

        told = 0.0

        def finished(outcome: Outcome) -> None:
            nonlocal told
            watcher.finished(outcome)
            if schedule.begun and time.monotonic() - told > _EVERY:
                told = time.monotonic()
                watcher.expects(schedule.forecast(len(self._slots)))
            if outcome.attempt is not None and not outcome.reused:
                notify("vidsuite_cell_finished", cell=outcome.cell, result=outcome.attempt)

        def started(cell: Cell) -> None:
            notify("vidsuite_cell_started", cell=cell)

        store = Store(self.options.out.absolute())  # whoever changes the working folder meanwhile
        schedule = Schedule(store, planned, started, finished, watcher.say, self.options.fresh, self._stop)
        schedule.look_back()
        watcher.expects(schedule.forecast(len(self._slots)))
        control = Control(store.root, schedule, self._steps, command(sys.argv), len(self._slots), len(cells))
        with control, self._budgeted():
            self._executor.run(schedule)
            if (why := self._stop.why) is not None:
                schedule.leave_out(why.reason)
            results = Results(cells, {outcome.cell.cell_id: outcome for outcome in schedule.outcomes})
            control.ended(whole=results.ok)
        return results

    @contextmanager
    def _budgeted(self) -> Iterator[None]:
        """Have the run end when its time is spent: what is under way saves its state, the rest is left out."""
        if self._ends is None:
            yield
            return
        spent = f"the budget of {duration(self.options.budget or 0)} (--budget) was spent; the same command goes on"
        timer = threading.Timer(max(0.0, self._ends - time.monotonic()), self._stop.set, [Why("timeout", spent)])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


def _benchmarks(suite: Suite, options: BenchOptions) -> list[BenchmarkHandle]:
    if options.benchmark:
        return [suite.benchmarks[options.benchmark]]
    if not options.plugin:
        raise UsageError("say what to run: --plugin NAME or --benchmark NAME ('vidsuite list benchmarks' names them)")
    found = suite.benchmarks.of_plugin(options.plugin)
    if not found:
        names = [plugin.name for plugin in suite.manager.plugins]
        faults = [fault.reason for fault in suite.faults if fault.plugin == options.plugin]
        if options.plugin not in names and not faults:
            close = get_close_matches(options.plugin, names, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(names)}"
            raise UsageError(f"no plugin {options.plugin!r} is installed; {hint}")
        raise UsageError(f"plugin {options.plugin!r} has no benchmark{': ' + faults[0] if faults else ''}")
    return found
