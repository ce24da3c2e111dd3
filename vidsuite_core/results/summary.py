"""Leaderboard rows, computed from stored predictions: means, spreads, intervals, ranks, and what is to be known."""

from __future__ import annotations

import hashlib
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.results.counting import holding
from vidsuite_core.results.ranks import FLOOR, Contender, standings
from vidsuite_core.results.statistics import Part, estimate
from vidsuite_core.results.store import Attempt
from vidsuite_core.results.verification import Verified
from vidsuite_core.specs import resolve
from vidsuite_core.support.code import same_code
from vidsuite_core.support.ids import digest
from vidsuite_core.tasks.base import ScoreInfo, Task

if TYPE_CHECKING:
    from vidsuite_core.results.record import Efficiency, Record
    from vidsuite_core.suite import Suite
    from vidsuite_core.tasks.base import Arrays

CHOSEN_ON_TEST = "its epoch was chosen on the samples that are scored, so it holds no rank"
RARE = 0.1
"""A class counts as used where it is predicted at least this often for each time that it is true."""


@dataclass(frozen=True)
class Summary:
    """A score over cells: mean, sample standard deviation (ddof 1; None for one cell), the values, 95 % interval
    (see `vidsuite_core.results.statistics`; None where nothing can be said)."""

    mean: float
    sd: float | None
    values: tuple[float, ...]
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Draws:
    """Plausible values (DRAWS,) of a row's first score; two rows pair where both are over the same samples."""

    drawn_from: str
    values: np.ndarray


@dataclass(frozen=True)
class Row:
    """A model on a dataset under one preset and config, or a row that a paper reports.

    Attributes:
        status: "measured" or "reported".
        selection: how the scored epoch was chosen (see `vidsuite_core.engine.config`).
        variant: "" or the name of a second set of predictions, as "paper_rule" (the paper's choice of the epoch).
        scores: summaries of measured rows, or the paper's own text of reported ones.
        done, expected: cells with scores, and cells that the protocol makes.
        subjects: how many of the task's units were scored, in words `units`; 0 of a row without scores.
        seeds: of the cells with scores.
        data: see `scored_on`; "" of a row without scores.
        used: of how many classes it makes use, and how many are true; None where the task does not tell.
        problems: why cells are missing, one line each.
        kept_back: what is known of scores whose labels are kept back, and elsewhere; "" of others.
        rank, tied, indistinct, reason, above_floor: see `vidsuite_core.results.ranks.Place`.
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
    subjects: int = 0
    units: str = "subjects"
    seeds: int = 0
    data: str = ""
    used: tuple[int, int] | None = None
    parameters: int | None = None
    flops: float | None = None
    throughput: float | None = None
    device: str = ""
    path: str = ""
    selection: str = ""
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    kept_back: str = ""
    rank: int | None = None
    tied: bool = False
    indistinct: bool = False
    reason: str = ""
    above_floor: bool | None = None
    draws: Draws | None = field(default=None, repr=False, compare=False)

    @property
    def floor(self) -> bool:
        """Whether it is what every other row must be above."""
        return self.model == FLOOR

    @property
    def few_classes(self) -> bool:
        """Whether its predictions make use of at most half of the classes that are true."""
        return self.used is not None and 2 * self.used[0] <= self.used[1]


def measured_rows(
    suite: Suite, attempts: Iterable[Attempt], left_out: Callable[[Verified], None] = lambda one: None
) -> list[Row]:
    """A row a benchmark, dataset, preset, model, config and class and number of devices.

    In each table complete rows come first, and of these the best. Of several attempts at a cell the newest one that
    holds counts, or the newest at all.

    Args:
        left_out: told of each attempt that was looked at and does not hold.
    """
    groups: dict[tuple[str, ...], list[Verified]] = defaultdict(list)
    for one in sorted(holding(suite, attempts, left_out), key=lambda one: place_of(one.attempt)):
        record = one.attempt.record
        cell = record.cell
        groups[cell.benchmark, cell.dataset, cell.preset, cell.model, config_of(record), device_of(record)].append(one)
    rows = [row for members in groups.values() for row in rows_of(members)]
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
        if not isinstance(entry, dict) or "model" not in entry or not isinstance(entry.get("scores"), dict):
            raise VidsuiteError(f"{handle.spec.reported}: each of 'rows' must hold 'model' and a mapping 'scores'")
        notes = [str(entry[name]) for name in ("classes", "source", "note") if entry.get(name) not in (None, "-")]
        scores = {name: str(text) for name, text in entry["scores"].items()}
        rows.append(
            Row(handle.key, handle.spec.task, "", "", str(entry["model"]), "reported", scores, notes=tuple(notes))
        )
    return rows


def place_of(attempt: Attempt) -> tuple[str, int, int, str, str]:
    """What puts attempts in order: models by name, of each the folds in their order, seed by seed."""
    cell = attempt.record.cell
    return cell.model, cell.seed, len(cell.fold), cell.fold, attempt.record.cell_id


def config_of(record: Record) -> str:
    """Hash of all that decides the scores but fold and seed: cells that share it are averaged."""
    return digest({name: value for name, value in record.score_key.items() if name not in ("fold", "seed")})


def device_of(record: Record) -> str:
    """Class and number of the devices that it ran on."""
    kind, count = record.device.get("kind"), record.device.get("count", 1)
    return str(kind) if count == 1 else f"{count} x {kind}"


@dataclass(frozen=True)
class _Scored:
    """One cell's predictions of one variant."""

    seed: int
    fold: str
    arrays: Arrays


