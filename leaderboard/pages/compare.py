"""Any two to five entries of one table side by side; a script an entry holds its numbers, loaded when it is chosen."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from vidsuite_core.support.ids import digest
from vidsuite_leaderboard.entries import Entry
from vidsuite_leaderboard.pages.entry import task_of
from vidsuite_leaderboard.plots.figure import measure_title
from vidsuite_leaderboard.remarks import WHOLE, clean, random_weights
from vidsuite_leaderboard.show import script, short

if TYPE_CHECKING:
    from vidsuite_core.suite import Suite
    from vidsuite_leaderboard.board import Board
    from vidsuite_leaderboard.site import Page, Site

DECIMALS = 5


def pages(site: Site) -> Iterator[Page]:
    """`compare.html`, `data/compare.js` that names every entry, and `data/compare/<slug>.js` of each."""
    from vidsuite_leaderboard.site import Page

    board = site.board
    yield site.page("compare.html", "compare.html", bool(board.entries), dict)
    index = index_of(board.suite, board.entries)
    yield Page("data/compare.js", digest(index), partial(_call, "compareIndex", index))
    for entry in board.entries:
        key = digest(["compare", board.keys[entry.slug]])
        yield Page(f"data/compare/{entry.slug}.js", key, partial(_numbers, board, entry))


def index_of(suite: Suite, entries: Sequence[Entry]) -> dict[str, Any]:
    """Tables with their entries, and the scores of their tasks.

    An entry is its slug, its label and whether weights were random; a score its name, its title, whether lower is
    better and whether tables show it.

    Lists stand where mappings might: a name from a stranger, as `__proto__`, is no good key in a script.
    """
    tables: dict[tuple[str, str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        tables[entry.table].append(entry)
    tasks = {name: task_of(suite, name) for name in dict.fromkeys(entry.task for entry in entries)}
    return {
        "tasks": [
            {
                "name": name,
                "first": task.first_score,
                "subject": next(i.title for i in task.scores if i.name == (task.subject_score or task.first_score)),
                "scores": [[info.name, info.title, info.direction == "lower", info.in_tables] for info in task.scores],
            }
            for name, task in tasks.items()
        ],
        "tables": [
            {
                "name": clean(f"{short(benchmark)} on {short(dataset)}, {preset}"),
                "task": rows[0].task,
                "synthetic": any(entry.synthetic for entry in rows),
                "shortened": "" if preset == WHOLE else clean(preset),
                "entries": [
                    [entry.slug, label, bool(random_weights(entry))]
                    for entry, label in zip(rows, labels(rows), strict=True)
                ],
            }
            for (benchmark, dataset, preset), rows in tables.items()
        ],
    }


def labels(rows: Sequence[Entry]) -> list[str]:
    """What tells the entries of one table apart: model, whose, and the config's hash where needed."""
    plain = [short(entry.model) + (f" by {entry.by}" if entry.by else "") for entry in rows]
    times = Counter(plain)
    whole = []
    for entry, name in zip(rows, plain, strict=True):
        name += f", config {entry.config[:8]}" if times[name] > 1 else ""
        name += "" if entry.complete else " (incomplete)"
        whole.append(clean(name))
    return whole


def _numbers(board: Board, entry: Entry) -> str:
    """The script with an entry's scores, draws of the first score, and values by class and subject."""
    detail = board.detail(entry)
    drawn_from, draws = board.draws.get(entry.slug, ("", ()))
    return _call(
        "compared",
        {
            "slug": entry.slug,
            "scores": [[name, s.mean, s.sd, s.low, s.high, s.n] for name, s in entry.scores.items()],
            "drawnFrom": drawn_from,
            "draws": _draws(draws),
            "classes": [[clean(name), _values(values)] for name, values in detail.per_class.items()],
            "subjects": [[clean(name), _rounded(value)] for name, value in detail.subjects.items()],
        },
    )


def _values(values: Mapping[str, float | None]) -> list[list[Any]]:
    return [[clean(measure_title(name)), _rounded(value)] for name, value in values.items()]


def _draws(values: Sequence[float]) -> list[float | None]:
    """Many values as `_rounded` has them."""
    found: list[float | None] = np.round(np.asarray(values, np.float64), DECIMALS).tolist()
    return [None if value != value else value for value in found]


def _rounded(value: float | None) -> float | None:
    """To `DECIMALS`; None for what is not defined."""
    return None if value is None or value != value else round(value, DECIMALS)


def _call(function: str, data: Mapping[str, Any]) -> str:
    return f"vidsuite.{function}({script(data)});\n"
