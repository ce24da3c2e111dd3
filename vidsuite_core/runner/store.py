"""The run folder: `runs/<plugin>/<cell id>/<attempt id>/`, one immutable folder an attempt.

An attempt is written in a temporary folder beside its place and renamed into it, so a run killed at any
instant leaves whole attempts only. Nothing is appended or rewritten, and there are no locks. The temporary
folder names its owner: while the owner lives the cell is *claimed*; once it is dead, the next try at the
cell takes the folder over by renaming it and resumes from the checkpoints in it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidsuite_core.errors import VidsuiteError

if TYPE_CHECKING:
    import numpy as np

    from vidsuite_core.results import Record

RESULT, PREDICTIONS, CONFIG, LOG, OWNER = "result.json", "predictions.npz", "config.py", "log.txt", "owner.json"
WORK = "work"
"""Folder of checkpoints inside a temporary folder; not kept with the attempt."""
STALE_AFTER = 600.0
"""Seconds without a heartbeat after which an owner on another machine counts as dead."""
MAX_PREDICTIONS = 2 * 2**30
"""Bytes that the unpacked predictions of one attempt may take."""
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}\Z")


@dataclass(frozen=True)
class Attempt:
    """An attempt that is kept: its folder and its record."""

    path: Path
    record: Record

    def predictions(self) -> dict[str, np.ndarray]:
        """The stored arrays; raises `VidsuiteError` where they are missing, damaged or too large."""
        return read_predictions(self.path / PREDICTIONS)

    def faulty_files(self) -> list[str]:
        """Files whose sha256 is not the recorded one, or that are missing."""
        faults = []
        for name, expected in self.record.files.items():
            path = self.path / name
            if not _PART.match(name) or path.is_symlink() or not path.is_file():
                faults.append(f"{name} is missing")
            elif file_sha256(path) != expected:
                faults.append(f"{name} differs from its recorded sha256")
        return faults


@dataclass(frozen=True)
class Unreadable:
    """Something in a run folder that is no attempt, and why."""

    path: Path
    reason: str


class Workspace:
    """The temporary folder of an attempt that is under way."""

    def __init__(self, path: Path, attempt: str) -> None:
        self.path = path
        self.attempt = attempt

    @property
    def work(self) -> Path:
        """Folder for checkpoints, which outlives the process but not the attempt."""
        return self.path / WORK

    def heartbeat(self) -> None:
        """Say that the owner still lives."""
        (self.path / OWNER).touch()

    def commit(self, record: Record) -> Attempt:
        """Write the record with the other files' hashes, sync, and rename into place; returns what is kept."""
        target = self.path.with_name(self.attempt)
        names = [name for name in (PREDICTIONS, CONFIG, LOG) if (self.path / name).is_file()]
        record = record.model_copy(update={"files": {name: file_sha256(self.path / name) for name in names}})
        shutil.rmtree(self.path / WORK, ignore_errors=True)
        _write_synced(self.path / RESULT, record.model_dump_json(indent=1).encode())
        for name in names:
            _sync(self.path / name)
        (self.path / OWNER).unlink(missing_ok=True)
        _sync(self.path)
        self.path.rename(target)
        _sync(target.parent)
        return Attempt(target, record)

    def discard(self) -> None:
        """Remove the folder and what is in it."""
        shutil.rmtree(self.path, ignore_errors=True)


