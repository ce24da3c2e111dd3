"""Finding plugins and keeping one bad plugin from harming the others."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

import pluggy

from vidsuite_core import hookspecs
from vidsuite_core.errors import UsageError
from vidsuite_core.specs import (
    API_VERSION,
    BackendSpec,
    BenchmarkSpec,
    CommandSpec,
    DatasetSpec,
    ExecutorSpec,
    ModelSpec,
    Spec,
    TaskSpec,
    WeightsSpec,
    aside,
)

GROUP = "vidsuite"
CORE = "core"
"""The plugin name of what the core brings itself."""
SPECS: dict[str, type[Spec]] = {
    "vidsuite_tasks": TaskSpec,
    "vidsuite_datasets": DatasetSpec,
    "vidsuite_models": ModelSpec,
    "vidsuite_benchmarks": BenchmarkSpec,
    "vidsuite_weights": WeightsSpec,
    "vidsuite_executors": ExecutorSpec,
    "vidsuite_backends": BackendSpec,
    "vidsuite_commands": CommandSpec,
}
"""What each hook that describes something returns a list of."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}\Z")
"""Plugin names: they name folders of a run folder, and the part of full names before the slash."""

S = TypeVar("S", bound=Spec)


@dataclass(frozen=True)
class PluginFault:
    """A plugin, or a part of one, that is left out, and why."""

    plugin: str
    reason: str


@dataclass(frozen=True)
class Plugin:
    """A plugin that was loaded; `distribution` is the package that brought it and `version` that package's."""

    name: str
    module: str
    distribution: str
    version: str


@dataclass(frozen=True)
class Registered(Generic[S]):
    """A spec with the plugin that it came from; `key` is `<plugin>/<name>`."""

    plugin: str
    spec: S

    @property
    def key(self) -> str:
        """The full name, `<plugin>/<name>`."""
        return f"{self.plugin}/{self.spec.name}"


class PluginManager:
    """Loads plugins from entry points, guarding each by itself.

    Args:
        only: load only the plugin of this name (and the core's own).
        entries: entry points to use in place of the installed ones (for tests and embedding).
    """

    def __init__(self, only: str | None = None, entries: Iterable[EntryPoint] | None = None) -> None:
        self.faults: list[PluginFault] = []
        self.plugins: list[Plugin] = []
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._register(Plugin(CORE, "vidsuite_core.builtin", "vidsuite", ""), _import("vidsuite_core.builtin"))
        found = sorted(entries if entries is not None else entry_points(group=GROUP), key=lambda entry: entry.name)
        if only is not None and only not in {entry.name for entry in found}:
            raise UsageError(f"no plugin {only!r} is installed{_did_you_mean(only, [e.name for e in found])}")
        for entry in found:
            if only is None or entry.name == only:
                self._load(entry)

    def collect(self, hook: str) -> list[Registered[Any]]:
        """All specs that `hook` yields, plugin by plugin; a plugin whose hook fails is reported and left out."""
        rows: dict[str, Registered[Any]] = {}
        for plugin, call in self._implementations(hook):
            for spec in self._specs_of(plugin, hook, call):
                row = Registered(plugin, spec)
                if row.key in rows:
                    self._fault(plugin, f"{hook} names {spec.name!r} twice; the second is left out")
                else:
                    rows[row.key] = row
        return list(rows.values())

    def notify(self, hook: str, **arguments: Any) -> None:
        """Call every plugin's `hook`; one that raises is reported among the faults, and the others are called."""
        for plugin, call in self._implementations(hook):
            taken = inspect.signature(call).parameters
            with self._guarded(plugin, f"{hook} failed"):
                call(**{name: value for name, value in arguments.items() if name in taken})

    def _implementations(self, hook: str) -> list[tuple[str, Callable[..., Any]]]:
        """The plugins that implement `hook`, in loading order."""
        found = {impl.plugin_name: impl.function for impl in getattr(self._manager.hook, hook).get_hookimpls()}
        return [(plugin.name, found[plugin.name]) for plugin in self.plugins if plugin.name in found]

    def _specs_of(self, plugin: str, hook: str, call: Callable[[], Any]) -> list[Spec]:
        wanted, specs = SPECS[hook], []
        with aside(), self._guarded(plugin, f"{hook} failed"):
            specs = list(call())
        wrong = [spec for spec in specs if not isinstance(spec, wanted)]
        if wrong:
            self._fault(plugin, f"{hook} returned {type(wrong[0]).__name__}, which is no {wanted.__name__}")
        return [spec for spec in specs if isinstance(spec, wanted)]

    def _load(self, entry: EntryPoint) -> None:
        if not _NAME.match(entry.name):
            self._fault(entry.name, "its name is not letters, digits, '.', '_' and '-' alone; rename its entry point")
            return
        namesake = next((plugin for plugin in self.plugins if plugin.name == entry.name), None)
        if namesake is not None:
            if namesake.module != entry.value:  # else one plugin, found twice, as by a stale dist-info
                self._fault(entry.name, f"a plugin of this name is loaded already; {entry.value} is left out")
            return
        module = None
        with aside(), self._guarded(entry.name, "cannot be imported"):
            module = entry.load()
        if module is None:
            return
        distribution = entry.dist
        plugin = Plugin(
            entry.name,
            entry.value,
            distribution.name if distribution else "",
            distribution.version if distribution else "",
        )
        self._register(plugin, module)

    def _register(self, plugin: Plugin, module: Any) -> None:
        try:
            fault = _version_fault(module) or _hook_fault(module)
            if not fault:
                self._manager.register(module, plugin.name)
        except Exception as error:  # pluggy's own checks, and modules whose attributes raise
            if self._manager.has_plugin(plugin.name):
                self._manager.unregister(name=plugin.name)
            fault = _one_line(error)
        if fault:
            self._fault(plugin.name, fault)
        else:
            self.plugins.append(plugin)

    @contextmanager
    def _guarded(self, plugin: str, what: str) -> Iterator[None]:
        """Report whatever a plugin raises, pytest's Exit and a panic of native code among it; only Ctrl-C passes."""
        try:
            yield
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._fault(plugin, f"{what}: {_one_line(error)}")

    def _fault(self, plugin: str, reason: str) -> None:
        fault = PluginFault(plugin, reason)
        if fault not in self.faults:
            self.faults.append(fault)


