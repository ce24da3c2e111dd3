"""Text that may come from strangers, made safe to show."""

from __future__ import annotations


def printable(text: str) -> str:
    """`text` on one line, without control characters, escape sequences' ESC, direction marks or lone surrogates.

    Nothing that is left can move a terminal's cursor, colour it, or break a table's row.
    """
    return "".join(" " if sign.isspace() else sign for sign in text if sign.isspace() or sign.isprintable())
