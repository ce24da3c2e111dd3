"""Boxes of many frames in flat arrays: which belong to which frame, and which of a frame overlap.

A ragged array of N frames is kept as its rows, frame by frame, and `offset` (N + 1,): frame i has the rows
[offset[i], offset[i + 1]). Boxes are (n, 4) xyxy in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_BLOCK = 2**20
"""Detections whose pairs are looked at in one go."""


@dataclass(frozen=True)
class Pairs:
    """Detections and true boxes of one frame that overlap: rows of the former, of the latter, and their IoU, (P,) each.

    In the order of the detections' rows.
    """

    found: np.ndarray
    true: np.ndarray
    iou: np.ndarray

    def where(self, chosen: np.ndarray) -> Pairs:
        """Those that are chosen, (P,) bool or indices."""
        return Pairs(self.found[chosen], self.true[chosen], self.iou[chosen])


def offsets(sizes: Sequence[int] | np.ndarray) -> np.ndarray:
    """(N + 1,) int64 of N sizes."""
    return np.concatenate([[0], np.cumsum(np.asarray(sizes, np.int64))]).astype(np.int64)


def frames(offset: np.ndarray) -> np.ndarray:
    """(M,) the frame of each row."""
    return np.repeat(np.arange(len(offset) - 1), np.diff(offset))


def spans(starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """start, start + 1, ... of each start and size, one after the other."""
    ends = np.cumsum(sizes)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - sizes), sizes)


def taken(offset: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The offsets of the frames `rows` (indices), and which rows of boxes are theirs."""
    sizes = np.diff(offset)[rows]
    return offsets(sizes), spans(offset[:-1][rows], sizes)


def flattened(boxes: Sequence[Any], labels: Sequence[Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """offset, boxes (n, 4) float32 and labels (n,) int32 of each frame's boxes and labels."""
    none = [np.zeros((0, 4), np.float32)]
    box = np.concatenate([*none, *(np.asarray(rows, np.float32).reshape(-1, 4) for rows in boxes)])
    label = np.concatenate([np.zeros(0, np.int32), *(np.asarray(rows, np.int32).reshape(-1) for rows in labels)])
    return offsets([len(rows) for rows in boxes]), box, label


def pairs(
    offset: np.ndarray, box: np.ndarray, true_offset: np.ndarray, true_box: np.ndarray, *, least: float, pixel: float
) -> Pairs:
    """Every detection with every true box of its frame whose IoU is above 0 and at least `least`.

    Args:
        pixel: added to widths and heights; 1 where a box counts its last pixel.
    """
    frame = frames(offset)
    start, count = true_offset[:-1][frame], np.diff(true_offset)[frame]
    parts = []
    for begin in range(0, len(frame), _BLOCK):
        part = slice(begin, begin + _BLOCK)
        found = np.repeat(np.arange(begin, begin + len(count[part])), count[part])
        true = spans(start[part], count[part])
        overlap = iou(box[found], true_box[true], pixel)
        kept = (overlap > 0) & (overlap >= least)
        parts.append((found[kept], true[kept], overlap[kept]))
    if not parts:
        return Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    return Pairs(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def areas(box: np.ndarray, pixel: float = 0.0) -> np.ndarray:
    """(...) areas of boxes (..., 4); 0 of those that are turned inside out."""
    wide, high = box[..., 2] - box[..., 0] + pixel, box[..., 3] - box[..., 1] + pixel
    return np.maximum(wide, 0) * np.maximum(high, 0)


def iou(one: np.ndarray, other: np.ndarray, pixel: float = 0.0) -> np.ndarray:
    """(...) overlaps of boxes (..., 4), which are broadcast, in their type; 0 where both are empty."""
    wide = np.minimum(one[..., 2], other[..., 2]) - np.maximum(one[..., 0], other[..., 0])
    high = np.minimum(one[..., 3], other[..., 3]) - np.maximum(one[..., 1], other[..., 1])
    both = np.maximum(wide + pixel, 0) * np.maximum(high + pixel, 0)
    either = areas(one, pixel) + areas(other, pixel) - both
    return np.divide(both, either, out=np.zeros_like(both), where=either > 0)


def first_of(keys: np.ndarray) -> np.ndarray:
    """(n,) bool: whether a key differs from the one before; `keys` (n,) are in order."""
    return np.concatenate([[True], keys[1:] != keys[:-1]]) if len(keys) else np.zeros(0, bool)


def run_places(begins: np.ndarray) -> np.ndarray:
    """(n,) places within runs that begin where `begins` (n,) is true."""
    places = np.arange(len(begins))
    return places - np.maximum.accumulate(np.where(begins, places, 0))
