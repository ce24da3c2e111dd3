"""The camera and its ways: a car that follows the streets, a drone that flies over the gardens."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidsuite_plugins.driving_fanet.synthetic.mesh import Floats
from vidsuite_plugins.driving_fanet.synthetic.streets import DIRECTIONS, LANE
from vidsuite_plugins.driving_fanet.synthetic.world import World

TICK = 0.02
"""Seconds between the points of a track."""

STEP = 0.25
"""Metres between the points of a way."""

BEFORE = 6.5
"""Metres before the middle of a crossing where a turn begins."""

NEAR = 0.15
"""Metres to the nearest plane that is drawn."""


@dataclass(frozen=True)
class Camera:
    """A pinhole camera at one instant; pixel centres are at whole numbers.

    Attributes:
        position: (3,), in metres.
        axes: (3, 3), rows: to the right, downwards and forwards in the image.
        focal: in pixels.
        size: width and height in pixels.
    """

    position: Floats
    axes: Floats
    focal: float
    size: tuple[int, int]

    @property
    def centre(self) -> tuple[float, float]:
        """The principal point."""
        return (self.size[0] - 1) / 2, (self.size[1] - 1) / 2

    def seen(self, points: Floats) -> Floats:
        """Points (..., 3) of the world in the camera's axes; the last is the depth."""
        return (points - self.position) @ self.axes.T

    def project(self, points: Floats) -> Floats:
        """Pixels x, y (..., 2) of points (..., 3) of the world in front of the camera."""
        x, y, depth = np.moveaxis(self.seen(points), -1, 0)
        cx, cy = self.centre
        return np.stack([self.focal * x / depth + cx, self.focal * y / depth + cy], axis=-1)

    def rays(self) -> Floats:
        """The matrix (3, 3) that takes (x, y, 1) of a pixel to its ray in the world, of depth 1."""
        right, down, forward = self.axes
        cx, cy = self.centre
        return np.column_stack([right, down, forward * self.focal - cx * right - cy * down]) / self.focal

    def scaled(self, times: int) -> Camera:
        """The same view on `times` as many pixels each way."""
        return Camera(self.position, self.axes, self.focal * times, (self.size[0] * times, self.size[1] * times))


@dataclass(frozen=True)
class Track:
    """A camera's way through time, every `TICK` seconds from time 0.

    Attributes:
        position: (n, 3).
        angles: (n, 3): yaw (counter-clockwise from east), pitch (downwards), roll, in radians.
        field: horizontal field of view in radians.
    """

    position: Floats
    angles: Floats
    field: float

    def at(self, time: float, size: tuple[int, int]) -> Camera:
        """The camera at `time` in seconds, for frames of `size`."""
        index = min(max(time / TICK, 0.0), len(self.position) - 1.001)
        low, share = int(index), index % 1
        position, angles = (each[low] * (1 - share) + each[low + 1] * share for each in (self.position, self.angles))
        return Camera(position, _axes(*angles.tolist()), size[0] / 2 / np.tan(self.field / 2), size)


def _axes(yaw: float, pitch: float, roll: float) -> Floats:
    forward = np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), -np.sin(pitch)])
    right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    down = np.cross(forward, right)
    return np.stack([np.cos(roll) * right + np.sin(roll) * down, np.cos(roll) * down - np.sin(roll) * right, forward])


