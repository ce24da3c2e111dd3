"""Predictions over time: which moment stands for a point in time, who is scored there, and curves over the points.

The T moments of all samples are slots of one schedule. A slot's time is the latest that any sample has there. Where
recordings last a day or longer, points are half days (12 h, 24 h, ...), each with the last slot that is over by then;
else every slot is a point: in hours from one hour on, in shares of the clip for shorter ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

DAY = 24.0
STEP = 12.0
"""Hours between points, for recordings of a day or more."""
_SLACK = 1e-6
BINS = 10
"""Bins of equal width of the expected calibration error."""


@dataclass(frozen=True)
class Timeline:
    """P points in time: `at` (P,) in the `unit` ("hours" or "share of the clip"), `slot` (P,) the moment of each."""

    at: np.ndarray
    slot: np.ndarray
    unit: str

    def nearest(self, at: float) -> int:
        """The point at a time; -1 where there is none."""
        found = np.flatnonzero(np.abs(self.at - at) < _SLACK)
        return int(found[0]) if len(found) else -1


def timeline(arrays: Mapping[str, np.ndarray]) -> Timeline:
    """The points of stored arrays `time` (N, T), NaN where a moment is padded, and `whole` (N,), both in hours."""
    hours = arrays["time"].astype(np.float64)
    long = arrays["whole"].max() >= 1
    values = hours if long else hours / arrays["whole"].astype(np.float64)[:, None]
    latest = np.where(np.isnan(values), -np.inf, values).max(axis=0)
    last = np.flatnonzero(np.isfinite(latest))
    latest = np.maximum.accumulate(latest)[: last[-1] + 1]
    if not long or latest[-1] < DAY:
        used = np.flatnonzero(np.isfinite(latest))
        return Timeline(latest[used], used, "hours" if long else "share of the clip")
    at = STEP * np.arange(1, int(np.ceil(latest[-1] / STEP - _SLACK)) + 1)
    slot = np.searchsorted(latest, at + _SLACK, "right") - 1
    return Timeline(at[slot >= 0], slot[slot >= 0], "hours")


def running(arrays: Mapping[str, np.ndarray], times: Timeline) -> np.ndarray:
    """(N, P) whether a sample is scored at a point: those whose recording still runs."""
    return arrays["counts"][:, times.slot]


def chances(arrays: Mapping[str, np.ndarray], times: Timeline) -> tuple[np.ndarray, np.ndarray]:
    """(N, P) the last prediction until each point, and whether there is one; recordings that have ended keep theirs."""
    counts = arrays["counts"]
    last = np.maximum.accumulate(np.where(counts, np.arange(counts.shape[1]), -1), axis=1)[:, times.slot]
    prob = np.take_along_axis(arrays["prob"].astype(np.float64), np.maximum(last, 0), axis=1)
    return prob, last >= 0


def right(prob: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(N, P) whether predictions name the class: 1 where the chance is above a half."""
    return (prob > 0.5) == (target == 1)[:, None]


def area(curve: np.ndarray) -> np.ndarray:
    """(...) areas under curves (..., P), by trapezoids at unit spacing, divided by P: over Day 0.5 to 7, by 7 days.

    So the published areas of AMSNet follow from its published accuracies; a perfect curve has (P - 1) / P. NaN where a
    point is.
    """
    return np.trapezoid(curve, axis=-1) / curve.shape[-1]


def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, NaN of nothing."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(part, float) / np.asarray(whole, float)


def rank_auc(positive: np.ndarray, score: np.ndarray) -> float:
    """Area under the ROC curve: pairs ranked rightly, ties as halves; NaN with one class alone."""
    ordered = np.sort(score[~positive])
    if not len(ordered) or not positive.any():
        return float("nan")
    below = np.searchsorted(ordered, score[positive], "left") + np.searchsorted(ordered, score[positive], "right")
    return float(below.mean() / 2 / len(ordered))


def calibration_error(prob: np.ndarray, target: np.ndarray) -> float:
    """Expected calibration error of chances (n,) of class 1: how far bins' mean chance is from the share of class 1."""
    if not len(prob):
        return float("nan")
    of = np.minimum((prob * BINS).astype(int), BINS - 1)
    apart = np.bincount(of, prob, BINS) - np.bincount(of, target.astype(float), BINS)
    return float(np.abs(apart).sum() / len(prob))
