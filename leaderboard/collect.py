"""From run folders to entries: find attempts, verify them, group and score them; what was done before is reused.

What strangers wrote is only ever read as data: records are checked against their schema, predictions opened without
pickles, and nothing is built from a recorded config.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.runner.reproduce import reproductions_in
from vidsuite_core.support.code import sources_of
from vidsuite_core.support.ids import digest
from vidsuite_core.support.litter import is_litter
from vidsuite_core.support.text import printable
from vidsuite_leaderboard.entries import one_line
from vidsuite_leaderboard.workers import Workers

if TYPE_CHECKING:
    from vidsuite_core.results.record import Record
    from vidsuite_core.suite import Suite
    from vidsuite_leaderboard.cache import Cache
    from vidsuite_leaderboard.entries import Entry
    from vidsuite_leaderboard.summarise import Summarised

Progress = Callable[[str, int, int], None]
_CHUNK = 64
_FEW = 200
"""Attempts that are read in this process: starting others would take longer."""
_LINK = "is a symbolic link, which is not followed"
MAX_NAME = 200
"""Characters of a name (of a model, a device ...); longer ones would not fit any table."""


@dataclass(frozen=True)
class Source:
    """A run folder; `by` names who submitted it, "" for results of one's own."""

    root: Path
    by: str = ""


@dataclass(frozen=True)
class Found:
    """An attempt as its folder tells it: enough to group it. `fault` says why it cannot be read.

    `place` is where it lies below its run folder.
    """

    path: Path
    place: str
    by: str
    key: str
    group: str = ""
    fault: str = ""


@dataclass(frozen=True)
class Rejected:
    """An attempt that is left out of the tables, and why.

    `path` is its place below its run folder; `removed` says that the change list removed it.
    """

    path: str
    by: str
    reason: str
    removed: bool = False


@dataclass
class Collection:
    """Every entry that the sources give.

    Attributes:
        entries: without ranks; `keys` names what each was computed from, `draws` its draws (see `ranks`).
        members: the attempts that each entry was computed from, by its slug.
        again: attempts that files at the root of their source call repetitions of others' cells; in no entry.
        rejected: attempts that were left out, with the reason.
    """

    entries: list[Entry] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)
    draws: dict[str, tuple[str, np.ndarray]] = field(default_factory=dict)
    members: dict[str, Sequence[Found]] = field(default_factory=dict)
    again: list[Found] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    attempts: int = 0


def collect(
    suite: Suite,
    sources: Sequence[Source],
    removed: Mapping[str, str],
    known: Cache,
    progress: Progress,
    workers: int | None = None,
) -> Collection:
    """Everything below `sources`, verified and scored.

    Args:
        removed: attempt ids that are not to count (see `changes`), each with the reason.
        workers: processes that read and score; by default one a core.

    Raises:
        VidsuiteError: a source is no folder.
    """
    version = version_of(suite)
    found = [attempt for source in sources for attempt in _scan(source, version)]
    collection = Collection(attempts=len(found))
    again = {(source.root, attempt) for source in sources for attempt in reproductions_in(source.root)}
    with Workers(workers) as pool:
        found = _read(found, known, pool, progress)
        groups: dict[str, list[Found]] = defaultdict(list)
        for one in found:
            if one.fault or one.path.name in removed:
                reason = one.fault or f"removed: {removed[one.path.name]}"
                collection.rejected.append(Rejected(one.place, one.by, reason, removed=not one.fault))
            elif (one.path.parents[2], one.path.name) in again:
                collection.again.append(one)
            else:
                groups[one.group].append(one)
        _score(list(groups.values()), known, pool, progress, collection)
    _keep_to_tasks(suite, collection)
    return collection


def _keep_to_tasks(suite: Suite, collection: Collection) -> None:
    """Leave out entries that give a benchmark another task than it has here, or than the first results of it have."""
    tasks = {name: handle.spec.task for name, handle in suite.benchmarks.items()}
    kept = []
    for entry in collection.entries:
        task = tasks.setdefault(entry.benchmark, entry.task)
        if entry.task == task:
            kept.append(entry)
            continue
        reason = f"its task is {entry.task!r}, that of its benchmark is {task!r}"
        members = collection.members.pop(entry.slug)
        collection.rejected += [Rejected(one.place, one.by, reason) for one in members]
        del collection.keys[entry.slug]
        collection.draws.pop(entry.slug, None)
    collection.entries = kept


def version_of(suite: Suite) -> str:
    """Identity of the code that reads, scores and draws, and of the labels that are kept back and lie here; part of
    every key, so that other code computes anew."""
    from vidsuite_core.results.withheld import labels_here

    modules = {"vidsuite_core", *(plugin.module for plugin in suite.manager.plugins)}
    return digest([{module: sources_of(module) for module in modules}, labels_here(suite)])


def _scan(source: Source, version: str) -> list[Found]:
    """The attempts' folders, told apart by the names, sizes and times of the files in them."""
    if not source.root.is_dir():
        raise VidsuiteError(f"there is no run folder at {source.root}; 'vidsuite bench' makes one")
    return list(_below(source, source.root, 3, version))


