"""Scores against what they cost: latency on a device class, parameters, FLOPs, with the Pareto front."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vidsuite_leaderboard.entries import MEASURED, REPRODUCED, SUBMITTED, readable
from vidsuite_leaderboard.plots.data import (
    Box,
    Placed,
    beside,
    binned,
    linear_ticks,
    log_scale,
    log_ticks,
    pareto_front,
    score_scale,
)
from vidsuite_leaderboard.plots.figure import LARGEST, Figure, View
from vidsuite_leaderboard.plots.specs import HEIGHT, WIDTH, Axis, Mark, against
from vidsuite_leaderboard.plots.svg import FAINT, FRONT, SOFT, Texts, capital, drawn, shortened
from vidsuite_leaderboard.show import count, number, seconds

if TYPE_CHECKING:
    from vidsuite_leaderboard.entries import Entry

NAMED = 30
"""The best entries, which are named; those on the front are as well, as many more at most."""
DIRECT = 12
"""Names that may stand in a picture; of more, numbers."""
DEVICES = 6
"""Device classes with a plot of their own: those that most entries were measured on."""
SQUARES = ((300, 8.0), (math.inf, 14.0))
"""Entries that are not named share a mark where they fall into the same square: up to so many, of so many pixels."""
SIGNS: Mapping[str, str] = {MEASURED: "circle", SUBMITTED: "square", REPRODUCED: "diamond"}


@dataclass(frozen=True)
class Cost:
    """Something that scores are set against; `axis` turns its values into those of the axis."""

    name: str
    title: str
    axis_title: str
    value: Callable[[Entry], float | None]
    text: Callable[[float], str]
    factor: float = 1.0
    format: str = ".3~s"


@dataclass(frozen=True)
class Place:
    """An entry in a plot: its number in the table, cost in the axis' unit, and mean of the first score."""

    entry: Entry
    number: int
    name: str
    x: float
    y: float
    cost: str
    on_front: bool = False


def costs(entries: Sequence[Entry]) -> list[Cost]:
    """What entries can be set against, as far as any was measured."""
    found = Counter(device for entry in entries for device in entry.speeds)
    devices = sorted(found, key=lambda device: (-found[device], device))[:DEVICES]
    stems = Counter(readable(device) for device in devices)
    return [
        *(
            _latency(device, readable(device) if stems[readable(device)] == 1 else f"{readable(device)}-{place}")
            for place, device in enumerate(devices)
        ),
        Cost("parameters", "parameters", "parameters", lambda entry: entry.parameters, count),
        Cost("flops", "FLOPs of one sample", "FLOPs of one sample", lambda entry: entry.flops, count),
    ]


def _latency(device: str, stem: str) -> Cost:
    def value(entry: Entry) -> float | None:
        return entry.speeds[device].latency_p50 if device in entry.speeds else None

    title = f"latency on {shortened(device, 60)}"
    return Cost(f"latency-{stem}", title, "latency of one sample, median, ms", value, seconds, 1e3, ".3~r")


def cost_figures(entries: Sequence[Entry], names: Mapping[str, str], view: View, prefix: str) -> Iterator[Figure]:
    """A figure for each cost that any of the entries has; they have scores, and stand best first."""
    for cost in costs(entries):
        places, without = _places(entries, names, view, cost)
        if places:
            yield _figure(places, without, view, cost, f"{prefix}-{cost.name}")


def _places(
    entries: Sequence[Entry], names: Mapping[str, str], view: View, cost: Cost
) -> tuple[list[Place], list[str]]:
    """The entries that have both values, best first, and the names of those without a cost."""
    places, without = [], []
    for place, entry in enumerate(entries, 1):
        value, score = cost.value(entry), entry.scores[view.first].mean
        if value is None or not (0 < value < LARGEST and abs(score) < LARGEST):
            without.append(names[entry.slug])
        else:
            places.append(Place(entry, place, names[entry.slug], value * cost.factor, score, cost.text(value)))
    whole = [place for place, one in enumerate(places) if one.entry.complete]
    front = {whole[i] for i in pareto_front([(places[p].x, view.sign * places[p].y) for p in whole])}
    return [replace(one, on_front=place in front) for place, one in enumerate(places)], without


def _figure(places: Sequence[Place], without: Sequence[str], view: View, cost: Cost, name: str) -> Figure:
    named = [*places[:NAMED], *[one for one in places[NAMED:] if one.on_front][:NAMED]]
    chosen = {one.entry.slug for one in named}
    others = [one for one in places if one.entry.slug not in chosen]
    front = sorted((one for one in places if one.on_front), key=lambda one: one.x)
    x = _cost_axis(places, cost)
    y = _score_axis(named, others, view)
    labels, key = _labels(named, front, x, y, view)
    texts = Texts()
    steps = [(one.x, one.y) for one in front]
    spec = against(x, y, [_mark(one, view) for one in named], _faint(others, x, y, view), steps, labels, texts)
    title = capital(f"{view.title} against {cost.title}")
    caption = _caption(named, others, front, without)
    return Figure(
        name=name,
        title=title,
        svg=drawn(spec, texts, name, title, caption),
        caption=caption,
        columns=(
            "Model",
            "Status",
            view.title,
            "95 % interval",
            cost.title[0].upper() + cost.title[1:],
            "Pareto front",
        ),
        rows=[_cells(one, view) for one in named],
        links=[one.entry.slug for one in named],
        key=key,
    )


def _cost_axis(places: Sequence[Place], cost: Cost) -> Axis:
    scale = log_scale((one.x for one in places), WIDTH)
    return Axis(f"{cost.axis_title} (log scale)", scale, log_ticks(scale), cost.format)


