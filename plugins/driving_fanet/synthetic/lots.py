"""One plot of land: house, garage, garden, what bounds it, and perhaps a pool."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from vidsuite_plugins.driving_fanet.synthetic import shapes
from vidsuite_plugins.driving_fanet.synthetic import textures as tx
from vidsuite_plugins.driving_fanet.synthetic.mesh import (
    HOUSE,
    POOL,
    QUARTERS,
    ROAD,
    STONE,
    VEGETATION,
    Builder,
    Colour,
    Skin,
)
from vidsuite_plugins.driving_fanet.synthetic.shapes import Point, Rect, shade
from vidsuite_plugins.driving_fanet.synthetic.vehicles import add_vehicle

WALLS: tuple[Colour, ...] = (
    (0.80, 0.77, 0.70),
    (0.72, 0.66, 0.56),
    (0.62, 0.62, 0.62),
    (0.74, 0.74, 0.76),
    (0.56, 0.36, 0.29),
    (0.50, 0.44, 0.38),
    (0.52, 0.60, 0.66),
    (0.68, 0.58, 0.40),
)
ROOFS: tuple[Colour, ...] = (
    (0.52, 0.26, 0.20),
    (0.42, 0.28, 0.22),
    (0.36, 0.36, 0.38),
    (0.46, 0.45, 0.43),
    (0.26, 0.27, 0.29),
    (0.40, 0.42, 0.36),
)
BOARDS: tuple[Colour, ...] = (
    (0.80, 0.80, 0.78),
    (0.48, 0.36, 0.26),
    (0.36, 0.28, 0.22),
    (0.52, 0.50, 0.46),
    (0.30, 0.38, 0.27),
)
GREENS: tuple[Colour, ...] = (
    (0.26, 0.36, 0.16),
    (0.20, 0.31, 0.15),
    (0.33, 0.40, 0.17),
    (0.22, 0.34, 0.22),
    (0.38, 0.38, 0.18),
)
WATERS: tuple[Colour, ...] = ((0.22, 0.52, 0.60), (0.26, 0.46, 0.56), (0.24, 0.42, 0.40), (0.34, 0.52, 0.56))


@dataclass(frozen=True)
class Style:
    """What the plots and streets of one world share."""

    road: Colour
    paving: Colour
    stone: Colour
    grass: Colour
    lit: float


def pick(rng: np.random.Generator, colours: tuple[Colour, ...], spread: float = 0.12) -> Colour:
    """One of the colours, a little brighter or darker and of a little other hue."""
    chosen, hue = colours[int(rng.integers(len(colours)))], (1 + rng.normal(0, 0.03, 3)).tolist()
    red, green, blue = (part * factor for part, factor in zip(chosen, hue, strict=True))
    return shade((red, green, blue), float(rng.uniform(1 - spread, 1 + spread)))


@dataclass
class Lot:
    """A plot of `width` x `depth` metres; local x runs along its front, which is y = 0, and y away from the street.

    `corner` is the local origin in the world, and `quarters` how many quarters the plot is turned counter-clockwise
    about it: the front of one that is not turned faces south.
    """

    ground: Builder
    objects: Builder
    rng: np.random.Generator
    style: Style
    corner: Point
    width: float
    depth: float
    quarters: int
    pools: list[Point] = field(default_factory=list)

    def point(self, x: float, y: float) -> Point:
        """A local point in the world."""
        cos, sin = QUARTERS[self.quarters]
        return self.corner[0] + cos * x - sin * y, self.corner[1] + sin * x + cos * y

    def rect(self, west: float, south: float, east: float, north: float) -> Rect:
        """A local rectangle in the world."""
        (x0, y0), (x1, y1) = self.point(west, south), self.point(east, north)
        return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)

    def chance(self, probability: float) -> bool:
        """True with the probability."""
        return bool(self.rng.random() < probability)

    def paint(self, rect: Rect, skin: Skin) -> None:
        """Cover a rectangle of the world's ground."""
        self.ground.ground(shapes.corners_of(rect), skin)


def lay_out(lot: Lot, kerb: float, open_sides: tuple[int, ...]) -> None:
    """Fill a plot.

    Args:
        lot: the plot.
        kerb: metres from its front to the road.
        open_sides: 0 where its left side, 1 where its right side runs along a cross street.
    """
    rng = lot.rng
    if lot.chance(0.1):
        _park(lot)
        return
    setback, side = float(rng.uniform(4.5, 7.5)), int(rng.integers(2))
    wide, deep = float(rng.uniform(7.5, min(12.0, lot.width - 6.6))), float(rng.uniform(6.5, 8.5))
    left = 1.6 if side else lot.width - 1.6 - wide
    house = (left, setback, left + wide, setback + deep)
    middle = left + wide / 2
    drive = (lot.width - 4.4, lot.width - 1.6) if side else (1.6, 4.4)
    walk = (middle - 0.6, middle + 0.6)
    _house(lot, house)
    garage = _garage(lot, drive, setback)
    _drive(lot, drive, walk, kerb, setback, garage)
    _front_boundary(lot, [drive, walk])
    _side_boundaries(lot, open_sides)
    _front_garden(lot, setback, drive, house)
    _back_garden(lot, setback + deep)


