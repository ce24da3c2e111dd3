"""How an entry's score and speed moved over vidsuite's versions, with step changes marked."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from vidsuite_core.results.counting import newest
from vidsuite_core.results.summary import device_of
from vidsuite_core.results.verification import Verified
from vidsuite_core.support.ids import digest
from vidsuite_leaderboard.entries import Entry, Moment

if TYPE_CHECKING:
    from vidsuite_core.results.record import Record
    from vidsuite_leaderboard.board import Board

    Values = Mapping[tuple[str, int], float]

SLOWER = 1.25
"""A ratio of median latencies on one device class beyond which, or below whose inverse, speed has stepped."""
DEVIATIONS = 2.0
"""A score has stepped where it moved by more than this many standard errors of the difference, and by `SHOWN`."""
SHOWN = 1e-3
"""The least difference that tables show."""


@dataclass(frozen=True)
class Step:
    """A moment at which an entry's score or speed stepped, and the one before it."""

    entry: Entry
    before: Moment
    after: Moment

    @property
    def what(self) -> list[str]:
        """What moved, in words, from what to what."""
        from vidsuite_leaderboard.show import number, seconds

        moves = [f"score {number(self.before.score)} → {number(self.after.score)}"] if self.after.score_step else []
        for device in _faster_or_slower(self.before, self.after) if self.after.latency_step else []:
            old, new = (seconds(moment.latency[device]) for moment in (self.before, self.after))
            moves.append(f"latency on {device} {old} → {new}")
        return moves


def newest_steps(board: Board, count: int) -> list[Step]:
    """The last `count` steps of all entries, the newest first; reads the details of their entries alone."""
    dated = sorted(((date, entry.slug) for entry in board.entries for date in entry.steps), reverse=True)[:count]
    entries = {entry.slug: entry for entry in board.entries}
    histories = {slug: board.detail(entries[slug]).history for _, slug in dated}
    steps = []
    for date, slug in dated:
        history = histories[slug]
        stepped = (place for place, m in enumerate(history) if m.date == date and (m.score_step or m.latency_step))
        place = next(stepped)
        steps.append(Step(entries[slug], history[place - 1], history[place]))
    return steps


def moments(sound: Sequence[Verified]) -> list[Moment]:
    """One moment a version of the code, by the date of its first attempt; attempts without scores are passed over.

    Versions are told apart by the hash of their sources, not by their number, which may stay the same.
    """
    versions: dict[str, list[Verified]] = defaultdict(list)
    for one in sound:
        if one.scored:
            record = one.attempt.record
            versions[digest({name: part.get("sources") for name, part in record.code.items()})].append(one)
    ordered = sorted(versions.values(), key=_first)
    found: list[Moment] = []
    values: Values = {}
    for members in ordered:
        counting = newest(members)
        before, values = values, _values(counting)
        moment = _moment(counting, values, _first(members))
        found.append(_steps(found[-1], moment, before, values) if found else moment)
    return found


def _values(members: Sequence[Verified]) -> Values:
    """The first score by fold and seed, the mean over devices."""
    found: dict[tuple[str, int], list[float]] = defaultdict(list)
    for one in members:
        record = one.attempt.record
        score = one.scores().get(one.task.first_score)
        if score is not None and score.value is not None:
            found[record.cell.fold, record.cell.seed].append(score.value)
    return {cell: statistics.fmean(values) for cell, values in found.items()}


def _first(members: Sequence[Verified]) -> datetime:
    return min(one.attempt.record.created for one in members)


def _moment(members: Sequence[Verified], values: Values, first: datetime) -> Moment:
    records: list[Record] = [one.attempt.record for one in members]
    core: Mapping[str, str] = records[0].code.get("core", {})
    latencies: dict[str, list[float]] = defaultdict(list)
    for record in records:
        if record.efficiency is not None:
            latencies[device_of(record)].append(record.efficiency.latency_p50)
    return Moment(
        date=first.astimezone(UTC).isoformat(timespec="seconds"),
        version=core.get("version", "unknown"),
        commit=core.get("commit", ""),
        score=statistics.fmean(values.values()) if values else None,
        sd=statistics.stdev(values.values()) if len(values) > 1 else None,
        cells=len(values),
        latency={device: statistics.median(found) for device, found in latencies.items()},
    )


def _steps(before: Moment, after: Moment, old: Values, new: Values) -> Moment:
    return replace(after, score_step=_moved(old, new), latency_step=bool(_faster_or_slower(before, after)))


def _faster_or_slower(before: Moment, after: Moment) -> list[str]:
    """The device classes on which latency stepped."""
    both = sorted(device for device in before.latency.keys() & after.latency.keys() if before.latency[device] > 0)
    ratios = {device: after.latency[device] / before.latency[device] for device in both}
    return [device for device, ratio in ratios.items() if ratio > SLOWER or ratio < 1 / SLOWER]


def _moved(old: Values, new: Values) -> bool:
    """Whether the score stepped: paired over the cells that both versions ran, or else over means.

    Of a single cell no spread is known, so that any difference that tables show counts.
    """
    if not old or not new:
        return bool(old) != bool(new)
    both = sorted(old.keys() & new.keys())
    if both:
        apart = [new[cell] - old[cell] for cell in both]
        error = statistics.stdev(apart) / len(apart) ** 0.5 if len(apart) > 1 else 0.0
        change = statistics.fmean(apart)
    else:
        change = statistics.fmean(new.values()) - statistics.fmean(old.values())
        spreads = [statistics.variance(side.values()) / len(side) for side in (old, new) if len(side) > 1]
        error = sum(spreads) ** 0.5
    return abs(change) > max(DEVIATIONS * error, SHOWN)
