"""Runs of a small plan whose jobs run nothing, or store predictions that were made up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helpers import CODE, clip_arrays, core_suite, make_cell, score_rows

from vidsuite_core.engine.order import Order
from vidsuite_core.results.cell import Cell
from vidsuite_core.results.store import PREDICTIONS, Store, write_predictions
from vidsuite_core.runner.bench import Silent
from vidsuite_core.runner.devices import Slot
from vidsuite_core.runner.executor import Executor, Job, Jobs, Resources
from vidsuite_core.runner.schedule import Outcome, Planned, Schedule
from vidsuite_core.support import environment

CELLS = [make_cell(fold=fold, folds=3) for fold in ("0", "1", "2")]
FAILED = {"status": "failed", "reason": "no luck"}


@dataclass
class Run:
    """One run of a plan: its executor's answer for each cell, and what the run was told."""

    root: Path
    cells: Sequence[Cell] = tuple(CELLS)
    answer: Callable[[Job], Mapping[str, Any]] | None = None
    code: Mapping[str, Any] = field(default_factory=lambda: CODE)
    identity: str = "this code"
    fresh: bool = False
    said: list[str] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)

    def schedule(self) -> Schedule:
        planned = [Planned(cell, order, self.code, self.identity, None, ["a warning"]) for cell in self.cells]
        return Schedule(
            Store(self.root),
            planned,
            lambda cell: self.started.append(cell.fold),
            self.outcomes.append,
            self.said.append,
            self.fresh,
        )

    def go(self) -> Run:
        Inline(self.answer or good).run(self.schedule())
        return self

    @property
    def ran(self) -> list[str]:
        return self.started

    @property
    def reused(self) -> list[str]:
        return [outcome.cell.fold for outcome in self.outcomes if outcome.reused]


class Inline(Executor):
    """Runs jobs one after another in this thread."""

    def __init__(self, answer: Callable[[Job], Mapping[str, Any]]) -> None:
        super().__init__(Resources(), Silent())
        self.answer = answer

    def slots(self) -> list[Slot]:
        return []

    def run(self, jobs: Jobs) -> None:
        while (job := jobs.take(lambda: False)) is not None:
            place = {"hardware": {"cores": 2}, "software": environment.software()}
            jobs.finish(job, {**place, **self.answer(job)})


def order(folder: Path) -> Order:
    task = "vidsuite_core.tasks.clip_classification:ClipClassification"
    return Order(
        score_key={}, task=task, dataset="", root="", options={}, weights={}, device="cpu", cost=False,
        folder=str(folder),
    )  # fmt: skip


def good(job: Job) -> dict[str, Any]:
    arrays = clip_arrays(job.cell.fold)
    task = core_suite().tasks[job.cell.task].open(["a", "b"])
    write_predictions(job.workspace.path / PREDICTIONS, arrays)
    return {"status": "ok", "classes": ["a", "b"], "scores": score_rows(task, arrays)}
