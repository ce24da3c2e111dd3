"""Tables of speed: by class of device, the fastest first, doubted ones without a place, and the Pareto front."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from helpers import clip_arrays, core_suite, keep, make_cell
from planned_runs import CELLS, Run, good
from rich.console import Console

from vidsuite_core.errors import UsageError
from vidsuite_core.results import efficiency
from vidsuite_core.results.store import Attempt, Store
from vidsuite_core.results.summary import measured_rows
from vidsuite_core.runner.bench import BenchOptions, Session, Silent
from vidsuite_core.runner.schedule import Planned, Schedule

COST: dict[str, Any] = {
    "parameters": 1000, "flops": 2e9, "latency_p50": 0.01, "latency_p95": 0.012, "latencies": [0.01, 0.01, 0.012],
    "throughput": 100.0, "peak_memory": 2**20, "sample": "8 frames", "path": "openvino-bf16", "protocol": "full-2",
    "processes": [0.0099, 0.01, 0.0101], "network_p50": 0.008, "whole_p50": 0.02,
    "batches": [{"size": 1, "throughput": 100.0}, {"size": 4, "throughput": 180.0}], "share_of_peak": 0.25,
}  # fmt: skip


def cost(seconds: float, **more: Any) -> dict[str, Any]:
    spread = [0.99 * seconds, seconds, 1.01 * seconds]
    return {**COST, "latency_p50": seconds, "latency_p95": 1.2 * seconds, "processes": spread, **more}


def table(root: Path, models: dict[str, tuple[float, dict[str, Any]]], device: str = "cpu: test") -> list[Any]:
    """Speeds of models, each with the share of clips that it has right, and its cost."""
    suite, store = core_suite(), Store(root)
    for model, (skill, efficient) in models.items():
        for fold in "01":
            measured = {"efficiency": efficient} if fold == "0" else {}
            keep(store, make_cell(f"paper/{model}", fold, device=device), clip_arrays(fold, skill), **measured)
    attempts = [one for one in store.everything() if isinstance(one, Attempt)]
    return efficiency.speeds(suite, attempts, measured_rows(suite, attempts))


def test_the_fastest_comes_first_and_the_front_is_marked(tmp_path: Path) -> None:
    found = table(
        tmp_path, {"good": (1.0, cost(0.03)), "fast": (0.6, cost(0.01)), "slow": (0.6, cost(0.05))},
    )  # fmt: skip
    assert [(one.model, one.front) for one in found] == [
        ("paper/fast", True), ("paper/good", True), ("paper/slow", False),
    ]  # fmt: skip
    assert (found[0].throughput, found[0].batch) == (180.0, 4)
    assert found[0].score is not None


def test_spreads_that_meet_tie(tmp_path: Path) -> None:
    found = table(tmp_path, {"a": (0.8, cost(0.0100)), "b": (0.8, cost(0.0101)), "c": (0.8, cost(0.02))})
    assert [(one.model, one.tied) for one in found] == [("paper/a", False), ("paper/b", True), ("paper/c", False)]
    assert [one.front for one in found] == [True, True, False]


def test_a_doubted_speed_has_no_place_and_says_why(tmp_path: Path) -> None:
    doubted = cost(0.0001, doubts=["a sample that comes again takes 1% of the time of a fresh one: it is remembered"])
    found = table(tmp_path, {"cheat": (1.0, doubted), "honest": (0.8, cost(0.01))})
    assert [(one.model, one.front) for one in found] == [("paper/honest", True), ("paper/cheat", False)]
    console = Console(file=io.StringIO(), width=160)
    efficiency.show(console, found)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert "paper/cheat has no place: a sample that comes again takes 1% of the time" in printed
    row = next(line for line in printed.splitlines() if line.strip().startswith("cheat"))
    assert row.split()[2:6] == ["?", "?", "?", "?"]
    attempts = [one for one in Store(tmp_path).everything() if isinstance(one, Attempt)]
    scores = {row.model: row for row in measured_rows(core_suite(), attempts)}
    assert scores["paper/cheat"].throughput is None
    assert any(note.startswith("its speed is not told, since a sample") for note in scores["paper/cheat"].notes)
    assert scores["paper/honest"].throughput == 100.0


def test_classes_of_device_have_tables_of_their_own(tmp_path: Path) -> None:
    table(tmp_path, {"a": (0.8, cost(0.01))})
    found = table(tmp_path, {"a": (0.8, cost(0.001))}, "cuda: NVIDIA H200")
    assert sorted((one.device, one.latency_p50) for one in found) == [("cpu: test", 0.01), ("cuda: NVIDIA H200", 0.001)]


def test_a_full_measurement_counts_before_a_newer_short_one(tmp_path: Path) -> None:
    table(tmp_path, {"a": (0.8, cost(0.01))})
    found = table(tmp_path, {"a": (0.8, cost(0.02, protocol="short-2", processes=[0.02]))})
    assert [(one.protocol, one.latency_p50) for one in found] == [("full-2", 0.01)]


def test_records_from_before_the_protocol_are_short_looks(tmp_path: Path) -> None:
    old = {name: COST[name] for name in ("parameters", "flops", "latency_p50", "latency_p95", "latencies", "throughput",
                                         "peak_memory", "sample", "path")}  # fmt: skip
    found = table(tmp_path, {"old": (0.8, old)})
    console = Console(file=io.StringIO(), width=160)
    efficiency.show(console, found)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert "a short look only ('bench --only efficiency' measures in full): paper/old" in printed


@pytest.mark.parametrize(("protocol", "again"), [("short-2", ["0"]), ("full-2", [])])
def test_a_cell_is_run_again_where_its_speed_was_not_measured_in_full(
    tmp_path: Path, protocol: str, again: list[str]
) -> None:
    Run(tmp_path, CELLS[:1], lambda job: {**good(job), "efficiency": cost(0.01, protocol=protocol)}).go()
    run = Run(tmp_path, CELLS[:1])
    schedule = run.schedule()
    planned: Planned = schedule._waiting[0]
    asked = Planned(planned.cell, planned.order, planned.code, planned.identity, None, speed="full")
    told: list[str] = []
    schedule = Schedule(
        Store(tmp_path), [asked], lambda cell: run.started.append(cell.fold), lambda _: None, told.append
    )
    job = schedule.take(lambda: False)
    assert run.started == again
    if job is not None:
        assert told == ["running again what was run before, since these changed: its speed was not measured in full"]


def test_only_efficiency_is_refused_where_workers_share_a_device() -> None:
    options = BenchOptions(plugin="core", only="efficiency", workers_per_device=2)
    with pytest.raises(UsageError, match="a device has one worker"):
        Session(core_suite(), options, Silent())
    with pytest.raises(UsageError, match="--only speed: there is efficiency alone"):
        Session(core_suite(), BenchOptions(plugin="core", only="speed"), Silent())
