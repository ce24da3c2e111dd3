"""Ranks within a table, with ties where the paired bootstrap cannot tell entries apart."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from vidsuite_core.specs import resolve

if TYPE_CHECKING:
    import numpy as np

    from vidsuite_core.suite import Suite
    from vidsuite_leaderboard.entries import Entry

    Draws = Mapping[str, tuple[str, np.ndarray]]


ELSEWHERE = "its data, folds or samples are not those of the table's other entries, so it holds no rank"


def ranked(suite: Suite, entries: Sequence[Entry], draws: Draws) -> list[Entry]:
    """The entries, table by table: complete ones by their first score, then incomplete ones.

    An entry that the paired bootstrap over subjects (95 %) cannot tell from the best of those that hold a rank shares
    that rank; the next one's is its own place, so ranks may skip numbers (1, 1, 3). Entries scored on other samples,
    or without an interval, cannot be compared and tie with none. Incomplete entries have no rank, and neither have
    those whose data, protocol or folds' samples are not those of most of one's own results in the table (see `_most`).
    """
    tables: dict[tuple[str, str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        tables[entry.table].append(entry)
    return [entry for _, table in sorted(tables.items()) for entry in _ranked(suite, table, draws)]


def _ranked(suite: Suite, table: Sequence[Entry], draws: Draws) -> list[Entry]:
    task = resolve(suite.tasks[table[0].task].spec.builder)
    first = task.first_score
    sign = 1 if next(s for s in task.scores if s.name == first).direction == "higher" else -1
    scored = [entry for entry in table if entry.complete and first in entry.scores]
    data = _most(scored)
    whole = [entry for entry in scored if entry.data == data]
    rest = [entry for entry in table if not (entry.complete and first in entry.scores)]
    rest += [replace(entry, notes=[*entry.notes, ELSEWHERE]) for entry in scored if entry.data != data]
    whole.sort(key=lambda e: (-sign * e.scores[first].mean, e.model, e.config, e.by))
    ranks: list[int] = []
    holder = 0
    for place, entry in enumerate(whole):
        if not ranks or not _alike(draws, whole[holder].slug, entry.slug):
            holder = place
        ranks.append(holder + 1)
    shared = _shared(ranks)
    placed = [
        replace(e, rank=rank, tied=rank in shared, indistinct=place > 0 and rank == 1)
        for place, (e, rank) in enumerate(zip(whole, ranks, strict=True))
    ]
    return [*placed, *sorted(rest, key=lambda e: (e.model, e.config, e.by))]


def _most(scored: Sequence[Entry]) -> str:
    """What most of one's own entries were scored on, or most of all where there is none of one's own."""
    own = [entry for entry in scored if not entry.owner] or scored
    times = Counter(entry.data for entry in own)
    newest = {entry.data: entry.created for entry in sorted(own, key=lambda entry: entry.created)}
    return max(times, key=lambda data: (times[data], newest[data]), default="")


def _shared(ranks: Sequence[int]) -> set[int]:
    return {rank for rank, following in pairwise(ranks) if rank == following}


def difference(draws: Draws, one: str, other: str) -> tuple[float, float] | None:
    """95 % interval of the difference of two entries' first scores over the same draws; None where they do not pair."""
    import numpy as np

    if one not in draws or other not in draws or draws[one][0] != draws[other][0]:
        return None
    apart = draws[one][1] - draws[other][1]
    if not np.isfinite(apart).any():
        return None
    low, high = np.nanpercentile(apart, (2.5, 97.5))
    return float(low), float(high)


def _alike(draws: Draws, one: str, other: str) -> bool:
    found = difference(draws, one, other)
    return found is not None and found[0] <= 0 <= found[1]
