"""What the site shows, as plain data: an entry is one model on one dataset under one preset and config."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from vidsuite_core.support.ids import digest
from vidsuite_core.support.text import printable
from vidsuite_core.tasks.shown import Lines, Matrix, Table, shown_from

MEASURED, SUBMITTED, REPRODUCED, REPORTED = "measured", "submitted", "reproduced", "reported"
_Shown = TypeVar("_Shown", Table, Lines, Matrix)
MAX_LINE = 500
"""Characters that are shown of a reason or a note."""
_UNSAFE = re.compile(r"[^A-Za-z0-9_]+")
_USUAL = re.compile(r"[A-Za-z0-9_]+(/[A-Za-z0-9_]+)?\Z")


@dataclass(frozen=True)
class Score:
    """A score over an entry's cells: mean, sample standard deviation (None for one cell), 95 % interval (or None)."""

    mean: float
    sd: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Speed:
    """What one sample costs on a device class, at batch 1, as `results.Efficiency` has it: seconds, bytes."""

    latency_p50: float
    latency_p95: float
    throughput: float
    peak_memory: int
    sample: str
    path: str


@dataclass(frozen=True)
class Entry:
    """A row of a table.

    Attributes:
        slug: names its page, `entries/<slug>.html`; unique, of letters, digits, `_` and `-`.
        benchmark, dataset, model: full names (`<plugin>/<name>`).
        config: hash of all that decides its scores but fold and seed.
        status: "measured", "submitted", "reproduced" or "reported".
        by: who submitted or reproduced it; `owner` whose results they are, "" for one's own, whoever reproduced them.
        data: hash of what it was scored on (see `vidsuite_core.results.summary.scored_on`).
        subjects: how many of the task's `units` it was scored on.
        scores: by name, of the task's `scores`; those of reported rows are in `printed`, as the paper prints them.
        done, folds, seeds: cells with scores, and of how many folds and seeds.
        device: class of device that the scores come from; `speeds` has every class that was measured.
        weights: names of initial weights; "random" among them says that random ones stood in.
        selection: how the scored epoch was chosen; "" where there is nothing to choose.
        used: of how many classes it makes use, and how many are true; None where that is not told.
        withheld: whether its test labels are kept back; `kept_back` is what is known of its scores where they are
            elsewhere, "" of others.
        rank, tied, indistinct, above_floor: see `vidsuite_core.results.ranks.Place`; `unranked` is its reason.
        created: when its newest attempt was made, ISO 8601.
        steps: dates of the moments in its history at which its score or speed moved (see `history`).
    """

    slug: str
    benchmark: str
    task: str
    dataset: str
    preset: str
    model: str
    config: str
    status: str
    by: str = ""
    owner: str = ""
    data: str = ""
    scores: Mapping[str, Score] = field(default_factory=dict)
    printed: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    done: int = 0
    expected: int = 0
    folds: int = 0
    seeds: int = 0
    subjects: int = 0
    units: str = "subjects"
    used: Sequence[int] | None = None
    device: str = ""
    speeds: Mapping[str, Speed] = field(default_factory=dict)
    parameters: int | None = None
    flops: float | None = None
    weights: Sequence[str] = ()
    synthetic: bool = False
    selection: str = ""
    problems: Sequence[str] = ()
    notes: Sequence[str] = ()
    rank: int | None = None
    tied: bool = False
    indistinct: bool = False
    unranked: str = ""
    above_floor: bool | None = None
    withheld: bool = False
    kept_back: str = ""
    created: str = ""
    steps: Sequence[str] = ()

    @property
    def table(self) -> tuple[str, str, str]:
        """The table that it stands in: benchmark, dataset and preset."""
        return self.benchmark, self.dataset, self.preset

    @property
    def plugin(self) -> str:
        """The plugin that brings its benchmark."""
        return self.benchmark.partition("/")[0]

    @property
    def complete(self) -> bool:
        """Whether each cell that the protocol makes has scores."""
        return self.done == self.expected

    def plain(self) -> dict[str, Any]:
        """In JSON's own types."""
        return asdict(self)


@dataclass(frozen=True)
class CellView:
    """One cell of an entry, by the attempt that counts.

    Attributes:
        scores: all scores of the task by name; None where one is not defined.
        environment: index into `Detail.environments`.
        phases: seconds by phase.
        attempt, folder: its id, and its place below the run folder (`<plugin>/<cell id>/<attempt>`).
        superseded: folders of other attempts at the cell that hold, oldest first.
    """

    fold: str
    seed: int
    status: str
    reason: str
    scores: Mapping[str, float | None]
    attempt: str
    folder: str
    cell_id: str
    score_id: str
    created: str
    device: str
    environment: int
    command: Sequence[str]
    phases: Mapping[str, float]
    warnings: Sequence[str]
    log_end: Sequence[str]
    superseded: Sequence[str] = ()


