"""All that the pages are made from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from vidsuite_leaderboard.entries import REPORTED, Detail, Entry, detail_from, slug

if TYPE_CHECKING:
    from pathlib import Path

    from vidsuite_core.suite import Suite
    from vidsuite_leaderboard.cache import Cache
    from vidsuite_leaderboard.changes import Change
    from vidsuite_leaderboard.collect import Rejected, Source
    from vidsuite_leaderboard.ranks import Draws


@dataclass(frozen=True)
class Board:
    """What a site shows.

    Attributes:
        entries: measured, submitted and reproduced ones, ranked, table by table.
        reported: the rows that papers report, of every installed benchmark.
        draws: see `ranks`.
        sources: the run folders, in which `CellView.folder` is found; `folder` finds it.
        rejected, changes: what was left out, and the list of removals and corrections.
        pictures: folder of pictures by attempt, or None (see `pictures`).
        built: date and time of the build, ISO 8601; `commit` of the code, "" where unknown.
    """

    suite: Suite
    entries: Sequence[Entry]
    reported: Sequence[Entry]
    draws: Draws
    keys: Mapping[str, str]
    known: Cache
    sources: Sequence[Source] = ()
    rejected: Sequence[Rejected] = ()
    changes: Sequence[Change] = ()
    pictures: Path | None = None
    attempts: int = 0
    built: str = ""
    version: str = ""
    commit: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    def detail(self, entry: Entry) -> Detail:
        """What the entry's own page shows; read when asked for."""
        key = self.keys[entry.slug]
        return detail_from(json.loads(self.known.get("details", [key])[key][0]))

    @cached_property
    def by_benchmark(self) -> Mapping[str, Sequence[Entry]]:
        """Entries of each benchmark that has any, measured before reported, in the order of `entries`."""
        names = dict.fromkeys(entry.benchmark for entry in [*self.entries, *self.reported])
        rows: dict[str, list[Entry]] = {name: [] for name in sorted(names)}
        for entry in [*self.entries, *self.reported]:
            rows[entry.benchmark].append(entry)
        return rows

    @cached_property
    def devices(self) -> Sequence[str]:
        """Every device class that anything was measured on."""
        return sorted({device for entry in self.entries for device in entry.speeds})


def reported_entries(suite: Suite, benchmark: str) -> list[Entry]:
    """The rows that a benchmark's paper reports, as entries without a dataset."""
    from vidsuite_core.results.summary import reported_rows

    return [
        Entry(
            slug=slug(row.model, "", REPORTED, str(place), row.benchmark),
            benchmark=row.benchmark,
            task=row.task,
            dataset="",
            preset="",
            model=row.model,
            config="",
            status=REPORTED,
            printed={name: text for name, text in row.scores.items() if isinstance(text, str)},
            source="; ".join(row.notes),
        )
        for place, row in enumerate(reported_rows(suite, benchmark))
    ]
