"""Finding plugins and keeping one bad plugin from harming the others."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

import pluggy

from vidsuite_core import hookspecs
from vidsuite_core.errors import UsageError
from vidsuite_core.specs import API_VERSION, Spec

GROUP = "vidsuite"
CORE = "core"
"""The plugin name of what the core brings itself."""

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

    @property
    def hook(self) -> Any:
        """The caller of hooks (`manager.hook.vidsuite_cell_started(cell=...)`)."""
        return self._manager.hook

    def collect(self, hook: str) -> list[Registered[Any]]:
        """All specs that `hook` yields, plugin by plugin; a plugin whose hook fails is reported and left out."""
        rows: dict[str, Registered[Any]] = {}
        for plugin in self.plugins:
            call = getattr(self._manager.get_plugin(plugin.name), hook, None)
            if call is None:
                continue
            for spec in self._specs_of(plugin, hook, call):
                row = Registered(plugin.name, spec)
                if row.key in rows:
                    self._fault(plugin.name, f"{hook} names {spec.name!r} twice; the second is left out")
                else:
                    rows[row.key] = row
        return list(rows.values())

    def _specs_of(self, plugin: Plugin, hook: str, call: Callable[[], Any]) -> list[Spec]:
        try:
            specs = list(call())
        except Exception as error:
            self._fault(plugin.name, f"{hook} failed: {_one_line(error)}")
            return []
        wrong = [spec for spec in specs if not isinstance(spec, Spec)]
        if wrong:
            self._fault(plugin.name, f"{hook} returned {type(wrong[0]).__name__}, which is no spec")
        return [spec for spec in specs if isinstance(spec, Spec)]

    def _load(self, entry: EntryPoint) -> None:
        if any(plugin.name == entry.name for plugin in self.plugins):
            self._fault(entry.name, f"a plugin of this name is loaded already; {entry.value} is left out")
            return
        try:
            module = entry.load()
        except Exception as error:
            self._fault(entry.name, f"cannot be imported: {_one_line(error)}")
            return
        distribution = entry.dist
        plugin = Plugin(
            entry.name, entry.value, distribution.name if distribution else "", distribution.version if distribution else ""
        )
        self._register(plugin, module)

    def _register(self, plugin: Plugin, module: Any) -> None:
        written_for = getattr(module, "vidsuite_api", None)
        if written_for != API_VERSION:
            self._fault(
                plugin.name,
                f"is written for plugin API {written_for}, this vidsuite has {API_VERSION}; "
                "install a matching version of one of them",
            )
            return
        misspelt = self._misspelt_hooks(module)
        if misspelt:
            self._fault(plugin.name, misspelt)
            return
        try:
            self._manager.register(module, plugin.name)
        except (ValueError, pluggy.PluginValidationError) as error:
            self._manager.unregister(name=plugin.name) if self._manager.has_plugin(plugin.name) else None
            self._fault(plugin.name, _one_line(error))
            return
        self.plugins.append(plugin)

    def _misspelt_hooks(self, module: Any) -> str:
        known = [name for name, _ in inspect.getmembers(hookspecs, inspect.isfunction) if name.startswith("vidsuite_")]
        for name, member in inspect.getmembers(module, callable):
            marked = getattr(member, f"{hookspecs.PROJECT}_impl", None) is not None
            if marked and name not in known:
                return f"implements {name!r}, which is no hook{_did_you_mean(name, known)}"
        return ""

    def _fault(self, plugin: str, reason: str) -> None:
        fault = PluginFault(plugin, reason)
        if fault not in self.faults:
            self.faults.append(fault)


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
    raise UsageError(f"no {kind} {name!r}{_did_you_mean(name, rows)}")
