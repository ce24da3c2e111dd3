"""One page of all devices: what each class is, what was measured there, and models side by side across classes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from vidsuite_leaderboard.entries import Entry, Speed, page_name
from vidsuite_leaderboard.pages.entry import gib, gpus_of
from vidsuite_leaderboard.remarks import clean

if TYPE_CHECKING:
    from vidsuite_leaderboard.board import Board
    from vidsuite_leaderboard.site import Page, Site

MOST = 300
"""Lines of one table; beyond that the fastest are shown, and the table of all results has the rest."""
LOOKED_AT = 25
"""Newest entries of a class whose records say what hardware it is."""


@dataclass(frozen=True)
class Bar:
    """A latency on its group's scale: where p50 and p95 lie, in per cent of the group's slowest p95."""

    p50: float
    p95: float


@dataclass(frozen=True)
class Measured:
    """An entry on one device class."""

    entry: Entry
    speed: Speed
    bar: Bar


@dataclass(frozen=True)
class Device:
    """A device class: what hardware was seen under its name, and what was measured on it, group by group.

    A group is one benchmark, dataset and preset, whose samples are alike.
    """

    name: str
    anchor: str
    hardware: Sequence[str]
    groups: Mapping[tuple[str, str, str], Sequence[Measured]]
    entries: int
    shown: int


def pages(site: Site) -> Iterator[Page]:
    """`devices.html`."""
    timed = [entry for entry in site.board.entries if entry.speeds]
    key = [[entry.slug, site.board.keys[entry.slug], entry.status, entry.by] for entry in timed]
    yield site.page("devices.html", "devices.html", key, partial(_context, site.board, timed))


def _context(board: Board, timed: Sequence[Entry]) -> dict[str, Any]:
    devices = [_device(board, place, name, timed) for place, name in enumerate(board.devices, 1)]
    several = [entry for entry in timed if len(entry.speeds) > 1]
    return {
        "devices": devices,
        "several": several[:MOST],
        "left_out": max(0, len(several) - MOST),
        "names": sorted({name for entry in several[:MOST] for name in entry.speeds}),
        "page_name": page_name,
    }


def _device(board: Board, place: int, name: str, timed: Sequence[Entry]) -> Device:
    here = sorted((e for e in timed if name in e.speeds), key=lambda entry: entry.speeds[name].latency_p50)
    groups: dict[tuple[str, str, str], list[Entry]] = defaultdict(list)
    for entry in here[:MOST]:
        groups[entry.table].append(entry)
    measured = {table: _group(name, entries) for table, entries in sorted(groups.items())}
    return Device(name, f"device-{place}", _hardware(board, name, here), measured, len(here), min(len(here), MOST))


def _group(device: str, entries: Sequence[Entry]) -> list[Measured]:
    slowest = max(entry.speeds[device].latency_p95 for entry in entries) or 1.0
    rows = []
    for entry in entries:
        speed = entry.speeds[device]
        rows.append(Measured(entry, speed, Bar(*(min(100.0, 100 * s / slowest) for s in _latencies(speed)))))
    return rows


def _latencies(speed: Speed) -> tuple[float, float]:
    return speed.latency_p50, speed.latency_p95


def _hardware(board: Board, device: str, entries: Sequence[Entry]) -> list[str]:
    """Each machine of a class in a line, as the newest records of it tell."""
    lines: dict[str, None] = {}
    for entry in sorted(entries, key=lambda entry: entry.created, reverse=True)[:LOOKED_AT]:
        detail = board.detail(entry)
        used = {cell.environment for cell in detail.cells if cell.device == device}
        for place in sorted(used):
            lines[_facts(detail.environments[place].get("hardware") or {})] = None
    return [line for line in lines if line]


def _facts(hardware: Mapping[str, Any]) -> str:
    parts = [f"{gpu.get('model', 'GPU')} (driver {gpu.get('driver', 'unknown')})" for gpu in gpus_of(hardware)]
    if hardware.get("cpu"):
        parts.append(f"{hardware['cpu']}, {hardware.get('cores', 'unknown')} cores")
    if (memory := gib(hardware.get("memory"))) is not None:
        parts.append(f"{memory:.0f} GiB memory")
    return clean("; ".join(parts))
