"""Text that may come from strangers, made safe to show."""

from __future__ import annotations

import codecs
import io
import re
import shlex
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path


def natural(text: str) -> tuple[list[str | int], str]:
    """A key that sorts names as people do: "frame 9" before "frame 10", and no two names alike."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", text)], text


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


_PLAIN = {"±": "+-", "–": "-", "≈": "~", "·": ".", "…": "...", "×": "x", "≥": ">=", "≤": "<=", "→": "->", "−": "-"}
"""What stands for our own signs where a terminal has not got them."""
REPLACED = "vidsuite.replace"
"""Name of the error handler of `show_anywhere`."""


def show_anywhere() -> None:
    """Let standard output and error take any text: what their encoding lacks is replaced, and raises nothing."""
    codecs.register_error(REPLACED, _replacement)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape", "backslashreplace"):
            stream.reconfigure(errors=REPLACED)


def _replacement(error: UnicodeError) -> tuple[str, int]:
    """Our own signs in ASCII, letters without their accents, and ? for the rest."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    return "".join(_PLAIN.get(sign) or _letter(sign) for sign in signs), error.end


def _letter(sign: str) -> str:
    return unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode() or "?"


def command(arguments: Sequence[str]) -> str:
    """A command line as another person would type it: the program by its name, not by where it lies here."""
    program = Path(arguments[0]).name
    return shlex.join(["vidsuite" if program == "__main__.py" else program, *arguments[1:]])
