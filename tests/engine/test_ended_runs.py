"""Runs of the toy plugin that are told to end by signals or a budget, and go on from what their cells have saved."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from test_bench import attempts, run, start, wait_for

SLOW = ("--cfg-options", "model.fault=slow", "--cfg-options", "default_hooks.checkpoint.interval=-1")
"""Half a second a step, and no checkpoint unless the cell is told to stop."""
ITERATIONS = ("--cfg-options", "train_cfg._delete_=True", "--cfg-options", "train_cfg.by_epoch=False",
              "--cfg-options", "train_cfg.max_iters=8", "--cfg-options", "paper_rule=None")  # fmt: skip


def in_training(out: Path) -> None:
    """Wait until a cell has trained for a step or two."""
    log = wait_for(out, "*/*/.tmp-*/log.txt")
    end = time.monotonic() + 120
    while "before_train" not in log.read_text() and time.monotonic() < end:
        time.sleep(0.1)
    time.sleep(2.5)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_run_that_is_told_to_end_saves_and_the_next_goes_on_from_there(
    toy_env: dict[str, str], tmp_path: Path, sent: signal.Signals
) -> None:
    out = tmp_path / "runs"
    running = start(out, *SLOW, *ITERATIONS, env=toy_env)
    in_training(out)
    running.send_signal(sent)
    printed, _ = running.communicate(timeout=60)
    assert running.returncode == 1, printed
    assert "stopping: cells under way have 20 s to save what they have" in printed
    (stopped,) = attempts(out)
    assert stopped.record.status == "interrupted"
    assert ("user" if sent is signal.SIGINT else sent.name) in stopped.record.reason
    (saved,) = out.glob("*/*/.tmp-*/checkpoints/iter_*.pth")
    done = int(saved.stem.partition("_")[2])
    assert 1 <= done < 8
    printed = run(out, *SLOW, *ITERATIONS, env=toy_env).stdout
    assert "2 of 2 cells have scores" in printed
    good = [attempt for attempt in attempts(out) if attempt.record.status == "ok"]
    resumed = [attempt for attempt in good if any("resumed" in line for line in attempt.record.warnings)]
    assert len(resumed) == 1
    assert f"iter: {done}" in (resumed[0].path / "log.txt").read_text()
    assert not list(out.glob("*/*/.tmp-*"))


def test_the_process_group_is_told_as_slurm_does_it(toy_env: dict[str, str], tmp_path: Path) -> None:
    """Every process of the job gets SIGTERM at once: run, worker, cell."""
    import psutil

    out = tmp_path / "runs"
    running = start(out, *SLOW, *ITERATIONS, env=toy_env)
    in_training(out)
    everybody = [psutil.Process(running.pid), *psutil.Process(running.pid).children(recursive=True)]
    assert len(everybody) >= 3
    for process in everybody:
        process.send_signal(signal.SIGTERM)
    running.communicate(timeout=60)
    assert [attempt.record.status for attempt in attempts(out)] == ["interrupted"]
    assert list(out.glob("*/*/.tmp-*/checkpoints/iter_*.pth"))
    assert not any(process.is_running() for process in everybody)


def test_a_group_that_is_killed_leaves_no_process_and_nothing_half(toy_env: dict[str, str], tmp_path: Path) -> None:
    import psutil

    out = tmp_path / "runs"
    running = start(out, *SLOW, *ITERATIONS, env=toy_env, own_group=True)
    in_training(out)
    everybody = psutil.Process(running.pid).children(recursive=True)
    assert everybody
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate(timeout=60)
    _, alive = psutil.wait_procs(everybody, timeout=30)
    assert not alive
    assert attempts(out) == []
    assert "2 of 2 cells have scores" in run(out, env=toy_env).stdout


def test_when_its_budget_is_spent_a_run_ends_in_rows_that_say_so(toy_env: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "runs"
    done = run(out, *SLOW, *ITERATIONS, "--budget", "40s", "--seeds", "30", env=toy_env, check=1)
    assert "the budget of 40 s (--budget) was spent; the same command goes on" in done.stdout
    found = [attempt.record for attempt in attempts(out)]
    assert len(found) == 60
    assert {record.status for record in found} <= {"ok", "timeout", "skipped"}
    assert {record.reason for record in found if record.status != "ok"} == {
        "the budget of 40 s (--budget) was spent; the same command goes on"
    }
    assert sum(record.status == "skipped" for record in found) >= 8
    assert "try again: vidsuite bench --plugin toy" in done.stdout


def test_a_segmentation_fault_in_a_real_cell_is_a_row_with_its_stack(toy_env: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "runs"
    done = run(out, "--cfg-options", "model.fault=segfault", env=toy_env, check=1)
    assert "killed by signal SIGSEGV" in done.stdout
    for attempt in attempts(out):
        log = (attempt.path / "log.txt").read_text()
        assert "Segmentation fault" in log
        assert "go_wrong" in log


def test_memory_that_a_limit_refuses_is_a_row_that_says_so_and_the_next_run_is_well(
    toy_env: dict[str, str], tmp_path: Path
) -> None:
    out, env = tmp_path / "runs", {**toy_env, "VIDSUITE_TOY_LIMIT": str(12 * 2**30)}
    done = run(out, "--cfg-options", "model.fault=allocate", env=env, check=1)
    assert [attempt.record.status for attempt in attempts(out)] == ["out_of_memory"] * 2, done.stdout
    assert "0 of 2 cells have scores" in done.stdout
    assert "2 of 2 cells have scores" in run(out, env=env).stdout


def test_a_loader_that_hangs_leaves_its_stack_in_the_log(toy_env: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "runs"
    more = ("--cfg-options", "data.pipeline.0.type=vidsuite_toy.model.HangingRead", "--cfg-options",
            "train_dataloader.num_workers=1", "--timeout", "20")  # fmt: skip
    run(out, *more, env=toy_env, check=1)
    for attempt in attempts(out):
        assert attempt.record.status == "timeout"
        log = (attempt.path / "log.txt").read_text()
        assert "in hang_in_the_loader" in log
        assert any("hang_in_the_loader" in line or "File" in line for line in attempt.record.log_end)