def _version_fault(module: Any) -> str:
    written_for = getattr(module, "vidsuite_api", None)
    if written_for is None:
        return f"does not say which plugin API it is written for; add 'vidsuite_api = {API_VERSION}'"
    if written_for != API_VERSION:
        return (
            f"is written for plugin API {written_for}, this vidsuite has {API_VERSION}; "
            "install a matching version of one of them"
        )
    return ""


def _hook_fault(module: Any) -> str:
    """What is wrong with the names or marks of a plugin's hooks."""
    known = [name for name, _ in inspect.getmembers(hookspecs, inspect.isfunction) if name.startswith("vidsuite_")]
    for name, member in inspect.getmembers(module, callable):
        mark = getattr(member, f"{hookspecs.PROJECT}_impl", None)
        if not isinstance(mark, dict):
            if name in known:
                return f"defines {name!r} without marking it; put @hookimpl above it"
            continue
        meant = mark.get("specname") or name
        if meant not in known:
            return f"implements {meant!r}, which is no hook{_did_you_mean(meant, known)}"
    return ""


def _import(module: str) -> Any:
    from importlib import import_module

    return import_module(module)


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or "no message"
    return f"{type(error).__name__}: {text}"


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are: {', '.join(known) or 'none'}"


def find(rows: dict[str, Registered[S]], name: str, kind: str) -> Registered[S]:
    """The row called `name`: `<plugin>/<name>`, or the name alone where only one plugin has it.

    Raises:
        UsageError: there is none, or several plugins have one.
    """
    if name in rows:
        return rows[name]
    matches = [row for row in rows.values() if row.spec.name == name]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise UsageError(f"{kind} {name!r} is ambiguous: {', '.join(row.key for row in matches)}")
    close = difflib.get_close_matches(name, [*rows, *(row.spec.name for row in rows.values())], n=1)
    hint = f"; did you mean {close[0]!r}?" if close else f"; there are: {', '.join(rows) or 'none'}"
    raise UsageError(f"no {kind} {name!r}{hint}")
