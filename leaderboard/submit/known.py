"""Whether submitted predictions are somebody else's: they are held against every result that is known."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.results.store import Attempt, Store
from vidsuite_core.results.summary import config_of
from vidsuite_core.support.ids import digest
from vidsuite_core.tasks.base import select_variant

if TYPE_CHECKING:
    import numpy as np

    from vidsuite_core.results.record import Record
    from vidsuite_leaderboard.collect import Source

NEARLY = 1e-3
"""Sum of differences, as a share of the sum of what is predicted, below which two sets of predictions count as one."""
_NAMES = ("sample_id", "subject", "recording")


@dataclass(frozen=True)
class Likeness:
    """A known attempt with the same predictions; `exact` says number for number, `same_model` of the same entry."""

    record: Record
    by: str
    exact: bool
    same_model: bool

    def __str__(self) -> str:
        whose = f"by {self.by}" if self.by else "of this leaderboard"
        return f"{self.record.cell.model}, attempt {self.record.attempt} {whose}"


class Known:
    """The results below some run folders, by the test side that they predict."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._by_side: dict[str, list[tuple[Attempt, str]]] = defaultdict(list)
        self.owners: dict[str, str] = {}
        self.sizes: dict[tuple[str, ...], set[int]] = defaultdict(set)
        for source in sources:
            for entry in Store(source.root).everything():
                if isinstance(entry, Attempt) and entry.record.status == "ok":
                    self._by_side[_side(entry.record)].append((entry, source.by))
                    self.owners.setdefault(entry.record.attempt, source.by)
                    if entry.record.efficiency is not None:
                        self.sizes[_entry(entry.record)].add(entry.record.efficiency.parameters)

    def __len__(self) -> int:
        return len(self.owners)

    def like(self, record: Record, arrays: Mapping[str, np.ndarray]) -> Iterator[Likeness]:
        """Known attempts with the predictions of `record`, exactly or nearly; such as say nothing are like none."""
        own = _predictions(arrays)
        if own is None:
            return
        for attempt, by in self._by_side.get(_side(record), ()):
            if attempt.record.attempt == record.attempt:
                continue
            try:
                other = _predictions(attempt.predictions())
            except VidsuiteError:
                continue
            distance = _distance(own, other) if other is not None else None
            if distance is not None and distance <= NEARLY:
                same = _entry(attempt.record) == _entry(record)
                yield Likeness(attempt.record, by, distance == 0, same)

    def other_sizes(self, record: Record) -> set[int]:
        """Numbers of parameters that known attempts of the same model and config have, where the record's is none."""
        sizes = self.sizes.get(_entry(record), set())
        return sizes if record.efficiency is not None and record.efficiency.parameters not in sizes else set()


def _side(record: Record) -> str:
    """What is to be predicted: equal for attempts at one fold of one dataset."""
    key = record.score_key
    return digest([record.cell.task, *(key.get(name) for name in ("dataset", "protocol", "fold"))])


def _entry(record: Record) -> tuple[str, ...]:
    return record.cell.model, record.cell.preset, config_of(record)


def _predictions(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
    """What is predicted, samples in the order of their names; None where it is the same for all of them."""
    import numpy as np

    main = select_variant(arrays)
    ids = main.get("sample_id")
    if ids is None:
        return None
    order = np.argsort(ids)
    found: dict[str, Any] = {}
    for name, value in main.items():
        if name not in _NAMES and value.dtype.kind in "biuf":
            found[name] = value[order] if value.shape[:1] == ids.shape else value
    floats = [value for value in found.values() if value.dtype.kind == "f" and len(value) == len(ids)]
    if floats and all((value == value[:1]).all() for value in floats):
        return None
    return found


def _distance(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> float | None:
    """The largest difference of an array, as a share of its own sum; None where forms differ, or targets do."""
    import numpy as np

    if set(one) != set(other) or any(one[name].shape != other[name].shape for name in one):
        return None
    shares = [0.0]
    for name, value in one.items():
        if (value == other[name]).all():
            continue
        if value.ndim == 1 and value.dtype.kind in "iu" and name == "target":
            return None
        difference = np.abs(value.astype(np.float64) - other[name].astype(np.float64)).sum()
        shares.append(float(difference / max(np.abs(value.astype(np.float64)).sum(), 1e-12)))
    return max(shares)
