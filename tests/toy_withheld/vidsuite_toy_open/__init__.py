"""The benchmarks of `vidsuite_toy_withheld` as they would be if their labels were not kept back."""

from pathlib import Path

from vidsuite_toy_withheld import TASKS

from vidsuite_core import BenchmarkSpec, hookimpl

vidsuite_api = 1
HERE = Path(__file__).parent


@hookimpl
def vidsuite_benchmarks():
    return [
        BenchmarkSpec(name=name, summary=name, task=task, definition=HERE / f"{name}.yaml")
        for name, task in TASKS.items()
    ]