def drive(world: World, rng: np.random.Generator, seconds: float) -> Track:
    """A car's camera: along the right-hand lane, slower in turns, a random way at each crossing.

    It starts 4 to 30 m before a turn could begin.
    """
    field, pitch, height = np.radians(rng.uniform(66, 84)), np.radians(rng.uniform(0, 4)), rng.uniform(1.35, 1.65)
    pace, short = float(rng.uniform(6, 9)), float(rng.uniform(4, 30))
    sways = [_Sway.draw(rng, low, high) for low, high in _SHAKES]
    crossings = _tour(world, rng, seconds * pace + 160)
    lane, yaw = _smooth_way(np.concatenate(list(_lane_points(world, crossings))), 1.2)
    bend = np.abs(_blurred(np.gradient(yaw) / STEP, 8))
    speed = _blurred(np.clip(np.sqrt(SIDEWAYS / np.maximum(bend, 1e-6)), 2.5, pace), 12)
    passed = np.concatenate([[0], np.cumsum(STEP / speed[:-1])])
    at, time = STEP * np.arange(len(lane)), np.arange(0, seconds + 2, TICK)
    (i, j), (k, m) = crossings[:2]
    start = abs(world.xs[k] - world.xs[i]) + abs(world.ys[m] - world.ys[j]) - 2 * BEFORE - short
    along = np.minimum(np.interp(time + np.interp(start, at, passed), passed, at), at[-1])
    x, y, heading = (np.interp(along, at, each) for each in (*lane.T, yaw))
    bounce, nod, tilt, shake = (sway.at(time) for sway in sways)
    angles = np.column_stack([heading + 0.003 * shake, pitch + 0.006 * nod, 0.008 * tilt])
    return Track(np.column_stack([x, y, height + 0.02 * bounce]), angles, float(field))


SIDEWAYS = 1.6
"""Acceleration towards the inside of a turn that the driver accepts, in m/s^2."""

_SHAKES = ((0.5, 1.6), (0.4, 1.8), (0.5, 2.0), (0.4, 1.5))


@dataclass(frozen=True)
class _Sway:
    """A smooth random swing about 0, of deviation 1."""

    rates: Floats
    phases: Floats

    @classmethod
    def draw(cls, rng: np.random.Generator, low: float, high: float) -> _Sway:
        """Three swings of `low` to `high` Hz."""
        return cls(rng.uniform(low, high, 3), rng.uniform(0, 2 * np.pi, 3))

    def at(self, time: Floats) -> Floats:
        """Its course over `time` (n,) in seconds."""
        return np.sin(2 * np.pi * self.rates * time[:, None] + self.phases).sum(-1) / np.sqrt(1.5)


def _tour(world: World, rng: np.random.Generator, metres: float) -> list[tuple[int, int]]:
    """Crossings in the order in which they are passed, without turning back."""
    across, along = len(world.xs), len(world.ys)
    node, side = (int(rng.integers(across)), int(rng.integers(along))), int(rng.integers(4))
    passed, gone = [node], 0.0
    while gone < metres:
        ways = [
            way
            for way in range(4)
            if 0 <= node[0] + DIRECTIONS[way][0] < across and 0 <= node[1] + DIRECTIONS[way][1] < along
        ]
        forward = [way for way in ways if way != (side + 2) % 4] or ways
        side = forward[int(rng.integers(len(forward)))]
        onward = (node[0] + int(DIRECTIONS[side][0]), node[1] + int(DIRECTIONS[side][1]))
        gone += abs(world.xs[onward[0]] - world.xs[node[0]]) + abs(world.ys[onward[1]] - world.ys[node[1]])
        passed.append(onward)
        node = onward
    return passed


def _lane_points(world: World, crossings: list[tuple[int, int]]) -> Iterable[Floats]:
    """The right-hand lane from crossing to crossing: straights, and curves through the crossings."""
    centres = np.array([(world.xs[i], world.ys[j]) for i, j in crossings])
    headings = np.diff(centres, axis=0)
    headings /= np.linalg.norm(headings, axis=-1, keepdims=True)
    rights = np.column_stack([headings[:, 1], -headings[:, 0]])
    for k, (heading, right) in enumerate(zip(headings, rights, strict=True)):
        start, stop = centres[k] + BEFORE * heading + LANE * right, centres[k + 1] - BEFORE * heading + LANE * right
        count = int(np.linalg.norm(stop - start) / STEP)
        yield start + np.linspace(0, 1, count)[:, None] * (stop - start)
        if k + 1 < len(headings):
            following = centres[k + 1] + BEFORE * headings[k + 1] + LANE * rights[k + 1]
            straight = abs(float(heading @ headings[k + 1])) > 0.5
            bend = (stop + following) / 2 if straight else centres[k + 1] + LANE * (right + rights[k + 1])
            share = np.linspace(0, 1, 40)[1:-1, None]
            yield (1 - share) ** 2 * stop + 2 * share * (1 - share) * bend + share**2 * following


