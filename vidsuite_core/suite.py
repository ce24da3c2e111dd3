"""The suite: everything that the loaded plugins bring, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from vidsuite_core.plugins import PluginFault, PluginManager, Registered, find
from vidsuite_core.specs import (
    BackendSpec,
    BenchmarkSpec,
    CommandSpec,
    DatasetSpec,
    ExecutorSpec,
    ModelSpec,
    Spec,
    TaskSpec,
    WeightsSpec,
    resolve,
)

if TYPE_CHECKING:
    import torch

    from vidsuite_core.benchmark import Definition
    from vidsuite_core.datasets import Dataset, Progress
    from vidsuite_core.runner.bench import Results
    from vidsuite_core.tasks.base import Task

S = TypeVar("S", bound=Spec)
H = TypeVar("H")


@dataclass(frozen=True)
class TaskHandle(Registered[TaskSpec]):
    """A task that can be opened for a set of classes."""

    def open(self, classes: Sequence[str]) -> Task:
        """The task over `classes`."""
        task: Task = resolve(self.spec.builder)(classes)
        return task


@dataclass(frozen=True)
class DatasetHandle(Registered[DatasetSpec]):
    """A dataset that can be opened at a folder."""

    def open(self, root: Path | None = None, **options: Any) -> Dataset:
        """The dataset below `root`; by default where `vidsuite` keeps data for these options."""
        dataset: Dataset = resolve(self.spec.builder)(root or self.home(options), **options)
        return dataset

    def home(self, options: Mapping[str, Any]) -> Path:
        """Where data with these options is kept: one folder a set of options, so that presets do not mix."""
        from vidsuite_core.support.ids import digest, plain
        from vidsuite_core.support.paths import data_home

        name = digest(plain(options))[:8] if options else "data"
        return data_home() / self.plugin / self.spec.name / name

    def prepare(self, root: Path | None = None, progress: Progress | None = None, **options: Any) -> Dataset:
        """Open the dataset and make what is missing; returns it ready for `samples()`."""
        from vidsuite_core.datasets import silent

        dataset = self.open(root, **options)
        dataset.prepare(progress or silent)
        return dataset


@dataclass(frozen=True)
class ModelHandle(Registered[ModelSpec]):
    """A model whose network can be built."""

    def build(self, weights: Path | str | None = None, **options: Any) -> torch.nn.Module:
        """The network: random weights unless a file is given, which is loaded strictly."""
        if self.spec.network:
            network: torch.nn.Module = resolve(self.spec.network)(weights=weights, **options)
            return network
        from vidsuite_core.engine.build import build_network

        return build_network(self.spec, weights, **options)


@dataclass(frozen=True)
class BenchmarkHandle(Registered[BenchmarkSpec]):
    """A benchmark with its definition."""

    def definition(self) -> Definition:
        """The YAML definition, checked."""
        from vidsuite_core.benchmark import read_definition

        return read_definition(self)

    def reported(self) -> Mapping[str, Any]:
        """The rows that the paper reports; empty where the benchmark names none."""
        from vidsuite_core.benchmark import read_reported

        return read_reported(self)


def tasks_of(spec: Any) -> tuple[str, ...]:
    """The tasks that a spec of a dataset, model or benchmark is for."""
    return spec.tasks if isinstance(spec, ModelSpec) else (spec.task,)


class Catalogue(Mapping[str, H], Generic[H]):
    """Rows by full name (`<plugin>/<name>`); the plugin part may be left out where the name is unambiguous."""

    def __init__(self, kind: str, rows: Sequence[Any]) -> None:
        self.kind = kind
        self._rows: dict[str, Any] = {row.key: row for row in rows}

    def __getitem__(self, name: str) -> H:
        return find(self._rows, name, self.kind)  # type: ignore[return-value]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, name: object) -> bool:
        return name in self._rows or sum(row.spec.name == name for row in self._rows.values()) == 1

    def get(self, name: str, default: Any = None) -> Any:
        """The row called `name`, or `default` where none is or several are."""
        return self[name] if name in self else default  # noqa: SIM401 (this is that get)

    def keys_and_names(self) -> set[str]:
        """Every full name and every name by itself."""
        return {*self._rows, *(row.spec.name for row in self._rows.values())}

    def of_task(self, name: str, task: str) -> H:
        """The row called `name`; of several, the one for `task`."""
        fitting = {
            key: row for key, row in self._rows.items() if task in tasks_of(row.spec) and name in (key, row.spec.name)
        }
        return find(fitting or self._rows, name, self.kind)  # type: ignore[return-value]

    def of_plugin(self, plugin: str) -> list[H]:
        """The rows that `plugin` brings."""
        return [row for row in self._rows.values() if row.plugin == plugin]


class Suite:
    """What the loaded plugins bring. `faults` names what was left out, and why."""

    def __init__(self, manager: PluginManager) -> None:
        self.manager = manager
        self.tasks = self._catalogue("task", "vidsuite_tasks", TaskHandle)
        self.datasets = self._catalogue("dataset", "vidsuite_datasets", DatasetHandle)
        self.models = self._catalogue("model", "vidsuite_models", ModelHandle)
        self.benchmarks = self._catalogue("benchmark", "vidsuite_benchmarks", BenchmarkHandle)
        self.weights: Catalogue[Registered[WeightsSpec]] = self._catalogue("weights", "vidsuite_weights", Registered)
        self.executors: Catalogue[Registered[ExecutorSpec]] = self._catalogue(
            "executor", "vidsuite_executors", Registered
        )
        self.backends: Catalogue[Registered[BackendSpec]] = self._catalogue("back end", "vidsuite_backends", Registered)
        self.commands: Catalogue[Registered[CommandSpec]] = self._catalogue("command", "vidsuite_commands", Registered)

    @property
    def faults(self) -> list[PluginFault]:
        """Plugins, or parts of them, that were left out."""
        return self.manager.faults

    def run(self, plugin: str, **options: Any) -> Results:
        """Run a plugin's benchmarks as `vidsuite bench --plugin` does; options as in `BenchOptions`."""
        from vidsuite_core.runner.bench import BenchOptions, bench

        return bench(self, BenchOptions(plugin=plugin, **options))

    def _catalogue(self, kind: str, hook: str, handle: type[Any]) -> Catalogue[Any]:
        return Catalogue(kind, [handle(row.plugin, row.spec) for row in self.manager.collect(hook)])


def load(only: str | None = None) -> Suite:
    """Discover the installed plugins; `only` loads one of them alone.

    Sets variables of the environment that libraries need on this machine, see `vidsuite_core.support.surroundings`.

    Raises:
        UsageError: `only` is not installed.
    """
    from vidsuite_core.support.surroundings import settle

    settle()
    return Suite(PluginManager(only))
