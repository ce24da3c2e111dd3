"""Leaderboard rows, computed from stored predictions: means, spreads, intervals, and who cannot be told apart."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.results.store import Attempt
from vidsuite_core.results.verification import recomputed
from vidsuite_core.specs import resolve
from vidsuite_core.support.code import same_code
from vidsuite_core.support.ids import digest
from vidsuite_core.tasks.base import DRAWS, ScoreInfo, Task, select_variant, variants

if TYPE_CHECKING:
    import numpy as np

    from vidsuite_core.results.record import Record
    from vidsuite_core.suite import Suite
    from vidsuite_core.tasks.base import Arrays

FEWEST = 4
"""Subjects that a fold needs for intervals to be drawn within it."""
MOST = 10_000
"""Subjects that a fold may have for intervals to be drawn."""


@dataclass(frozen=True)
class Summary:
    """A score over cells: mean, sample standard deviation (ddof 1; None for one cell), the values, 95 % interval."""

    mean: float
    sd: float | None
    values: tuple[float, ...]
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Draws:
    """Bootstrap draws (DRAWS,) of a row's first score; two rows pair where both were drawn from the same samples."""

    drawn_from: str
    values: np.ndarray


@dataclass(frozen=True)
class Row:
    """A model on a dataset under one preset and config, or a row that a paper reports.

    Attributes:
        status: "measured" or "reported".
        selection: how the scored epoch was chosen (see `vidsuite_core.engine.config`).
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
    selection: str = ""
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    indistinct: bool = False
    draws: Draws | None = field(default=None, repr=False, compare=False)


def measured_rows(suite: Suite, attempts: Iterable[Attempt]) -> list[Row]:
    """A row a benchmark, dataset, preset, model, config and class and number of devices.

    In each table complete rows come first, and of these the best. Of several attempts at a cell the newest good
    one counts, or the newest at all.
    """
    groups: dict[tuple[str, ...], list[Verified]] = defaultdict(list)
    for attempt in sorted(_newest(attempts), key=place_of):
        record = attempt.record
        cell = record.cell
        group = (cell.benchmark, cell.dataset, cell.preset, cell.model, config_of(record), device_of(record))
        groups[group].append(verified(suite, attempt))
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


@dataclass(frozen=True)
class Verified:
    """An attempt that was checked: `faults` say why it cannot count. Only an attempt that is ok has `arrays`."""

    attempt: Attempt
    faults: tuple[str, ...] = ()
    known_task: Task | None = field(default=None, repr=False)
    arrays: Arrays = field(default_factory=dict, repr=False)

    @property
    def scored(self) -> bool:
        """Whether it has predictions that hold."""
        return self.known_task is not None and not self.faults

    @property
    def task(self) -> Task:
        """The task over the attempt's classes; only of one that is `scored`."""
        assert self.known_task is not None
        return self.known_task


def verified(suite: Suite, attempt: Attempt) -> Verified:
    """The attempt with its predictions, its files, ids and scores checked; reads no more of one that failed."""
    if attempt.record.status != "ok":
        return Verified(attempt, tuple(attempt.faulty_files()))
    try:
        task, arrays, faults = recomputed(suite, attempt)
    except VidsuiteError as error:
        return Verified(attempt, (str(error),))
    return Verified(attempt, tuple(faults), task, arrays)


def newest(checked: Iterable[Verified]) -> list[Verified]:
    """One a cell: the newest good one, or the newest at all."""
    by_path = {one.attempt.path: one for one in checked}
    return [by_path[attempt.path] for attempt in _newest(one.attempt for one in by_path.values())]


def _newest(attempts: Iterable[Attempt]) -> list[Attempt]:
    cells: dict[str, Attempt] = {}
    for attempt in attempts:
        rank = (attempt.record.status == "ok", attempt.record.created)
        held = cells.get(attempt.record.cell_id)
        if held is None or rank >= (held.record.status == "ok", held.record.created):
            cells[attempt.record.cell_id] = attempt
    return list(cells.values())


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
    problems, kept = [], []
    task: Task | None = None
    for one in members:
        record = one.attempt.record
        place = f"fold {record.cell.fold}, seed {record.cell.seed}"
        if not one.scored:
            why = f"left out: {one.faults[0]}" if one.faults else f"{record.status}: {record.reason}"
            problems.append(f"{place}: {why}")
            continue
        task = one.task
        kept.append(record)
        for name in ("", *variants(one.arrays)):
            by_variant[name].append(_Scored(record.cell.seed, record.cell.fold, select_variant(one.arrays, name)))
    seeds = {one.attempt.record.cell.seed for one in members}
    efficiency = next((record.efficiency for record in kept if record.efficiency), None)
    row = Row(
        cell.benchmark, cell.task, cell.dataset, cell.preset, cell.model, "measured", {},
        config=config_of(first),
        done=len(kept),
        expected=cell.folds * len(seeds),
        parameters=efficiency.parameters if efficiency else None,
        flops=efficiency.flops if efficiency else None,
        throughput=efficiency.throughput if efficiency else None,
        path=efficiency.path if efficiency else "",
        device=device_of(first),
        selection=str(first.score_key.get("config", {}).get("selection", "")),
        problems=tuple(problems),
        notes=(*sorted({note for one in members for note in one.attempt.record.warnings}), *_mixed(kept)),
    )  # fmt: skip
    if task is None:
        return [row]
    return [_scored(replace(row, variant=name), task, cells) for name, cells in by_variant.items()]


