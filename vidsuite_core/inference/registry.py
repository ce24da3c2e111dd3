"""Which back ends there are, and which of them can be used here. Importing this module is cheap."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.inference.base import Backend
from vidsuite_core.plugins import CORE, PluginManager, Registered, find
from vidsuite_core.specs import BackendSpec, resolve


@dataclass(frozen=True)
class Candidate:
    """A back end on a kind of device ("cpu" or "cuda").

    Attributes:
        name: its full name, without the plugin's where that is the core.
        automatic: whether "auto" tries it.
        backend: None where it is missing.
        missing: why it cannot be used here; empty where it can.
    """

    name: str
    automatic: bool
    backend: Backend | None
    missing: str = ""


def candidates(device: str) -> list[Candidate]:
    """All back ends for a kind of device, the core's first, those that are missing among them."""
    return [_candidate(row, device) for row in _registered().values() if device in row.spec.devices]


def here(on_gpu: bool) -> dict[str, str]:
    """Where each back end can be used here, or why it cannot; `on_gpu` says whether there is a GPU."""
    kinds = ("cpu", "cuda") if on_gpu else ("cpu",)
    found = {}
    for row in _registered().values():
        ways = {kind: _candidate(row, kind) for kind in kinds if kind in row.spec.devices}
        able = [kind for kind, way in ways.items() if not way.missing]
        missing = next(
            (way.missing for way in ways.values()), f"needs a device of kind {' or '.join(row.spec.devices)}"
        )
        text = ", ".join(able) + ("" if row.spec.automatic else " (on request)") if able else f"not here: {missing}"
        found[name_of(row)] = text
    return found


def find_backend(name: str, device: str) -> Candidate:
    """The back end called `name`, which can be used on `device`.

    Raises:
        UsageError: there is none of this name, it is for another device, or it is not here.
    """
    row = find(_registered(), name, "back end")
    if device not in row.spec.devices:
        raise UsageError(f"back end {name!r} is for {' and '.join(row.spec.devices)}, not for {device}")
    found = _candidate(row, device)
    if found.missing:
        raise UsageError(f"back end {name!r} cannot be used: {found.missing}")
    return found


def _candidate(row: Registered[BackendSpec], device: str) -> Candidate:
    name = name_of(row)
    try:
        backend: Backend = resolve(row.spec.builder)()
        missing = backend.missing(device)
    except VidsuiteError as error:
        return Candidate(name, row.spec.automatic, None, str(error))
    except Exception as error:  # a plugin's code may raise anything
        return Candidate(name, row.spec.automatic, None, f"{type(error).__name__}: {error}")
    return Candidate(name, row.spec.automatic, None if missing else backend, missing)


def name_of(row: Registered[BackendSpec]) -> str:
    """Its full name, without the plugin's where that is the core."""
    return row.spec.name if row.plugin == CORE else row.key


@cache
def _registered() -> dict[str, Registered[BackendSpec]]:
    return {row.key: row for row in PluginManager().collect("vidsuite_backends")}
