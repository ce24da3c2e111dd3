"""Claims on cells: a temporary folder names its owner, and a dead owner's folder can be taken over.

There are no locks. An owner on this machine is dead when its process is; one on another machine, when its heartbeat
stops for `STALE_AFTER` seconds. Where two processes cannot see each other they both run the cell, which costs time
and harms nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.support.environment import host_hash
from vidsuite_core.support.files import read_regular, write_synced

OWNER = "owner.json"
WORK = "checkpoints"
"""Folder of checkpoints inside a temporary folder; not kept with the attempt."""
CODE = "code"
"""File beside the checkpoints that names the code they were made by, see `vidsuite_core.support.code.identity`."""
STALE_AFTER = 600.0
"""Seconds without a heartbeat after which an owner on another machine counts as dead."""
_UNNAMED = 5.0
"""Seconds that a temporary folder may be without its owner's name."""
_OWNER_BYTES = 4096


def claim(temporary: Path) -> None:
    """Name this process as the owner of a temporary folder."""
    import psutil

    owner = {"host": host_hash(), "pid": os.getpid(), "started": psutil.Process().create_time()}
    write_synced(temporary / OWNER, json.dumps(owner).encode())


def disown(temporary: Path) -> None:
    """Say that a temporary folder has no owner and may be taken over at once."""
    write_synced(temporary / OWNER, json.dumps({"host": host_hash(), "pid": -1, "started": 0}).encode())


def is_alive(temporary: Path) -> bool:
    """Whether the owner of a temporary folder still runs."""
    import psutil

    try:
        owner = json.loads(read_regular(temporary / OWNER, _OWNER_BYTES))
    except (OSError, ValueError, RecursionError, VidsuiteError):
        return _age(temporary) < _UNNAMED  # just made, its owner not written yet
    if not isinstance(owner, dict):
        return False
    if owner.get("host") != host_hash():
        return _age(temporary / OWNER) < STALE_AFTER
    try:
        process = psutil.Process(owner["pid"])
        same = abs(process.create_time() - owner["started"]) < 1  # or its number went to another process
        return bool(same) and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, KeyError, TypeError, ValueError, OverflowError):
        return False


def _age(path: Path) -> float:
    """Seconds since `path` was changed; a time in the future counts as long as one in the past."""
    try:
        return abs(time.time() - path.stat().st_mtime)
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


def take_over(orphan: Path, path: Path, code: str | None) -> bool:
    """Make a dead owner's folder ours at `path`; False if it cannot be had.

    Nothing is left in it but its checkpoints, and these only where they were made by `code`.
    """
    try:
        orphan.rename(path)  # atomic: of several processes one succeeds
    except OSError:
        return False
    try:
        if is_alive(path):  # another process had taken it over after we found its owner dead
            path.rename(orphan)
            return False
        if _holds_link(path):  # whoever put it there wants us to write elsewhere
            shutil.rmtree(path)
            return False
        kept = code is not None and continues(path, code)
        for entry in list(path.iterdir()):
            if entry.name != WORK or not kept:
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
