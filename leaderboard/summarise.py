"""An entry from its attempts: verified, scored, and with what its own page shows."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vidsuite_core.results.counting import newest
from vidsuite_core.results.summary import Row, Summary, device_of, place_of, rows_of
from vidsuite_core.results.verification import Verified, verified
from vidsuite_core.results.withheld import is_withheld
from vidsuite_core.tasks.shown import plain
from vidsuite_leaderboard.curves import curves
from vidsuite_leaderboard.entries import (
    MEASURED,
    SUBMITTED,
    CellView,
    Detail,
    Entry,
    Score,
    Speed,
    one_line,
    slug,
)
from vidsuite_leaderboard.history import moments

if TYPE_CHECKING:
    from vidsuite_core.results.record import Efficiency, Record
    from vidsuite_core.results.store import Attempt
    from vidsuite_core.suite import Suite
    from vidsuite_core.tasks.base import Task

MAX_NOTES = 50
"""Notes of an entry that are shown."""
BUSY = 1.5
"""Load a core above which a speed counts as measured on a busy machine; the cell itself makes one of about 1."""


@dataclass(frozen=True)
class Summarised:
    """What attempts at one entry came to; `entry` is None where every attempt was left out.

    `draws` (DRAWS,) are those of the first score (see `Estimate.draws`); entries pair where `drawn_from` is the same.
    """

    entry: Entry | None
    detail: Detail | None
    rejected: Sequence[tuple[Path, str]]
    drawn_from: str = ""
    draws: np.ndarray | None = None


def summarise(suite: Suite, attempts: Sequence[Attempt], by: str) -> Summarised:
    """The entry that `attempts` at its cells make; those whose files or scores do not agree are left out."""
    checked = [verified(suite, attempt) for attempt in attempts]
    faulty = [one for one in checked if one.faults]
    rejected = [(one.attempt.path, one_line("; ".join(one.faults), str(one.attempt.path))) for one in faulty]
    sound = [one for one in checked if not one.faults]
    if not sound:
        return Summarised(None, None, rejected)
    counting = sorted(newest(sound), key=lambda one: place_of(one.attempt))
    by_device: dict[str, list[Verified]] = defaultdict(list)
    for one in counting:
        by_device[device_of(one.attempt.record)].append(one)
    main = max(by_device.values(), key=lambda cells: (sum(c.holds for c in cells), _created(cells)))
    row, *variants = rows_of(main)
    detail = _detail(sound, counting, main, variants, rejected)
    steps = [moment.date for moment in detail.history if moment.score_step or moment.latency_step]
    entry = replace(_entry(row, by_device, main, by), steps=steps)
    draws = row.draws
    return Summarised(entry, detail, rejected, draws.drawn_from if draws else "", draws.values if draws else None)


def _created(cells: Sequence[Verified]) -> datetime:
    return max(one.attempt.record.created for one in cells)


def _entry(row: Row, by_device: Mapping[str, Sequence[Verified]], main: Sequence[Verified], by: str) -> Entry:
    records = [one.attempt.record for cells in by_device.values() for one in cells]
    speeds = {device: found for device, cells in by_device.items() if (found := _speed(cells)) is not None}
    return Entry(
        slug=slug(row.model, row.dataset, row.preset, row.config, row.benchmark, by),
        benchmark=row.benchmark,
        task=row.task,
        dataset=row.dataset,
        preset=row.preset,
        model=row.model,
        config=row.config,
        status=SUBMITTED if by else MEASURED,
        by=by,
        owner=by,
        data=row.data,
        scores=_scores(row),
        done=row.done,
        expected=row.expected,
        folds=main[0].attempt.record.cell.folds,
        seeds=len({one.attempt.record.cell.seed for one in main}),
        subjects=row.subjects,
        units=row.units,
        used=list(row.used) if row.used else None,
        device=row.device,
        speeds=speeds,
        parameters=row.parameters,
        flops=row.flops,
        weights=sorted({w.name if w.sha256 != "random" else f"{w.name}: random" for r in records for w in r.weights}),
        synthetic=any("synthetic dataset" in note for note in row.notes),
        selection=row.selection,
        withheld=is_withheld(records[0]),
        kept_back=row.kept_back,
        unranked=row.reason,
        problems=[one_line(problem) for problem in row.problems],
        notes=[*_busy(records), *(one_line(note) for note in row.notes[:MAX_NOTES])],
        created=max(record.created for record in records).astimezone(UTC).isoformat(timespec="seconds"),
    )


def _busy(records: Sequence[Record]) -> list[str]:
    """A note where a machine had more to do than the cell whose speed it measured."""
    for record in records:
        load, cores = record.hardware.get("load"), record.hardware.get("cores")
        known = isinstance(load, int | float) and isinstance(cores, int) and record.efficiency is not None
        if known and cores > 0 and load > BUSY * cores:
            return [f"its speed was measured on a busy machine (a load of {load:.1f} on {cores} cores)"]
    return []


def _scores(row: Row) -> dict[str, Score]:
    return {name: _score(found) for name, found in row.scores.items() if isinstance(found, Summary)}


def _score(found: Summary) -> Score:
    low, high = found.interval or (None, None)
    return Score(found.mean, found.sd, low, high, len(found.values))


def _speed(cells: Sequence[Verified]) -> Speed | None:
    """The median over the cells whose cost was measured, and of whose measurement nothing is to be doubted."""
    costs = [one.attempt.record.efficiency for one in cells]
    found: list[Efficiency] = [cost for cost in costs if cost is not None and not cost.doubts]
    if not found:
        return None
    return Speed(
        latency_p50=statistics.median(e.latency_p50 for e in found),
        latency_p95=statistics.median(e.latency_p95 for e in found),
        throughput=statistics.median(e.throughput for e in found),
        peak_memory=int(statistics.median(e.peak_memory for e in found)),
        sample=found[0].sample,
        path=found[0].path,
    )


def _detail(
    sound: Sequence[Verified],
    counting: Sequence[Verified],
    main: Sequence[Verified],
    variants: Sequence[Row],
    rejected: Sequence[tuple[Path, str]],
) -> Detail:
    record = main[0].attempt.record
    open_to_all = not is_withheld(record)  # figures of single samples and subjects would give kept-back labels away
    scored = [one for one in main if one.scored and open_to_all]
    task = scored[0].task if scored else None
    environments: list[dict[str, Any]] = []
    config = record.score_key.get("config", {})
    return Detail(
        classes=record.classes,
        config=json.dumps(config, indent=1, sort_keys=True),
        environments=environments,
        weights=[{"name": w.name, "sha256": w.sha256} for w in record.weights],
        cells=[_cell(one, sound, environments) for one in counting],
        variants={row.variant: _scores(row) for row in variants},
        per_class=_per_class(scored),
        shown=[plain(one) for one in task.shown([one.predictions()[""] for one in scored])] if task else [],
        subjects=_subjects(task, scored) if task else {},
        curves=[curve for one in main for curve in curves(one.attempt)],
        history=moments(sound),
        rejected=[("/".join(path.parts[-3:]), reason) for path, reason in rejected],
    )


def _cell(one: Verified, sound: Sequence[Verified], environments: list[dict[str, Any]]) -> CellView:
    record = one.attempt.record
    environment = {"hardware": record.hardware, "software": record.software, "code": record.code}
    environment["hardware"] = {name: value for name, value in record.hardware.items() if name != "load"}
    if environment not in environments:
        environments.append(environment)
    others = [o.attempt for o in sound if o.attempt.record.cell_id == record.cell_id and o is not one]
    return CellView(
        fold=record.cell.fold,
        seed=record.cell.seed,
        status=record.status,
        reason=record.reason,
        scores={name: score.value for name, score in one.scores().items()},
        attempt=record.attempt,
        folder=folder_of(one.attempt),
        cell_id=record.cell_id,
        score_id=record.score_id,
        created=record.created.isoformat(timespec="seconds"),
        device=device_of(record),
        environment=environments.index(environment),
        command=record.command,
        phases=record.phases,
        warnings=record.warnings,
        log_end=record.log_end,
        superseded=[folder_of(other) for other in sorted(others, key=lambda a: a.record.created)],
    )


def folder_of(attempt: Attempt) -> str:
    """An attempt's place below its run folder."""
    record = attempt.record
    return f"{record.cell.plugin}/{record.cell_id}/{record.attempt}"


def _per_class(scored: Sequence[Verified]) -> dict[str, dict[str, float | None]]:
    """Means per class and measure, as far as the task tells them."""
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for one in scored:
        for label, measures in one.task.details(one.predictions()[""]).get("per_class", {}).items():
            for name, value in measures.items():
                values[label][name] += [] if value is None else [value]
    return {
        label: {name: statistics.fmean(found) if found else None for name, found in measures.items()}
        for label, measures in values.items()
    }


def _subjects(task: Task, scored: Sequence[Verified]) -> dict[str, float | None]:
    """The score that the task names for single subjects, the mean over the cells in which one is scored."""
    found: dict[str, list[float]] = defaultdict(list)
    for one in scored:
        for subject, value in task.score_by_subject(one.predictions()[""]).items():
            found[subject] += [] if value != value else [value]
    return {subject: statistics.fmean(values) if values else None for subject, values in found.items()}
