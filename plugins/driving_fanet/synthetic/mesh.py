"""What the street world is made of: flat faces and leafy discs, grouped into objects that never overlap.

World axes: x east, y north, z up, in metres; the ground is z = 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ROAD, VEHICLE, VEGETATION, TREE, FIXTURE, SKY, FENCE, STONE, HOUSE, POOL, ROOF = range(11)
"""The labels, in the order of `classes.AIRSIM`."""

QUARTERS = ((1, 0), (0, 1), (-1, 0), (0, -1))
"""Cosine and sine of a turn by so many quarters."""

Colour = tuple[float, float, float]
Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Skin:
    """How a surface looks and what it counts as.

    Attributes:
        label: index into `classes.AIRSIM`.
        texture: index into the atlas (`textures`).
        tint: mean colour (red, green, blue), 0 to 1.
        tile: metres that one tile of the texture covers, along and across the face.
        gloss: 0 to 1: how much of the sky it mirrors when seen at a grazing angle.
    """

    label: int
    texture: int
    tint: Colour
    tile: tuple[float, float] = (1.0, 1.0)
    gloss: float = 0.0


@dataclass(frozen=True)
class Faces:
    """F convex planar polygons; `corners[first[i] : first[i + 1]]` are those of face i, counter-clockwise from outside.

    Attributes:
        corners: (V, 3).
        first: (F + 1,).
        origin: (F, 3), where the texture begins.
        along, across: (F, 3), the texture's axes in tiles a metre.
        normal: (F, 3), of unit length.
        tint: (F, 3).
        texture, label, pickets, owner: (F,). A face of n > 0 pickets has gaps between them, and four corners: left
            and right at the bottom, then right and left at the top. `owner` is the object's number.
        gloss: (F,).
    """

    corners: Floats
    first: Ints
    origin: Floats
    along: Floats
    across: Floats
    normal: Floats
    tint: Floats
    texture: Ints
    label: Ints
    pickets: Ints
    owner: Ints
    gloss: Floats

    def __len__(self) -> int:
        return len(self.label)

    def take(self, which: Ints) -> Faces:
        """The faces `which`, in that order."""
        counts = self.first[which + 1] - self.first[which]
        first = np.concatenate([[0], np.cumsum(counts)])
        corners = np.arange(first[-1]) + np.repeat(self.first[which] - first[:-1], counts)
        rest = (self.origin, self.along, self.across, self.normal, self.tint, self.texture, self.label)
        taken = [each[which] for each in (*rest, self.pickets, self.owner, self.gloss)]
        return Faces(self.corners[corners], first, *taken)

    def moved(self, turns: Floats, shifts: Floats) -> Faces:
        """Each object turned by its matrix (O, 3, 3), then moved by its shift (O, 3)."""
        per_corner = np.repeat(self.owner, np.diff(self.first))

        def turned(vectors: Floats, owner: Ints) -> Floats:
            return np.einsum("nij,nj->ni", turns[owner], vectors)

        return Faces(
            turned(self.corners, per_corner) + shifts[per_corner],
            self.first,
            turned(self.origin, self.owner) + shifts[self.owner],
            turned(self.along, self.owner),
            turned(self.across, self.owner),
            turned(self.normal, self.owner),
            *(self.tint, self.texture, self.label, self.pickets, self.owner, self.gloss),
        )


def join(parts: Sequence[Faces]) -> Faces:
    """The faces of all parts, one after the other."""
    columns = [np.concatenate(column) for column in zip(*(list(vars(part).values()) for part in parts), strict=True)]
    counts = np.concatenate([np.diff(part.first) for part in parts])
    columns[1] = np.concatenate([[0], np.cumsum(counts)])
    return Faces(*columns)


@dataclass(frozen=True)
class Discs:
    """B jagged discs that always face the camera: foliage and rocks.

    Attributes:
        centre: (B, 3).
        radius: (B, 2), sideways and up.
        outline: (B,), which of the jagged outlines.
        spin: (B,), by how much the texture is turned, in radians.
        tile: (B,), metres that one tile of the texture covers.
        tint: (B, 3).
        texture, label, owner: (B,).
    """

    centre: Floats
    radius: Floats
    outline: Ints
    spin: Floats
    tile: Floats
    tint: Floats
    texture: Ints
    label: Ints
    owner: Ints

    def __len__(self) -> int:
        return len(self.label)

    def take(self, which: Ints) -> Discs:
        """The discs `which`, in that order."""
        return Discs(*(each[which] for each in vars(self).values()))


@dataclass(frozen=True)
class Mesh:
    """Faces, discs and the objects that they belong to.

    Attributes:
        low, high: (O, 3), the objects' bounding boxes.
        faces_of, discs_of: (O + 1,), where each object's faces and discs begin.
    """

    faces: Faces
    discs: Discs
    low: Floats
    high: Floats
    faces_of: Ints
    discs_of: Ints


def ranges(first: Ints, which: Ints) -> Ints:
    """The members of the groups `which`, where `first` (G + 1,) says at which member each group begins."""
    counts = first[which + 1] - first[which]
    starts = np.cumsum(counts) - counts
    return np.arange(counts.sum()) + np.repeat(first[which] - starts, counts)


class Builder:
    """Collects faces and discs, object by object.

    An object's faces are drawn in the order in which they were added, those turned away left out; that order must be
    right from everywhere, as it is for a convex body with things on its sides.
    """

    def __init__(self) -> None:
        self._corners: list[list[Vector]] = []
        self._skins: list[Skin] = []
        self._faces: list[tuple[Vector, Vector, int, int]] = []
        self._discs: list[tuple] = []
        self._boxes = np.empty((6, 256))
        self._ends: list[tuple[int, int]] = []

    def face(
        self,
        corners: Iterable[Vector],
        skin: Skin,
        *,
        pickets: int = 0,
        origin: Vector | None = None,
        along: Vector | None = None,
    ) -> None:
        """Add a face, its corners counter-clockwise from outside.

        Its texture begins at the first corner and runs along the first edge unless `origin` and `along` say otherwise.
        """
        points = [tuple(corner) for corner in corners]
        if along is None:
            (x0, y0, z0), (x1, y1, z1) = points[:2]
            along = (x1 - x0, y1 - y0, z1 - z0)
        self._corners.append(points)
        self._skins.append(skin)
        self._faces.append((points[0] if origin is None else origin, along, pickets, len(self._ends)))

    def ground(self, corners: Iterable[tuple[float, float]], skin: Skin, along: Vector = (1.0, 0.0, 0.0)) -> None:
        """Add a polygon of the ground, counter-clockwise; its texture runs `along` an axis from the world's origin."""
        self.face([(x, y, 0.0) for x, y in corners], skin, origin=(0.0, 0.0, 0.0), along=along)

    def disc(
        self, centre: Vector, radius: tuple[float, float], skin: Skin, rng: np.random.Generator, rough: int = 0
    ) -> None:
        """Add a disc with one of the leafy outlines, or (`rough` > 0) of the stony ones."""
        outline = int(rng.integers(OUTLINES)) + OUTLINES * rough
        spin = float(rng.uniform(0, 2 * np.pi))
        self._discs.append(
            (centre, radius, outline, spin, skin.tile[0], skin.tint, skin.texture, skin.label, len(self._ends))
        )

    def adopt(self, other: Builder, at: tuple[float, float], quarters: int) -> None:
        """Add the faces of `other`, turned by so many quarters counter-clockwise about its origin, then moved `at`."""
        cos, sin = QUARTERS[quarters % 4]

        def turned(vector: Vector, x: float = 0.0, y: float = 0.0) -> Vector:
            return x + cos * vector[0] - sin * vector[1], y + sin * vector[0] + cos * vector[1], vector[2]

        for corners, skin, (origin, along, pickets, _) in zip(other._corners, other._skins, other._faces, strict=True):
            moved, start = [turned(corner, *at) for corner in corners], turned(origin, *at)
            self.face(moved, skin, pickets=pickets, origin=start, along=turned(along))

    def end(self) -> bool:
        """End the object; false, and nothing of it is kept, where its box overlaps that of another."""
        faces, discs = self._ends[-1] if self._ends else (0, 0)
        points = [corner for face in self._corners[faces:] for corner in face]
        for (x, y, z), (wide, tall), *_ in self._discs[discs:]:
            points += [(x - wide, y - wide, z - HANG * tall), (x + wide, y + wide, z + tall)]
        box = _bounds(points)
        (x0, y0, z0, x1, y1, z1), known = box, self._boxes[:, : len(self._ends)]
        meets = (known[0] < x1 - TOUCH) & (known[3] > x0 + TOUCH) & (known[1] < y1 - TOUCH) & (known[4] > y0 + TOUCH)
        if (meets & (known[2] < z1 - TOUCH) & (known[5] > z0 + TOUCH)).any():
            del self._faces[faces:], self._corners[faces:], self._skins[faces:], self._discs[discs:]
            return False
        self._keep(box)
        return True

    def end_anywhere(self) -> None:
        """End an object of faces whose place is decided later."""
        start = self._ends[-1][0] if self._ends else 0
        self._keep(_bounds([corner for face in self._corners[start:] for corner in face]))

    def _keep(self, box: tuple[float, ...]) -> None:
        count = len(self._ends)
        if count == self._boxes.shape[1]:
            self._boxes = np.concatenate([self._boxes, np.empty_like(self._boxes)], axis=1)
        self._boxes[:, count] = box
        self._ends.append((len(self._faces), len(self._discs)))

    def build(self) -> Mesh:
        """All that was added."""
        first = np.concatenate([[0], np.cumsum([len(c) for c in self._corners])]).astype(np.int64)
        corners = np.array([corner for face in self._corners for corner in face])
        origin, along, pickets, owner = (np.array(column) for column in zip(*self._faces, strict=True))
        tile = np.array([skin.tile for skin in self._skins])
        start = corners[first[:-1]]
        normal = _unit(np.cross(corners[first[:-1] + 1] - start, corners[first[:-1] + 2] - start))
        along = _unit(along)
        faces = Faces(
            corners,
            first,
            origin,
            along / tile[:, :1],
            np.cross(normal, along) / tile[:, 1:],
            normal,
            np.array([skin.tint for skin in self._skins]),
            np.array([skin.texture for skin in self._skins]),
            np.array([skin.label for skin in self._skins]),
            pickets,
            owner,
            np.array([skin.gloss for skin in self._skins]),
        )
        if self._discs:
            discs = Discs(*(np.array(column) for column in zip(*self._discs, strict=True)))
        else:
            none, no = np.empty((0, 3)), np.empty(0, dtype=np.int64)
            discs = Discs(none, none[:, :2], no, np.empty(0), np.empty(0), none, no, no, no)
        count = len(self._ends)
        ends = np.array([(0, 0), *self._ends])
        boxes = self._boxes[:, :count].T
        return Mesh(faces, discs, boxes[:, :3].copy(), boxes[:, 3:].copy(), ends[:, 0], ends[:, 1])


TOUCH = 1e-6
"""Boxes that share no more than this, in metres, do not overlap."""


def _bounds(points: Iterable[Vector]) -> tuple[float, ...]:
    """The least and the greatest x, y, z."""
    columns = list(zip(*points, strict=True))
    return (*map(min, columns), *map(max, columns))


def _unit(vectors: Floats) -> Floats:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


HANG = 0.8
"""Where a disc's box ends at the bottom, as a share of its radius: leaves hang out of it, over the trunk's top."""

OUTLINES = 12
"""How many jagged outlines there are of each kind."""


def outlines() -> Floats:
    """The jagged outlines of discs (2 * `OUTLINES`, 16, 2) within the unit circle: leafy ones, then stony ones."""
    rng = np.random.default_rng(5)
    angles = np.arange(16) / 16 * 2 * np.pi
    leafy = rng.uniform(0.68, 1.0, (OUTLINES, 16))
    stony = np.repeat(rng.uniform(0.8, 1.0, (OUTLINES, 8)), 2, axis=1)
    radii = np.concatenate([leafy, stony])
    return radii[..., None] * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
