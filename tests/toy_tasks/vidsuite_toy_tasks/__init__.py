"""A small plugin with a dataset, a model and a benchmark for each task that `vidsuite_toy` leaves out."""

from pathlib import Path

from vidsuite_core import BenchmarkSpec, DatasetSpec, ModelSpec, hookimpl

vidsuite_api = 1
HERE = Path(__file__).parent
TASKS = {"crossing": "video_segmentation", "growing": "early_prediction", "passing": "action_detection"}


@hookimpl
def vidsuite_datasets():
    return [
        DatasetSpec(
            name=name,
            summary=f"{name}, drawn",
            task=task,
            builder=f"vidsuite_toy_tasks.data:{name.title()}",
            licence="CC0",
            synthetic=True,
            shareable=True,
        )
        for name, task in TASKS.items()
    ]


@hookimpl
def vidsuite_models():
    return [
        ModelSpec(name=f"tiny_{name}", summary="a tiny network", task=task, config=HERE / "configs" / f"{name}.py")
        for name, task in TASKS.items()
    ]


@hookimpl
def vidsuite_benchmarks():
    return [
        BenchmarkSpec(name=name, summary=name, task=task, definition=HERE / "benchmarks" / f"{name}.yaml")
        for name, task in TASKS.items()
    ]
