"""What was removed, corrected or left out, where results moved, and the feed of all that is new."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from vidsuite_core.support.ids import digest

if TYPE_CHECKING:
    from vidsuite_leaderboard.board import Board
    from vidsuite_leaderboard.collect import Rejected
    from vidsuite_leaderboard.site import Page, Site

STEPS = 200
"""Steps that the page lists."""
GROUPS = 100
"""Reasons that it lists, and attempts of each; `LEFT_OUT` has all."""
LEFT_OUT = "data/left-out.json"
_VARIES = re.compile(r"'[^']*'|\d[\d.e+-]*")
"""What tells reasons of one kind apart: names in quotes, and numbers."""


@dataclass(frozen=True)
class Group:
    """Attempts that were left out for the same reason but for names and numbers; the first one's stands for all."""

    reason: str
    alike: bool
    attempts: Sequence[Rejected]

    @property
    def listed(self) -> Sequence[Rejected]:
        """Those that the page names."""
        return self.attempts[:GROUPS]


def pages(site: Site) -> Iterator[Page]:
    """`changes.html`, `feed.xml` and the whole list of what was left out."""
    from vidsuite_leaderboard.feed import feed, newest_entries
    from vidsuite_leaderboard.history import newest_steps
    from vidsuite_leaderboard.site import Page

    board = site.board
    left_out = [one for one in board.rejected if not one.removed]
    changes = [asdict(change) for change in board.changes]
    rejected = [asdict(one) for one in board.rejected]
    moved = sorted([entry.slug, board.keys[entry.slug], [*entry.steps]] for entry in board.entries if entry.steps)

    def context() -> dict[str, Any]:
        groups = grouped(left_out)
        return {
            "changes": board.changes,
            "places": _places(board),
            "left_out": len(left_out),
            "groups": groups[:GROUPS],
            "more_groups": len(groups[GROUPS:]),
            "steps": newest_steps(board, STEPS),
            "all_steps": sum(len(steps) for _, _, steps in moved),
            "file": LEFT_OUT,
        }

    yield site.page("changes.html", "changes.html", [changes, rejected, moved, board.attempts], context)
    yield Page(LEFT_OUT, digest(rejected), lambda: json.dumps(rejected, indent=1))
    newest = [entry.plain() for entry in newest_entries(board)]
    yield Page("feed.xml", digest([newest, changes, moved]), lambda: feed(board))


def grouped(rejected: Sequence[Rejected]) -> list[Group]:
    """Attempts by the kind of their reason, the kind with the most first."""
    kinds: dict[str, list[Rejected]] = defaultdict(list)
    for one in sorted(rejected, key=lambda one: (one.reason, one.by, one.path)):
        kinds[_VARIES.sub("…", one.reason)].append(one)
    groups = [Group(members[0].reason, len({m.reason for m in members}) == 1, members) for members in kinds.values()]
    return sorted(groups, key=lambda group: (-len(group.attempts), group.reason))


def _places(board: Board) -> dict[str, str]:
    """Where attempts that the change list removed lie below their run folder, by id."""
    return {one.path.rpartition("/")[2]: one.path for one in board.rejected if one.removed}
