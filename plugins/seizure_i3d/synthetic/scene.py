"""Renders the synthetic recordings: body and blanket painted over the empty room, frame by frame, from far to near."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidsuite_core.samples import Box
from vidsuite_plugins.seizure_i3d.synthetic.body import ABOVE_BLANKET, BELOW_BLANKET, Capsules, Look, bed_height
from vidsuite_plugins.seizure_i3d.synthetic.motion import Array
from vidsuite_plugins.seizure_i3d.synthetic.room import PIVOT, WIDTH, Camera, Image, Room, furnish, shade

SOFTNESS = 0.35  # share of the light that skin and clothes scatter to all sides
EXPOSURE = 0.85
KNEE = 1.5  # of the tone curve: where bright surfaces begin to be compressed
NOISE, PATTERN = 3.0, 0.035  # temporal noise in grey levels, fixed pattern as a share of the light


def _paint(canvas: Image, x: Array, y: Array, r: Array, value: Array, opacity: float) -> None:
    """Paint one capsule; `x`, `y`, `r`, `value` hold the pixel position, radius and radiance at its two ends."""
    x0, x1 = max(int(min(x[0] - r[0], x[1] - r[1])) - 1, 0), int(max(x[0] + r[0], x[1] + r[1])) + 2
    y0, y1 = max(int(min(y[0] - r[0], y[1] - r[1])) - 1, 0), int(max(y[0] + r[0], y[1] + r[1])) + 2
    region = canvas[y0 : max(y1, 0), x0 : max(x1, 0)]
    if region.size == 0:
        return
    dx, dy = x[1] - x[0], y[1] - y[0]
    px = (np.arange(x0, x0 + region.shape[1], dtype=np.float32) + np.float32(0.5 - x[0]))[None]
    py = (np.arange(y0, y0 + region.shape[0], dtype=np.float32) + np.float32(0.5 - y[0]))[:, None]
    square = max(dx * dx + dy * dy, 1e-6)
    t = px * np.float32(dx / square) + py * np.float32(dy / square)
    np.minimum(np.maximum(t, 0, out=t), 1, out=t)
    across, down = px - t * np.float32(dx), py - t * np.float32(dy)
    across *= across
    down *= down
    across += down
    radius = t * np.float32(r[1] - r[0])
    radius += np.float32(r[0])
    across /= radius
    across /= radius
    facing = 1 - across  # the squared cosine between the surface and the line of sight
    radius *= facing
    radius *= np.float32(0.5)
    radius += np.float32(0.5)
    alpha = np.minimum(np.maximum(radius, 0, out=radius), 1, out=radius)
    if opacity < 1:
        alpha *= np.float32(opacity)
    np.maximum(facing, 0, out=facing)
    np.sqrt(facing, out=facing)
    facing *= np.float32(1 - SOFTNESS)
    facing += np.float32(SOFTNESS)
    t *= np.float32(value[1] - value[0])
    t += np.float32(value[0])
    t *= facing
    t -= region
    t *= alpha
    region += t


@dataclass(frozen=True, kw_only=True)
class _Projected:
    """Capsules on the image: per frame and capsule the pixels, radii and radiances at both ends (T, n, 2)."""

    x: Array
    y: Array
    radius: Array
    value: Array
    order: NDArray[np.int64]
    opacity: Array
    layer: Array
    depth: Array

    @classmethod
    def of(cls, capsules: Capsules, camera: Camera) -> _Projected:
        ends = np.stack([capsules.start, capsules.end], axis=2)
        pixels, depth = camera.project(ends)
        distance = np.linalg.norm(ends - camera.position, axis=-1)
        radius = camera.focal * capsules.radius / depth
        value = capsules.albedo[:, None] / distance**2
        nearest = depth.mean(2) - capsules.radius.mean(1)
        return cls(
            x=pixels[..., 0],
            y=pixels[..., 1],
            radius=np.maximum(radius, 0.6),
            value=value,
            order=np.argsort(-nearest, axis=1),
            opacity=capsules.opacity,
            layer=capsules.layer,
            depth=depth.mean(2),
        )

    def paint(self, canvas: Image, frame: int, layers: tuple[int, ...]) -> None:
        """Paint the capsules of `layers`, the farthest first."""
        for i in self.order[frame]:
            if self.layer[i] in layers and self.opacity[frame, i] > 0.01:
                at = (frame, i)
                _paint(canvas, self.x[at], self.y[at], self.radius[at], self.value[at], self.opacity[at])


class Blanket:
    """A cloth over the lower body: a height field that rests on whatever lies below it."""

    def __init__(self, look: Look, rng: np.random.Generator, coverage: float) -> None:
        import cv2

        self.look = look
        columns, rows = 15, max(int(8 + 11 * coverage), 4)
        across, along = np.linspace(-1, 1, columns), np.linspace(0, 1, rows)
        u, v = np.meshgrid(across, along)
        skew = rng.uniform(-0.12, 0.12)
        self.x = u * (WIDTH / 2 + rng.uniform(0.04, 0.16)) + rng.uniform(-0.04, 0.04)
        self.y = -0.02 + v * (coverage + skew * u + 0.03 * np.sin(4 * u + rng.uniform(0, 6)))
        wrinkles = rng.standard_normal(u.shape).astype(np.float32)
        self.wrinkles = 0.030 * cv2.GaussianBlur(wrinkles, (3, 3), 0).astype(float)

    def heights(self, start: Array, end: Array, radius: Array) -> Array:
        """Heights (rows, columns) above the mattress over capsules with ends (n, 3) and radii (n, 2)."""
        import cv2

        d = (end - start)[:, None, None]
        px, py = self.x - start[:, :1, None], self.y - start[:, 1:2, None]
        t = np.clip((px * d[..., 0] + py * d[..., 1]) / np.maximum(d[..., 0] ** 2 + d[..., 1] ** 2, 1e-4), 0, 1)
        away = np.hypot(px - t * d[..., 0], py - t * d[..., 1])
        r = radius[:, :1, None] + t * (radius[:, 1:, None] - radius[:, :1, None])
        top = start[:, 2:, None] + t * d[..., 2] + r - 0.9 * np.maximum(away - 0.4 * r, 0)
        height = np.maximum(top.max(0), bed_height(self.y, self.look.backrest)) + 0.015
        beyond = np.maximum(np.abs(self.x) - WIDTH / 2, 0)
        height = cv2.GaussianBlur(height.astype(np.float32), (3, 3), 0) + self.wrinkles
        return height - 2.2 * beyond

    def paint(self, canvas: Image, height: Array, camera: Camera) -> None:
        """Paint the cloth over `canvas`, with soft shading between the patches of the grid."""
        import cv2

        vertices = np.stack([self.x, self.y, height], axis=-1)
        pixels, depth = camera.project(vertices)
        value = self._shading(vertices, camera)
        near = (pixels * 16).round().astype(np.int32)
        x0, y0 = np.maximum(np.floor(pixels.reshape(-1, 2).min(0)).astype(int) - 4, 0)
        x1, y1 = np.ceil(pixels.reshape(-1, 2).max(0)).astype(int) + 5
        region = canvas[y0 : max(y1, 0), x0 : max(x1, 0)]
        if region.size == 0:
            return
        cloth = np.zeros((*region.shape, 2), dtype=np.float32)  # radiance and coverage
        near -= np.array([x0, y0], dtype=np.int32) * 16 + 8
        quads = np.stack([near[:-1, :-1], near[:-1, 1:], near[1:, 1:], near[1:, :-1]], axis=2)
        shades = (value[:-1, :-1] + value[1:, 1:] + value[:-1, 1:] + value[1:, :-1]) / 4
        far = (depth[:-1, :-1] + depth[1:, 1:]) / 2
        quads, shades = quads.reshape(-1, 4, 2), shades.reshape(-1).tolist()
        for i in np.argsort(-far.reshape(-1)):
            cv2.fillConvexPoly(cloth, quads[i], (shades[i], 1.0), cv2.LINE_8, 4)
        size = 2 * int(canvas.shape[1] / 110) + 1
        soft = cv2.GaussianBlur(cloth, (size, size), 0)
        alpha = cv2.GaussianBlur(cloth[..., 1], (3, 3), 0)
        region += alpha * (soft[..., 0] / np.maximum(soft[..., 1], 1e-3) - region)

    def _shading(self, vertices: Array, camera: Camera) -> Array:
        across, along = np.gradient(vertices, axis=1), np.gradient(vertices, axis=0)
        normal = np.cross(across, along)
        normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)
        sight = camera.position - vertices
        distance = np.linalg.norm(sight, axis=-1)
        cosine = (normal * sight).sum(-1) / distance
        return shade(self.look.blanket, cosine, distance)


class Sensor:
    """The lamp's hot spot and fall-off, fixed-pattern and temporal noise, compressive tone curve, 8 bit."""

    def __init__(self, rng: np.random.Generator, camera: Camera) -> None:
        width, height = camera.width, camera.height
        automatic = float(((camera.position - PIVOT) ** 2).sum())  # the bed is exposed alike at any distance
        ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
        centre = np.array([width, height]) * rng.uniform(0.42, 0.58, 2)
        away = ((xs - centre[0]) ** 2 + (ys - centre[1]) ** 2) / (width / 2) ** 2
        lamp = 0.25 + 0.85 * np.exp(-away / 0.9) + 0.10 * np.exp(-away / 0.08)
        pattern = 1 + PATTERN * rng.standard_normal((height, width)) + 0.01 * rng.standard_normal((1, width))
        self.gain = (EXPOSURE * automatic * lamp * pattern).astype(np.float32)
        self.margin = 61
        noise = rng.standard_normal((height + self.margin, width + self.margin))
        self.noise = (NOISE * noise).astype(np.float32)
        self.rng = rng

    def expose(self, radiance: Image) -> NDArray[np.uint8]:
        """One frame (H, W) uint8; each call draws fresh temporal noise."""
        height, width = radiance.shape
        level = np.sqrt(radiance * self.gain)
        level /= level + np.float32(KNEE)
        level *= np.float32(255 * 0.8 * (1 + KNEE))
        dy, dx = self.rng.integers(0, self.margin, 2)
        level += self.noise[dy : dy + height, dx : dx + width]
        return np.clip(level, 0, 255, out=level).astype(np.uint8)


