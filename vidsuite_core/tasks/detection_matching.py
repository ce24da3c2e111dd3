"""Which detections are right, and average precision: by the conventions of the evaluators that papers use.

They differ in what a second detection of one object counts, in a pixel, in how a curve is averaged, and in frames
without any true box; figures of one set of predictions differ by points between them, so each is named.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal

import numpy as np

from vidsuite_core.tasks.detection_boxes import Pairs, areas, first_of, frames, pairs, run_places

MATCHED = 0.5
"""IoU from which a detection is right."""
STRICT = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
"""IoU thresholds over which COCO averages."""
SIZES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
"""Areas in square pixels by which COCO divides objects, both ends included."""


@dataclass(frozen=True)
class Convention:
    """How an evaluator counts.

    Attributes:
        second: what is done with a detection whose best true box of its class is taken already: "false", or the best
            one that is "free" is looked for.
        average: "area" under the curve of precision that never rises, "101" points of it, or "trapezoids" under the
            plain curve from precision 1 at recall 0.
        pixel: added to widths and heights.
        empty: whether frames without any true box count (all their detections are false).
        limit: detections of a class in a frame that count, the most confident ones; 0 for all.
        source: whose it is.
    """

    second: Literal["false", "free"]
    average: Literal["area", "101", "trapezoids"]
    pixel: float = 0.0
    empty: bool = True
    limit: int = 0
    source: str = ""


CONVENTIONS = {
    "voc": Convention("false", "area", source="VOC 2010 on, as mmdet's eval_map"),
    "coco": Convention("free", "101", limit=100, source="pycocotools"),
    "yowo": Convention("false", "area", pixel=1, empty=False, source="YOWO's evaluation, which lists labelled frames"),
    "multisports": Convention("free", "trapezoids", pixel=1, source="MultiSports' evaluate.py, after ACT"),
    "ava": Convention("false", "area", source="ActivityNet's evaluation of AVA"),
}
"""In all of them classes without a true box are left out of the mean, and those that nothing predicts count 0."""


@dataclass(frozen=True)
class Scene:
    """N frames with G true boxes and M detections; see `detection_boxes`. Labels are indices below `classes`.

    What several measures need of it is computed once.
    """

    classes: int
    true_offset: np.ndarray
    true_box: np.ndarray
    true_label: np.ndarray
    offset: np.ndarray
    box: np.ndarray
    score: np.ndarray
    label: np.ndarray

    def pairs(self, pixel: float = 0.0, least: float = MATCHED) -> Pairs:
        """Detections with true boxes of their frame that overlap by at least `least`, of whatever classes."""
        return pairs(self.offset, self.box, self.true_offset, self.true_box, least=least, pixel=pixel)

    @property
    def positives(self) -> np.ndarray:
        """(K,) true boxes of each class."""
        return np.bincount(self.true_label, minlength=self.classes)

    @cached_property
    def frame(self) -> np.ndarray:
        """(M,) of each detection."""
        return frames(self.offset)

    @cached_property
    def order(self) -> np.ndarray:
        """(M,) detections by class, then falling score, then as stored."""
        return np.lexsort((-self.score, self.label))

    @cached_property
    def place(self) -> np.ndarray:
        """(M,) the place of each detection in `order`."""
        place = np.empty(len(self.order), np.int64)
        place[self.order] = np.arange(len(place))
        return place

    @cached_property
    def rival(self) -> np.ndarray:
        """(M,) how many detections of its frame and class are more confident than each."""
        group = self.frame[self.order] * self.classes + self.label[self.order]
        by_frame = self.order[np.argsort(group, kind="stable")]
        rival = np.empty(len(by_frame), np.int64)
        rival[by_frame] = run_places(first_of(self.frame[by_frame] * self.classes + self.label[by_frame]))
        return rival

    @cached_property
    def matches(self) -> Pairs:
        """Pairs of one class at an IoU of at least `MATCHED`."""
        return self._matches(0.0)

    @cached_property
    def wide_matches(self) -> Pairs:
        """The same where a box counts its last pixel."""
        return self._matches(1.0)

    def _matches(self, pixel: float) -> Pairs:
        found = self.pairs(pixel)
        return found.where(self.label[found.found] == self.true_label[found.true])


@dataclass(frozen=True)
class Ranked:
    """Detections that count, class by class and by falling score: rows (m,), and whether each is right (m,).

    `starts` (K + 1,) are where classes begin, `positives` (K,) their true boxes.
    """

    rows: np.ndarray
    right: np.ndarray
    starts: np.ndarray
    positives: np.ndarray

    def of_class(self, label: int) -> slice:
        """The places of one class."""
        return slice(int(self.starts[label]), int(self.starts[label + 1]))


def ranked(
    scene: Scene, convention: Convention, threshold: float = MATCHED, size: tuple[float, float] | None = None
) -> Ranked:
    """The detections that count by a convention, and which of them are right.

    Args:
        threshold: IoU from which a detection is right, `MATCHED` or more.
        size: only true boxes with an area in this range count, as COCO does it: a detection that finds another one, or
            finds nothing and is of another size itself, does not count.
    """
    counts = np.ones(len(scene.label), bool)
    if not convention.empty:
        counts &= np.diff(scene.true_offset)[scene.frame] > 0
    if convention.limit:
        counts &= scene.rival < convention.limit
    usual = np.ones(len(scene.true_label), bool)
    if size is not None:
        of_true = areas(scene.true_box)
        usual = (of_true >= size[0]) & (of_true <= size[1])
    close = scene.wide_matches if convention.pixel else scene.matches
    close = close.where(counts[close.found])
    matched = (_free if convention.second == "free" else _best)(scene, close, threshold, usual)
    right = matched >= 0
    right[right] = usual[matched[right]]
    if size is not None:
        of_found = areas(scene.box)
        counts &= np.where(matched >= 0, right, (of_found >= size[0]) & (of_found <= size[1]))
    rows = scene.order[counts[scene.order]]
    starts = np.searchsorted(scene.label[rows], np.arange(scene.classes + 1))
    return Ranked(rows, right[rows], starts, np.bincount(scene.true_label[usual], minlength=scene.classes))


def _best(scene: Scene, close: Pairs, threshold: float, usual: np.ndarray) -> np.ndarray:
    """(M,) the true box that each detection finds: the one it overlaps most, unless a more confident one found it."""
    matched = np.full(len(scene.label), -1)
    first = np.lexsort((close.true, -close.iou, close.found))
    close = close.where(first[first_of(close.found[first])])
    close = close.where(close.iou >= threshold)
    by_true = np.lexsort((scene.place[close.found], close.true))
    won = by_true[first_of(close.true[by_true])]
    matched[close.found[won]] = close.true[won]
    return matched


def _free(scene: Scene, close: Pairs, threshold: float, usual: np.ndarray) -> np.ndarray:
    """(M,) the true box that each detection finds: of those that are free the one it overlaps most, usual ones first.

    Detections of different frames or classes cannot want the same, so the most confident of each choose at once, then
    the second of each, and so on.
    """
    matched, free = np.full(len(scene.label), -1), np.ones(len(usual), bool)
    close = close.where(close.iou >= threshold)
    turns = scene.rival[close.found]
    order = np.lexsort((close.true, close.iou, usual[close.true], close.found, turns))  # the best of each comes last
    close, turns = close.where(order), turns[order]
    bounds = np.append(np.flatnonzero(first_of(turns)), len(turns))
    for begin, end in pairwise(bounds.tolist()):
        left = begin + np.flatnonzero(free[close.true[begin:end]])
        last = left[np.append(np.diff(close.found[left]) != 0, True)] if len(left) else left
        matched[close.found[last]] = close.true[last]
        free[close.true[last]] = False
    return matched


def average_precisions(found: Ranked, average: str = "area") -> np.ndarray:
    """(K,) average precision of each class; NaN where it has no true box."""
    values = [
        _AVERAGES[average](found.right[found.of_class(label)], int(positives)) if positives else np.nan
        for label, positives in enumerate(found.positives)
    ]
    return np.array(values, np.float64)


def _area(right: np.ndarray, positives: int) -> float:
    return float(_envelope(right).sum() / positives)


def _envelope(right: np.ndarray) -> np.ndarray:
    """At each right detection, the highest precision from there on: what VOC's curve is made of."""
    places = np.flatnonzero(right)
    precision = np.arange(1, len(places) + 1) / (places + 1)
    return np.maximum.accumulate(precision[::-1])[::-1]


