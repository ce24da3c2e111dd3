"""Cells as Ray's tasks: on a real cluster of several nodes on this machine, one of which is killed in mid-cell."""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jobs import Heard, Queue, gone, until

from vidsuite_core.errors import UsageError
from vidsuite_core.results.claims import claim
from vidsuite_core.runner import ray_cluster, ray_task
from vidsuite_core.runner.devices import cpu_slot
from vidsuite_core.runner.executor import Resources
from vidsuite_core.runner.ray_cluster import RayExecutor
from vidsuite_core.runner.remote import Assignment

HERE = cpu_slot().kind


class TinyRay(RayExecutor):
    worker_module = "tiny_worker"


def executor(heard: Heard | None = None, devices: str = "cpu", **options: Any) -> TinyRay:
    return TinyRay(Resources(devices, options=options), heard or Heard())


def queue(tmp_path: Path, deeds: list[str], **more: Any) -> Queue:
    return Queue(tmp_path / "runs", deeds, kind=HERE, **more)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A head that runs nothing, and two nodes of one processor each."""
    pytest.importorskip("ray")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    before = os.environ.get("PYTHONPATH")
    tests = [*map(str, Path(__file__).parents[:2]), before or ""]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, tests))
    nodes = {"include_dashboard": False, "object_store_memory": 100 * 2**20}
    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **nodes})
    found.nodes = [_node(found, **nodes) for _ in range(2)]
    yield found
    found.shutdown()
    os.environ.pop("PYTHONPATH")
    if before is not None:
        os.environ["PYTHONPATH"] = before


def _node(cluster: Any, tries: int = 4, **settings: Any) -> Any:
    """A node; Ray gives up one whose agents take 15 s to start, as they do where a machine is busy."""
    try:
        return cluster.add_node(num_cpus=1, **settings)
    except Exception:
        if tries == 1:
            raise
        return _node(cluster, tries - 1, **settings)


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [*map(str, Path(__file__).parents[:2]), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))


@pytest.mark.slow
def test_cells_run_on_the_nodes_with_warm_workers(cluster: Any, tmp_path: Path) -> None:
    jobs, heard = queue(tmp_path, ["work", "exit", "linger", "work"]), Heard()
    running = executor(heard, address=cluster.address)
    slot = running.slots()[0]
    assert (slot.device, slot.kind) == ("cpu", HERE)
    running.run(jobs)
    assert [jobs.of(name) for name in "023"] == [("ok", "")] * 3
    assert jobs.of("1") == ("failed", "its process ended with exit code 3")
    assert len({jobs.outcomes[name]["details"]["worker"] for name in "023"}) <= 2
    left = {path.name for path in jobs.outcomes["0"]["folder"].iterdir()}
    assert left == {"checkpoints", "log.txt", "owner.json"}


@pytest.mark.slow
def test_files_come_home_where_the_run_folder_is_not_shared(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = queue(tmp_path, ["say"])
    sent = Assignment.sent
    elsewhere = str(tmp_path / "not there")
    monkeypatch.setattr(
        Assignment, "sent", lambda self: sent(replace(self, order=replace(self.order, folder=elsewhere)))
    )
    executor(address=cluster.address).run(jobs)
    assert jobs.of("0") == ("ok", "")
    assert "hello from a child" in (jobs.outcomes["0"]["folder"] / "log.txt").read_text()


@pytest.mark.slow
def test_what_can_never_run_is_refused_and_not_waited_for(cluster: Any) -> None:
    for options, fault in (
        ({"gpus": 1, "devices": "auto"}, "a cell takes 1 GPU, and the whole cluster has 0"),
        ({"cpus": 64}, "a cell takes 64 CPU, and the whole cluster has 2"),
        ({"resources": {"rack": "1"}}, "a cell takes 1 rack, and the whole cluster has 0"),
    ):
        running = executor(address=cluster.address, **options)
        try:
            with pytest.raises(UsageError, match=fault):
                running.slots()
        finally:
            running.close()


@pytest.mark.slow
def test_a_cancelled_cell_has_ended_before_its_folder_is_kept(cluster: Any, tmp_path: Path) -> None:
    jobs = queue(tmp_path, ["hang"], timeout=None)
    running = executor(address=cluster.address)
    ended: list[Any] = []

    def stop() -> None:
        until(lambda: len(jobs.pids("0")) == 2, 120)
        running.cancel()

    threading.Thread(target=stop).start()
    looked = running.ended

    def seen() -> Iterator[Any]:
        for job, outcome in looked():
            ended.append([gone(pid) for pid in jobs.pids("0")])
            yield job, outcome

    running.ended = seen  # type: ignore[method-assign]
    running.run(jobs)
    assert jobs.of("0")[0] == "interrupted"
    assert ended == [[True, True]]


@pytest.mark.slow
def test_a_node_that_is_killed_in_mid_cell_costs_time_and_nothing_else(cluster: Any, tmp_path: Path) -> None:
    """Ray tries its cell again elsewhere; this test comes last, since a node is gone after it."""
    jobs = queue(tmp_path, ["meet"] * 4, timeout=None)
    running = threading.Thread(target=executor(address=cluster.address).run, args=(jobs,))
    running.start()
    until(lambda: sum(bool(jobs.pids(name)) for name in "0123") == 2, 120)
    lost = cluster.nodes.pop()
    cluster.remove_node(lost, allow_graceful=False)
    running.join(300)
    assert [jobs.of(name) for name in "0123"] == [("ok", "")] * 4
    tries = {name: len((tmp_path / "runs" / f"{name}.pids").read_text().split()) for name in "0123"}
    assert sorted(tries.values()) == [1, 1, 1, 2]
    print(json.dumps(tries))


def test_a_task_runs_in_the_runs_folder_where_it_can_be_seen(tmp_path: Path, importable: None) -> None:
    """What the node does, without a node."""
    job = queue(tmp_path, ["say"]).take(lambda: False)
    assert job is not None
    token = ray_task.token_of(job.workspace.path)
    answer = ray_task.serve(Assignment.of(job, "tiny_worker").sent(), token, {})
    assert (answer["outcome"]["status"], answer["files"]) == ("ok", {})
    assert answer["outcome"]["hardware"]["cores"] == len(os.sched_getaffinity(0))
    assert ray_task.token_of(job.workspace.path) == token
    assert "hello from a child" in (job.workspace.path / "log.txt").read_text()


def test_a_task_brings_files_home_from_where_it_cannot(tmp_path: Path, importable: None) -> None:
    job = queue(tmp_path, ["say"]).take(lambda: False)
    assert job is not None
    sent = Assignment.of(job, "tiny_worker").sent()
    shutil.rmtree(job.workspace.path)
    answer = ray_task.serve(sent, "", {})
    assert answer["outcome"]["status"] == "ok"
    assert list(answer["files"]) == ["log.txt"]
    assert b"hello from a child" in answer["files"]["log.txt"]


def test_a_try_waits_for_the_end_of_the_one_before_it(
    tmp_path: Path, importable: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = queue(tmp_path, ["work"]).take(lambda: False)
    assert job is not None
    token = ray_task.token_of(job.workspace.path)
    claim(job.workspace.path)  # a try of this very process: alive
    monkeypatch.setattr(ray_task, "_WAIT", 0.5)
    begun = time.monotonic()
    ray_task._await_end(job.workspace.path, token)
    assert time.monotonic() - begun >= 0.5
    begun = time.monotonic()
    ray_task._await_end(job.workspace.path, ray_task.token_of(job.workspace.path))
    assert time.monotonic() - begun < 0.2


def test_without_ray_the_remedy_is_named_and_wrong_options_are(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="code is installed or shipped, not 'sent'"):
        executor(code="sent")
    with pytest.raises(UsageError, match="Ray chooses its own"):
        executor(devices="cuda:0")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 'vidsuite\[ray\]'"):
        executor()


def test_ray_is_told_not_to_report_home(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    ray_cluster._ray()
    from ray._common.usage import usage_lib

    assert not usage_lib.usage_stats_enabled()


def test_no_cluster_at_an_address_is_said_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray_cluster._ray(), "init", lambda **_: (_ for _ in ()).throw(ConnectionError("none")))
    with pytest.raises(UsageError, match="no Ray cluster answers at address 'auto'; --ray-address local starts one"):
        executor().slots()


def test_a_dry_run_starts_no_ray() -> None:
    pytest.importorskip("ray")
    with pytest.raises(UsageError, match="say it for a dry run"):
        TinyRay(Resources("cpu", looking=True), Heard()).slots()
    assert TinyRay(Resources("cpu", options={"address": "local"}, looking=True), Heard()).slots() == [cpu_slot()]
