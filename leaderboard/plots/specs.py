"""Vega-Lite specs of the benchmark pages' plots: plain data in, plain data out; texts stand in them as tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vidsuite_leaderboard.plots.data import Placed, Scale, apart, width_of
from vidsuite_leaderboard.plots.svg import DASHES, FAINT, FRONT, GRID, INK, PAPER, SERIES, SHAPES, SOFT, Texts

WIDTH, HEIGHT = 430, 270
LINE_GAP = 15.0
"""Between the names at the ends of lines, in pixels."""
LEGEND_ROW = 17.0

Spec = dict[str, Any]


@dataclass(frozen=True)
class Axis:
    """An axis: its scale, which values are marked, and how they are written: by d3-format, or as `labels` say."""

    title: str
    scale: Scale
    ticks: Sequence[float]
    format: str = ".3~r"
    labels: Sequence[str] = ()


@dataclass(frozen=True)
class Mark:
    """A point of a plot, with what it says of itself and the entry that it leads to; the rest is its look."""

    x: float
    y: float
    text: str
    slug: str = ""
    low: float | None = None
    high: float | None = None
    shape: str = "circle"
    colour: str = FRONT
    filled: bool = True
    reached_by_tab: bool = True


@dataclass(frozen=True)
class Line:
    """A curve: `place` decides its colour, dashes and shape, and is below `len(SERIES)`."""

    name: str
    place: int
    points: Sequence[tuple[float, float]]
    slug: str = ""


def channel(axis: Axis, name: str, field: str, texts: Texts) -> Spec:
    """The channel `x` or `y` of an axis."""
    low, high = axis.scale.low, axis.scale.high
    kind = {"type": "log"} if axis.scale.log else {"zero": False}
    return {
        "field": field,
        "type": "quantitative",
        "scale": {**kind, "domain": [low, high], "nice": False},
        "axis": {
            "title": texts(axis.title),
            "values": list(axis.ticks),
            "format": axis.format,
            "labelOverlap": False,
            "tickCount": len(axis.ticks),
            "grid": name == "y",
            "labelFlush": False,
        },
    }


def against(
    x: Axis,
    y: Axis,
    marks: Sequence[Mark],
    others: Sequence[Mark],
    front: Sequence[tuple[float, float]],
    labels: Sequence[tuple[Placed, str]],
    texts: Texts,
) -> Spec:
    """Scores against cost: the front as steps, `others` faint, `marks` with intervals, `labels` where they were put."""
    encoding = {"x": channel(x, "x", "x", texts), "y": channel(y, "y", "y", texts)}
    layers: list[Spec] = []
    if front:
        ends = [*front, (x.scale.high, front[-1][1])]
        layers.append(
            {
                "data": _values([{"x": a, "y": b} for a, b in ends]),
                "mark": {"type": "line", "interpolate": "step-after", "color": FRONT, "strokeWidth": 2},
            }
        )
    if others:
        layers.append(_points([_row(mark, texts) for mark in others], 30))
    intervals = [{"x": m.x, "y": m.low, "high": m.high} for m in marks if m.low is not None and m.high is not None]
    if intervals:
        rule = {"type": "rule", "color": SOFT, "strokeWidth": 1.5}
        layers.append({"data": _values(intervals), "mark": rule, "encoding": {"y2": {"field": "high"}}})
    layers.append(_points([_row(mark, texts) for mark in marks], 90))
    for align in ("left", "center", "right"):
        rows = [
            {"x": x.scale.value(place.x), "y": y.scale.value(y.scale.length - place.y), "t": texts(label)}
            for place, label in labels
            if place.align == align
        ]
        if rows:
            mark = {"type": "text", "align": align, "baseline": "middle", "color": INK}
            layers.append({"data": _values(rows), "mark": mark, "encoding": {"text": {"field": "t"}}})
    return {"width": x.scale.length, "height": y.scale.length, "padding": 8, "layer": layers, "encoding": encoding}


def _points(rows: Sequence[Mapping[str, Any]], size: int) -> Spec:
    looks = {
        name: {"field": name, "type": "nominal", "scale": None, "legend": None} for name in ("fill", "stroke", "shape")
    }
    linked = {"href": {"field": "href"}} if any("href" in row for row in rows) else {}
    return {
        "data": _values(rows),
        "mark": {"type": "point", "size": size, "strokeWidth": 1.8, "opacity": 1},
        "encoding": {**looks, **linked, "description": {"field": "says"}},
    }


def _row(mark: Mark, texts: Texts) -> Spec:
    link = {"href": texts.link(mark.slug, reached_by_tab=mark.reached_by_tab)} if mark.slug else {}
    look = {"fill": mark.colour if mark.filled else PAPER, "stroke": mark.colour, "shape": mark.shape}
    return {"x": mark.x, "y": mark.y, "says": texts(mark.text), **look, **link}


def over(x: Axis, y: Axis, lines: Sequence[Line], marks: Sequence[Mark], texts: Texts) -> Spec:
    """Curves with their names at the right ends, moved apart where they would collide, and a mark at each point."""
    ends = [line.points[-1] for line in lines]
    pixels = [y.scale.length - y.scale.pixel(value) for _, value in ends]
    heights = apart(pixels, LINE_GAP, 0, y.scale.length)
    labels = [
        {"x": x.scale.high, "y": y.scale.value(y.scale.length - height), "t": texts(line.name), "c": SERIES[line.place]}
        for line, height in zip(lines, heights, strict=True)
    ]
    leaders = [
        {"x": a, "y": b, "x2": x.scale.high, "y2": label["y"]} for (a, b), label in zip(ends, labels, strict=True)
    ]
    text: Spec = {"text": {"field": "t"}, "color": {"field": "c", "type": "nominal", "scale": None}}
    return {
        "width": x.scale.length,
        "height": y.scale.length,
        "padding": {"left": 8, "top": 8, "bottom": 8, "right": 14 + max(width_of(line.name) for line in lines)},
        "encoding": {"x": channel(x, "x", "x", texts), "y": channel(y, "y", "y", texts)},
        "layer": [
            {
                "data": _values(leaders),
                "mark": {"type": "rule", "color": FAINT},
                "encoding": {"x2": {"field": "x2"}, "y2": {"field": "y2"}},
            },
            _strokes(lines),
            _points([_row(mark, texts) for mark in marks], 45),
            {
                "data": _values(labels),
                "mark": {"type": "text", "align": "left", "dx": 6, "baseline": "middle"},
                "encoding": text,
            },
        ],
    }


def _strokes(lines: Sequence[Line]) -> Spec:
    rows = [{"x": a, "y": b, "n": str(place)} for place, line in enumerate(lines) for a, b in line.points]
    domain = [str(place) for place in range(len(lines))]
    looks = _looks(domain, [line.place for line in lines], None)
    return {"data": _values(rows), "mark": {"type": "line", "strokeWidth": 2}, "encoding": looks}


def _looks(domain: Sequence[str], places: Sequence[int], legend: Spec | None) -> Spec:
    """Colour and dashes by field `n`."""
    ranges = {"color": [SERIES[place] for place in places], "strokeDash": [DASHES[place] or (1, 0) for place in places]}
    return {
        name: {"field": "n", "type": "nominal", "scale": {"domain": domain, "range": values}, "legend": legend}
        for name, values in ranges.items()
    }


def panels(
    x: Axis,
    y: Axis,
    lines: Mapping[str, Sequence[Line]],
    size: tuple[int, int],
    texts: Texts,
    *,
    columns: int = 2,
    diagonal: bool = False,
) -> Spec:
    """A panel a heading with its curves, on the same axes; a legend below names those of several lines."""
    rows = [
        {"x": a, "y": b, "panel": texts(heading), "n": texts(line.name), "cell": place}
        for heading, members in lines.items()
        for place, line in enumerate(members)
        for a, b in line.points
    ]
    known = {texts(line.name): line.place for members in lines.values() for line in members}
    legend: Spec = {"orient": "bottom", "columns": 1, "symbolType": "stroke", "symbolSize": 700, "symbolStrokeWidth": 2}
    looks = _looks(list(known), list(known.values()), legend if len(known) > 1 else None)
    curves: Spec = {
        "mark": {"type": "line", "strokeWidth": 1.5},
        "encoding": {"detail": {"field": "cell", "type": "nominal"}, **looks},
    }
    chance: Spec = {
        "data": _values([{"x": 0, "y": 0, "x2": 1, "y2": 1}]),
        "mark": {"type": "rule", "color": FAINT, "strokeDash": [3, 3]},
        "encoding": {"x2": {"field": "x2"}, "y2": {"field": "y2"}},
    }
    panel: Spec = {
        "width": size[0],
        "height": size[1],
        "encoding": {"x": channel(x, "x", "x", texts), "y": channel(y, "y", "y", texts)},
        "layer": [chance, curves] if diagonal else [curves],
    }
    whole = {"padding": {"left": 8, "top": 8, "bottom": 8, "right": 20}, "data": _values(rows)}
    if len(lines) == 1:
        return {**whole, **panel}
    facet = {"field": "panel", "type": "nominal", "sort": [texts(heading) for heading in lines], "title": None}
    return {**whole, "facet": facet, "columns": columns, "spacing": 16, "spec": panel}


def rows_of_dots(
    x: Axis,
    groups: Sequence[tuple[str, Sequence[Mark]]],
    row: int,
    texts: Texts,
    *,
    means: Mapping[int, float] | None = None,
    legend: Sequence[Mark] = (),
) -> Spec:
    """A row a name with its marks along x, `row` pixels high.

    Args:
        groups: the `y` of a mark moves it within its row, from -0.5 to 0.5.
        means: where a row has a line, by its place.
        legend: marks that stand above the rows with their texts; their x and y do not matter.
    """
    above = [-0.5 - (place + 0.7) * LEGEND_ROW / row for place in reversed(range(len(legend)))]
    top = min([-0.5, *above]) - (0.5 if legend else 0.0) * LEGEND_ROW / row
    low, high = x.scale.low, x.scale.high
    keys = [{**_row(mark, texts), "x": low, "y": y} for mark, y in zip(legend, above, strict=True)]
    dots = [{**_row(mark, texts), "y": place + mark.y} for place, (_, members) in enumerate(groups) for mark in members]
    layers = [
        _rules([{"x": tick, "y": -0.5, "y2": len(groups) - 0.5} for tick in x.ticks], GRID, 1, "y2"),
        _rules([{"x": low, "x2": high, "y": place - 0.5} for place in range(len(groups) + 1)], GRID, 1, "x2"),
        _rules(
            [{"x": mean, "y": place - 0.38, "y2": place + 0.38} for place, mean in (means or {}).items()],
            INK,
            2.5,
            "y2",
        ),
        _points(keys, 55),
        _points(dots, 55),
        _texts([{"x": low, "y": place, "t": texts(name)} for place, (name, _) in enumerate(groups)], "right", -8),
        _texts([{"x": low, "y": y, "t": texts(m.text)} for m, y in zip(legend, above, strict=True)], "left", 10),
    ]
    scale = {"domain": [top, len(groups) - 0.5], "nice": False, "zero": False, "reverse": True}
    return {
        "width": x.scale.length,
        "height": round(row * (len(groups) - 0.5 - top)),
        "padding": {"left": 14 + max(width_of(name) for name, _ in groups), "top": 8, "bottom": 8, "right": 14},
        "encoding": {
            "x": channel(x, "x", "x", texts),
            "y": {"field": "y", "type": "quantitative", "scale": scale, "axis": None},
        },
        "layer": [layer for layer in layers if layer["data"]["values"]],
    }


def _rules(rows: Sequence[Mapping[str, Any]], colour: str, thick: float, to: str) -> Spec:
    mark = {"type": "rule", "color": colour, "strokeWidth": thick}
    return {"data": _values(rows), "mark": mark, "encoding": {to: {"field": to}}}


def _texts(rows: Sequence[Mapping[str, Any]], align: str, dx: float) -> Spec:
    mark = {"type": "text", "align": align, "dx": dx, "baseline": "middle"}
    return {"data": _values(rows), "mark": mark, "encoding": {"text": {"field": "t"}}}


def shape(place: int) -> str:
    """The shape of the place-th of a few."""
    return SHAPES[place % len(SHAPES)]


def _values(rows: Sequence[Mapping[str, Any]]) -> Spec:
    return {"values": list(rows)}
