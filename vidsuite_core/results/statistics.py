"""Intervals of scores, and paired tests between them: over subjects, all folds at once, and over seeds.

A row's score is the mean over its cells. What would it have been with other subjects? Each subject is left out of every
fold and seed in which it is scored, at once: the jackknife (Tukey 1958; Efron and Tibshirani, "An Introduction to the
Bootstrap", 1993, chapter 11). Leaving a subject out lowers the weight of the folds that it was scored in, so that a
fold of one subject goes as a whole. What would it have been with other seeds? The variance of the mean over seeds is
added, where there are two or more. Student's t with as many degrees of freedom as subjects and seeds leave
(Satterthwaite 1946) makes an interval of it, for fractions on the scale of log odds, so that it stays between 0 and 1.

Chosen by simulation among percentile, expanded percentile, BCa, and t of the infinitesimal jackknife, on three scales:
`tests/core/test_coverage.py` holds its coverage between 90 and 99 % for each protocol, from five subjects on, and shows
that percentiles of a bootstrap cover less. Where all subjects score alike there is no interval.

An interval takes the models as they are trained: with one seed the chance of training is not in it.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

LEVEL = 0.95
DRAWS = 2000
"""Draws that stand for a score's distribution where two scores are compared."""
FEWEST = 5
"""Subjects that are needed to rank by; with fewer, no test can be made."""
FEW = 10
"""Subjects with fewer of which a row is marked."""
_FLAT = 1e-12
"""Spread of the leave-one-out scores below which it is rounding."""
_BLOCK = 256


@dataclass(frozen=True)
class Part:
    """One cell's score, NaN where it is not defined, and the same without each of its subjects.

    Attributes:
        seed: the cell's seed.
        score: of all its subjects.
        subjects: (U,) their names, each once.
        without: (U,) the score without each; NaN where none is defined then.
    """

    seed: int
    score: float
    subjects: np.ndarray
    without: np.ndarray


@dataclass(frozen=True)
class Estimate:
    """A mean score and what moves it.

    Attributes:
        mean: over the cells in which the score is defined.
        pulls: (S,) of each subject, sorted by name, on the scale; their squares sum to the variance of the mean.
        seed_variance, seeds: variance of the mean on the scale, and how many seeds it was told from; 0 of one.
        fraction: whether the scale is that of log odds; else it is the score's own.
    """

    mean: float
    pulls: np.ndarray
    seed_variance: float
    seeds: int
    fraction: bool

    def interval(self, level: float = LEVEL) -> tuple[float, float] | None:
        """Where the mean lies with other subjects (and seeds, where there are several), with probability `level`.

        None where leaving any one subject out changes nothing, or one cannot be left out: then nothing can be said.
        """
        among = float(self.pulls @ self.pulls)
        if not among > 0:  # NaN included
            return None
        total = among + self.seed_variance
        freedom = total**2 / (among**2 / (len(self.pulls) - 1) + self.seed_variance**2 / max(self.seeds - 1, 1))
        reach = float(stdtrit(freedom, (1 + level) / 2)) * total**0.5
        centre = self._forth(self.mean)
        low, high = self._back(np.array([centre - reach, centre + reach]))
        return float(low), float(high)

    def draws(self, key: str, count: int = DRAWS) -> np.ndarray:
        """(count,) plausible values of the mean; those of two scores of the same subjects may be subtracted in pairs.

        Subjects move all scores of the same draw together; seeds move each by itself, told apart by `key`. The values
        are of a multivariate t, so that percentiles of a difference are its t interval. NaN where `interval` is None
        because a subject cannot be left out; all the same where none changes anything.
        """
        if not np.isfinite(self.pulls).all():
            return np.full(count, np.nan)
        move = np.zeros(count)
        common = np.random.default_rng(0)
        size = max(len(self.pulls) - 1, 1)
        widening = np.sqrt(size / common.chisquare(size, count))
        for start in range(0, len(self.pulls), _BLOCK):
            block = self.pulls[start : start + _BLOCK]
            move += common.standard_normal((count, len(block))) @ block
        move *= widening
        if self.seed_variance:
            own = np.random.default_rng(int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big"))
            move += (
                own.standard_t(2 * (self.seeds - 1), count) * self.seed_variance**0.5
            )  # of two rows that are compared
        return self._back(self._forth(self.mean) + move)

    def _forth(self, score: float) -> float:
        if not self.fraction:
            return score
        inside = min(max(score, _FLAT), 1 - _FLAT)
        return float(np.log(inside / (1 - inside)))

    def _back(self, values: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-np.clip(values, -700, 700))) if self.fraction else values


def estimate(parts: Iterable[Part], *, fraction: bool) -> Estimate | None:
    """The mean of the parts whose score is defined, and what moves it; None where no score is.

    Args:
        parts: the cells of one row, of whatever folds and seeds.
        fraction: whether scores lie between 0 and 1.
    """
    defined = [part for part in parts if part.score == part.score]
    if not defined:
        return None
    mean = float(np.mean([part.score for part in defined]))
    rest = _without(defined)
    apart = rest - rest.mean()
    pulls = apart * np.sqrt((len(rest) - 1) / len(rest))
    if len(rest) < 2:
        pulls = np.full(len(rest), np.nan)
    elif np.ptp(rest) < _FLAT:
        pulls = np.zeros(len(rest))
    by_seed: dict[int, list[float]] = defaultdict(list)
    for part in defined:
        by_seed[part.seed].append(part.score)
    means = [float(np.mean(scores)) for scores in by_seed.values()]
    variance = float(np.var(means, ddof=1)) / len(means) if len(means) > 1 else 0.0
    slope = _slope(mean) if fraction else 1.0
    return Estimate(mean, pulls * slope, variance * slope**2, len(means), fraction)


def _slope(fraction: float) -> float:
    """How fast log odds change with the fraction."""
    inside = min(max(fraction, _FLAT), 1 - _FLAT)
    return 1 / (inside * (1 - inside))


def _without(parts: Sequence[Part]) -> np.ndarray:
    """(S,) the mean over parts without each subject; a part weighs by the share of its subjects that is left."""
    names, places = np.unique(np.concatenate([part.subjects for part in parts]), return_inverse=True)
    weights = np.full(len(names), float(len(parts)))
    sums = np.full(len(names), float(sum(part.score for part in parts)))
    start = 0
    for part in parts:
        place = places[start : start + len(part.subjects)]
        start += len(part.subjects)
        known = ~np.isnan(part.without)
        share = np.where(known, 1 - 1 / len(place), 0.0)
        weights[place] += share - 1
        sums[place] += share * np.where(known, part.without, 0.0) - part.score
    return np.divide(sums, weights, out=np.full(len(names), np.nan), where=weights > _FLAT)


def apart(one: np.ndarray, other: np.ndarray, level: float = LEVEL) -> tuple[float, float] | None:
    """Interval of the difference of two scores from their paired draws; None where they hold nothing."""
    difference = np.asarray(one, np.float64) - np.asarray(other, np.float64)
    if not np.isfinite(difference).any():
        return None
    low, high = np.nanpercentile(difference, (50 * (1 - level), 50 * (1 + level)))
    return float(low), float(high)


def seed_range(scores: Sequence[float], level: float = LEVEL) -> tuple[float, float]:
    """Where the score of one more seed lies with probability `level`, from those of two or more (a t interval)."""
    reach = float(stdtrit(len(scores) - 1, (1 + level) / 2)) * float(np.std(scores, ddof=1))
    reach *= (1 + 1 / len(scores)) ** 0.5
    middle = float(np.mean(scores))
    return middle - reach, middle + reach
