"""Cells as Slurm's jobs: by submitit's stand-in on this machine, and by commands that stand in for Slurm's own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import fake_slurm
import pytest
from jobs import Heard, Queue, until

from vidsuite_core.errors import UsageError
from vidsuite_core.runner.devices import cpu_slot
from vidsuite_core.runner.executor import Resources
from vidsuite_core.runner.slurm import FOLDER, SlurmExecutor

pytest.importorskip("submitit")
HERE = cpu_slot().kind


class TinySlurm(SlurmExecutor):
    worker_module = "tiny_worker"
    settle = 0.3
    poll = 0.05


@pytest.fixture(autouse=True)
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [*map(str, Path(__file__).parents[:2]), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    monkeypatch.setenv("VIDSUITE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Slurm's commands on the PATH; the folder in which they keep what they were given."""
    tools, state = fake_slurm.install(tmp_path / "tools"), tmp_path / "slurm"
    state.mkdir()
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_SLURM", str(state))
    return state


def executor(heard: Heard | None = None, devices: str = "cpu", **options: Any) -> TinySlurm:
    return TinySlurm(Resources(devices, options={"device": HERE, **options}), heard or Heard())


def queue(tmp_path: Path, deeds: list[str], **more: Any) -> Queue:
    return Queue(tmp_path / "runs", deeds, kind=HERE, **more)


def test_cells_run_in_submitits_local_jobs_and_come_back_with_their_place(tmp_path: Path) -> None:
    jobs, heard = queue(tmp_path, ["work", "exit"]), Heard()
    executor(heard, cluster="local").run(jobs)
    assert jobs.of("0") == ("ok", "")
    assert jobs.of("1") == ("failed", "its process ended with exit code 3")
    assert jobs.outcomes["0"]["hardware"]["cpu"] in HERE
    assert heard.said[0].startswith("2 cells are with local as job ")
    assert not list((tmp_path / "runs" / FOLDER).iterdir())
    assert sorted(path.name for path in jobs.outcomes["0"]["folder"].iterdir()) == [
        "checkpoints",
        "log.txt",
        "owner.json",
    ]


def test_the_script_asks_slurm_for_what_the_options_say(tmp_path: Path, slurm: Path) -> None:
    options = {
        "partition": "gpu", "account": "lab", "qos": "low", "time": "1-02:30:00", "cpus": 4, "mem": "16", "throttle": 2,
        "constraint": "h200", "notice": 120, "setup": ["module load cuda"], "sbatch": {"reservation": "week"},
    }  # fmt: skip
    jobs = queue(tmp_path, ["work"] * 3)
    executor(**options).run(jobs)
    assert [jobs.of(name) for name in "012"] == [("ok", "")] * 3
    scripts = [path.read_text() for path in slurm.glob("*.sh")]
    assert len(scripts) == 1
    lines = scripts[0].splitlines()
    asked = {line.removeprefix("#SBATCH --") for line in lines if line.startswith("#SBATCH")}
    assert {
        "array=0-2%2", "partition=gpu", "account=lab", "qos=low", "time=1590", "cpus-per-task=4", "mem=16GB",
        "constraint=h200", "signal=USR2@120", "job-name=vidsuite", "reservation=week",
    } <= asked  # fmt: skip
    assert not any("gpus" in line or "gres" in line for line in asked)
    assert "module load cuda" in lines


def test_a_cell_has_one_gpu_unless_told_otherwise(tmp_path: Path, slurm: Path) -> None:
    jobs = queue(tmp_path, ["work"])
    executor(devices="auto", device="cuda: NVIDIA H200").run(jobs)
    assert "#SBATCH --gpus-per-node=1" in next(slurm.glob("*.sh")).read_text().splitlines()


def test_a_short_job_finds_the_class_of_device_and_a_dry_run_starts_none(tmp_path: Path, slurm: Path) -> None:
    heard = Heard()
    slot = TinySlurm(Resources("cpu"), heard).slots()[0]
    assert (slot.device, slot.kind) == ("cpu", HERE)
    assert "a short job (100) looks" in heard.said[0]
    assert len(list(slurm.glob("*.sh"))) == 1
    with pytest.raises(UsageError, match="say it for a dry run"):
        TinySlurm(Resources("cpu", looking=True), heard).slots()
    assert len(list(slurm.glob("*.sh"))) == 1


