"""Plots of the site: those of a benchmark's tables, by Vega-Lite, and those of an entry, which are small and many."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from vidsuite_leaderboard.plots import small
from vidsuite_leaderboard.plots.cost import cost_figures
from vidsuite_leaderboard.plots.data import Scale, linear_ticks, names, score_scale, thinned
from vidsuite_leaderboard.plots.figure import (
    LARGEST,
    Figure,
    View,
    by_unit,
    curve_title,
    measure_title,
    measures,
    own_cells,
    training,
    validation,
    view_of,
)
from vidsuite_leaderboard.plots.models import FOLD_ROWS, Model, Models
from vidsuite_leaderboard.plots.shown import entry_shown
from vidsuite_leaderboard.plots.small import Dot, Trace, colours
from vidsuite_leaderboard.plots.specs import Axis, shape
from vidsuite_leaderboard.plots.svg import capital, shortened
from vidsuite_leaderboard.show import number, seconds

if TYPE_CHECKING:
    from vidsuite_leaderboard.board import Board
    from vidsuite_leaderboard.entries import Curve, Detail, Entry, Moment
    from vidsuite_leaderboard.site import Site

BARS = 100
"""Classes that are drawn by class; the table has them all."""
TRACES = 12
NAME = 30

__all__ = ["Figure", "entry_figures", "table_figures"]


def table_figures(board: Board, entries: Sequence[Entry], prefix: str) -> list[Figure]:
    """The plots of one table: `entries` are of one dataset and preset, best first; `prefix` begins every id."""
    view = view_of(board.suite, entries[0].task)
    scored = [entry for entry in entries if view.first in entry.scores]
    if not scored:
        return []
    named = names(scored)
    best = [Model(entry, named[entry.slug], board.detail(entry)) for entry in scored[:FOLD_ROWS]]
    figures = [*cost_figures(scored, named, view, prefix), *Models(best, view, prefix).figures()]
    return sorted(figures, key=lambda figure: figure.wide)


def entry_figures(site: Site, entry: Entry, detail: Detail) -> list[Figure]:
    """The plots of an entry's own page, as far as there is anything to draw; a millisecond or two in all."""
    view = view_of(site.board.suite, entry.task)
    return [
        *_classes(detail),
        *entry_shown(detail),
        *_folds(entry, detail, view),
        *_training(detail, view),
        *_history(detail.history, view),
    ]


def _classes(detail: Detail) -> Iterator[Figure]:
    found = measures([detail])
    values = {c: [detail.per_class[c].get(m) for m in found] for c in list(detail.per_class)[:BARS]}
    known = [value for row in values.values() for value in row if value is not None]
    if not known:
        return
    title, caption = "Scores by class", "Mean over cells."
    if len(detail.per_class) > BARS:
        caption += f" The first {BARS} of {len(detail.per_class)} classes are drawn."
    about = ("classes", title, caption)
    labels = {c: shortened(c, NAME) for c in values}
    high = max(1.0, *known)
    if len(found) == 1:
        named = measure_title(found[0])
        rows = [(labels[c], row[0], f"{named} {number(row[0])}") for c, row in values.items() if row[0] is not None]
        title = capital(f"{named} by class")
        svg = small.bars(rows, high, ("classes", title, caption))
    else:
        marks = [
            Dot(0, measure_title(m), shape(i), f"c{i % 6 + 1}", 0.5 * (i / (len(found) - 1) - 0.5))
            for i, m in enumerate(found)
        ]
        groups = [
            (labels[c], [_at(mark, v, labels[c]) for mark, v in zip(marks, row, strict=True) if v is not None])
            for c, row in values.items()
        ]
        x = _axis("score", Scale(0, high, 1))
        svg = small.dots(x, groups, about, legend=marks, high=24)
    rest = [m for m in dict.fromkeys(m for row in detail.per_class.values() for m in row) if m not in found]
    columns = ["Class", *(capital(measure_title(m)) for m in [*found, *rest])]
    table = [
        [shortened(c, 60), *(number(row.get(m)) for m in found), *(number(row.get(m), 0) for m in rest)]
        for c, row in detail.per_class.items()
    ]
    yield Figure("classes", title, svg, caption, columns, table)


def _at(mark: Dot, value: float, label: str) -> Dot:
    return Dot(value, f"{label}; {mark.text} {number(value)}", mark.sign, mark.colour, mark.shift)


def _folds(entry: Entry, detail: Detail, view: View) -> Iterator[Figure]:
    cells = own_cells(entry, detail, view)
    if not cells:
        return
    seeds, folds = sorted({seed for _, seed, _ in cells}), list(dict.fromkeys(fold for fold, _, _ in cells))
    few = len(seeds) <= 6
    values = [value for _, _, value in cells]
    groups = [
        (
            f"fold {shortened(fold, NAME)}",
            [
                Dot(
                    value,
                    f"fold {shortened(fold, NAME)}, seed {seed}; {view.title} {number(value)}",
                    *_look(seeds, seed),
                )
                for f, seed, value in cells
                if f == fold
            ],
        )
        for fold in folds
    ]
    legend = [Dot(0, f"seed {seed}", *_look(seeds, seed)) for seed in seeds if few and len(seeds) > 1]
    caption = "A mark a cell; the upright line is the mean."
    about = ("folds", f"{capital(view.title)} of each fold and seed", caption)
    x = _axis(view.title, score_scale(values, 1, fraction=view.fraction))
    svg = small.dots(x, groups, about, legend=legend, mean=fmean(values), high=24)
    rows = [[shortened(fold, 60), str(seed), number(value)] for fold, seed, value in cells]
    yield Figure(*about[:2], svg, caption, ("Fold", "Seed", view.title), rows)


