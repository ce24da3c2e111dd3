"""How long cells may take, by past attempts, and so which is begun first and when a run may end."""

from __future__ import annotations

import heapq
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vidsuite_core.results.store import Store

if TYPE_CHECKING:
    from vidsuite_core.results.cell import Cell
    from vidsuite_core.results.record import Record
    from vidsuite_core.runner.schedule import Planned

SAMPLE = 12
"""Cells of one model whose past attempts are looked at: more tell nothing new, and take time to read."""


@dataclass(frozen=True)
class Forecast:
    """What is known of the time that cells will take.

    Attributes:
        seconds: until those with past attempts have been run, by `slots` at once.
        cells: how many there are, of which `unknown` have no past attempt to go by.
    """

    seconds: float
    cells: int
    unknown: int
    slots: int

    def __str__(self) -> str:
        """As "about 12 min on 2 workers by past attempts, and 3 cells never run before"."""
        if self.unknown == self.cells:
            return "how long they take is not known: there is no past attempt"
        where = "" if self.slots == 1 else f" on {self.slots} workers"
        never = f", and {self.unknown} never run before" if self.unknown else ""
        return f"about {duration(self.seconds)}{where} by past attempts{never}"


class History:
    """Seconds that cells took, as a run folder's attempts tell.

    Of a cell itself its newest attempt counts, else the median of the same model's cells on the same data under the
    same preset; those on the same class of device before others. Read only where it is asked for.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._families: dict[tuple[str, str], _Family] = {}
        self._names: dict[str, list[str]] = {}
        self._own: dict[tuple[str, str], list[float]] = {}

    def expected(self, planned: Planned) -> float | None:
        """Seconds that a cell is expected to take; its time-out where no more is known than that others came to it."""
        cell = planned.cell
        family = self._family(cell)
        key = (cell.plugin, cell.cell_id)
        if key not in self._own:
            self._own[key] = self._seconds(*key, cell)
        found = self._own[key] or family.here or family.elsewhere
        if found:
            return statistics.median(found)
        return planned.timeout if family.timeouts else None

    def learn(self, cell: Cell, seconds: float) -> None:
        """Count an attempt that has just ended."""
        self._family(cell).here.append(seconds)

    def _family(self, cell: Cell) -> _Family:
        key = (cell.plugin, cell.family)
        if key not in self._families:
            self._families[key] = _Family()
            for name in [name for name in self._cells(cell.plugin) if name.startswith(f"{cell.family}-")][-SAMPLE:]:
                self._seconds(cell.plugin, name, cell, self._families[key])
        return self._families[key]

    def _cells(self, plugin: str) -> list[str]:
        if plugin not in self._names:
            folder = self._store.root / plugin
            self._names[plugin] = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        return self._names[plugin]

    def _seconds(self, plugin: str, cell_id: str, like: Cell, family: _Family | None = None) -> list[float]:
        """The newest whole course of a cell, as a list of one or none; `family` is told of it, and of time-outs."""
        for attempt in reversed(self._store.attempts(plugin, cell_id)):
            record = attempt.record
            if family is not None:
                family.timeouts |= record.status == "timeout"
            if (seconds := whole_course(record)) is None:
                continue
            same = (record.device.get("kind"), record.device.get("count", 1)) == (like.device_kind, like.device_count)
            if family is not None:
                (family.here if same else family.elsewhere).append(seconds)
            return [seconds] if same else []
        return []


class _Family:
    """What is known of one model's cells."""

    def __init__(self) -> None:
        self.here: list[float] = []
        self.elsewhere: list[float] = []
        self.timeouts = False


def whole_course(record: Record) -> float | None:
    """Seconds that an attempt took from its beginning to its end; None where it did not, or began at a checkpoint."""
    resumed = any(warning.startswith("resumed from a checkpoint") for warning in record.warnings)
    return None if record.status != "ok" or resumed or not record.phases else sum(record.phases.values())


def longest_first(planned: Sequence[Planned], history: History) -> list[Planned]:
    """The cells in the order in which they are begun: what takes longest first, so that no worker ends long after all.

    A model's cells stay together, as workers keep its libraries and code in memory. What is not known comes first, as
    it may be the longest; where nothing is known the order is the plan's.
    """
    expected = {id(entry): history.expected(entry) for entry in planned}
    families: dict[tuple[str, str], float] = defaultdict(float)
    for entry in planned:
        key = (entry.cell.plugin, entry.cell.family)
        families[key] = max(families[key], _or_endless(expected[id(entry)]))
    place = {key: number for number, key in enumerate(families)}

    def rank(entry: Planned) -> tuple[float, int, float]:
        key = (entry.cell.plugin, entry.cell.family)
        return -families[key], place[key], -_or_endless(expected[id(entry)])

    return sorted(planned, key=rank)


def forecast(planned: Iterable[Planned], history: History, slots: int, running: Iterable[float] = ()) -> Forecast:
    """What cells will take when each slot takes the next as it is free.

    Args:
        planned: those that are left, in the order in which they are begun.
        running: seconds that cells under way are expected to take yet.
    """
    expected = [history.expected(entry) for entry in planned]
    free = [*running][:slots]
    free += [0.0] * (max(1, slots) - len(free))
    heapq.heapify(free)
    for seconds in expected:
        heapq.heapreplace(free, free[0] + (seconds or 0.0))
    return Forecast(max(free), len(expected), sum(seconds is None for seconds in expected), slots)


def duration(seconds: float) -> str:
    """As "40 s", "12 min" or "3 h 20 min"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _or_endless(seconds: float | None) -> float:
    return float("inf") if seconds is None else seconds
