"""Names that look like others: folded by Unicode's table of confusable signs (UTS 39), as a library has it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import cache

PROJECT = "vidsuite"
_LATER = {"rn": "m", "vv": "w", "cl": "d", "i": "l"}
"""What is read as one beyond the table; a capital i is there, and folds to l."""


def look(name: str) -> str:
    """What a name looks like: equal for names that a reader may take for each other.

    Case, accents, spaces and punctuation count for nothing, and neither does the alphabet that a sign is from.
    """
    plain = unicodedata.normalize("NFKD", name)
    signs = "".join(_least(sign) for sign in plain if not unicodedata.combining(sign))
    folded = unicodedata.normalize("NFKD", signs).casefold()
    found = "".join(_least(sign) for sign in folded if sign.isalnum())
    for pair, one in _LATER.items():
        found = found.replace(pair, one)
    return found


def taken(name: str, others: Iterable[str]) -> str:
    """The first of `others`, or the project's own name, that `name` looks like without being it; "" for none."""
    own = look(name)
    if own == look(PROJECT):
        return PROJECT
    return next((other for other in others if other != name and look(other) == own), "")


def mixes_alphabets(name: str) -> bool:
    """Whether one word holds signs of several alphabets, some of which look like others'."""
    from confusable_homoglyphs import confusables

    return any(confusables.is_dangerous(word) for word in name.split())


@cache
def _least(sign: str) -> str:
    """The simplest sign that looks like `sign`: ASCII before others, letters before digits."""
    from confusable_homoglyphs import confusables

    alike = {found["c"] for found in confusables.confusables_data.get(sign, ()) if len(found["c"]) == 1}
    return min({sign, *alike}, key=lambda one: (not one.isascii(), not one.isalpha(), not one.islower(), one))
