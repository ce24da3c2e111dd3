"""Small plots, drawn without Vega: entries' pages have several each, and there may be ten thousand of them.

A picture of Vega takes tens of milliseconds, one of these a few hundred microseconds. Classes are those of `svg`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from vidsuite_leaderboard.plots.data import Scale, width_of
from vidsuite_leaderboard.plots.specs import Axis
from vidsuite_leaderboard.plots.svg import DASHES, framed, shortened

WIDTH, HEIGHT = 440, 250
LEFT, RIGHT, TOP, BOTTOM = 58, 16, 10, 44
ROW = 20
LEGEND_ROW = 18
SIGNS = {
    "circle": "M-4,0A4,4,0,1,1,4,0A4,4,0,1,1,-4,0Z",
    "square": "M-3.5,-3.5h7v7h-7Z",
    "triangle-up": "M0,-4.5L4.5,3.5H-4.5Z",
    "diamond": "M0,-5L5,0L0,5L-5,0Z",
    "cross": "M-1.5,-4.5h3v3h3v3h-3v3h-3v-3h-3v-3h3Z",
    "triangle-down": "M0,4.5L4.5,-3.5H-4.5Z",
}


@dataclass(frozen=True)
class Trace:
    """A curve: its points, what it says of itself, its colour class, and dashes; `signs` marks each of its points."""

    points: Sequence[tuple[float, float]]
    text: str
    colour: str = "c1"
    dashes: Sequence[int] = ()
    thick: float = 2
    signs: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Dot:
    """A mark in a row, at `value`; `shift` moves it within the row, -0.5 to 0.5."""

    value: float
    text: str
    sign: str = "circle"
    colour: str = "c1"
    shift: float = 0.0
    filled: bool = False


def lines(
    axes: tuple[Axis, Axis],
    traces: Sequence[Trace],
    about: tuple[str, str, str],
    *,
    legend: bool,
    diagonal: bool = False,
) -> Markup:
    """Curves in one plot; with a legend below.

    Args:
        axes: with scales in pixels of `inner()`.
        about: name, title and description, as `framed` takes them.
    """
    x, y = axes
    left, top, long, height = LEFT, TOP, x.scale.length, y.scale.length
    body = [_grid(x, y, left, top)]
    if diagonal:
        chance = f"M{left},{top + height:g}l{long:g},{-height:g}"
        body.append(f'<path class="s-faint" stroke-dasharray="3,3" d="{chance}"/>')
    body += [_trace(trace, x.scale, y.scale, left, top) for trace in traces]
    below = round(top + height + BOTTOM)
    shown = traces[::-1] if legend else []  # what is drawn last lies on top, and comes first here
    for place, trace in enumerate(shown):
        row = below + place * LEGEND_ROW + 6
        body.append(f'<path class="s-{trace.colour}"{_stroke(trace)} d="M{left},{row}h30"/>')
        body.append(_text(left + 38, row + 4, trace.text))
    return framed("".join(body), (WIDTH, below + LEGEND_ROW * len(shown) + 4), *about)


def inner(height: int = HEIGHT) -> tuple[int, int]:
    """Width and height of the area within the axes."""
    return WIDTH - LEFT - RIGHT, height - TOP - BOTTOM


def bars(rows: Sequence[tuple[str, float, str]], high: float, about: tuple[str, str, str]) -> Markup:
    """A bar a name from 0 to its value, with the value's text at its end."""
    left = min(12 + max(width_of(label) for label, _, _ in rows), 200)
    length = WIDTH - left - 60
    body = [f'<path class="s-axis" d="M{left:g},4v{ROW * len(rows)}"/>']
    for place, (label, value, text) in enumerate(rows):
        top, long = 4 + place * ROW, length * max(value, 0) / high
        body.append(
            f'{_text(left - 6, top + 14, label, "end")}<rect class="f-c1" x="{left:g}" y="{top + 4}" width="{long:.1f}"'
            f' height="{ROW - 8}" data-tip="{escape(f"{label}; {text}")}"/>{_text(left + long + 5, top + 14, text)}'
        )
    return framed("".join(body), (WIDTH, ROW * len(rows) + 8), *about)


