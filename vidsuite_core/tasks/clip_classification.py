"""`clip_classification`: one class for a clip, scored at clip, recording and subject level.

Stored arrays: `target` (N,) integer, `prob` (N, K) float with rows that sum to 1. The predicted class is the
most probable one. A recording's (subject's) probability is the mean of its clips', and its class theirs; where
clips of one recording (subject) differ in class, each class of it counts as a unit of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.tasks.base import (
    Example,
    ScoreInfo,
    Task,
    check_samples,
    draw_subjects,
    require,
    spread,
    subject_sums,
)

if TYPE_CHECKING:
    import numpy as np

    from vidsuite_core.samples import ClipSample
    from vidsuite_core.tasks.base import Arrays

LEVELS = ("", "recording", "subject")
"""Clips themselves, then their means over a recording and over a subject."""

_MEASURES = (
    ScoreInfo("macro_f1", "macro F1"),
    ScoreInfo("precision", "precision"),
    ScoreInfo("recall", "recall"),
    ScoreInfo("auc", "AUC"),
    ScoreInfo("accuracy", "accuracy", in_tables=False),
)


class ClipClassification(Task):
    """Macro averages over classes, AUC and accuracy of stored probabilities, as scikit-learn defines them.

    They are computed here, a hundred times as fast for the small folds of a benchmark; a test holds them equal.

    A class that a fold's targets lack counts 0 in the macro averages, as in scikit-learn with
    `zero_division=0`; AUC, which needs two classes, is NaN there. With K > 2 classes AUC is the mean of
    the one-against-rest AUCs.
    """

    name = "clip_classification"
    version = 1
    first_score = "macro_f1"
    subject_score = "accuracy"
    probabilities = "prob"
    scores: ClassVar[tuple[ScoreInfo, ...]] = tuple(
        ScoreInfo(f"{level}/{m.name}", f"{m.title} ({level}s)", in_tables=False) if level else m
        for level in LEVELS
        for m in _MEASURES
    )

    def targets(self, samples: Sequence[ClipSample]) -> dict[str, np.ndarray]:
        """`target` (N,) int64."""
        import numpy as np

        return {"target": np.array([sample.label for sample in samples], dtype=np.int64)}

    def predictions(self, outputs: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
        """`prob` (N, K) float32 from each output's `pred_score` (K,), as mmaction2's recognizers name it."""
        import numpy as np

        rows = [np.asarray(output["pred_score"], dtype=np.float32) for output in outputs]
        return {"prob": np.stack(rows) if rows else np.zeros((0, len(self.classes)), np.float32)}

    def check(self, arrays: Arrays) -> None:
        """See `Task.check`: probabilities are finite, within [0, 1] and sum to 1 within 1e-3."""
        import numpy as np

        count = check_samples(arrays)
        target = require(arrays, "target", "iu", count)
        prob = require(arrays, "prob", "f", count, len(self.classes))
        if count == 0:
            raise VidsuiteError("predictions hold no sample")
        if ((target < 0) | (target >= len(self.classes))).any():
            raise VidsuiteError(f"predictions have a target outside the {len(self.classes)} classes")
        sound = np.isfinite(prob).all() and (prob >= 0).all() and np.abs(prob.sum(axis=1) - 1).max() < 1e-3
        if not sound:
            raise VidsuiteError("predictions' probabilities are not finite numbers in [0, 1] that sum to 1")

    def score(self, arrays: Arrays) -> dict[str, float]:
        """All measures at all levels."""
        scores: dict[str, float] = {}
        for level in LEVELS:
            target, prob = _units(arrays, level)
            measures = _measures(target, prob)
            scores |= {f"{level}/{name}" if level else name: value for name, value in measures.items()}
        return scores

    def details(self, arrays: Arrays) -> dict[str, Any]:
        """Per-class precision, recall, F1 and support, and the confusion matrix (rows: true class)."""
        import numpy as np

        target, prob = _units(arrays, "")
        hits, members, predictions = _counts(target, prob).sum(0)
        table = {
            "precision": _share(hits, predictions),
            "recall": _share(hits, members),
            "f1": _share(2 * hits, members + predictions),
            "support": members,
        }
        classes = len(self.classes)
        pairs = np.bincount(target * classes + prob.argmax(1), minlength=classes**2)
        return {
            "per_class": {
                label: {name: float(row[i]) for name, row in table.items()} for i, label in enumerate(self.classes)
            },
            "confusion": pairs.reshape(classes, classes).tolist(),
        }

    def score_by_subject(self, arrays: Arrays) -> dict[str, float]:
        """The accuracy within each subject's clips."""
        import numpy as np

        subjects, index = np.unique(arrays["subject"], return_inverse=True)
        right = np.bincount(index.reshape(-1), arrays["target"] == arrays["prob"].argmax(1))
        return dict(zip(subjects.tolist(), (right / np.bincount(index.reshape(-1))).tolist(), strict=True))

    def examples(self, arrays: Arrays) -> list[Example]:
        """The most confident right and wrong predictions, of each recording one before any has two."""
        import numpy as np

        target, prob = arrays["target"].astype(np.int64), arrays["prob"]
        predicted = prob.argmax(1)
        order = np.lexsort((arrays["sample_id"], -prob.max(1)))
        examples = []
        for group, members in (("right", predicted == target), ("wrong", predicted != target)):
            for index in spread(order[members[order]].tolist(), arrays["recording"]):
                true, found = (self.classes[labels[index]] for labels in (target, predicted))
                caption = f"true: {true}, predicted: {found} ({prob[index].max():.2f})"
                examples.append(Example(str(arrays["sample_id"][index]), group, caption))
        return examples

    def resample(self, folds: Sequence[Arrays], draws: int, seed: int) -> np.ndarray:
        """See `Task.resample`; subjects are drawn within their class, so that no draw loses a class."""
        return self.resample_all(folds, draws, seed)[self.first_score]

    def resample_all(self, folds: Sequence[Arrays], draws: int, seed: int) -> dict[str, np.ndarray]:
        """Macro F1, precision, recall and AUC of the same draws; see `resample`."""
        import numpy as np

        rng = np.random.default_rng(seed)
        total = {name: np.zeros(draws) for name in ("macro_f1", "precision", "recall", "auc")}
        for arrays in folds:
            target, prob = _units(arrays, "")
            times, index = draw_subjects(arrays["subject"], target, draws, rng)
            sums = subject_sums(_counts(target, prob), index, times.shape[1])
            for name, values in _macro_averages(np.tensordot(times, sums, axes=1)).items():
                total[name] += values
            total["auc"] += _resampled_auc(target, prob, times, index)
        return {name: values / len(folds) for name, values in total.items()}


