"""The toys' four tasks with test labels that are kept back: data have them only with `answers` in their folder."""

from pathlib import Path

from vidsuite_core import BenchmarkSpec, DatasetSpec, hookimpl

vidsuite_api = 1
HERE = Path(__file__).parent
TASKS = {
    "turning": "clip_classification",
    "crossing": "video_segmentation",
    "growing": "early_prediction",
    "passing": "action_detection",
}


@hookimpl
def vidsuite_datasets():
    return [
        DatasetSpec(
            name=name,
            summary=f"{name}, test labels kept back",
            task=task,
            builder=f"vidsuite_toy_withheld.data:{name.title()}",
            licence="CC0",
            synthetic=True,
            shareable=True,
        )
        for name, task in TASKS.items()
    ]


@hookimpl
def vidsuite_benchmarks():
    return [
        BenchmarkSpec(name=name, summary=name, task=task, definition=HERE / "benchmarks" / f"{name}.yaml")
        for name, task in TASKS.items()
    ]
