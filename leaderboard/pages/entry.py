"""A page an entry: its scores, every cell with what made it, and all that one needs to doubt or repeat it."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import lru_cache, partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from vidsuite_core.results.verification import variant_title
from vidsuite_core.specs import resolve
from vidsuite_core.support.ids import digest
from vidsuite_core.tasks.shown import Table
from vidsuite_leaderboard.archive import archive, contents
from vidsuite_leaderboard.entries import CellView, Detail, Entry, Score, page_name
from vidsuite_leaderboard.pictures.shots import Shots, shots_of
from vidsuite_leaderboard.remarks import EPOCHS, clean, further_notes, random_weights, remarks
from vidsuite_leaderboard.show import number

if TYPE_CHECKING:
    from vidsuite_core.suite import Suite
    from vidsuite_core.tasks.base import ScoreInfo, Task
    from vidsuite_leaderboard.archive import Contents
    from vidsuite_leaderboard.board import Board
    from vidsuite_leaderboard.site import Page, Site

COLUMNS = 4
"""Scores that the table of cells shows; the page of scores has them all."""
NEIGHBOURS = 4
"""Entries of the same table that a page offers to compare with."""
_NESTED = ("scores", "printed", "speeds")


@dataclass(frozen=True)
class ScoreRow:
    """A line of the table of scores; `others` are the variants' values, in their order."""

    name: str
    title: str
    score: Score | None
    others: Sequence[Score | None]


@dataclass(frozen=True)
class CellRow:
    """A cell as the table shows it; `made_by` counts from 1 into the commands of the page."""

    cell: CellView
    reason: str
    warnings: Sequence[str]
    made_by: int
    again: str
    seconds: float | None
    files: Sequence[str]


def pages(site: Site) -> Iterator[Page]:
    """`entries/<slug>.html` of each entry but reported ones, with its `attempts/<slug>.zip` and pictures."""
    from vidsuite_leaderboard.site import Page

    board = site.board
    shots = shots_of(board)
    packed = bool(board.options.get("attempts"))
    tables = _tables(board)
    for entry in board.entries:
        held, key = shots.get(entry.slug, Shots()), board.keys[entry.slug]
        table = tables[entry.table]
        near = _neighbours(entry, table)
        standing_ = [standing(entry), len(table), [[other.slug, standing(other)] for other in near]]
        context = partial(_context, site, entry, held, near, len(table))
        yield site.page(f"entries/{entry.slug}.html", "entry.html", [key, standing_, held.key, packed], context)
        if packed:
            yield Page(f"attempts/{entry.slug}.zip", digest(["attempts", key]), partial(archive, board, entry))
        for shot in held.shown:
            yield Page(f"pictures/{shot.place}", shot.key, shot.read)


def standing(entry: Entry) -> list[Any]:
    """An entry but for what its attempts alone decide (`Board.keys`), in JSON's own types: cheaper than `plain`."""
    return [getattr(entry, field.name) for field in fields(entry) if field.name not in _NESTED]


def task_of(suite: Suite, name: str) -> type[Task]:
    """The class of a task."""
    kind: type[Task] = resolve(suite.tasks[name].spec.builder)
    return kind


MAX_COMMAND = 10_000
"""Characters of a command that are shown."""


def command_text(command: Sequence[str]) -> str:
    """A recorded command, quoted anew so that no part of it can be more than an argument of its first word.

    Records hold a command as its words, or as one text that is quoted already.
    """
    return _quoted(tuple(command))


@lru_cache(maxsize=256)
def _quoted(command: tuple[str, ...]) -> str:
    words = list(command)
    if len(words) == 1 and len(words[0]) <= MAX_COMMAND:  # shlex takes the square of a text's length
        with suppress(ValueError):  # an open quote: it stays one word
            words = shlex.split(words[0])
    if words and PurePosixPath(words[0]).name == "vidsuite":
        words[0] = "vidsuite"
    text = shlex.join(clean(word) for word in words)
    return text if len(text) <= MAX_COMMAND else f"{text[:MAX_COMMAND]} …"


def again_text(cell_id: str) -> str:
    """The command that runs a cell again."""
    guard = ["--"] if cell_id.startswith("-") else []
    return shlex.join(["vidsuite", "reproduce", *guard, clean(cell_id)])


def _tables(board: Board) -> Mapping[tuple[str, str, str], Sequence[Entry]]:
    tables: dict[tuple[str, str, str], list[Entry]] = defaultdict(list)
    for entry in board.entries:
        tables[entry.table].append(entry)
    return tables


def _neighbours(entry: Entry, table: Sequence[Entry]) -> list[Entry]:
    """The best others of its table."""
    return [other for other in table[: NEIGHBOURS + 1] if other.slug != entry.slug][:NEIGHBOURS]


