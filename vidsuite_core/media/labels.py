"""Label maps of frames, as files hold them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.media.base import MAX_FRAME_PIXELS
from vidsuite_core.samples import VOID, FrameSample


def read_labels(sample: FrameSample) -> np.ndarray:
    """The label map (H, W) uint8 of classes, 255 where void.

    Raises:
        VidsuiteError: it is kept back, or the file is missing, no PNG of one channel, or too large.
    """
    if sample.labels is None:
        raise VidsuiteError(f"the label map of sample {sample.id!r} is kept back")
    labels = cv2.imread(str(sample.labels), cv2.IMREAD_UNCHANGED) if sample.labels.is_file() else None
    if labels is None or labels.ndim != 2 or labels.dtype not in (np.uint8, np.uint16):
        raise VidsuiteError(f"{sample.labels}: no readable label map (8 or 16 bit grey PNG); check or import it again")
    if labels.size > MAX_FRAME_PIXELS:
        raise VidsuiteError(f"{sample.labels}: larger than {MAX_FRAME_PIXELS} pixels")
    if sample.label_of is not None:
        labels = _table(tuple(sorted(sample.label_of.items())))[labels]
    elif labels.dtype != np.uint8:
        labels = np.where(labels < VOID, labels, VOID).astype(np.uint8)
    return labels


def resize_labels(labels: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """A label map (h, w) at `size` (width, height): each pixel's label is that at its centre.

    OpenCV's plain INTER_NEAREST takes the pixel half a pixel above and left of that, beside frames averaged by area.
    """
    if labels.shape[::-1] == tuple(size):
        return labels
    return cv2.resize(labels, tuple(size), interpolation=cv2.INTER_NEAREST_EXACT)


@lru_cache(maxsize=16)
def _table(label_of: tuple[tuple[int, int], ...]) -> np.ndarray:
    table = np.full(2**16, VOID, np.uint8)
    for value, label in label_of:
        table[value] = label
    return table
