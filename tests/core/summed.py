"""Attempts to be summed up, and what they come to."""

from __future__ import annotations

import json
from typing import Any

from helpers import clip_arrays, keep, make_cell

from vidsuite_core.results.store import RESULT, Attempt, Store
from vidsuite_core.results.summary import Row, Summary, measured_rows
from vidsuite_core.suite import Suite

EFFICIENCY = {
    "parameters": 1000, "flops": 2e9, "latency_p50": 0.1, "latency_p95": 0.2, "latencies": [0.1], "throughput": 10.0,
    "peak_memory": 1, "sample": "s", "path": "fp32",
}  # fmt: skip


def everything(runs: Store) -> list[Attempt]:
    return [entry for entry in runs.everything() if isinstance(entry, Attempt)]


def rows(suite: Suite, runs: Store) -> list[Row]:
    return measured_rows(suite, everything(runs))


def score(row: Row, name: str = "macro_f1") -> Summary:
    found = row.scores[name]
    assert isinstance(found, Summary)
    return found


def put(
    runs: Store, model: str = "paper/lstm", skill: float = 0.8, folds: int = 2, draw: int = 0, **fields: Any
) -> list[Attempt]:
    """An attempt at each fold of a model."""
    cell = {name: fields.pop(name) for name in ("seed", "config", "device", "count", "dataset") if name in fields}
    return [
        keep(runs, make_cell(model, str(n), folds=folds, **cell), clip_arrays(str(n), skill, draw), **fields)
        for n in range(folds)
    ]


def change(attempt: Attempt, **fields: Any) -> None:
    """Rewrite fields of an attempt's record, as somebody might who wants another score."""
    path = attempt.path / RESULT
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
