"""`clip_classification`: one class for a clip, scored at clip, recording and subject level.

Stored arrays: `target` (N,) integer, `prob` (N, K) float with rows that sum to 1. The predicted class is the
most probable one. A recording's (subject's) probability is the mean of its clips', and its class theirs; where
clips of one recording (subject) differ in class, each class of it counts as a unit of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.tasks.base import (
    Example,
    ScoreInfo,
    Task,
    check_samples,
    require,
    spread,
    unit_sums,
)
from vidsuite_core.tasks.shown import Shown, confusion, roc

if TYPE_CHECKING:
    from vidsuite_core.media.overlay import RGB
    from vidsuite_core.samples import ClipSample
    from vidsuite_core.tasks.base import Arrays

MAX_POOLED = 10_000
"""Predictions that are pooled into ROC curves."""
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
    streamer = "vidsuite_core.engine.streaming:ClipStreamer"
    answers = ("prob",)
    scores: ClassVar[tuple[ScoreInfo, ...]] = tuple(
        ScoreInfo(f"{level}/{m.name}", f"{m.title} ({level}s)", in_tables=False) if level else m
        for level in LEVELS
        for m in _MEASURES
    )

    def targets(self, samples: Sequence[ClipSample]) -> dict[str, np.ndarray]:
        """`target` (N,) int64."""
        return {"target": np.array([sample.label for sample in samples], dtype=np.int64)}

    def predictions(self, outputs: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
        """`prob` (N, K) float32 from each output's `pred_score` (K,), as mmaction2's recognizers name it."""
        rows = [np.asarray(output["pred_score"], dtype=np.float32) for output in outputs]
        return {"prob": np.stack(rows) if rows else np.zeros((0, len(self.classes)), np.float32)}

    def check(self, arrays: Arrays) -> None:
        """See `Task.check`; of probabilities `check_answers`."""
        self.check_answers(arrays)
        target = require(arrays, "target", "iu", len(arrays["sample_id"]))
        if ((target < 0) | (target >= len(self.classes))).any():
            raise VidsuiteError(f"predictions have a target outside the {len(self.classes)} classes")

    def check_answers(self, arrays: Arrays) -> None:
        """See `Task.check_answers`: probabilities are finite, within [0, 1] and sum to 1 within 1e-3."""
        count = check_samples(arrays)
        prob = require(arrays, "prob", "f", count, len(self.classes))
        if count == 0:
            raise VidsuiteError("predictions hold no sample")
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

    def shown(self, cells: Sequence[Arrays]) -> list[Shown]:
        """See `Task.shown`: the confusion matrix, and ROC curves of the second of two classes or of each."""
        counts = np.sum([self.details(arrays)["confusion"] for arrays in cells], axis=0)
        target, prob = (np.concatenate([arrays[name] for arrays in cells])[:MAX_POOLED] for name in ("target", "prob"))
        columns = [1] if prob.shape[1] == 2 else range(prob.shape[1])
        return [
            confusion(self.classes, counts),
            *roc([(self.classes[k], target == k, prob[:, k]) for k in columns]),
        ]

    def score_by_subject(self, arrays: Arrays) -> dict[str, float]:
        """The accuracy within each subject's clips."""
        subjects, index = np.unique(arrays["subject"], return_inverse=True)
        right = np.bincount(index.reshape(-1), arrays["target"] == arrays["prob"].argmax(1))
        return dict(zip(subjects.tolist(), (right / np.bincount(index.reshape(-1))).tolist(), strict=True))

    def examples(self, arrays: Arrays) -> list[Example]:
        """The most confident right and wrong predictions, of each recording one before any has two."""
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

    def leave_one_out(self, arrays: Arrays) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """See `Task.leave_one_out`: macro F1, precision, recall and AUC."""
        target, prob = _units(arrays, "")
        names, sums = unit_sums(_counts(target, prob), arrays["subject"])
        rest = sums.sum(0) - sums
        found = {**_macro_averages(rest), "auc": _auc_without(target, prob, arrays["subject"])}
        alone = rest[:, 1].sum(-1) == 0
        return names, {name: np.where(alone, np.nan, values) for name, values in found.items()}

    def class_use(self, arrays: Arrays) -> np.ndarray:
        """See `Task.class_use`."""
        target, prob = _units(arrays, "")
        return _counts(target, prob).sum(0)[[2, 1]]

    def draw(self, sample: ClipSample, prediction: Mapping[str, np.ndarray], palette: Sequence[RGB]) -> np.ndarray:
        """See `Task.draw`: frames of the clip over the classes' chances."""
        from vidsuite_core.tasks import drawing

        return drawing.clip_picture(sample, prediction, palette)

    def draw_on(
        self, frame: np.ndarray, prediction: Mapping[str, np.ndarray], palette: Sequence[RGB], opacity: float
    ) -> np.ndarray:
        """See `Task.draw_on`: the classes' chances as a bar."""
        from vidsuite_core.tasks import drawing

        return drawing.with_chances(frame, prediction["prob"], palette)


def _units(arrays: Arrays, level: str) -> tuple[np.ndarray, np.ndarray]:
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
    columns = [1] if prob.shape[1] == 2 else range(prob.shape[1])
    return float(np.mean([_one_auc(target == k, prob[:, k]) for k in columns]))


def _one_auc(positive: np.ndarray, score: np.ndarray) -> float:
    """The share of pairs of a positive and a negative that are ranked rightly, ties as halves; NaN without pairs."""
    pairs = int(positive.sum()) * int((~positive).sum())
    if not pairs:
        return float("nan")
    _, place, times = np.unique(score, return_inverse=True, return_counts=True)
    rank = np.cumsum(times) - (times - 1) / 2
    members = int(positive.sum())
    return float((rank[place.reshape(-1)[positive]].sum() - members * (members + 1) / 2) / pairs)


def _counts(target: np.ndarray, prob: np.ndarray) -> np.ndarray:
    """(N, 3, K) additive counts: right predictions, members and predictions of each class."""
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
    share: np.ndarray = np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)
    return share


def _auc_without(target: np.ndarray, prob: np.ndarray, subjects: np.ndarray) -> np.ndarray:
    """AUC (S,) without each of the sorted subjects; NaN where that leaves no pair."""
    _, index = np.unique(subjects, return_inverse=True)
    members = [np.flatnonzero(index == subject) for subject in range(index.max() + 1)]
    columns = [1] if prob.shape[1] == 2 else range(prob.shape[1])
    return np.mean([_one_auc_without(target == k, prob[:, k], index, members) for k in columns], axis=0)


def _one_auc_without(
    positive: np.ndarray, score: np.ndarray, index: np.ndarray, members: Sequence[np.ndarray]
) -> np.ndarray:
    """Pairs ranked rightly, less those that a subject takes part in; those within it are taken off once."""
    right = np.zeros(len(score))
    right[positive] = _beaten(score[~positive], score[positive])
    right[~positive] = len(score[positive]) - _beaten(score[positive], score[~positive])
    within = [_beaten(score[m][~positive[m]], score[m][positive[m]]).sum() for m in members]
    rest = right[positive].sum() - np.bincount(index, right) + within
    sizes = [side.sum() - np.bincount(index, side) for side in (positive, ~positive)]
    pairs = sizes[0] * sizes[1]
    return np.divide(rest, pairs, out=np.full(len(members), np.nan), where=pairs > 0)


def _beaten(others: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """How many of `others` are below each of `scores`, ties as halves."""
    ordered = np.sort(others)
    return (np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right")) / 2