def _score_axis(named: Sequence[Place], others: Sequence[Place], view: View) -> Axis:
    scores = [one.entry.scores[view.first] for one in named]
    ends = [value for s in scores for value in (s.low, s.high) if value is not None and abs(value) < LARGEST]
    scale = score_scale([*(one.y for one in [*named, *others]), *ends], HEIGHT, fraction=view.fraction)
    return Axis(view.title, scale, linear_ticks(scale.low, scale.high))


def _labels(
    named: Sequence[Place], front: Sequence[Place], x: Axis, y: Axis, view: View
) -> tuple[list[tuple[Placed, str]], list[tuple[int, str, str]]]:
    """Names beside their points, or numbers and what they stand for where names do not fit."""
    points = [(x.scale.pixel(one.x), HEIGHT - y.scale.pixel(one.y)) for one in named]
    taken = [Box(a - 6, b - 6, a + 6, b + 6) for a, b in points]
    for one, (a, _) in zip(named, points, strict=True):
        score = one.entry.scores[view.first]
        if score.low is not None and score.high is not None:
            taken.append(Box(a - 2, HEIGHT - y.scale.pixel(score.high), a + 2, HEIGHT - y.scale.pixel(score.low)))
    taken += _steps([(x.scale.pixel(one.x), HEIGHT - y.scale.pixel(one.y)) for one in front])
    area = Box(2, 0, WIDTH, HEIGHT - 2)
    if len(named) <= DIRECT:
        placed = beside([(a, b, one.name) for one, (a, b) in zip(named, points, strict=True)], taken, area)
        if all(placed):
            return [(place, one.name) for place, one in zip(placed, named, strict=True) if place], []
    numbers = [str(one.number) for one in named]
    placed = beside([(a, b, text) for text, (a, b) in zip(numbers, points, strict=True)], taken, area)
    labels = [(place, text) for place, text in zip(placed, numbers, strict=True) if place]
    return labels, [(one.number, one.name, one.entry.slug) for one in named]


def _steps(front: Sequence[tuple[float, float]]) -> list[Box]:
    """What the steps of the front cover, in pixels, from its points by x."""
    ends = [*front[1:], (float(WIDTH), front[-1][1])] if front else []
    across = [Box(a, b - 1, c, b + 1) for (a, b), (c, _) in zip(front, ends, strict=True)]
    upright = [Box(c - 1, min(b, d), c + 1, max(b, d)) for (_, b), (c, d) in zip(front, ends, strict=True)]
    return [*across, *upright]


def _mark(one: Place, view: View) -> Mark:
    score = one.entry.scores[view.first]
    colour = FRONT if one.on_front else SOFT if one.entry.complete else FAINT
    shape = SIGNS.get(one.entry.status, "circle")
    says = "; ".join(part for part in (one.name, *_says(one, view)) if part)
    return Mark(one.x, one.y, says, one.entry.slug, score.low, score.high, shape, colour, one.on_front)


def _says(one: Place, view: View) -> list[str]:
    entry = one.entry
    interval = _interval(one, view)
    rank = f"rank {entry.rank}{' (tied)' if entry.tied else ''}" if entry.rank else ""
    return [
        f"{view.title} {number(one.y)}" + (f" (95 %: {interval})" if interval else ""),
        one.cost,
        rank or f"incomplete: {entry.done} of {entry.expected} cells",
        entry.status,
        "on the Pareto front" if one.on_front else "",
    ]


def _interval(one: Place, view: View) -> str:
    score = one.entry.scores[view.first]
    return "" if score.low is None or score.high is None else f"{number(score.low)} to {number(score.high)}"


def _cells(one: Place, view: View) -> list[str]:
    status = one.entry.status if one.entry.complete else f"{one.entry.status}, incomplete"
    return [one.name, status, number(one.y), _interval(one, view), one.cost, "yes" if one.on_front else "no"]


def _faint(others: Sequence[Place], x: Axis, y: Axis, view: View) -> list[Mark]:
    """One mark for the entries that fall into the same square; it leads to an entry where there is only one."""
    marks = []
    size = next(size for most, size in SQUARES if len(others) <= most)
    for members in binned(others, lambda one: (x.scale.pixel(one.x), y.scale.pixel(one.y)), size):
        look = replace(_mark(members[0], view), colour=FAINT, filled=True, reached_by_tab=False, shape="circle")
        if len(members) > 1:
            text = f"{len(members)} entries; {view.title} about {number(look.y)}; {members[0].cost}"
            look = replace(look, slug="", text=text)
        marks.append(look)
    return marks


def _caption(named: Sequence[Place], others: Sequence[Place], front: Sequence[Place], without: Sequence[str]) -> str:
    listed = ", ".join(one.name for one in front[:NAMED]) + (" and others" if len(front) > NAMED else "")
    lines = [f"Pareto front (steps, filled marks): {listed}." if front else "No complete entry, so no Pareto front."]
    lines.append("Vertical lines are 95 % intervals of the mean.")
    signs = {one.entry.status for one in named}
    if len(signs) > 1:
        lines.append(" ".join(f"{SIGNS.get(sign, 'circle').capitalize()}: {sign}." for sign in sorted(signs)))
    if any(not one.entry.complete for one in named):
        lines.append("Pale marks without filling are incomplete and not on the front.")
    if others:
        lines.append(f"The other {len(others)} entries are drawn faint.")
    if without:
        more = f" and {len(without) - 5} more" if len(without) > 5 else ""
        lines.append(f"Not measured, so not drawn: {', '.join(without[:5])}{more}.")
    return " ".join(lines)
