"""A page a paper: what it reports against what was measured, side by side, and the card of its plugin."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from vidsuite_core.results.verification import PAPER_RULE, variant_title
from vidsuite_core.support.text import printable
from vidsuite_leaderboard.card import card_of, rendered
from vidsuite_leaderboard.entries import Entry, Score, page_name
from vidsuite_leaderboard.pages.entry import standing, task_of
from vidsuite_leaderboard.plots.figure import measure_title
from vidsuite_leaderboard.remarks import WHOLE, clean, random_weights

if TYPE_CHECKING:
    from vidsuite_core.plugins import Plugin
    from vidsuite_core.suite import BenchmarkHandle
    from vidsuite_leaderboard.site import Page, Site

SPEED = "fps_paper"
"""The score of reported rows that is a speed on the paper's own hardware."""
MOST = 12
"""Measured lines that stand below one reported row; the benchmark's own page has all."""
_NUMBER = re.compile(r"([-+]?\d*\.?\d+)\s*(%?)\s*(?:±\s*[\d.]+\s*%?)?\s*[†‡*]*\Z")


@dataclass(frozen=True)
class Printed:
    """A row that the paper reports; `ours` and `dataset` are what it corresponds to here, "" for nothing."""

    model: str
    source: str
    data: str
    note: str
    scores: Mapping[str, str]
    ours: str
    dataset: str


@dataclass(frozen=True)
class Line:
    """A measured entry below a reported row: for each score its summary and the difference from the printed value.

    `rule` names the variant that it is of, as the epoch chosen by the paper's rule, which is never ranked; "" else.
    """

    entry: Entry
    cells: Sequence[tuple[Score | None, float | None]]
    remark: str
    rule: str = ""


@dataclass(frozen=True)
class Pair:
    """A reported row, and the measured ones of the same model; `titles` by score that the task knows."""

    printed: Printed
    titles: Mapping[str, str]
    lines: Sequence[Line]
    more: int


def pages(site: Site) -> Iterator[Page]:
    """`papers/<plugin>.html` of each plugin that has a benchmark, installed here or named by an entry."""
    board = site.board
    handles = list(board.suite.benchmarks.values())
    installed = {plugin.name: plugin for plugin in board.suite.manager.plugins}
    names = dict.fromkeys([*(handle.plugin for handle in handles), *(entry.plugin for entry in board.entries)])
    seen: set[str] = set()
    for name in names:
        if page_name(name) in seen:
            continue
        seen.add(page_name(name))
        own = [handle for handle in handles if handle.plugin == name]
        entries = [entry for entry in board.entries if entry.plugin == name]
        card = card_of(installed[name]) if name in installed else ""
        version = installed[name].version if name in installed else None
        reported = {handle.key: handle.reported() for handle in own}
        key = [name, card, version, reported, [[standing(entry), board.keys[entry.slug]] for entry in entries]]
        context = partial(_context, site, name, installed.get(name), card, own, entries)
        yield site.page(f"papers/{page_name(name)}.html", "paper.html", key, context)


def number_of(text: str) -> float | None:
    """The value that a paper prints, as 0.844 of "0.844 ± 0.042" and 0.53 of "53 %"; None of anything less plain."""
    found = _NUMBER.match(text.strip())
    if found is None:
        return None
    return float(found[1]) / (100 if found[2] else 1)


def _context(
    site: Site, name: str, plugin: Plugin | None, card: str, own: Sequence[BenchmarkHandle], entries: Sequence[Entry]
) -> dict[str, Any]:
    first = own[0].reported().get("paper") or {} if own else {}
    return {
        "name": name,
        "plugin": plugin,
        "title": clean(str(first.get("title") or name)),
        "authors": clean(str(first.get("authors") or "")),
        "venue": clean(str(first.get("venue") or "")),
        "card": rendered(card) if card else "",
        "benchmarks": [_benchmark(site, handle, entries) for handle in own],
        "loose": sorted({(entry.benchmark, page_name(entry.benchmark)) for entry in entries}) if not own else [],
    }


def _benchmark(site: Site, handle: BenchmarkHandle, entries: Sequence[Entry]) -> dict[str, Any]:
    data = handle.reported()
    rows = [_printed(row, handle.plugin) for row in data["rows"]]
    titles = {info.name: info.title for info in task_of(site.board.suite, handle.spec.task).scores}
    of = [entry for entry in entries if entry.benchmark == handle.key]
    pairs = [pair for row in rows if row.ours and (pair := _pair(site, row, of, titles)).lines]
    matched = {row.ours for row in rows}
    columns = list(dict.fromkeys(score for row in rows for score in row.scores if score != SPEED))
    return {
        "name": handle.key,
        "page": page_name(handle.key) if handle.key in site.board.by_benchmark else "",  # without entries, it has none
        "summary": handle.spec.summary,
        "note": printable(str(data.get("note") or "")),
        "pairs": pairs,
        "rows": rows,
        "columns": [(score, titles.get(score, measure_title(score).replace("miou", "mIoU"))) for score in columns],
        "speeds": [row for row in rows if SPEED in row.scores],
        "speed": SPEED,
        "unmatched": sorted({entry.model for entry in of} - matched),
    }


def _printed(row: Mapping[str, Any], plugin: str) -> Printed:
    def text(name: str) -> str:
        value = row.get(name)
        return "" if value in (None, "-") else printable(str(value))

    def full(name: str) -> str:
        return name if "/" in name or not name else f"{plugin}/{name}"

    scores = {str(name): printable(str(value)) for name, value in row["scores"].items()}
    names = full(text("ours")), full(text("dataset"))
    return Printed(text("model"), text("source"), text("classes"), text("note"), scores, *names)


def _pair(site: Site, row: Printed, entries: Sequence[Entry], titles: Mapping[str, str]) -> Pair:
    shared = {score: titles[score] for score in row.scores if score in titles}
    lines = []
    for entry in entries:
        if entry.model == row.ours and entry.scores:
            lines.append(Line(entry, _cells(entry.scores, row, shared), remark(row, entry)))
            rule = site.board.detail(entry).variants.get(PAPER_RULE)
            if rule:
                against = f"{remark(row, entry)}; chosen on the samples that are scored, so never ranked"
                lines.append(Line(entry, _cells(rule, row, shared), against, variant_title(PAPER_RULE)))
    lines.sort(key=lambda line: (line.entry.dataset != row.dataset, line.entry.synthetic, line.entry.preset != WHOLE))
    return Pair(row, shared, lines[:MOST], max(0, len(lines) - MOST))


def _cells(scores: Mapping[str, Score], row: Printed, shared: Iterable[str]) -> list[tuple[Score | None, float | None]]:
    return [(scores.get(score), _apart(scores.get(score), row.scores[score])) for score in shared]


def _apart(score: Score | None, printed: str) -> float | None:
    value = number_of(printed)
    return None if score is None or value is None else score.mean - value


def remark(row: Printed, entry: Entry) -> str:
    """Whether an entry may be compared with a reported row, and what stands against it."""
    against = []
    same_data = row.dataset == entry.dataset and not entry.synthetic
    if entry.synthetic:
        against.append("synthetic data")
    elif not same_data:
        against.append("other data than the paper's")
    if missing := random_weights(entry):
        against.append(f"random weights in place of {', '.join(missing)}")
    if entry.preset != WHOLE:
        against.append(f"preset {entry.preset}, not the paper's settings")
    if not entry.complete:
        against.append(f"{entry.done} of {entry.expected} cells")
    if not against:
        return "the paper's dataset and settings"
    verdict = "compare with care" if same_data else "not comparable"
    return clean(f"{verdict}: {'; '.join(against)}")
