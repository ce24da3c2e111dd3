"""The run folder: `runs/<plugin>/<cell id>/<attempt id>/`, one immutable folder an attempt.

An attempt is written in a temporary folder beside its place and renamed into it, so a run killed at any
instant leaves whole attempts only. Nothing is appended or rewritten, and there are no locks. The temporary
folder names its owner: while the owner lives the cell is *claimed*; once it is dead, the next try at the
cell takes the folder over by renaming it and, where the code is still the same, resumes from the checkpoints in it.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.results.claims import (
    CODE,
    OUTCOME,
    OWNER,
    WORK,
    claim,
    continues,
    disown,
    heartbeat,
    is_alive,
    orphans,
    take_over,
    temporaries,
)  # fmt: skip
from vidsuite_core.support.files import (
    file_sha256,
    read_predictions,
    read_regular,
    write_predictions,
    write_synced,
)  # fmt: skip
from vidsuite_core.support.litter import entries
from vidsuite_core.support.paths import cache_home, sync, user_home

if TYPE_CHECKING:
    import numpy as np

    from vidsuite_core.results.record import Record

__all__ = [
    "CONFIG", "KEPT", "LOG", "OWNER", "PREDICTIONS", "RESULT", "WORK",
    "Attempt", "Store", "Unreadable", "Workspace", "read_attempt", "write_predictions",
]  # fmt: skip

RESULT, PREDICTIONS, CONFIG, LOG = "result.json", "predictions.npz", "config.py", "log.txt"
KEPT = {"outputs": "outputs.zip", "weights": "weights.pth"}
"""Files that an attempt keeps on request: what the model put out in full (as label maps), the trained weights."""
STOPPED = ("interrupted", "timeout")
"""Status of attempts that were going well until they were stopped."""
_OUTCOME_BYTES = 16 * 2**20
_LINK = "is a symbolic link, which is not followed"
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}\Z")


@dataclass(frozen=True)
class Attempt:
    """An attempt that is kept: its folder and its record."""

    path: Path
    record: Record

    def predictions(self) -> dict[str, np.ndarray]:
        """The stored arrays; raises `VidsuiteError` where they are missing, damaged or too large."""
        return read_predictions(self.path / PREDICTIONS)

    def keeps(self, name: str) -> bool:
        """Whether it still has what it kept on request; `name` is a key of `KEPT`."""
        return KEPT[name] in self.record.files and not self._fault(KEPT[name], self.record.files[KEPT[name]])

    def faulty_files(self) -> list[str]:
        """Files whose sha256 is not the recorded one, or that are missing, or good predictions without one.

        What was kept on request may be gone: no score depends on it, and results are passed on without it.
        """
        faults = []
        if self.record.status == "ok" and PREDICTIONS not in self.record.files:
            faults.append(f"{PREDICTIONS} has no recorded sha256")
        for name, expected in self.record.files.items():
            gone = name in KEPT.values() and not os.path.lexists(self.path / name)
            if not gone and (fault := self._fault(name, expected)):
                faults.append(fault)
        return faults

    def _fault(self, name: str, expected: str) -> str:
        path = self.path / name
        try:
            if not _PART.match(name) or path.is_symlink() or not path.is_file():
                return f"{name} is missing"
            return "" if file_sha256(path) == expected else f"{name} differs from its recorded sha256"
        except OSError as error:
            return f"{name} cannot be read: {error.strerror}"


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

    def claim(self) -> None:
        """Make this process the owner: for a job that runs on its own, away from the process that took it."""
        claim(self.path)

    def heartbeat(self) -> None:
        """Say that the owner still lives; a folder that is gone is reported by `commit`."""
        heartbeat(self.path)

    def commit(self, record: Record) -> Attempt:
        """Write the record with the other files' hashes, sync, and rename into place; returns what is kept.

        The checkpoints of an attempt that was stopped are left for the next try at the cell.
        """
        target = self.path.with_name(self.attempt)
        record = self._forget_places(record)
        names = [name for name in (PREDICTIONS, CONFIG, LOG, *KEPT.values()) if (self.path / name).is_file()]
        record = record.model_copy(update={"files": {name: file_sha256(self.path / name) for name in names}})
        if record.status in STOPPED and any(self.work.glob("*.pth")):
            left = self.path.with_name(f"{self.path.name}-left")
            left.mkdir()
            self.work.rename(left / WORK)
            disown(left)
        shutil.rmtree(self.work, ignore_errors=True)
        write_synced(self.path / RESULT, json.dumps(record.model_dump(mode="json"), indent=1).encode())
        for name in names:
            sync(self.path / name)
        (self.path / OWNER).unlink(missing_ok=True)
        sync(self.path)
        self.path.rename(target)
        sync(target.parent)
        return Attempt(target, record)

    def _forget_places(self, record: Record) -> Record:
        """Take this machine's paths out of the log and of the record's own words, which others may come to read."""
        places = {self.path.resolve(): "<attempt>", self.path: "<attempt>", cache_home(): "<cache>"}
        places |= {Path(sys.prefix): "<prefix>"} | {home: "~" for home in [user_home()] if home is not None}
        names = {str(place): name for place, name in places.items() if len(place.parts) > 1}

        def plain(text: str) -> str:
            for place, name in names.items():
                text = text.replace(place, name)
            return text

        log = self.path / LOG
        if log.is_file():
            log.write_bytes(os.fsencode(plain(os.fsdecode(log.read_bytes()))))
        lines = {name: [plain(line) for line in getattr(record, name)] for name in ("warnings", "log_end")}
        return record.model_copy(update={"reason": plain(record.reason), **lines})

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

    def cells(self) -> Iterator[tuple[str, str]]:
        """Plugin and cell id of each cell below the root, by the folders' names alone; links are passed over."""
        for plugin in _folders(self.root) if self.root.is_dir() else ():
            for cell in _folders(plugin) if not plugin.is_symlink() else ():
                if not cell.is_symlink() and _PART.match(plugin.name) and _PART.match(cell.name):
                    yield plugin.name, cell.name

    def everything(self) -> Iterator[Attempt | Unreadable]:
        """All attempts below the root, cell by cell and oldest first, and what could not be read."""
        if not self.root.is_dir():
            raise VidsuiteError(f"there is no run folder at {self.root}; 'vidsuite bench' makes one")
        yield from _cells_below(self.root, levels=2)

    def begin(self, plugin: str, cell_id: str, code: str = "") -> Workspace:
        """A temporary folder for a new attempt, with the checkpoints that a dead owner made by the same `code`.

        What other code left is removed: its checkpoints are not ours to continue.
        """
        return self._begin(plugin, cell_id, code, code)

    def begin_anew(self, plugin: str, cell_id: str, code: str = "") -> Workspace:
        """As `begin`, without any checkpoints."""
        return self._begin(plugin, cell_id, code, None)

    def _made(self, plugin: str, cell_id: str) -> Path:
        """The folder of a cell, which is there."""
        cell = self.cell_folder(plugin, cell_id)
        if not cell.is_dir():
            cell.mkdir(parents=True, exist_ok=True)
            sync(cell.parent)
            sync(self.root)
        return cell

    @staticmethod
    def _named(cell: Path) -> Workspace:
        """A workspace with a new attempt's name, whose folder is not there yet."""
        attempt = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{secrets.token_hex(4)}"
        return Workspace(cell / f".tmp-{attempt}", attempt)

    def begin_beside(self, plugin: str, cell_id: str) -> Workspace:
        """A temporary folder for an attempt that runs nothing: what others have left stays where it is."""
        workspace = self._named(self._made(plugin, cell_id))
        workspace.path.mkdir()
        claim(workspace.path)
        return workspace

    def _begin(self, plugin: str, cell_id: str, code: str, continued: str | None) -> Workspace:
        cell = self._made(plugin, cell_id)
        workspace = self._named(cell)
        path = workspace.path
        left = sorted(orphans(cell), key=lambda orphan: not continues(orphan, code))
        if not any(take_over(orphan, path, continued) for orphan in left):
            path.mkdir()
            claim(path)
        workspace.work.mkdir(exist_ok=True)
        (workspace.work / CODE).write_text(code)
        return workspace

    def finished_elsewhere(self, plugin: str, cell_id: str, code: str) -> Iterator[tuple[Workspace, dict[str, Any]]]:
        """What `code` made elsewhere while the run that waited for it was gone: folders, now ours, and outcomes.

        An outcome is as an executor's, see `vidsuite_core.runner.executor.Jobs.finish`.
        """
        for orphan in orphans(self.cell_folder(plugin, cell_id)):
            if (orphan / OUTCOME).is_file() and continues(orphan, code):
                workspace = self._named(orphan.parent)
                if take_over(orphan, workspace.path, code, whole=True):
                    try:
                        outcome = json.loads(read_regular(workspace.path / OUTCOME, _OUTCOME_BYTES))
                    except (OSError, ValueError, RecursionError, VidsuiteError):
                        outcome = None
                    (workspace.path / OUTCOME).unlink(missing_ok=True)
                    if isinstance(outcome, dict):
                        yield workspace, outcome
                    else:
                        workspace.discard()

    def claimed(self, plugin: str, cell_id: str, before: Workspace | None = None) -> bool:
        """Whether another living process is at this cell; `before` counts those alone that began before that one."""
        folder = self.cell_folder(plugin, cell_id)
        others = (path for path in temporaries(folder) if before is None or path.name < before.path.name)
        return any(is_alive(path) for path in others)


