"""What a page of tables shows, as plain data: its columns, its rows, what can be filtered, and how it starts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vidsuite_core.support.text import printable
from vidsuite_core.tasks.base import ScoreInfo
from vidsuite_leaderboard.entries import REPORTED, Entry, Score, Speed
from vidsuite_leaderboard.remarks import (
    few_classes,
    few_subjects,
    further_notes,
    not_above_floor,
    random_weights,
    remarks,
)
from vidsuite_leaderboard.show import short

PROBLEMS = 8
"""Missing cells that a row explains; its entry's page has them all."""
ACROSS = "across"
"""Begins the ids of the columns that show the latency of each device class side by side."""
SPEEDS = {
    "latency_p50": ("latency", "median seconds for one sample at batch 1, on the device class chosen"),
    "latency_p95": ("latency p95", "95 % of the samples take at most this long, on the device class chosen"),
    "throughput": ("samples/s", "samples a second, on the device class chosen"),
    "peak_memory": ("peak memory", "highest memory in use, on the device class chosen"),
}
_SPEEDS_SHOWN = {"latency_p50", "throughput"}
_NAMES = {"paper": "paper", "task": "task", "benchmark": "benchmark", "dataset": "dataset", "preset": "preset"}
_FILTERS = {**_NAMES, "status": "status", "on": "measured on"}
del _FILTERS["paper"]


@dataclass(frozen=True)
class Column:
    """A column: `kind` says how it is shown, `shown` whether a reader sees it at first, `better` is "higher" or so."""

    id: str
    title: str
    kind: str
    shown: bool = True
    tip: str = ""
    better: str = ""


@dataclass(frozen=True)
class Choice:
    """A filter: its name in the page's address, its label, and (value, text) of what can be chosen."""

    id: str
    label: str
    options: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class View:
    """A page's table.

    Attributes:
        entries: in the order that they have when nothing else is asked for.
        scores: those that have columns; on a page of several tasks the one "score", the first of each row's task.
        measures: task -> its first score, where `scores` is that.
        start: filters that are set at first, by id, and the column to sort by.
        device: the device class whose speeds are shown at first.
    """

    entries: Sequence[Entry]
    scores: Sequence[ScoreInfo]
    measures: Mapping[str, ScoreInfo]
    columns: Sequence[Column]
    choices: Sequence[Choice]
    start: Mapping[str, str]
    sort: str
    devices: Sequence[str]
    device: str


def view(
    entries: Sequence[Entry],
    scores: Sequence[ScoreInfo],
    measures: Mapping[str, ScoreInfo],
    start: Mapping[str, str] | None = None,
) -> View:
    """The table of `entries`; see `View`."""
    start = start or {}
    counts = Counter(device for entry in entries for device in entry.speeds)
    devices = sorted(counts)
    device = max(devices, key=lambda name: counts[name], default="")
    if start:
        entries = sorted(entries, key=lambda entry: not starts(entry, start))
    first = ScoreInfo("score", "first score")
    columns = _columns(entries, scores or [first], devices, several=not scores)
    sort = "rank" if start else ""
    choices = _choices(entries)
    return View(entries, scores or [first], measures, columns, choices, start, sort, devices, device)


def value_of(entry: Entry, column: str) -> str:
    """The text by which `column` is filtered."""
    if column == "paper":
        return entry.plugin
    return str(getattr(entry, column))


def score_of(table: View, entry: Entry, name: str) -> Score | str | None:
    """A score of an entry, or as its paper prints it, or None."""
    if table.measures:
        measure = table.measures.get(entry.task)
        name = measure.name if measure else ""
    return entry.printed.get(name) if entry.status == REPORTED else entry.scores.get(name)


def starts(entry: Entry, start: Mapping[str, str]) -> bool:
    """Whether the entry is among the rows that the filters `start` leave."""
    return all(value_of(entry, column) == value for column, value in start.items())


def _columns(
    entries: Sequence[Entry], scores: Sequence[ScoreInfo], devices: Sequence[str], several: bool
) -> list[Column]:
    names = [
        Column(id_, title, "name", shown=len({value_of(e, id_) for e in entries if e.status != REPORTED}) > 1)
        for id_, title in _NAMES.items()
    ]
    shown = [s for s in scores if s.in_tables] + [s for s in scores if not s.in_tables]
    tips = {"higher": "higher is better", "lower": "lower is better"}
    measures = [Column("measure", "measure", "measure", tip="which score it is: the first one of the task")]
    return [
        Column("rank", "rank", "rank", tip="among the complete entries on the same dataset with the same preset"),
        Column("model", "model", "model"),
        *names,
        *(measures if several else []),
        *(Column(f"score:{s.name}", s.title, "score", s.in_tables, tips[s.direction], s.direction) for s in shown),
        Column("cells", "cells", "cells", tip="folds and seeds that have scores, of those that the protocol makes"),
        Column("status", "status", "status"),
        Column("weights", "initial weights", "weights", shown=False),
        Column("parameters", "parameters", "count", tip="of the network", better="lower"),
        Column("flops", "FLOPs", "count", tip="multiplications and additions for one sample", better="lower"),
        *(
            Column(id_, title, "speed", id_ in _SPEEDS_SHOWN, tip, "higher" if id_ == "throughput" else "lower")
            for id_, (title, tip) in SPEEDS.items()
        ),
        *(
            Column(f"{ACROSS}:{place}", f"latency on {name}", "across", False, SPEEDS["latency_p50"][1], "lower")
            for place, name in enumerate(devices if len(devices) > 1 else [])
        ),
        Column("created", "newest attempt", "date", shown=False),
        Column("config", "config", "config", shown=False, tip="hash of all that decides the scores but fold and seed"),
    ]


