"""Plugins that run in a Python of their own: its interpreter, what is installed there, and whether it speaks with us.

A cell runs in a worker process, so that the Python of a worker may be another one than the run's, with another torch:
the model's plugin decides. There the same version of vidsuite must be installed (the worker protocol's version is what
is compared, see `messages`), and the plugins of the cell's task, dataset and model.
"""

from __future__ import annotations

import json
import subprocess
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vidsuite_core.errors import UsageError
from vidsuite_core.runner.messages import PROTOCOL
from vidsuite_core.support.files import why

FILE = "vidsuite.toml"
"""The file beside which paths in it are looked for, in the working folder."""
_ASKING = 120.0
"""Seconds that a Python may take to say what is installed there."""


@dataclass(frozen=True)
class Told:
    """What a Python says of itself: software, and the code of the core and of plugins (see `support.code`)."""

    software: Mapping[str, str]
    code: Mapping[str, Any]


@dataclass
class Pythons:
    """The interpreters that plugins have of their own; asked once each for the same plugins."""

    paths: Mapping[str, Path] = field(default_factory=dict)
    _told: dict[tuple[str, str], Told] = field(default_factory=dict)

    def of(self, plugin: str) -> str:
        """The interpreter of a plugin; "" where it is the run's own."""
        return str(self.paths.get(plugin, ""))

    def ask(self, python: str, plugins: Mapping[str, Sequence[str]]) -> Told:
        """What an interpreter says of itself and of plugins (with further modules of theirs).

        Raises:
            UsageError: it cannot be run, has no vidsuite, speaks another protocol, or lacks a plugin.
        """
        wanted = json.dumps({name: sorted(modules) for name, modules in sorted(plugins.items())})
        key = (python, wanted)
        if key not in self._told:
            self._told[key] = _ask(python, wanted, sorted(plugins))
        return self._told[key]


def chosen(given: Sequence[str], folder: Path) -> Pythons:
    """The interpreters of `PLUGIN=PATH` texts, before those of a `vidsuite.toml` in a folder.

    The file has a table for each plugin: `[plugins.NAME]` with `python = "PATH"`, relative to the file.

    Raises:
        UsageError: a text or the file is of another form, or an interpreter is not there.
    """
    found = dict(_of_file(folder / FILE))
    for text in given:
        plugin, equals, path = text.partition("=")
        if not equals or not plugin or not path:
            raise UsageError(f"--python {text}: say PLUGIN=PATH, as --python old_paper=.venv-old/bin/python")
        found[plugin] = Path(path).absolute()
    for plugin, interpreter in found.items():
        if not interpreter.is_file():
            raise UsageError(f"the Python of plugin {plugin} is not there: {interpreter}")
    return Pythons(found)


def _of_file(path: Path) -> dict[str, Path]:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        reason = why(error, path) if isinstance(error, OSError) else f"it is no TOML: {error}"
        raise UsageError(f"{path}: {reason}") from error
    plugins = data.get("plugins", {})
    if set(data) - {"plugins"} or not isinstance(plugins, dict):
        raise UsageError(f"{path}: it has tables [plugins.NAME] alone, each with python = PATH")
    for name, table in plugins.items():
        if not isinstance(table, dict) or set(table) != {"python"} or not isinstance(table["python"], str):
            raise UsageError(f'{path}: [plugins.{name}] must hold python = "PATH" and nothing else')
    return {name: (path.parent / table["python"]).absolute() for name, table in plugins.items()}


def _ask(python: str, wanted: str, names: Sequence[str]) -> Told:
    command = [python, "-P", "-m", "vidsuite_core.runner.about", wanted]
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=_ASKING)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"{python} cannot be run: {getattr(error, 'strerror', None) or error}") from error
    try:
        answer = json.loads(done.stdout)
        protocol, software, code = answer["protocol"], answer["software"], answer["code"]
    except (ValueError, KeyError, TypeError) as error:
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1][:300]
        raise UsageError(
            f"{python} does not answer as a Python with this vidsuite; install it there (it said: {said})"
        ) from error
    if protocol != PROTOCOL:
        raise UsageError(
            f"{python} has a vidsuite whose workers speak protocol {protocol}, this one speaks {PROTOCOL}; "
            "install the same version there"
        )
    if lacking := [name for name in names if name not in code]:
        raise UsageError(f"{python} lacks plugin {lacking[0]}, or cannot load it; install it there")
    return Told(software, code)
