"""The random layout of a neighbourhood: a grid of streets, blocks of plots, and open country around them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from vidsuite_plugins.driving_fanet.synthetic import streets
from vidsuite_plugins.driving_fanet.synthetic.lots import Style, pick
from vidsuite_plugins.driving_fanet.synthetic.mesh import Builder, Floats, Mesh
from vidsuite_plugins.driving_fanet.synthetic.shadow import ShadeMap, cast_shadows
from vidsuite_plugins.driving_fanet.synthetic.shapes import Point, Rect, grown
from vidsuite_plugins.driving_fanet.synthetic.streets import HALF_ROAD, LANE, Plan
from vidsuite_plugins.driving_fanet.synthetic.traffic import Traffic, draw_traffic

BLOCKS = (3, 3)
MARGIN = 40.0
"""Metres around the outermost roads for which shadows and heights are known."""


@dataclass(frozen=True)
class World:
    """A neighbourhood.

    Attributes:
        xs, ys: centre lines of the roads, in metres.
        ground: what is painted on the ground, in the order of painting, and the horizon.
        mesh: what stands on it.
        traffic: what moves.
        sun: unit vector towards the sun.
        shades: where the ground lies in the shade.
        heights: (H, W), the top of what stands on each square metre, from the corner `shades.origin`.
        pools: middles of the pools.
    """

    xs: Floats
    ys: Floats
    ground: Mesh
    mesh: Mesh
    traffic: Traffic
    sun: Floats
    shades: ShadeMap
    heights: Floats
    pools: list[Point]


def build_world(rng: np.random.Generator, lit: float = 0.0) -> World:
    """Lay out a neighbourhood; `lit` is the share of houses with light in their windows."""
    plan = _draw_plan(rng, lit)
    streets.paint_country(plan)
    streets.paint_roads(plan)
    blocks = _blocks(plan)
    for kerb in blocks:
        streets.lay_block(plan, kerb)
    streets.lay_outskirts(plan)
    streets.furnish_crossings(plan)
    streets.plant_country(plan)
    mesh, steep, azimuth = plan.objects.build(), float(rng.uniform(0.45, 1.05)), float(rng.uniform(0, 2 * np.pi))
    sun = np.array([np.cos(azimuth) * np.cos(steep), np.sin(azimuth) * np.cos(steep), np.sin(steep)])
    origin, size = np.full(2, -MARGIN), (plan.xs[-1] + 2 * MARGIN, plan.ys[-1] + 2 * MARGIN)
    return World(
        xs=np.array(plan.xs),
        ys=np.array(plan.ys),
        ground=plan.ground.build(),
        mesh=mesh,
        traffic=draw_traffic(rng, [grown(kerb, HALF_ROAD - LANE) for kerb in blocks]),
        sun=sun,
        shades=cast_shadows(mesh, sun, origin, size, rng),
        heights=_tops(mesh, origin, size),
        pools=plan.pools,
    )


def _draw_plan(rng: np.random.Generator, lit: float) -> Plan:
    grey = float(rng.uniform(0.3, 0.42))
    style = Style(
        road=(grey, grey, grey * 1.02),
        paving=pick(rng, ((0.52, 0.51, 0.49), (0.44, 0.44, 0.45), (0.56, 0.50, 0.44))),
        stone=pick(rng, ((0.48, 0.46, 0.43), (0.42, 0.42, 0.44), (0.55, 0.49, 0.40))),
        grass=pick(rng, ((0.30, 0.40, 0.19), (0.36, 0.42, 0.20), (0.26, 0.37, 0.19))),
        lit=lit,
    )
    return Plan(
        rng=rng,
        style=style,
        xs=np.cumsum([0.0, *rng.uniform(68, 92, BLOCKS[0])]).tolist(),
        ys=np.cumsum([0.0, *rng.uniform(58, 66, BLOCKS[1])]).tolist(),
        verge=float(rng.choice([0.0, 1.6])),
        signals=bool(rng.random() < 0.6),
        ground=Builder(),
        objects=Builder(),
        pools=[],
    )


def _blocks(plan: Plan) -> list[Rect]:
    """Each block within its kerb."""
    spans = [[(low + HALF_ROAD, high - HALF_ROAD) for low, high in pairwise(lines)] for lines in (plan.xs, plan.ys)]
    return [(west, south, east, north) for west, east in spans[0] for south, north in spans[1]]


def _tops(mesh: Mesh, origin: Floats, size: tuple[float, float]) -> Floats:
    tops = np.zeros((int(size[1]) + 1, int(size[0]) + 1))
    low = np.maximum(np.floor(mesh.low[:, :2] - origin).astype(int), 0)
    high = np.maximum(np.ceil(mesh.high[:, :2] - origin).astype(int), 0)
    for (x0, y0), (x1, y1), top in zip(low, high, mesh.high[:, 2], strict=True):
        part = tops[y0:y1, x0:x1]
        np.maximum(part, top, out=part)
    return tops