def _choices(entries: Sequence[Entry]) -> list[Choice]:
    found = []
    for column, label in _FILTERS.items():
        if column == "on":
            values = {device: device for entry in entries for device in entry.speeds}
        else:
            values = {value: value for entry in entries if (value := value_of(entry, column))}
        if len(values) > 1:
            names = Counter(map(short, values))
            texts = {value: short(value) if names[short(value)] == 1 and column != "on" else value for value in values}
            found.append(Choice(column, label, [(value, printable(texts[value])) for value in sorted(values)]))
    return found


class _Strings:
    """Texts that many rows share, each kept once."""

    def __init__(self) -> None:
        self.places: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        return self.places.setdefault(text, len(self.places))

    def each(self, texts: Iterable[str]) -> list[int]:
        return [self(text) for text in texts]


def names(entries: Sequence[Entry]) -> list[str]:
    """What rows call their models: by their own name, with the config's hash where a table has several of it."""
    own = [printable(short(entry.model) if entry.status != REPORTED else entry.model) for entry in entries]
    twice = Counter((entry.table, name) for entry, name in zip(entries, own, strict=True) if entry.config)
    return [
        f"{name} ({entry.config[:8]})" if twice[entry.table, name] > 1 else name
        for entry, name in zip(entries, own, strict=True)
    ]


def row_notes(entry: Entry) -> list[str]:
    """What a row says when it is opened: caveats and notes, or where a reported row stands in its paper."""
    if entry.status == REPORTED:
        return [f"as printed: {printable(entry.source)}"] if entry.source else []
    return [*(f"{remark.label}: {remark.text}" for remark in remarks(entry)), *further_notes(entry)]


def row_problems(entry: Entry) -> list[str]:
    """Why cells are missing, the first `PROBLEMS` of them."""
    told = [printable(problem) for problem in entry.problems[:PROBLEMS]]
    more = len(entry.problems) - len(told)
    return [*told, f"and {more} more: see the entry's page"] if more else told


_ROW: Mapping[str, Callable[[Entry, _Strings], Any]] = {
    "slug": lambda entry, text: entry.slug,
    **{name: lambda entry, text, name=name: text(value_of(entry, name)) for name in (*_NAMES, "model", "status", "by")},
    "rank": lambda entry, text: entry.rank,
    "tied": lambda entry, text: int(entry.tied),
    "indistinct": lambda entry, text: int(entry.indistinct),
    "done": lambda entry, text: entry.done,
    "expected": lambda entry, text: entry.expected,
    "folds": lambda entry, text: entry.folds,
    "seeds": lambda entry, text: entry.seeds,
    "weights": lambda entry, text: text.each(map(printable, entry.weights)),
    "parameters": lambda entry, text: entry.parameters,
    "flops": lambda entry, text: entry.flops,
    "synthetic": lambda entry, text: int(entry.synthetic),
    "random": lambda entry, text: int(bool(random_weights(entry))),
    "floored": lambda entry, text: int(not_above_floor(entry)),
    "few": lambda entry, text: int(few_subjects(entry)),
    "narrow": lambda entry, text: int(few_classes(entry)),
    "notes": lambda entry, text: text.each(row_notes(entry)),
    "problems": lambda entry, text: text.each(row_problems(entry)),
    "created": lambda entry, text: entry.created,
    "config": lambda entry, text: entry.config[:16],
}
"""What a row's list holds, in this order; texts are indices into `strings`. `table-rows.js` reads it by these names."""
SHARED = (*_NAMES, "model", "status", "by", "weights", "notes", "problems")
"""Those of `_ROW` that are indices."""


def table_data(table: View, root: str, name: str) -> dict[str, Any]:
    """All that `table.js` needs to show `table`, in JSON's own types; `name` is that of downloaded files."""
    strings = _Strings()
    device = {name: place for place, name in enumerate(table.devices)}
    rows = []
    for entry, label in zip(table.entries, names(table.entries), strict=True):
        row = [make(entry, strings) for make in _ROW.values()]
        scores = [_score(score_of(table, entry, info.name)) for info in table.scores]
        speeds = [[device[name], *_speed(speed)] for name, speed in sorted(entry.speeds.items())]
        rows.append([*row, label, _measure(table, entry), scores, speeds])
    return {
        "name": name,
        "root": root,
        "columns": [asdict(column) for column in table.columns],
        "scores": [{"name": s.name, "title": s.title} for s in table.scores],
        "devices": list(table.devices),
        "device": table.device,
        "start": dict(table.start),
        "sort": table.sort,
        "fields": [*_ROW, "name", "measure", "scores", "speeds"],
        "shared": list(SHARED),
        "strings": list(strings.places),
        "rows": rows,
    }


def _measure(table: View, entry: Entry) -> str:
    found = table.measures.get(entry.task)
    return found.title if found else ""


def _score(score: Score | str | None) -> list[float | None] | str | None:
    if isinstance(score, Score):
        return [_shorter(value) for value in (score.mean, score.sd, score.low, score.high)]
    return printable(score) if score else None


def _speed(speed: Speed) -> list[float | None]:
    return [*(_shorter(v) for v in (speed.latency_p50, speed.latency_p95, speed.throughput)), speed.peak_memory]


def _shorter(value: float | None) -> float | None:
    """To eight digits, so that the file stays small; no score is known better."""
    return None if value is None else float(f"{value:.8g}")
