"""Claims on cells: a temporary folder names its owner, and a dead owner's folder can be taken over.

There are no locks. Whether an owner whose processes can be seen from here is dead, the system tells: its boot, its
space of process numbers, its number and the tick at which it started make it out, and no clock is asked. Any other
owner lives as long as it gives signs of life: it is dead once none has been seen for `STALE_AFTER` seconds by the clock
of whoever looks, which nobody sets, or for `QUIET` of them where the files' own times say that it has been silent for
as long as that already. Where two processes cannot see each other they both run the cell, which costs time and harms
nothing.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.support.environment import process_space
from vidsuite_core.support.files import read_regular, write_synced

OWNER = "owner.json"
WORK = "checkpoints"
"""Folder of checkpoints inside a temporary folder; not kept with the attempt."""
CODE = "code"
"""File beside the checkpoints that names the code they were made by, see `vidsuite_core.support.code.identity`."""
OUTCOME = "outcome.json"
"""File of a temporary folder with what came of a cell whose run was gone when it ended."""
STALE_AFTER = 600.0
"""Seconds without a sign of life after which an owner that cannot be seen counts as dead."""
QUIET = 90.0
"""Seconds that are watched where the files say that it was silent before: three times what signs of life are apart."""
_UNNAMED = 5.0
"""Seconds that a temporary folder may be without its owner's name."""
_OWNER_BYTES = 4096
_seen: dict[Path, tuple[object, float]] = {}
"""The last sign of life of each folder that is watched, and when it was first seen, by the clock that nobody sets."""


def claim(temporary: Path) -> None:
    """Name this process as the owner of a temporary folder."""
    owner = {**process_space(), "pid": os.getpid(), "started": _started(os.getpid()), "token": secrets.token_hex(8)}
    write_synced(temporary / OWNER, json.dumps(owner).encode())


def heartbeat(temporary: Path) -> None:
    """Give a sign of life for a temporary folder; one that is gone is noticed when the attempt is to be kept."""
    with suppress(OSError):
        os.utime(temporary / OWNER)


def disown(temporary: Path) -> None:
    """Say that a temporary folder has no owner and may be taken over at once."""
    write_synced(temporary / OWNER, json.dumps({**process_space(), "pid": -1, "started": 0}).encode())


def is_alive(temporary: Path) -> bool:
    """Whether the owner of a temporary folder still runs."""
    try:
        owner = json.loads(read_regular(temporary / OWNER, _OWNER_BYTES))
    except (OSError, ValueError, RecursionError, VidsuiteError):
        return _unchanged(temporary) < _UNNAMED  # just made, its owner not written yet
    number = owner.get("pid") if isinstance(owner, dict) else None
    if type(number) is not int or number <= 0 or not isinstance(owner.get("host"), str):
        return False
    if {name: owner.get(name) for name in process_space()} != process_space():
        return _gives_signs_of_life(temporary, owner.get("token"))
    started = owner.get("started")
    return started is not None and _started(number) == started


def _started(number: int) -> float | None:
    """When a process was started: in ticks since the boot, or, where the system does not tell these, seconds since the
    epoch; None of a process that has ended."""
    try:
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None if Path("/proc/self/stat").exists() else _started_elsewhere(number)
    return None if fields[0] in "ZX" else int(fields[19])


def _started_elsewhere(number: int) -> float | None:
    import psutil

    try:
        process = psutil.Process(number)
        return None if process.status() == psutil.STATUS_ZOMBIE else round(process.create_time(), 2)
    except (psutil.Error, ValueError, OverflowError):
        return None


def _gives_signs_of_life(temporary: Path, token: object) -> bool:
    """Whether an owner whose process cannot be seen is to be taken for alive; the first look at one always says so."""
    try:
        status = (temporary / OWNER).stat()
    except OSError:
        return False
    sign, now = (str(token), status.st_mtime_ns), time.monotonic()
    last, since = _seen.get(temporary, (None, now))
    if sign != last:
        since = now
    _seen[temporary] = sign, since
    silent = now - since
    return silent < STALE_AFTER and (silent < QUIET or _unchanged(temporary / OWNER) < STALE_AFTER)


def _unchanged(path: Path) -> float:
    """Seconds since `path` was changed, by the clock of its file system; where that went back, as many count."""
    try:
        with tempfile.TemporaryFile(dir=path.parent) as now:
            return abs(os.fstat(now.fileno()).st_mtime - path.stat().st_mtime)
    except OSError:
        return float("inf")


def temporaries(cell: Path) -> list[Path]:
    """The temporary folders of a cell, sorted; links are no folders."""
    found = cell.glob(".tmp-*") if cell.is_dir() else ()
    return sorted(path for path in found if path.is_dir() and not path.is_symlink())


def orphans(cell: Path) -> list[Path]:
    """The temporary folders of a cell whose owners are dead."""
    return [path for path in temporaries(cell) if not is_alive(path)]


def continues(orphan: Path, code: str) -> bool:
    """Whether a temporary folder holds checkpoints that were made by `code`."""
    try:
        return read_regular(orphan / WORK / CODE, _OWNER_BYTES) == code.encode()
    except (OSError, VidsuiteError):
        return False


def take_over(orphan: Path, path: Path, code: str | None, whole: bool = False) -> bool:
    """Make a dead owner's folder ours at `path`; False if it cannot be had.

    Nothing is left in it but its checkpoints, and these only where they were made by `code`; all of it where that is
    so and it is taken `whole`.
    """
    try:
        orphan.rename(path)  # atomic: of several processes one succeeds
    except OSError:
        return False
    if seen := _seen.pop(orphan, None):
        _seen[path] = seen
    try:
        if is_alive(path):  # another process had taken it over after we found its owner dead
            path.rename(orphan)
            return False
        if _holds_link(path):  # whoever put it there wants us to write elsewhere
            shutil.rmtree(path)
            return False
        kept = code is not None and continues(path, code)
        for entry in list(path.iterdir()):
            if not kept or not (whole or entry.name == WORK):
                _remove(entry)
        claim(path)
    except FileNotFoundError:  # another process took it from us before our name stood in it
        return False
    return path.is_dir()


def _holds_link(folder: Path) -> bool:
    return any(Path(at, name).is_symlink() for at, folders, files in os.walk(folder) for name in (*folders, *files))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
