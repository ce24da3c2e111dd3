"""Cars, vans and lorries; parked ones are part of the world, moving ones are turned and moved frame by frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vidsuite_plugins.driving_fanet.synthetic import textures as tx
from vidsuite_plugins.driving_fanet.synthetic.mesh import VEHICLE, Builder, Colour, Floats, Skin
from vidsuite_plugins.driving_fanet.synthetic.shapes import corners_of, ring, shade

PAINTS: tuple[Colour, ...] = (
    (0.82, 0.82, 0.80),
    (0.55, 0.56, 0.58),
    (0.32, 0.33, 0.35),
    (0.12, 0.12, 0.13),
    (0.62, 0.12, 0.10),
    (0.12, 0.22, 0.45),
    (0.20, 0.34, 0.22),
    (0.58, 0.50, 0.38),
    (0.72, 0.58, 0.16),
    (0.30, 0.42, 0.55),
)

LONGEST = 7.5
"""No vehicle is longer, in metres."""

GLASS = Skin(VEHICLE, tx.PLAIN, (0.14, 0.17, 0.20), gloss=0.6)
BLACK = Skin(VEHICLE, tx.PLAIN, (0.08, 0.08, 0.085))


def add_vehicle(builder: Builder, rng: np.random.Generator) -> float:
    """Add a vehicle that stands in the origin and looks east; the caller ends the object. Returns its length."""
    kind = rng.choice(["car", "car", "car", "car", "van", "lorry"])
    paint = Skin(VEHICLE, tx.PLAIN, shade(PAINTS[int(rng.integers(len(PAINTS)))], float(rng.uniform(0.85, 1.15))))
    paint = replace(paint, gloss=0.25)
    if kind == "car":
        return _car(builder, rng, paint)
    return _van(builder, rng, paint) if kind == "van" else _lorry(builder, rng, paint)


def _car(builder: Builder, rng: np.random.Generator, paint: Skin) -> float:
    length, width = float(rng.uniform(3.9, 4.7)), float(rng.uniform(1.68, 1.82))
    waist, top = float(rng.uniform(0.82, 0.92)), float(rng.uniform(1.38, 1.62))
    estate = rng.random() < 0.4
    half = width / 2
    _box(builder, (-length / 2, length / 2), half, (0.2, waist), paint)
    _lights(builder, length, half, 0.62, 0.78)
    for at in (-0.3, 0.3):
        _wheels(builder, at * length, half, 0.32)
    back = -length * (0.48 if estate else 0.36)
    cabin = ((back, back + (0.15 if estate else 0.55)), (length * 0.22, length * 0.04))
    _cabin(builder, cabin, half, (waist, top), paint)
    return length


def _van(builder: Builder, rng: np.random.Generator, paint: Skin) -> float:
    length, half, waist, top = float(rng.uniform(4.6, 5.4)), 0.92, 1.05, float(rng.uniform(1.9, 2.3))
    _box(builder, (-length / 2, length / 2), half, (0.25, waist), paint)
    _lights(builder, length, half, 0.7, 0.9)
    for at in (-0.32, 0.32):
        _wheels(builder, at * length, half, 0.35)
    _cabin(builder, ((-length / 2, -length / 2 + 0.05), (length * 0.42, length * 0.26)), half, (waist, top), paint)
    return length


def _lorry(builder: Builder, rng: np.random.Generator, paint: Skin) -> float:
    length, half, top = float(rng.uniform(6.2, 7.4)), 1.1, float(rng.uniform(2.7, 3.1))
    cargo = Skin(VEHICLE, tx.PLANKS, shade((0.7, 0.7, 0.68), float(rng.uniform(0.5, 1.1))), (2.4, 2.4))
    nose = length / 2 - 1.7
    _box(builder, (-length / 2, length / 2), half, (0.35, 0.75), BLACK)
    for at in (-0.3, 0.32):
        _wheels(builder, at * length, half, 0.45)
    # Whichever of the two is farther must come first, so both are one convex outline with the gap painted on.
    _box(builder, (-length / 2, length / 2), half, (0.75, top), cargo)
    for side in (-1, 1):
        _panel(builder, (nose, length / 2), side * (half + 0.004), (0.75, top), paint)
        _panel(builder, (nose + 0.6, length / 2 - 0.2), side * (half + 0.008), (1.5, 2.2), GLASS)
    front = length / 2
    _end(builder, front + 0.004, half, (0.75, top), paint)
    _end(builder, front + 0.008, half * 0.9, (1.5, 2.3), GLASS)
    _lights(builder, length + 0.03, half, 0.8, 1.0)
    return length


def _box(builder: Builder, along: tuple[float, float], half: float, heights: tuple[float, float], skin: Skin) -> None:
    low, high = heights
    corners = corners_of((along[0], -half, along[1], half))
    for i, (x0, y0) in enumerate(corners):
        x1, y1 = corners[(i + 1) % 4]
        builder.face([(x0, y0, low), (x1, y1, low), (x1, y1, high), (x0, y0, high)], skin)
    builder.face([(x, y, high) for x, y in corners], skin)


def _panel(builder: Builder, along: tuple[float, float], y: float, heights: tuple[float, float], skin: Skin) -> None:
    first, second = along if y < 0 else along[::-1]
    low, high = heights
    builder.face([(first, y, low), (second, y, low), (second, y, high), (first, y, high)], skin)


def _end(builder: Builder, x: float, half: float, heights: tuple[float, float], skin: Skin) -> None:
    first, second = (-half, half) if x > 0 else (half, -half)
    low, high = heights
    builder.face([(x, first, low), (x, second, low), (x, second, high), (x, first, high)], skin)


def _wheels(builder: Builder, x: float, half: float, radius: float) -> None:
    skin = Skin(VEHICLE, tx.WHEEL, (0.5, 0.5, 0.5), (2 * radius, 2 * radius))
    outline = ring((0.0, radius), radius, 8, np.pi / 8).tolist()
    for side in (-1, 1):
        y = side * (half + 0.01)
        disc = [(x - side * out, y, up) for out, up in outline]
        builder.face(disc, skin, origin=(x + side * radius, y, 0.0), along=(-float(side), 0.0, 0.0))


def _lights(builder: Builder, length: float, half: float, low: float, high: float) -> None:
    for x, colour in ((length / 2 + 0.005, (0.85, 0.83, 0.7)), (-length / 2 - 0.005, (0.75, 0.08, 0.06))):
        skin = Skin(VEHICLE, tx.LAMP, colour)
        for y in (-half + 0.05, half - 0.35):
            inner, outer = (y, y + 0.3) if x > 0 else (y + 0.3, y)
            builder.face([(x, inner, low), (x, outer, low), (x, outer, high), (x, inner, high)], skin)


def _cabin(
    builder: Builder,
    along: tuple[tuple[float, float], tuple[float, float]],
    half: float,
    heights: tuple[float, float],
    paint: Skin,
) -> None:
    """The part with the windows; `along` has the rear's and the front's x at the bottom and at the top."""
    (rear, rear_top), (front, front_top) = along
    low, high = heights
    narrow = half * 0.82
    bottom = [(rear, -half, low), (front, -half, low), (front, half, low), (rear, half, low)]
    top = [(rear_top, -narrow, high), (front_top, -narrow, high), (front_top, narrow, high), (rear_top, narrow, high)]
    sides = replace(paint, texture=tx.CABIN, tile=(float(front - rear), float(high - low) * 1.1))
    for i, skin in enumerate((sides, GLASS, sides, GLASS)):
        j = (i + 1) % 4
        builder.face([bottom[i], bottom[j], top[j], top[i]], skin)
    builder.face(top, paint)


def turned(yaw: float) -> Floats:
    """The matrix (3, 3) that turns east to the direction `yaw`, in radians counter-clockwise."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