@dataclass(frozen=True)
class Curve:
    """A training curve of one cell: `name` ("loss", or a score of validation), pairs of when and value.

    `unit` is what the recipe counts: "epoch" or "iteration".
    """

    fold: str
    seed: int
    name: str
    points: Sequence[tuple[float, float]]
    unit: str = "epoch"


@dataclass(frozen=True)
class Moment:
    """How an entry stood with one version of the code: mean first score, and latency by device class (seconds)."""

    date: str
    version: str
    commit: str
    score: float | None
    sd: float | None
    cells: int
    latency: Mapping[str, float]
    score_step: bool = False
    latency_step: bool = False


@dataclass(frozen=True)
class Detail:
    """What an entry's own page shows beyond its row.

    Attributes:
        classes: names in label order.
        config: the resolved config, as JSON text.
        environments: hardware, software and code; cells refer to them by index.
        weights: initial weights, name and sha256 (or "random").
        variants: scores of second sets of predictions, as "paper_rule" (the epoch chosen as the paper does).
        per_class: class -> measure -> mean over cells.
        shown: tables and figures of its task (see `vidsuite_core.tasks.shown.plain`).
        subjects: subject -> mean of the first score where it is defined for one subject.
        rejected: attempts of the entry that were left out: (folder, reason).
    """

    classes: Sequence[str]
    config: str
    environments: Sequence[Mapping[str, Any]]
    weights: Sequence[Mapping[str, str]]
    cells: Sequence[CellView]
    variants: Mapping[str, Mapping[str, Score]]
    per_class: Mapping[str, Mapping[str, float | None]]
    shown: Sequence[Mapping[str, Any]]
    subjects: Mapping[str, float | None]
    curves: Sequence[Curve]
    history: Sequence[Moment]
    rejected: Sequence[tuple[str, str]]

    def every(self, kind: type[_Shown]) -> list[_Shown]:
        """Of `shown`, the tables, the lines or the matrices."""
        return [one for one in map(shown_from, self.shown) if isinstance(one, kind)]


def slug(model: str, dataset: str, preset: str, config: str, *more: str) -> str:
    """The name of an entry's page: readable, safe in a path and a URL, and unique by the hash that ends it."""
    plugin, _, name = model.rpartition("/")
    parts = (plugin, name, dataset.rpartition("/")[2], preset)
    readable = "-".join(_UNSAFE.sub("_", part)[:32] for part in parts if part)
    return f"{readable}-{digest([model, dataset, preset, config, *more])[:16]}"


def one_line(text: str, folder: str = "") -> str:
    """What a stranger wrote, as one line of at most `MAX_LINE` characters, without this machine's `folder`."""
    if folder:
        text = text.replace(f"{folder}/", "").replace(folder, "it")
    short = printable(text)
    return short if len(short) <= MAX_LINE else f"{short[:MAX_LINE]}…"


def entry_from(plain: Mapping[str, Any]) -> Entry:
    """The entry that `Entry.plain` gave."""
    scores = {name: Score(**score) for name, score in plain["scores"].items()}
    speeds = {device: Speed(**speed) for device, speed in plain["speeds"].items()}
    return Entry(**{**plain, "scores": scores, "speeds": speeds})


def detail_from(plain: Mapping[str, Any]) -> Detail:
    """The detail that `dataclasses.asdict` gave."""
    variants = {name: {key: Score(**s) for key, s in scores.items()} for name, scores in plain["variants"].items()}
    parts = {
        "cells": [CellView(**cell) for cell in plain["cells"]],
        "curves": [Curve(**curve) for curve in plain["curves"]],
        "history": [Moment(**moment) for moment in plain["history"]],
        "variants": variants,
    }
    return Detail(**{**plain, **parts})


def page_name(name: str) -> str:
    """A full name as the name of a file, another one for each: unusual names, as strangers may give, end in a hash."""
    if _USUAL.match(name):
        return name.replace("/", "-")
    return f"{readable(name)}--{digest(name)[:16]}"


def readable(name: str) -> str:
    """What is safe in a path, a URL or an id of a name; several names may have the same."""
    return _UNSAFE.sub("-", name).strip("-")
