"""vidsuite: a plugin-based benchmark suite for video-analysis papers.

    import vidsuite_core as vs
    suite = vs.load()
    network = suite.models["seizure_i3d/i3d"].build()

Importing this package imports neither torch nor OpenMMLab.
"""

from importlib.metadata import PackageNotFoundError, version

from vidsuite_core.hookspecs import hookimpl
from vidsuite_core.specs import (
    API_VERSION,
    BackendSpec,
    BenchmarkSpec,
    CommandSpec,
    DatasetSpec,
    ExecutorSpec,
    ModelSpec,
    TaskSpec,
    WeightsSpec,
)
from vidsuite_core.suite import Suite, load

try:
    __version__ = version("vidsuite")
except PackageNotFoundError:  # a bare source tree, never installed
    __version__ = "0+unknown"

__all__ = [
    "API_VERSION",
    "BackendSpec",
    "BenchmarkSpec",
    "CommandSpec",
    "DatasetSpec",
    "ExecutorSpec",
    "ModelSpec",
    "Suite",
    "TaskSpec",
    "WeightsSpec",
    "hookimpl",
    "load",
]