def _points(right: np.ndarray, positives: int) -> float:
    """The mean over 101 recalls of the highest precision from each on."""
    recall = np.arange(1, int(right.sum()) + 1) / positives
    precision = np.append(_envelope(right), 0.0)
    return float(precision[np.searchsorted(recall, np.linspace(0, 1, 101))].mean())


def _trapezoids(right: np.ndarray, positives: int) -> float:
    hits = np.cumsum(right)
    recall = np.append(0, hits / positives)
    precision = np.append(1, hits / np.arange(1, len(right) + 1))
    return float(np.trapezoid(precision, recall))


_AVERAGES = {"area": _area, "101": _points, "trapezoids": _trapezoids}


def mean_of(values: np.ndarray) -> float:
    """The mean of what is not NaN; NaN where all is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def means_without(found: Ranked, unit: np.ndarray, positives: np.ndarray) -> np.ndarray:
    """(U,) the mean over classes of the "area" average precision without each unit's detections and true boxes.

    Args:
        unit: (m,) of the ranked detections, below U.
        positives: (K, U) true boxes of each class and unit.
    """
    total, classes = np.zeros(positives.shape[1]), np.zeros(positives.shape[1])
    for label, of_units in enumerate(positives):
        rest = of_units.sum() - of_units
        part = found.of_class(label)
        values = _areas_without(found.right[part], unit[part], rest)
        total += np.where(rest > 0, values, 0.0)
        classes += rest > 0
    return np.divide(total, classes, out=np.full(len(total), np.nan), where=classes > 0)


def _areas_without(right: np.ndarray, unit: np.ndarray, positives: np.ndarray) -> np.ndarray:
    """(U,) the area without each unit, whose other units have `positives` (U,) true boxes.

    Between two right detections precision falls, so that only right ones can be the highest from somewhere on.
    """
    hits = np.flatnonzero(right)
    plain = np.divide(_envelope(right).sum(), positives, out=np.zeros(len(positives)), where=positives > 0)
    places = np.argsort(unit, kind="stable")
    bounds = np.searchsorted(unit[places], np.arange(len(positives) + 1))
    for one in np.flatnonzero(np.diff(bounds)).tolist():
        own = places[bounds[one] : bounds[one + 1]]
        kept = hits[unit[hits] != one]
        gone = np.searchsorted(own, kept)
        precision = np.arange(1, len(kept) + 1) / (kept + 1 - gone)
        area = np.maximum.accumulate(precision[::-1]).sum()
        plain[one] = area / positives[one] if positives[one] else 0.0
    return plain
