"""What a plot on a page is made of, and what plots need to know of a task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from vidsuite_core.specs import resolve
from vidsuite_leaderboard.plots.svg import shortened

if TYPE_CHECKING:
    from vidsuite_core.suite import Suite
    from vidsuite_leaderboard.entries import Curve, Detail, Entry

LARGEST = 1e30
"""Beyond which nothing is drawn: such a value is a fault, or meant to be one."""


@dataclass(frozen=True)
class Figure:
    """A plot with the numbers behind it.

    Attributes:
        name: id of the picture, unique within a page, and stem of its file where there is one.
        svg: the picture; of a confusion matrix a table.
        columns, rows: the numbers as a table; empty where the picture is a table itself.
        links: the entry (slug) that each row is of, or "".
        key: what numbers in the picture stand for: (number, name, slug).
        wide: whether it wants a page's whole width.
    """

    name: str
    title: str
    svg: Markup
    caption: str
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    links: Sequence[str] = ()
    key: Sequence[tuple[int, str, str]] = ()
    wide: bool = False

    @property
    def drawn(self) -> bool:
        """Whether it is a picture, which may be taken as a file."""
        return self.svg.startswith("<svg")

    def plain(self) -> dict[str, Any]:
        """In JSON's own types."""
        return {**asdict(self), "svg": str(self.svg)}


def figure_from(plain: Mapping[str, Any]) -> Figure:
    """The figure that `Figure.plain` gave."""
    return Figure(**{**plain, "svg": Markup(plain["svg"])})  # noqa: S704 - it was one before it was stored


@dataclass(frozen=True)
class View:
    """A task's first score: its name, its heading, whether it is a fraction, and 1 or -1 where lower is better."""

    first: str
    title: str
    fraction: bool
    sign: int


def view_of(suite: Suite, task: str) -> View:
    """What plots need to know of a task."""
    found = resolve(suite.tasks[task].spec.builder)
    info = next(score for score in found.scores if score.name == found.first_score)
    return View(found.first_score, info.title, info.unit == "fraction", 1 if info.direction == "higher" else -1)


def measures(details: Sequence[Detail]) -> list[str]:
    """The measures by class that are scores, in the task's order."""
    found = dict.fromkeys(
        name for detail in details for values in detail.per_class.values() for name in values if name != "support"
    )
    return list(found)


def measure_title(measure: str) -> str:
    """How a measure by class is written."""
    written = {"f1": "F1", "ap": "AP", "iou": "IoU"}
    return " ".join(written.get(word, word) for word in shortened(measure, 40).split("_"))


def training(detail: Detail, name: str) -> list[Curve]:
    """The curves of a name with the points that can be drawn: a log may tell anything."""
    found = [
        replace(curve, points=[(x, y) for x, y in curve.points if abs(x) < LARGEST and abs(y) < LARGEST])
        for curve in detail.curves
        if curve.name == name
    ]
    return [curve for curve in found if curve.points]


def by_unit(name: str, found: Mapping[str, Sequence[Curve]]) -> Iterator[tuple[str, str, dict[str, list[Curve]]]]:
    """Curves under their names, those that count epochs and those that count iterations apart.

    Yields:
        the name of the figure that shows them, what they count, and the curves.
    """
    for unit in ("epoch", "iteration"):
        chosen = {key: [curve for curve in curves if curve.unit == unit] for key, curves in found.items()}
        chosen = {key: curves for key, curves in chosen.items() if curves}
        if chosen:
            yield name if unit == "epoch" else f"{name}-by-iteration", unit, chosen


def validation(details: Sequence[Detail], view: View) -> str:
    """The name of the validation curve to show: that of the first score, or else the first there is."""
    found = list(dict.fromkeys(c.name for d in details for c in d.curves if c.name.startswith("val ")))
    own = [name for name in found if name.removeprefix("val ").rpartition("/")[2] == view.first]
    return (own or found or [""])[0]


def curve_title(curve: str, view: View) -> str:
    """How the values of a training curve are written."""
    name = curve.removeprefix("val ").rpartition("/")[2]
    return view.title if name == view.first else measure_title(name)


def own_cells(entry: Entry, detail: Detail, view: View) -> list[tuple[str, int, float]]:
    """Fold, seed and first score of each cell on the device class that the entry's scores come from."""
    return [
        (cell.fold, cell.seed, value)
        for cell in detail.cells
        if cell.device == entry.device and (value := cell.scores.get(view.first)) is not None
    ]