def _context(site: Site, entry: Entry, shots: Shots, near: Sequence[Entry], of: int) -> dict[str, Any]:
    from vidsuite_leaderboard.plots import entry_figures

    board = site.board
    detail = board.detail(entry)
    task = task_of(board.suite, entry.task)
    files = contents(board, entry, detail) if board.options.get("attempts") else None
    commands, cells = _cells(detail, files)
    return {
        "entry": entry,
        "detail": detail,
        "of": of,
        "near": near,
        "remarks": remarks(entry),
        "variants": [clean(variant_title(name)) for name in detail.variants],
        "notes": further_notes(entry),
        "random": random_weights(entry),
        "problems": [clean(problem) for problem in entry.problems],
        "epoch": EPOCHS.get(entry.selection, ""),
        "benchmark_page": page_name(entry.benchmark),
        "paper_page": page_name(entry.plugin),
        "first": task.first_score,
        "first_title": _title(task, task.first_score),
        "lower": next(s for s in task.scores if s.name == task.first_score).direction == "lower",
        "scores": _score_rows(entry, detail, [info for info in task.scores if info.in_tables]),
        "further": _score_rows(entry, detail, [info for info in task.scores if not info.in_tables]),
        "columns": [info for info in task.scores if info.in_tables][:COLUMNS],
        "commands": commands,
        "cells": cells,
        "logs": [(cell, _log(cell.log_end)) for cell in detail.cells if cell.log_end],
        "environments": [_environment(found) for found in detail.environments],
        "config": _log(detail.config.splitlines()),
        "tables": [_readable(one) for one in detail.every(Table)],
        "figures": entry_figures(site, entry, detail),
        "files": files,
        "shots": shots,
    }


def _readable(one: Table) -> Table:
    """The table with its cells as text that is safe to show."""
    rows = [[number(v) if v is None or isinstance(v, float) else clean(str(v)) for v in row] for row in one.rows]
    return Table(one.name, clean(one.title), [clean(name) for name in one.columns], rows, clean(one.caption))


def _title(task: type[Task], name: str) -> str:
    return next(info.title for info in task.scores if info.name == name)


def _score_rows(entry: Entry, detail: Detail, infos: Sequence[ScoreInfo]) -> list[ScoreRow]:
    """The scores that the entry or a variant of it has."""
    rows = []
    for info in infos:
        others = [variant.get(info.name) for variant in detail.variants.values()]
        if info.name in entry.scores or any(others):
            rows.append(ScoreRow(info.name, info.title, entry.scores.get(info.name), others))
    return rows


def _cells(detail: Detail, files: Contents | None) -> tuple[list[str], list[CellRow]]:
    """The commands that made the cells, each once, and the cells."""
    commands: dict[str, int] = {}
    rows = []
    for cell in detail.cells:
        made_by = commands.setdefault(command_text(cell.command), len(commands) + 1) if cell.command else 0
        rows.append(
            CellRow(
                cell=cell,
                reason=clean(cell.reason),
                warnings=[clean(warning) for warning in cell.warnings],
                made_by=made_by,
                again=again_text(cell.cell_id),
                seconds=sum(cell.phases.values()) if cell.phases else None,
                files=files.by_folder.get(cell.folder, []) if files else [],
            )
        )
    return list(commands), rows


def _log(lines: Sequence[str]) -> str:
    """Lines of a log or config: kept apart, and without control characters."""
    return "\n".join(clean(part) for line in lines for part in line.split("\n"))


def _environment(found: Mapping[str, Any]) -> dict[str, Any]:
    """An environment as a heading and groups of (name, value) pairs."""
    hardware, software, code = (found.get(name) or {} for name in ("hardware", "software", "code"))
    gpus = [str(gpu.get("model", "GPU")) for gpu in gpus_of(hardware)]
    named = [*gpus, str(hardware.get("cpu") or ""), f"torch {software['torch']}" if "torch" in software else ""]
    return {
        "title": clean(", ".join(part for part in named if part)) or "not recorded",
        "groups": {"Hardware": _pairs(hardware), "Software": _pairs(software), "Code": _pairs(code)},
    }


def gpus_of(hardware: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The GPUs that recorded hardware, which may hold anything, tells of."""
    found = hardware.get("gpus")
    return [gpu for gpu in found if isinstance(gpu, Mapping)] if isinstance(found, list) else []


def gib(memory: object) -> float | None:
    """A recorded number of bytes in GiB; None of what cannot be one."""
    return memory / 2**30 if isinstance(memory, int) and 0 <= memory < 2**63 else None


def _pairs(value: Any, name: str = "") -> list[tuple[str, str]]:
    """Nested mappings and lists as dotted names with their values."""
    if isinstance(value, Mapping):
        return [pair for key, item in value.items() for pair in _pairs(item, f"{name}.{key}" if name else str(key))]
    if isinstance(value, list):
        return [pair for place, item in enumerate(value) for pair in _pairs(item, f"{name} {place}".strip())]
    if name == "memory" and (size := gib(value)) is not None:
        return [(name, f"{size:.1f} GiB")]
    return [(clean(name), clean(str(value)))]
