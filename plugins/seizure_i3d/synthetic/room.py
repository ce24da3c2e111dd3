"""The empty room of the synthetic recordings, ray-cast once a recording: bed, rails and what else stands about.

The camera carries its own infrared lamp, so surfaces that face it are bright, brightness falls with the square of the
distance, and shadows hide behind what throws them. Room axes are those of `body`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidsuite_plugins.seizure_i3d.synthetic.body import FLOOR, HINGE, Look
from vidsuite_plugins.seizure_i3d.synthetic.motion import Array

Image = NDArray[np.float32]

WIDTH, LENGTH = 0.95, 2.05  # of the mattress, in metres
AMBIENT = 0.12  # share of the light that comes from all around


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A pinhole camera; pixel centres are at half-integers."""

    position: Array
    axes: Array
    focal: float
    width: int
    height: int

    @classmethod
    def of(cls, look: Look, width: int, height: int) -> Camera:
        """The camera that looks at the patient's bed, for frames of `width` x `height` pixels."""
        position = np.array(look.camera)
        forward = np.array(look.aim) - position
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        axes = np.stack([right, np.cross(forward, right), forward])
        return cls(position=position, axes=axes, focal=look.focal * width, width=width, height=height)

    def project(self, points: Array) -> tuple[Array, Array]:
        """Pixels (..., 2) and depths (...) in metres along the optical axis of points (..., 3)."""
        seen = (points - self.position) @ self.axes.T
        depth = np.maximum(seen[..., 2], 0.05)
        return self.focal * seen[..., :2] / depth[..., None] + np.array([self.width, self.height]) / 2, depth

    def rays(self, scale: int) -> Image:
        """Unit directions (H * scale, W * scale, 3) through the centres of `scale`-fold finer pixels."""
        xs = ((np.arange(self.width * scale) + 0.5) / scale - self.width / 2) / self.focal
        ys = ((np.arange(self.height * scale) + 0.5) / scale - self.height / 2) / self.focal
        grid = np.stack([*np.meshgrid(xs, ys), np.ones((len(ys), len(xs)))], axis=-1) @ self.axes
        return (grid / np.linalg.norm(grid, axis=-1, keepdims=True)).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class Solid:
    """A box between `low` and `high`, turned about the backrest's hinge by `tilt`, or the ellipsoid inscribed in it."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    albedo: float
    tilt: float = 0.0
    rounded: bool = False
    in_front: bool = False

    def corners(self) -> Array:
        """The eight corners (8, 3) in room axes."""
        grid = np.array(np.meshgrid(*zip(self.low, self.high, strict=True))).reshape(3, 8).T
        return _turn(grid - PIVOT, self.tilt) + PIVOT


PIVOT = np.array([0.0, HINGE, 0.0])


def _turn(points: Array, tilt: float) -> Array:
    cos, sin = np.cos(tilt), np.sin(tilt)
    return points @ np.array([[1, 0, 0], [0, cos, sin], [0, -sin, cos]])


def furnish(look: Look) -> list[Solid]:
    """Bed, rails and what else stands in the room."""
    rng = np.random.default_rng(look.furniture)
    half, tilt, near = WIDTH / 2, look.backrest, np.sign(look.camera[0])
    frame = float(rng.uniform(0.25, 0.5))
    solids = [
        Solid(low=(-half, 0.0, -0.16), high=(half, HINGE + 0.03, 0.0), albedo=look.sheet),
        Solid(low=(-half, HINGE - 0.03, -0.16), high=(half, LENGTH, 0.0), albedo=look.sheet, tilt=tilt),
        Solid(low=(-half + 0.03, 0.0, -0.34), high=(half - 0.03, LENGTH, -0.17), albedo=frame * 0.6),
        Solid(low=(-half - 0.02, LENGTH + 0.02, -0.35), high=(half + 0.02, LENGTH + 0.06, 0.42), albedo=frame),
        Solid(low=(-half - 0.02, -0.07, -0.35), high=(half + 0.02, -0.03, 0.16), albedo=frame, in_front=True),
        Solid(low=(-0.32, 1.50, -0.02), high=(0.32, 2.00, 0.16), albedo=look.sheet * 1.05, tilt=tilt, rounded=True),
    ]
    for side in (-1.0, 1.0):
        x, in_front = side * (half + 0.03), bool(side == near)
        first, last = 0.55, 1.45
        bars = [((first, 0.22), (last, 0.255)), ((first, 0.08), (last, 0.105))]
        bars += [((y, -0.2), (y + 0.03, 0.25)) for y in (first, (first + last) / 2, last)]
        solids += [
            Solid(low=(x - 0.012, *low), high=(x + 0.012, *high), albedo=frame * 1.3, in_front=in_front)
            for low, high in bars
        ]
    for side in (-1.0, 1.0):
        x, y = side * rng.uniform(0.95, 1.2), rng.uniform(1.5, 1.9)
        top = rng.uniform(0.05, 0.35)
        size = rng.uniform(0.18, 0.28)
        solids.append(
            Solid(low=(x - size, y - size, FLOOR), high=(x + size, y + size, top), albedo=float(rng.uniform(0.2, 0.7)))
        )
    pole, wall = float(-near * rng.uniform(0.7, 1.6)), 2.34
    solids += [
        Solid(low=(pole - 0.015, 2.0, FLOOR), high=(pole + 0.015, 2.03, 1.3), albedo=0.7),
        Solid(low=(pole - 0.08, 1.96, 0.95), high=(pole + 0.08, 2.05, 1.2), albedo=0.85),
        Solid(low=(-1.4, wall, 0.62), high=(1.4, wall + 0.06, 0.80), albedo=float(rng.uniform(0.4, 0.8))),
    ]
    return solids


@dataclass(frozen=True, kw_only=True)
class Room:
    """The empty room: its radiance (H, W), and the share (H, W) of each pixel that hides the patient."""

    radiance: Image
    in_front: Image
    camera: Camera


def shade(albedo: float, cosine: Array | Image, distance: Array | Image) -> Array:
    """Radiance of a matt surface `distance` metres from the lamp, at `cosine` between its normal and the light."""
    return albedo * (AMBIENT + (1 - AMBIENT) * np.abs(cosine)) / distance**2


def render_room(look: Look, width: int, height: int) -> Room:
    """Ray-cast the room twice as fine as the frames, then average."""
    import cv2

    camera, scale = Camera.of(look, width, height), 2
    rays = camera.rays(scale)
    distance = np.full(rays.shape[:2], np.inf, dtype=np.float32)
    radiance, in_front = np.zeros_like(distance), np.zeros_like(distance)
    rng = np.random.default_rng(look.furniture + 1)
    walls = [(2, FLOOR, rng.uniform(0.12, 0.3)), (1, 2.4, rng.uniform(0.3, 0.6)), (0, 3.0, 0.4), (0, -3.0, 0.4)]
    for axis, place, albedo in walls:
        with np.errstate(divide="ignore", invalid="ignore"):
            t = (place - camera.position[axis]) / rays[..., axis]
        hit = (t > 0) & (t < distance)
        distance[hit] = t[hit]
        radiance[hit] = shade(albedo, rays[..., axis][hit], t[hit])
    for solid in furnish(look):
        _cast(solid, camera, rays, distance, radiance, in_front, scale)
    cloth = cv2.GaussianBlur(rng.standard_normal(distance.shape).astype(np.float32), (0, 0), 3.0 * width / 256)
    stains = cv2.GaussianBlur(rng.standard_normal(distance.shape).astype(np.float32), (0, 0), 14.0 * width / 256)
    radiance *= 1 + 0.04 * cloth / cloth.std() + 0.06 * stains / stains.std()
    size = (width, height)
    return Room(
        radiance=np.asarray(cv2.resize(radiance, size, interpolation=cv2.INTER_AREA), dtype=np.float32),
        in_front=np.asarray(cv2.resize(in_front, size, interpolation=cv2.INTER_AREA), dtype=np.float32),
        camera=camera,
    )


def _cast(
    solid: Solid, camera: Camera, rays: Image, distance: Image, radiance: Image, in_front: Image, scale: int
) -> None:
    """Draw one solid into the buffers where it is the nearest."""
    pixels, _ = camera.project(solid.corners())
    x0, y0 = np.clip(np.floor(pixels.min(0) * scale), 0, None).astype(int)
    x1, y1 = np.ceil(pixels.max(0) * scale).astype(int) + 1
    part = (slice(y0, max(y1, 0)), slice(x0, max(x1, 0)))
    direction = rays[part]
    if direction.size == 0:
        return
    origin = (_turn(camera.position - PIVOT, -solid.tilt) + PIVOT).astype(np.float32)
    direction = _turn(direction, -solid.tilt).astype(np.float32)
    t, cosine = _ellipsoid(solid, origin, direction) if solid.rounded else _box(solid, origin, direction)
    hit = t < distance[part]
    distance[part][hit] = t[hit]
    radiance[part][hit] = shade(solid.albedo, cosine[hit], t[hit])
    in_front[part][hit] = float(solid.in_front)


def _box(solid: Solid, origin: Image, direction: Image) -> tuple[Image, Image]:
    low, high = np.array(solid.low, dtype=np.float32), np.array(solid.high, dtype=np.float32)
    safe = np.where(np.abs(direction) < 1e-6, np.float32(1e-6), direction)
    first, second = (low - origin) / safe, (high - origin) / safe
    entries = np.minimum(first, second)
    near, far = entries.max(-1), np.maximum(first, second).min(-1)
    cosine = np.take_along_axis(direction, entries.argmax(-1)[..., None], axis=-1)[..., 0]
    return np.where((near < far) & (near > 0), near, np.inf), cosine


def _ellipsoid(solid: Solid, origin: Image, direction: Image) -> tuple[Image, Image]:
    low, high = np.array(solid.low, dtype=np.float32), np.array(solid.high, dtype=np.float32)
    radii, middle = (high - low) / 2, (high + low) / 2
    o, d = (origin - middle) / radii, direction / radii
    a, b, c = (d * d).sum(-1), (d * o).sum(-1), (o * o).sum(-1) - 1
    root = np.sqrt(np.maximum(b * b - a * c, 0))
    t = np.where(b * b > a * c, (-b - root) / a, np.inf).astype(np.float32)
    normal = (o + np.where(np.isfinite(t), t, 0)[..., None] * d) / radii
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-6)
    return t, (normal * direction).sum(-1)
