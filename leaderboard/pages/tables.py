"""The tables: one page a benchmark, one a task, and one of everything; the data of each in a script of its own."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.specs import resolve
from vidsuite_core.support.ids import digest
from vidsuite_core.support.text import printable
from vidsuite_leaderboard.entries import REPORTED, Entry, page_name
from vidsuite_leaderboard.pages.table_data import (
    View,
    names,
    row_notes,
    row_problems,
    score_of,
    starts,
    table_data,
    value_of,
    view,
)
from vidsuite_leaderboard.remarks import few_classes, few_subjects, not_above_floor, random_weights
from vidsuite_leaderboard.show import script, short

if TYPE_CHECKING:
    from vidsuite_core.suite import Suite
    from vidsuite_core.tasks.base import ScoreInfo
    from vidsuite_leaderboard.site import Page, Site

STATIC = 200
"""Rows that a page shows without JavaScript."""
LEADING = 4
"""Entries that a benchmark's page offers to compare."""


def pages(site: Site) -> Iterator[Page]:
    """`benchmarks/*.html`, `tasks/*.html` and `all.html`, with their data."""
    board = site.board
    of_task: dict[str, list[Entry]] = defaultdict(list)
    for benchmark, entries in board.by_benchmark.items():
        task = entries[0].task
        of_task[task] += entries
        about = about_benchmark(board.suite, benchmark)
        table = view(entries, scores_of(board.suite, task), {}, start_of(board.suite, benchmark, entries))
        yield from _pages(site, f"benchmarks/{page_name(benchmark)}", short(benchmark), about, table)
    for task, entries in sorted(of_task.items()):
        about = {"kind": "task", "task": task, "text": board.suite.tasks[task].spec.summary}
        table = view(_reported_last(entries), scores_of(board.suite, task), {})
        yield from _pages(site, f"tasks/{page_name(task)}", task.replace("_", " "), about, table)
    measures = {task: scores_of(board.suite, task)[0] for task in of_task}
    entries = _reported_last([entry for rows in board.by_benchmark.values() for entry in rows])
    about = {"kind": "all", "text": "Every entry of every benchmark, each by the first score of its task."}
    yield from _pages(site, "all", "All results", about, view(entries, [], measures))


def _pages(site: Site, path: str, title: str, about: Mapping[str, Any], table: View) -> Iterator[Page]:
    from vidsuite_leaderboard.site import Page

    root = "../" * path.count("/")
    name = path.replace("/", "-")
    data = table_data(table, root, name)
    key = digest(data)

    def context() -> dict[str, Any]:
        return {
            "title": title,
            "about": about,
            "table": table,
            "rows": static_rows(table),
            "total": len(table.entries),
            "leading": [e.slug for e in table.entries if table.start and e.rank and starts(e, table.start)][:LEADING],
            "caption": caption_of(table),
            "counts": counts_of(table.entries),
            "page_name": page_name,
            "script": f"{root}data/tables/{name}.js",
        }

    yield site.page(f"{path}.html", "table.html", [key, title, dict(about), site.board.version], context)
    yield Page(f"data/tables/{name}.js", key, lambda: f"vidsuite.table({script(data)});\n")


def scores_of(suite: Suite, task: str) -> Sequence[ScoreInfo]:
    """The task's scores, its first one first."""
    kind = resolve(suite.tasks[task].spec.builder)
    return sorted(kind.scores, key=lambda score: score.name != kind.first_score)


def about_benchmark(suite: Suite, benchmark: str) -> dict[str, Any]:
    """What a benchmark says of itself, as far as its plugin is installed: summary, task and its paper's title."""
    about = {"kind": "benchmark", "benchmark": benchmark, "plugin": benchmark.partition("/")[0]}
    about |= {"text": "", "task": "", "paper": ""}
    if benchmark not in suite.benchmarks:
        return about | {"text": "Its plugin is not installed where this site was built."}
    handle = suite.benchmarks[benchmark]
    about["task"] = handle.spec.task
    try:
        about["text"] = str(handle.definition().summary or handle.spec.summary)
        about["paper"] = str((handle.reported().get("paper") or {}).get("title") or "")
    except VidsuiteError as error:
        about["text"] = str(error)
    return about


def start_of(suite: Suite, benchmark: str, entries: Sequence[Entry]) -> dict[str, str]:
    """The table that a benchmark's page opens with: its first dataset that has measured rows, and of its presets the
    one with most ranked entries."""
    measured = [entry for entry in entries if entry.status != REPORTED]
    if not measured:
        return {}
    ranked = Counter((entry.dataset, entry.preset) for entry in measured if entry.rank)
    tables = dict.fromkeys((entry.dataset, entry.preset) for entry in measured)
    order = datasets_of(suite, benchmark)

    def place(table: tuple[str, str]) -> tuple[int, int]:
        return order.get(table[0], len(order)), -ranked[table]

    dataset, preset = min(tables, key=place)
    return {"dataset": dataset, "preset": preset}


