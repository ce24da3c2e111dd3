"""How numbers and names read on pages: filters of the templates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from vidsuite_leaderboard.entries import Score

NOTHING = "–"


def short(name: str) -> str:
    """A full name without its plugin."""
    return name.rpartition("/")[2]


def number(value: float | None, digits: int = 3) -> str:
    """A score, or a dash."""
    return NOTHING if value is None else f"{value:.{digits}f}"


def score(value: Score | None) -> str:
    """Mean ± standard deviation."""
    if value is None:
        return NOTHING
    return number(value.mean) + ("" if value.sd is None else f" ± {value.sd:.3f}")


def count(value: float | None) -> str:
    """A count with its unit prefix: 13.8 M."""
    if value is None:
        return NOTHING
    for size, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g} {prefix}"
    return f"{value:.3g}"


def seconds(value: float | None) -> str:
    """A duration in the unit that suits it."""
    if value is None:
        return NOTHING
    if value < 1:
        return f"{value * 1e3:.3g} ms"
    return f"{value:.3g} s" if value < 120 else f"{value / 60:.3g} min"


def size(value: int | None) -> str:
    """Bytes as MiB or GiB."""
    if value is None:
        return NOTHING
    return f"{value / 2**20:.0f} MiB" if value < 2**30 else f"{value / 2**30:.2f} GiB"


def script(value: Any) -> Markup:
    """`value` as JSON that may stand in a script file: no `<`, `>`, `&` nor line separators as they are."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)  # noqa: S704 - every sign that ends a script or begins a tag is escaped above


FILTERS: Mapping[str, Any] = {
    "short": short,
    "number": number,
    "score": score,
    "count": count,
    "seconds": seconds,
    "size": size,
    "script": script,
}