class Store:
    """The run folder at `root`."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def cell_folder(self, plugin: str, cell_id: str) -> Path:
        """The folder of a cell's attempts; both names are checked to be single path parts."""
        for part in (plugin, cell_id):
            if not _PART.match(part):
                raise VidsuiteError(f"{part!r} cannot name a folder of a run folder")
        return self.root / plugin / cell_id

    def attempts(self, plugin: str, cell_id: str) -> list[Attempt]:
        """The readable attempts at one cell, oldest first."""
        return [a for a in _read_cell(self.cell_folder(plugin, cell_id)) if isinstance(a, Attempt)]

    def everything(self) -> Iterator[Attempt | Unreadable]:
        """All attempts below the root, cell by cell and oldest first, and what could not be read."""
        if not self.root.is_dir():
            raise VidsuiteError(f"there is no run folder at {self.root}; 'vidsuite bench' makes one")
        for plugin in _folders(self.root):
            for cell in _folders(plugin):
                yield from _read_cell(cell)

    def begin(self, plugin: str, cell_id: str) -> Workspace:
        """A temporary folder for a new attempt; takes over that of a dead owner, checkpoints and all."""
        cell = self.cell_folder(plugin, cell_id)
        cell.mkdir(parents=True, exist_ok=True)
        attempt = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{secrets.token_hex(4)}"
        path = cell / f".tmp-{attempt}"
        for orphan in _orphans(cell):
            try:
                orphan.rename(path)  # atomic: of several processes one succeeds
            except OSError:
                continue
            break
        else:
            path.mkdir()
        for name in (RESULT, PREDICTIONS, CONFIG, LOG):
            (path / name).unlink(missing_ok=True)
        _write_synced(path / OWNER, json.dumps(_owner()).encode())
        return Workspace(path, attempt)

    def claimed(self, plugin: str, cell_id: str) -> bool:
        """Whether another living process is at this cell."""
        folder = self.cell_folder(plugin, cell_id)
        return any(_is_alive(path) for path in _temporary(folder))


def read_predictions(path: Path) -> dict[str, np.ndarray]:
    """Arrays of an .npz file from a stranger: no pickles, size bounded before anything is unpacked."""
    import zipfile

    import numpy as np

    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(info.file_size for info in archive.infolist())
        if size > MAX_PREDICTIONS:
            raise VidsuiteError(f"{path} unpacks to {size >> 20} MiB; the limit is {MAX_PREDICTIONS >> 20} MiB")
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise VidsuiteError(f"{path} cannot be read: {error}") from error


def write_predictions(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays as a compressed .npz."""
    import numpy as np

    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]


def file_sha256(path: Path) -> str:
    """sha256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def host_hash() -> str:
    """The host's name as a hash: enough to tell machines apart, not to name them."""
    import platform

    return hashlib.sha256(f"vidsuite:{platform.node()}".encode()).hexdigest()[:12]


def _owner() -> dict[str, Any]:
    import psutil

    return {"host": host_hash(), "pid": os.getpid(), "started": psutil.Process().create_time()}


def _is_alive(temporary: Path) -> bool:
    import psutil

    try:
        owner = json.loads((temporary / OWNER).read_text())
        age = time.time() - (temporary / OWNER).stat().st_mtime
    except (OSError, ValueError):
        return _age(temporary) < 5  # just made, its owner not written yet
    if owner.get("host") != host_hash():
        return age < STALE_AFTER
    try:
        return bool(abs(psutil.Process(owner["pid"]).create_time() - owner["started"]) < 1)
    except (psutil.Error, KeyError, TypeError):
        return False


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return float("inf")


def _temporary(cell: Path) -> list[Path]:
    return sorted(cell.glob(".tmp-*")) if cell.is_dir() else []


def _orphans(cell: Path) -> list[Path]:
    return [path for path in _temporary(cell) if not _is_alive(path)]


def _folders(path: Path) -> list[Path]:
    return sorted(p for p in path.iterdir() if p.is_dir() and not p.is_symlink() and not p.name.startswith("."))


def _read_cell(cell: Path) -> list[Attempt | Unreadable]:
    from vidsuite_core.results import read_record

    rows: list[Attempt | Unreadable] = []
    for path in _folders(cell) if cell.is_dir() else []:
        try:
            record = read_record(path / RESULT)
            if record.cell_id != cell.name or record.attempt != path.name:
                raise VidsuiteError(f"{path} lies in a folder that is not its record's")
            rows.append(Attempt(path, record))
        except VidsuiteError as error:
            rows.append(Unreadable(path, str(error)))
    return rows


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
