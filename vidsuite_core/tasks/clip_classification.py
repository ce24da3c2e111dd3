"""`clip_classification`: one class for a clip, scored at clip, recording and subject level.

Stored arrays: `target` (N,) integer, `prob` (N, K) float with rows that sum to 1. The predicted class is the
most probable one. A recording's (subject's) probability is the mean of its clips', and its class theirs; where
clips of one recording (subject) differ in class, each class of it counts as a unit of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.tasks.base import ScoreInfo, Task, check_samples, require, resample_sums

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
    """Scores of scikit-learn on stored probabilities; averages over classes are macro averages.

    A class that a fold's targets lack counts 0 in the macro averages, as in scikit-learn with
    `zero_division=0`; AUC, which needs two classes, is NaN there. With K > 2 classes AUC is the mean of
    the one-against-rest AUCs.
    """

    name = "clip_classification"
    version = 1
    first_score = "macro_f1"
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
            measures = _measures(target, prob, len(self.classes))
            scores |= {f"{level}/{name}" if level else name: value for name, value in measures.items()}
        return scores

    def details(self, arrays: Arrays) -> dict[str, Any]:
        """Per-class precision, recall, F1 and support, and the confusion matrix (rows: true class)."""
        from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

        target, prob = arrays["target"], arrays["prob"]
        labels = range(len(self.classes))
        table = precision_recall_fscore_support(target, prob.argmax(1), labels=labels, zero_division=0)
        names = ("precision", "recall", "f1", "support")
        return {
            "per_class": {
                label: {n: float(row[i]) for n, row in zip(names, table, strict=True)}
                for i, label in enumerate(self.classes)
            },
            "confusion": confusion_matrix(target, prob.argmax(1), labels=labels).tolist(),
        }

    def resample(self, folds: Sequence[Arrays], draws: int, seed: int) -> np.ndarray:
        """See `Task.resample`; subjects are drawn within their class, so that no draw loses a class."""
        import numpy as np

        rng = np.random.default_rng(seed)
        total = np.zeros(draws)
        for arrays in folds:
            counts = _hits_and_sizes(arrays["target"], arrays["prob"])
            total += _macro_f1(resample_sums(counts, arrays["subject"], arrays["target"], draws, rng))
        return total / len(folds)


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


def _measures(target: np.ndarray, prob: np.ndarray, classes: int) -> dict[str, float]:
    from sklearn.metrics import accuracy_score, precision_recall_fscore_support

    predicted = prob.argmax(1)
    precision, recall, f1, _ = precision_recall_fscore_support(
        target, predicted, labels=range(classes), average="macro", zero_division=0
    )
    return {
        "macro_f1": float(f1),
        "precision": float(precision),
        "recall": float(recall),
        "auc": _auc(target, prob),
        "accuracy": float(accuracy_score(target, predicted)),
    }


def _auc(target: np.ndarray, prob: np.ndarray) -> float:
    import numpy as np
    from sklearn.metrics import roc_auc_score

    columns = [1] if prob.shape[1] == 2 else range(prob.shape[1])
    if any(len(np.unique(target == k)) < 2 for k in columns):
        return float("nan")
    return float(np.mean([roc_auc_score(target == k, prob[:, k]) for k in columns]))


def _hits_and_sizes(target: np.ndarray, prob: np.ndarray) -> np.ndarray:
    """(N, 2, K) additive counts behind F1: right predictions, and class members plus predictions."""
    import numpy as np

    rows, predicted = np.arange(len(target)), prob.argmax(1)
    counts = np.zeros((len(target), 2, prob.shape[1]))
    counts[rows, 0, target] = target == predicted
    counts[rows, 1, target] += 1
    counts[rows, 1, predicted] += 1
    return counts


def _macro_f1(counts: np.ndarray) -> np.ndarray:
    """Macro F1 (...) of counts (..., 2, K); 0 for a class without samples and predictions."""
    import numpy as np

    hits, sizes = counts[..., 0, :], counts[..., 1, :]
    return np.where(sizes > 0, 2 * hits / np.maximum(sizes, 1), 0).mean(-1)