def _house(lot: Lot, local: Rect) -> None:
    rng = lot.rng
    storeys, rect = int(rng.integers(1, 3)), lot.rect(*local)
    height = 2.8 * storeys + float(rng.uniform(0, 0.5))
    brick = lot.chance(0.4)
    tint = pick(rng, WALLS)
    glazed = tx.WINDOW_LIT if rng.random() < lot.style.lit and not brick else tx.WINDOW_PLASTER
    wall = shapes.wall_skin(tint, tx.WINDOW_BRICK if brick else glazed)
    door = Skin(HOUSE, tx.DOOR, pick(rng, BOARDS), (1.1, 2.1))
    shapes.add_building(lot.objects, rect, height, wall, lot.quarters, door)
    gable = Skin(HOUSE, tx.BRICK if brick else tx.PLASTER, tint, (2.0, 2.0))
    style = str(rng.choice(["gable", "gable", "hip", "hip", "flat"], p=[0.3, 0.3, 0.15, 0.15, 0.1]))
    wider = shapes.grown(rect, 0.45)
    skin = shapes.roof_skin(pick(rng, ROOFS))
    shapes.add_roof(lot.objects, wider, height, float(rng.uniform(2.0, 3.4)), skin, gable, style)


def _garage(lot: Lot, drive: tuple[float, float], setback: float) -> bool:
    if not lot.chance(0.55):
        return False
    rng = lot.rng
    start = setback + float(rng.uniform(0.5, 2.0))
    rect = lot.rect(drive[0] - 0.1, start, drive[1] + 0.1, start + 5.5)
    tint = pick(rng, WALLS)
    wall = Skin(HOUSE, tx.PLASTER, tint, (2.0, 2.0))
    door = Skin(HOUSE, tx.DOOR, pick(rng, BOARDS), (2.4, 2.1))
    if not shapes.add_building(lot.objects, rect, 2.5, wall, lot.quarters, door):
        return False
    wider = shapes.grown(rect, 0.15)
    style = str(rng.choice(["gable", "flat"]))
    shapes.add_roof(lot.objects, wider, 2.5, 1.3, shapes.roof_skin(pick(rng, ROOFS)), wall, style)
    return True


def _drive(
    lot: Lot, drive: tuple[float, float], walk: tuple[float, float], kerb: float, setback: float, garage: bool
) -> None:
    rng, style = lot.rng, lot.style
    asphalt = Skin(ROAD, tx.ASPHALT, shade(style.road, float(rng.uniform(0.9, 1.25))), (4.0, 4.0), gloss=0.3)
    slabs = Skin(STONE, tx.PAVING, shade(style.paving, float(rng.uniform(0.85, 1.1))), (2.4, 2.4), gloss=0.2)
    end = setback + 2.0 + (0.0 if garage else 3.5)
    lot.paint(lot.rect(walk[0], 0.0, walk[1], setback), slabs)
    lot.paint(lot.rect(drive[0], -kerb, drive[1], end), asphalt if lot.chance(0.6) else slabs)
    if lot.chance(0.6):
        _parked(lot, ((drive[0] + drive[1]) / 2, setback - 2.6))


def _parked(lot: Lot, local: Point) -> None:
    vehicle = Builder()
    add_vehicle(vehicle, lot.rng)
    park(lot.objects, vehicle, lot.point(*local), lot.quarters + (1 if lot.chance(0.5) else 3))


def park(objects: Builder, vehicle: Builder, at: Point, quarters: int) -> bool:
    """Put down what `vehicle` holds, turned by so many quarters counter-clockwise; false where there is no room."""
    objects.adopt(vehicle, at, quarters)
    return objects.end()


