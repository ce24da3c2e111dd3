"""Counts of a frame's pixels, which are all that `video_segmentation` stores of it, and IoU from sums of them.

Label maps are uint8 (H, W): K classes from 0, at most 255 of them, and `VOID` in the truth for pixels that count
nowhere. A prediction has no void.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vidsuite_core.samples import VOID

TOLERANCE = 0.0075
"""Share of the image's diagonal within which a boundary pixel is matched (Csurka et al., BMVC 2013)."""

_EXACT = 2**24
"""Pixels that cv2.calcHist, whose counts are float32, counts exactly."""
_SPARSE = 1 / 4
"""Share of changed pixels beyond which counting the whole map anew is faster."""


def confusion(truth: np.ndarray, found: np.ndarray, classes: int) -> np.ndarray:
    """(K, K) int64 pixels by their true class (row) and predicted class (column), without void.

    Args:
        truth, found: uint8 label maps of one shape, of any number of dimensions.
    """
    import cv2

    total = np.zeros((classes, classes), np.int64)
    bins, ranges = [classes, classes], [0, classes, 0, classes]  # what lies outside, as void, is not counted
    truth, found = truth.reshape(-1), found.reshape(-1)
    for start in range(0, len(truth), _EXACT):
        part = slice(start, start + _EXACT)
        total += cv2.calcHist([truth[part], found[part]], [0, 1], None, bins, ranges).astype(np.int64)
    return total


def changed_pixels(newer: np.ndarray, older: np.ndarray) -> np.ndarray | None:
    """Where two maps (H, W) differ, as indices into the flat map; None where too many do to be worth a list."""
    changed = newer != older
    return np.flatnonzero(changed) if np.count_nonzero(changed) <= _SPARSE * changed.size else None


def lagged_confusions(
    truth: np.ndarray, maps: Sequence[np.ndarray], changes: Sequence[np.ndarray | None], classes: int
) -> np.ndarray:
    """(D + 1, K, K) int64: the confusion of a frame's truth with its own prediction and with the D earlier ones.

    Consecutive predictions mostly differ in few pixels, and then only these are counted again.

    Args:
        truth: the label map.
        maps: D + 1 predictions, the frame's own first, then backwards in time.
        changes: D times `changed_pixels` of two neighbours among `maps`.
    """
    counts = [confusion(truth, maps[0], classes)]
    for newer, older, places in zip(maps, maps[1:], changes, strict=False):
        if places is None:
            counts.append(confusion(truth, older, classes))
            continue
        true = truth.take(places)
        lost, won = (confusion(true, found.take(places), classes) for found in (newer, older))
        counts.append(counts[-1] - lost + won)
    return np.stack(counts)


def stable_counts(truth: np.ndarray, before: np.ndarray, found: np.ndarray, found_before: np.ndarray) -> np.ndarray:
    """(2,) pixels whose true class was the same a frame before, and those of them whose predicted class was, too.

    Args:
        truth, before: label maps (H, W) of the frame and of the previous one.
        found, found_before: their predictions.
    """
    still = (truth == before) & (truth != VOID)
    return np.array([np.count_nonzero(still), np.count_nonzero(still & (found == found_before))])


def boundary_counts(truth: np.ndarray, found: np.ndarray, classes: int, tolerance: float = TOLERANCE) -> np.ndarray:
    """(K, 4) int64 boundary pixels of each class: predicted and matched, predicted, true and matched, true.

    A class's boundary are its pixels beside (4 neighbours) one of another class; the image's edge makes none, nor does
    void, as prediction and truth are both void there. A pixel is matched where the other map has a boundary pixel of
    its class nearer than the tolerance: the counts behind precision and recall of Csurka et al., BMVC 2013.

    Args:
        truth, found: label maps (H, W).
        tolerance: distance as a share of the diagonal.
    """
    import cv2

    seen = cv2.max(found, cv2.threshold(truth, VOID - 1, VOID, cv2.THRESH_TOZERO)[1])
    widths = _half_widths(tolerance * float(np.hypot(*truth.shape)))
    ours, theirs = _boundary(seen), _boundary(truth)
    columns = []
    for one, other in ((ours, theirs), (theirs, ours)):
        matched = np.zeros(len(one.label), bool)
        for first in range(0, classes, 64):  # as many as one integer has bits
            mine, members = one.classes(first, min(first + 64, classes))
            matched[members] = _near(mine, other.classes(first, min(first + 64, classes))[0], truth.shape, widths)
        columns += [np.bincount(one.label[matched], minlength=classes), np.bincount(one.label, minlength=classes)]
    return np.stack(columns, axis=1)


@dataclass(frozen=True)
class _Boundary:
    """Boundary pixels of all classes: `place` in the flat map, and `label` of each."""

    place: np.ndarray
    label: np.ndarray

    def classes(self, first: int, stop: int) -> tuple[_Boundary, np.ndarray]:
        """Those of classes [first, stop), counted from 0, and which of all they are."""
        members = (self.label >= first) & (self.label < stop)
        return _Boundary(self.place[members], self.label[members] - first), members


