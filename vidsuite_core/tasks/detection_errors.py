"""What a detector gets wrong at a stated confidence: kinds of errors, and places and classes apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vidsuite_core.tasks.detection_boxes import Pairs, first_of
from vidsuite_core.tasks.detection_matching import CONVENTIONS, MATCHED, Scene, ranked

CONFIDENCE = 0.25
"""The confidence from which a detection counts here, as YOWO's evaluation has it."""
NEAR = 0.1
"""IoU below which a detection has nothing to do with a true box."""
KINDS = ("right", "wrong class", "wrong place", "wrong class and place", "twice", "background")
"""What a confident detection is, as Bolya et al. tell errors apart ("TIDE", ECCV 2020); a true box that no right one
finds is missed."""


@dataclass(frozen=True)
class Judged:
    """What is made of detections of at least `CONFIDENCE`, and of the true boxes.

    Attributes:
        rows: (m,) the detections, in the order in which they are stored.
        kind: (m,) index into `KINDS`.
        found: (G,) whether a right detection has the true box.
        located: (G,) whether the detection that overlaps a true box most, of whatever class, does so by more than 0.5.
        named: (G,) whether the class of that detection is right, too.
    """

    rows: np.ndarray
    kind: np.ndarray
    found: np.ndarray
    located: np.ndarray
    named: np.ndarray


def judged(scene: Scene) -> Judged:
    """See `Judged`; detections are right by VOC's rule."""
    near = scene.pairs(least=NEAR)
    near = near.where(scene.score[near.found] >= CONFIDENCE)
    same = scene.label[near.found] == scene.true_label[near.true]
    of_class, of_others = (_highest(near.where(side), len(scene.score)) for side in (same, ~same))
    right = np.zeros(len(scene.score), bool)
    order = ranked(scene, CONVENTIONS["voc"])
    right[order.rows] = order.right
    kind = np.select(
        [right, of_class >= MATCHED, of_others >= MATCHED, of_class >= NEAR, of_others >= NEAR],
        [KINDS.index(name) for name in ("right", "twice", "wrong class", "wrong place", "wrong class and place")],
        KINDS.index("background"),
    )
    rows = np.flatnonzero(scene.score >= CONFIDENCE)
    located, named = _overlapped(scene, near.where(near.iou > MATCHED))
    return Judged(rows, kind[rows], _found(scene, near.where(same), right), located, named)


def _highest(near: Pairs, count: int) -> np.ndarray:
    """(M,) the highest IoU of each detection; 0 of those without any."""
    best = np.zeros(count)
    np.maximum.at(best, near.found, near.iou)
    return best


def _found(scene: Scene, near: Pairs, right: np.ndarray) -> np.ndarray:
    """(G,) the true boxes that right detections overlap most among those of their class."""
    found = np.zeros(len(scene.true_label), bool)
    near = near.where(right[near.found])
    order = np.lexsort((near.true, -near.iou, near.found))
    found[near.true[order[first_of(near.found[order])]]] = True
    return found


def _overlapped(scene: Scene, near: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """(G,) each: whether a true box is overlapped, and whether by its class; of equal overlaps the most confident."""
    located, named = np.zeros(len(scene.true_label), bool), np.zeros(len(scene.true_label), bool)
    order = np.lexsort((-scene.score[near.found], -near.iou, near.true))
    best = near.where(order[first_of(near.true[order])])
    located[best.true] = True
    named[best.true] = scene.label[best.found] == scene.true_label[best.true]
    return located, named
