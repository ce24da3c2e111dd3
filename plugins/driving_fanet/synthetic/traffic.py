"""Moving vehicles: each drives round one block in the lane next to it, so that no two lanes ever meet."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vidsuite_plugins.driving_fanet.synthetic.mesh import Builder, Floats, Ints, Mesh
from vidsuite_plugins.driving_fanet.synthetic.shapes import Rect
from vidsuite_plugins.driving_fanet.synthetic.vehicles import add_vehicle

CORNER = 4.5
"""Radius of the lanes' corners, in metres."""

STEP = 0.2
"""Metres between the points of a loop."""


def lane_around(rect: Rect) -> tuple[Floats, Floats]:
    """The lane along a rectangle with rounded corners, driven clockwise (the block at the right hand).

    Returns:
        Points (n, 2) every `STEP` metres, and the direction of travel (n,) in radians.
    """
    west, south, east, north = rect
    inner = (west + CORNER, south + CORNER, east - CORNER, north - CORNER)
    outline = []
    for x, y, last in ((0, 3, 90.0), (2, 3, 0.0), (2, 1, -90.0), (0, 1, -180.0)):
        angles = np.radians(np.linspace(last + 90, last, 24))
        outline.append(np.column_stack([inner[x] + CORNER * np.cos(angles), inner[y] + CORNER * np.sin(angles)]))
    points = np.concatenate([*outline, outline[0][:1]])
    along = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    at = np.arange(0, along[-1] - STEP / 2, STEP)
    smooth = np.column_stack([np.interp(at, along, points[:, axis]) for axis in range(2)])
    ahead = np.roll(smooth, -1, axis=0) - np.roll(smooth, 1, axis=0)
    return smooth, np.arctan2(ahead[:, 1], ahead[:, 0])


@dataclass(frozen=True)
class Traffic:
    """Vehicles in motion.

    Attributes:
        mesh: each vehicle as an object in the origin, looking east.
        points, yaw: the lanes one after the other, as `lane_around` gives them.
        first, count: (O,), where each vehicle's lane begins in `points`, and how many are its.
        start: (O,), metres along the lane at time 0.
        speed: (O,), in m/s.
        present: (O,), whether it is there at all.
    """

    mesh: Mesh
    points: Floats
    yaw: Floats
    first: Ints
    count: Ints
    start: Floats
    speed: Floats
    present: NDArray[np.bool_]

    def at(self, time: float) -> tuple[Floats, Floats]:
        """Where the vehicles are at `time` (seconds): x, y, z (O, 3), and yaw (O,) in radians."""
        along = (self.start + self.speed * time) / STEP % self.count
        whole = along.astype(np.int64)
        share, low, high = along - whole, self.first + whole, self.first + (whole + 1) % self.count
        places = self.points[low] + (self.points[high] - self.points[low]) * share[:, None]
        turn = (self.yaw[high] - self.yaw[low] + np.pi) % (2 * np.pi) - np.pi
        return np.column_stack([places, np.zeros(len(places))]), self.yaw[low] + share * turn

    def without(self, gone: NDArray[np.bool_]) -> Traffic:
        """The same without the vehicles `gone` (O,)."""
        return replace(self, present=self.present & ~gone)


def draw_traffic(rng: np.random.Generator, rects: list[Rect]) -> Traffic:
    """Two to five vehicles in the lane along each rectangle, all of a lane at one speed."""
    builder, lanes = Builder(), [lane_around(rect) for rect in rects]
    rows, first = [], 0
    for points, _ in lanes:
        length, vehicles = STEP * len(points), int(rng.integers(2, 6))
        pace, ahead = float(rng.uniform(4.0, 7.0)), float(rng.uniform(0, length))
        for k in range(vehicles):
            add_vehicle(builder, rng)
            builder.end_anywhere()
            rows.append((first, len(points), ahead + (k + rng.uniform(0, 0.5)) * length / vehicles, pace))
        first += len(points)
    starts, counts, along, speed = (np.array(column) for column in zip(*rows, strict=True))
    points, yaw = (np.concatenate(column) for column in zip(*lanes, strict=True))
    return Traffic(builder.build(), points, yaw, starts, counts, along, speed, np.ones(len(rows), dtype=bool))