def _front_boundary(lot: Lot, gaps: list[tuple[float, float]]) -> None:
    kind = str(
        lot.rng.choice(["none", "hedge", "wall", "picket", "rail", "board"], p=[0.22, 0.18, 0.2, 0.24, 0.1, 0.06])
    )
    if kind == "none":
        return
    edges = [0.3, *(edge for gap in sorted(gaps) for edge in (gap[0] - 0.2, gap[1] + 0.2)), lot.width - 0.3]
    height = float(lot.rng.uniform(0.7, 1.15)) * (1.5 if kind == "board" else 1)
    colour, green = pick(lot.rng, BOARDS), pick(lot.rng, GREENS)
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        if stop - start > 0.8:
            _bound(lot, (start, 0.4), (stop, 0.4), kind, height, colour, green)


def _bound(lot: Lot, first: Point, second: Point, kind: str, height: float, board: Colour, green: Colour) -> None:
    """One straight piece of a hedge, wall or fence between two local points on a line along an axis."""
    half = {"hedge": 0.35, "wall": 0.15}.get(kind, 0.0)
    if kind == "hedge":
        skin = Skin(VEGETATION, tx.LEAVES, green, (1.6, 1.6))
    else:
        skin = Skin(STONE, tx.MASONRY, lot.style.stone, (2.2, 2.2))
    if half:
        across = first[0] == second[0]
        grown = (half, 0.0) if across else (0.0, half)
        low, high = sorted([first, second])
        rect = lot.rect(low[0] - grown[0], low[1] - grown[1], high[0] + grown[0], high[1] + grown[1])
        shapes.add_wall(lot.objects, rect, height, skin)
    else:
        shapes.add_fence(lot.objects, lot.point(*first), lot.point(*second), height, kind, board)


def _side_boundaries(lot: Lot, open_sides: tuple[int, ...]) -> None:
    """Bound the left side, the right one where no plot follows, and the back, which two plots share, of one of them."""
    rng = lot.rng
    kinds = ["board", "rail", "picket", "hedge", "wall", "none"]
    sides = [0] + ([1] if 1 in open_sides else [])
    for side in sides:
        seen = side in open_sides
        odds = [0.22, 0.14, 0.16, 0.2, 0.12, 0.16] if seen else [0.34, 0.18, 0.12, 0.16, 0.06, 0.14]
        kind = str(rng.choice(kinds, p=odds))
        height = float(rng.uniform(1.1, 1.8)) if kind in ("board", "hedge") else float(rng.uniform(0.8, 1.2))
        x = lot.width - 0.4 if side else 0.0 if 0 not in open_sides else 0.4
        if kind != "none":
            _bound(lot, (x, 1.2), (x, lot.depth - 0.6), kind, height, pick(rng, BOARDS), pick(rng, GREENS))
    if lot.quarters != 2 and lot.chance(0.85):
        kind = str(rng.choice(kinds[:5], p=[0.4, 0.2, 0.1, 0.2, 0.1]))
        ends = (0.8, lot.depth), (lot.width - 0.8, lot.depth)
        _bound(lot, *ends, kind, float(rng.uniform(1.1, 1.7)), pick(rng, BOARDS), pick(rng, GREENS))


def _front_garden(lot: Lot, setback: float, drive: tuple[float, float], house: Rect) -> None:
    rng = lot.rng
    side = house[0] + 1.2 if drive[0] > house[0] else house[2] - 1.2
    if lot.chance(0.45):
        _plant(lot, (side, setback / 2), 0.5)
    if lot.chance(0.2):
        centre = lot.point(house[0] + 0.25 * (house[2] - house[0]), setback / 2 + 0.4)
        if shapes.add_pool(lot.objects, centre, 1.5, 0.6, pick(rng, ((0.3, 0.45, 0.6), *WALLS)), pick(rng, WATERS)):
            lot.pools.append(centre)
    for _ in range(int(rng.integers(1, 5))):
        x = float(rng.uniform(house[0], house[2]))
        shapes.add_bush(lot.objects, rng, lot.point(x, setback - 0.9), float(rng.uniform(0.4, 0.75)), pick(rng, GREENS))
    if lot.chance(0.3):
        x, y = float(rng.uniform(1.5, lot.width - 1.5)), float(rng.uniform(1.3, 2.5))
        shapes.add_rock(lot.objects, rng, lot.point(x, y), float(rng.uniform(0.3, 0.7)), pick(rng, (lot.style.stone,)))


def _plant(lot: Lot, local: Point, small: float) -> None:
    rng = lot.rng
    if lot.chance(0.25):
        shapes.add_conifer(
            lot.objects, rng, lot.point(*local), float(rng.uniform(3.5, 8)) * (small + 0.3), pick(rng, GREENS)
        )
    else:
        height = float(rng.uniform(4.5, 8.5)) * (small + 0.3)
        shapes.add_tree(lot.objects, rng, lot.point(*local), height, height * 0.28, pick(rng, GREENS))


