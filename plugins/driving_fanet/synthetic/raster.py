"""From the world to pixels: which surface each pixel shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidsuite_plugins.driving_fanet.synthetic.camera import NEAR, Camera
from vidsuite_plugins.driving_fanet.synthetic.mesh import SKY, Discs, Faces, Floats, Ints, join, outlines, ranges
from vidsuite_plugins.driving_fanet.synthetic.order import painters_order
from vidsuite_plugins.driving_fanet.synthetic.vehicles import LONGEST, turned
from vidsuite_plugins.driving_fanet.synthetic.world import World

SHIFT = 4
"""Binary places of the coordinates that are handed to OpenCV."""

PICKET = 0.13
"""Width of a fence's pickets and posts, in metres."""

FLAT = 0.005
"""A face whose plane the camera is closer to, in metres, is seen edge-on, which is not at all."""

OUTLINES = outlines()


@dataclass(frozen=True)
class View:
    """What a camera sees.

    Attributes:
        camera: the camera.
        ids: (H, W) int32: 0 where there is sky, i + 1 where surface i is seen; the ground's surfaces come first,
            then the other faces, then the discs.
        shadow: (H, W) uint8: 255 where a moving vehicle's shadow would fall if the ground were seen.
        ground: how many surfaces are of the ground.
        faces: F faces.
        discs: the discs, which are surfaces F and on.
        vehicle: (F,), which vehicle of the traffic a face belongs to, or -1.
    """

    camera: Camera
    ids: NDArray[np.int32]
    shadow: NDArray[np.uint8]
    ground: int
    faces: Faces
    discs: Discs
    vehicle: Ints

    @property
    def labels(self) -> NDArray[np.uint8]:
        """The class of each pixel (H, W)."""
        table = np.concatenate([[SKY], self.faces.label, self.discs.label]).astype(np.uint8)
        return np.take(table, self.ids)


def look(world: World, camera: Camera, time: float, reach: float, least: float = 1.2) -> View:
    """Draw what stands within `reach` metres, and the ground, at `time` in seconds.

    What covers fewer than about `least` pixels from its middle outwards is left out.
    """
    standing = world.mesh
    moving, first, vehicles = _traffic(world, camera, time, reach)
    edges = moving.first[first[:-1]]
    low = np.concatenate([standing.low, np.minimum.reduceat(moving.corners, edges)])
    high = np.concatenate([standing.high, np.maximum.reduceat(moving.corners, edges)])
    shown, count = np.flatnonzero(_within(camera, low, high, reach, least)), len(standing.low)
    rank = np.full(len(low), -1)
    rank[shown] = painters_order(low[shown], high[shown], camera.position, _screens(camera, low[shown], high[shown]))

    stills, cars = shown[shown < count], shown[shown >= count] - count
    ground = _facing(world.ground.faces, np.arange(len(world.ground.faces)), camera)
    still = _facing(standing.faces, ranges(standing.faces_of, stills), camera)
    car = _facing(moving, ranges(first, cars), camera)
    discs, faces = standing.discs.take(ranges(standing.discs_of, stills)), join([ground, still, car])
    canvas = _Canvas(camera, least)
    canvas.add_faces(faces)
    canvas.add_discs(discs)
    canvas.shade(
        [_shadow(moving.corners[moving.first[first[k]] : moving.first[first[k + 1]]], world.sun) for k in cars]
    )
    places = np.searchsorted(vehicles, car.owner) + count
    place = np.concatenate([np.full(len(ground), -1), rank[still.owner], rank[places], rank[discs.owner]])
    away = np.linalg.norm(discs.centre - camera.position, axis=-1)
    canvas.fill(np.lexsort([np.concatenate([np.arange(len(faces), dtype=float), -away]), place]))
    vehicle = np.concatenate([np.full(len(ground) + len(still), -1), car.owner])
    return View(camera, canvas.ids, canvas.shadow, len(ground), faces, discs, vehicle)


def _traffic(world: World, camera: Camera, time: float, reach: float) -> tuple[Faces, Ints, Ints]:
    """The faces of the vehicles within reach, where each vehicle's begin (V + 1,), and which vehicles (V,) they are."""
    traffic = world.traffic
    places, yaws = traffic.at(time)
    away = np.linalg.norm(places - camera.position, axis=-1)
    vehicles = np.flatnonzero(traffic.present & (away < reach + LONGEST))
    first = traffic.mesh.faces_of
    turns = np.zeros((len(yaws), 3, 3))
    turns[vehicles] = [turned(yaw) for yaw in yaws[vehicles]]
    faces = traffic.mesh.faces.take(ranges(first, vehicles)).moved(turns, places)
    return faces, np.concatenate([[0], np.cumsum(np.diff(first)[vehicles])]), vehicles