def _units(arrays: Arrays, level: str) -> tuple[np.ndarray, np.ndarray]:
    import numpy as np

    target, prob = arrays["target"].astype(np.int64), arrays["prob"]  # strangers may store another integer type
    if not level:
        return target, prob
    keys = np.stack([np.unique(arrays[level], return_inverse=True)[1], target], axis=1)
    units, index = np.unique(keys, axis=0, return_inverse=True)
    sums = np.zeros((len(units), prob.shape[1]))
    np.add.at(sums, index.reshape(-1), prob)
    return units[:, 1], sums / np.bincount(index.reshape(-1))[:, None]


def _measures(target: np.ndarray, prob: np.ndarray) -> dict[str, float]:
    averages = _macro_averages(_counts(target, prob).sum(0))
    return {
        **{name: float(value) for name, value in averages.items()},
        "auc": _auc(target, prob),
        "accuracy": float((target == prob.argmax(1)).mean()),
    }


def _auc(target: np.ndarray, prob: np.ndarray) -> float:
    import numpy as np

    columns = [1] if prob.shape[1] == 2 else range(prob.shape[1])
    return float(np.mean([_one_auc(target == k, prob[:, k]) for k in columns]))


def _one_auc(positive: np.ndarray, score: np.ndarray) -> float:
    """The share of pairs of a positive and a negative that are ranked rightly, ties as halves; NaN without pairs."""
    import numpy as np

    pairs = int(positive.sum()) * int((~positive).sum())
    if not pairs:
        return float("nan")
    _, place, times = np.unique(score, return_inverse=True, return_counts=True)
    rank = np.cumsum(times) - (times - 1) / 2
    members = int(positive.sum())
    return float((rank[place.reshape(-1)[positive]].sum() - members * (members + 1) / 2) / pairs)


def _counts(target: np.ndarray, prob: np.ndarray) -> np.ndarray:
    """(N, 3, K) additive counts: right predictions, members and predictions of each class."""
    import numpy as np

    rows, predicted = np.arange(len(target)), prob.argmax(1)
    counts = np.zeros((len(target), 3, prob.shape[1]))
    counts[rows, 0, target] = target == predicted
    counts[rows, 1, target] = 1
    counts[rows, 2, predicted] = 1
    return counts


def _macro_averages(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Macro F1, precision and recall (...) of counts (..., 3, K); a class that divides by nothing counts 0."""
    hits, members, predictions = (counts[..., i, :] for i in range(3))

    return {
        "macro_f1": _share(2 * hits, members + predictions).mean(-1),
        "precision": _share(hits, predictions).mean(-1),
        "recall": _share(hits, members).mean(-1),
    }


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """`part` of `whole`, 0 of nothing."""
    import numpy as np

    share: np.ndarray = np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)
    return share


def _resampled_auc(target: np.ndarray, prob: np.ndarray, times: np.ndarray, index: np.ndarray) -> np.ndarray:
    """AUC of each draw (draws,): pairs ranked rightly are counted once for each two subjects, then weighed."""
    import numpy as np

    columns = [1] if prob.shape[1] == 2 else range(prob.shape[1])
    total = np.zeros(len(times))
    for k in columns:
        positive = target == k
        right = _right_pairs(prob[:, k], positive, index, times.shape[1])
        sizes = [np.bincount(index[side], minlength=times.shape[1]) for side in (positive, ~positive)]
        with np.errstate(invalid="ignore", divide="ignore"):
            total += ((times @ right) * times).sum(1) / ((times @ sizes[0]) * (times @ sizes[1]))
    return total / len(columns)


def _right_pairs(score: np.ndarray, positive: np.ndarray, index: np.ndarray, subjects: int) -> np.ndarray:
    """(S, S): positives of the row's subject ranked above negatives of the column's subject, ties as halves."""
    import numpy as np

    pairs = np.zeros((subjects, subjects))
    for column in range(subjects):
        negatives = np.sort(score[~positive & (index == column)])
        below = np.searchsorted(negatives, score[positive], "left") + np.searchsorted(
            negatives, score[positive], "right"
        )
        pairs[:, column] = np.bincount(index[positive], below / 2, subjects)
    return pairs
