"""`early_prediction`: one class, predicted again at each moment as more is seen.

Stored arrays: `target` (N,) 0 or 1, `counts` (N, T) bool (which moments count; padded ones do not),
`prob` (N, T) float, the probability of class 1 at each moment. First score: area under the accuracy curve.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.tasks.base import ScoreInfo, Task, check_samples, require, unit_sums
from vidsuite_core.tasks.segmentation_counts import nan_mean
from vidsuite_core.tasks.shown import Lines, Shown

if TYPE_CHECKING:
    from vidsuite_core.media.overlay import RGB
    from vidsuite_core.samples import MomentsSample
    from vidsuite_core.tasks.base import Arrays


class EarlyPrediction(Task):
    """Accuracy at each moment (threshold 0.5) and the area under its curve.

    The area is the trapezoid sum over T moments at unit spacing divided by T, the form that reproduces the
    published tables of blastocyst AMSNet from their own accuracies (so a perfect curve scores (T - 1) / T).
    """

    name = "early_prediction"
    version = 1
    first_score = "accuracy_auc"
    streamer = "vidsuite_core.engine.streaming:MomentStreamer"
    scores: ClassVar[tuple[ScoreInfo, ...]] = (
        ScoreInfo("accuracy_auc", "AUC of the accuracy curve"),
        ScoreInfo("final_accuracy", "accuracy at the last moment"),
    )

    def targets(self, samples: Sequence[Any]) -> dict[str, np.ndarray]:
        """`target` (N,) and `counts` (N, T) from each sample's `label` and `counts`."""
        return {
            "target": np.array([sample.label for sample in samples], dtype=np.int64),
            "counts": np.stack([np.asarray(sample.counts, dtype=bool) for sample in samples]),
        }

    def predictions(self, outputs: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
        """`prob` (N, T) float32 from each output's `pred_score` (T,)."""
        return {"prob": np.stack([np.asarray(output["pred_score"], dtype=np.float32) for output in outputs])}

    def check(self, arrays: Arrays) -> None:
        """See `Task.check`."""
        count = check_samples(arrays)
        target = require(arrays, "target", "iu", count)
        prob = require(arrays, "prob", "f", count, None)
        require(arrays, "counts", "b", count, prob.shape[1])
        if count == 0 or prob.shape[1] < 2:
            raise VidsuiteError("predictions hold no sample, or fewer than two moments")
        if not np.isin(target, (0, 1)).all() or not np.isfinite(prob).all() or prob.min() < 0 or prob.max() > 1:
            raise VidsuiteError("predictions need targets 0 or 1 and probabilities in [0, 1]")

    def score(self, arrays: Arrays) -> dict[str, float]:
        """The area under the accuracy curve, and the accuracy at the last moment; NaN where no sample counts."""
        sums = _right_and_counted(arrays).sum(0)
        return {"accuracy_auc": float(_area(sums)), "final_accuracy": float(_curve(sums)[-1])}

    def details(self, arrays: Arrays) -> dict[str, Any]:
        """The accuracy at each moment; None where no sample counts."""
        right, counted = _right_and_counted(arrays).sum(0)
        return {"curve": [float(r / c) if c else None for r, c in zip(right, counted, strict=True)]}

    def shown(self, cells: Sequence[Arrays]) -> list[Shown]:
        """See `Task.shown`: accuracy at each moment, the mean over cells."""
        found = nan_mean(np.transpose([_curve(_right_and_counted(arrays).sum(0)) for arrays in cells]))
        points = [(float(moment), value) for moment, value in enumerate(found.tolist(), 1) if value == value]
        caption = "Mean over cells at each moment of a sample."
        title = "Accuracy against time observed"
        return [Lines("over-time", title, "moment observed", "accuracy", [("accuracy", points)], caption)]

    def truth(self, arrays: Arrays) -> Arrays:
        """See `Task.truth`: classes, and the moments that count."""
        return {name: arrays[name] for name in ("target", "counts")}

    def leave_one_out(self, arrays: Arrays) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """See `Task.leave_one_out`."""
        names, sums = unit_sums(_right_and_counted(arrays), arrays["subject"])
        rest = sums.sum(0) - sums
        return names, {"accuracy_auc": _area(rest), "final_accuracy": _curve(rest)[:, -1]}

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


def _right_and_counted(arrays: Arrays) -> np.ndarray:
    """(N, 2, T) additive counts: right predictions, and predictions that count."""
    counts = arrays["counts"]
    right = ((arrays["prob"] > 0.5) == (arrays["target"] == 1)[:, None]) & counts
    return np.stack([right, counts], axis=1).astype(float)


def _area(sums: np.ndarray) -> np.ndarray:
    """(...) areas of sums (..., 2, T); NaN where a moment has no sample that counts."""
    curve = _curve(sums)
    return np.trapezoid(curve, axis=-1) / curve.shape[-1]


def _curve(sums: np.ndarray) -> np.ndarray:
    """(..., T) accuracies from sums (..., 2, T)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums[..., 0, :] / sums[..., 1, :]
