"""Streets and open country: what is laid out between and around the plots of a neighbourhood."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vidsuite_plugins.driving_fanet.synthetic import shapes
from vidsuite_plugins.driving_fanet.synthetic import textures as tx
from vidsuite_plugins.driving_fanet.synthetic.lots import GREENS, Lot, Style, lay_out, park, pick
from vidsuite_plugins.driving_fanet.synthetic.mesh import (
    FIXTURE,
    QUARTERS,
    ROAD,
    STONE,
    TREE,
    VEGETATION,
    Builder,
    Skin,
)
from vidsuite_plugins.driving_fanet.synthetic.shapes import Point, Rect, corners_of, grown, shade
from vidsuite_plugins.driving_fanet.synthetic.vehicles import add_vehicle

HALF_ROAD, LANE, PARKING = 5.2, 1.65, 4.2
"""Metres from a road's centre line to its kerb, to the middle of a lane, and to that of the parked cars."""

PAVEMENT, OUTER_DEPTH = 2.0, 21.0
FAR = 420.0
"""Metres from the middle of the world to the line of trees at the horizon."""

DIRECTIONS: tuple[Point, ...] = ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))
NORTHWARDS = (0.0, 1.0, 0.0)


@dataclass
class Plan:
    """A neighbourhood under construction; `xs` and `ys` are the roads' centre lines, `verge` the grass along kerbs."""

    rng: np.random.Generator
    style: Style
    xs: list[float]
    ys: list[float]
    verge: float
    signals: bool
    ground: Builder
    objects: Builder
    pools: list[Point]

    def paint(self, rect: Rect, skin: Skin) -> None:
        """Cover a rectangle of the ground."""
        self.ground.ground(corners_of(rect), skin)


def paint_country(plan: Plan) -> None:
    """Meadows, and the line of trees at the horizon."""
    middle = (plan.xs[-1] / 2, plan.ys[-1] / 2)
    plan.paint(grown((*middle, *middle), 1500.0), Skin(VEGETATION, tx.GRASS, plan.style.grass, (7.3, 7.3)))
    tops = 9 + 9 * plan.rng.random(49)
    tops[-1] = tops[0]
    outline, green = shapes.ring(middle, FAR, 48).tolist(), pick(plan.rng, GREENS)
    for k in range(48):
        (x0, y0), (x1, y1) = outline[k], outline[(k + 1) % 48]
        skin = Skin(TREE, tx.LEAVES, shade(green, float(plan.rng.uniform(0.8, 1.1))), (14.0, 14.0))
        # Seen from within, so its corners run clockwise from above.
        plan.ground.face([(x1, y1, 0), (x0, y0, 0), (x0, y0, float(tops[k])), (x1, y1, float(tops[k + 1]))], skin)


def paint_roads(plan: Plan) -> None:
    """The grid of roads with their centre lines."""
    road = Skin(ROAD, tx.ASPHALT, plan.style.road, (4.5, 4.5), gloss=0.35)
    dashes = Skin(ROAD, tx.DASHES, (0.5, 0.5, 0.5), (7.5, 0.14), gloss=0.3)
    west, south, east, north = plan.xs[0], plan.ys[0], plan.xs[-1], plan.ys[-1]
    for y in plan.ys:
        plan.paint(grown((west, y, east, y), HALF_ROAD), road)
        plan.paint((west, y - 0.07, east, y + 0.07), dashes)
    for x in plan.xs:
        plan.paint(grown((x, south, x, north), HALF_ROAD), road)
        plan.ground.ground(corners_of((x - 0.07, south, x + 0.07, north)), dashes, along=NORTHWARDS)
    for x in plan.xs:
        for y in plan.ys:
            plan.paint(grown((x, y, x, y), HALF_ROAD + 1.0), road)


def lay_block(plan: Plan, kerb: Rect) -> None:
    """A block within its kerb: pavement, two rows of plots back to back, and what stands along the streets."""
    style, rng = plan.style, plan.rng
    plan.paint(kerb, Skin(STONE, tx.PLAIN, shade(style.paving, 1.15), (2.0, 2.0), gloss=0.1))
    lawn = Skin(VEGETATION, tx.GRASS, pick(rng, (style.grass,), 0.08), (3.6, 3.6))
    inner = grown(kerb, -0.18)
    if plan.verge:
        plan.paint(inner, lawn)
        inner = grown(kerb, -plan.verge)
    plan.paint(inner, Skin(STONE, tx.PAVING, style.paving, (2.4, 2.4), gloss=0.2))
    west, south, east, north = grown(kerb, -plan.verge - PAVEMENT)
    plan.paint((west, south, east, north), lawn)
    _lay_row(plan, (west, south), east - west, (north - south) / 2, 0)
    _lay_row(plan, (east, north), east - west, (north - south) / 2, 2)
    _furnish_block(plan, kerb)


