"""Painter's order: which objects to draw first so that nearer ones end up in front."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vidsuite_plugins.driving_fanet.synthetic.mesh import Floats, Ints


def painters_order(low: Floats, high: Floats, eye: Floats, screen: Floats) -> Ints:
    """Rank (O,) of each object, 0 to be drawn first.

    Two boxes that a plane across an axis separates cannot be drawn wrongly: what lies on the eye's side of the plane
    comes later. Where no such plane exists (the boxes overlap), or where objects hide one another in a circle, the
    farther one comes first.

    Args:
        low, high: bounding boxes (O, 3).
        eye: where they are seen from (3,).
        screen: what each covers of the image (O, 4): left, top, right, bottom.
    """
    count = len(low)
    free = np.zeros((count, count), dtype=bool)
    apart = np.zeros((count, count), dtype=bool)
    for axis in range(3):
        bottom, top = low[:, axis].astype(np.float32), high[:, axis].astype(np.float32)
        before = top[:, None] <= bottom + np.float32(1e-4)
        apart |= before
        apart |= before.T
        # Row object before the column one along the axis, the eye not behind the plane between them: it is not hidden.
        free |= before & (eye[axis] <= bottom)
        free |= before.T & (eye[axis] >= top)
    distance = np.linalg.norm((low + high) / 2 - eye, axis=-1)
    free |= ~apart & (distance[:, None] < distance[None, :])
    left, above, right, below = screen.astype(np.float32).T
    meet = left[:, None] < right
    meet &= above[:, None] < below
    meet &= meet.T
    # waits[i, j]: j must be drawn before i, as i may hide it and it cannot hide i.
    waits = free & ~free.T
    waits &= meet
    return _peel(waits, distance)


def _peel(waits: NDArray[np.bool_], distance: Floats) -> Ints:
    count = len(waits)
    pending, left = waits.sum(1), np.ones(count, dtype=bool)
    rank, done = np.empty(count, dtype=np.int64), 0
    while done < count:
        ready = np.flatnonzero(left & (pending == 0))
        if len(ready) == 0:
            ready = np.array([np.argmax(np.where(left, distance, -1))])
        rank[ready] = done + np.arange(len(ready))
        done += len(ready)
        left[ready] = False
        pending -= waits[:, ready].sum(1)
    return rank
