"""Things that stand in the street world: each function adds one or more objects to a `Builder`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vidsuite_plugins.driving_fanet.synthetic import textures as tx
from vidsuite_plugins.driving_fanet.synthetic.mesh import (
    FENCE,
    FIXTURE,
    HANG,
    HOUSE,
    POOL,
    ROOF,
    STONE,
    TREE,
    VEGETATION,
    Builder,
    Colour,
    Floats,
    Skin,
)

Point = tuple[float, float]
Rect = tuple[float, float, float, float]
"""West, south, east, north."""


def corners_of(rect: Rect) -> list[Point]:
    """A rectangle's corners, counter-clockwise from the south-west."""
    west, south, east, north = rect
    return [(west, south), (east, south), (east, north), (west, north)]


def grown(rect: Rect, by: float) -> Rect:
    """The rectangle with `by` metres more on each side."""
    return rect[0] - by, rect[1] - by, rect[2] + by, rect[3] + by


def ring(centre: Point, radius: float | Point, count: int, turn: float = 0.0) -> Floats:
    """A regular polygon (count, 2), counter-clockwise; two radii make it an ellipse."""
    angles = turn + np.arange(count) / count * 2 * np.pi
    return np.asarray(centre) + np.asarray(radius) * np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def shade(colour: Colour, factor: float) -> Colour:
    """The colour, brighter or darker."""
    red, green, blue = (min(part * factor, 1.4) for part in colour)
    return red, green, blue


def add_prism(
    builder: Builder,
    base: Sequence[Point] | Floats,
    heights: tuple[float, float],
    side: Skin,
    top: Skin | None = None,
    taper: float = 1.0,
) -> None:
    """Add an upright prism, or a frustum whose top is `taper` times its base; no bottom, and a top only with a skin."""
    low = [(float(x), float(y)) for x, y in base]
    count = len(low)
    x, y = sum(corner[0] for corner in low) / count, sum(corner[1] for corner in low) / count
    high = [(x + (px - x) * taper, y + (py - y) * taper) for px, py in low]
    for i in range(count):
        j = (i + 1) % count
        quad = [(*low[i], heights[0]), (*low[j], heights[0]), (*high[j], heights[1]), (*high[i], heights[1])]
        builder.face(quad[:3] if taper < 1e-3 else quad, side)
    if top is not None:
        builder.face([(x, y, heights[1]) for x, y in high], top)


def add_post(builder: Builder, at: Point, heights: tuple[float, float], half: float, skin: Skin) -> None:
    """Add a square post."""
    add_prism(builder, corners_of((at[0] - half, at[1] - half, at[0] + half, at[1] + half)), heights, skin, skin)


def fit(length: float, tile: float) -> float:
    """The tile's length nearest to `tile` that divides `length`."""
    return length / max(round(length / tile), 1)


def add_building(builder: Builder, rect: Rect, height: float, wall: Skin, front: int, door: Skin) -> bool:
    """A body with a window in each bay of `wall.tile`, a door in side `front` (0 south, 1 east ..), and no top."""
    corners = corners_of(rect)
    for i, (first, second) in enumerate(zip(corners, corners[1:] + corners[:1], strict=True)):
        width = abs(second[0] - first[0]) + abs(second[1] - first[1])
        skin = replace(wall, tile=(fit(width, wall.tile[0]), fit(height, wall.tile[1])))
        builder.face(_upright(first, second, (0, height)), skin)
        if i == front:
            left, right = (_between(first, second, 0.5 + k * door.tile[0] / 2 / width) for k in (-1, 1))
            builder.face(_upright(left, right, (0, door.tile[1])), door)
    return builder.end()


def _between(first: Point, second: Point, share: float) -> Point:
    return first[0] + share * (second[0] - first[0]), first[1] + share * (second[1] - first[1])


def add_roof(builder: Builder, rect: Rect, eaves: float, rise: float, skin: Skin, gable: Skin, style: str) -> bool:
    """A roof along the longer side of `rect`, overhang included: "gable", "hip" or "flat"."""
    west, south, east, north = rect
    under = replace(skin, tint=shade(skin.tint, 0.5))
    builder.face([(*corner, eaves) for corner in corners_of(rect)[::-1]], under)
    if style == "flat":
        add_prism(builder, corners_of(rect), (eaves, eaves + 0.35), skin, replace(skin, texture=tx.ASPHALT))
        return builder.end()
    lengthwise = east - west >= north - south
    inset = (min(east - west, north - south) / 2) * (1.0 if style == "hip" else 0.0)
    middle = ((west + east) / 2, (south + north) / 2)
    top = eaves + rise
    if lengthwise:
        first, second = (west + inset, middle[1], top), (east - inset, middle[1], top)
        low = [(west, south, eaves), (east, south, eaves), (east, north, eaves), (west, north, eaves)]
    else:
        first, second = (middle[0], south + inset, top), (middle[0], north - inset, top)
        low = [(east, south, eaves), (east, north, eaves), (west, north, eaves), (west, south, eaves)]
    builder.face([low[0], low[1], second, first], skin)
    builder.face([low[2], low[3], first, second], skin)
    ends = skin if style == "hip" else gable
    builder.face([low[1], low[2], second], ends)
    builder.face([low[3], low[0], first], ends)
    return builder.end()