def render(
    room: Room, patient: Capsules, staff: Capsules, blanket: Blanket, sensor: Sensor
) -> Iterator[NDArray[np.uint8]]:
    """The frames (H, W) uint8 of a recording, one after the other."""
    camera = room.camera
    body, visitor = _Projected.of(patient, camera), _Projected.of(staff, camera)
    below = patient.layer == BELOW_BLANKET
    bed_depth = float(camera.project(PIVOT)[1])
    rows = np.flatnonzero(room.in_front.max(1) > 0)
    front = slice(rows[0], rows[-1] + 1) if len(rows) else slice(0, 0)
    for frame in range(len(patient.opacity)):
        canvas = room.radiance.copy()
        visible = staff.opacity[frame].max() > 0
        behind = visible and visitor.depth[frame].mean() > bed_depth
        if behind:
            visitor.paint(canvas, frame, (BELOW_BLANKET, ABOVE_BLANKET))
        body.paint(canvas, frame, (BELOW_BLANKET,))
        height = blanket.heights(patient.start[frame, below], patient.end[frame, below], patient.radius[below])
        blanket.paint(canvas, height, camera)
        body.paint(canvas, frame, (ABOVE_BLANKET,))
        canvas[front] += room.in_front[front] * (room.radiance[front] - canvas[front])
        if visible and not behind:
            visitor.paint(canvas, frame, (BELOW_BLANKET, ABOVE_BLANKET))
        yield sensor.expose(canvas)


def _bounds(pixels: Array, camera: Camera) -> Box:
    x0, y0 = np.maximum(np.floor(pixels.min(0)), 0)
    x1, y1 = np.minimum(np.ceil(pixels.max(0)), [camera.width, camera.height])
    return float(x0), float(y0), float(x1), float(y1)


def first_frame_boxes(patient: Capsules, look: Look, camera: Camera) -> dict[str, Box]:
    """Boxes of the bed (mattress and boards) and of the patient's whole body on the first frame."""
    bed = np.concatenate([solid.corners() for solid in furnish(look)[:5]])
    body = _Projected.of(patient, camera)
    x, y, r = body.x[0], body.y[0], body.radius[0]
    person = np.stack([np.stack([x - r, y - r], axis=-1), np.stack([x + r, y + r], axis=-1)]).reshape(-1, 2)
    return {"bed": _bounds(camera.project(bed)[0], camera), "person": _bounds(person, camera)}
