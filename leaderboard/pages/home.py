"""The first page: every benchmark with its leaders."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vidsuite_leaderboard.site import Page, Site


def pages(site: Site) -> Iterator[Page]:
    """`index.html`."""
    board = site.board

    def context() -> dict[str, Any]:
        return {"benchmarks": board.by_benchmark}

    key = [[entry.plain() for entry in board.entries], [entry.plain() for entry in board.reported]]
    yield site.page("index.html", "home.html", key, context)
