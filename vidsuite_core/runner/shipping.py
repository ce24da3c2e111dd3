"""The code of this installation as one folder, for machines that have the libraries and not us."""

from __future__ import annotations

import shutil
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.plugins import CORE, PluginManager
from vidsuite_core.support.code import OURS
from vidsuite_core.support.ids import digest
from vidsuite_core.support.paths import cache_home

_OURS = ("vidsuite_core", "vidsuite_plugins", "vidsuite_benchmarks", "vidsuite_leaderboard")
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", "published", ".*")


def staged() -> Path:
    """A folder with our packages, those of all plugins, and the entry points that make them found.

    It lies in the cache, made anew at each call: what is edited meanwhile is in it.

    Raises:
        VidsuiteError: a plugin's code cannot be found as files.
    """
    packages, distributions = set(_OURS), {OURS}
    for plugin in PluginManager().plugins:
        if plugin.name != CORE and plugin.distribution != OURS:
            packages.add(plugin.module.partition(":")[0].partition(".")[0])
            distributions.add(plugin.distribution)
    target = cache_home() / "shipped" / digest(sorted(packages))[:16]
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in sorted(packages):
        _copy(name, target)
    for name in sorted(distributions - {""}):
        _describe(name, target)
    return target


def _copy(name: str, target: Path) -> None:
    spec = find_spec(name)
    if spec is None or (spec.origin is None and not spec.submodule_search_locations):
        raise VidsuiteError(f"the code of {name} cannot be found to be shipped; install it on the nodes")
    for place in spec.submodule_search_locations or ():
        shutil.copytree(place, target / name, ignore=_LEFT_OUT, dirs_exist_ok=True)
    if not spec.submodule_search_locations and spec.origin:
        shutil.copy2(spec.origin, target)


def _describe(name: str, target: Path) -> None:
    """What pip would have written of a distribution, as far as versions and entry points are read from it."""
    try:
        found = distribution(name)
    except PackageNotFoundError as error:
        raise VidsuiteError(f"the distribution {name} cannot be found; install it on the nodes") from error
    info = target / f"{name.replace('-', '_')}-{found.version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {found.version}\n")
    (info / "entry_points.txt").write_text(found.read_text("entry_points.txt") or "")
    if (top := found.read_text("top_level.txt")) is not None:
        (info / "top_level.txt").write_text(top)
