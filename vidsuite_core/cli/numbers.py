"""Numbers of the command line."""

from __future__ import annotations

import math
import re
from typing import Any

import click

_LONGEST = 10 * 365 * 86400
"""Seconds beyond which nobody waits, and timers do not count."""


class Finite(click.FloatRange):
    """A number within a range; "nan", which compares with nothing, and "inf" are none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See click."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is no number", param, ctx)
        return number


class Duration(click.ParamType):
    """A time as "2h", "90m", "1h30m", "45s" or a number of seconds; converted to seconds."""

    name = "time"
    _FORM = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?", re.ASCII)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See click."""
        if isinstance(value, int | float):
            return float(value)
        found = self._FORM.fullmatch(value.strip().lower()[:40])
        parts = [int(part or 0) for part in found.groups()] if found else [0]
        seconds = sum(part * unit for part, unit in zip(parts, (86400, 3600, 60, 1), strict=False))
        if not seconds or seconds > _LONGEST:
            self.fail(f"{value!r} is no time that can be spent; give it as 2h, 90m, 1h30m or 45s", param, ctx)
        return float(seconds)
