"""Merging run folders: attempts are copied, checked as they lie in their new place, and taken whole or not at all.

A copy is made in a temporary folder of its cell, as a run makes attempts, so that readers never see half of one, and
what a killed merge leaves behind is removed by the next. What is checked is the copy, whatever becomes of the source.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.results.claims import OWNER, claim, is_alive, temporaries
from vidsuite_core.results.record import MAX_BYTES, read_record
from vidsuite_core.results.store import CONFIG, KEPT, LOG, PREDICTIONS, RESULT, Attempt, Store, Unreadable
from vidsuite_core.results.verification import verified
from vidsuite_core.support.files import open_regular, read_regular, why
from vidsuite_core.support.paths import sync, sync_open

if TYPE_CHECKING:
    from vidsuite_core.suite import Suite

FILES = (PREDICTIONS, CONFIG, LOG, *KEPT.values())
"""The files that an attempt may have beside its record."""
_PIECE = 1 << 20


@dataclass
class Taken:
    """What came of one source: attempts taken, those that were there already, and those refused (path and reason)."""

    source: Path
    taken: list[Path] = field(default_factory=list)
    present: list[Path] = field(default_factory=list)
    refused: list[tuple[Path, str]] = field(default_factory=list)
    under_way: int = 0


def merge(
    suite: Suite, sources: Sequence[Path], out: Path, told: Callable[[int, int], None] = lambda done, total: None
) -> list[Taken]:
    """Copy the attempts of `sources` into the run folder `out`; what came of each source.

    Refused are attempts that cannot be read or do not hold, and all of one id whose contents differ, be it between two
    sources (then none of these is taken, whichever comes first) or from what `out` has.

    Args:
        told: called with how many attempts were looked at, of how many.

    Raises:
        UsageError: a source is `out`, or lies in it or around it.
        VidsuiteError: a source is no folder.
        OSError: `out` cannot be written.
    """
    for source in sources:
        _check_apart(source, out)
    results = {source.resolve(): Taken(source) for source in sources}
    found: list[tuple[Taken, Attempt]] = []
    for result in results.values():
        for entry in Store(result.source).everything():
            if isinstance(entry, Unreadable):
                result.refused.append((entry.path, entry.reason))
            else:
                found.append((result, entry))
        result.under_way = sum(1 for _ in _under_way(result.source))
    contents = _contents(found)
    there = {path.name: path for path in _attempts_by_name(out)}
    for number, (result, attempt) in enumerate(found):
        told(number, len(found))
        try:
            if len(contents[attempt.record.attempt]) > 1:
                raise VidsuiteError("the sources have several contents under its id, of which one at most is true")
            target = out.joinpath(*attempt.path.parts[-3:])
            known = there.get(target.name)
            if known is None:
                _copy(suite, attempt, target)
                there[target.name] = target
                result.taken.append(target)
            else:
                _check_same(attempt.path, known, target)
                result.present.append(known)
        except VidsuiteError as error:
            result.refused.append((attempt.path, str(error)))
    told(len(found), len(found))
    return list(results.values())


def _check_apart(source: Path, out: Path) -> None:
    one, other = source.resolve(), out.resolve()
    if one == other or one in other.parents or other in one.parents:
        raise UsageError(f"{source} and --out {out} lie in one another; merge into a run folder of its own")


def _contents(found: Sequence[tuple[Taken, Attempt]]) -> dict[str, set[tuple[str, ...]]]:
    """By attempt id the different contents that there are: a record names the hashes of all other files."""
    contents: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for _, attempt in found:
        contents[attempt.record.attempt].add((*attempt.path.parts[-3:], _record_hash(attempt.path)))
    return contents


def _record_hash(folder: Path) -> str:
    try:
        return hashlib.sha256(read_regular(folder / RESULT, MAX_BYTES)).hexdigest()
    except (OSError, VidsuiteError):
        return ""  # it has changed since it was read, and is refused when it is copied


def _under_way(root: Path) -> Iterator[Path]:
    for plugin, cell in Store(root).cells():
        yield from temporaries(root / plugin / cell)


def _attempts_by_name(root: Path) -> Iterator[Path]:
    for plugin, cell in Store(root).cells():
        for path in (root / plugin / cell).iterdir():
            if not path.name.startswith("."):
                yield path


def _check_same(path: Path, known: Path, target: Path) -> None:
    """Refuse an attempt unless what `out` has under its id is the same to the byte."""
    if known != target:
        raise VidsuiteError(f"{known} has its id, and is an attempt at another cell")
    if _record_hash(path) != _record_hash(known) or not _record_hash(known):
        raise VidsuiteError(f"{known} has its id and another content; find out which is true, and remove the other")


def _copy(suite: Suite, attempt: Attempt, target: Path) -> None:
    """Copy an attempt to `target` if its copy holds; raises VidsuiteError where it does not."""
    Store(target.parents[2]).cell_folder(*target.parts[-3:-1])  # names that are single parts of a path
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".tmp-{target.name}-merged")
    if temporary.is_symlink() or (temporary.exists() and is_alive(temporary)):
        raise VidsuiteError(f"{temporary} is another merge's; wait for it, and merge again")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        claim(temporary)
        _fill(suite, attempt, temporary)
        (temporary / OWNER).unlink()
        sync(temporary)
        temporary.rename(target)
        sync(target.parent)
        sync(target.parents[1])
    except OSError as error:
        if target.exists():  # another process brought it meanwhile
            _check_same(attempt.path, target, target)
            return
        place = Path(error.filename) if isinstance(error.filename, str) else target
        if attempt.path in place.parents:
            raise VidsuiteError(f"{place.name} cannot be read: {error.strerror}") from error
        raise type(error)(error.errno, why(error, target.parent), str(target.parent)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _fill(suite: Suite, attempt: Attempt, folder: Path) -> None:
    """Copy the record and the files that it names, and check what was copied as `vidsuite verify` does."""
    with (folder / RESULT).open("wb") as file:
        file.write(read_regular(attempt.path / RESULT, MAX_BYTES))
        file.flush()
        sync_open(file.fileno(), folder / RESULT)
    record = read_record(folder / RESULT)
    if (record.cell.plugin, record.cell_id, record.attempt) != attempt.path.parts[-3:]:
        raise VidsuiteError("it lies in a folder that is not its record's")
    if foreign := sorted(set(record.files) - set(FILES)):
        raise VidsuiteError(f"its record names a file {foreign[0]!r}, which no attempt has")
    for name, expected in record.files.items():
        if name in KEPT.values() and not os.path.lexists(attempt.path / name):
            continue  # no score depends on it, and it may be gone
        if _copy_file(attempt.path / name, folder / name) != expected:
            raise VidsuiteError(f"{name} differs from its recorded sha256")
    if faults := verified(suite, Attempt(folder, record)).faults:
        raise VidsuiteError(faults[0].replace(f"{folder}/", ""))


def _copy_file(source: Path, target: Path) -> str:
    """Copy a plain file and have it on the disk; returns the sha256 (hex) of what was copied."""
    found = hashlib.sha256()
    with open_regular(source) as file, target.open("wb") as copy:
        size, free = os.fstat(file.fileno()).st_size, shutil.disk_usage(target.parent).free
        if size > free:
            raise VidsuiteError(f"{source.name} has {size / 1e6:.1f} MB, and {free / 1e6:.1f} MB are free here")
        while piece := file.read(_PIECE):
            found.update(piece)
            copy.write(piece)
        copy.flush()
        sync_open(copy.fileno(), target)
    return found.hexdigest()
