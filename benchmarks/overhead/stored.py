"""The scheduler's share of a trivial cell, a report of 100,000 attempts, and a run of which all was done before."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vidsuite_benchmarks.overhead.common import Figure, called, environment, processor_seconds, seconds, twice
from vidsuite_benchmarks.overhead.planning import planned_cells

CELLS = 200
"""Trivial cells of which the first few are not counted: the worker starts with them."""
_FIRST = 20


def scheduler(scratch: Path, options: Any) -> Iterator[Figure]:
    """Seconds a cell that does nothing: taken, forked, its predictions stored and checked, the attempt kept."""
    from vidsuite_core.results.store import Store
    from vidsuite_core.runner.bench import Silent
    from vidsuite_core.runner.executor import Resources
    from vidsuite_core.runner.local import LocalExecutor
    from vidsuite_core.runner.schedule import Outcome, Schedule

    class Trivial(LocalExecutor):
        worker_module = "vidsuite_benchmarks.overhead.trivial"

    planned, _ = planned_cells(scratch, CELLS)
    ends: list[float] = []
    outcomes: list[Outcome] = []

    def finished(outcome: Outcome) -> None:
        ends.append(time.perf_counter())
        outcomes.append(outcome)

    schedule = Schedule(Store(scratch / "trivial"), planned, lambda cell: None, finished, lambda line: None)
    schedule.look_back()
    Trivial(Resources("cpu"), Silent()).run(schedule)
    bad = [outcome for outcome in outcomes if not outcome.ok]
    if bad:
        attempt = bad[0].attempt
        raise RuntimeError(f"a trivial cell failed: {attempt.record.reason if attempt else bad[0].problem}")
    taken = [1000 * (b - a) for a, b in zip(ends[_FIRST:], ends[_FIRST + 1 :], strict=False)]
    yield Figure(
        "scheduler overhead a trivial cell", statistics.median(taken), "ms", 10.0,
        reference=1000 * _synced(scratch), of="four files of a kilobyte written and synced, and a folder renamed",
        samples=tuple(taken),
    )  # fmt: skip


def report(scratch: Path, options: Any) -> Iterator[Figure]:
    """`report` of `--attempts` attempts, the first time and again."""
    planned, _ = planned_cells(scratch, options.attempts)
    runs = _stored(scratch / "many", planned)
    env = environment(scratch / "one", VIDSUITE_CACHE=str(scratch / "cache"))
    command = [
        "-m",
        "vidsuite_core.cli",
        "report",
        str(runs),
        "--format",
        "json",
        "--out",
        str(scratch / "report.json"),
    ]
    goal = 10.0 * len(planned) / 100_000
    for what in ("first", "again"):
        yield from twice(
            f"report of {len(planned):,} attempts, {what}", processor_seconds(lambda: called(command, env)), goal,
            reference=_read(runs), of="opening and reading the same result.json files",
        )  # fmt: skip


def resume(scratch: Path, options: Any) -> Iterator[Figure]:
    """`bench` where `--cells` / 10 cells were finished before, the first time and again."""
    count = options.cells // 10
    planned, _ = planned_cells(scratch, count)
    runs = _stored(scratch / "finished", planned)
    env = environment(scratch / "one", VIDSUITE_CACHE=str(scratch / "cache"))
    command = [
        "-m", "vidsuite_core.cli", "bench", "--plugin", "idle0", "--devices", "cpu", "--out", str(runs), "--seeds",
        str(count // 10), "--json",
    ]  # fmt: skip
    for what in ("first", "again"):
        yield from twice(
            f"bench with {len(planned):,} finished cells, {what}", processor_seconds(lambda: called(command, env)),
            3.0 * len(planned) / 10_000, reference=_read(runs), of="opening and reading the same result.json files",
        )  # fmt: skip


def _stored(root: Path, planned: Sequence[Any]) -> Path:
    """A run folder with an attempt at each cell, as `bench` would have left it; nothing is synced."""
    from vidsuite_benchmarks.overhead.trivial import CLASSES, arrays, scores
    from vidsuite_core.results.record import CellFields, Record
    from vidsuite_core.results.store import CONFIG, LOG, PREDICTIONS, RESULT, write_predictions
    from vidsuite_core.support import environment as place
    from vidsuite_core.support.files import file_sha256

    model = root.parent / "attempt"
    model.mkdir(exist_ok=True)
    write_predictions(model / PREDICTIONS, arrays())
    (model / CONFIG).write_text("nothing = 0\n")
    (model / LOG).write_text("nothing\n")
    contents = {name: (model / name).read_bytes() for name in (PREDICTIONS, CONFIG, LOG)}
    hashes, told = {name: file_sha256(model / name) for name in contents}, scores()
    names = ("plugin", "benchmark", "task", "dataset", "model", "fold", "folds", "seed", "preset")
    for number, entry in enumerate(planned):
        cell, attempt = entry.cell, f"20260101T000000{number:06d}-{number:08x}"
        record = Record.model_validate(
            {
                "attempt": attempt, "created": datetime.now(UTC), "status": "ok", "cell_id": cell.cell_id,
                "cell": CellFields(**{name: getattr(cell, name) for name in names}), "score_id": cell.score_id,
                "score_key": cell.score_key, "device": {"kind": cell.device_kind, "count": 1}, "classes": CLASSES,
                "software": place.software(), "code": entry.code, "hardware": place.hardware(), "files": hashes,
                "phases": {"train": 1.0, "predict": 0.1}, **told,
            }
        )  # fmt: skip
        folder = root / cell.plugin / cell.cell_id / attempt
        folder.mkdir(parents=True)
        (folder / RESULT).write_text(json.dumps(record.model_dump(mode="json"), indent=1))
        for name, content in contents.items():
            (folder / name).write_bytes(content)
    return root


def _read(runs: Path) -> float:
    """Seconds that it takes to find, open and read the records, and to do nothing with them."""

    def go() -> None:
        for at, _, files in os.walk(runs):
            if "result.json" in files:
                Path(at, "result.json").read_bytes()

    return seconds(go)


def _synced(scratch: Path) -> float:
    """Seconds that it takes to write and sync what an attempt consists of: what no store can do without."""
    taken = []
    for number in range(20):
        folder = scratch / f"synced{number}"

        def go(folder: Path = folder) -> None:
            folder.mkdir()
            for name in "abcd":
                with (folder / name).open("wb") as file:
                    file.write(bytes(1000))
                    file.flush()
                    os.fsync(file.fileno())
            folder.rename(folder.with_name(f"{folder.name}-done"))

        taken.append(seconds(go))
    return statistics.median(taken)
