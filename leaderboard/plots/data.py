"""What plots are made from: the Pareto front, axes, names, and places for names that do not collide."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

from vidsuite_leaderboard.plots.svg import LABEL, LETTER, shortened
from vidsuite_leaderboard.show import short

if TYPE_CHECKING:
    from vidsuite_leaderboard.entries import Entry

T = TypeVar("T")
NAME = 28
"""Signs of a model's name in a picture."""
_STEPS = (1, 2, 5)


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        """Whether they overlap."""
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )


@dataclass(frozen=True)
class Placed:
    """A text's place: its anchor in pixels, and how it is aligned there."""

    x: float
    y: float
    align: str


@dataclass(frozen=True)
class Scale:
    """From values to pixels; `length` in pixels, `log` or linear."""

    low: float
    high: float
    length: float
    log: bool = False

    def pixel(self, value: float) -> float:
        """Pixels from the low end."""
        if self.log:
            return self.length * math.log(value / self.low) / math.log(self.high / self.low)
        return self.length * (value - self.low) / (self.high - self.low)

    def value(self, pixel: float) -> float:
        """The value at a pixel."""
        if self.log:
            return self.low * (self.high / self.low) ** (pixel / self.length)
        return self.low + (self.high - self.low) * pixel / self.length


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Places of the points (cost, gain) that no other beats, by cost.

    One beats another where it costs no more and gains no less, and is better in one of the two; equal points stay.
    """
    front: list[int] = []
    for place in sorted(range(len(points)), key=lambda p: (points[p][0], -points[p][1])):
        if not front or points[place][1] > points[front[-1]][1] or points[place] == points[front[-1]]:
            front.append(place)
    return front


def log_scale(values: Iterable[float], length: float) -> Scale:
    """A scale from a little below the least value to a little above the largest, at least a factor of four."""
    found = list(values)
    low, high = min(found) / 1.3, max(found) * 1.3
    widen = max(1.0, math.sqrt(4 / (high / low)))
    return Scale(low / widen, high * widen, length, log=True)


def score_scale(values: Iterable[float], length: float, *, fraction: bool) -> Scale:
    """A scale of scores with a margin, which stays within 0 and 1 for fractions."""
    found = list(values)
    low, high = min(found), max(found)
    margin = max(0.08 * (high - low), 0.01 if fraction else 0.01 * max(abs(low), abs(high), 1e-6))
    low, high = low - margin, high + margin
    if fraction and min(found) >= 0 and max(found) <= 1:
        low, high = max(low, -0.02), min(high, 1.02)
    return Scale(low, high, length)


def log_ticks(scale: Scale, most: int = 8) -> list[float]:
    """Round values within a scale: 1, 2 and 5 times powers of ten, or fewer or more where those do not suit."""
    powers = range(math.floor(math.log10(scale.low)), math.ceil(math.log10(scale.high)) + 1)
    for steps in (_STEPS, (1, 3), (1,)):
        ticks = [step * 10.0**power for power in powers for step in steps]
        ticks = [tick for tick in ticks if scale.low <= tick <= scale.high]
        if len(ticks) <= most:
            return ticks if len(ticks) > 2 else linear_ticks(scale.low, scale.high, 4)
    return ticks[:: -(-len(ticks) // most)]


def linear_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round values within `low` and `high`."""
    size = 10.0 ** math.floor(math.log10((high - low) / about))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor * about >= (high - low) * 0.8)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(place * step, 12) for place in range(first, last + 1)]


def names(entries: Sequence[Entry]) -> dict[str, str]:
    """A name of each entry by slug, unique within a table: the model's, with the config or submitter where needed."""
    plain = {entry.slug: shortened(short(entry.model), NAME) for entry in entries}
    for more in (_with_submitter, _with_config, _with_slug):
        seen = Counter(plain.values())
        plain = {e.slug: name if seen[name := plain[e.slug]] == 1 else more(e, name) for e in entries}
    return plain


def _with_submitter(entry: Entry, name: str) -> str:
    return shortened(f"{name} ({entry.by})", NAME + 20) if entry.by else name


def _with_config(entry: Entry, name: str) -> str:
    return f"{name} [{shortened(entry.config[:6], 6)}]"


def _with_slug(entry: Entry, name: str) -> str:
    return f"{name} {entry.slug[-4:]}"


def width_of(text: str) -> float:
    """About how wide a name is drawn, in pixels."""
    return LETTER * len(text)


def beside(texts: Sequence[tuple[float, float, str]], taken: Sequence[Box], area: Box) -> list[Placed | None]:
    """A place for each (x, y, text) beside its point, clear of `taken`, of one another and of the edge of `area`.

    The first come first; None where there is no room.
    """
    boxes = list(taken)
    placed: list[Placed | None] = []
    for x, y, text in texts:
        for place, box in _around(x, y, width_of(text)):
            inside = box.left >= area.left and box.right <= area.right and box.top >= area.top
            if inside and box.bottom <= area.bottom and not any(box.meets(other) for other in boxes):
                boxes.append(box)
                placed.append(place)
                break
        else:
            placed.append(None)
    return placed


def _around(x: float, y: float, width: float) -> list[tuple[Placed, Box]]:
    half, gap = LABEL / 2, 9.0
    found = []
    for align, dx, dy in (
        ("left", gap, 0.0),
        ("right", -gap, 0.0),
        ("center", 0.0, -gap - half),
        ("center", 0.0, gap + half),
        ("left", gap, -gap),
        ("left", gap, gap),
        ("right", -gap, -gap),
        ("right", -gap, gap),
    ):
        left = x + dx - {"left": 0.0, "right": width, "center": width / 2}[align]
        found.append((Placed(x + dx, y + dy, align), Box(left, y + dy - half, left + width, y + dy + half)))
    return found


def apart(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """The positions moved as little as needed to be `gap` apart and within `low` and `high`, in the same order."""
    order = sorted(range(len(positions)), key=lambda place: positions[place])
    moved = [0.0] * len(positions)
    edge = low
    for place in order:
        moved[place] = edge = max(positions[place], edge)
        edge += gap
    edge = high
    for place in reversed(order):
        moved[place] = min(moved[place], edge)
        edge = moved[place] - gap
    return moved


def binned(points: Sequence[T], pixel: Callable[[T], tuple[float, float]], size: float) -> list[list[T]]:
    """The points that fall into the same square of `size` pixels."""
    squares: dict[tuple[int, int], list[T]] = {}
    for point in points:
        x, y = pixel(point)
        squares.setdefault((int(x // size), int(y // size)), []).append(point)
    return list(squares.values())


def thinned(points: Sequence[T], most: int) -> list[T]:
    """At most `most` of the points, evenly taken, the first and last among them."""
    if len(points) <= most:
        return list(points)
    return [points[round(place * (len(points) - 1) / (most - 1))] for place in range(most)]


def area_under(points: Sequence[tuple[float, float]]) -> float:
    """The area under a curve, by trapezoids."""
    return sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(points))