def _folders(path: Path) -> list[Path]:
    return [entry for entry in entries(path) if entry.is_dir()]


def _cells_below(folder: Path, levels: int) -> Iterator[Attempt | Unreadable]:
    try:
        below = _folders(folder)
    except OSError as error:
        yield Unreadable(folder, f"cannot be read: {error.strerror}")
        return
    for path in below:
        if path.is_symlink():
            yield Unreadable(path, _LINK)
        elif levels > 1:
            yield from _cells_below(path, levels - 1)
        else:
            yield from _read_cell(path)


def read_attempt(path: Path) -> Attempt:
    """The attempt in a folder.

    Raises:
        VidsuiteError: a link, an unreadable record, or a folder that is not its record's.
    """
    from vidsuite_core.results.record import read_record

    if path.is_symlink():
        raise VidsuiteError(_LINK)
    record = read_record(path / RESULT)
    if (record.cell.plugin, record.cell_id, record.attempt) != path.parts[-3:]:
        raise VidsuiteError(f"{path} lies in a folder that is not its record's")
    return Attempt(path, record)


def _read_cell(cell: Path) -> list[Attempt | Unreadable]:
    rows: list[Attempt | Unreadable] = []
    try:
        below = _folders(cell) if os.path.lexists(cell) else []
    except OSError as error:
        return [Unreadable(cell, f"cannot be read: {error.strerror}")]
    for path in below:
        try:
            rows.append(read_attempt(path))
        except VidsuiteError as error:
            rows.append(Unreadable(path, str(error)))
        except OSError as error:
            rows.append(Unreadable(path, f"cannot be read: {error.strerror}"))
    return rows
