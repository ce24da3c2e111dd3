"""Scores of sequences of phases, as pure functions: a monotone decoding, segments, edit score, F1 and onsets.

A sequence is the frames of one recording in order, each with its phase, an index 0 to K - 1 that rises with
development. Edit score and F1@k are those of temporal segmentation (Lea et al., CVPR 2017, section 4; Farha and Gall,
CVPR 2019, section 4.1), in shares of 1.
"""

from __future__ import annotations

import numpy as np

OVERLAPS = (0.10, 0.25, 0.50)
"""The k of F1@k."""
FAINTEST = 1e-6
"""Probabilities below count as this much: one frame that a network is sure of must not decide a whole path."""


def monotone(prob: np.ndarray) -> np.ndarray:
    """The likeliest path (T,) of phases that never goes back (Viterbi), from probabilities (T, K).

    Phases may be skipped, at no cost.
    """
    chance = np.log(np.maximum(prob.astype(np.float64), FAINTEST))
    count = chance.shape[1]
    best, came = chance[0].copy(), np.zeros(chance.shape, np.int64)
    places = np.arange(count)
    for step in range(1, len(chance)):
        reached = np.maximum.accumulate(best)
        came[step] = np.maximum.accumulate(np.where(best == reached, places, 0))
        best = reached + chance[step]
    path = np.empty(len(chance), np.int64)
    path[-1] = best.argmax()
    for step in range(len(chance) - 1, 0, -1):
        path[step - 1] = came[step, path[step]]
    return path


def segments(path: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The phases (S,) of a path's runs of equal phases, and their edges (S + 1,) in frames."""
    edges = np.flatnonzero(np.diff(path)) + 1
    return path[np.concatenate([[0], edges])], np.concatenate([[0], edges, [len(path)]])


def edit_score(found: np.ndarray, true: np.ndarray) -> float:
    """1 less the Levenshtein distance of the two paths' segments, in shares of the longer one's number."""
    a, b = segments(found)[0], segments(true)[0]
    places = np.arange(len(b) + 1)
    row = places
    for number, phase in enumerate(a, 1):
        row = np.concatenate([[number], np.minimum(row[1:] + 1, row[:-1] + (b != phase))])
        row = np.minimum.accumulate(row - places) + places  # insertions go along the row
    return 1 - float(row[-1]) / max(len(a), len(b))


def overlaps(found: np.ndarray, true: np.ndarray, least: float) -> tuple[int, int, int]:
    """How many segments of `found` are right, false and missed.

    A segment is right if it overlaps a segment of its phase in `true`, which is not taken yet, by an IoU of `least`.
    """
    phases, edges = segments(found)
    true_phases, true_edges = segments(true)
    taken = np.zeros(len(true_phases), bool)
    right = 0
    for phase, start, stop in zip(phases, edges[:-1], edges[1:], strict=True):
        both = np.minimum(stop, true_edges[1:]) - np.maximum(start, true_edges[:-1])
        either = np.maximum(stop, true_edges[1:]) - np.minimum(start, true_edges[:-1])
        iou = np.where(true_phases == phase, np.maximum(both, 0) / either, 0.0)
        best = int(iou.argmax())
        if iou[best] >= least and not taken[best]:
            taken[best] = True
            right += 1
    return right, len(phases) - right, len(true_phases) - right


def onsets(path: np.ndarray, hours: np.ndarray, count: int) -> np.ndarray:
    """(count,) the hour of each phase's first frame; NaN of phases that a path lacks, and of its first.

    The first phase has begun before the first frame: its onset is not seen.
    """
    found = np.full(count, np.nan)
    for phase in np.unique(path)[::-1]:
        first = int(np.argmax(path == phase))
        if first > 0:
            found[phase] = hours[first]
    return found