def _mixed(kept: Sequence[Record]) -> list[str]:
    """A note where cells of one row were not run by the same code and libraries."""
    first = kept[0] if kept else None
    if first and any(not same_code(r.code, first.code) or r.software != first.software for r in kept):
        return ["its cells were run by different versions of the code or libraries"]
    return []


def _scored(row: Row, task: Task, cells: Sequence[_Scored]) -> Row:
    import numpy as np

    values: dict[str, list[float]] = defaultdict(list)
    for cell in cells:
        for name, value in task.score(cell.arrays).items():
            if value == value:
                values[name].append(value)
    by_seed: dict[int, list[_Scored]] = defaultdict(list)
    for cell in cells:
        by_seed[cell.seed].append(cell)
    runs = [resampled(task, [c.arrays for c in folds]) for folds in by_seed.values()]
    draws = {name: np.mean([run[name] for run in runs], axis=0) for name in runs[0]}
    scores: dict[str, Summary | str] = {name: _summary(rows, draws.get(name)) for name, rows in values.items()}
    partial = {name: len(found) for name, found in values.items() if "/" not in name and len(found) < len(cells)}
    notes = [f"{name} is the mean of the {n} cells of {len(cells)} where it is defined" for name, n in partial.items()]
    drawn_from = digest([[seed, [_samples(c.arrays) for c in folds]] for seed, folds in by_seed.items()])
    drawn = Draws(drawn_from, draws[task.first_score])
    return replace(row, scores=scores, done=len(cells), notes=(*row.notes, *notes), draws=drawn)


def resampled(task: Task, folds: Sequence[Arrays], draws: int = DRAWS, seed: int = 0) -> dict[str, np.ndarray]:
    """Scores (draws,) of the mean over folds under a bootstrap over subjects.

    Subjects are drawn within their folds. Where a fold has fewer than `FEWEST` (one, where one is left out at a time)
    that would draw next to nothing, so whole folds are drawn; a single such fold has no interval (NaN). Neither have
    folds of more than `MOST`: memory grows with the square of their number.
    """
    import numpy as np

    subjects = [len(np.unique(arrays["subject"])) for arrays in folds]
    if min(subjects) >= FEWEST and max(subjects) <= MOST:
        return task.resample_all(folds, draws, seed)
    if len(folds) == 1 or max(subjects) > MOST:
        return {task.first_score: np.full(draws, np.nan)}
    scores = [task.score(arrays) for arrays in folds]
    times = np.random.default_rng(seed).multinomial(len(folds), np.full(len(folds), 1 / len(folds)), size=draws)
    shown = [info.name for info in task.scores if info.in_tables]
    return {name: times @ np.array([score[name] for score in scores]) / len(folds) for name in shown}


def _samples(arrays: Arrays) -> list[Any]:
    """What draws depend on, in whatever order samples are stored: each one's subject, and each subject's stratum."""
    import numpy as np

    _, first = np.unique(arrays["subject"], return_index=True)
    strata = arrays["target"][first].tolist() if "target" in arrays else []
    return [sorted(zip(arrays["sample_id"].tolist(), arrays["subject"].tolist(), strict=True)), strata]


def _summary(values: Sequence[float], draws: np.ndarray | None) -> Summary:
    import numpy as np

    sd = statistics.stdev(values) if len(values) > 1 else None
    interval = None
    if draws is not None and np.isfinite(draws).any():
        low, high = np.nanpercentile(draws, (2.5, 97.5))
        interval = float(low), float(high)
    return Summary(statistics.fmean(values), sd, tuple(values), interval)


def first_mean(row: Row, first_score: str) -> float:
    """The mean of a row's first score; -inf where it has none, so that such rows come last."""
    score = row.scores.get(first_score)
    return score.mean if isinstance(score, Summary) else float("-inf")


def _ranked(suite: Suite, rows: Sequence[Row]) -> list[Row]:
    """Complete rows before others, the best first, each followed by its variants; marks those like the best.

    The paired test: the best row and another are resampled with the same draws of the same subjects; where the
    95 % interval of the difference holds 0 they cannot be told apart.
    """
    first = _first_score(suite, rows[0].task)

    def place(row: Row) -> tuple[bool, bool, float]:
        mean = first_mean(row, first.name)
        return row.done < row.expected, mean == float("-inf"), mean if first.direction == "lower" else -mean

    main = sorted((row for row in rows if not row.variant), key=place)
    out = []
    for row in main:
        out.append(replace(row, indistinct=row is not main[0] and _alike(main[0].draws, row.draws)))
        out += [v for v in rows if v.variant and (v.model, v.config, v.device) == (row.model, row.config, row.device)]
    return out


def _first_score(suite: Suite, task: str) -> ScoreInfo:
    kind: type[Task] = resolve(suite.tasks[task].spec.builder)
    return next(score for score in kind.scores if score.name == kind.first_score)


def _alike(best: Draws | None, other: Draws | None) -> bool:
    import numpy as np

    if best is None or other is None or best.drawn_from != other.drawn_from:
        return False
    difference = best.values - other.values
    if not np.isfinite(difference).any():
        return False
    low, high = np.nanpercentile(difference, (2.5, 97.5))
    return bool(low <= 0 <= high)
