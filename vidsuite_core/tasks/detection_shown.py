"""What `action_detection` shows beside its scores: kinds of errors, conventions side by side, curves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vidsuite_core.tasks.detection_errors import CONFIDENCE, KINDS, judged
from vidsuite_core.tasks.detection_matching import CONVENTIONS, Ranked, Scene, average_precisions, mean_of, ranked
from vidsuite_core.tasks.shown import Lines, Table

CURVE_POINTS = 100
"""Points of a curve that are kept."""


def errors(scenes: Sequence[Scene]) -> Table:
    """How many detections are of each kind, and how many true boxes are missed, summed over cells."""
    found = [judged(scene) for scene in scenes]
    counts = np.sum([np.bincount(one.kind, minlength=len(KINDS)) for one in found], axis=0)
    missed = sum(int((~one.found).sum()) for one in found)
    confident, true = max(int(counts.sum()), 1), max(sum(len(one.found) for one in found), 1)
    rows: list[tuple[str | float | None, ...]] = [
        (kind, str(n), n / confident) for kind, n in zip(KINDS, counts.tolist(), strict=True)
    ]
    rows.append(("missed true boxes", str(missed), missed / true))
    caption = f"Of detections with a confidence of at least {CONFIDENCE}, at IoU 0.5, summed over cells; after TIDE"
    return Table("errors", "What detections are", ("Kind", "Number", "Share"), rows, caption)


def conventions(scenes: Sequence[Scene]) -> Table:
    """frame-mAP of the same predictions by each convention, the mean over cells."""
    rows: list[tuple[str | float | None, ...]] = []
    for name, one in CONVENTIONS.items():
        means = [mean_of(average_precisions(ranked(scene, one), one.average)) for scene in scenes]
        rows.append((name, one.source, mean_of(np.array(means))))
    caption = "The same predictions as other evaluators count them, mean over cells; peers of one paper must share one"
    return Table("conventions", "frame-mAP @0.5 by convention", ("Convention", "Source", "frame-mAP"), rows, caption)


def curves(scenes: Sequence[Scene], classes: Sequence[str]) -> list[Lines]:
    """Precision over recall of each class that has a true box, the cells' detections pooled."""
    found = [ranked(scene, CONVENTIONS["voc"]) for scene in scenes]
    lines = []
    for label, name in enumerate(classes):
        positives = sum(int(one.positives[label]) for one in found)
        if positives:
            lines.append((name, _curve(scenes, found, label, positives)))
    lines = [(name, points) for name, points in lines if len(points) > 1]
    caption = "At IoU 0.5, detections pooled over cells."
    return [Lines("curves", "Precision over recall", "recall", "precision", lines, caption)] if lines else []


def _curve(scenes: Sequence[Scene], found: Sequence[Ranked], label: int, positives: int) -> list[tuple[float, float]]:
    """At most `CURVE_POINTS` of recall and precision as the threshold falls."""
    parts = [one.of_class(label) for one in found]
    score = np.concatenate([s.score[one.rows[p]] for s, one, p in zip(scenes, found, parts, strict=True)])
    right = np.concatenate([one.right[p] for one, p in zip(found, parts, strict=True)])
    hits = np.cumsum(right[np.argsort(-score, kind="stable")])
    precision = hits / np.arange(1, len(hits) + 1)
    thin = np.unique(np.linspace(0, len(hits) - 1, min(len(hits), CURVE_POINTS)).round().astype(int))
    return list(zip((hits[thin] / positives).round(4).tolist(), precision[thin].round(4).tolist(), strict=True))
