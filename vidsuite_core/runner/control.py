"""A run that has started is looked at and steered from elsewhere by files in `RUNS/.runs/<run id>/`, its user's alone.

`state.json` says how far the run is and is replaced now and then; what others ask of it they put into `requests/`, one
small file each, which the run removes once it has done it. Nothing here decides what a cell is or whether it is reused:
a run whose folder cannot be made, or is removed, goes on without.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.results.claims import claim, heartbeat, is_alive
from vidsuite_core.runner.process import HEARTBEAT
from vidsuite_core.runner.stop import BY_USER
from vidsuite_core.support.files import read_regular
from vidsuite_core.support.paths import temporary_file

if TYPE_CHECKING:
    from vidsuite_core.runner.executor import Event, Listener
    from vidsuite_core.runner.schedule import Schedule

FOLDER, STATE, REQUESTS, OUTPUT = ".runs", "state.json", "requests", "output.txt"
RUN_ID = "VIDSUITE_RUN_ID"
"""The variable that tells a run in the background its id."""
KEPT = 20
"""Runs that have ended whose folders are kept."""
_MAX_STATE, _MAX_REQUEST, _MAX_REQUESTS, _SHOWN = 2**20, 4096, 100, 200
_POLL, _EVERY, _ANSWER = 0.3, 1.0, 10.0


Now = Literal["running", "paused", "stopping", "finished", "failed", "stopped"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Under(_Part):
    """A cell under way: where, and what it does (`done` of `total`, 0: unknown)."""

    slot: str
    cell: str
    title: str
    what: str
    done: int
    total: int
    seconds: float


class Bad(_Part):
    """A cell that has no score."""

    cell: str
    title: str
    reason: str


class State(_Part):
    """How far a run is; `bad` and `running` hold the first `_SHOWN`."""

    id: str
    began: str
    command: str
    cells: int
    done: int
    failed: int
    reused: int
    waiting: int
    state: Now
    left: str = ""
    running: list[Under] = Field(default_factory=list)
    bad: list[Bad] = Field(default_factory=list)

    @property
    def ended(self) -> bool:
        """Whether it runs no more, by its own word."""
        return self.state in ("finished", "failed", "stopped")


class Request(_Part):
    """What is asked of a run; `cell` is a cell's id, or its beginning, "" for all."""

    do: Literal["pause", "resume", "stop", "retry"]
    cell: str = ""


class Steps:
    """Keeps the last step on each slot, and passes all on to another listener."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self.last: dict[str, Event] = {}

    def say(self, line: str) -> None:
        """See `Listener`."""
        self._listener.say(line)

    def event(self, event: Event) -> None:
        """See `Listener`."""
        self.last[event.cell.cell_id] = event
        self._listener.event(event)


class Control:
    """Tells the state of a run and does what is asked of it, in a thread of its own, from `with` to its end.

    Args:
        root: the run folder.
        command: as a user would type it.
        slots: cells that run at once.
    """

    def __init__(self, root: Path, schedule: Schedule, steps: Steps, command: str, slots: int, cells: int) -> None:
        self.id = os.environ.pop(RUN_ID, "") or new_id()
        self.folder = root / FOLDER / self.id
        self._schedule, self._steps, self._command = schedule, steps, command
        self._slots, self._cells = slots, cells
        self._began = datetime.now(UTC).isoformat(timespec="seconds")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="control", daemon=True)
        self._end: Literal["finished", "failed", "stopped"] = "failed"

    def __enter__(self) -> Control:
        try:
            prepare(self.folder)
            claim(self.folder)
            self._tell()
        except OSError:  # a folder that cannot be written is told by the cells; nobody can steer from elsewhere then
            return self
        _forget_old(self.folder.parent)
        self._thread.start()
        return self

    def ended(self, *, whole: bool) -> None:
        """Say how it has ended."""
        self._end = "stopped" if self._schedule.stop.is_set() else "finished" if whole else "failed"

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self._end = "stopped"
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        with suppress(OSError):
            if self.folder.is_dir():
                self._tell(self._end)

    def _serve(self) -> None:
        told = beaten = time.monotonic()
        while not self._over.wait(_POLL):
            with suppress(OSError):  # also where the folder is removed
                asked = self._answer()
                if asked or time.monotonic() - told >= _EVERY:
                    told = time.monotonic()
                    self._tell()
                if time.monotonic() - beaten >= HEARTBEAT:
                    beaten = time.monotonic()
                    heartbeat(self.folder)

    def _answer(self) -> bool:
        """Do what is asked; whether anything was."""
        paths = sorted((self.folder / REQUESTS).iterdir())[:_MAX_REQUESTS]
        for path in paths:
            request = _read_request(path)
            path.unlink(missing_ok=True)
            if request is not None:
                self._do(request)
        return bool(paths)

    def _do(self, request: Request) -> None:
        if request.do in ("pause", "resume"):
            self._schedule.paused = request.do == "pause"
        elif request.do == "retry":
            self._schedule.retry(request.cell)
        elif request.cell:
            self._schedule.stop_cell(request.cell)
        else:
            self._schedule.stop.set(BY_USER)

    def _tell(self, end: Literal["finished", "failed", "stopped"] | None = None) -> None:
        schedule = self._schedule
        outcomes = {outcome.cell.cell_id: outcome for outcome in list(schedule.outcomes)}
        bad = [one for one in outcomes.values() if not one.ok]
        now: Now = "stopping" if schedule.stop.is_set() else "paused" if schedule.paused else "running"
        state = State(
            id=self.id, began=self._began, command=self._command, cells=self._cells,
            done=len(outcomes) - len(bad), failed=len(bad), reused=sum(one.reused for one in outcomes.values()),
            waiting=schedule.waiting, state=end or now, left="" if end else str(schedule.forecast(self._slots)),
            running=[] if end else list(self._running())[:_SHOWN],
            bad=[Bad(cell=one.cell.cell_id, title=one.cell.title, reason=_why(one)[:500]) for one in bad[:_SHOWN]],
        )  # fmt: skip
        self.folder.stat()  # whoever removed it wants to be rid of it
        with temporary_file(self.folder / STATE) as path:
            path.write_text(state.model_dump_json(indent=1), encoding="utf-8")

    def _running(self) -> Iterator[Under]:
        for cell, seconds in self._schedule.under_way():
            event = self._steps.last.get(cell.cell_id)
            slot, what, done, total = (event.slot, event.what, event.done, event.total) if event else ("", "", 0, 0)
            yield Under(
                slot=slot, cell=cell.cell_id, title=cell.title, what=what[:200], done=done, total=total, seconds=seconds
            )  # fmt: skip


def _why(outcome: object) -> str:
    attempt = getattr(outcome, "attempt", None)
    return str(outcome.problem) if attempt is None else f"{attempt.record.status}: {attempt.record.reason}"  # type: ignore[attr-defined]


def new_id() -> str:
    """An id for a run: when it began, and enough to tell two apart."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"


