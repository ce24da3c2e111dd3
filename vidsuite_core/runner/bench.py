"""What `vidsuite bench` does: choose, prepare, plan, run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from vidsuite_core.benchmark import dataset_options, preset_of
from vidsuite_core.engine.order import Order
from vidsuite_core.errors import DataNotReady, UsageError
from vidsuite_core.results.cell import Cell
from vidsuite_core.results.store import Store
from vidsuite_core.runner.devices import Slot, parse_devices
from vidsuite_core.runner.executor import Event
from vidsuite_core.runner.initial_weights import InitialWeights
from vidsuite_core.runner.plan import plan_cells
from vidsuite_core.runner.schedule import Outcome, Planned, Schedule
from vidsuite_core.specs import resolve
from vidsuite_core.support import environment

if TYPE_CHECKING:
    from vidsuite_core.datasets import Dataset
    from vidsuite_core.suite import BenchmarkHandle, DatasetHandle, ModelHandle, Suite

QUICK = "quick"


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
    executor: str = "local"
    out: Path = Path("runs")
    data: Path | None = None
    fresh: bool = False
    dry_run: bool = False
    timeout: float | None = None
    weights: Sequence[str] = ()
    cfg_options: Sequence[str] = ()
    keep: Sequence[str] = ()


class Watcher(Protocol):
    """What is told of a run's progress; the terminal shows it."""

    def say(self, line: str) -> None:
        """A line for the user."""

    def preparing(self, what: str, done: int, total: int) -> None:
        """A step before any cell runs: data or weights."""

    def planned(self, cells: Sequence[Cell]) -> None:
        """The cells of this run."""

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

    def event(self, event: Event) -> None:
        """See `Watcher`."""

    def finished(self, outcome: Outcome) -> None:
        """See `Watcher`."""


@dataclass(frozen=True)
class Results:
    """What a run came to: its cells, in the plan's order, and what came of each."""

    cells: Sequence[Cell]
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)

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
    planned = session.plan(range(options.seeds))
    if options.dry_run:
        session.watcher.planned([entry.cell for entry in planned])
        return Results([entry.cell for entry in planned])
    return session.run(planned)


class Session:
    """The devices and initial weights of one call: cells are planned for them, and run on them.

    Raises:
        UsageError: the options name devices, weights or an executor that are not there.
    """

    def __init__(self, suite: Suite, options: BenchOptions, watcher: Watcher) -> None:
        self.suite, self.options, self.watcher = suite, options, watcher
        self._slots = _slots(options.devices, watcher)
        self._weights = InitialWeights(suite, options.weights, options.preset == QUICK, watcher.say, watcher.preparing)
        self._executor = suite.executors[options.executor].spec.builder

    def plan(self, seeds: Sequence[int]) -> list[Planned]:
        """The cells that the options ask for, data and weights prepared; raises as `bench` does."""
        planned = [
            entry
            for benchmark in _benchmarks(self.suite, self.options)
            for entry in _Planner(self, benchmark, self._slots[0], self._weights, seeds).plan()
        ]
        self._weights.refuse_unused()
        return planned

    def run(self, planned: Sequence[Planned]) -> Results:
        """Run cells of the plan, or reuse what was run before."""
        notify, watcher = self.suite.manager.notify, self.watcher
        cells = [entry.cell for entry in planned]
        watcher.planned(cells)

        def finished(outcome: Outcome) -> None:
            watcher.finished(outcome)
            if outcome.attempt is not None and not outcome.reused:
                notify("vidsuite_cell_finished", cell=outcome.cell, result=outcome.attempt)

        def started(cell: Cell) -> None:
            notify("vidsuite_cell_started", cell=cell)

        schedule = Schedule(Store(self.options.out), planned, started, finished, watcher.say, self.options.fresh)
        resolve(self._executor)(self._slots, watcher.event).run(schedule)
        return Results(cells, {outcome.cell.cell_id: outcome for outcome in schedule.outcomes})


def _slots(devices: str, watcher: Watcher) -> list[Slot]:
    slots = parse_devices(devices)
    if devices == "auto" and len({slot.kind for slot in slots}) > 1:
        slots = [slot for slot in slots if slot.kind == slots[0].kind]
        watcher.say(f"of several classes of device only {slots[0].kind} is used; --devices chooses others")
    if len({slot.kind for slot in slots}) > 1:
        raise UsageError(f"--devices {devices} mixes device classes, whose speeds do not compare; run them apart")
    return slots


def _benchmarks(suite: Suite, options: BenchOptions) -> list[BenchmarkHandle]:
    if options.benchmark:
        return [suite.benchmarks[options.benchmark]]
    if not options.plugin:
        raise UsageError("say what to run: --plugin NAME or --benchmark NAME ('vidsuite list benchmarks' names them)")
    found = suite.benchmarks.of_plugin(options.plugin)
    if not found:
        faults = [fault.reason for fault in suite.faults if fault.plugin == options.plugin]
        raise UsageError(f"plugin {options.plugin!r} has no benchmark{': ' + faults[0] if faults else ''}")
    return found