def _boundary(labels: np.ndarray) -> _Boundary:
    edge = np.zeros(labels.shape, bool)
    for here, there in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        one, other = labels[here], labels[there]
        differ = (one != other) & (one != VOID) & (other != VOID)
        edge[here] |= differ
        edge[there] |= differ
    place = np.flatnonzero(edge)
    return _Boundary(place, labels.reshape(-1)[place])


def _half_widths(radius: float) -> list[int]:
    """How far a disk of points nearer than `radius` reaches to either side, in its middle row and those below it."""
    square = max(radius**2 - 1e-9, 0)  # points at the radius itself are out, whatever its rounding
    return [int(np.sqrt(square - row**2)) for row in range(int(np.sqrt(square)) + 1)]


def _near(one: _Boundary, other: _Boundary, shape: tuple[int, ...], widths: Sequence[int]) -> np.ndarray:
    """Which pixels of `one` have in `other` a pixel of their class in the disk of `widths`; at most 64 classes.

    `plane` has a bit for each class that is found in a window of so many pixels to the right. The window grows, by
    joining two that overlap, through the widths of the disk's rows, each looked up when it is reached.
    """
    bits = int(max(one.label.max(initial=0), other.label.max(initial=0))) + 1
    kind = np.dtype(next(kind for kind in ("u1", "u2", "u4", "u8") if bits <= 8 * int(kind[1])))
    margin = len(widths) - 1
    stride = shape[1] + margin  # no window reaches from one row into the next

    def flat(place: np.ndarray) -> np.ndarray:
        row, column = np.divmod(place, shape[1])
        moved: np.ndarray = (row + margin) * stride + column + margin
        return moved

    plane = np.zeros((shape[0] + 2 * margin) * stride + margin, kind)
    plane[flat(other.place)] = np.left_shift(kind.type(1), other.label.astype(kind))
    spare, centre, found, window = np.empty_like(plane), flat(one.place), np.zeros(len(one.place), kind), 1
    for row in sorted(range(len(widths)), key=widths.__getitem__):
        while window < 2 * widths[row] + 1:
            step = min(window, 2 * widths[row] + 1 - window)
            np.bitwise_or(plane[:-step], plane[step:], out=spare[:-step])
            spare[-step:] = plane[-step:]
            plane, spare, window = spare, plane, window + step
        for start in {-row, row}:
            found |= plane.take(centre - widths[row] + start * stride)
    near: np.ndarray = (found >> one.label.astype(kind)) & kind.type(1) != 0
    return near


def centres(labels: np.ndarray, step: int = 8) -> np.ndarray:
    """Of a label map (H, W) the labels at the centres of cells of step x step pixels: (ceil(H / step), ceil(W / step)).

    The same places as torch's "nearest-exact" interpolation to that size takes.
    """
    places = [((np.arange(-(-n // step)) + 0.5) * (n / -(-n // step))).astype(int) for n in labels.shape]
    found: np.ndarray = labels[np.ix_(*places)]
    return found


def class_counts(confusion: np.ndarray) -> np.ndarray:
    """(..., 3, K) float: pixels hit, true and predicted of each class, from counts (..., K, K)."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    return np.stack([hits, confusion.sum(-1), confusion.sum(-2)], axis=-2).astype(float)


def class_iou(counts: np.ndarray) -> np.ndarray:
    """(..., K) intersection over union from counts (..., 3, K); NaN for a class neither true nor predicted."""
    hits, true, predicted = (counts[..., place, :] for place in range(3))
    union = true + predicted - hits
    return np.divide(hits, union, out=np.full_like(union, np.nan), where=union > 0)


def mean_iou(counts: np.ndarray) -> np.ndarray:
    """(...) means over the classes that are true or predicted; NaN where none is, as in a frame all void."""
    return nan_mean(class_iou(counts))


def boundary_f1(counts: np.ndarray) -> np.ndarray:
    """F1 (...) of boundary counts (..., 4) as in `boundary_counts`; NaN where there is no true boundary."""
    precision, recall = (ratio(counts[..., place], counts[..., place + 1]) for place in (0, 2))
    precision = np.nan_to_num(precision)  # nothing predicted
    both = precision + recall
    return np.divide(2 * precision * recall, both, out=np.where(both == 0, 0, np.nan), where=both > 0)


def nan_mean(values: np.ndarray) -> np.ndarray:
    """(...) means of what is not NaN along the last axis; NaN where all is."""
    known = ~np.isnan(values)
    return ratio(np.where(known, values, 0).sum(-1), known.sum(-1))


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, NaN where `whole` is 0 or NaN."""
    part, whole = np.asarray(part, float), np.asarray(whole, float)
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
