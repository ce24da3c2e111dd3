"""When to stop looking: what rules cost that decide early, and what stopping the culture of unlikely embryos saves.

A rule stops each sample at a point by its predictions up to there. Its cost is (1 - accuracy) + alpha x earliness, with
the share of the time that it looked as earliness: after Mori et al., "Early classification of time series by
simultaneously optimizing the accuracy and earliness", IEEE TNNLS 2018. A rule's parameter for an alpha is chosen on one
half of the subjects and tried on the other, both ways, so that no sample decides how it is treated itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from vidsuite_core.tasks.early_times import Timeline, chances, right, share

ALPHAS = tuple(round(0.1 * step, 1) for step in range(11))
_CONFIDENCES = tuple(round(0.5 + 0.05 * step, 2) for step in range(11))


def _at_a_time(prob: np.ndarray, parameter: float) -> np.ndarray:
    """Every sample at the same point."""
    stop = np.zeros(prob.shape, bool)
    stop[:, int(parameter)] = True
    return stop


def _confident(prob: np.ndarray, parameter: float) -> np.ndarray:
    """Once the likelier class has at least this chance."""
    return np.maximum(prob, 1 - prob) >= parameter


def _steady(prob: np.ndarray, parameter: float) -> np.ndarray:
    """Once the class has been the same at so many points in a row."""
    found = prob > 0.5
    changed = np.concatenate([np.ones((len(found), 1), bool), found[:, 1:] != found[:, :-1]], axis=1)
    places = np.arange(found.shape[1])
    run = places - np.maximum.accumulate(np.where(changed, places, 0), axis=1) + 1
    return run >= parameter


RULES: Mapping[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "at a fixed time": _at_a_time,
    "once confident": _confident,
    "once steady": _steady,
}


@dataclass(frozen=True)
class Stops:
    """Where a rule stops N samples: `point` (N,), `right` (N,) whether the class is right there, `spent` (N,) the share
    of its own time that each was looked at."""

    point: np.ndarray
    right: np.ndarray
    spent: np.ndarray

    def cost(self, alpha: float, chosen: np.ndarray) -> float:
        """The cost over the samples that are chosen, (N,) bool."""
        return float(1 - self.right[chosen].mean() + alpha * self.spent[chosen].mean())


def parameters(rule: str, points: int) -> tuple[float, ...]:
    """What a rule can be set to."""
    return _CONFIDENCES if rule == "once confident" else tuple(map(float, range(1 if "steady" in rule else 0, points)))


def stops(arrays: Mapping[str, np.ndarray], times: Timeline, rule: str, parameter: float) -> Stops:
    """Where a rule stops; what has not stopped by its last point stops there."""
    prob, known = chances(arrays, times)
    ended = np.concatenate([~arrays["counts"][:, times.slot][:, 1:], np.ones((len(prob), 1), bool)], axis=1)
    stop = (RULES[rule](prob, parameter) | ended) & known
    point = stop.argmax(axis=1)
    rows = np.arange(len(prob))
    last = (ended & known).argmax(axis=1)
    hits = right(prob, arrays["target"])[rows, point]
    return Stops(point, hits, (np.minimum(point, last) + 1) / (last + 1))


def costs(arrays: Mapping[str, np.ndarray], times: Timeline) -> dict[str, list[float]]:
    """The cost of each rule at each of `ALPHAS`."""
    _, subject = np.unique(arrays["subject"], return_inverse=True)
    half = subject.reshape(-1) % 2 == 0
    if half.all():
        half = np.arange(len(half)) % 2 == 0
    found: dict[str, list[float]] = {}
    for rule in RULES:
        tried = [stops(arrays, times, rule, parameter) for parameter in parameters(rule, len(times.at))]
        found[rule] = [_crossed(tried, alpha, half) for alpha in ALPHAS]
    return found


def _crossed(tried: list[Stops], alpha: float, half: np.ndarray) -> float:
    """The cost where each half is stopped by the parameter that is best on the other."""
    total = 0.0
    for learnt, own in ((half, ~half), (~half, half)):
        if own.any():
            best = min(tried, key=lambda one: one.cost(alpha, learnt)) if learnt.any() else tried[-1]
            total += best.cost(alpha, own) * own.mean()
    return total


@dataclass(frozen=True)
class Savings:
    """What it comes to when running samples that are predicted as class 0 are given up at a point: (P,) each.

    Attributes:
        given_up: their share of all samples.
        hours: hours that are saved of each sample, on average.
        lost: the share of class 1 that is given up.
        recall: the share of running samples of class 1 that is named.
    """

    given_up: np.ndarray
    hours: np.ndarray
    lost: np.ndarray
    recall: np.ndarray


def savings(arrays: Mapping[str, np.ndarray], times: Timeline) -> Savings:
    """See `Savings`; hours that a recording has left are those until its own end."""
    prob, _ = chances(arrays, times)
    run, positive = arrays["counts"][:, times.slot], arrays["target"] == 1
    whole = arrays["whole"].astype(np.float64)
    at = times.at if times.unit == "hours" else times.at * whole[:, None]
    gone = run & (prob <= 0.5)
    left = np.maximum(whole[:, None] - at, 0) * gone
    running_positive = run & positive[:, None]
    return Savings(
        gone.mean(0),
        left.mean(0),
        share((gone & positive[:, None]).sum(0), positive.sum()),
        share((running_positive & (prob > 0.5)).sum(0), running_positive.sum(0)),
    )