def dots(
    x: Axis,
    rows: Sequence[tuple[str, Sequence[Dot]]],
    about: tuple[str, str, str],
    *,
    legend: Sequence[Dot] = (),
    mean: float | None = None,
    high: int = ROW,
) -> Markup:
    """A row a name with marks along x; the legend's marks stand above with their texts; `mean` is an upright line."""
    left = min(14 + max((width_of(label) for label, _ in rows), default=0.0), 200)
    scale = Scale(x.scale.low, x.scale.high, WIDTH - left - RIGHT)
    top, height = 8 + LEGEND_ROW * len(legend), high * len(rows)
    rules = "".join(f"M{left:g},{top + high * place}H{WIDTH - RIGHT}" for place in range(len(rows)))
    body = [_upright(x, scale, left, top, height), f'<path class="s-grid" d="{rules}"/>']
    for place, dot in enumerate(legend):
        row = 14 + place * LEGEND_ROW
        body += [_sign(left + 6, row, dot, named=False), _text(left + 18, row + 4, dot.text)]
    if mean is not None:
        body.append(f'<path class="s-ink" stroke-width="2" d="M{left + scale.pixel(mean):.1f},{top}v{height}"/>')
    for place, (label, members) in enumerate(rows):
        middle = top + high * (place + 0.5)
        body.append(_text(left - 8, middle + 4, label, "end"))
        body += [_sign(left + scale.pixel(dot.value), middle + dot.shift * high, dot) for dot in members]
    return framed("".join(body), (WIDTH, top + height + BOTTOM), *about)


def _grid(x: Axis, y: Axis, left: float, top: float) -> str:
    long, height = x.scale.length, y.scale.length
    at = [(top + height - y.scale.pixel(tick), tick) for tick in y.ticks]
    rules = "".join(f"M{left:g},{row:.1f}h{long:g}" for row, _ in at)
    numbers = "".join(_text(left - 6, row + 4, f"{tick:g}", "end", "soft") for row, tick in at)
    title = (
        f'<text class="f-ink" text-anchor="middle" transform="translate(14,{top + height / 2:g}) rotate(-90)">'
        f"{escape(shortened(y.title, 40))}</text>"
    )
    return f'<path class="s-grid" d="{rules}"/>{numbers}{title}{_below(x, x.scale, left, top + height)}'


def _upright(x: Axis, scale: Scale, left: float, top: float, height: float) -> str:
    rules = "".join(f"M{left + scale.pixel(tick):.1f},{top}v{height}" for tick in x.ticks)
    return f'<path class="s-grid" d="{rules}"/>{_below(x, scale, left, top + height)}'


def _below(x: Axis, scale: Scale, left: float, bottom: float) -> str:
    """The horizontal axis: a line, ticks with numbers or labels, and the title."""
    labels = x.labels or [f"{tick:g}" for tick in x.ticks]
    numbers = "".join(
        _text(left + scale.pixel(tick), bottom + 17, label, "middle", "soft")
        for tick, label in zip(x.ticks, labels, strict=True)
    )
    ticks = "".join(f"M{left + scale.pixel(tick):.1f},{bottom:g}v4" for tick in x.ticks)
    title = _text(left + scale.length / 2, bottom + 35, shortened(x.title, 60), "middle")
    return f'<path class="s-axis" d="M{left:g},{bottom:g}h{scale.length:g}{ticks}"/>{numbers}{title}'


def _trace(trace: Trace, x: Scale, y: Scale, left: float, top: float) -> str:
    across, up = x.length / (x.high - x.low), y.length / (y.high - y.low)
    left, bottom = left - x.low * across, top + y.length + y.low * up
    at = [(left + across * a, bottom - up * b) for a, b in trace.points]
    path = "M" + "L".join([f"{a:.1f},{b:.1f}" for a, b in at])
    name = f' data-tip="{escape(trace.text)}"'
    drawn = f'<path class="s-{trace.colour}"{_stroke(trace)} fill="none" d="{path}"{name}/>' if len(at) > 1 else ""
    if len(at) == 1 and not trace.signs:
        drawn = _sign(*at[0], Dot(0, trace.text, colour=trace.colour))
    return drawn + "".join(
        _sign(a, b, Dot(0, text, sign, trace.colour, filled=sign != "circle"))
        for (a, b), (sign, text) in zip(at, trace.signs, strict=False)
    )


def _stroke(trace: Trace) -> str:
    dashes = f' stroke-dasharray="{",".join(map(str, trace.dashes))}"' if trace.dashes else ""
    return f' stroke-width="{trace.thick:g}"{dashes}'


def _sign(x: float, y: float, dot: Dot, *, named: bool = True) -> str:
    fill = dot.colour if dot.filled else "paper"
    name = f' data-tip="{escape(dot.text)}"' if named else ""
    return (
        f'<path class="f-{fill} s-{dot.colour}" stroke-width="1.6" transform="translate({x:.1f},{y:.1f})"'
        f' d="{SIGNS[dot.sign]}"{name}/>'
    )


def _text(x: float, y: float, text: str, anchor: str = "start", colour: str = "ink") -> str:
    where = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text class="f-{colour}" x="{x:.1f}" y="{y:.1f}"{where}>{escape(text)}</text>'


def colours(count: int) -> Iterable[tuple[str, Sequence[int]]]:
    """Colour classes and dashes of the first of `count` curves that are told apart; the rest are faint."""
    for place in range(count):
        yield (f"c{place + 1}", DASHES[place]) if place < len(DASHES) else ("faint", ())
