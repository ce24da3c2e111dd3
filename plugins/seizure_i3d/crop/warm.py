"""Where a body is in thermal frames that are too coarse for a detector: the counterpart of the paper's crop."""

from __future__ import annotations

import numpy as np

from vidsuite_core.samples import Box

LABEL = "warm"
SHARE = 0.4
"""Of the greatest excess over the room: what is warmer belongs to the body. A body's edge pixels are half body."""


def excess(clip: np.ndarray) -> np.ndarray:
    """How much warmer than its frame's median each pixel is: uint8 (T, H, W, C) -> float32 (T, H, W)."""
    grey = clip.mean(axis=3, dtype=np.float32)
    above: np.ndarray = (grey - np.median(grey, axis=(1, 2), keepdims=True)).clip(0)
    return above


def warm_box(clip: np.ndarray) -> Box | None:
    """The smallest box that holds what is warm in any frame of a clip, uint8 (T, H, W, C); None where nothing is."""
    most = excess(clip).max(axis=0)
    if not most.any():
        return None
    rows, columns = np.nonzero(most > SHARE * most.max())
    return float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1)
