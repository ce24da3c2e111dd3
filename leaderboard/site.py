"""Building the site: collect, rank, and write the pages that changed."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.support.ids import digest
from vidsuite_core.support.litter import entries
from vidsuite_core.support.paths import inside, temporary_file
from vidsuite_leaderboard.board import Board, reported_entries
from vidsuite_leaderboard.cache import opened
from vidsuite_leaderboard.changes import read_changes, removed
from vidsuite_leaderboard.collect import Progress, Source, collect, version_of
from vidsuite_leaderboard.ranks import ranked
from vidsuite_leaderboard.reproductions import applied, reproduced

if TYPE_CHECKING:
    from jinja2 import Environment

    from vidsuite_core.suite import Suite

MARK = "site.json"
"""Says that a folder is a site of ours, and which files in it were made."""
PAGES = ("assets", "home", "tables", "trust", "entry", "paper", "devices", "compare", "submit", "plots")
"""The modules below `pages`, each with a function `pages(site) -> Iterator[Page]`."""


@dataclass(frozen=True)
class Page:
    """A file of the site: its path below the root, and what makes its content.

    `key` is a digest of all that the content depends on (the code apart): with the same key the file is left as it is.
    """

    path: str
    key: str
    render: Callable[[], str | bytes]


@dataclass(frozen=True)
class Built:
    """What a build came to; `rejected` counts attempts that were left out, but not those of the change list."""

    out: Path
    attempts: int
    entries: int
    rejected: int
    files: int
    written: int


@dataclass(frozen=True)
class Site:
    """A board and the templates that show it."""

    board: Board

    @cached_property
    def templates(self) -> Environment:
        """Jinja2 with autoescape on for every template; an undefined name is an error."""
        from jinja2 import Environment, PackageLoader, StrictUndefined

        from vidsuite_leaderboard import show

        environment = Environment(
            loader=PackageLoader("vidsuite_leaderboard"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters |= show.FILTERS
        environment.globals |= {"board": self.board}
        return environment

    def page(self, path: str, template: str, key: object, context: Callable[[], dict[str, Any]]) -> Page:
        """An HTML page; `context` is called only where it has to be rendered.

        Args:
            key: JSON's own types: what the page depends on beside the code and the board's date.
        """
        root = "../" * path.count("/")

        def render() -> str:
            return self.templates.get_template(template).render(root=root, path=path, **context())

        return Page(path, digest([path, key]), render)


def build(
    suite: Suite,
    sources: Sequence[Source],
    out: Path,
    *,
    progress: Progress,
    changes: Path | None = None,
    pictures: Path | None = None,
    cache: Path | None = None,
    fresh: bool = False,
    attempts: bool = True,
    workers: int | None = None,
    now: datetime | None = None,
) -> Built:
    """Build the site at `out`; with a `cache` of an earlier build only what changed is computed and written anew.

    Args:
        changes: the list of removals and corrections (YAML, see `changes`).
        attempts: whether the attempts' own files are copied beside the pages.

    Raises:
        UsageError: `out` holds something else.
        VidsuiteError: a source cannot be read, or the disk is full.
    """
    before = _files_of(out)
    if fresh:
        before = dict.fromkeys(before, "")
    listed = read_changes(changes) if changes else []
    with opened(cache) as known:
        found = collect(suite, sources, removed(listed), known, progress, workers)
        again = reproduced(suite, sources, found, known)
        board = Board(
            suite=suite,
            entries=applied(ranked(suite, found.entries, found.draws), again),
            reported=[row for name in suite.benchmarks for row in reported_entries(suite, name)],
            draws=found.draws,
            keys=found.keys,
            known=known,
            sources=sources,
            rejected=found.rejected,
            changes=listed,
            pictures=pictures,
            attempts=found.attempts,
            built=(now or datetime.now(UTC)).isoformat(timespec="minutes"),
            version=version("vidsuite"),
            commit=_commit(),
            options={"attempts": attempts},
        )
        site = Site(board)
        pages = [page for name in PAGES for page in import_module(f"vidsuite_leaderboard.pages.{name}").pages(site)]
        written = _write(pages, out, before, digest([version_of(suite), _looks()]), progress)
    left_out = sum(not one.removed for one in found.rejected)
    return Built(out, found.attempts, len(board.entries), left_out, len(pages), written)


def _files_of(out: Path) -> dict[str, str]:
    """Path -> key of the files that an earlier build made in `out`."""
    if not out.exists() or (out.is_dir() and not entries(out)):
        return {}
    try:
        files = json.loads((out / MARK).read_text(encoding="utf-8"))["files"]
        return {str(path): str(key) for path, key in files.items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise UsageError(f"{out} is not empty and no site of vidsuite; name another folder with --out") from error


def _write(pages: Sequence[Page], out: Path, before: dict[str, str], version: str, progress: Progress) -> int:
    """Write what is new or changed, remove what is no longer made; returns how many files were written."""
    after: dict[str, str] = {}
    for page in pages:
        if page.path in after:
            raise VidsuiteError(f"two pages would be written to {page.path}")
        after[page.path] = digest([version, page.key])
    same = {name for name, key in after.items() if before.get(name) == key and inside(out, name).is_file()}
    _mark(out, {name: after[name] if name in same else "" for name in before | after})  # in case it ends half-way
    for done, page in enumerate(pages, 1):
        if page.path not in same:
            content = page.render()
            _replace(inside(out, page.path), content.encode(errors="replace") if isinstance(content, str) else content)
        progress("writing pages", done, len(pages))
    for name in before.keys() - after.keys():
        _remove(out, name)
    _mark(out, after)
    return len(after) - len(same)


def _mark(out: Path, files: dict[str, str]) -> None:
    """Say in `out` that it is a site of these files; one without its key is written anew by the next build."""
    _replace(out / MARK, json.dumps({"files": files}, indent=0).encode())


def _remove(out: Path, name: str) -> None:
    """Remove a file, and the folders that are empty without it."""
    path = inside(out, name)
    path.unlink(missing_ok=True)
    for folder in path.relative_to(out.resolve()).parents[:-1]:
        with suppress(OSError):
            (out / folder).rmdir()


def _looks() -> str:
    """Hash of templates, style sheets and scripts, which the hash of the code leaves out."""
    here = Path(__file__).parent
    files = sorted(path for name in ("templates", "assets") for path in (here / name).iterdir() if path.is_file())
    return digest([[path.name, hashlib.sha256(path.read_bytes()).hexdigest()] for path in files])


def _replace(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old or the new one, never a part."""
    try:
        with temporary_file(path) as part:
            part.write_bytes(content)
    except OSError as error:
        raise VidsuiteError(f"cannot write {path}: {error.strerror}; the files before it are whole") from error


def _commit() -> str:
    folder = Path(__file__).resolve().parent
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
