"""Leaderboard rows, computed from stored predictions: means, spreads, intervals, and who cannot be told apart."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.ids import digest
from vidsuite_core.runner.store import Attempt
from vidsuite_core.specs import resolve
from vidsuite_core.tasks.base import DRAWS, Task, select_variant, variants

if TYPE_CHECKING:
    import numpy as np

    from vidsuite_core.results import Record
    from vidsuite_core.suite import Suite

TOLERANCE = 1e-9
"""Largest difference between a recorded score and the same recomputed from stored predictions."""


@dataclass(frozen=True)
class Summary:
    """A score over cells: mean, sample standard deviation (ddof 1; None for one cell), the values, 95 % interval."""

    mean: float
    sd: float | None
    values: tuple[float, ...]
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Row:
    """A model on a dataset under one preset and config, or a row that a paper reports.

    Attributes:
        status: "measured" or "reported".
        variant: "" or the name of a second set of predictions, as "last" (epoch).
        scores: summaries of measured rows, or the paper's own text of reported ones.
        done, expected: cells with scores, and cells that the protocol makes.
        problems: why cells are missing, one line each.
        indistinct: whether the paired bootstrap cannot tell the row from the best one.
    """

    benchmark: str
    task: str
    dataset: str
    preset: str
    model: str
    status: str
    scores: Mapping[str, Summary | str]
    variant: str = ""
    config: str = ""
    done: int = 0
    expected: int = 0
    parameters: int | None = None
    flops: float | None = None
    throughput: float | None = None
    device: str = ""
    path: str = ""
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    indistinct: bool = False
    draws: Any = field(default=None, repr=False, compare=False)


def measured_rows(suite: Suite, attempts: Iterable[Attempt]) -> list[Row]:
    """A row a benchmark, dataset, preset, model and config (and device class), best first in each table.

    Of several attempts at a cell the newest good one counts, or the newest at all.
    """
    groups: dict[tuple[str, ...], list[Attempt]] = defaultdict(list)
    for attempt in _newest(attempts):
        groups[_group(attempt.record)].append(attempt)
    rows = [row for members in groups.values() for row in _rows(suite, members)]
    tables: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in rows:
        tables[row.benchmark, row.dataset, row.preset].append(row)
    return [row for table in tables.values() for row in _ranked(suite, table)]


def reported_rows(suite: Suite, benchmark: str) -> list[Row]:
    """The rows that a benchmark's paper reports, as printed."""
    handle = suite.benchmarks[benchmark]
    data = handle.reported()
    rows = []
    for entry in data["rows"]:
        notes = [str(entry[name]) for name in ("classes", "source", "note") if entry.get(name) not in (None, "-")]
        scores = {name: str(text) for name, text in entry["scores"].items()}
        rows.append(
            Row(handle.key, handle.spec.task, "", "", str(entry["model"]), "reported", scores, notes=tuple(notes))
        )
    return rows


def recomputed(suite: Suite, attempt: Attempt) -> tuple[Task, dict[str, np.ndarray], list[str]]:
    """The task, the checked predictions, and every difference from the recorded scores.

    Raises:
        VidsuiteError: predictions are missing, damaged, or not of the task's form.
    """
    record = attempt.record
    faults = attempt.faulty_files()
    task: Task = resolve(suite.tasks[record.cell.task].spec.builder)(record.classes)
    if record.score_key.get("task", {}).get("version") != task.version:
        faults.append(f"was scored by another version of task {task.name}; run it again")
    if digest(record.score_key) != record.score_id:
        faults.append("its score id is not the hash of its score key")
    arrays = attempt.predictions()
    for name in ("", *variants(arrays)):
        chosen = select_variant(arrays, name)
        task.check(chosen)
        shown = record.variants.get(name, {}) if name else record.scores
        faults += _differences(task.score(chosen), {key: score.value for key, score in shown.items()}, name)
    return task, arrays, faults


def _differences(found: Mapping[str, float], recorded: Mapping[str, float | None], variant: str) -> list[str]:
    lines = []
    for name in sorted({*found, *recorded}):
        new, old = found.get(name), recorded.get(name)
        absent = new is None or new != new
        if (absent and old is None) or (not absent and old is not None and abs(new - old) <= TOLERANCE):  # type: ignore[operator]
            continue
        lines.append(f"score {name}{'@' + variant if variant else ''} is recorded as {old}, its predictions give {new}")
    return lines


def _newest(attempts: Iterable[Attempt]) -> list[Attempt]:
    cells: dict[str, Attempt] = {}
    for attempt in attempts:
        rank = (attempt.record.status == "ok", attempt.record.created)
        held = cells.get(attempt.record.cell_id)
        if held is None or rank >= (held.record.status == "ok", held.record.created):
            cells[attempt.record.cell_id] = attempt
    return list(cells.values())