def _lay_row(plan: Plan, corner: Point, length: float, depth: float, quarters: int, built: float = 1.0) -> None:
    """Plots side by side from `corner`, turned by `quarters` as in `Lot`, each with the probability `built`."""
    count = max(int(length / plan.rng.uniform(16.5, 20)), 2)
    width, (dx, dy) = length / count, QUARTERS[quarters]
    for k in range(count):
        if plan.rng.random() >= built:
            continue
        place = (corner[0] + dx * k * width, corner[1] + dy * k * width)
        lot = Lot(plan.ground, plan.objects, plan.rng, plan.style, place, width, depth, quarters)
        open_sides = tuple(side for side, ends in ((0, k == 0), (1, k == count - 1 or built < 1)) if ends)
        lay_out(lot, PAVEMENT + plan.verge, open_sides)
        plan.pools += lot.pools


def lay_outskirts(plan: Plan) -> None:
    """Rows of plots with gaps beyond the outermost roads, their fronts towards the roads."""
    front = HALF_ROAD + plan.verge
    paving = Skin(STONE, tx.PAVING, plan.style.paving, (2.4, 2.4), gloss=0.2)
    inner = grown((plan.xs[0], plan.ys[0], plan.xs[-1], plan.ys[-1]), front)
    (west, south, east, north), (x0, y0, x1, y1) = inner, grown(inner, PAVEMENT)
    for strip in ((x0, y0, x1, south), (east, y0, x1, y1), (x0, north, x1, y1), (x0, y0, west, y1)):
        plan.paint(strip, paving)
    for corner, length, quarters in (
        ((x0, y1), x1 - x0, 0),
        ((x0, y0), y1 - y0, 1),
        ((x1, y0), x1 - x0, 2),
        ((x1, y1), y1 - y0, 3),
    ):
        _lay_row(plan, corner, length, OUTER_DEPTH, quarters, built=0.65)


def _furnish_block(plan: Plan, kerb: Rect) -> None:
    """Lamps, street trees, bollards and parked cars along the four sides of a block."""
    rng, green, grey = plan.rng, pick(plan.rng, GREENS), float(plan.rng.uniform(0.25, 0.6))
    wooded, crowded = rng.random() < 0.55, rng.random()
    corners = corners_of(kerb)
    for side, (start, stop) in enumerate(zip(corners, corners[1:] + corners[:1], strict=True)):
        along, inward = DIRECTIONS[side], DIRECTIONS[(side + 1) % 4]
        length = abs(stop[0] - start[0]) + abs(stop[1] - start[1])
        at = _places(start, along, inward)
        outward = (-inward[0], -inward[1])
        for metres in np.arange(float(rng.uniform(6, 14)), length - 5, 24.0).tolist():
            shapes.add_lamp(plan.objects, at(metres, 0.45), outward, float(rng.uniform(4.8, 6.2)), (grey, grey, grey))
        for metres in np.arange(float(rng.uniform(8, 14)), length - 8, float(rng.uniform(9, 14))).tolist():
            if wooded and rng.random() < 0.75:
                height = float(rng.uniform(5.5, 7.5))
                shapes.add_tree(plan.objects, rng, at(metres, 0.9), height, float(rng.uniform(1.3, 1.9)), green)
            elif rng.random() < 0.25:
                shapes.add_bollard(plan.objects, at(metres, 0.4), 0.9, pick(rng, ((0.6, 0.15, 0.1), (0.3, 0.3, 0.32))))
        _park_cars(plan, at, length, side % 2, crowded)


def _places(start: Point, along: Point, inward: Point) -> Callable[[float, float], Point]:
    """What finds a place so many metres along a line, and so many inwards of it."""

    def at(metres: float, inside: float) -> Point:
        return start[0] + metres * along[0] + inside * inward[0], start[1] + metres * along[1] + inside * inward[1]

    return at


