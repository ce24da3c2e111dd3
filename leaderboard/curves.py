"""Training curves, read from the logs that mmengine writes."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.results.store import LOG, Attempt
from vidsuite_core.support.files import read_regular
from vidsuite_leaderboard.entries import Curve

MAX_LOG = 8 * 2**20
"""Bytes of a log that are searched for curves."""
MAX_POINTS = 200
_EPOCH = re.compile(r"Epoch\((train|val)\)\s+\[(\d{1,6})\]\[\s*(\d{1,9})/(\d{1,9})\]\s+(.*)")
_ITERATION = re.compile(r"Iter\((train|val)\)\s+\[\s*(\d{1,9})/\d{1,9}\]\s+(.*)")
_VALIDATING = re.compile(r"validating after (\d{1,9}) iterations$")
_VALUE = re.compile(r"([A-Za-z_][\w/]*): (-?\d+(?:\.\d+)?(?:e[-+]?\d+)?)(?:\s|$)")
_NOT_SCORES = {"time", "data_time", "eta", "memory", "lr", "loss"}


def curves(attempt: Attempt) -> list[Curve]:
    """The loss of training and every score of validation, by epoch or by iteration, as the recipe counts."""
    try:
        text = read_regular(attempt.path / LOG, MAX_LOG).decode(errors="replace")
    except (OSError, ValueError, VidsuiteError):
        return []
    points: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for unit, kind, when, rest in _told(text.splitlines()):
        for name, value in _VALUE.findall(rest):
            wanted = name == "loss" if kind == "train" else name not in _NOT_SCORES
            if wanted and math.isfinite(float(value)):
                points[name if kind == "train" else f"val {name}", unit].append((round(when, 3), float(value)))
    cell = attempt.record.cell
    return [Curve(cell.fold, cell.seed, name, _thin(found), unit) for (name, unit), found in points.items()]


def _told(lines: Sequence[str]) -> Iterator[tuple[str, str, float, str]]:
    """Of each line that tells values: what it counts, "train" or "val", when that was, and the values' text."""
    validated = 0
    for line in lines:
        if match := _EPOCH.search(line):
            kind, epoch, step, steps, rest = match.groups()
            yield "epoch", kind, int(epoch) if kind == "val" else int(epoch) - 1 + int(step) / max(1, int(steps)), rest
        elif match := _ITERATION.search(line):
            kind, step, rest = match.groups()
            yield "iteration", kind, validated if kind == "val" else int(step), rest
        elif match := _VALIDATING.search(line):
            validated = int(match[1])


def _thin(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    step = -(-len(points) // MAX_POINTS)
    return list(points[::step]) if step > 1 else list(points)
