"""How an entry's score and speed moved over vidsuite's versions, with step changes marked."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from vidsuite_core.ids import digest
from vidsuite_core.summary import Verified, device_of, newest
from vidsuite_leaderboard.entries import Moment

if TYPE_CHECKING:
    from vidsuite_core.results import Record

SLOWER = 1.25
"""A ratio of median latencies on one device class beyond which, or below whose inverse, speed has stepped."""
DEVIATIONS = 2.0
"""A score has stepped where it moved by more than this many standard errors of the difference."""


def moments(sound: Sequence[Verified]) -> list[Moment]:
    """One moment a version of the code, by the date of its first attempt; attempts without scores are passed over.

    Versions are told apart by the hash of their sources, not by their number, which may stay the same.
    """
    versions: dict[str, list[Verified]] = defaultdict(list)
    for one in sound:
        if one.scored:
            record = one.attempt.record
            versions[digest({name: part.get("sources") for name, part in record.code.items()})].append(one)
    ordered = sorted(versions.values(), key=lambda members: min(m.attempt.record.created for m in members))
    found: list[Moment] = []
    for members in ordered:
        moment = _moment(newest(members))
        found.append(_steps(found[-1], moment) if found else moment)
    return found


def _moment(members: Sequence[Verified]) -> Moment:
    records: list[Record] = [one.attempt.record for one in members]
    core: Mapping[str, str] = records[0].code.get("core", {})
    first = members[0].task.first_score
    values = [v for r in records if first in r.scores and (v := r.scores[first].value) is not None]
    latencies: dict[str, list[float]] = defaultdict(list)
    for record in records:
        if record.efficiency is not None:
            latencies[device_of(record)].append(record.efficiency.latency_p50)
    return Moment(
        date=min(record.created for record in records).isoformat(timespec="seconds"),
        version=core.get("version", "unknown"),
        commit=core.get("commit", ""),
        score=statistics.fmean(values) if values else None,
        sd=statistics.stdev(values) if len(values) > 1 else None,
        cells=len(records),
        latency={device: statistics.median(found) for device, found in latencies.items()},
    )


def _steps(before: Moment, after: Moment) -> Moment:
    both = set(before.latency) & set(after.latency)
    ratios = [after.latency[device] / before.latency[device] for device in both if before.latency[device] > 0]
    return replace(
        after,
        score_step=_moved(before, after),
        latency_step=any(ratio > SLOWER or ratio < 1 / SLOWER for ratio in ratios),
    )


def _moved(before: Moment, after: Moment) -> bool:
    if before.score is None or after.score is None:
        return before.score is not after.score
    spread = sum((one.sd or 0.0) ** 2 / one.cells for one in (before, after)) ** 0.5
    return abs(after.score - before.score) > DEVIATIONS * spread
