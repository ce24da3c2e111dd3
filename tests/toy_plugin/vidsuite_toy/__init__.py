"""A small plugin as a third party would write it: does a blob move left or right?"""

from pathlib import Path

from vidsuite_core import BenchmarkSpec, DatasetSpec, ModelSpec, hookimpl

vidsuite_api = 1
HERE = Path(__file__).parent
TASK = "clip_classification"


@hookimpl
def vidsuite_datasets():
    return [
        DatasetSpec(
            name="blobs",
            summary="moving blobs",
            task=TASK,
            builder="vidsuite_toy.data:Blobs",
            licence="CC0",
            synthetic=True,
        )
    ]


@hookimpl
def vidsuite_models():
    return [ModelSpec(name="tiny", summary="a tiny 3-D convolution", task=TASK, config=HERE / "config.py")]


@hookimpl
def vidsuite_benchmarks():
    return [BenchmarkSpec(name="direction", summary="left or right", task=TASK, definition=HERE / "benchmark.yaml")]
