"""The change list: removals and corrections of published results, kept for all to see.

`changes.yaml` is a list of mappings: `date` (YYYY-MM-DD), `kind` ("removed" or "corrected"), `attempts` (ids that no
longer count), `reason`, and optionally `by`.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vidsuite_core.benchmark import read_yaml
from vidsuite_core.errors import VidsuiteError

KINDS = ("removed", "corrected")
_FIELDS = {"date", "kind", "attempts", "reason", "by"}


@dataclass(frozen=True)
class Change:
    """One removal or correction: `attempts` no longer count."""

    date: str
    kind: str
    attempts: Sequence[str]
    reason: str
    by: str = ""


def read_changes(path: Path) -> list[Change]:
    """The changes in `path`, the newest first.

    Raises:
        VidsuiteError: the file cannot be read, or a change lacks a field.
    """
    data = read_yaml(path).get("changes")
    if not isinstance(data, list):
        raise VidsuiteError(f"{path}: field 'changes' must be a list")
    return sorted((_change(path, place, entry) for place, entry in enumerate(data)), key=lambda c: c.date, reverse=True)


def removed(changes: Sequence[Change]) -> dict[str, str]:
    """Attempt ids that do not count, each with the reason."""
    return {attempt: change.reason for change in changes for attempt in change.attempts}


def _change(path: Path, place: int, entry: object) -> Change:
    where = f"{path}: change {place + 1}"
    if not isinstance(entry, Mapping) or not _FIELDS - {"by"} <= set(entry) <= _FIELDS:
        raise VidsuiteError(f"{where} must have the fields date, kind, attempts and reason, and may have by")
    if not isinstance(entry["date"], datetime.date):
        raise VidsuiteError(f"{where}: date must be YYYY-MM-DD")
    if entry["kind"] not in KINDS:
        raise VidsuiteError(f"{where}: kind must be one of {', '.join(KINDS)}")
    attempts = entry["attempts"]
    if not isinstance(attempts, list) or not all(isinstance(attempt, str) for attempt in attempts):
        raise VidsuiteError(f"{where}: attempts must be a list of attempt ids")
    reason, by = entry["reason"], entry.get("by", "")
    if not isinstance(reason, str) or not reason.strip() or not isinstance(by, str):
        raise VidsuiteError(f"{where}: reason and by must be text, and a reason must be given")
    return Change(entry["date"].isoformat(), entry["kind"], attempts, reason.strip(), by)
