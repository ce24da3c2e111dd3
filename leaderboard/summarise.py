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

from vidsuite_core.results.summary import Row, Summary, device_of, newest, place_of, rows_of
from vidsuite_core.results.verification import Verified, verified
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

MAX_SAMPLES = 10_000
"""Predictions that are pooled into a ROC curve."""
MAX_NOTES = 50
"""Notes of an entry that are shown."""
BUSY = 1.5
"""Load a core above which a speed counts as measured on a busy machine; the cell itself makes one of about 1."""
ROC_POINTS = 120


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
    main = max(by_device.values(), key=lambda cells: (sum(c.scored for c in cells), _created(cells)))
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
    """The median over the cells whose cost was measured."""
    found: list[Efficiency] = [e for one in cells if (e := one.attempt.record.efficiency) is not None]
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
    scored = [one for one in main if one.scored]
    task = scored[0].task if scored else None
    environments: list[dict[str, Any]] = []
    per_class, confusion, over_time = _tables(scored)
    config = record.score_key.get("config", {})
    return Detail(
        classes=record.classes,
        config=json.dumps(config, indent=1, sort_keys=True),
        environments=environments,
        weights=[{"name": w.name, "sha256": w.sha256} for w in record.weights],
        cells=[_cell(one, sound, environments) for one in counting],
        variants={row.variant: _scores(row) for row in variants},
        per_class=per_class,
        confusion=confusion,
        roc=_roc(scored, record.classes),
        over_time=over_time,
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


def _tables(scored: Sequence[Verified]) -> tuple[dict, list, list]:
    """Means per class and measure, confusion counts summed, and accuracy over time, as far as the task tells them."""
    details = [one.task.details(one.predictions()[""]) for one in scored]
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for detail in details:
        for label, measures in detail.get("per_class", {}).items():
            for name, value in measures.items():
                values[label][name] += [] if value is None else [value]
    per_class = {
        label: {name: statistics.fmean(found) if found else None for name, found in measures.items()}
        for label, measures in values.items()
    }
    matrices = [detail["confusion"] for detail in details if detail.get("confusion")]
    curves = [detail["curve"] for detail in details if detail.get("curve")]
    over_time = []
    for moment in zip(*curves, strict=False):
        known = [value for value in moment if value is not None]
        over_time.append(statistics.fmean(known) if known else None)
    return per_class, np.sum(matrices, axis=0).tolist() if matrices else [], over_time


def _roc(scored: Sequence[Verified], classes: Sequence[str]) -> dict[str, list[tuple[float, float]]]:
    """ROC curves of predictions pooled over cells: of the second of two classes, or of each against the rest."""
    name = scored[0].task.probabilities if scored else ""
    if not name:
        return {}
    arrays = [one.predictions()[""] for one in scored]
    target = np.concatenate([a["target"] for a in arrays])[:MAX_SAMPLES]
    prob = np.concatenate([a[name] for a in arrays])[:MAX_SAMPLES]
    curves = {}
    for k in [1] if prob.shape[1] == 2 else range(prob.shape[1]):
        if 0 < (target == k).sum() < len(target):
            curves[classes[k]] = _roc_curve(target == k, prob[:, k])
    return curves


def _roc_curve(positive: np.ndarray, score: np.ndarray) -> list[tuple[float, float]]:
    """False against true positive rates as the threshold falls, thinned; both kinds of sample must be there."""
    order = np.argsort(-score, kind="stable")
    last = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)  # samples of one score fall together
    hits = np.append(0, np.cumsum(positive[order])[last])
    alarms = np.append(0, np.cumsum(~positive[order])[last])
    thin = np.unique(np.linspace(0, len(hits) - 1, min(len(hits), ROC_POINTS)).round().astype(int))
    rates = [(rate[thin] / rate[-1]).round(4).tolist() for rate in (alarms, hits)]
    return list(zip(*rates, strict=True))


def _subjects(task: Task, scored: Sequence[Verified]) -> dict[str, float | None]:
    """The score that the task names for single subjects, the mean over the cells in which one is scored."""
    found: dict[str, list[float]] = defaultdict(list)
    for one in scored:
        for subject, value in task.score_by_subject(one.predictions()[""]).items():
            found[subject] += [] if value != value else [value]
    return {subject: statistics.fmean(values) if values else None for subject, values in found.items()}
