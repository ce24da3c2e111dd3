"""`embryo_phases`: which phase of its development an embryo is in, for each labelled frame of its recording.

Stored arrays, for N recordings with F labelled frames in all: `offset` (N + 1,), recording i has the frames
[offset[i], offset[i + 1]) of `target` (F,) the phase, `hour` (F,) since insemination, and `prob` (F, K), probabilities.
First score: the share of frames whose most probable phase is the right one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.tasks.base import ScoreInfo, Task, check_samples, require, unit_sums
from vidsuite_core.tasks.detection_boxes import offsets, taken
from vidsuite_core.tasks.shown import Shown, Table, confusion
from vidsuite_plugins.embryo_timelapse.phases.sequences import OVERLAPS, edit_score, monotone, onsets, overlaps

if TYPE_CHECKING:
    from vidsuite_core.tasks.base import Arrays
    from vidsuite_plugins.embryo_timelapse.phases.data import PhasesSample

_F1 = tuple(f"f1_{round(100 * least)}" for least in OVERLAPS)
_ROWS = ("target", "hour", "prob")


class EmbryoPhases(Task):
    """Frames, segments and onsets of phases, of the most probable ones and after a monotone pass.

    - `accuracy`: of frames. `viterbi_accuracy`: of the likeliest path that never goes back.
    - `onset_error`: mean distance in hours of the onsets on that path from the true ones, over all that both have;
      `onset_recall`: share of the true onsets that the path has at all. The first phase's onset is not seen.
    - `edit`, `f1_10`, `f1_25`, `f1_50`: of the most probable phases' segments, edit score averaged over recordings and
      F1 of all segments together; `viterbi_...` the same on the path. See `sequences`.
    """

    name = "embryo_phases"
    version = 1
    first_score = "accuracy"
    scores: ClassVar[tuple[ScoreInfo, ...]] = (
        ScoreInfo("accuracy", "frame accuracy"),
        ScoreInfo("viterbi_accuracy", "frame accuracy, monotone"),
        ScoreInfo("onset_error", "onset error", "h", "lower"),
        ScoreInfo("onset_recall", "onsets found"),
        ScoreInfo("edit", "edit score"),
        *(ScoreInfo(name, f"F1@{name[3:]}") for name in _F1),
        ScoreInfo("viterbi_edit", "edit score, monotone", in_tables=False),
        *(ScoreInfo(f"viterbi_{name}", f"F1@{name[3:]}, monotone", in_tables=False) for name in _F1),
    )

    def targets(self, samples: Sequence[PhasesSample]) -> dict[str, np.ndarray]:
        """`offset`, `target` and `hour` of each sample's labelled frames."""
        return {
            "offset": offsets([len(sample.frames) for sample in samples]),
            "target": np.concatenate([np.asarray(sample.labels, np.int64) for sample in samples]),
            "hour": np.concatenate([np.asarray(sample.hours, np.float64) for sample in samples]),
        }

    def predictions(self, outputs: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
        """`prob` (F, K) float32 from each output's `pred_score` (T, K), a row for each labelled frame."""
        return {"prob": np.concatenate([np.asarray(output["pred_score"], np.float32) for output in outputs])}

    def check(self, arrays: Arrays) -> None:
        """See `Task.check`."""
        count = check_samples(arrays)
        offset = require(arrays, "offset", "iu", count + 1).astype(np.int64)
        target = require(arrays, "target", "iu", None).astype(np.int64)
        hour = require(arrays, "hour", "f", len(target))
        prob = require(arrays, "prob", "f", len(target), len(self.classes))
        if count == 0 or offset[0] != 0 or offset[-1] != len(target) or (np.diff(offset) < 1).any():
            raise VidsuiteError(
                "predictions hold no recording, or their 'offset' does not divide the frames among them"
            )
        if ((target < 0) | (target >= len(self.classes))).any():
            raise VidsuiteError(f"predictions have a phase outside the {len(self.classes)} phases")
        if not np.isfinite(prob).all() or prob.min() < 0 or np.abs(prob.sum(axis=1) - 1).max() > 1e-3:
            raise VidsuiteError("predictions' probabilities are not finite numbers in [0, 1] that sum to 1")
        steps = np.diff(hour.astype(np.float64))
        steps[offset[1:-1] - 1] = 1  # from one recording to the next
        if not np.isfinite(hour).all() or (steps <= 0).any():
            raise VidsuiteError("predictions' 'hour' must be finite and rise from frame to frame of a recording")

    def take(self, arrays: Arrays, rows: np.ndarray) -> dict[str, np.ndarray]:
        """See `Task.take`; frames go with their recordings."""
        rows = np.arange(len(arrays["sample_id"]))[rows]
        found = {name: arrays[name][rows] for name in ("sample_id", "subject", "recording")}
        found["offset"], frames = taken(arrays["offset"].astype(np.int64), rows)
        return found | {name: arrays[name][frames] for name in _ROWS if name in arrays}

    def truth(self, arrays: Arrays) -> Arrays:
        """See `Task.truth`: the frames' hours and phases."""
        return {name: arrays[name] for name in ("offset", "target", "hour")}

    def score(self, arrays: Arrays) -> dict[str, float]:
        """See the class; NaN of onsets where none is seen."""
        return {name: float(value) for name, value in _scores(_sums(arrays).sum(0)).items()}

    def leave_one_out(self, arrays: Arrays) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """See `Task.leave_one_out`: all scores are ratios of sums over recordings."""
        units, sums = unit_sums(_sums(arrays), arrays[self.unit])
        return units, _scores((sums.sum(0) - sums).T)

    def details(self, arrays: Arrays) -> dict[str, Any]:
        """Of each phase: frames, the share of them that are right, the mean error of its onset in hours (None where
        none is found), and how many onsets there are, are found, and are found where there is none."""
        hits = _confusion(arrays, len(self.classes))
        per_class = {}
        for phase, (name, (true, found)) in enumerate(zip(self.classes, self._onsets(arrays), strict=True)):
            both = np.isfinite(true) & np.isfinite(found)
            support = int(hits[phase].sum())
            per_class[name] = {
                "frames": support,
                "recall": float(hits[phase, phase] / support) if support else None,
                "onset_error": float(np.abs(true - found)[both].mean()) if both.any() else None,
                "onsets": int(np.isfinite(true).sum()),
                "onsets_found": int(both.sum()),
                "onsets_invented": int((np.isfinite(found) & ~np.isfinite(true)).sum()),
            }
        return {"per_class": per_class, "confusion": hits.tolist()}

    def class_use(self, arrays: Arrays) -> np.ndarray:
        """See `Task.class_use`: frames."""
        hits = _confusion(arrays, len(self.classes))
        return np.stack([hits.sum(0), hits.sum(1)])

    def shown(self, cells: Sequence[Arrays]) -> list[Shown]:
        """See `Task.shown`: onsets by phase, and the confusion of frames."""
        parts = [self._onsets(arrays) for arrays in cells]
        rows: list[list[str | float | None]] = []
        for name, pairs in zip(self.classes, zip(*parts, strict=True), strict=True):
            true, found = (np.concatenate(column) for column in zip(*pairs, strict=True))
            gap = (found - true)[np.isfinite(true) & np.isfinite(found)]
            error, late = (float(np.abs(gap).mean()), float(np.median(gap))) if len(gap) else (None, None)
            rows.append([name, str(int(np.isfinite(true).sum())), str(len(gap)), error, late])
        columns = ("phase", "onsets", "found", "mean error, h", "median of found - true, h")
        told = "Pooled over cells, on the monotone path; the onset of a recording's first phase is not seen."
        counts = np.sum([_confusion(arrays, len(self.classes)) for arrays in cells], axis=0)
        return [Table("onsets", "Onsets of phases", columns, rows, told), confusion(self.classes, counts)]

    def _onsets(self, arrays: Arrays) -> list[tuple[np.ndarray, np.ndarray]]:
        """For each phase its true and its found onsets, (N,) each."""
        count = len(self.classes)
        rows = [
            [onsets(path, hour, count) for path in (target, monotone(prob))] for target, hour, prob in _parts(arrays)
        ]
        true, found = (np.stack(column, axis=1) for column in zip(*rows, strict=True))
        return list(zip(true, found, strict=True))


def _parts(arrays: Arrays) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """`target`, `hour` and `prob` of each recording."""
    cuts = arrays["offset"].astype(np.int64)
    target, hour, prob = (arrays[name] for name in _ROWS)
    return [(target[a:b], hour[a:b], prob[a:b]) for a, b in pairwise(cuts)]


def _confusion(arrays: Arrays, count: int) -> np.ndarray:
    """(K, K) frames by true and most probable phase."""
    pairs = arrays["target"].astype(np.int64) * count + arrays["prob"].argmax(1)
    return np.bincount(pairs, minlength=count**2).reshape(count, count)


def _sums(arrays: Arrays) -> np.ndarray:
    """(N, S) what `_scores` adds up over recordings."""
    rows = []
    for target, hour, prob in _parts(arrays):
        raw, path, count = prob.argmax(1), monotone(prob), prob.shape[1]
        true, found = onsets(target, hour, count), onsets(path, hour, count)
        both = np.isfinite(true) & np.isfinite(found)
        row = [1, len(target), (raw == target).sum(), (path == target).sum()]
        row += [np.abs(true - found)[both].sum(), both.sum(), np.isfinite(true).sum()]
        for one in (raw, path):
            row += [edit_score(one, target), *(n for least in OVERLAPS for n in overlaps(one, target, least))]
        rows.append(row)
    return np.array(rows, np.float64)


def _scores(sums: np.ndarray) -> dict[str, np.ndarray]:
    """Scores (...) of sums (S, ...), see `_sums`."""
    with np.errstate(invalid="ignore", divide="ignore"):
        found = {
            "accuracy": sums[2] / sums[1],
            "viterbi_accuracy": sums[3] / sums[1],
            "onset_error": sums[4] / sums[5],
            "onset_recall": sums[5] / sums[6],
        }
        for name, first in (("", 7), ("viterbi_", 8 + 3 * len(OVERLAPS))):
            found[f"{name}edit"] = sums[first] / sums[0]
            for place, title in enumerate(_F1):
                right, false, missed = sums[first + 1 + 3 * place : first + 4 + 3 * place]
                found[f"{name}{title}"] = 2 * right / (2 * right + false + missed)
    return found
