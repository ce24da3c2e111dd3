"""Text that may come from strangers, made safe to show."""

from __future__ import annotations

import re


def natural(text: str) -> list[str | int]:
    """A key that sorts names as people do: "frame 9" before "frame 10"."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", text)]


def shown_name(text: str) -> str:
    """`text`, if it can be shown as somebody's name: one line, no signs that cannot be seen, no angle brackets.

    Raises:
        ValueError: it cannot.
    """
    if printable(text) != text or text.strip() != text or set(text) & set("<>"):
        raise ValueError("a name is one line of visible signs without < and >, and does not begin or end with a space")
    return text


def printable(text: str) -> str:
    """`text` on one line, without control characters, escape sequences' ESC, direction marks or lone surrogates.

    Nothing that is left can move a terminal's cursor, colour it, or break a table's row.
    """
    return "".join(" " if sign.isspace() else sign for sign in text if sign.isspace() or sign.isprintable())
