"""Ranks of entries within their tables; see `vidsuite_core.results.ranks`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from vidsuite_core.results.ranks import FLOOR, Contender, standings
from vidsuite_core.results.statistics import apart
from vidsuite_core.specs import resolve

if TYPE_CHECKING:
    from vidsuite_core.suite import Suite
    from vidsuite_leaderboard.entries import Entry

    Draws = Mapping[str, tuple[str, np.ndarray]]


def ranked(suite: Suite, entries: Sequence[Entry], draws: Draws) -> list[Entry]:
    """The entries, table by table: those that can be compared by their first score, then the others, which say why.

    See `vidsuite_core.results.ranks.standings`: entries that a paired test cannot tell from the best of a rank share
    it; with fewer than five subjects, on other data than the table's most, or incomplete there is none.
    """
    tables: dict[tuple[str, str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        tables[entry.table].append(entry)
    return [entry for _, table in sorted(tables.items()) for entry in _ranked(suite, table, draws)]


def _ranked(suite: Suite, table: Sequence[Entry], draws: Draws) -> list[Entry]:
    task = resolve(suite.tasks[table[0].task].spec.builder)
    first = next(score for score in task.scores if score.name == task.first_score)
    table = sorted(table, key=lambda e: (e.model, e.config, e.by))
    contenders = [_contender(entry, first.name, draws) for entry in table]
    return [
        replace(
            table[index],
            rank=place.rank,
            tied=place.tied,
            indistinct=place.indistinct,
            unranked=place.reason,
            above_floor=place.above_floor,
        )
        for index, place in standings(contenders, higher=first.direction == "higher")
    ]


def _contender(entry: Entry, first: str, draws: Draws) -> Contender:
    score = entry.scores.get(first)
    drawn_from, values = draws.get(entry.slug, ("", None))
    return Contender(
        score=score.mean if score else None,
        complete=entry.complete,
        data=entry.data,
        subjects=entry.subjects,
        units=entry.units,
        drawn_from=drawn_from,
        draws=values,
        floor=entry.model == FLOOR,
        own=not entry.owner,
        created=entry.created,
        barred=entry.unranked,
    )


def difference(draws: Draws, one: str, other: str) -> tuple[float, float] | None:
    """95 % interval of the difference of two entries' first scores over the same draws; None where they do not pair."""
    if one not in draws or other not in draws or draws[one][0] != draws[other][0]:
        return None
    return apart(draws[one][1], draws[other][1])