def _cell_name(fold: str, seed: int) -> str:
    return f"fold {shortened(fold, NAME)}, seed {seed}"


def _look(seeds: Sequence[int], seed: int) -> tuple[str, str, float]:
    place = seeds.index(seed)
    shift = 0.5 * (place / (len(seeds) - 1) - 0.5) if len(seeds) > 1 else 0.0
    return shape(place), f"c{place % 6 + 1}", shift


def _training(detail: Detail, view: View) -> Iterator[Figure]:
    for stem, curve in (("loss", "loss"), ("validation", validation([detail], view))):
        for name, unit, found in by_unit(stem, {curve: training(detail, curve)}):
            yield _training_figure((name, unit, curve), found[curve], view)


def _training_figure(names: tuple[str, str, str], found: Sequence[Curve], view: View) -> Figure:
    name, unit, curve = names
    named = curve_title(curve, view)
    width, height = small.inner()
    last = max(when for one in found for when, _ in one.points)
    scale = score_scale([v for one in found for _, v in one.points], height, fraction=curve != "loss")
    traces = [
        Trace(thinned(one.points, 60), f"fold {shortened(one.fold, NAME)}, seed {one.seed}", f"c{i % 6 + 1}", thick=1.2)
        for i, one in enumerate(found[:TRACES])
    ]
    caption = "A line a cell, from its log." + (f" {TRACES} of {len(found)}." if len(found) > TRACES else "")
    about = (name, "Training loss" if curve == "loss" else f"{capital(named)} in validation", caption)
    svg = small.lines((_whole(unit, 0, last, width), _axis(named, scale)), traces, about, legend=False)
    rows = [
        [shortened(one.fold, 60), str(one.seed), number(one.points[0][1]), number(one.points[-1][1])] for one in found
    ]
    return Figure(*about[:2], svg, caption, ("Fold", "Seed", f"First {named}", f"Last {named}"), rows)


def _history(history: Sequence[Moment], view: View) -> Iterator[Figure]:
    """Score and latency by version; nothing where there is one version alone."""
    scores = [
        _Standing(place, moment, moment.score, number(moment.score), moment.score_step)
        for place, moment in enumerate(history)
        if moment.score is not None
    ]
    if len(scores) > 1:
        y = score_scale([one.value for one in scores], small.inner()[1], fraction=view.fraction)
        yield _history_figure(("history-score", view.title), {view.title: scores}, _axis(view.title, y), history)
    by_device = {
        shortened(device, 40): [
            _Standing(place, moment, latency * 1e3, seconds(latency), _faster_or_slower(history, place, device))
            for place, moment in enumerate(history)
            if 0 < (latency := moment.latency.get(device, 0.0)) < LARGEST
        ]
        for device in sorted({device for moment in history for device in moment.latency})
    }
    by_device = {device: found for device, found in by_device.items() if len(found) > 1}
    if by_device:
        high = max(one.value for found in by_device.values() for one in found)
        y = Scale(0, high * 1.05 or 1, small.inner()[1])
        yield _history_figure(("history-latency", "latency"), by_device, _axis("latency of one sample, ms", y), history)


def _faster_or_slower(history: Sequence[Moment], place: int, device: str) -> bool:
    """Whether this device class is one of those on which latency stepped at the place-th moment."""
    from vidsuite_leaderboard.history import SLOWER

    before, after = history[place - 1].latency.get(device, 0.0) if place else 0.0, history[place].latency[device]
    return history[place].latency_step and before > 0 and not 1 / SLOWER <= after / before <= SLOWER


@dataclass(frozen=True)
class _Standing:
    """How something stood with the place-th version of the code; `value` as it is drawn, `shown` as it is told."""

    place: int
    moment: Moment
    value: float
    shown: str
    stepped: bool

    @property
    def at(self) -> tuple[float, float]:
        return float(self.place), self.value

    @property
    def version(self) -> str:
        commit = f" ({self.moment.commit[:10]})" if self.moment.commit else ""
        return shortened(f"{self.moment.version}{commit}", 60)

    def sign(self, what: str) -> tuple[str, str]:
        text = f"{self.moment.date[:10]}, version {self.version}; {what} {self.shown}"
        return ("diamond", f"{text}; a step") if self.stepped else ("circle", text)


def _history_figure(
    named: tuple[str, str], rows: Mapping[str, Sequence[_Standing]], y: Axis, history: Sequence[Moment]
) -> Figure:
    name, title = named[0], f"History of {named[1]}"
    ticks = thinned(range(len(history)), 5)
    scale = Scale(-0.2, len(history) - 0.8, small.inner()[0])
    x = Axis("version of the code, by date", scale, ticks, labels=[history[tick].date[:10] for tick in ticks])
    traces = [
        Trace(
            [(float(one.place), one.value) for one in found], what, colour, dashes, 2, [one.sign(what) for one in found]
        )
        for (what, found), (colour, dashes) in zip(rows.items(), colours(len(rows)), strict=True)
    ]
    caption = "A mark a version; filled diamonds are steps, changes beyond the noise."
    svg = small.lines((x, y), traces[::-1], (name, title, caption), legend=len(traces) > 1)
    table = [
        [one.moment.date[:10], one.version, what, one.shown, "yes" if one.stepped else "no"]
        for what, found in rows.items()
        for one in found
    ]
    return Figure(name, title, svg, caption, ("Date", "Version", "What", "Value", "Step"), table)


def _axis(title: str, scale: Scale) -> Axis:
    return Axis(title, scale, linear_ticks(scale.low, scale.high))


def _whole(title: str, low: float, high: float, length: float) -> Axis:
    high = max(high, low + 1)
    ticks = [tick for tick in linear_ticks(low, high, 6) if tick == int(tick)]
    return Axis(title, Scale(low, high, length), ticks)
