"""From what a job's run tells to the record that is kept."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidsuite_core.results.store import LOG, Workspace
from vidsuite_core.support.text import command

if TYPE_CHECKING:
    from vidsuite_core.results.record import Record
    from vidsuite_core.runner.schedule import Planned

_NOT_TOLD = {
    "attempt", "created", "cell", "cell_id", "score_id", "score_key", "device", "code", "command", "weights", "log_end",
    "files", "schema_version", "holder",
}  # fmt: skip
"""Fields of a record that the plan and the store know, and no cell."""
LOG_LINES = 20
"""Lines of a log's end that a failed attempt's record carries."""


def record_or_fault(planned: Planned, workspace: Workspace, outcome: Mapping[str, Any]) -> Record:
    """The record of what came of a job; a failure where a task or plugin handed back what no record can hold."""
    from pydantic import ValidationError

    if foreign := sorted(_NOT_TOLD.intersection(outcome)):
        return failed_record(
            planned, workspace, outcome, f"what it handed back says what its run does not tell: {foreign[0]}"
        )
    try:
        return make_record(planned, workspace, outcome)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return failed_record(
            planned, workspace, outcome, f"what it handed back cannot be kept: {where}: {first['msg']}"
        )


def failed_record(planned: Planned, workspace: Workspace, outcome: Mapping[str, Any], reason: str) -> Record:
    """The record of a job that failed by what it handed back; where it ran is told."""
    place = {name: outcome[name] for name in ("hardware", "software") if isinstance(outcome.get(name), dict)}
    return make_record(planned, workspace, {**place, "status": "failed", "reason": reason})


def make_record(planned: Planned, workspace: Workspace, outcome: Mapping[str, Any]) -> Record:
    """The record of a job; raises pydantic's ValidationError where it cannot be one."""
    from vidsuite_core.results.record import CellFields, Record, Weights

    cell, outcome = planned.cell, dict(outcome)
    names = ("plugin", "benchmark", "task", "dataset", "model", "fold", "folds", "seed", "preset")
    weights = [Weights(name=name, sha256=sha256) for name, sha256 in cell.score_key["weights"].items()]
    warnings = [*planned.warnings, *outcome.pop("warnings", [])]
    return Record.model_validate(
        {
            "attempt": workspace.attempt,
            "created": datetime.now(UTC),
            "cell": CellFields(**{name: getattr(cell, name) for name in names}),
            "cell_id": cell.cell_id,
            "score_id": cell.score_id,
            "score_key": cell.score_key,
            "device": {"kind": cell.device_kind, "count": cell.device_count},
            "code": planned.code,
            "command": [command(sys.argv)],
            "weights": weights,
            "warnings": warnings,
            "log_end": [] if outcome["status"] == "ok" else _log_end(workspace.path / LOG),
            **outcome,
        }
    )


def _log_end(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 16384))
            return file.read().decode(errors="replace").splitlines()[-LOG_LINES:]
    except OSError:
        return []
