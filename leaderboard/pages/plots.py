"""The plots of a benchmark, a page each, and each picture as a file of its own."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidsuite_core.support.ids import digest
from vidsuite_leaderboard.entries import REPORTED, page_name, readable
from vidsuite_leaderboard.pages.tables import random_of
from vidsuite_leaderboard.plots.figure import figure_from
from vidsuite_leaderboard.plots.svg import as_file
from vidsuite_leaderboard.show import short

if TYPE_CHECKING:
    from vidsuite_leaderboard.board import Board
    from vidsuite_leaderboard.entries import Entry
    from vidsuite_leaderboard.plots.figure import Figure
    from vidsuite_leaderboard.site import Page, Site


@dataclass(frozen=True)
class Table:
    """The entries of one dataset and preset, best first, and their plots, which are drawn once and then remembered."""

    board: Board
    name: str
    entries: Sequence[Entry]

    @cached_property
    def key(self) -> str:
        """A digest of all that the plots are made from."""
        keys = [
            [self.board.keys[e.slug], e.slug, e.status, e.by, e.rank, e.tied, e.done, e.expected] for e in self.entries
        ]
        return digest(["plots", _own_code(), self.name, keys])

    @cached_property
    def figures(self) -> Sequence[Figure]:
        """The plots, out of what an earlier build remembered where it can be."""
        from vidsuite_leaderboard.plots import table_figures

        known = self.board.known
        held = known.get("pages", [self.key]).get(self.key)
        if held is not None:
            return [figure_from(plain) for plain in json.loads(held[0])]
        figures = table_figures(self.board, self.entries, self.name)
        plain = json.dumps([figure.plain() for figure in figures])
        files = json.dumps([figure.name for figure in figures if figure.drawn])
        known.put("pages", {self.key: (plain, None), self._names_key: (files, None)})
        return figures

    @property
    def random(self) -> str:
        """Whether random initial weights stood in for others."""
        return random_of(self.entries)

    @property
    def files(self) -> list[str]:
        """Names of the plots that are pictures."""
        known = self.board.known
        held = known.get("pages", [self._names_key]).get(self._names_key)
        if held is None:
            return [figure.name for figure in self.figures if figure.drawn]
        known.used("pages", [self.key])
        return list(json.loads(held[0]))

    def picture(self, name: str) -> str:
        """One of the plots as a file."""
        figure = next(figure for figure in self.figures if figure.name == name)
        return as_file(figure.svg, figure.title)

    @property
    def _names_key(self) -> str:
        return digest(["names", self.key])


def pages(site: Site) -> Iterator[Page]:
    """`plots/<benchmark>.html` of each benchmark, and `plots/<benchmark>-<plot>.svg` of what is drawn there."""
    from vidsuite_leaderboard.site import Page

    board = site.board
    for benchmark, entries in board.by_benchmark.items():
        rows: dict[tuple[str, str, str], list[Entry]] = defaultdict(list)
        for entry in entries:
            if entry.status != REPORTED:
                rows[entry.table].append(entry)
        tables = [Table(board, name, found) for name, found in zip(_names(rows), rows.values(), strict=True)]
        stem = f"plots/{page_name(benchmark)}"
        keys = [table.key for table in tables]
        yield site.page(f"{stem}.html", "plots.html", keys, partial(_context, benchmark, tables))
        for table in tables:
            for name in table.files:
                yield Page(f"{stem}-{name}.svg", digest([table.key, name]), partial(table.picture, name))


def _context(benchmark: str, tables: Sequence[Table]) -> dict[str, Any]:
    return {"benchmark": benchmark, "page": page_name(benchmark), "tables": tables}


def _names(tables: Iterable[tuple[str, str, str]]) -> list[str]:
    """A name of each table that may stand in an id and a file's name, unique within the benchmark."""
    found: list[str] = []
    for _, dataset, preset in tables:
        name = readable(f"{short(dataset)}-{preset}")
        while name in found:
            name += f"-{len(found)}"
        found.append(name)
    return found


@cache
def _own_code() -> str:
    """Identity of the code that draws."""
    return digest(
        [path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.parent.glob("plots/*.py"))]
    )