def datasets_of(suite: Suite, benchmark: str) -> dict[str, int]:
    """Full name -> place of the datasets that a benchmark's definition lists; empty where it is not installed."""
    try:
        definition = suite.benchmarks[benchmark].definition() if benchmark in suite.benchmarks else None
    except VidsuiteError:
        return {}
    return {definition.full_name(name): place for place, name in enumerate(definition.datasets)} if definition else {}


def counts_of(entries: Sequence[Entry]) -> dict[str, int]:
    """How many entries there are of each status."""
    return dict(Counter(entry.status for entry in entries))


def static_rows(table: View) -> list[dict[str, Any]]:
    """The first rows with what the template needs of each; see `_table_rows.html`."""
    entries = table.entries[:STATIC]
    measures = {entry.task: _measure(table, entry) for entry in entries}
    spans = {
        (info.name, measure): _span(table, [e for e in entries if measures[e.task] == measure], info.name)
        for info in table.scores
        for measure in set(measures.values())
    }
    return [
        {
            "entry": entry,
            "name": name,
            "scores": {
                info.name: (
                    found := score_of(table, entry, info.name),
                    _bar(found, spans[info.name, measures[entry.task]]),
                )
                for info in table.scores
            },
            "values": {column.id: value_of(entry, column.id) for column in table.columns if column.kind == "name"},
            "speed": (speed := entry.speeds.get(table.device)),
            "throughput": f"{speed.throughput:.3g}" if speed else "",
            "marks": " ".join(sign for sign, told in marks_of(entry).items() if told),
            "measure": measures[entry.task],
            "notes": row_notes(entry),
            "problems": row_problems(entry),
        }
        for entry, name in zip(entries, names(entries), strict=True)
    ]


def caption_of(table: View) -> str:
    """What the first rows are, as `describe` in `table.js` has it."""
    entries = table.entries[:STATIC]
    measured = [entry for entry in entries if entry.status != REPORTED]
    total = len(table.entries)
    parts = [f"the first {STATIC} of {total} rows" if total > STATIC else "1 row" if total == 1 else f"{total} rows"]
    for name in ("dataset", "preset"):
        values = {value_of(entry, name) for entry in measured}
        parts += [f"{name} {printable(short(value))}" for value in values] if len(values) == 1 else []
    parts += ["synthetic data"] if measured and all(entry.synthetic for entry in measured) else []
    parts += [f"speed on {printable(table.device)}"] if table.device else []
    return " · ".join(parts)


def marks_of(entry: Entry) -> dict[str, bool]:
    """The signs of a row that `_table_legend.html` explains, and whether the entry has them."""
    return {
        "◇": entry.synthetic,
        "†": bool(random_weights(entry)),
        "‡": not_above_floor(entry),
        "§": few_subjects(entry),
        "¶": few_classes(entry),
    }


def random_of(entries: Sequence[Entry]) -> str:
    """How many of `entries` began with random weights in place of others, in words; empty for none."""
    found = sum(bool(random_weights(entry)) for entry in entries)
    if not found:
        return ""
    return "random weights" if found == len(entries) else f"random weights in {found} of {len(entries)}"


def _measure(table: View, entry: Entry) -> str:
    """Which score the one column of scores shows; bars of different ones have scales of their own."""
    return table.measures[entry.task].title if entry.task in table.measures else ""


def _span(table: View, entries: Sequence[Entry], name: str) -> tuple[float, float]:
    """The lowest and highest of the rows' scores and their intervals."""
    values = []
    for entry in entries:
        score = score_of(table, entry, name)
        if score is not None and not isinstance(score, str):
            values += [value for value in (score.mean, score.low, score.high) if value is not None]
    return min(values, default=0.0), max(values, default=0.0)


def _bar(score: Any, span: tuple[float, float]) -> dict[str, float] | None:
    """Places of interval and mean in a bar 64 wide, as `bar` in `table-format.js` has them."""
    if score is None or isinstance(score, str):
        return None
    low, high = span
    wide = high - low

    def place(value: float) -> float:
        return round(3 + 58 * (value - low) / wide, 1) if wide > 0 else 32.0

    known = score.low is not None and score.high is not None
    ends = {"low": place(score.low), "high": place(score.high)} if known else {}
    return {"mean": place(score.mean), **ends}


def _reported_last(entries: Sequence[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: entry.status == REPORTED)
