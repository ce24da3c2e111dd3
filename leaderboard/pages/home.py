"""The first page: every benchmark with its leaders, and what is measured and what only reported."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from vidsuite_leaderboard.entries import REPORTED, Entry, Score, page_name
from vidsuite_leaderboard.pages.table_data import names
from vidsuite_leaderboard.pages.tables import about_benchmark, counts_of, datasets_of, random_of, scores_of
from vidsuite_leaderboard.remarks import WHOLE, clean, few_subjects
from vidsuite_leaderboard.show import short

if TYPE_CHECKING:
    from vidsuite_leaderboard.board import Board
    from vidsuite_leaderboard.site import Page, Site

NAMED = 4
"""Leaders that share a rank and are named; of more, the number."""


@dataclass(frozen=True)
class Leader:
    """An entry that holds the first rank of a table."""

    slug: str
    name: str
    status: str
    score: Score


@dataclass(frozen=True)
class Standing:
    """A table in short: a dataset under a preset, with its leaders (the first `NAMED`) and how many share the rank.

    `why` says why none leads, where none does though there are complete entries; `few` on how few subjects ranks rest,
    where they are few. `fragment` shows it on the benchmark's page; `quick` says that the preset is not the paper's,
    `random` that random initial weights stood in for others.
    """

    dataset: str
    preset: str
    synthetic: bool
    quick: bool
    random: str
    leaders: Sequence[Leader]
    shared: int
    ranked: int
    incomplete: int
    why: str
    few: str
    newest: str
    fragment: str


def pages(site: Site) -> Iterator[Page]:
    """`index.html`."""
    cards = [_card(site.board, benchmark, entries) for benchmark, entries in site.board.by_benchmark.items()]
    board = site.board
    facts = {
        "attempts": board.attempts,
        "rejected": len(board.rejected),
        "entries": len(board.entries),
        "reported": len(board.reported),
        "newest": max((entry.created for entry in board.entries), default="")[:10],
        "devices": len(board.devices),
    }

    def context() -> dict[str, Any]:
        return {"cards": cards, "facts": facts, "page_name": page_name}

    key = [[{**card, "standings": [asdict(s) for s in card["standings"]]} for card in cards], facts]
    yield site.page("index.html", "home.html", [key, board.version, board.commit], context)


def _card(board: Board, benchmark: str, entries: Sequence[Entry]) -> dict[str, Any]:
    task = entries[0].task
    first = scores_of(board.suite, task)[0]
    order = datasets_of(board.suite, benchmark)
    tables: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        if entry.status != REPORTED:
            tables.setdefault((entry.dataset, entry.preset), []).append(entry)
    return {
        "name": benchmark,
        "about": about_benchmark(board.suite, benchmark),
        "task": task,
        "score": first.title,
        "direction": first.direction,
        "counts": counts_of(entries),
        "standings": [
            _standing(rows, first.name)
            for _, rows in sorted(tables.items(), key=lambda item: (order.get(item[0][0], len(order)), item[0]))
        ],
    }


def _standing(rows: Sequence[Entry], first: str) -> Standing:
    """The rows of one table, in short."""
    from urllib.parse import urlencode

    leading = [(entry, name) for entry, name in zip(rows, names(rows), strict=True) if entry.rank == 1]
    dataset, preset = rows[0].dataset, rows[0].preset
    return Standing(
        dataset=short(dataset),
        preset=preset,
        synthetic=any(entry.synthetic for entry in rows),
        quick=preset != WHOLE,
        random=random_of(rows),
        leaders=[Leader(e.slug, name, e.status, e.scores[first]) for e, name in leading[:NAMED]],
        shared=len(leading),
        ranked=sum(entry.rank is not None for entry in rows),
        incomplete=sum(not entry.complete for entry in rows),
        why=next((clean(entry.unranked) for entry in rows if entry.unranked), "") if not leading else "",
        few=next((f"{e.subjects} {e.units}" for e, _ in leading if few_subjects(e)), ""),
        newest=max(entry.created for entry in rows)[:10],
        fragment=urlencode({"dataset": dataset, "preset": preset}, safe="/"),
    )
