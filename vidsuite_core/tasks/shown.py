"""What a task shows beside its scores: tables and figures, as plain data that reports and the site draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

CURVE_POINTS = 120
"""Points of a ROC curve that are kept."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Table:
    """Rows of text, numbers or None (not defined), under headings."""

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | float | None]]
    caption: str = ""


@dataclass(frozen=True)
class Lines:
    """Curves over one pair of axes: (name, points) each; `diagonal` says that both run from 0 to 1, and chance goes up
    evenly between them."""

    name: str
    title: str
    x: str
    y: str
    lines: Sequence[tuple[str, Sequence[Point]]]
    caption: str = ""
    diagonal: bool = False


@dataclass(frozen=True)
class Matrix:
    """Counts [true][predicted] of labelled classes."""

    name: str
    title: str
    labels: Sequence[str]
    counts: Sequence[Sequence[float]]
    caption: str = ""


Shown = Table | Lines | Matrix
_KINDS: Mapping[str, type[Shown]] = {"table": Table, "lines": Lines, "matrix": Matrix}


def plain(shown: Shown) -> dict[str, Any]:
    """In JSON's own types, with its kind."""
    kind = next(name for name, of in _KINDS.items() if isinstance(shown, of))
    return {"kind": kind, **asdict(shown)}


def shown_from(told: Mapping[str, Any]) -> Shown:
    """What `plain` gave."""
    fields = dict(told)
    kind = _KINDS[fields.pop("kind")]
    if kind is Lines:
        fields["lines"] = [(name, [(x, y) for x, y in points]) for name, points in fields["lines"]]
    return kind(**fields)


def confusion(labels: Sequence[str], counts: np.ndarray) -> Matrix:
    """The confusion matrix (K, K) of classes, counts summed over cells."""
    caption = "Shares of the true class, and counts summed over cells; a shade a tenth, the diagonal is what was right."
    return Matrix("confusion", "Confusion matrix", tuple(labels), counts.tolist(), caption)


def roc(curves: Sequence[tuple[str, np.ndarray, np.ndarray]]) -> list[Lines]:
    """ROC curves of (name, whether positive (N,), score (N,)); none of one that has one kind of sample alone."""
    lines = [(name, roc_points(positive, score)) for name, positive, score in curves if 0 < positive.sum() < len(score)]
    if not lines:
        return []
    title = "ROC curves" if len(lines) > 1 else "ROC curve"
    caption = "Predictions pooled over cells; the dotted line is chance."
    return [Lines("roc", title, "false positive rate", "true positive rate", lines, caption, diagonal=True)]


def roc_points(positive: np.ndarray, score: np.ndarray) -> list[Point]:
    """False against true positive rates as the threshold falls, thinned; both kinds of sample must be there."""
    order = np.argsort(-score, kind="stable")
    last = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)  # samples of one score fall together
    hits = np.append(0, np.cumsum(positive[order])[last])
    alarms = np.append(0, np.cumsum(~positive[order])[last])
    thin = np.unique(np.linspace(0, len(hits) - 1, min(len(hits), CURVE_POINTS)).round().astype(int))
    rates = [(rate[thin] / rate[-1]).round(4).tolist() for rate in (alarms, hits)]
    return list(zip(*rates, strict=True))