def _back_garden(lot: Lot, behind: float) -> None:
    rng, style = lot.rng, lot.style
    slabs = Skin(STONE, tx.PAVING, shade(style.paving, float(rng.uniform(0.8, 1.15))), (2.4, 2.4), gloss=0.1)
    room = lot.depth - behind
    if lot.chance(0.7):
        lot.paint(lot.rect(3.0, behind, lot.width - 4.0, behind + 2.2), slabs)
    if lot.chance(0.62) and room > 6.5:
        _pool(lot, behind, slabs)
    for _ in range(int(rng.integers(1, 4))):
        x, y = (
            float(rng.uniform(2.2, lot.width - 2.2)),
            float(rng.uniform(behind + 2.5, max(lot.depth - 2.2, behind + 3))),
        )
        if not any(np.hypot(*np.subtract(lot.point(x, y), pool)) < 4.5 for pool in lot.pools):
            _plant(lot, (x, y), 0.7)
    for _ in range(int(rng.integers(2, 6))):
        x, y = float(rng.uniform(1.2, lot.width - 1.2)), lot.depth - float(rng.uniform(1.0, 1.8))
        shapes.add_bush(lot.objects, rng, lot.point(x, y), float(rng.uniform(0.5, 1.0)), pick(rng, GREENS))
    if lot.chance(0.35):
        x, y = float(rng.uniform(1.5, lot.width - 1.5)), float(rng.uniform(behind + 2.5, lot.depth - 1.5))
        shapes.add_rock(lot.objects, rng, lot.point(x, y), float(rng.uniform(0.5, 1.0)), pick(rng, (style.stone,)))


def _pool(lot: Lot, behind: float, slabs: Skin) -> None:
    rng = lot.rng
    x, y = lot.width / 2 + float(rng.uniform(-1.5, 1.5)), (behind + 2.2 + lot.depth - 0.8) / 2
    centre = lot.point(x, y)
    water = Skin(POOL, tx.WATER, pick(rng, WATERS), (4.0, 4.0), gloss=0.5)
    half = float(rng.uniform(2.6, 4.0)), min(float(rng.uniform(1.5, 2.2)), (lot.depth - behind - 4) / 2)
    kind = str(rng.choice(["square", "round", "standing"], p=[0.5, 0.3, 0.2]))
    if kind == "standing":
        wall = pick(rng, ((0.3, 0.45, 0.6), (0.7, 0.72, 0.72), *BOARDS))
        if not shapes.add_pool(lot.objects, centre, min(half[0], 2.2), float(rng.uniform(0.7, 1.1)), wall, water.tint):
            return
    else:
        sides = 4 if kind == "square" else 14
        for grown, skin in ((0.7, slabs), (0.0, water)):
            size = half[0] + grown, half[1] + grown
            if sides == 4:
                outline = shapes.corners_of(
                    (centre[0] - size[0], centre[1] - size[1], centre[0] + size[0], centre[1] + size[1])
                )
            else:
                outline = [(px, py) for px, py in shapes.ring(centre, size, sides).tolist()]
            lot.ground.ground(outline, skin)
    lot.pools.append(centre)


def _park(lot: Lot) -> None:
    """A green with trees, boulders and a pond."""
    rng, style = lot.rng, lot.style
    centre = (lot.width / 2, lot.depth * 0.55)
    size = (min(lot.width * 0.28, 5.0), 3.5)
    rim = Skin(STONE, tx.ROCK, style.stone, (3.0, 3.0))
    water = Skin(POOL, tx.WATER, pick(rng, WATERS[2:]), (5.0, 5.0), gloss=0.5)
    for grown, skin in ((0.6, rim), (0.0, water)):
        outline = shapes.ring(lot.point(*centre), (size[0] + grown, size[1] + grown), 14).tolist()
        lot.ground.ground([(x, y) for x, y in outline], skin)
    lot.pools.append(lot.point(*centre))
    path = replace(rim, texture=tx.PAVING, tint=style.paving, tile=(2.4, 2.4))
    lot.paint(lot.rect(0.5, 3.0, lot.width - 0.5, 4.2), path)
    for _ in range(14):
        x, y = float(rng.uniform(1.5, lot.width - 1.5)), float(rng.uniform(1.0, lot.depth - 2.0))
        away = np.hypot((x - centre[0]) / (size[0] + 1.6), (y - centre[1]) / (size[1] + 1.6))
        if away < 1 or 2.0 < y < 5.2:
            continue
        if away < 1.35:
            shapes.add_rock(lot.objects, rng, lot.point(x, y), float(rng.uniform(0.5, 1.3)), pick(rng, (style.stone,)))
        else:
            _plant(lot, (x, y), 0.7)
