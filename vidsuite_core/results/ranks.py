"""Ranks of rows in one table: who can be compared, who holds a place, who cannot be told from whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from vidsuite_core.results.statistics import FEWEST, apart

FLOOR = "core/prior"
"""The model that needs no video: what every other row must be above."""
ELSEWHERE = "its frame size, classes, folds or true targets are not those of the table's other rows"
UNTESTED = "its score is not defined without each of its {units}, so that no test can be made"


@dataclass(frozen=True)
class Contender:
    """What is known of a row that may hold a rank.

    Attributes:
        score: mean first score; None where it has none.
        complete: whether each cell that the protocol makes has scores.
        data: what it was scored on (see `vidsuite_core.results.summary.scored_on`).
        subjects: how many units (subjects, recordings) it was scored on; `units` is their name.
        drawn_from, draws: rows pair where the first is the same (see `Estimate.draws`).
        floor: whether it is the table's floor.
        own: whether it is one's own, not somebody else's submission.
        created: when its newest attempt was made, in any form that sorts.
        barred: a reason of its own for which it can hold no rank.
    """

    score: float | None
    complete: bool
    data: str
    subjects: int
    units: str = "subjects"
    drawn_from: str = ""
    draws: np.ndarray | None = field(default=None, repr=False)
    floor: bool = False
    own: bool = True
    created: str = ""
    barred: str = ""


@dataclass(frozen=True)
class Place:
    """Where a row stands.

    Attributes:
        rank: from 1 among the rows that hold one; `tied` says that another holds it, too.
        indistinct: whether the paired test cannot tell it from the best.
        reason: why it holds no rank; empty for those that do, and for incomplete ones, which say so elsewhere.
        above_floor: whether the paired test finds it better than the floor; None where there is no floor to compare.
    """

    rank: int | None = None
    tied: bool = False
    indistinct: bool = False
    reason: str = ""
    above_floor: bool | None = None


def standings(rows: Sequence[Contender], *, higher: bool) -> list[tuple[int, Place]]:
    """(index into `rows`, place) in the table's order: rows that can be compared, best first, then the others as given.

    A row that the paired test cannot tell from the best of those that hold a rank shares that rank; the next one's is
    its own place, so ranks may skip numbers (1, 1, 3). With fewer than `FEWEST` subjects none holds a rank.
    """
    entrants = [i for i, row in enumerate(rows) if row.complete and row.score is not None and not row.barred]
    data = _most([rows[i] for i in entrants])
    same = [i for i in entrants if rows[i].data == data]
    testable = [i for i in same if _testable(rows[i])]
    sign = -1 if higher else 1
    order = sorted(same, key=lambda i: (i not in testable, sign * (rows[i].score or 0.0)))
    few = [rows[i].subjects for i in same if rows[i].subjects < FEWEST]
    places = {i: Place(reason=_reason(rows[i], few, data, i in same)) for i in range(len(rows))}
    if not few:
        places |= _ranked(rows, [i for i in order if i in testable])
    floors = [i for i in testable if rows[i].floor]
    floor = min(floors, key=lambda i: sign * (rows[i].score or 0.0), default=None)
    rest = [i for i in range(len(rows)) if i not in set(same)]
    return [(i, _against(rows, places[i], i, floor, sign)) for i in [*order, *rest]]


def _testable(row: Contender) -> bool:
    return row.draws is not None and bool(np.isfinite(row.draws).all())


def _reason(row: Contender, few: Sequence[int], data: str, same: bool) -> str:
    if row.barred or not row.complete or row.score is None:
        return row.barred
    if not same:
        return f"{ELSEWHERE}, so it holds no rank" if data else ""
    if few:
        count = f"{few[0]} {row.units if few[0] != 1 else row.units.removesuffix('s')}"
        return f"no ranks: {count} scored, and a test needs {FEWEST}"
    return "" if _testable(row) else UNTESTED.format(units=row.units)


def _ranked(rows: Sequence[Contender], order: Sequence[int]) -> dict[int, Place]:
    ranks: list[int] = []
    holder = 0
    for place, i in enumerate(order):
        if not ranks or not alike(rows[order[holder]], rows[i]):
            holder = place
        ranks.append(holder + 1)
    shared = {rank for rank, following in pairwise(ranks) if rank == following}
    return {
        i: Place(rank, rank in shared, indistinct=place > 0 and rank == 1)
        for place, (i, rank) in enumerate(zip(order, ranks, strict=True))
    }


def _against(rows: Sequence[Contender], place: Place, i: int, floor: int | None, sign: int) -> Place:
    """The place with what the floor says of it."""
    if floor is None or rows[i].floor:
        return place
    found = difference(rows[i], rows[floor])
    if found is None:
        return place
    above = found[0] > 0 if sign < 0 else found[1] < 0
    return Place(place.rank, place.tied, place.indistinct, place.reason, above)


def _most(rows: Sequence[Contender]) -> str:
    """What most of one's own rows were scored on, or most of all where there is none of one's own."""
    own = [row for row in rows if row.own] or rows
    times = Counter(row.data for row in own)
    newest = {row.data: row.created for row in sorted(own, key=lambda row: row.created)}
    return max(times, key=lambda data: (times[data], newest[data]), default="")


def difference(one: Contender, other: Contender) -> tuple[float, float] | None:
    """95 % interval of the difference of two rows' first scores; None where they do not pair."""
    if one.draws is None or other.draws is None or one.drawn_from != other.drawn_from:
        return None
    return apart(one.draws, other.draws)


def alike(one: Contender, other: Contender) -> bool:
    """Whether the paired test cannot tell two rows apart."""
    found = difference(one, other)
    return found is not None and found[0] <= 0 <= found[1]
