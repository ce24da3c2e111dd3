"""Curves are read from logs as mmengine writes them, whether a recipe counts epochs or iterations."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from vidsuite_core.results.store import LOG
from vidsuite_leaderboard import curves as module
from vidsuite_leaderboard.curves import curves
from vidsuite_leaderboard.entries import Curve
from vidsuite_leaderboard.plots.figure import by_unit

AHEAD = "11/28 02:06:18 - mmengine - INFO - "
EPOCHS = (
    "Epoch(train) [1][2/4]  lr: 1.0000e-02  eta: 0:00:00  time: 0.4668  data_time: 0.1951  loss: 0.7087  loss_l2: 0.1",
    "Epoch(val) [1][1/1]    paper_rule/macro_f1: 0.9000  paper_rule/auc: nan  data_time: 0.1325  time: 0.2486",
)
ITERATIONS = (
    "Iter(train) [ 20/400]  lr: 1.0000e-02  eta: 0:00:00  time: 0.4668  data_time: 0.1951  loss: 7.0e-01",
    "validating after 50 iterations",
    "Iter(val) [10/32]    eta: 0:00:02  time: 0.1  data_time: 0.0",
    "Iter(val) [32/32]    inner/miou: 0.2500  data_time: 0.1325  time: 0.2486",
    "Iter(test) [32/32]    miou: 0.3000  data_time: 0.1325  time: 0.2486",
)


def told(folder: Path, *lines: str) -> dict[str, Curve]:
    (folder / LOG).write_text("\n".join(AHEAD + line for line in lines))
    cell = SimpleNamespace(fold="f", seed=1)
    return {c.name: c for c in curves(SimpleNamespace(path=folder, record=SimpleNamespace(cell=cell)))}  # type: ignore[arg-type]


def test_epochs_are_told_with_their_parts(tmp_path: Path) -> None:
    found = told(tmp_path, *EPOCHS)
    assert {name: curve.points for name, curve in found.items()} == {
        "loss": [(0.5, 0.7087)],
        "val paper_rule/macro_f1": [(1, 0.9)],
    }
    assert {(curve.fold, curve.seed, curve.unit) for curve in found.values()} == {("f", 1, "epoch")}


def test_a_validation_stands_at_the_iteration_after_which_it_was(tmp_path: Path) -> None:
    found = told(tmp_path, *ITERATIONS)
    assert {name: curve.points for name, curve in found.items()} == {
        "loss": [(20, 0.7)],
        "val inner/miou": [(50, 0.25)],
    }
    assert {curve.unit for curve in found.values()} == {"iteration"}


def test_long_logs_are_thinned_and_missing_ones_have_no_curves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_POINTS", 3)
    lines = [f"Iter(train) [{n}/9]  loss: 0.{n}" for n in range(1, 10)]
    assert [when for when, _ in told(tmp_path, *lines)["loss"].points] == [1, 4, 7]
    assert curves(SimpleNamespace(path=tmp_path / "gone", record=None)) == []  # type: ignore[arg-type]


def test_epochs_and_iterations_are_not_drawn_on_one_axis() -> None:
    epochs, iterations = Curve("0", 0, "loss", [(1, 1.0)]), Curve("0", 0, "loss", [(1, 1.0)], "iteration")
    found = list(by_unit("loss", {"a": [epochs, iterations], "b": [iterations]}))
    assert found == [
        ("loss", "epoch", {"a": [epochs]}),
        ("loss-by-iteration", "iteration", {"a": [iterations], "b": [iterations]}),
    ]
