"""`bench --gpus-per-cell`: several processes train a cell together (here by gloo), and score as one does."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
from test_bench import attempts, run

ITERATIONS = ("--devices", "cpu", "--cfg-options", "train_cfg._delete_=True", "train_cfg.by_epoch=False",
              "train_cfg.max_iters=6", "paper_rule=None")  # fmt: skip


def test_two_processes_score_as_one_does(toy_env: dict[str, str], tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    run(one, *ITERATIONS, env=toy_env)
    run(two, *ITERATIONS, "--gpus-per-cell", "2", env=toy_env)
    alone = {attempt.record.score_id: attempt for attempt in attempts(one)}
    for both in attempts(two):
        assert (both.record.status, both.record.device["count"]) == ("ok", 2)
        other = alone[both.record.score_id]  # what decides a score is the same, the cell is another
        assert both.record.cell_id != other.record.cell_id
        np.testing.assert_array_equal(both.predictions()["sample_id"], other.predictions()["sample_id"])
        np.testing.assert_allclose(both.predictions()["prob"], other.predictions()["prob"], atol=1e-4)
        for name, score in other.record.scores.items():
            assert score.value is not None
            np.testing.assert_allclose(both.record.scores[name].value, score.value, atol=1e-4)
    assert "(2 reused)" in run(two, *ITERATIONS, "--gpus-per-cell", "2", env=toy_env).stdout


def test_a_process_of_several_that_dies_fails_its_cell_and_the_slot_goes_on(
    toy_env: dict[str, str], tmp_path: Path
) -> None:
    fault = ("model.fault=kill_rank_1",)
    done = run(tmp_path / "runs", *ITERATIONS, *fault, "--gpus-per-cell", "2", "--timeout", "120", env=toy_env, check=1)
    found = [attempt.record for attempt in attempts(tmp_path / "runs")]
    assert [record.status for record in found] == ["failed", "failed"], done.stdout
    assert all("timeout" not in record.reason for record in found)
    assert not ours(toy_env)


def ours(env: dict[str, str]) -> list[int]:
    """The processes of a test's runs, told by its cache."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("VIDSUITE_CACHE") == env["VIDSUITE_CACHE"] and process.pid != os.getpid():
                found.append(process.pid)
    return found


def test_other_executors_and_odd_batches_are_refused(toy_env: dict[str, str], tmp_path: Path) -> None:
    done = run(tmp_path / "runs", "--executor", "slurm", "--gpus-per-cell", "2", env=toy_env, check=2)
    assert "--gpus-per-cell is for the local executor" in done.stderr
    odd = ("train_dataloader.batch_size=3",)
    done = run(tmp_path / "runs", *ITERATIONS, *odd, "--gpus-per-cell", "2", env=toy_env, check=1)
    assert "a batch of 3 cannot be divided evenly among 2 processes" in done.stdout


def test_libraries_compute_on_the_processors_that_a_worker_was_given() -> None:
    """Torch, OpenMP, OpenCV and the decoders of a process that may use one of several."""
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "import torch, cv2, numpy, av, io\n"
        "from torch.utils.data import DataLoader\n"
        "cv2.resize(numpy.zeros((2000, 2000), 'uint8'), (99, 99)); torch.ones(900, 900) @ torch.ones(900, 900)\n"
        "print(torch.get_num_threads(), torch.get_num_interop_threads() > 0, cv2.getNumThreads())\n"
        "print(max(len(os.sched_getaffinity(int(t))) for t in os.listdir('/proc/self/task')))\n"
    )
    env = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    assert done.stdout.split() == ["1", "True", "1", "1"]