def _below(source: Source, folder: Path, levels: int, version: str) -> Iterator[Found]:
    """The attempts `levels` below `folder`, and what bars the way to some."""
    with os.scandir(folder) as entries:
        below = sorted((e.path, e.is_symlink()) for e in entries if e.is_dir() and not is_litter(e.name))
    for name, linked in below:
        path = Path(name)
        place = name[len(str(source.root)) + 1 :]
        place = place if place.isprintable() else printable(place)
        try:
            if linked:
                yield Found(path, place, source.by, "", fault=_LINK)
            elif levels > 1:
                yield from _below(source, path, levels - 1, version)
            else:
                with os.scandir(path) as entries:
                    files = sorted((e.name, *_identity(e.stat(follow_symlinks=False))) for e in entries)
                yield Found(path, place, source.by, digest([version, name, source.by, files]))
        except OSError as error:
            yield Found(path, place, source.by, "", fault=f"cannot be read: {error.strerror}")


def _identity(stat: os.stat_result) -> tuple[int, int, int, int]:
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino


def _read(found: Sequence[Found], known: Cache, pool: Workers, progress: Progress) -> list[Found]:
    held = known.get("attempts", (one.key for one in found))
    missing = [one for one in found if one.key not in held and not one.fault]
    fresh: dict[str, tuple[str, bytes | None]] = {}
    for done, (one, text) in enumerate(zip(missing, pool.map(_group_of, missing, _FEW, chunk=_CHUNK), strict=True), 1):
        fresh[one.key] = (text, None)
        progress("reading attempts", done, len(missing))
    known.put("attempts", fresh)
    held |= fresh
    return [one if one.fault else replace(one, **json.loads(held[one.key][0])) for one in found]


def _group_of(found: Found) -> str:
    """`group` or `fault` of an attempt, as JSON."""
    from vidsuite_core.results.store import read_attempt

    try:
        record = read_attempt(found.path).record
        _check_names(record)
        if record.cell.task not in _suite().tasks:
            raise VidsuiteError(f"its task {record.cell.task!r} is not installed")
        return json.dumps({"group": digest([*_group_names(record), found.by])})
    except Exception as error:  # strangers' records may hold anything
        return json.dumps({"fault": _told(found.path, error)})


def _check_names(record: Record) -> None:
    from vidsuite_core.results.summary import device_of
    from vidsuite_leaderboard.submit.rules import beyond_bounds

    for fault in beyond_bounds(record):
        raise VidsuiteError(fault)
    for name in (*record.cell.model_dump(exclude={"folds", "seed"}).values(), device_of(record), *record.classes):
        if len(name) > MAX_NAME:
            raise VidsuiteError(f"the name {name[:40]!r}... is longer than {MAX_NAME} characters")


def _told(path: Path, error: Exception) -> str:
    """Why an attempt is left out, without this machine's folders."""
    whole = str(error) if isinstance(error, VidsuiteError) else f"{type(error).__name__}: {error}"
    return one_line(whole, str(path))


def _group_names(record: Record) -> list[str]:
    from vidsuite_core.results.summary import config_of

    cell = record.cell
    return [cell.benchmark, cell.dataset, cell.preset, cell.model, config_of(record)]


@cache
def _suite() -> Suite:
    from vidsuite_core.suite import load

    return load()


def _score(
    groups: Sequence[Sequence[Found]], known: Cache, pool: Workers, progress: Progress, into: Collection
) -> None:
    from vidsuite_leaderboard.entries import entry_from

    keys = [digest(sorted(one.key for one in members)) for members in groups]
    known.used("details", keys)
    held = known.get("entries", keys)
    missing = [(key, members) for key, members in zip(keys, groups, strict=True) if key not in held]
    results = pool.map(_entry_of, [members for _, members in missing], 8, chunk=4)
    for done, ((key, _), (text, data, detail)) in enumerate(zip(missing, results, strict=True), 1):
        held[key] = text, data
        known.put("details", {key: (detail, None)})  # first: where the build ends in between, the entry is made anew
        known.put("entries", {key: held[key]})
        progress("scoring entries", done, len(missing))
    for key, members in zip(keys, groups, strict=True):
        text, data = held[key]
        plain = json.loads(text)
        into.rejected += [Rejected(**rejected) for rejected in plain["rejected"]]
        if plain["entry"] is None:
            continue
        entry = entry_from(plain["entry"])
        into.entries.append(entry)
        into.keys[entry.slug] = key
        into.members[entry.slug] = members
        if data:
            into.draws[entry.slug] = plain["drawn_from"], np.frombuffer(data, np.float32)


def _entry_of(members: Sequence[Found]) -> tuple[str, bytes | None, str]:
    """Entry and rejected attempts as JSON, the draws of the first score as float32, and the detail as JSON."""
    from vidsuite_core.results.store import read_attempt
    from vidsuite_leaderboard.summarise import Summarised, summarise

    by = members[0].by
    places = {member.path: member.place for member in members}
    try:
        return _as_text(summarise(_suite(), [read_attempt(path) for path in places], by), places, by)
    except Exception as error:  # one group of a stranger's attempts must not keep the others from the site
        rejected = [(path, f"cannot be summed up: {_told(path, error)}") for path in places]
        return _as_text(Summarised(None, None, rejected), places, by)


def _as_text(found: Summarised, places: Mapping[Path, str], by: str) -> tuple[str, bytes | None, str]:
    rejected = [asdict(Rejected(places[path], by, reason)) for path, reason in found.rejected]
    plain = {"entry": found.entry and found.entry.plain(), "rejected": rejected, "drawn_from": found.drawn_from}
    draws = None if found.draws is None else found.draws.astype("float32").tobytes()
    return json.dumps(plain, allow_nan=False), draws, json.dumps(found.detail and asdict(found.detail), allow_nan=False)
