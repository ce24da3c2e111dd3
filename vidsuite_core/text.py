"""Text that may come from strangers, made safe to show."""

from __future__ import annotations

import re


def natural(text: str) -> list[str | int]:
    """A key that sorts names as people do: "frame 9" before "frame 10"."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", text)]


def printable(text: str) -> str:
    """`text` on one line, without control characters, escape sequences' ESC, direction marks or lone surrogates.

    Nothing that is left can move a terminal's cursor, colour it, or break a table's row.
    """
    return "".join(" " if sign.isspace() else sign for sign in text if sign.isspace() or sign.isprintable())