def _group(record: Record) -> tuple[str, ...]:
    cell = record.cell
    common = {name: value for name, value in record.score_key.items() if name not in ("fold", "seed")}
    return cell.benchmark, cell.dataset, cell.preset, cell.model, digest(common), str(record.device.get("kind"))


def _rows(suite: Suite, members: Sequence[Attempt]) -> list[Row]:
    first = members[0].record
    cell = first.cell
    by_variant: dict[str, list[dict[str, Any]]] = defaultdict(list)
    problems = []
    task: Task | None = None
    for attempt in members:
        place = f"fold {attempt.record.cell.fold}, seed {attempt.record.cell.seed}"
        if attempt.record.status != "ok":
            problems.append(f"{place}: {attempt.record.status}: {attempt.record.reason}")
            continue
        try:
            task, arrays, faults = recomputed(suite, attempt)
        except VidsuiteError as error:
            problems.append(f"{place}: left out: {error}")
            continue
        if faults:
            problems.append(f"{place}: left out: {faults[0]}")
            continue
        for name in ("", *variants(arrays)):
            by_variant[name].append({"arrays": select_variant(arrays, name), "seed": attempt.record.cell.seed})
    seeds = {attempt.record.cell.seed for attempt in members}
    efficiency = next((a.record.efficiency for a in members if a.record.efficiency), None)
    row = Row(
        cell.benchmark, cell.task, cell.dataset, cell.preset, cell.model, "measured", {},
        config=_group(first)[4],
        done=len(by_variant[""]),
        expected=cell.folds * len(seeds),
        parameters=efficiency.parameters if efficiency else None,
        flops=efficiency.flops if efficiency else None,
        throughput=efficiency.throughput if efficiency else None,
        path=efficiency.path if efficiency else "",
        device=str(first.device.get("kind")),
        problems=tuple(problems),
        notes=tuple(sorted({note for attempt in members for note in attempt.record.warnings})),
    )  # fmt: skip
    if task is None:
        return [row]
    return [_scored(replace(row, variant=name), task, cells) for name, cells in by_variant.items()]


def _scored(row: Row, task: Task, cells: Sequence[Mapping[str, Any]]) -> Row:
    import numpy as np

    values: dict[str, list[float]] = defaultdict(list)
    for entry in cells:
        for name, value in task.score(entry["arrays"]).items():
            if value == value:
                values[name].append(value)
    by_seed: dict[int, list[Any]] = defaultdict(list)
    for entry in sorted(cells, key=lambda entry: str(entry["arrays"]["sample_id"][0])):
        by_seed[entry["seed"]].append(entry["arrays"])
    draws = np.mean([task.resample(folds, DRAWS, seed=0) for folds in by_seed.values()], axis=0)
    scores: dict[str, Summary | str] = {name: _summary(rows) for name, rows in values.items()}
    if task.first_score in values:
        low, high = np.nanpercentile(draws, (2.5, 97.5))
        scores[task.first_score] = replace(_summary(values[task.first_score]), interval=(float(low), float(high)))
    return replace(row, scores=scores, draws=draws)


def _summary(values: Sequence[float]) -> Summary:
    sd = statistics.stdev(values) if len(values) > 1 else None
    return Summary(statistics.fmean(values), sd, tuple(values))


def first_mean(row: Row, first_score: str) -> float:
    """The mean of a row's first score; -inf where it has none, so that such rows come last."""
    score = row.scores.get(first_score)
    return score.mean if isinstance(score, Summary) else float("-inf")


def _ranked(suite: Suite, rows: Sequence[Row]) -> list[Row]:
    """Rows by falling first score, each followed by its variants; marks those like the best.

    The paired test: the best row and another are resampled with the same draws of subjects; where the 95 %
    interval of the difference holds 0 they cannot be told apart.
    """
    import numpy as np

    name = resolve(suite.tasks[rows[0].task].spec.builder).first_score
    main = sorted((row for row in rows if not row.variant), key=lambda row: -first_mean(row, name))
    best = main[0] if main else None
    out = []
    for row in main:
        like = False
        if best is not None and row is not best and row.draws is not None and row.done == best.done:
            low, high = np.nanpercentile(best.draws - row.draws, (2.5, 97.5))
            like = bool(low <= 0 <= high)
        out.append(replace(row, indistinct=like))
        out += [v for v in rows if v.variant and (v.model, v.config, v.device) == (row.model, row.config, row.device)]
    return out