class _Planner:
    """Plans one benchmark: prepares its datasets and weights, and resolves its configs."""

    def __init__(
        self, session: Session, benchmark: BenchmarkHandle, slot: Slot, weights: InitialWeights, seeds: Sequence[int]
    ) -> None:
        self.suite, self.options, self.watcher = session.suite, session.options, session.watcher
        self.benchmark, self.slot, self.seeds = benchmark, slot, seeds
        self.definition = benchmark.definition()
        self.preset = preset_of(self.definition, self.options.preset)
        self._weights = weights

    def plan(self) -> list[Planned]:
        """The benchmark's cells with their orders; models in turn, so that folds of one stay together."""
        task = self.benchmark.spec.task
        if "outputs" in self.options.keep and not resolve(self.suite.tasks[task].spec.builder).outputs:
            raise UsageError(f"task {task} has no outputs beside its predictions; leave '--keep outputs' out")
        models = self._models()
        return [entry for dataset in self._datasets() for entry in self._plan_dataset(dataset, models)]

    def _datasets(self) -> list[DatasetHandle]:
        listed: Mapping[str, Any] = self.definition["datasets"]
        if self.options.dataset is None:
            names = [name for name, entry in listed.items() if (entry or {}).get("default")]
        else:
            names = [self.options.dataset]
        if not names:
            raise UsageError(
                f"benchmark {self.benchmark.key} has no default dataset; say --dataset ({', '.join(listed)})"
            )
        own = self.benchmark.plugin
        handles = [self.suite.datasets[f"{own}/{name}" if name in listed else name] for name in names]
        for handle in handles:
            self._same_task(handle.key, handle.spec.task)
        return handles

    def _models(self) -> list[ModelHandle]:
        listed = [self._listed_model(name) for name in self.preset.get("models") or self.definition["models"]]
        glob = self.options.model
        if glob is None:
            return listed
        every = [self._listed_model(name) for name in self.definition["models"]]
        others = [m for m in self.suite.models.values() if m.spec.task == self.benchmark.spec.task and m.spec.config]
        for candidates in (listed, every, others):
            chosen = [m for m in candidates if fnmatchcase(m.spec.name, glob) or fnmatchcase(m.key, glob)]
            if chosen:
                return chosen
        named = self.suite.models[glob]  # names what comes close
        self._same_task(named.key, named.spec.task)
        raise UsageError(f"model {named.key} has no training recipe to run")

    def _listed_model(self, name: str) -> ModelHandle:
        return self.suite.models[name if "/" in name else f"{self.benchmark.plugin}/{name}"]

    def _same_task(self, key: str, task: str) -> None:
        if task != self.benchmark.spec.task:
            raise UsageError(f"{key} is for task {task}; benchmark {self.benchmark.key} is {self.benchmark.spec.task}")

    def _plan_dataset(self, handle: DatasetHandle, models: Sequence[ModelHandle]) -> list[Planned]:
        entry = self.definition["datasets"].get(handle.spec.name) or {}
        options = dataset_options(self.definition, handle.spec.name, self.options.preset)
        from vidsuite_core.engine.config import settle

        root = self.options.data or handle.home(options)
        dataset = handle.prepare(root, self.watcher.preparing, **options)
        samples = dataset.samples()
        if not samples:
            raise DataNotReady(f"dataset {handle.key} has no samples; {dataset.how_to_get()}")
        planned = []
        for model in models:
            config = self._config(model, entry)
            settle(config, samples)
            found = self._weights.find(model.key, config)
            cells = plan_cells(
                benchmark=self.benchmark.key,
                task=(self.benchmark.spec.task, self._task_version()),
                dataset=handle.key,
                samples=samples,
                fingerprint=dataset.fingerprint(),
                protocol=entry.get("protocol") or self.definition["protocol"],
                model=model.key,
                config=config,
                weights=found.hashes,
                seeds=self.seeds,
                preset=self.options.preset,
                device_kind=self.slot.kind,
                classes=dataset.class_names(),
            )
            code = self._code(handle, model)
            timeout = self.options.timeout or self.preset.get("timeout")
            warnings = [*found.warnings, *self._notes(handle)]
            planned += [
                Planned(
                    cell,
                    partial(self._order, cell, handle, dataset, found.files, place == 0),
                    code,
                    timeout,
                    warnings,
                    self.options.keep,
                )
                for place, cell in enumerate(cells)
            ]
        return planned

    def _notes(self, handle: DatasetHandle) -> list[str]:
        return [f"{handle.key} is a synthetic dataset"] if handle.spec.synthetic else []

    def _config(self, model: ModelHandle, dataset: Mapping[str, Any]) -> dict[str, Any]:
        from vidsuite_core.engine.config import cell_config, parse_options
        from vidsuite_core.engine.recipe import check_recipe

        if model.spec.config is None:
            raise UsageError(f"model {model.key} has no training recipe to run")
        layers = [self.preset.get("cfg") or {}, dataset.get("cfg") or {}]
        options = parse_options(self.options.cfg_options)
        config = cell_config(model.spec.config, self.options.preset, layers, options, self.slot.precision)
        check_recipe(config, f"config of {model.key}")
        return config

    def _task_version(self) -> int:
        return int(resolve(self.suite.tasks[self.benchmark.spec.task].spec.builder).version)

    def _code(self, dataset: DatasetHandle, model: ModelHandle) -> dict[str, Any]:
        names = {self.benchmark.plugin, dataset.plugin, model.plugin}
        plugins = [plugin for plugin in self.suite.manager.plugins if plugin.name in names]
        code = {plugin.name: environment.code(plugin.module, plugin.distribution) for plugin in plugins}
        return {"core": environment.code("vidsuite_core"), **code}

    def _order(
        self,
        cell: Cell,
        handle: DatasetHandle,
        dataset: Dataset,
        weights: Mapping[str, str | None],
        cost: bool,
        folder: Path,
    ) -> Order:
        return Order(
            score_key=cell.score_key,
            task=self.suite.tasks[cell.task].spec.builder,
            dataset=handle.spec.builder,
            root=str(dataset.root),
            options=dataset.options,
            weights=weights,
            device="cuda" if self.slot.on_gpu else "cpu",
            folder=str(folder),
            cost=cost,
            keep=tuple(self.options.keep),
        )
