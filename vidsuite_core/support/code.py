"""The identity of code, told by the content of its files: a result, a feature or a checkpoint belongs to what made it.

What a cell's scores rest on is the code of the plugins that bring its task, its dataset and its model, and that part of
the core that reads data, trains, predicts and scores; with the versions of the libraries (see `environment.software`)
it makes one identity, by which attempts are reused, features found again and checkpoints continued.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import PackageNotFoundError, distribution, version
from importlib.util import find_spec
from pathlib import Path

from vidsuite_core.support.environment import LIBRARIES
from vidsuite_core.support.ids import digest

OURS = "vidsuite"
"""Our own distribution, whose plugins import nothing of each other: the import rules hold that."""
UNKNOWN = "unknown"
"""The sources of what cannot be found as files: never the same as any."""
_CORE = "vidsuite_core"
_PLUGINS = "vidsuite_plugins"
_SCORELESS = (
    "cli/", "runner/", "results/", "support/", "__init__.py", "benchmark.py", "builtin.py", "errors.py", "hookspecs.py",
    "plugins.py", "specs.py", "suite.py", "weights/__init__.py", "weights/download.py", "engine/order.py",
    "engine/cost.py", "engine/costed.py", "engine/speed.py", "engine/probes.py", "engine/remeasure.py",
    "engine/streaming.py", "engine/segmenter.py", "tasks/drawing.py",
)  # fmt: skip
"""Parts of the core that no score depends on: what chooses, starts, keeps, counts and shows. New ones count."""
_SCORING = ("support/cache.py", "results/scores.py")
"""Parts of these on which scores do depend."""
_NO_CODE = {".pyc", ".pyo", ".md"}


def of_core() -> dict[str, str]:
    """Identity of the part of the core that decides scores."""
    return dict(_core())


def of_plugin(modules: Sequence[str], distribution_name: str, besides: Collection[Path] = ()) -> dict[str, str]:
    """Identity of a plugin: `version`, `sources` (sha256) and, in a git checkout, `commit` and `uncommitted` (sha256).

    Counted are all files of the packages that `modules` lie in, and of what else their distribution brings: who splits
    a plugin into several modules is not to be caught out by one that was forgotten.

    Args:
        modules: as entry points and builders name them: `package`, `package.module`, or either with `:attribute`.
        distribution_name: the distribution that brings them, "" for none.
        besides: files that no score depends on, as the rows that a paper reports.
    """
    return dict(_of_plugin(tuple(modules), distribution_name, frozenset(besides)))


def scores_depend_on(name: str) -> bool:
    """Whether a file of the core, by its path below it, decides scores; what is new does."""
    return name.startswith(_SCORING) or not name.startswith(_SCORELESS)


def sources_of(module: str) -> str:
    """sha256 (hex) of all files of the package that `module` lies in."""
    place = _place(module)
    return UNKNOWN if place is None else _hash(_files(place))


def same_code(old: Mapping[str, Mapping[str, str]], new: Mapping[str, Mapping[str, str]]) -> bool:
    """Whether two code identities mean the same sources, wherever they were installed from; unknown ones never do."""
    known = all(part.get("sources", UNKNOWN) != UNKNOWN for part in (*old.values(), *new.values()))
    return known and _sources(old) == _sources(new)


def identity(code: Mapping[str, Mapping[str, str]], software: Mapping[str, str]) -> str:
    """Hash (hex) of code and software: what it names may be taken for what is computed now."""
    return digest([_sources(code), dict(software)])


def _sources(code: Mapping[str, Mapping[str, str]]) -> dict[str, str | None]:
    return {name: part.get("sources") for name, part in code.items()}


@cache
def _core() -> Mapping[str, str]:
    place = _place(_CORE)
    assert place is not None
    scoring = [(name, path) for name, path in _files(place) if scores_depend_on(name)]
    return _told(place, OURS, scoring)


@cache
def _of_plugin(modules: tuple[str, ...], distribution_name: str, besides: frozenset[Path]) -> Mapping[str, str]:
    names = {module.partition(":")[0] for module in modules}
    if distribution_name != OURS:
        names |= _brought_by(distribution_name)
    places = {name: _place(name) for name in names if name.partition(".")[0] not in (_CORE, *LIBRARIES)}
    if not places or None in places.values():
        return {"version": _version(distribution_name), "sources": UNKNOWN}
    folders = sorted({place for place in places.values() if place is not None})
    files = [
        (f"{folder.name}/{name}", path) for folder in folders for name, path in _files(folder) if path not in besides
    ]
    return _told(folders[0], distribution_name, files)


def _told(place: Path, distribution_name: str, files: Iterable[tuple[str, Path]]) -> dict[str, str]:
    found = {"version": _version(distribution_name), "sources": _hash(files)}
    folder = place if place.is_dir() else place.parent
    commit = _git(folder, "rev-parse", "HEAD")
    if commit and _git(folder, "ls-files", "--", "." if place.is_dir() else place.name):
        found["commit"] = commit
        changes = _git(folder, "diff", "HEAD", "--", ".")
        if changes:
            found["uncommitted"] = hashlib.sha256(changes.encode()).hexdigest()
    return found


def _place(module: str) -> Path | None:
    """The folder of the package that a module lies in, or the file of one that lies in none; None for neither.

    The package is the outermost one: modules of one package import each other. Of ours it is the plugin's own.
    """
    parts = module.split(".")
    try:
        spec = find_spec(parts[0])
    except (ImportError, ValueError):
        return None
    for depth, part in enumerate(parts[1:], 1):
        if spec is None or (spec.origin and spec.name != _PLUGINS):
            break
        inner: ModuleSpec | None = PathFinder.find_spec(
            ".".join([*parts[:depth], part]), spec.submodule_search_locations
        )
        spec = inner
    if spec is None or spec.origin is None:
        return None
    origin = Path(spec.origin)
    if not origin.is_file():
        return None
    lies_in_none = spec.submodule_search_locations is None and "." not in spec.name
    return origin if lies_in_none else origin.parent


def _files(place: Path) -> list[tuple[str, Path]]:
    """Name and path of each file that counts, in the order of the names."""
    if place.is_file():
        return [(place.name, place)]
    found = []
    for path in place.rglob("*"):
        name = path.relative_to(place)
        hidden = any(part.startswith(".") or part == "__pycache__" for part in name.parts)
        if not hidden and path.suffix not in _NO_CODE and path.is_file():
            found.append((name.as_posix(), path))
    return sorted(found)


def _hash(files: Iterable[tuple[str, Path]]) -> str:
    total = hashlib.sha256()
    for name, path in files:
        with path.open("rb") as file:
            total.update(f"{name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def _brought_by(distribution_name: str) -> set[str]:
    """The outermost modules that a distribution brings, as far as it says so: an editable one may name none."""
    try:
        found = distribution(distribution_name)
    except (PackageNotFoundError, ValueError):
        return set()
    names = set((found.read_text("top_level.txt") or "").split())
    for file in found.files or ():
        if file.suffix == ".py" and not file.parts[0].startswith(("__editable__", "..")):
            names.add(file.parts[0].removesuffix(".py"))
    return {name for name in names if name.isidentifier()}


def _version(distribution_name: str) -> str:
    try:
        return version(distribution_name)
    except (PackageNotFoundError, ValueError):
        return UNKNOWN


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(folder), *arguments],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