def prepare(folder: Path) -> None:
    """Make the folder of a run, which nobody else may enter."""
    (folder / REQUESTS).mkdir(parents=True, exist_ok=True)
    for path in (folder.parent, folder, folder / REQUESTS):
        with suppress(OSError):  # file systems without modes
            path.chmod(0o700)


def _read_request(path: Path) -> Request | None:
    """A request, or None where it is none, or of another user."""
    try:
        if path.name.startswith(".") or path.is_symlink() or path.stat().st_uid not in (os.getuid(), 0):
            return None
        return Request.model_validate_json(read_regular(path, _MAX_REQUEST))
    except (OSError, VidsuiteError, ValidationError):
        return None


def states(root: Path) -> list[tuple[Path, State]]:
    """The runs of a run folder with their states, oldest first; what cannot be read is passed over.

    A run that says that it goes on and whose process is gone is "failed".
    """
    folder = root / FOLDER
    found = []
    for path in sorted(folder.iterdir()) if folder.is_dir() and not folder.is_symlink() else ():
        try:
            state = State.model_validate_json(read_regular(path / STATE, _MAX_STATE))
        except (OSError, VidsuiteError, ValidationError):
            continue
        if not state.ended and not is_alive(path):
            state = state.model_copy(update={"state": "failed", "running": [], "left": "its process is gone"})
        found.append((path, state))
    return found


def find(root: Path, run: str | None) -> tuple[Path, State]:
    """The run of an id, or of its beginning; without one the only one that goes on, or the newest.

    Raises:
        UsageError: there is none, or there are several.
    """
    known = states(root)
    fitting = [one for one in known if run is None or one[1].id.startswith(run)]
    if run is None and (going := [one for one in fitting if not one[1].ended and one[1].state != "failed"]):
        fitting = going
    elif run is None:
        fitting = fitting[-1:]
    if len(fitting) != 1:
        names = ", ".join(state.id for _, state in known[-5:]) or "none"
        raise UsageError(f"{len(fitting)} runs in {root} fit; say which by its id (there are: {names})")
    return fitting[0]


def ask(folder: Path, request: Request) -> bool:
    """Ask something of a run; whether it has taken note of it within a few seconds."""
    path = folder / REQUESTS / f"{time.time_ns()}-{secrets.token_hex(4)}.json"
    with temporary_file(path) as temporary:
        temporary.write_text(json.dumps(request.model_dump()), encoding="utf-8")
    deadline = time.monotonic() + _ANSWER
    while path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    return not path.exists()


def _forget_old(folder: Path) -> None:
    ended: Sequence[Path] = [path for path, state in states(folder.parent) if state.ended or state.state == "failed"]
    for path in ended[:-KEPT]:
        shutil.rmtree(path, ignore_errors=True)
