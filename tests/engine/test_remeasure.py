"""Speed in further processes: built from the order again, with the weights; what fails or differs is a doubt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cells import Reports, toy_config, toy_order

from vidsuite_core.engine import remeasure
from vidsuite_core.engine.cell import run_cell
from vidsuite_core.engine.speed import FULL, SHORT, Protocol
from vidsuite_core.results.record import Efficiency

MEASURED: dict[str, Any] = {
    "flops": 1e6, "latency_p50": 0.01, "latency_p95": 0.01, "latencies": [0.01] * 5, "processes": [0.01],
    "throughput": 100.0, "device_peaks": {"gemm_flops": 1e9}, "share_of_peak": 0.1, "doubts": [],
}  # fmt: skip


def again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: list[Any]) -> dict[str, Any]:
    """`further` where the other processes answer so."""
    order = toy_order(tmp_path, toy_config())
    left = iter(answers)

    def answer(*_: Any) -> list[float]:
        found = next(left)
        if isinstance(found, Exception):
            raise found
        return [found] * 5

    monkeypatch.setattr(remeasure, "_measured", answer)
    return remeasure.further(order, None, MEASURED, FULL, Reports())  # type: ignore[arg-type]


def test_all_processes_count(toy_env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = again(tmp_path, monkeypatch, [0.011, 0.012])
    assert found["processes"] == [0.01, 0.011, 0.012]
    assert (found["latency_p50"], len(found["latencies"])) == (0.011, 15)
    assert found["share_of_peak"] == pytest.approx(1e6 / 0.011 / 1e9)
    assert found["doubts"] == MEASURED["doubts"] == []


def test_processes_that_differ_are_a_doubt(
    toy_env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = again(tmp_path, monkeypatch, [0.011, 0.02])
    assert found["doubts"] == ["its processes' medians lie between 10 and 20 ms: the machine was not idle"]


def test_a_process_that_fails_is_a_doubt(
    toy_env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = again(tmp_path, monkeypatch, [0.011, ValueError("no luck")])
    assert found["processes"] == [0.01, 0.011]
    assert found["doubts"] == ["only 2 of 3 processes could measure it: no luck"]


def test_a_cell_is_measured_in_a_process_that_builds_it_anew(
    toy_env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Really: the toy's cell, with one process more; a machine under load may differ between them, and says so."""
    quick = Protocol("short", calls=5, seconds=0.5, processes=2, warm=0.2, batches=(), whole=1)
    monkeypatch.setattr("vidsuite_core.engine.cell.PROTOCOLS", {"short": quick})
    outcome = run_cell(toy_order(tmp_path, toy_config(), cost=True), Reports())
    assert outcome["status"] == "ok", outcome
    cost = Efficiency(**outcome["efficiency"])
    assert len(cost.processes) == 2
    assert len(cost.latencies) >= 10
    assert not any("processes could measure" in line for line in cost.doubts)
    assert not any("predicts otherwise" in line or "while it is timed" in line for line in cost.doubts)
    assert not (tmp_path / "attempt" / "checkpoints" / "again").exists()
    assert SHORT.processes == 1
