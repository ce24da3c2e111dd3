"""What tasks show of predictions, drawn: lines and matrices of one entry, and those of a table's best side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from vidsuite_core.tasks.shown import Lines, Matrix, Point
from vidsuite_leaderboard.entries import readable
from vidsuite_leaderboard.plots import matrix as matrices
from vidsuite_leaderboard.plots import small
from vidsuite_leaderboard.plots.data import Scale, area_under, linear_ticks, score_scale, thinned
from vidsuite_leaderboard.plots.figure import Figure
from vidsuite_leaderboard.plots.small import Trace, colours
from vidsuite_leaderboard.plots.specs import HEIGHT, WIDTH, Axis, Line, Mark, over, panels, shape
from vidsuite_leaderboard.plots.svg import SERIES, Texts, capital, drawn, shortened
from vidsuite_leaderboard.remarks import clean
from vidsuite_leaderboard.show import number

if TYPE_CHECKING:
    from vidsuite_leaderboard.entries import Detail
    from vidsuite_leaderboard.plots.models import Model

PANELS = 9
"""Curves of each model that are drawn side by side; the table has them all."""
POINTS = 60
"""Points of a curve."""
SIGNS = 40
"""Points up to which each has a mark of its own."""
NAME = 30

Curves = Sequence[tuple[str, Sequence[Point]]]


def entry_shown(detail: Detail) -> Iterator[Figure]:
    """The figures of one entry."""
    for one in detail.every(Matrix):
        if matrices.usable(one.counts):
            svg = matrices.shown(one.labels, one.counts, shortened(one.title, 60))
            yield Figure(readable(one.name), clean(one.title), svg, clean(one.caption), wide=len(one.counts) > 6)
    for lines in detail.every(Lines):
        curves = [(name, points) for name, points in lines.lines if len(points) > 1]
        if curves:
            yield _rates(lines, curves) if lines.diagonal else _course(lines, curves)


def _rates(one: Lines, curves: Curves) -> Figure:
    """Curves from corner to corner, as ROC curves, each with its area."""
    width, height = small.inner(330)
    ticks = [0, 0.25, 0.5, 0.75, 1]
    axes = Axis(clean(one.x), Scale(0, 1, width), ticks), Axis(clean(one.y), Scale(0, 1, height), ticks)
    areas = [area_under(points) for _, points in curves]
    traces = [
        Trace(thinned(points, POINTS), f"{shortened(name, NAME)} (area {number(area)})", colour, dashes)
        for (name, points), area, (colour, dashes) in zip(curves, areas, colours(len(curves)), strict=True)
    ]
    about = (readable(one.name), clean(one.title), clean(one.caption))
    svg = small.lines(axes, traces[::-1], about, legend=len(traces) <= 6, diagonal=True)
    rows = [[shortened(name, 60), number(area)] for (name, _), area in zip(curves, areas, strict=True)]
    return Figure(*about[:2], svg, about[2], ("Curve", "Area under it"), rows)


def _course(one: Lines, curves: Curves) -> Figure:
    """Curves of something over something else."""
    width, height = small.inner()
    axes = _axes(one, curves, width, height)
    traces = [
        Trace(thinned(points, POINTS), shortened(name, NAME), colour, dashes, signs=_signs(one, name, points))
        for (name, points), (colour, dashes) in zip(curves, colours(len(curves)), strict=True)
    ]
    about = (readable(one.name), clean(one.title), clean(one.caption))
    svg = small.lines(axes, traces[::-1], about, legend=len(traces) > 1)
    columns = ("Curve", capital(clean(one.x)), capital(clean(one.y)))
    rows = [[shortened(name, 60), f"{x:g}", number(y)] for name, points in curves for x, y in thinned(points, POINTS)]
    return Figure(*about[:2], svg, about[2], columns, rows)


def _signs(one: Lines, name: str, points: Sequence[Point]) -> list[tuple[str, str]]:
    if len(points) > SIGNS:
        return []
    return [("circle", f"{clean(one.x)} {x:g}; {shortened(name, NAME)} {number(y)}") for x, y in points]


def _axes(one: Lines, curves: Curves, width: float, height: float) -> tuple[Axis, Axis]:
    points = [point for _, found in curves for point in found]
    low, high = min(x for x, _ in points), max(x for x, _ in points)
    across = Scale(low, high if high > low else low + 1, width)
    values = [y for _, y in points]
    up = score_scale(values, height, fraction=min(values) >= 0 and max(values) <= 1)
    return (
        Axis(clean(one.x), across, linear_ticks(across.low, across.high)),
        Axis(clean(one.y), up, linear_ticks(up.low, up.high)),
    )


def models_shown(best: Sequence[Model], which: str, prefix: str) -> Iterator[Figure]:
    """The same figures of several entries, by their names; `which` begins captions, `prefix` ids."""
    yield from _all_matrices(best, which, prefix)
    for name in dict.fromkeys(one.name for model in best for one in model.detail.every(Lines)):
        found = {
            place: one
            for place, model in enumerate(best)
            for one in model.detail.every(Lines)
            if one.name == name and any(len(points) > 1 for _, points in one.lines)
        }
        if found:
            yield _side_by_side(best, found, which, f"{prefix}-{readable(name)}")


def _all_matrices(best: Sequence[Model], which: str, prefix: str) -> Iterator[Figure]:
    for name in dict.fromkeys(one.name for model in best for one in model.detail.every(Matrix)):
        shown = [
            (model, one)
            for model in best
            for one in model.detail.every(Matrix)
            if one.name == name and matrices.usable(one.counts)
        ]
        if not shown:
            continue
        title = clean(shown[0][1].title)
        parts = Markup("").join(
            Markup('<div class="one-matrix"><p class="matrix-name">{}</p>{}</div>').format(
                model.name, matrices.shown(one.labels, one.counts, f"{title} of {model.name}")
            )
            for model, one in shown
        )
        svg = Markup('<div class="matrices">{}</div>').format(parts)
        yield Figure(f"{prefix}-{readable(name)}", title, svg, f"{which}{clean(shown[0][1].caption)}", wide=True)


def _side_by_side(best: Sequence[Model], found: dict[int, Lines], which: str, name: str) -> Figure:
    """The curves of one figure: a panel a curve, a line a model; of a single curve one plot with marks."""
    first = next(iter(found.values()))
    labels = list(dict.fromkeys(label for one in found.values() for label, points in one.lines if len(points) > 1))
    curves = {(place, label): points for place, one in found.items() for label, points in one.lines if len(points) > 1}
    lines = {
        label: [
            Line(best[place].name, place, thinned(curves[place, label], POINTS))
            for place in found
            if (place, label) in curves
        ]
        for label in labels[:PANELS]
    }
    texts = Texts()
    every = [(label, points) for (_, label), points in curves.items()]
    single = len(lines) == 1
    title, caption = clean(first.title), f"{which}{clean(first.caption)}"
    if first.diagonal:
        size = (WIDTH - 80, WIDTH - 80) if single else (170, 170)
        ticks = [0, 0.25, 0.5, 0.75, 1] if single else [0, 0.5, 1]
        x, y = (
            Axis(clean(words), Scale(-0.005, 1.005, side), ticks)
            for words, side in zip((first.x, first.y), size, strict=True)
        )
    else:
        size = (WIDTH - 110, HEIGHT) if single else (170, 130)
        x, y = _axes(first, every, *size)
    if single and not first.diagonal:
        spec = over(x, y, lines[labels[0]], _marks(best, found, labels[0], first), texts)
    else:
        spec = panels(
            x, y, {shortened(label, 24): some for label, some in lines.items()}, size, texts, diagonal=first.diagonal
        )
    if len(labels) > PANELS:
        caption += f" {PANELS} of {len(labels)} curves are drawn; the entries' pages have them all."
    keys = [(place, label) for label in labels for place in found if (place, label) in curves]
    told = "Area under the curve" if first.diagonal else f"Last {clean(first.y)}"
    rows = [
        [
            best[place].name,
            shortened(label, 40),
            number(area_under(curves[place, label]) if first.diagonal else curves[place, label][-1][1]),
        ]
        for place, label in keys
    ]
    svg = drawn(spec, texts, name, title, caption)
    slugs = [best[place].entry.slug for place, _ in keys]
    return Figure(name, title, svg, caption, ("Model", "Curve", told), rows, slugs)


def _marks(best: Sequence[Model], found: dict[int, Lines], label: str, first: Lines) -> list[Mark]:
    marks = []
    for place, one in found.items():
        points = dict(one.lines).get(label, ())
        for x, y in thinned(points, 20):
            marks.append(
                Mark(
                    x,
                    y,
                    f"{best[place].name}; {clean(first.x)} {x:g}; {clean(first.y)} {number(y)}",
                    best[place].entry.slug,
                    shape=shape(place),
                    colour=SERIES[place],
                    filled=False,
                    reached_by_tab=x == points[-1][0],
                )
            )
    return marks