def _park_cars(plan: Plan, at: Callable[[float, float], Point], length: float, quarters: int, crowded: float) -> None:
    metres = 10.0 + float(plan.rng.uniform(0, 6))
    while metres < length - 12:
        if plan.rng.random() < 0.3 + 0.5 * crowded:
            vehicle = Builder()
            add_vehicle(vehicle, plan.rng)
            park(plan.objects, vehicle, at(metres, PARKING - HALF_ROAD), quarters + 2 * int(plan.rng.integers(2)))
        metres += float(plan.rng.uniform(7.5, 12))


def furnish_crossings(plan: Plan) -> None:
    """Zebras, and lights or signs, on each arm of each crossing."""
    for i, x in enumerate(plan.xs):
        for j, y in enumerate(plan.ys):
            for dx, dy in DIRECTIONS:
                if 0 <= i + dx < len(plan.xs) and 0 <= j + dy < len(plan.ys):
                    _furnish_arm(plan, (x, y), (dx, dy))


def _furnish_arm(plan: Plan, centre: Point, arm: Point) -> None:
    rng, signs = plan.rng, ((0.62, 0.10, 0.10), (0.12, 0.24, 0.55), (0.70, 0.60, 0.12))
    # To the right of who drives towards the crossing along this arm.
    at = _places(centre, arm, (-arm[1], arm[0]))
    if rng.random() < 0.5:
        zebra = Skin(ROAD, tx.STRIPES, (0.5, 0.5, 0.5), (1.0, 2.4), gloss=0.3)
        across = NORTHWARDS if arm[0] else (1.0, 0.0, 0.0)
        ends = at(HALF_ROAD + 1.2, -4.6), at(HALF_ROAD + 3.6, 4.6)
        (west, east), (south, north) = (sorted(each) for each in zip(*ends, strict=True))
        plan.ground.ground(corners_of((west, south, east, north)), zebra, along=across)
    if plan.signals:
        shapes.add_signal(plan.objects, at(5.8, 6.0), arm, (0.32, 0.33, 0.32))
    elif rng.random() < 0.8:
        edges, height = int(rng.choice([3, 8, 4])), float(rng.uniform(2.1, 2.6))
        shapes.add_sign(plan.objects, at(5.8, 6.0), arm, height, pick(rng, signs), edges)
    if rng.random() < 0.5:
        place = at(float(rng.uniform(12, 26)), 5.75)
        shapes.add_sign(plan.objects, place, arm, float(rng.uniform(2.0, 2.5)), pick(rng, signs), 8)


def plant_country(plan: Plan) -> None:
    """Trees, bushes, boulders and utility poles beyond the outermost roads."""
    rng, width, depth = plan.rng, plan.xs[-1], plan.ys[-1]
    for _ in range(150):
        away = HALF_ROAD + plan.verge + OUTER_DEPTH + float(rng.gamma(1.6, 9.0))
        side, share = int(rng.integers(4)), float(rng.uniform(-0.15, 1.15))
        if side % 2 == 0:
            at = share * width, -away if side else depth + away
        else:
            at = -away if side == 1 else width + away, share * depth
        _plant(plan, at)
    wood = Skin(FIXTURE, tx.BARK, (0.38, 0.32, 0.26), (0.8, 1.6))
    for share in np.arange(0.02, 1.0, 0.12).tolist():
        for y in (-HALF_ROAD - 0.4, depth + HALF_ROAD + 0.4):
            shapes.add_post(plan.objects, (share * width, y), (0.0, 7.0), 0.12, wood)
            plan.objects.end()


def _plant(plan: Plan, at: Point) -> None:
    rng, kind, green = plan.rng, plan.rng.random(), pick(plan.rng, GREENS)
    if kind < 0.5:
        height = float(rng.uniform(5, 10))
        shapes.add_tree(plan.objects, rng, at, height, height * float(rng.uniform(0.22, 0.32)), green)
    elif kind < 0.68:
        shapes.add_conifer(plan.objects, rng, at, float(rng.uniform(4, 11)), green)
    elif kind < 0.85:
        shapes.add_bush(plan.objects, rng, at, float(rng.uniform(0.6, 1.4)), green)
    else:
        shapes.add_rock(plan.objects, rng, at, float(rng.uniform(0.5, 1.8)), pick(rng, (plan.style.stone,)))