def add_pool(builder: Builder, centre: Point, radius: float, height: float, wall: Colour, water: Colour) -> bool:
    """A round pool that stands on the lawn."""
    side = Skin(POOL, tx.PLAIN, wall, (2.0, 2.0))
    top = Skin(POOL, tx.WATER, water, (3.0, 3.0), gloss=0.5)
    add_prism(builder, ring(centre, radius, 9), (0.0, height), side, top)
    return builder.end()


def add_tree(
    builder: Builder, rng: np.random.Generator, at: Point, height: float, radius: float, green: Colour
) -> bool:
    """A trunk and a crown of leafy discs, the lower 30 to 45 % of `height` being trunk."""
    bare = height * float(rng.uniform(0.3, 0.42))
    thick = 0.03 * height * float(rng.uniform(0.7, 1.2))
    bark = Skin(TREE, tx.BARK, shade((0.42, 0.34, 0.27), float(rng.uniform(0.7, 1.25))), (0.8, 1.6))
    tall, tile = (height - bare) / 2, float(rng.uniform(1.6, 2.6))
    count, lowest = int(np.clip(radius * 5, 6, 13)), height
    for k in range(count):
        size = float(rng.uniform(0.42, 0.62))
        angle, level = 2.4 * k + rng.uniform(0, 0.8), (k + 0.5) / count * 2 - 1
        out = radius * math.sqrt(max(1 - level**2, 0.05)) * 0.9 * (1 - size)
        centre = (at[0] + math.cos(angle) * out, at[1] + math.sin(angle) * out, bare + tall * (1 + level * (1 - size)))
        tone = 0.85 + 0.25 * (level + 1) / 2 + rng.uniform(-0.08, 0.08)
        leaves = Skin(TREE, tx.LEAVES, shade(green, float(tone)), (tile, tile))
        builder.disc(centre, (radius * size, tall * size), leaves, rng)
        lowest = min(lowest, centre[2] - HANG * tall * size)
    if not builder.end():
        return False
    add_prism(builder, ring(at, thick, 5), (0.0, lowest), bark, taper=0.8)
    return builder.end()


def add_conifer(builder: Builder, rng: np.random.Generator, at: Point, height: float, green: Colour) -> bool:
    """A short trunk and two or three tiers of needles, each a frustum."""
    skin = Skin(TREE, tx.LEAVES, green, (1.3, 1.3))
    tiers = int(rng.integers(2, 4))
    bare, radius, turn = height * 0.1, height * float(rng.uniform(0.18, 0.26)), float(rng.uniform(0, 1))
    step = (height - bare) / tiers
    for tier in range(tiers):
        wide = radius * (1 - 0.75 * tier / tiers)
        last = tier == tiers - 1
        levels = (bare + tier * step, bare + (tier + 1) * step)
        add_prism(builder, ring(at, wide, 8, turn + tier), levels, skin, taper=0.0005 if last else 0.45)
        if not builder.end():
            return False
    add_prism(builder, ring(at, 0.03 * height, 5), (0.0, bare), Skin(TREE, tx.BARK, (0.36, 0.29, 0.24), (0.8, 1.6)))
    return builder.end()


def add_bush(builder: Builder, rng: np.random.Generator, at: Point, radius: float, green: Colour) -> bool:
    """A bush: three leafy discs close to the ground."""
    skin = Skin(VEGETATION, tx.LEAVES, green, (1.4, 1.4))
    for k in range(3):
        angle = 2.1 * k + rng.uniform(0, 1)
        out, up = 0.4 * radius, 0.55 * radius * float(rng.uniform(0.8, 1.2))
        centre = (at[0] + out * math.cos(angle), at[1] + out * math.sin(angle), up)
        size = radius * 0.6
        builder.disc(centre, (size, size), replace(skin, tint=shade(green, float(rng.uniform(0.8, 1.15)))), rng)
    return builder.end()


def add_rock(builder: Builder, rng: np.random.Generator, at: Point, radius: float, grey: Colour) -> bool:
    """One boulder."""
    skin = Skin(STONE, tx.ROCK, grey, (2.2, 2.2))
    builder.disc((*at, radius * 0.35), (radius, radius * 0.7), skin, rng, rough=1)
    return builder.end()


def _upright(first: Point, second: Point, levels: tuple[float, float]) -> list[tuple[float, float, float]]:
    return [(*first, levels[0]), (*second, levels[0]), (*second, levels[1]), (*first, levels[1])]