def disc_axes(discs: Discs, eye: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """For each disc, unit vectors (B, 3) to the right, up and towards `eye`, and radii (B, 2) to the right and up."""
    towards = eye - discs.centre
    towards = towards / np.linalg.norm(towards, axis=-1, keepdims=True)
    right = np.column_stack([-towards[:, 1], towards[:, 0], np.zeros(len(towards))])
    right = right / np.maximum(np.linalg.norm(right, axis=-1, keepdims=True), 1e-9)
    up = np.cross(towards, right)
    wide, tall = discs.radius.T
    seen_tall = np.hypot(tall * up[:, 2], wide * towards[:, 2])
    return right, up, towards, np.column_stack([wide, seen_tall])


def _within(camera: Camera, low: Floats, high: Floats, reach: float, least: float) -> NDArray[np.bool_]:
    """Which boxes are near enough and not wholly outside the image, judged by their spheres."""
    radius = np.linalg.norm(high - low, axis=-1) / 2
    x, y, depth = camera.seen((low + high) / 2).T
    near = (depth > NEAR - radius) & (depth < reach + radius)
    for offset, half in ((x, camera.size[0] / 2), (y, camera.size[1] / 2)):
        slant = np.hypot(camera.focal, half + 1)
        near &= np.abs(offset) * camera.focal - depth * (half + 1) < radius * slant
    return near & (radius * camera.focal > least * depth)


def _screens(camera: Camera, low: Floats, high: Floats) -> Floats:
    """The image's part (O, 4) that each box covers at most; all of it for a box that reaches behind the camera."""
    pick = np.array([[i >> axis & 1 for axis in range(3)] for i in range(8)], dtype=bool)
    corners = np.where(pick[None], high[:, None], low[:, None])
    x, y, depth = np.moveaxis(camera.seen(corners), -1, 0)
    behind = (depth < NEAR).any(-1)
    depth = np.maximum(depth, NEAR)
    across, down = x / depth, y / depth
    screens = np.column_stack([across.min(-1), down.min(-1), across.max(-1), down.max(-1)])
    screens[behind] = (-1e9, -1e9, 1e9, 1e9)
    return screens


def _facing(faces: Faces, which: Ints, camera: Camera) -> Faces:
    """Those of the faces `which` that are turned towards the camera."""
    towards = camera.position - faces.corners[faces.first[which]]
    return faces.take(which[(towards * faces.normal[which]).sum(-1) > FLAT])


def _shadow(corners: Floats, sun: Floats) -> Floats:
    """The outline (n, 3) of a body's shadow on the ground."""
    import cv2

    fallen = corners[:, :2] - corners[:, 2:] * sun[:2] / sun[2]
    hull = cv2.convexHull(fallen.astype(np.float32))[:, 0]
    return np.column_stack([hull, np.full(len(hull), 0.0)])


class _Canvas:
    """Polygons in image coordinates, filled in any order."""

    def __init__(self, camera: Camera, least: float) -> None:
        self.camera, self.least = camera, least
        shape = camera.size[::-1]
        self.ids, self.shadow = np.zeros(shape, np.int32), np.zeros(shape, np.uint8)
        self._polygons: list[NDArray[np.int32] | None] = []
        self._jagged: list[bool] = []
        (width, height), focal = camera.size, camera.focal
        across, down = (width / 2 + 1) / focal, (height / 2 + 1) / focal
        self._sides = np.array([(1, 0, across), (-1, 0, across), (0, 1, down), (0, -1, down), (0, 0, 1)]).T

    def add_faces(self, faces: Faces) -> None:
        """Add convex polygons, one surface each; pickets become polygons of their own."""
        seen = self.camera.seen(faces.corners)
        shown, cut = self._shown(seen, faces.first)
        across, depth = seen[faces.first[:-1] + 2] - seen[faces.first[:-1]], seen[faces.first[:-1], 2]
        shown &= cut | (np.linalg.norm(across, axis=-1) * self.camera.focal > self.least * depth)
        pixels = self._pixels(seen)
        bounds = faces.first.tolist()
        polygons: list[NDArray[np.int32] | None] = [None] * len(faces)
        for k in np.flatnonzero(shown & ~cut).tolist():
            polygons[k] = pixels[bounds[k] : bounds[k + 1]]
        for k in np.flatnonzero(shown & cut).tolist():
            polygons[k] = self._cut(seen[bounds[k] : bounds[k + 1]])
        self._jagged += [False] * len(faces)
        fences = np.flatnonzero(shown & (faces.pickets > 0))
        quads = seen[faces.first[fences][:, None] + np.arange(4)]
        for k, bars in self._pickets(fences, quads, faces.pickets[fences]):
            polygons[k], self._jagged[len(self._polygons) + k] = bars, True
        self._polygons += polygons

    def add_discs(self, discs: Discs) -> None:
        """Add jagged polygons, one surface each."""
        if len(discs) == 0:
            return
        right, up, _, radius = disc_axes(discs, self.camera.position)
        outline = OUTLINES[discs.outline] * radius[:, None]
        corners = discs.centre[:, None] + outline[..., :1] * right[:, None] + outline[..., 1:] * up[:, None]
        seen = self.camera.seen(corners.reshape(-1, 3))
        shown, cut = self._shown(seen, np.arange(len(discs) + 1) * outline.shape[1])
        pixels = self._pixels(seen).reshape(len(discs), -1, 2)
        good = (shown & ~cut).tolist()
        self._polygons += [pixels[k] if good[k] else None for k in range(len(discs))]
        self._jagged += [True] * len(discs)

    def shade(self, outlines: list[Floats]) -> None:
        """Fill `shadow` with convex polygons of the ground."""
        import cv2

        for corners in outlines:
            points = self._cut(self.camera.seen(corners))
            if points is not None:
                cv2.fillConvexPoly(self.shadow, points, 255, cv2.LINE_8, SHIFT)

    def fill(self, order: Ints) -> None:
        """Fill `ids`, polygon `order[0]` first."""
        import cv2

        ids, polygons, jagged = self.ids, self._polygons, self._jagged
        for k in order.tolist():
            polygon = polygons[k]
            if polygon is None:
                continue
            if not jagged[k]:
                cv2.fillConvexPoly(ids, polygon, k + 1, cv2.LINE_8, SHIFT)
            else:
                cv2.fillPoly(ids, polygon if polygon.ndim == 3 else [polygon], k + 1, cv2.LINE_8, SHIFT)

    def _shown(self, seen: Floats, first: Ints) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which polygons may be in the image, and which of all reach behind the nearest plane."""
        sides = seen @ self._sides
        sides[:, 4] -= NEAR
        shown = np.logical_and.reduce(list(np.maximum.reduceat(sides, first[:-1]).T > 0))
        return shown, np.minimum.reduceat(sides[:, 4], first[:-1]) < 0

    def _pixels(self, seen: Floats) -> NDArray[np.int32]:
        """Corners (..., 3) in the camera's axes as OpenCV wants them; nonsense for those behind the nearest plane."""
        scale = self.camera.focal * (1 << SHIFT) / np.maximum(seen[..., 2:], 0.99 * NEAR)
        centre = np.array(self.camera.centre) * (1 << SHIFT)
        return np.rint(np.clip(seen[..., :2] * scale + centre, -2e9, 2e9)).astype(np.int32)

    def _cut(self, seen: Floats) -> NDArray[np.int32] | None:
        """A convex polygon (n, 3) in the camera's axes, cut at the nearest plane; None if nothing is left."""
        kept, corners = [], seen.tolist()
        before = corners[-1]
        for corner in corners:
            if (corner[2] >= NEAR) != (before[2] >= NEAR):
                share = (NEAR - before[2]) / (corner[2] - before[2])
                kept.append([p + share * (q - p) for p, q in zip(before[:2], corner[:2], strict=True)] + [NEAR])
            if corner[2] >= NEAR:
                kept.append(corner)
            before = corner
        return self._pixels(np.array(kept)) if len(kept) > 2 else None

    def _pickets(self, faces: Ints, quads: Floats, counts: Ints) -> Iterator[tuple[int, NDArray[np.int32]]]:
        """The pickets (n, 4, 2) of those fences' sides (F, 4, 3) whose gaps are wide enough to be seen."""
        spacing = np.linalg.norm(quads[:, 1] - quads[:, 0], axis=-1) / counts
        depth = quads[..., 2].mean(-1)
        open_ones = np.flatnonzero((depth < NEAR) | ((spacing - PICKET) * self.camera.focal > 0.9 * depth))
        counts, spacing = counts[open_ones], spacing[open_ones]
        fence, first = np.repeat(np.arange(len(open_ones)), counts), np.concatenate([[0], np.cumsum(counts)])
        middle = (np.arange(first[-1]) - first[fence] + 0.5) / counts[fence]
        half = (PICKET / 2 / spacing / counts)[fence]
        shares = np.stack([middle - half, middle + half, middle + half, middle - half], axis=-1)[..., None]
        left, right, right_top, left_top = (quads[open_ones][fence, corner][:, None] for corner in range(4))
        foot, head = left + shares[:, :2] * (right - left), left_top + shares[:, 2:] * (right_top - left_top)
        bars = np.concatenate([foot, head], axis=1)
        pixels, whole = self._pixels(bars), (bars[..., 2] > NEAR).all(-1)
        for k, face in enumerate(faces[open_ones].tolist()):
            mine = slice(first[k], first[k + 1])
            yield face, pixels[mine][whole[mine]]
