"""What keeps the sun from the ground."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidsuite_plugins.driving_fanet.synthetic.mesh import Floats, Mesh
from vidsuite_plugins.driving_fanet.synthetic.textures import noise

CELL = 0.125
"""Metres that a cell of the map covers."""


@dataclass(frozen=True)
class ShadeMap:
    """Shade on the ground.

    Attributes:
        sunlit: (H, W) uint8, 255 in the sun, 0 in the shade.
        open: (H, W) uint8, 255 under the open sky, less close to what stands there, and with stains, patches and
            tracks that keep the ground from looking alike everywhere.
        origin: the map's south-west corner, in metres.
    """

    sunlit: NDArray[np.uint8]
    open: NDArray[np.uint8]
    origin: Floats


def cast_shadows(
    mesh: Mesh, sun: Floats, origin: Floats, size: tuple[float, float], rng: np.random.Generator
) -> ShadeMap:
    """Project the outlines of all objects to the ground, along the sun's rays and straight down."""
    import cv2

    shape = (int(size[1] / CELL), int(size[0] / CELL))
    sunlit, footprints = np.full(shape, 255, np.uint8), np.full(shape, 255, np.uint8)
    slope = -sun[:2] / sun[2]
    faces, discs = mesh.faces, mesh.discs
    fallen = _cells(faces.corners[:, :2] + faces.corners[:, 2:] * slope, origin)
    upright = _cells(faces.corners[:, :2], origin)
    for owner in range(len(mesh.low)):
        start, stop = mesh.faces_of[owner], mesh.faces_of[owner + 1]
        if start == stop:
            continue
        corners = slice(faces.first[start], faces.first[stop])
        _fill(sunlit, fallen[corners], 0)
        if mesh.low[owner, 2] < 0.5:
            _fill(footprints, upright[corners], 90)
    spots = _cells(discs.centre[:, :2] + discs.centre[:, 2:] * slope, origin)
    stretch = np.hypot(1, np.linalg.norm(slope) * 0.6)
    angle = float(np.degrees(np.arctan2(slope[1], slope[0])))
    for (x, y), (wide, _) in zip(spots.tolist(), discs.radius, strict=True):
        axes = (int(wide * 0.92 * stretch / CELL * 16), int(wide * 0.92 / CELL * 16))
        cv2.ellipse(sunlit, ((x, y), (axes[0] / 8, axes[1] / 8), angle), 0, -1)
    for (x, y), (wide, _) in zip(_cells(discs.centre[:, :2], origin).tolist(), discs.radius, strict=True):
        cv2.circle(footprints, (int(x), int(y)), int(wide * 0.9 / CELL), 170, -1)
    soft = cv2.GaussianBlur(cv2.resize(footprints, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA), (0, 0), 1.2)
    stains = cv2.resize(noise(rng, 1.8, 512), soft.shape[::-1], interpolation=cv2.INTER_LINEAR)
    soft = np.clip(soft * (0.86 + 0.07 * np.clip(stains, -2, 2)), 0, 255).astype(np.uint8)
    footprints = cv2.resize(soft, shape[::-1], interpolation=cv2.INTER_LINEAR)
    return ShadeMap(cv2.GaussianBlur(sunlit, (3, 3), 0), footprints, origin)


def _cells(points: Floats, origin: Floats) -> NDArray[np.float32]:
    return ((points - origin) / CELL).astype(np.float32)


def _fill(image: NDArray[np.uint8], points: NDArray[np.float32], value: int) -> None:
    import cv2

    hull = cv2.convexHull(np.clip(points, -3e4, 3e4))
    cv2.fillConvexPoly(image, np.rint(hull * 16).astype(np.int32), value, cv2.LINE_8, 4)
