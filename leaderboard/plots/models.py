"""The plots of a benchmark's best models that need more than their rows: by class, over time, by cell, in training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import TYPE_CHECKING

from vidsuite_leaderboard.plots.data import Scale, linear_ticks, score_scale, thinned
from vidsuite_leaderboard.plots.figure import (
    Figure,
    View,
    by_unit,
    curve_title,
    measure_title,
    measures,
    own_cells,
    training,
    validation,
)
from vidsuite_leaderboard.plots.shown import models_shown
from vidsuite_leaderboard.plots.specs import HEIGHT, WIDTH, Axis, Line, Mark, panels, rows_of_dots, shape
from vidsuite_leaderboard.plots.svg import INK, SERIES, Texts, capital, drawn, shortened
from vidsuite_leaderboard.show import number

if TYPE_CHECKING:
    from vidsuite_leaderboard.entries import Detail, Entry

BEST = 6
"""Models whose curves, classes and matrices are shown."""
FOLD_ROWS = 12
"""Models whose cells are shown."""
POINTS = 60
"""Points of a curve."""
CURVES = 10
"""Cells of a model whose training is shown."""
NAME = 40

Cell = tuple[str, int, float]
"""Fold, seed, first score."""


@dataclass(frozen=True)
class Model:
    """An entry with its name in the table and its details."""

    entry: Entry
    name: str
    detail: Detail


@dataclass(frozen=True)
class Models:
    """The best of a table, best first, at most `FOLD_ROWS` of them."""

    every: Sequence[Model]
    view: View
    prefix: str

    @cached_property
    def best(self) -> Sequence[Model]:
        """Those whose details are drawn."""
        return self.every[:BEST]

    @property
    def which(self) -> str:
        """Says which these are, for captions."""
        return f"The best {BEST} models. " if len(self.every) > BEST else ""

    def figures(self) -> Iterator[Figure]:
        """What there is to draw."""
        yield from self._classes()
        yield from models_shown(self.best, self.which, self.prefix)
        yield from self._training()
        yield from self._folds()

    def _classes(self) -> Iterator[Figure]:
        every = measures([model.detail for model in self.best])
        for place, measure in enumerate(["f1"] if "f1" in every else every):
            classes = list(dict.fromkeys(c for model in self.best for c in model.detail.per_class))
            values = {
                (model.name, c): value
                for model in self.best
                for c, found in model.detail.per_class.items()
                if (value := found.get(measure)) is not None
            }
            if values:
                yield self._class_figure(measure, place, classes, values, every if "f1" in every else [measure])

    def _class_figure(
        self,
        measure: str,
        place: int,
        classes: Sequence[str],
        values: Mapping[tuple[str, str], float],
        listed: Sequence[str],
    ) -> Figure:
        named = measure_title(measure)
        spread = max(len(self.best) - 1, 1)
        groups = []
        for c in classes:
            marks = [
                Mark(
                    values[model.name, c],
                    0.62 * (i / spread - 0.5) if len(self.best) > 1 else 0.0,
                    f"{model.name}; class {shortened(c, NAME)}; {named} {number(values[model.name, c])}",
                    model.entry.slug,
                    shape=shape(i),
                    colour=SERIES[i],
                    reached_by_tab=False,
                )
                for i, model in enumerate(self.best)
                if (model.name, c) in values
            ]
            groups.append((shortened(c, 30), marks))
        legend = [
            Mark(0, 0, model.name, model.entry.slug, shape=shape(i), colour=SERIES[i])
            for i, model in enumerate(self.best)
        ]
        x = _axis(named, score_scale(values.values(), WIDTH - 90, fraction=True))
        texts = Texts()
        spec = rows_of_dots(x, groups, max(22, 6 + 9 * len(self.best)), texts, legend=legend)
        name, title = f"{self.prefix}-classes-{place}", capital(f"{named} by class")
        caption = f"{self.which}Mean over cells; a class that no cell could score has no mark."
        rows = [
            [model.name, shortened(c, NAME), *(number(model.detail.per_class[c].get(m)) for m in listed)]
            for c in classes
            for model in self.best
            if c in model.detail.per_class
        ]
        slugs = [model.entry.slug for c in classes for model in self.best if c in model.detail.per_class]
        columns = ["Model", "Class", *(capital(measure_title(m)) for m in listed)]
        return Figure(name, title, drawn(spec, texts, name, title, caption), caption, columns, rows, slugs)

    def _training(self) -> Iterator[Figure]:
        score = validation([model.detail for model in self.best], self.view)
        for stem, curve, title in (("loss", "loss", "Training loss"), ("validation", score, "Score in validation")):
            every = {model.name: training(model.detail, curve) for model in self.best}
            for figure, unit, found in by_unit(stem, every):
                lines = {
                    name: [Line("cell", 0, thinned(c.points, POINTS)) for c in cells[:CURVES]]
                    for name, cells in found.items()
                }
                yield self._training_figure((figure, unit, curve), title, lines)

    def _training_figure(self, names: tuple[str, str, str], title: str, lines: Mapping[str, Sequence[Line]]) -> Figure:
        stem, unit, curve = names
        points = [point for found in lines.values() for line in found for point in line.points]
        last = max(when for when, _ in points)
        size = (WIDTH - 20, HEIGHT - 40) if len(lines) == 1 else (170, 130)
        values = [value for _, value in points]
        named = curve_title(curve, self.view)
        x = Axis(unit, Scale(0, max(last, 1), size[0]), _whole(0, max(last, 1), 5))
        y = _axis(named, score_scale(values, size[1], fraction=curve != "loss"))
        texts = Texts()
        name = f"{self.prefix}-{stem}"
        caption = f"{self.which}A line a cell, {CURVES} at most; from the logs."
        columns = ("Model", "Cells", f"First {named}", f"Last {named}", f"Lowest {named}", f"Highest {named}")
        rows = [
            [model, str(len(found)), *map(number, _summary([line.points for line in found]))]
            for model, found in lines.items()
        ]
        slugs = {model.name: model.entry.slug for model in self.best}
        svg = drawn(panels(x, y, lines, size, texts), texts, name, title, caption)
        return Figure(name, title, svg, caption, columns, rows, [slugs[m] for m in lines])

    def _folds(self) -> Iterator[Figure]:
        shown = [(model, own_cells(model.entry, model.detail, self.view)) for model in self.every]
        shown = [(model, cells) for model, cells in shown if cells]
        if not shown:
            return
        seeds = sorted({seed for _, cells in shown for _, seed, _ in cells})
        groups = [
            (model.name, [_cell_mark(model, cell, cells, seeds, self.view) for cell in cells]) for model, cells in shown
        ]
        values = [value for _, cells in shown for _, _, value in cells]
        x = _axis(self.view.title, score_scale(values, WIDTH - 90, fraction=self.view.fraction))
        texts = Texts()
        few = seeds if len(seeds) <= BEST else []
        legend = [
            Mark(0, 0, f"seed {seed}", shape=shape(place), colour=INK, filled=False) for place, seed in enumerate(few)
        ]
        means = {place: fmean(value for _, _, value in cells) for place, (_, cells) in enumerate(shown)}
        folds = max(len({fold for fold, _, _ in cells}) for _, cells in shown)
        spec = rows_of_dots(x, groups, max(28, min(10 * folds + 6, 70)), texts, means=means, legend=legend)
        name, title = f"{self.prefix}-folds", f"{self.view.title} of each fold and seed"
        caption = (
            f"The best {FOLD_ROWS} models. " if len(self.every) == FOLD_ROWS else ""
        ) + "A mark a cell; within a row folds from top to bottom. The upright line is the mean."
        rows = [[model.name, shortened(f, 30), str(s), number(v)] for model, cells in shown for f, s, v in cells]
        slugs = [model.entry.slug for model, cells in shown for _ in cells]
        columns = ("Model", "Fold", "Seed", self.view.title)
        yield Figure(name, capital(title), drawn(spec, texts, name, title, caption), caption, columns, rows, slugs)


def _cell_mark(
    model: Model,
    cell: tuple[str, int, float],
    cells: Sequence[tuple[str, int, float]],
    seeds: Sequence[int],
    view: View,
) -> Mark:
    fold, seed, value = cell
    folds = list(dict.fromkeys(f for f, _, _ in cells))
    y = 0.6 * (folds.index(fold) / (len(folds) - 1) - 0.5) if len(folds) > 1 else 0.0
    text = f"{model.name}; fold {shortened(fold, 30)}, seed {seed}; {view.title} {number(value)}"
    return Mark(
        value,
        y,
        text,
        model.entry.slug,
        shape=shape(seeds.index(seed)),
        colour=SERIES[0],
        filled=False,
        reached_by_tab=False,
    )


def _summary(curves: Sequence[Sequence[tuple[float, float]]]) -> tuple[float, float, float, float]:
    """First and last values, means over curves, and the lowest and highest of all."""
    values = [[value for _, value in points] for points in curves]
    every = [value for line in values for value in line]
    return fmean(line[0] for line in values), fmean(line[-1] for line in values), min(every), max(every)


def _axis(title: str, scale: Scale) -> Axis:
    return Axis(title, scale, linear_ticks(scale.low, scale.high))


def _whole(low: float, high: float, about: int = 8) -> list[float]:
    """Whole numbers from `low` to `high`, round ones."""
    if high - low <= about:
        return [float(value) for value in range(int(low), int(high) + 1)]
    return [value for value in linear_ticks(low, high, about) if value == int(value)]
