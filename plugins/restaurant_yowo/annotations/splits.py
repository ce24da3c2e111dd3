"""The paper's two ways of dividing footage (sections 4.4 and 4.5): blocks of frames, and clips of actions.

Both divide *one* recording's frames, so that a test frame's neighbours can be in training. With blocks that is so at
their borders alone, `leak` says how often; it is what the paper did, for want of footage. A division by recording
leaks nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

BLOCK = 120
"""Frames of a block: 4 seconds at 30 frames a second (section 4.5)."""
PADDING = 30
"""Frames before and after a clip of continuous actions (section 4.4)."""
SHORTEST, LONGEST = 100, 1000
"""Frames of a clip (section 4.4)."""


def blocks(frames: int, rng: np.random.Generator, share: float = 0.2, length: int = BLOCK) -> np.ndarray:
    """Whether each frame is held back, (frames,): whole blocks of `length`, drawn at random."""
    count = -(-frames // length)
    held = np.zeros(count, dtype=bool)
    held[rng.permutation(count)[: round(share * count)]] = True
    return np.repeat(held, length)[:frames]


def leak(held: np.ndarray, reach: int) -> float:
    """The share of frames held back that have a training frame among the `reach` before or after them."""
    near = np.zeros_like(held)
    for distance in range(1, reach + 1):
        near[distance:] |= ~held[:-distance]
        near[:-distance] |= ~held[distance:]
    return float(near[held].mean()) if held.any() else 0.0


@dataclass(frozen=True)
class Clip:
    """Frames [start, stop) of a recording."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


def clips(busy: Sequence[bool] | np.ndarray, gap: int = PADDING) -> list[Clip]:
    """Clips of continuous action, padded by 30 frames on both sides; they may overlap.

    Breaks of up to `gap` frames are within a clip ("small breaks within a sequence"). Clips shorter than 100 frames are
    widened on both sides as far as the recording goes, and ones longer than 1000 are cut into equal parts.

    Args:
        busy: of each frame, whether an action is under way.
        gap: the longest break.
    """
    busy = np.asarray(busy, dtype=bool)
    at = np.flatnonzero(busy)
    if not len(at):
        return []
    parts = np.split(at, np.flatnonzero(np.diff(at) > gap + 1) + 1)
    found: list[Clip] = []
    for part in parts:
        start, stop = max(0, int(part[0]) - PADDING), min(len(busy), int(part[-1]) + 1 + PADDING)
        lacking = max(0, SHORTEST - (stop - start))
        start = max(0, start - -(-lacking // 2))
        stop = min(len(busy), max(stop, start + min(SHORTEST, len(busy))))
        start = max(0, min(start, stop - SHORTEST))
        count = -(-(stop - start) // LONGEST)
        edges = np.linspace(start, stop, count + 1).round().astype(int).tolist()
        found += [Clip(a, b) for a, b in pairwise(edges)]
    return found