def _smooth_way(points: Floats, metres: float) -> tuple[Floats, Floats]:
    """Points (n, 2) every `STEP` metres along a way, corners rounded over about `metres`, and its direction (n,)."""
    lengths = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    at = np.arange(0, lengths[-1], STEP)
    way = np.column_stack([_blurred(np.interp(at, lengths, points[:, axis]), metres / STEP) for axis in range(2)])
    ahead = np.gradient(way, axis=0)
    return way, np.unwrap(np.arctan2(ahead[:, 1], ahead[:, 0]))


def _blurred(values: Floats, sigma: float) -> Floats:
    """A course (n,) smoothed by a Gaussian of `sigma` points; its ends go on as they are."""
    reach = int(3 * sigma) + 1
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    padded = np.concatenate([np.full(reach, values[0]), values, np.full(reach, values[-1])])
    return np.convolve(padded, kernel / kernel.sum(), mode="valid")


def fly(world: World, rng: np.random.Generator, seconds: float) -> Track:
    """A drone's camera: from pool to pool or crossing, 6 to 25 m high and clear of all that stands, looking down."""
    field, pace = float(np.radians(rng.uniform(60, 80))), float(rng.uniform(4, 8))
    sways = [_Sway.draw(rng, 0.15, 0.6) for _ in range(4)]
    way, yaw = _smooth_way(_flight(world, rng, seconds * pace + 80), 7.0)
    wanted = np.interp(np.arange(len(way)) * STEP, np.arange(0, 1e5, 60), rng.uniform(5, 22, int(1e5 / 60) + 1))
    height = np.clip(_clear_of(world, way, wanted), 6.0, 25.0)
    time = np.arange(0, seconds + 2, TICK)
    along = np.minimum(30 + pace * time, STEP * (len(way) - 1))
    at = STEP * np.arange(len(way))
    place = np.column_stack([np.interp(along, at, each) for each in (*way.T, height)])
    look, drift, tilt, nod = (sway.at(time) for sway in sways)
    steep = np.radians(np.clip(14 + 1.5 * place[:, 2] + float(rng.uniform(-6, 6)) + 1.5 * nod, 15, 50))
    turned = _blurred(yaw, 24)
    angles = np.column_stack([np.interp(along, at, turned) + 0.06 * look, steep, 0.025 * tilt])
    return Track(place + np.column_stack([np.zeros((len(time), 2)), 0.1 * drift]), angles, field)


def _flight(world: World, rng: np.random.Generator, metres: float) -> Floats:
    """Places (n, 2) to fly over, 15 to 60 m apart, never turning by more than 110 degrees."""
    crossings = [(x, y) for x in world.xs for y in world.ys]
    goals = np.array([*world.pools, *crossings])
    likely = np.array([3.0] * len(world.pools) + [1.0] * len(crossings))
    here, heading, passed, gone = goals[int(rng.integers(len(world.pools)))], None, [], 0.0
    passed.append(here)
    while gone < metres:
        away = goals - here
        distance = np.maximum(np.linalg.norm(away, axis=-1), 1e-6)
        open_to = (distance > 15) & (distance < 60)
        if heading is not None:
            turn = away @ heading / distance
            open_to &= turn > np.cos(np.radians(110))
        odds = likely * open_to if open_to.any() else likely * (distance > 15)
        onward = goals[int(rng.choice(len(goals), p=odds / odds.sum()))]
        gone += float(np.linalg.norm(onward - here))
        heading, here = (onward - here) / np.linalg.norm(onward - here), onward
        passed.append(here)
    return np.array(passed)


def _clear_of(world: World, way: Floats, wanted: Floats) -> NDArray[np.float64]:
    """Heights (n,) along a way, `wanted` or as much higher as it takes to pass 3 m above all within 3 m."""
    import cv2

    tops = cv2.dilate(world.heights, np.ones((7, 7)))
    cells = np.clip((way - world.shades.origin).astype(int), 0, np.array(tops.shape[::-1]) - 1)
    least = tops[cells[:, 1], cells[:, 0]] + 3.0
    reach = int(6 / STEP)
    padded = np.pad(np.maximum(least, wanted), reach, mode="edge")
    highest = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).max(-1)
    return _blurred(highest, reach / 2)
