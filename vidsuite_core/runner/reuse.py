"""Which earlier attempt stands for a planned cell, and why none does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vidsuite_core.results.store import KEPT, Attempt, Store
from vidsuite_core.support import code
from vidsuite_core.support.ids import differences

if TYPE_CHECKING:
    from vidsuite_core.runner.schedule import Planned


def reusable(store: Store, planned: Planned) -> tuple[Attempt | None, str]:
    """The newest good attempt under the present code and software, or what differs from the newest there is.

    The text is "" where there is no good attempt at all.
    """
    cell = planned.cell
    good = [attempt for attempt in store.attempts(cell.plugin, cell.cell_id) if attempt.record.status == "ok"]
    if not good:
        return None, ""
    software = planned.software
    for attempt in reversed(good):
        record = attempt.record
        whole = not attempt.faulty_files() and all(attempt.keeps(name) for name in planned.keep)
        whole = whole and _measured(planned, attempt)
        if whole and code.same_code(record.code, dict(planned.code)) and record.software == software:
            return attempt, ""
    newest = good[-1].record
    changed = differences(newest.software, software, "software.")
    changed += [line for line in differences(newest.code, planned.code, "code.") if ".sources:" in line]
    return None, "; ".join(changed) or _files_reason(planned, good[-1])


def _measured(planned: Planned, attempt: Attempt) -> bool:
    cost = attempt.record.efficiency
    return not planned.speed or (cost is not None and cost.protocol.startswith(f"{planned.speed}-"))


def _files_reason(planned: Planned, newest: Attempt) -> str:
    """Why an attempt under the same code cannot be reused."""
    if not _measured(planned, newest):
        return "its speed was not measured in full"
    lacking = [KEPT[name] for name in planned.keep if not newest.keeps(name)]
    return f"--keep asks for {lacking[0]}, which was not kept" if lacking else "damaged files"
