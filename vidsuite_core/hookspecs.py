"""The whole plugin API: what a plugin may implement, with an example each.

A plugin is a module (or object) named by an entry point in the group "vidsuite". It marks its functions with
`vidsuite_core.hookimpl` and states `vidsuite_api = 1`. It should import nothing heavy: specs name their
builders lazily.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from vidsuite_core.results.cell import Cell
    from vidsuite_core.results.store import Attempt
    from vidsuite_core.specs import (
        BackendSpec,
        BenchmarkSpec,
        CommandSpec,
        DatasetSpec,
        ExecutorSpec,
        ModelSpec,
        TaskSpec,
        WeightsSpec,
    )

PROJECT = "vidsuite"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def vidsuite_tasks() -> list[TaskSpec]:  # type: ignore[empty-body]
    """Tasks: the form of a sample, a target and a prediction, and their scores.

    Example:
        @hookimpl
        def vidsuite_tasks():
            return [TaskSpec(name="counting", summary="how many are there", builder="my_plugin.task:Counting")]
    """


@hookspec
def vidsuite_datasets() -> list[DatasetSpec]:  # type: ignore[empty-body]
    """Datasets, each for one task.

    Example:
        @hookimpl
        def vidsuite_datasets():
            return [DatasetSpec(name="ward", summary="our ward's clips", task="clip_classification",
                                builder="my_plugin.data:Ward", licence="CC BY 4.0")]
    """


@hookspec
def vidsuite_models() -> list[ModelSpec]:  # type: ignore[empty-body]
    """Models: a mmengine config each.

    Example:
        @hookimpl
        def vidsuite_models():
            return [ModelSpec(name="tsn", summary="TSN, ResNet-50", task="clip_classification",
                              config=Path(__file__).parent / "configs" / "tsn.py")]
    """


@hookspec
def vidsuite_benchmarks() -> list[BenchmarkSpec]:  # type: ignore[empty-body]
    """Benchmarks: a YAML definition each, and the rows that the paper reports.

    Example:
        @hookimpl
        def vidsuite_benchmarks():
            return [BenchmarkSpec(name="ward", summary="which method on our ward", task="clip_classification",
                                  definition=Path(__file__).parent / "benchmark.yaml")]
    """


@hookspec
def vidsuite_weights() -> list[WeightsSpec]:  # type: ignore[empty-body]
    """Named files of initial weights.

    Example:
        @hookimpl
        def vidsuite_weights():
            return [WeightsSpec(name="tsn_k400", summary="TSN", trained_on="Kinetics-400", licence="Apache-2.0",
                                url="https://example.org/tsn.pth", sha256="…", size=97_000_000)]
    """


@hookspec
def vidsuite_executors() -> list[ExecutorSpec]:  # type: ignore[empty-body]
    """Executors: where cells run.

    Example:
        @hookimpl
        def vidsuite_executors():
            return [ExecutorSpec(name="queue", summary="our batch queue", builder="my_plugin.queue:Queue")]
    """


@hookspec
def vidsuite_backends() -> list[BackendSpec]:  # type: ignore[empty-body]
    """Back ends: how trained networks are run.

    Example:
        @hookimpl
        def vidsuite_backends():
            return [BackendSpec(name="tensorrt", summary="TensorRT engines", builder="my_plugin.tensorrt:TensorRt",
                                devices=("cuda",))]
    """


@hookspec
def vidsuite_commands() -> list[CommandSpec]:  # type: ignore[empty-body]
    """Further sub-commands of `vidsuite`.

    Example:
        @hookimpl
        def vidsuite_commands():
            return [CommandSpec(name="ward", summary="look at our ward", builder="my_plugin.cli:ward")]
    """


@hookspec
def vidsuite_cell_started(cell: Cell) -> None:
    """Called in the main process when a cell is handed to a worker.

    Example:
        @hookimpl
        def vidsuite_cell_started(cell):
            print("started", cell.title)
    """


@hookspec
def vidsuite_cell_finished(cell: Cell, result: Attempt) -> None:
    """Called in the main process with the cell's new attempt, whatever its status.

    Example:
        @hookimpl
        def vidsuite_cell_finished(cell, result):
            tracker.log(cell.title, result.record.scores)
    """
