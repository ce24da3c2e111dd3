"""Confusion matrices as tables of HTML: each cell has its share of the true class, the count, and a shade."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from vidsuite_leaderboard.plots.svg import shortened
from vidsuite_leaderboard.show import count

LARGEST = 24
"""Classes up to which the whole matrix is shown; of more, the most frequent confusions."""
FREQUENT = 20
SHADES = 10
VOID = "void"

Counts = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Confusion:
    """A pair of classes: how many of the `true` ones were taken for `predicted`, and which share of them that is."""

    true: str
    predicted: str
    count: float
    share: float


def usable(counts: Counts) -> bool:
    """Whether there is anything to show: rows of one length, and something counted."""
    return bool(counts) and len({len(row) for row in counts}) == 1 and any(any(row) for row in counts)


def headings(classes: Sequence[str], counts: Counts) -> tuple[list[str], list[str]]:
    """Names of rows and columns; a column beyond the classes counts what was left without a class."""
    rows = [classes[place] if place < len(classes) else f"class {place}" for place in range(len(counts))]
    wide = len(counts[0])
    columns = [*rows, VOID][:wide] if wide <= len(rows) + 1 else [f"class {place}" for place in range(wide)]
    return [shortened(name, 40) for name in rows], [shortened(name, 40) for name in columns]


def pairs(classes: Sequence[str], counts: Counts) -> list[Confusion]:
    """Every confusion that occurs, the most frequent share first."""
    rows, columns = headings(classes, counts)
    found = [
        Confusion(rows[i], columns[j], value, value / sum(row))
        for i, row in enumerate(counts)
        for j, value in enumerate(row)
        if i != j and value > 0
    ]
    return sorted(found, key=lambda pair: (-pair.share, -pair.count, pair.true, pair.predicted))


def matrix(classes: Sequence[str], counts: Counts, title: str) -> Markup:
    """The matrix as a table in a box that scrolls where it is wider than the page."""
    rows, columns = headings(classes, counts)
    many = " many" if len(columns) > 6 else ""
    head = "".join(f'<th scope="col"><span>{escape(name)}</span></th>' for name in columns)
    body = "".join(_row(name, row) for name, row in zip(rows, counts, strict=True))
    named = escape(shortened(title, 200))
    return Markup(  # noqa: S704 - made of constants, numbers and escaped names
        f'<div class="scroll" tabindex="0" role="region" aria-label="{named}"><table class="matrix{many}">'
        f'<caption class="hidden-text">{named}: rows are true classes, columns predicted ones</caption>'
        f'<thead><tr><td class="corner">true \\ predicted</td>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def frequent(classes: Sequence[str], counts: Counts, title: str) -> Markup:
    """The most frequent confusions, for matrices too large to read."""
    lines = Markup("").join(
        Markup("<tr><td>{}</td><td>{}</td><td class=number>{}</td><td class=number>{:.1%}</td></tr>").format(
            pair.true, pair.predicted, count(pair.count), pair.share
        )
        for pair in pairs(classes, counts)[:FREQUENT]
    )
    return Markup(
        '<div class="scroll" tabindex="0" role="region" aria-label="{title}"><table class="plain">'
        "<caption>{title}: the {most} most frequent confusions</caption><thead><tr><th scope=col>True class</th>"
        "<th scope=col>Taken for</th><th scope=col class=number>Count</th>"
        "<th scope=col class=number>Share of the class</th></tr></thead><tbody>{lines}</tbody></table></div>"
    ).format(title=shortened(title, 200), most=FREQUENT, lines=lines)


def shown(classes: Sequence[str], counts: Counts, title: str) -> Markup:
    """The matrix, or its most frequent confusions where it is too large to read."""
    return (matrix if len(counts) <= LARGEST else frequent)(classes, counts, title)


def _row(name: str, row: Sequence[float]) -> str:
    total = sum(row)
    cells = "".join(
        f'<td class="m{round(SHADES * value / total)}">{value / total:.2f}<small>{_count(value)}</small></td>'
        if total
        else f'<td class="m0">–<small>{_count(value)}</small></td>'
        for value in row
    )
    return f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>'


def _count(value: float) -> str:
    return f"{value:.0f}" if value < 10_000 else count(value)
