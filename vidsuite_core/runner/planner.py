"""From a benchmark to its planned cells: datasets and weights prepared, configs resolved, the code identified."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidsuite_core.engine.order import Order
from vidsuite_core.errors import DataNotReady, UsageError
from vidsuite_core.plugins import CORE, Plugin
from vidsuite_core.protocols import as_given, withheld
from vidsuite_core.results.cell import Cell
from vidsuite_core.runner.plan import folds_of, plan_cells
from vidsuite_core.runner.pythons import Pythons
from vidsuite_core.runner.schedule import Planned
from vidsuite_core.specs import resolve
from vidsuite_core.support import code, environment

if TYPE_CHECKING:
    from vidsuite_core.datasets import Dataset
    from vidsuite_core.runner.bench import BenchOptions, Watcher
    from vidsuite_core.runner.devices import Slot
    from vidsuite_core.runner.foresight import Foresight
    from vidsuite_core.runner.initial_weights import InitialWeights
    from vidsuite_core.suite import BenchmarkHandle, DatasetHandle, ModelHandle, Suite


EFFICIENCY = "efficiency"
"""What `--only` may name: one cell of each model on each dataset, whose speed is measured in full."""
QUICK = "quick"
SHORT, FULL = "short", "full"
"""How long speed is measured, see `vidsuite_core.engine.speed`; torch is not imported for their names here."""


class Planner:
    """Plans one benchmark: prepares its datasets and weights, and resolves its configs."""

    def __init__(
        self,
        suite: Suite,
        options: BenchOptions,
        watcher: Watcher,
        benchmark: BenchmarkHandle,
        slot: Slot,
        weights: InitialWeights,
        pythons: Pythons | None = None,
    ) -> None:
        self._pythons = pythons or Pythons()
        self.suite, self.options, self.watcher = suite, options, watcher
        self.benchmark, self.slot = benchmark, slot
        self.definition = benchmark.definition()
        self.preset = self.definition.preset(options.preset)
        self.task = suite.tasks[benchmark.spec.task]
        self._weights = weights

    def plan(self, seeds: Sequence[int]) -> list[Planned]:
        """The benchmark's cells with their orders; models in turn, so that folds of one stay together."""
        if "outputs" in self.options.keep and not resolve(self.task.spec.builder).outputs:
            raise UsageError(
                f"task {self.task.spec.name} has no outputs beside its predictions; leave '--keep outputs' out"
            )
        models = self._models()
        return [
            entry
            for dataset in self._datasets()
            for entry in self._plan_dataset(dataset, self._on(dataset, models), seeds)
        ]

    def foresee(self, seeds: Sequence[int], found: Foresight) -> None:
        """Tell `found` what a run would do; nothing is prepared, fetched or written for it."""
        models = self._models()
        for handle in self._datasets():
            dataset, on = self._open(handle), self._on(handle, models)
            if dataset.is_ready():
                for entry in self._cells_on(handle, dataset, on, seeds, []):
                    known = not set(self._weights.unknown) & set(entry.cell.score_key["weights"])
                    found.cell(entry, known)
                continue
            found.missing_data(handle.key, handle.spec, dataset)
            folds = folds_of(self.definition.protocol_of(handle.key, self.options.preset))
            for model in on:
                self._weights.find(model.key, self._config(model, handle))
                found.model(f"{model.key} · {handle.spec.name}", folds, len(seeds))

    def _open(self, handle: DatasetHandle) -> Dataset:
        options = self.definition.options(handle.key, self.options.preset)
        root = (self.options.data or handle.home(options)).absolute()  # wherever a plugin goes
        return handle.open(root, **options)

    def _datasets(self) -> list[DatasetHandle]:
        listed, full_name = self.definition.datasets, self.definition.full_name
        if self.options.dataset is None:
            names = [name for name, entry in listed.items() if entry.default]
        else:
            names = [self.options.dataset]
        if not names:
            raise UsageError(
                f"benchmark {self.benchmark.key} has no default dataset; say --dataset ({', '.join(listed)})"
            )
        task = self.task.spec.name
        handles = [self.suite.datasets.of_task(full_name(name) if name in listed else name, task) for name in names]
        for handle in handles:
            self._same_task(handle.key, handle.spec.task)
        return handles

    def _models(self) -> list[ModelHandle]:
        listed = [self._listed_model(name) for name in self.preset.models or self.definition.models]
        glob = self.options.model
        if glob is None:
            return listed
        every = [self._listed_model(name) for name in self.definition.models]
        others = [m for m in self.suite.models.values() if m.spec.recipe(self.benchmark.spec.task)]
        for candidates in (listed, every, others):
            chosen = [m for m in candidates if fnmatchcase(m.spec.name, glob) or fnmatchcase(m.key, glob)]
            if chosen:
                return chosen
        if glob in self.suite.models:
            named = self.suite.models[glob]
            self._same_task(named.key, *named.spec.tasks)
            raise UsageError(f"model {named.key} has no config to run")
        names = [*self.definition.models, *(m.spec.name for m in others), *(m.key for m in others)]
        close = get_close_matches(glob, names, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(self.definition.models)}"
        raise UsageError(f"benchmark {self.benchmark.key} has no model {glob!r}; {hint}")

    def _on(self, dataset: DatasetHandle, models: Sequence[ModelHandle]) -> list[ModelHandle]:
        """Of the models those that the benchmark runs on a dataset; all where the user has named them."""
        wanted = self.definition.dataset(dataset.key).models
        if self.options.model is not None or wanted is None:
            return list(models)
        keys = {self.definition.full_name(name) for name in wanted}
        return [model for model in models if model.key in keys]

    def _listed_model(self, name: str) -> ModelHandle:
        return self.suite.models[self.definition.full_name(name)]

    def _same_task(self, key: str, *tasks: str) -> None:
        own = self.benchmark.spec.task
        if own not in tasks:
            raise UsageError(f"{key} is for task {', '.join(tasks)}; benchmark {self.benchmark.key} is {own}")

    def _plan_dataset(
        self, handle: DatasetHandle, models: Sequence[ModelHandle], seeds: Sequence[int]
    ) -> list[Planned]:
        dataset = self._open(handle)
        dataset.prepare(self.watcher.preparing)
        return self._cells_on(handle, dataset, models, seeds, self._notes(handle, dataset))

    def _cells_on(
        self,
        handle: DatasetHandle,
        dataset: Dataset,
        models: Sequence[ModelHandle],
        seeds: Sequence[int],
        notes: Sequence[str],
    ) -> list[Planned]:
        """The cells on a dataset that is ready; `notes` are what each cell's record says of its data."""
        from vidsuite_core.engine.config import settle

        samples = self._samples(handle, dataset)
        if not samples:
            raise DataNotReady(f"dataset {handle.key} has no samples; {dataset.how_to_get()}")
        planned = []
        for model in models:
            config = self._config(model, handle)
            settle(config, samples)
            found = self._weights.find(model.key, config)
            cells = plan_cells(
                benchmark=self.benchmark.key,
                task=(self.task.spec.name, int(resolve(self.task.spec.builder).version)),
                dataset=handle.key,
                samples=samples,
                fingerprint=dataset.fingerprint(),
                protocol=self.definition.protocol_of(handle.key, self.options.preset),
                model=model.key,
                config=config,
                weights=found.hashes,
                seeds=seeds,
                preset=self.options.preset,
                device_kind=self.slot.kind,
                device_count=self.slot.ranks,
                classes=dataset.class_names(),
            )
            python = self._pythons.of(model.plugin)
            of_cells, software = self._code(handle, model, config, python)
            identity = code.identity(of_cells, software)
            timeout = self.options.timeout or self.preset.timeout
            warnings = [*found.warnings, *notes]
            planned += [
                Planned(
                    cell,
                    partial(self._order, cell, handle, dataset, found.files, identity, place == 0, python),
                    of_cells,
                    identity,
                    timeout,
                    warnings,
                    self.options.keep,
                    FULL if self.options.only else "",
                    software,
                )
                for place, cell in enumerate(cells[:1] if self.options.only else cells)
            ]
        return planned

    def _samples(self, handle: DatasetHandle, dataset: Dataset) -> Sequence[Any]:
        """The dataset's samples, as far as their labels are not kept back."""
        protocol = self.definition.protocol_of(handle.key, self.options.preset)
        task = resolve(self.task.spec.builder)
        if withheld(protocol) and not task.answers:
            raise UsageError(f"task {self.task.spec.name} cannot do without labels, so that none can be kept back")
        return as_given(protocol, dataset.samples())

    def _notes(self, handle: DatasetHandle, dataset: Dataset) -> list[str]:
        """What every cell's record says of its data."""
        synthetic = [f"{handle.key} is a synthetic dataset"] if handle.spec.synthetic else []
        changes = dataset.decoding_changes(self.watcher.preparing)
        more = f" (and {len(changes) - 1} recordings more)" if len(changes) > 1 else ""
        return [*synthetic, *(f"{line}{more}" for line in changes[:1])]

    def _config(self, model: ModelHandle, dataset: DatasetHandle) -> dict[str, Any]:
        from vidsuite_core.engine.config import cell_config, parse_options
        from vidsuite_core.engine.recipe import settle_recipe

        recipe = model.spec.recipe(self.benchmark.spec.task)
        if recipe is None:
            raise UsageError(f"model {model.key} has no config for {self.benchmark.spec.task}")
        layers = [self.preset.cfg, self.definition.dataset(dataset.key).cfg]
        options = {**parse_options(self.options.cfg_options), **self._inference("inference.")}
        config = cell_config(recipe, self.options.preset, layers, options, self.slot.precision)
        settle_recipe(config, model.key)
        return config

    def _inference(self, prefix: str = "") -> dict[str, str]:
        """What the options say of how networks run; refuses a back end that is not here."""
        from vidsuite_core.inference.registry import find_backend

        if self.options.backend not in (None, "auto"):
            find_backend(self.options.backend, "cuda" if self.slot.on_gpu else "cpu")
        given = {"backend": self.options.backend, "precision": self.options.precision}
        return {prefix + name: value for name, value in given.items() if value is not None}

    def _code(
        self, dataset: DatasetHandle, model: ModelHandle, config: Mapping[str, Any], python: str
    ) -> tuple[dict[str, Any], Mapping[str, str]]:
        """Identity of all code that decides the scores of the model's cells, and the software, in their Python."""
        names = {self.task.plugin, dataset.plugin, model.plugin} - {CORE}
        if python:
            told = self._pythons.ask(python, {name: imports(config) if name == model.plugin else () for name in names})
            return dict(told.code), told.software
        plugins = [plugin for plugin in self.suite.manager.plugins if plugin.name in names]
        of_model = {model.plugin: imports(config)}
        found = {plugin.name: code_of(self.suite, plugin, of_model.get(plugin.name, ())) for plugin in plugins}
        return {CORE: code.of_core(), **found}, environment.software()

    def _order(
        self,
        cell: Cell,
        handle: DatasetHandle,
        dataset: Dataset,
        weights: Mapping[str, str | None],
        identity: str,
        cost: bool,
        python: str,
        folder: Path,
    ) -> Order:
        return Order(
            score_key=cell.score_key,
            task=self.task.spec.builder,
            dataset=handle.spec.builder,
            root=str(dataset.root),
            options=dataset.options,
            weights=weights,
            code=identity,
            device="cuda" if self.slot.on_gpu else "cpu",
            folder=str(folder),
            cost=cost,
            ranks=self.slot.ranks,
            python=python,
            speed=self._inference(),
            protocol=SHORT if self.options.preset == QUICK and not self.options.only else FULL,
            keep=tuple(self.options.keep),
        )


def code_of(suite: Suite, plugin: Plugin, further: Sequence[str] = ()) -> dict[str, str]:
    """Identity of a plugin's code (see `support.code`): where its entry point, its builders and `further` lie."""
    if plugin.name == CORE:
        return code.of_core()
    builders = [handle.spec.builder for kind in (suite.tasks, suite.datasets) for handle in kind.of_plugin(plugin.name)]
    shown = [path for b in suite.benchmarks.of_plugin(plugin.name) for path in (b.spec.definition, b.spec.reported)]
    modules = [plugin.module, *builders, *further]
    return code.of_plugin(modules, plugin.distribution, {path for path in shown if path is not None})


def imports(config: Mapping[str, Any]) -> list[str]:
    """The modules that a config has imported."""
    names = (config.get("custom_imports") or {}).get("imports") or []
    return [names] if isinstance(names, str) else list(names)
