"""A cell as a task of Ray, as its node sees it.

Where the run folder can be seen from the node, the cell runs in its folder there, and a try that follows a lost node
goes on from the checkpoints. Elsewhere it runs in a folder of the node's own, and its files are brought home.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.results.claims import CODE, OWNER, is_alive
from vidsuite_core.results.store import CONFIG, KEPT, LOG, PREDICTIONS, WORK
from vidsuite_core.runner.place import Place
from vidsuite_core.runner.remote import Assignment, Progress, here, leave, perform, slot_here
from vidsuite_core.runner.stop import Stop
from vidsuite_core.specs import resolve
from vidsuite_core.support.files import read_regular
from vidsuite_core.support.ids import digest
from vidsuite_core.support.paths import cache_home

if TYPE_CHECKING:
    from vidsuite_core.engine.order import Order
    from vidsuite_core.runner.devices import Slot

FILES = (PREDICTIONS, CONFIG, LOG, *KEPT.values())
"""Files that a cell leaves in its folder."""
_WAIT = 60.0
"""Seconds that a try waits for the end of the one before it, whose node was lost to Ray and may still run."""
_places: dict[tuple[str, Slot], Place] = {}
"""The warm workers of this process of Ray's, which end with it."""


def serve(fields: Mapping[str, Any], token: str, weights: Mapping[str, Any]) -> dict[str, Any]:
    """Run a cell: called on the node, in the main thread.

    Args:
        fields: an `Assignment` as it was sent.
        token: of the claim of the run that waits, so that another try's claim is told apart.
        weights: for each of the order's files the reference of a list with its bytes, by its path.

    Returns: `outcome`, and `files` by name where the run folder cannot be seen from here.
    """
    assignment = Assignment.received(fields)
    folder = Path(assignment.order.folder)
    if folder.is_dir():
        _await_end(folder, token)
        outcome = _run(assignment, Progress(folder))
        leave(folder, outcome)
        return {"outcome": outcome, "files": {}}
    with tempfile.TemporaryDirectory(prefix="vidsuite-ray-") as scratch, _weights(assignment.order, weights) as files:
        try:
            order = _settled(assignment.order, Path(scratch), files)
        except (VidsuiteError, OSError) as error:
            reason = f"its data or weights cannot be had where it was to run: {' '.join(str(error).split())}"
            return {"outcome": here({"status": "failed", "reason": reason}), "files": {}}
        outcome = _run(dataclasses.replace(assignment, order=order), lambda what, done, total: None)
        outcome["reason"] = outcome.get("reason", "").replace(scratch, "<attempt>")
        return {"outcome": outcome, "files": _read(Path(scratch))}


def look(device: str) -> dict[str, str]:
    """The device, its class and precision where a task runs; called on the node."""
    slot = slot_here(device)
    return {"device": slot.device, "kind": slot.kind, "precision": slot.precision}


def token_of(folder: Path) -> str:
    """The token of whoever has claimed a folder; "" where that cannot be read."""
    try:
        return str(json.loads(read_regular(folder / OWNER, 4096))["token"])
    except (OSError, ValueError, KeyError, TypeError, VidsuiteError):
        return ""


def _run(assignment: Assignment, report: Any) -> dict[str, Any]:
    try:
        place = _place(assignment)
    except VidsuiteError as error:
        return here({"status": "failed", "reason": f"no worker could be started where it was to run: {error}"})
    try:
        return perform(assignment, report, place=place)
    except BaseException:  # Ray cancels by raising KeyboardInterrupt in here
        place.close()
        raise


def _place(assignment: Assignment) -> Place:
    slot = slot_here(assignment.order.device)
    key = (assignment.module, slot)
    for other in [other for other in _places if other != key]:
        _places.pop(other).close()
    return _places.setdefault(key, Place(slot, Stop(), assignment.module))


def _await_end(folder: Path, token: str) -> None:
    end = time.monotonic() + _WAIT
    while token_of(folder) not in ("", token) and is_alive(folder) and time.monotonic() < end:
        time.sleep(0.2)


@contextmanager
def _weights(order: Order, sent: Mapping[str, Any]) -> Iterator[dict[str, str | None]]:
    """The order's files of weights as they lie here: where they are on the node, too, or as they were sent."""
    with tempfile.TemporaryDirectory(prefix="vidsuite-weights-") as folder:
        found: dict[str, str | None] = {}
        for name, path in order.weights.items():
            if path is not None and not Path(path).is_file():
                import ray

                copy = Path(folder) / f"{len(found)}-{Path(path).name}"
                copy.write_bytes(ray.get(sent[path]))
                path = str(copy)
            found[name] = path
        yield found


def _settled(order: Order, folder: Path, weights: Mapping[str, str | None]) -> Order:
    """The order with folders and files of this place; its data are prepared where they are not here."""
    (folder / WORK).mkdir()
    (folder / WORK / CODE).write_text(order.code)
    root = Path(order.root)
    if order.dataset:
        build = resolve(order.dataset)
        if not _ready(build, root, order.options):
            root = cache_home() / "ray" / digest([order.dataset, dict(order.options), order.score_key["dataset"]])[:16]
            build(root, **order.options).prepare()
    return dataclasses.replace(order, folder=str(folder), root=str(root), weights=weights)


def _ready(build: Any, root: Path, options: Mapping[str, Any]) -> bool:
    try:
        return root.is_dir() and bool(build(root, **options).is_ready())
    except (OSError, VidsuiteError):
        return False


def _read(folder: Path) -> dict[str, bytes]:
    shutil.rmtree(folder / WORK, ignore_errors=True)
    return {name: (folder / name).read_bytes() for name in FILES if os.path.isfile(folder / name)}  # noqa: PTH113