def test_a_node_of_another_kind_runs_nothing(tmp_path: Path, slurm: Path) -> None:
    jobs = Queue(tmp_path / "runs", ["work"], kind="cpu: another")
    executor(device="cpu: another").run(jobs)
    status, reason = jobs.of("0")
    assert status == "failed"
    assert reason.startswith("it was planned for 'cpu: another' and came to ")


def test_other_code_on_a_node_runs_nothing(tmp_path: Path, slurm: Path) -> None:
    jobs = queue(tmp_path, ["work"], code={"core": {"sources": "0" * 64}})
    executor().run(jobs)
    assert jobs.of("0")[0] == "failed"
    assert "the installation there is another one than the plan's (code.core: 000000000000… -> " in jobs.of("0")[1]


def test_what_slurm_refuses_leaves_the_cells_unrun_with_its_reason(tmp_path: Path, slurm: Path) -> None:
    jobs = queue(tmp_path, ["work"] * 2)
    executor(partition="closed").run(jobs)
    assert jobs.given_back == 2
    assert jobs.abandoned == "Slurm takes no job: sbatch: error: invalid partition specified: closed"


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("OUT_OF_MEMORY", "out_of_memory"),
        ("TIMEOUT", "interrupted"),
        ("NODE_FAIL", "interrupted"),
        ("FAILED", "failed"),
    ],
)
def test_a_job_that_dies_without_a_word_ends_as_slurm_says(
    tmp_path: Path, slurm: Path, monkeypatch: pytest.MonkeyPatch, state: str, status: str
) -> None:
    import submitit

    monkeypatch.setattr(submitit.SlurmJob, "watcher", type(submitit.SlurmJob.watcher)(delay_s=1))
    monkeypatch.setattr(submitit.SlurmJob, "_results_timeout_s", 0)
    jobs = queue(tmp_path, ["hang"])
    running = threading.Thread(target=executor().run, args=(jobs,))
    running.start()
    until(lambda: len(jobs.pids("0")) == 2)
    (slurm / "100.state").write_text(state)
    os.killpg(json.loads((slurm / "100.json").read_text())["pid"], signal.SIGKILL)
    running.join(30)
    assert jobs.of("0")[0] == status


def test_a_job_that_is_told_to_stop_by_slurm_ends_as_interrupted(tmp_path: Path, slurm: Path) -> None:
    jobs = queue(tmp_path, ["hang"])
    running = threading.Thread(target=executor().run, args=(jobs,))
    running.start()
    until(lambda: len(jobs.pids("0")) == 2)
    os.kill(int((slurm / "100.step").read_text()), signal.SIGUSR2)
    running.join(30)
    assert jobs.of("0") == ("interrupted", "its job was told to stop by SIGUSR2; the same command goes on")


RUN = """
import sys
from pathlib import Path
import test_slurm as t
jobs = t.queue(Path(sys.argv[1]), ["hang", "work"])
try:
    t.executor().run(jobs)
except KeyboardInterrupt:
    print({name: outcome["status"] for name, outcome in jobs.outcomes.items()})
"""


def test_ctrl_c_stops_the_jobs_and_keeps_them_as_interrupted(tmp_path: Path, slurm: Path) -> None:
    run = subprocess.Popen([sys.executable, "-c", RUN, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    path = tmp_path / "runs" / "0.pids"
    until(lambda: path.is_file() and len(path.read_text().split()) == 2)
    time.sleep(1)  # the other one ends meanwhile
    run.send_signal(signal.SIGINT)
    told, _ = run.communicate(timeout=60)
    assert told.strip() == "{'1': 'ok', '0': 'interrupted'}"
    assert "--signal=TERM" in (slurm / "cancelled").read_text()


def test_a_missing_tool_and_a_wrong_option_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="there is no sbatch here"):
        executor()
    with pytest.raises(UsageError, match="has no option 'partion'; did you mean 'partition'"):
        executor(cluster="local", partion="gpu")
    with pytest.raises(UsageError, match="time=soon: say minutes"):
        executor(cluster="local", time="soon")
    with pytest.raises(UsageError, match="Slurm chooses its devices"):
        executor(cluster="local", devices="cuda:0")


def test_without_submitit_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(UsageError, match=r"pip install 'vidsuite\[slurm\]'"):
        executor()