def rows_of(members: Sequence[Verified]) -> list[Row]:
    """The row of cells that differ in fold and seed alone, and after it those of the variants; one attempt a cell."""
    first = members[0].attempt.record
    cell = first.cell
    by_variant: dict[str, list[_Scored]] = defaultdict(list)
    elsewhere = _kept_back(members)
    problems, kept, chosen_on_test = [], [], False
    task: Task | None = None
    for one in members:
        record = one.attempt.record
        place = f"fold {record.cell.fold}, seed {record.cell.seed}"
        if elsewhere and one.holds and one.kept_back == elsewhere:
            kept.append(record)
            continue
        if not one.scored:
            why = f"left out: {one.faults[0]}" if one.faults else one.kept_back or f"{record.status}: {record.reason}"
            problems.append(f"{place}: {why}")
            continue
        task = one.task
        kept.append(record)
        chosen_on_test |= one.chosen_on_test
        for name, arrays in one.predictions().items():
            by_variant[name].append(_Scored(record.cell.seed, record.cell.fold, arrays))
    warnings = {note for one in members for note in one.attempt.record.warnings}
    seeds = {one.attempt.record.cell.seed for one in members}
    efficiency = next((record.efficiency for record in kept if record.efficiency), None)
    row = Row(
        cell.benchmark, cell.task, cell.dataset, cell.preset, cell.model, "measured", {},
        config=config_of(first),
        done=len(kept),
        expected=cell.folds * len(seeds),
        parameters=efficiency.parameters if efficiency else None,
        flops=efficiency.flops if efficiency else None,
        throughput=efficiency.throughput if efficiency and not efficiency.doubts else None,
        path=efficiency.path if efficiency else "",
        device=device_of(first),
        selection=members[0].selection,
        problems=tuple(problems),
        notes=(*sorted(warnings), *_mixed(kept), *_doubted(efficiency)),
        kept_back=elsewhere,
        reason=elsewhere or (CHOSEN_ON_TEST if chosen_on_test else ""),
    )  # fmt: skip
    if task is None:
        return [replace(row, scores=_told(kept), seeds=len({record.cell.seed for record in kept}))]
    key = digest(sorted(record.attempt for record in kept))
    data = scored_on(task, first, [(cell.fold, cell.arrays) for cell in by_variant[""]])
    row = replace(row, data=data, units=f"{task.unit}s")
    return [_scored(replace(row, variant=name), task, cells, key) for name, cells in by_variant.items()]


def _kept_back(members: Sequence[Verified]) -> str:
    """What is known of a row's scores if none can be recomputed, as the labels are elsewhere; "" of others.

    Scores that whoever has the labels has told go before cells without any.
    """
    if any(one.scored for one in members):
        return ""
    told = sorted({(one.attempt.record.holder is None, one.kept_back) for one in members if one.holds})
    return told[0][1] if told else ""


def _told(kept: Sequence[Record]) -> dict[str, Summary | str]:
    """Scores as they are recorded, which nothing here can recompute, so without intervals."""
    values: dict[str, list[float]] = defaultdict(list)
    for record in kept:
        for name, score in record.scores.items():
            if score.value is not None:
                values[name].append(score.value)
    return {name: _summary(found, None) for name, found in values.items()}


def _doubted(efficiency: Efficiency | None) -> list[str]:
    """A note where the speed that was measured is not to be compared."""
    return [f"its speed is not told, since {efficiency.doubts[0]}"] if efficiency and efficiency.doubts else []


def _mixed(kept: Sequence[Record]) -> list[str]:
    """A note where cells of one row were not run by the same code and libraries."""
    first = kept[0] if kept else None
    if first and any(not same_code(r.code, first.code) or r.software != first.software for r in kept):
        return ["its cells were run by different versions of the code or libraries"]
    return []


