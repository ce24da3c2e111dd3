"""A cell away from the run that planned it: what is sent, what is done there, what is left for whoever comes back.

What is sent is an `Assignment`, in JSON's own types, to a place that has its own installation. There the device's class
and the code are compared with those of the plan before anything runs: a record tells what has run.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidsuite_core.engine.order import Order
from vidsuite_core.errors import VidsuiteError
from vidsuite_core.results.claims import OUTCOME, OWNER
from vidsuite_core.runner.devices import Slot, cpu_slot, parse_devices
from vidsuite_core.runner.place import Place, run_order
from vidsuite_core.runner.process import MODULE, WorkerFailed
from vidsuite_core.runner.stop import Stop
from vidsuite_core.specs import resolve
from vidsuite_core.support import code, environment
from vidsuite_core.support.files import read_regular, write_synced
from vidsuite_core.support.ids import differences
from vidsuite_core.support.paths import atomic_write

if TYPE_CHECKING:
    from vidsuite_core.runner.executor import Job
    from vidsuite_core.runner.place import Report

PROGRESS = "progress.json"
"""File in a job's folder that says how far it is."""
_EVERY = 3.0
"""Seconds between two writes of it."""
_PROGRESS_BYTES = _OWNER_BYTES = 4096


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """What is sent to where a cell is to run.

    Attributes:
        order, timeout: see `Job`.
        kind: the class of device that the cell was planned for.
        code: sources (sha256) of the core and of each plugin that the cell's scores rest on; empty: not compared.
        software: the versions that it was planned with.
        model: the plugin that brings the cell's model.
        module: what `python -m` runs as a worker.
    """

    order: Order
    timeout: float | None
    kind: str
    code: Mapping[str, str] = field(default_factory=dict)
    software: Mapping[str, str] = field(default_factory=dict)
    model: str = ""
    module: str = MODULE

    @classmethod
    def of(cls, job: Job, module: str) -> Assignment:
        """That of a job."""
        sources = {name: part.get("sources", code.UNKNOWN) for name, part in job.code.items()}
        return cls(
            order=job.order, timeout=job.timeout, kind=job.cell.device_kind, code=sources,
            software=environment.software(), model=job.cell.model.partition("/")[0], module=module,
        )  # fmt: skip

    def sent(self) -> dict[str, Any]:
        """Its fields, for `received`."""
        return dataclasses.asdict(self)

    @classmethod
    def received(cls, fields: Mapping[str, Any]) -> Assignment:
        """What was `sent`."""
        return cls(**{**fields, "order": Order(**fields["order"])})


def perform(
    assignment: Assignment, report: Report, stop: Stop | None = None, place: Place | None = None
) -> dict[str, Any]:
    """Do what was assigned; returns the outcome, which says in words what this place lacks.

    Args:
        report: called as report(what, done, total) with each step.
        stop: once set, the outcome is "interrupted".
        place: where, if there is a warm one; by default one is made for this cell.
    """
    try:
        slot = place.slot if place is not None else slot_here(assignment.order.device)
        if reason := unlike(assignment, slot):
            return here({"status": "failed", "reason": reason})
        with borrowed(Path(assignment.order.folder)):
            return run_order(assignment.order, report, assignment.timeout, slot, stop, place, assignment.module)
    except (WorkerFailed, VidsuiteError) as error:
        return here({"status": "failed", "reason": f"no worker could be started where it was to run: {error}"})


def slot_here(device: str) -> Slot:
    """The slot of this place for an order's device ("cpu" or "cuda").

    Raises:
        VidsuiteError: no GPU can be seen.
    """
    slot = cpu_slot() if device == "cpu" else parse_devices("auto")[0]
    if device != "cpu" and not slot.on_gpu:
        raise VidsuiteError("no GPU can be seen there")
    return slot


def unlike(assignment: Assignment, slot: Slot) -> str:
    """In what this place differs from the plan, and the remedy; "" where it does not."""
    if assignment.kind != slot.kind:
        return (
            f"it was planned for {assignment.kind!r} and came to {slot.kind!r}, whose speeds do not compare; "
            "have the cluster choose among places of one kind"
        )
    if not assignment.code:
        return ""
    old = {"code": dict(assignment.code), "software": dict(assignment.software)}
    new = {"code": _sources(assignment), "software": environment.software()}
    changed = differences(old, new)
    if not changed:
        return ""
    return (
        f"the installation there is another one than the plan's ({'; '.join(changed[:3])}); install the same, or have "
        "the code sent where the executor does that"
    )


def _sources(assignment: Assignment) -> dict[str, str]:
    from vidsuite_core.plugins import CORE
    from vidsuite_core.runner.planner import code_of, imports

    found = {}
    suite = resolve("vidsuite_core.suite:load")()  # of this place: what is above the runner here is not imported
    further = imports(assignment.order.score_key.get("config", {}))
    for plugin in suite.manager.plugins:
        if plugin.name in assignment.code and plugin.name != CORE:
            found[plugin.name] = code_of(suite, plugin, further if plugin.name == assignment.model else ())["sources"]
    return {CORE: code.of_core()["sources"], **found}


def here(outcome: Mapping[str, Any]) -> dict[str, Any]:
    """An outcome with the hardware and software of this place."""
    return {"hardware": environment.hardware(), "software": environment.software(), **outcome}


class Progress:
    """Writes how far a job is into its folder, now and then; called as a `Report`."""

    def __init__(self, folder: Path) -> None:
        self._path, self._last = folder / PROGRESS, float("-inf")

    def __call__(self, what: str, done: int, total: int) -> None:
        """Note a step."""
        if time.monotonic() - self._last >= _EVERY:
            self._last = time.monotonic()
            with suppress(OSError):
                self._path.parent.stat()  # another run may have taken the folder over
                atomic_write(self._path, json.dumps([what[:500], done, total]).encode())


def told(folder: Path) -> tuple[str, int, int] | None:
    """The last step that a job's `Progress` wrote; None before the first."""
    try:
        what, done, total = json.loads(read_regular(folder / PROGRESS, _PROGRESS_BYTES))
    except (OSError, ValueError, TypeError, VidsuiteError):
        return None
    return (what, done, total) if isinstance(what, str) and type(done) is type(total) is int else None


def leave(folder: Path, outcome: Mapping[str, Any]) -> None:
    """Leave a good outcome in a job's folder, so that it is found where nobody waits for it any more."""
    if outcome["status"] == "ok":
        with suppress(OSError):  # the folder may have been taken over
            folder.stat()
            atomic_write(folder / OUTCOME, json.dumps(outcome).encode())


@contextmanager
def borrowed(folder: Path) -> Iterator[None]:
    """Give a folder's claim back to whom it was when the block began: the run that waits, or what is left of it."""
    try:
        owner = read_regular(folder / OWNER, _OWNER_BYTES)
    except (OSError, VidsuiteError):
        owner = b""
    try:
        yield
    finally:
        with suppress(OSError):
            if owner and (folder / OWNER).exists():
                write_synced(folder / OWNER, owner)


def tidy(folder: Path) -> None:
    """Remove from a job's folder what was only for the way."""
    for name in (PROGRESS, OUTCOME):
        (folder / name).unlink(missing_ok=True)
