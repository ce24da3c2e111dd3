"""Which cells are begun first, and how long a run may take, by past attempts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from helpers import clip_arrays, keep, make_cell
from planned_runs import CODE, Run, order

from vidsuite_core.results.cell import Cell
from vidsuite_core.results.store import Store
from vidsuite_core.runner.forecast import SAMPLE, Forecast, History, duration, forecast, longest_first
from vidsuite_core.runner.schedule import Planned

FOLDS = ("0", "1", "2")
MODELS = ("paper/short", "paper/long", "paper/middle")


def planned(cells: Sequence[Cell], timeout: float | None = None) -> list[Planned]:
    return [Planned(cell, order, CODE, "this code", timeout) for cell in cells]


def cells(*models: str, folds: Sequence[str] = FOLDS) -> list[Cell]:
    return [make_cell(model, fold, folds=len(folds)) for model in models for fold in folds]


def took(store: Store, cell: Cell, seconds: float, **fields: object) -> None:
    keep(store, cell, clip_arrays(cell.fold), phases={"prepare": 1.0, "train": seconds - 1}, **fields)


@pytest.fixture
def runs(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


def models(entries: Sequence[Planned]) -> list[str]:
    return [f"{entry.cell.model.partition('/')[2]} {entry.cell.fold}" for entry in entries]


def test_without_past_attempts_the_order_is_the_plans(runs: Store) -> None:
    plan = planned(cells(*MODELS))
    assert longest_first(plan, History(runs)) == plan


def test_the_longest_come_first_and_a_models_cells_stay_together(runs: Store) -> None:
    for model, seconds in zip(MODELS, (5, 100, 30), strict=True):
        took(runs, make_cell(model, "0", folds=3), seconds)
    took(runs, make_cell("paper/middle", "2", folds=3), 40)
    found = models(longest_first(planned(cells(*MODELS)), History(runs)))
    assert found == ["long 0", "long 1", "long 2", "middle 2", "middle 1", "middle 0", "short 0", "short 1", "short 2"]


def test_what_was_never_run_comes_first_as_it_may_be_the_longest(runs: Store) -> None:
    took(runs, make_cell("paper/long", "0", folds=3), 1000)
    took(runs, make_cell("paper/short", "0", folds=3), 1)
    found = longest_first(planned(cells(*MODELS)), History(runs))
    assert [entry.cell.model for entry in found[::3]] == ["paper/middle", "paper/long", "paper/short"]


def test_a_cells_own_time_counts_before_its_models_and_its_device_before_others(runs: Store) -> None:
    entry = planned([make_cell("paper/long", "0", folds=3)])[0]
    took(runs, make_cell("paper/long", "1", folds=3, device="cuda: fast"), 7)
    assert History(runs).expected(entry) == 7
    took(runs, make_cell("paper/long", "2", folds=3), 50)
    assert History(runs).expected(entry) == 50
    took(runs, entry.cell, 60)
    took(runs, entry.cell, 61)
    assert History(runs).expected(entry) == 61


def test_what_was_resumed_or_failed_tells_no_time_and_time_outs_tell_the_limit(runs: Store) -> None:
    (entry,) = planned([make_cell("paper/long", "0", folds=3)], timeout=600)
    took(runs, entry.cell, 5, warnings=["resumed from a checkpoint of an interrupted attempt: not the exact course"])
    keep(runs, entry.cell, status="failed", reason="no luck", phases={"train": 3.0})
    assert History(runs).expected(entry) is None
    keep(runs, make_cell("paper/long", "1", folds=3), status="timeout", reason="not finished after 600 s")
    assert History(runs).expected(entry) == 600


def test_few_attempts_are_read_however_many_there_are(runs: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    folds = [str(number) for number in range(SAMPLE + 20)]
    for cell in cells("paper/long", folds=folds):
        (runs.root / cell.plugin / cell.cell_id).mkdir(parents=True)
    read: list[str] = []
    monkeypatch.setattr(Store, "attempts", lambda self, plugin, cell_id: read.append(cell_id) or [])
    History(runs).expected(planned(cells("paper/long", folds=folds))[0])
    assert len(read) == SAMPLE + 1


def test_times_are_shared_out_over_the_slots(runs: Store) -> None:
    for model, seconds in zip(MODELS, (10, 40, 20), strict=True):
        took(runs, make_cell(model, "0", folds=3), seconds)
    history = History(runs)
    plan = longest_first(planned(cells(*MODELS)), history)  # 3 x 40, 3 x 20, 3 x 10
    assert forecast(plan, history, 1) == Forecast(210, 9, 0, 1)
    assert forecast(plan, history, 3).seconds == 70
    assert forecast(plan, history, 9).seconds == 40
    assert forecast(plan[:3], history, 3, running=[15.0]).seconds == 55
    assert forecast(planned(cells("paper/new")), history, 2) == Forecast(0, 3, 3, 2)
    assert forecast([], history, 2).seconds == 0


def test_a_forecast_is_a_line() -> None:
    assert str(Forecast(700, 9, 0, 1)) == "about 12 min by past attempts"
    assert str(Forecast(700, 9, 2, 3)) == "about 12 min on 3 workers by past attempts, and 2 never run before"
    assert str(Forecast(0, 2, 2, 1)) == "how long they take is not known: there is no past attempt"
    assert [duration(seconds) for seconds in (0, 40, 89.4, 90, 3599, 5400, 12_000)] == [
        "1 s", "40 s", "89 s", "2 min", "60 min", "1 h 30 min", "3 h 20 min",
    ]  # fmt: skip


def test_a_schedule_takes_what_is_there_and_then_begins_with_the_longest(tmp_path: Path) -> None:
    plan = cells(*MODELS)
    Run(tmp_path, cells=plan[:1]).go()  # its first cell is there, and short as such cells are
    for cell, seconds in ((plan[4], 50), (plan[7], 90)):
        took(Store(tmp_path), cell, seconds, code={"core": {"version": "0", "sources": "older"}})
    run = Run(tmp_path, cells=plan)
    schedule = run.schedule()
    schedule.look_back()
    assert [(o.cell.model, o.cell.fold, o.reused) for o in run.outcomes] == [("paper/short", "0", True)]
    assert schedule.forecast(1) == Forecast(3 * 90 + 3 * 50, 8, 2, 1)
    begun = []
    while (job := schedule.take(lambda: False)) is not None:
        begun.append(f"{job.cell.model.partition('/')[2]} {job.cell.fold}")
        schedule.finish(job, {"status": "failed", "reason": "no luck", "hardware": {}, "software": {}})
    assert begun == [*(f"{model} {fold}" for model in ("short",) for fold in "12"), *(f"middle {f}" for f in FOLDS),
                     *(f"long {f}" for f in FOLDS)]  # fmt: skip


def test_a_run_learns_from_its_own_cells(tmp_path: Path) -> None:
    plan = cells("paper/new")
    schedule = Run(tmp_path, cells=plan).schedule()
    schedule.look_back()
    assert schedule.forecast(1).unknown == 3
    job = schedule.take(lambda: False)
    assert job is not None
    from planned_runs import good

    schedule.finish(job, {**good(job), "phases": {"train": 20.0}, "hardware": {}, "software": {}})
    assert schedule.forecast(1) == Forecast(40, 2, 0, 1)
    assert schedule.take(lambda: False) is not None
    assert 39 < schedule.forecast(2).seconds + 20 < 41  # one waits, one has just begun