def add_fence(builder: Builder, first: Point, second: Point, height: float, style: str, colour: Colour) -> bool:
    """A fence along an axis: "board" (closed), "picket" (with gaps) or "rail" (posts and rails)."""
    length = abs(second[0] - first[0]) + abs(second[1] - first[1])
    skin = Skin(FENCE, tx.PLANKS, colour, (1.2, 1.2))
    bar = Skin(FENCE, tx.BARK, colour, (1.5, 0.8))
    for start, stop in ((first, second), (second, first)):
        if style == "board":
            builder.face(_upright(start, stop, (0, height)), skin)
            continue
        if style == "picket":
            builder.face(_upright(start, stop, (0.06, height)), bar, pickets=max(int(length / 0.24), 1))
            bars, thick = (0.3 * height, 0.78 * height), 0.09
        else:
            builder.face(_upright(start, stop, (0, height)), bar, pickets=max(int(length / 1.8), 1))
            bars, thick = (0.3 * height, 0.6 * height, 0.9 * height), 0.13
        for level in bars:
            builder.face(_upright(start, stop, (level - thick / 2, level + thick / 2)), bar)
    return builder.end()


def add_wall(builder: Builder, rect: Rect, height: float, skin: Skin) -> bool:
    """A wall or a clipped hedge."""
    add_prism(builder, corners_of(rect), (0.0, height), skin, skin)
    return builder.end()


def add_lamp(builder: Builder, at: Point, towards: Point, height: float, grey: Colour) -> bool:
    """A street lamp whose arm points `towards` (a unit vector along an axis)."""
    metal, light = Skin(FIXTURE, tx.PLAIN, grey), Skin(FIXTURE, tx.LAMP, (0.6, 0.58, 0.5))
    add_post(builder, at, (0.0, height), 0.07, metal)
    end = (at[0] + 1.3 * towards[0], at[1] + 1.3 * towards[1])
    arm = _spanning(at, end, 0.05)
    add_prism(builder, corners_of(arm), (height - 0.1, height), metal, metal)
    head = _spanning((at[0] + 0.9 * towards[0], at[1] + 0.9 * towards[1]), end, 0.16)
    add_prism(builder, corners_of(head), (height - 0.05, height + 0.12), light, metal)
    return builder.end()


def _spanning(first: Point, second: Point, half: float) -> Rect:
    (x0, x1), (y0, y1) = sorted((first[0], second[0])), sorted((first[1], second[1]))
    return x0 - half, y0 - half, x1 + half, y1 + half


def add_signal(builder: Builder, at: Point, towards: Point, grey: Colour) -> bool:
    """A traffic light that faces `towards`, seen by who drives against it."""
    metal, case = Skin(FIXTURE, tx.PLAIN, grey), Skin(FIXTURE, tx.PLAIN, (0.13, 0.14, 0.13))
    add_post(builder, at, (0.0, 2.5), 0.07, metal)
    add_post(builder, at, (2.5, 3.5), 0.2, case)
    (x, y), (right, up) = at, (-towards[1], towards[0])
    x, y = x + 0.205 * towards[0], y + 0.205 * towards[1]
    first, second = (x - 0.17 * right, y - 0.17 * up), (x + 0.17 * right, y + 0.17 * up)
    builder.face(_upright(first, second, (2.52, 3.48)), Skin(FIXTURE, tx.SIGNAL, (0.5, 0.5, 0.5), (0.34, 0.96)))
    return builder.end()


def add_sign(builder: Builder, at: Point, towards: Point, height: float, colour: Colour, edges: int) -> bool:
    """A sign of `edges` corners on a thin pole, facing `towards`."""
    grey = Skin(FIXTURE, tx.PLAIN, (0.5, 0.52, 0.53))
    side = (-towards[1], towards[0], 0.0)
    x, y = at[0] + 0.05 * towards[0], at[1] + 0.05 * towards[1]
    outline = ring((0.0, height), 0.38 if edges > 4 else 0.42, edges, np.pi / 2 if edges == 3 else np.pi / edges)
    plate = [(x + right * side[0], y + right * side[1], up) for right, up in outline.tolist()]
    corner = (x - 0.42 * side[0], y - 0.42 * side[1], height - 0.42)
    builder.face(plate[::-1], grey)
    add_post(builder, at, (0.0, height + 0.3), 0.04, grey)
    builder.face(plate, Skin(FIXTURE, tx.SIGN, colour, (0.84, 0.84)), origin=corner, along=side)
    return builder.end()


def add_bollard(builder: Builder, at: Point, height: float, colour: Colour) -> bool:
    """A bollard, hydrant or meter at the kerb."""
    add_prism(
        builder, ring(at, 0.13, 6), (0.0, height), Skin(FIXTURE, tx.PLAIN, colour), Skin(FIXTURE, tx.LAMP, colour)
    )
    return builder.end()


def roof_skin(tint: Colour) -> Skin:
    """A tiled roof."""
    return Skin(ROOF, tx.TILES, tint, (3.2, 3.2))


def wall_skin(tint: Colour, texture: int) -> Skin:
    """An outer wall, one window a bay."""
    return Skin(HOUSE, texture, tint, (3.0, 2.8))
