"""Which of several attempts at a cell counts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from vidsuite_core.results.verification import Verified, verified

if TYPE_CHECKING:
    from vidsuite_core.results.store import Attempt
    from vidsuite_core.suite import Suite


def holding(
    suite: Suite, attempts: Iterable[Attempt], left_out: Callable[[Verified], None] = lambda one: None
) -> list[Verified]:
    """Of each cell the newest attempt that is ok and holds, or the newest at all; no more than that are read.

    `left_out` is told of each that was looked at and does not hold.
    """
    cells: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        cells[attempt.record.cell_id].append(attempt)
    found = []
    for members in cells.values():
        looked_at: list[Verified] = []
        for attempt in sorted(members, key=freshness, reverse=True):
            looked_at.append(verified(suite, attempt))
            if looked_at[-1].faults:
                left_out(looked_at[-1])
            if looked_at[-1].holds or attempt.record.status != "ok":
                break
        found.append(next((one for one in looked_at if one.holds), looked_at[0]))
    return found


def freshness(attempt: Attempt) -> tuple[object, ...]:
    """What the one that counts has most of: of attempts whose labels are kept back, one that was scored."""
    record = attempt.record
    scored = record.holder.created if record.holder else datetime.min.replace(tzinfo=UTC)
    return record.status == "ok", scored, record.created


def newest(checked: Iterable[Verified]) -> list[Verified]:
    """One a cell: the newest good one, or the newest at all."""
    cells: dict[str, Verified] = {}
    for one in sorted(checked, key=lambda one: freshness(one.attempt)):
        cells[one.attempt.record.cell_id] = one
    return list(cells.values())