def _scored(row: Row, task: Task, cells: Sequence[_Scored], key: str) -> Row:
    """The row with its scores, and their intervals; `key` tells its seeds from those of other rows."""
    values: dict[str, list[float]] = defaultdict(list)
    parts: dict[str, list[Part]] = defaultdict(list)
    use = []
    for cell in cells:
        scores = task.score(cell.arrays)
        for name, value in scores.items():
            if value == value:
                values[name].append(value)
        units, without = task.leave_one_out(cell.arrays)
        for name, rest in without.items():
            parts[name].append(Part(cell.seed, scores[name], units, rest))
        use.append(task.class_use(cell.arrays))
    found = {name: estimate(of_score, fraction=task.info(name).unit == "fraction") for name, of_score in parts.items()}
    intervals = {name: one.interval() for name, one in found.items() if one}
    summaries = {name: _summary(rows, intervals.get(name)) for name, rows in values.items()}
    partial = {name: len(rows) for name, rows in values.items() if "/" not in name and len(rows) < len(cells)}
    notes = [f"{name} is the mean of the {n} cells of {len(cells)} where it is defined" for name, n in partial.items()]
    first = found.get(task.first_score)
    return replace(
        row,
        scores=summaries,
        done=len(cells),
        subjects=len(np.unique(np.concatenate([part.subjects for part in parts[task.first_score]]))),
        seeds=len({cell.seed for cell in cells}),
        used=_used([counts for counts in use if counts is not None]),
        notes=(*row.notes, *notes),
        draws=Draws(row.data, first.draws(key)) if first else None,
    )


def _used(counts: Sequence[np.ndarray]) -> tuple[int, int] | None:
    """How many of the true classes are predicted at least `RARE` as often as they are true, and how many are true."""
    if not counts:
        return None
    predicted, true = np.sum(counts, axis=0, dtype=float)
    return int(((predicted >= RARE * true) & (true > 0)).sum()), int((true > 0).sum())


def scored_on(task: Task, record: Record, cells: Iterable[tuple[str, Arrays]]) -> str:
    """Hash of what cells are scored on: the data, the protocol, the classes, and each fold's samples and true targets.

    `cells` are folds' names with their arrays, a fold as often as it has seeds.

    Rows are compared only where it is the same; the order in which samples and folds are stored does not matter.
    """
    key = record.score_key
    folds = sorted({(fold, _content(task, arrays)) for fold, arrays in cells})
    return digest([key.get("dataset"), key.get("protocol"), list(task.classes), folds])


def _content(task: Task, arrays: Arrays) -> str:
    """Hash of a fold's samples, subjects and targets, whatever types of numbers they are stored as."""
    ordered = task.take(arrays, np.argsort(arrays["sample_id"], kind="stable"))
    found = hashlib.sha256()
    columns = {name: ordered[name] for name in ("sample_id", "subject", "recording")} | dict(task.truth(ordered))
    for name, values in sorted(columns.items()):
        kind = {"U": "U", "f": "<f8", "b": "<i8", "i": "<i8", "u": "<i8"}[values.dtype.kind]
        plain = "\0".join(values.tolist()).encode(errors="replace") if kind == "U" else values.astype(kind).tobytes()
        found.update(f"{name} {values.shape} {len(plain)}\n".encode() + plain)
    return found.hexdigest()


def _summary(values: Sequence[float], interval: tuple[float, float] | None) -> Summary:
    sd = statistics.stdev(values) if len(values) > 1 else None
    return Summary(statistics.fmean(values), sd, tuple(values), interval)


def first_mean(row: Row, first_score: str) -> float:
    """The mean of a row's first score; -inf where it has none, so that such rows come last."""
    score = row.scores.get(first_score)
    return score.mean if isinstance(score, Summary) else float("-inf")


def _ranked(suite: Suite, rows: Sequence[Row]) -> list[Row]:
    """Complete rows before others, the best first, each followed by its variants; see `standings`."""
    first = _first_score(suite, rows[0].task)
    higher = first.direction == "higher"
    main = sorted((row for row in rows if not row.variant), key=lambda row: _worst_last(row, first.name, higher))
    out = []
    for index, place in standings([_contender(row, first.name) for row in main], higher=higher):
        row = main[index]
        out.append(
            replace(
                row,
                rank=place.rank,
                tied=place.tied,
                indistinct=place.indistinct,
                reason=place.reason,
                above_floor=place.above_floor,
            )
        )
        out += [v for v in rows if v.variant and (v.model, v.config, v.device) == (row.model, row.config, row.device)]
    return out


def _worst_last(row: Row, first: str, higher: bool) -> tuple[bool, bool, float]:
    mean = first_mean(row, first)
    return row.done < row.expected, mean == float("-inf"), -mean if higher else mean


def _contender(row: Row, first: str) -> Contender:
    mean = first_mean(row, first)
    return Contender(
        score=None if mean == float("-inf") else mean,
        complete=row.done == row.expected,
        data=row.data,
        subjects=row.subjects,
        units=row.units,
        drawn_from=row.draws.drawn_from if row.draws else "",
        draws=row.draws.values if row.draws else None,
        floor=row.floor,
        barred=row.reason,
    )


def _first_score(suite: Suite, task: str) -> ScoreInfo:
    kind: type[Task] = resolve(suite.tasks[task].spec.builder)
    return next(score for score in kind.scores if score.name == kind.first_score)
