"""`early_prediction`: one of two classes, predicted again at each moment as more is seen.

Stored arrays, for N samples with T moments each: `target` (N,) 0 or 1; `counts` (N, T) bool, which moments count
(padded ones do not); `time` (N, T) hours until the moment's last frame, NaN where it is padded; `whole` (N,) hours that
the recording lasts; `prob` (N, T), the chance of class 1 at each moment. First score: area under the accuracy curve.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.tasks.base import ScoreInfo, Task, check_samples, require, unit_sums
from vidsuite_core.tasks.early_stopping import ALPHAS, costs, savings
from vidsuite_core.tasks.early_times import (
    Timeline,
    area,
    calibration_error,
    chances,
    rank_auc,
    right,
    running,
    share,
    timeline,
)
from vidsuite_core.tasks.segmentation_counts import nan_mean
from vidsuite_core.tasks.shown import Lines, Shown, Table, roc

if TYPE_CHECKING:
    from vidsuite_core.media.overlay import RGB
    from vidsuite_core.samples import MomentsSample
    from vidsuite_core.tasks.base import Arrays

ACCURACY, RECALL = 0.8, 0.9
"""The accuracy, and the recall of class 1, whose earliest times are told."""
CHOSEN = {"roc_auc_1": (72.0, 0.25), "roc_auc_2": (96.0, 0.5), "roc_auc_3": (120.0, 0.75)}
"""Points of which ROC curves are told: in hours (days 3, 4 and 5), and in shares of shorter recordings."""


class EarlyPrediction(Task):
    """How well, how early and how well calibrated a class is told, at points in time (see `early_times`).

    - `accuracy_auc`: area under the accuracy (at a half) of the samples that still run at each point, as AMSNet's paper
      has it; `kept_auc` keeps those that have ended with their last prediction, so that the set does not shrink.
    - `final_accuracy`: at the last point, of those that still run. `roc_auc_1`, `2`, `3`: at days 3, 4 and 5, or at a
      quarter, half and three quarters of shorter recordings.
    - `brier`, `calibration_error`: of all predictions at points, of samples that run there.
    - `time_to_accuracy`, `time_to_recall`: the first point at which accuracy is 0.8, and recall of class 1 is 0.9.
    - `stopping_cost`: see `early_stopping`: of the rule that waits for confidence, at alpha 0.2.
    """

    name = "early_prediction"
    version = 2
    first_score = "accuracy_auc"
    subject_score = "kept_accuracy"
    streamer = "vidsuite_core.engine.streaming:MomentStreamer"
    answers = ("prob", "counts", "time", "whole")
    scores: ClassVar[tuple[ScoreInfo, ...]] = (
        ScoreInfo("accuracy_auc", "AUC of the accuracy curve"),
        ScoreInfo("kept_auc", "the same, ended ones kept"),
        ScoreInfo("final_accuracy", "accuracy at the last point"),
        ScoreInfo("brier", "Brier score", direction="lower"),
        ScoreInfo("kept_accuracy", "accuracy of each last prediction", in_tables=False),
        *(
            ScoreInfo(name, f"ROC AUC, day {hours / 24:g} or {part:.0%} seen", in_tables=False)
            for name, (hours, part) in CHOSEN.items()
        ),
        ScoreInfo("calibration_error", "calibration error", direction="lower", in_tables=False),
        ScoreInfo("time_to_accuracy", f"time to accuracy {ACCURACY}", "time", "lower", in_tables=False),
        ScoreInfo("time_to_recall", f"time to recall {RECALL}", "time", "lower", in_tables=False),
        ScoreInfo("stopping_cost", "cost of stopping, alpha 0.2", "cost", "lower", in_tables=False),
    )

    def targets(self, samples: Sequence[MomentsSample]) -> dict[str, np.ndarray]:
        """`target` of each sample's `label`, and its `places`."""
        return {"target": np.array([sample.label for sample in samples], dtype=np.int64), **self.places(samples)}

    def places(self, samples: Sequence[MomentsSample]) -> dict[str, np.ndarray]:
        """`counts`, `time` and `whole` of each sample's `counts`, `moments` and recording."""
        counts = np.stack([np.asarray(sample.counts, dtype=bool) for sample in samples])
        time = np.full(counts.shape, np.nan)
        for row, sample in enumerate(samples):
            ends = [sample.footage.time(stop - 1) / 3600 for start, stop in sample.moments if start < stop]
            time[row, counts[row]] = ends
        return {
            "counts": counts,
            "time": time,
            "whole": np.array([_length(sample) / 3600 for sample in samples]),
        }

    def predictions(self, outputs: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
        """`prob` (N, T) float32 from each output's `pred_score` (T,)."""
        return {"prob": np.stack([np.asarray(output["pred_score"], dtype=np.float32) for output in outputs])}

    def check(self, arrays: Arrays) -> None:
        """See `Task.check`."""
        self.check_answers(arrays)
        if not np.isin(require(arrays, "target", "iu", len(arrays["sample_id"])), (0, 1)).all():
            raise VidsuiteError("predictions need targets 0 or 1")

    def check_answers(self, arrays: Arrays) -> None:
        """See `Task.check_answers`: chances are chances, and times rise."""
        count = check_samples(arrays)
        prob = require(arrays, "prob", "f", count, None)
        counts = require(arrays, "counts", "b", count, prob.shape[1])
        time = require(arrays, "time", "f", count, prob.shape[1]).astype(np.float64)
        whole = require(arrays, "whole", "f", count).astype(np.float64)
        if count == 0 or prob.shape[1] < 2 or not counts.any(axis=1).all():
            raise VidsuiteError("predictions hold no sample, fewer than two moments, or a sample of which none counts")
        if not np.isfinite(prob).all() or prob.min() < 0 or prob.max() > 1:
            raise VidsuiteError("predictions need probabilities in [0, 1]")
        known = np.isfinite(time)
        if (known != counts).any() or not (np.isfinite(whole) & (whole > 0) & (whole < 1e5)).all():
            raise VidsuiteError("predictions' 'time' must be hours where a moment counts, and NaN elsewhere")
        filled = np.where(known, time, -np.inf)
        before = np.maximum.accumulate(filled, axis=1)[:, :-1]
        if (
            (time[known] < 0).any()
            or (known[:, 1:] & (filled[:, 1:] < before)).any()
            or (filled > whole[:, None] * 1.001).any()
        ):
            raise VidsuiteError("predictions' 'time' must rise from moment to moment, and end within 'whole'")

    def score(self, arrays: Arrays) -> dict[str, float]:
        """See the class; NaN where no sample counts at a point, or a time is never reached."""
        times = timeline(arrays)
        prob, _ = chances(arrays, times)
        run, target = running(arrays, times), arrays["target"]
        curves = _curves(_sums(arrays, times).sum(0))
        of_points = np.broadcast_to(target[:, None], prob.shape)[run]
        found = savings(arrays, times)
        return {
            "accuracy_auc": float(area(curves[0])),
            "kept_auc": float(area(curves[1])),
            "final_accuracy": float(curves[0][-1]),
            "brier": float(np.mean((prob[run] - of_points) ** 2)),
            "kept_accuracy": float(right(prob, target)[:, -1].mean()),
            **{name: _roc_auc(arrays, times, hours, part) for name, (hours, part) in CHOSEN.items()},
            "calibration_error": calibration_error(prob[run], of_points),
            "time_to_accuracy": _first(times, curves[0] >= ACCURACY),
            "time_to_recall": _first(times, found.recall >= RECALL),
            "stopping_cost": costs(arrays, times)["once confident"][ALPHAS.index(0.2)],
        }

    def details(self, arrays: Arrays) -> dict[str, Any]:
        """The points with their accuracies (of those that run, and with ended ones kept; None where none is) and how
        many are scored; costs of stopping rules over alpha, and what giving up early saves and loses."""
        times = timeline(arrays)
        curves, found = _curves(_sums(arrays, times).sum(0)), savings(arrays, times)
        return {
            "unit": times.unit,
            "points": times.at.tolist(),
            "scored": running(arrays, times).sum(0).tolist(),
            "curve": _plain(curves[0]),
            "kept_curve": _plain(curves[1]),
            "stopping": {"alpha": list(ALPHAS), **costs(arrays, times)},
            "savings": {name: _plain(getattr(found, name)) for name in ("given_up", "hours", "lost", "recall")},
        }

    def shown(self, cells: Sequence[Arrays]) -> list[Shown]:
        """See `Task.shown`: curves over time, costs of stopping over alpha, ROC curves, and a table of points."""
        details = [self.details(arrays) for arrays in cells]
        first = max(details, key=lambda one: len(one["points"]))
        unit, points = str(first["unit"]), first["points"]
        ends = [("those that run", "curve"), ("ended ones kept", "kept_curve")]
        curves = {name: _mean([one[key] for one in details], len(points)) for name, key in ends}
        lines = [
            (name, [(x, y) for x, y in zip(points, found, strict=True) if y == y]) for name, found in curves.items()
        ]
        rules = [name for name in first["stopping"] if name != "alpha"]
        cost = [
            (rule, list(zip(ALPHAS, _mean([one["stopping"][rule] for one in details], len(ALPHAS)), strict=True)))
            for rule in rules
        ]
        saved = {name: _mean([one["savings"][name] for one in details], len(points)) for name in first["savings"]}
        scored = np.sum([[*one["scored"], *[0] * (len(points) - len(one["scored"]))] for one in details], axis=0)
        caption = "Mean over cells. Fewer and fewer recordings run; with ended ones kept, all are scored throughout"
        early = (
            "Each at the parameter that is best on the other half of the subjects; 1 - accuracy + alpha x time spent."
        )
        rows: list[list[str | float | None]] = []
        for place, (at, n) in enumerate(zip(points, scored.tolist(), strict=True)):
            measured = [*curves.values(), *saved.values()]
            rows.append([f"{at:g}", str(int(n)), *(values[place] for values in measured)])
        columns = (unit, "scored", "accuracy", "accuracy, kept", "given up", "hours saved", "class 1 lost", "recall")
        told = f"{caption}. Given up at a point: what runs and is predicted as class 0; hours saved are a sample's"
        return [
            Lines("over-time", "Accuracy against time observed", unit, "accuracy", lines, f"{caption}."),
            Lines("stopping", "Cost of stopping early", "alpha", "cost", cost, early),
            *roc(self._roc_curves(cells)),
            Table("points", "Points in time", columns, rows, told),
        ]

    def _roc_curves(self, cells: Sequence[Arrays]) -> list[tuple[str, np.ndarray, np.ndarray]]:
        found = []
        for hours, part in CHOSEN.values():
            chosen = [_at_point(arrays, timeline(arrays), hours, part) for arrays in cells]
            known = [one for one in chosen if one is not None]
            if known:
                positive, prob = (np.concatenate(columns) for columns in zip(*known, strict=True))
                name = f"day {hours / 24:g}" if timeline(cells[0]).unit == "hours" else f"{part:.0%} seen"
                found.append((name, positive, prob))
        return found

    def truth(self, arrays: Arrays) -> Arrays:
        """See `Task.truth`: classes, the moments that count, and when they are."""
        return {name: arrays[name] for name in ("target", "counts")} | {
            name: np.nan_to_num(arrays[name].astype(np.float64), nan=-1) for name in ("time", "whole")
        }

    def leave_one_out(self, arrays: Arrays) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """See `Task.leave_one_out`; points in time stay those of all."""
        times = timeline(arrays)
        names, sums = unit_sums(_sums(arrays, times), arrays[self.unit])
        rest = sums.sum(0) - sums
        curves = _curves(np.moveaxis(rest, 0, -2))
        prob, _ = chances(arrays, times)
        run = running(arrays, times)
        apart = np.where(run, (prob - arrays["target"][:, None]) ** 2, 0).sum(1)
        _, of_unit = unit_sums(np.stack([apart, run.sum(1)], axis=1), arrays[self.unit])
        part, whole = (of_unit.sum(0) - of_unit).T
        return names, {
            "accuracy_auc": area(curves[0]),
            "kept_auc": area(curves[1]),
            "final_accuracy": curves[0][:, -1],
            "brier": share(part, whole),
        }

    def class_use(self, arrays: Arrays) -> np.ndarray:
        """See `Task.class_use`: moments that count."""
        counts, found, true = arrays["counts"], arrays["prob"] > 0.5, (arrays["target"] == 1)[:, None]
        return np.array([[(counts & (side == k)).sum() for k in (0, 1)] for side in (found, true)])

    def draw(self, sample: MomentsSample, prediction: Mapping[str, np.ndarray], palette: Sequence[RGB]) -> np.ndarray:
        """See `Task.draw`: the moments that count, each with the chances at it."""
        from vidsuite_core.tasks import drawing

        return drawing.moments_picture(sample, prediction, palette)

    def draw_on(
        self, frame: np.ndarray, prediction: Mapping[str, np.ndarray], palette: Sequence[RGB], opacity: float
    ) -> np.ndarray:
        """See `Task.draw_on`: the classes' chances as a bar."""
        from vidsuite_core.tasks import drawing

        chance = float(prediction["prob"][-1])
        return drawing.with_chances(frame, np.array([1 - chance, chance]), palette)


def _length(sample: MomentsSample) -> float:
    """Seconds until a recording's last frame; of a single frame, how long it is shown."""
    return max(sample.footage.time(sample.footage.frames - 1), 1 / sample.footage.fps)


def _sums(arrays: Arrays, times: Timeline) -> np.ndarray:
    """(N, 4, P) additive counts: right and scored of those that run, and the same with ended ones kept."""
    prob, known = chances(arrays, times)
    hits, run = right(prob, arrays["target"]), running(arrays, times)
    return np.stack([hits & run, run, hits & known, known], axis=1).astype(float)


def _curves(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Accuracies (..., P) of sums (4, ..., P): of those that run, and with ended ones kept."""
    return share(sums[0], sums[1]), share(sums[2], sums[3])


def _first(times: Timeline, reached: np.ndarray) -> float:
    """The first point that is reached; NaN where none is."""
    return float(times.at[reached.argmax()]) if reached.any() else float("nan")


def _at_point(arrays: Arrays, times: Timeline, hours: float, part: float) -> tuple[np.ndarray, np.ndarray] | None:
    """Whether each running sample is of class 1, and its chance, at a point; None where there is no such point."""
    point = times.nearest(hours) if times.unit == "hours" else int(np.searchsorted(times.at, part - 1e-6))
    if not 0 <= point < len(times.at):
        return None
    run = running(arrays, times)[:, point]
    return (arrays["target"] == 1)[run], chances(arrays, times)[0][run, point]


def _roc_auc(arrays: Arrays, times: Timeline, hours: float, part: float) -> float:
    found = _at_point(arrays, times, hours, part)
    return float("nan") if found is None else rank_auc(*found)


def _plain(values: np.ndarray) -> list[float | None]:
    return [None if value != value else value for value in np.asarray(values, float).tolist()]


def _mean(rows: Sequence[Sequence[float | None]], length: int) -> list[float]:
    """Means over cells at each place; cells whose curves are shorter are not in those of the rest."""
    padded = [[*(np.nan if v is None else v for v in row), *[np.nan] * (length - len(row))] for row in rows]
    found: list[float] = nan_mean(np.transpose(padded)).tolist()
    return found
