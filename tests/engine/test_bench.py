"""The whole path with a third party's toy plugin: run, reuse, fail, resume, share."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import vidsuite_core as vs
from vidsuite_core.results.store import Attempt, Store

KEY = "toy/direction"


def run(out: Path, *more: str, env: dict[str, str], check: int | None = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "vidsuite_core.cli", "bench", "--plugin", "toy", "--out", str(out), *more]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    if check is not None:
        assert done.returncode == check, done.stdout + done.stderr
    return done


def attempts(out: Path) -> list[Attempt]:
    entries = list(Store(out).everything())
    assert all(isinstance(entry, Attempt) for entry in entries), entries
    return entries  # type: ignore[return-value]


@pytest.fixture(scope="module")
def finished(toy_path: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str], str]:
    """A finished run: its folder, the environment, what was printed."""
    home = tmp_path_factory.mktemp("finished")
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(toy_path), os.environ.get("PYTHONPATH", "")])),
        "VIDSUITE_CACHE": str(home / "cache"),
    }
    done = run(home / "runs", env=env)
    return home / "runs", env, done.stdout


def test_a_run_ends_with_a_table_and_whole_attempts(finished: tuple[Path, dict[str, str], str]) -> None:
    out, env, printed = finished
    assert "macro F1" in printed
    assert "2 of 2 cells have scores (0 reused)" in printed
    assert "synthetic dataset" in printed
    assert "the paper's rule" in printed
    for attempt in attempts(out):
        record = attempt.record
        assert record.status == "ok"
        assert set(record.files) == {"predictions.npz", "config.py", "log.txt"}
        assert {"prepare", "load", "train", "predict", "score"} <= set(record.phases)
        assert set(record.variants) == {"paper_rule"}
        assert 1 <= record.details["chosen"]["paper_rule"]["epoch"] <= 3
        arrays = attempt.predictions()
        assert arrays["prob"].shape == arrays["prob@paper_rule"].shape == (4, 2)
        assert set(np.unique(arrays["subject"])) <= {f"subject {n}" for n in range(4)}
        compile((attempt.path / "config.py").read_text(), "config.py", "exec")
    assert sum(attempt.record.efficiency is not None for attempt in attempts(out)) == 1
    verify = subprocess.run(
        [sys.executable, "-P", "-m", "vidsuite_core.cli", "verify", str(out)], env=env, capture_output=True, text=True
    )
    assert verify.returncode == 0, verify.stdout


def test_no_subject_is_on_both_sides_of_a_stored_split(finished: tuple[Path, dict[str, str], str]) -> None:
    tested = [set(attempt.predictions()["subject"]) for attempt in attempts(finished[0])]
    assert not tested[0] & tested[1]
    assert len(tested[0] | tested[1]) == 4


def test_trained_weights_are_kept_on_request_and_a_run_without_them_is_run_again(
    finished: tuple[Path, dict[str, str], str], tmp_path: Path
) -> None:
    out, env, _ = finished
    shutil.copytree(out, tmp_path / "runs")
    done = run(tmp_path / "runs", "--keep", "weights", env=env)
    assert "--keep asks for weights.pth, which was not kept" in " ".join(done.stdout.split())
    kept = [attempt for attempt in attempts(tmp_path / "runs") if "weights.pth" in attempt.record.files]
    assert len(kept) == 2
    assert not kept[0].faulty_files()
    state = torch.load(kept[0].path / "weights.pth", weights_only=True)
    assert all(torch.is_tensor(value) for value in state.values())
    assert "(2 reused)" in run(tmp_path / "runs", "--keep", "weights", env=env).stdout


def test_scores_stay_where_the_disk_does_not_take_what_was_to_be_kept(tmp_path: Path, monkeypatch: Any) -> None:
    from vidsuite_core.engine import cell

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cell.torch, "save", full)
    warnings: list[str] = []
    keeper = cell._Keeper(tmp_path, ("weights",), warnings)
    with keeper.keeping(SimpleNamespace(model=torch.nn.Linear(1, 1)), SimpleNamespace(keep=None)):  # type: ignore[arg-type]
        pass
    assert len(warnings) == 1
    assert "weights.pth could not be kept: OSError: " in warnings[0]
    assert f"MB are free on the disk of {tmp_path}); free some space" in warnings[0]
    assert not (tmp_path / "weights.pth").exists()


def test_outputs_are_kept_only_where_the_task_has_any(finished: tuple[Path, dict[str, str], str]) -> None:
    out, env, _ = finished
    done = run(out, "--keep", "outputs", env=env, check=2)
    assert "task clip_classification has no outputs beside its predictions" in done.stderr


def test_a_second_run_reuses_and_fresh_does_not(finished: tuple[Path, dict[str, str], str]) -> None:
    out, env, _ = finished
    before = len(attempts(out))
    assert "(2 reused)" in run(out, env=env).stdout
    assert len(attempts(out)) == before
    again = run(out, "--fresh", env=env).stdout
    assert "(0 reused)" in again
    assert len(attempts(out)) == before + 2


def test_the_same_seed_gives_the_same_predictions(finished: tuple[Path, dict[str, str], str], tmp_path: Path) -> None:
    out, env, _ = finished
    run(tmp_path / "runs", env=env)
    first = {a.record.score_id: a.predictions()["prob"] for a in attempts(out)}
    for attempt in attempts(tmp_path / "runs"):
        np.testing.assert_array_equal(attempt.predictions()["prob"], first[attempt.record.score_id])


@pytest.mark.parametrize(
    ("fault", "status", "words"),
    [
        ("raise", "failed", "the toy went wrong"),
        ("kill", "failed", "killed by signal SIGKILL"),
        ("memory", "out_of_memory", "no memory left"),
        ("hang", "timeout", "not finished after 8 s"),
    ],
)
def test_a_cell_that_fails_is_a_row_and_the_others_go_on(
    toy_env: dict[str, str], tmp_path: Path, fault: str, status: str, words: str
) -> None:
    out = tmp_path / "runs"
    limit = ("--timeout", "8") if fault == "hang" else ()
    done = run(out, "--cfg-options", f"model.fault={fault}", *limit, env=toy_env, check=1)
    assert [attempt.record.status for attempt in attempts(out)] == [status, status]
    assert words in done.stdout
    assert "0 of 2" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    if fault == "raise":
        assert any("the toy went wrong" in line for line in attempts(out)[0].record.log_end)


def test_failed_cells_are_tried_again_by_the_same_command(toy_env: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "runs"
    run(out, "--cfg-options", "model.fault=raise", env=toy_env, check=1)
    run(out, "--cfg-options", "model.fault=raise", env=toy_env, check=1)
    assert len(attempts(out)) == 4


def start(out: Path, *more: str, env: dict[str, str], own_group: bool = False) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-m", "vidsuite_core.cli", "bench", "--plugin", "toy", "--out", str(out), *more]
    return subprocess.Popen(
        command,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=own_group,
    )


def wait_for(path: Path, pattern: str, seconds: float = 120) -> Path:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = sorted(path.glob(pattern))
        if found:
            return found[0]
        time.sleep(0.05)
    raise AssertionError(f"nothing like {pattern} below {path} after {seconds} s")


def test_a_killed_run_resumes_from_its_checkpoint(toy_env: dict[str, str], tmp_path: Path) -> None:
    out, mark = tmp_path / "runs", tmp_path / "mark"
    env = {**toy_env, "VIDSUITE_TOY_MARK": str(mark)}
    slow = ("--cfg-options", "model.fault=slow_once")
    first = start(out, *slow, env=env)
    wait_for(out, "*/*/.tmp-*/checkpoints/epoch_*.pth")
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert attempts(out) == []
    mark.touch()
    run(out, *slow, env=env)
    found = attempts(out)
    assert [attempt.record.status for attempt in found] == ["ok", "ok"]
    assert any("resumed from a checkpoint" in warning for attempt in found for warning in attempt.record.warnings)
    assert not list(out.glob("*/*/.tmp-*"))


def test_ctrl_c_keeps_the_cell_under_way_as_interrupted(toy_env: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "runs"
    running = start(out, "--cfg-options", "model.fault=slow", env=toy_env)
    wait_for(out, "*/*/.tmp-*/checkpoints/epoch_*.pth")
    running.send_signal(signal.SIGINT)
    printed, _ = running.communicate(timeout=60)
    assert running.returncode == 1
    assert "stopped; what had finished is kept" in printed
    assert [attempt.record.status for attempt in attempts(out)] == ["interrupted"]
    run(out, "--cfg-options", "model.fault=slow", env=toy_env)
    good = [attempt.record for attempt in attempts(out) if attempt.record.status == "ok"]
    assert len(good) == 2
    assert any("resumed from a checkpoint" in warning for record in good for warning in record.warnings)
    assert not list(out.glob("*/*/.tmp-*"))


def test_two_processes_share_a_run_folder(toy_env: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "runs"
    both = [start(out, "--cfg-options", "model.fault=slow", env=toy_env) for _ in range(2)]
    printed = [process.communicate(timeout=240)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], printed
    found = attempts(out)
    assert [attempt.record.status for attempt in found] == ["ok", "ok"], printed
    assert all("2 of 2 cells have scores" in text for text in printed)


def test_a_corrupt_video_fails_its_cells_with_its_name(toy_env: dict[str, str], tmp_path: Path) -> None:
    data = tmp_path / "data"
    vs.load("toy").datasets["blobs"].prepare(data)
    video = data / "videos" / "3.mkv"
    video.write_bytes(video.read_bytes()[:400])
    done = run(tmp_path / "runs", "--data", str(data), env=toy_env, check=1)
    assert "3.mkv" in done.stdout
    assert {attempt.record.status for attempt in attempts(tmp_path / "runs")} == {"failed"}


def test_an_inner_split_chooses_the_epoch_without_the_scored_fold(toy_env: dict[str, str], tmp_path: Path) -> None:
    from vidsuite_core.engine import cell

    key = {"protocol": {"type": "grouped_kfold", "folds": 2, "version": 1}, "fold": "1", "seed": 0}
    samples = vs.load("toy").datasets["blobs"].prepare(tmp_path / "data", subjects=8).samples()
    groups = {}
    for selection in ("last", "inner"):
        parts = cell._divide(samples, {**key, "config": {"selection": selection}})
        groups[selection] = [{s.subject for s in part} for part in (parts.train, parts.inner, parts.test)]
    train, none, test = groups["last"]
    assert not none
    assert not train & test
    inner_train, inner_choose, inner_test = groups["inner"]
    assert inner_test == test
    assert not inner_choose & inner_test
    assert not inner_train & inner_choose
    assert inner_train | inner_choose == train


def test_tensorboard_is_mmengines_own(toy_env: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    logs = tmp_path / "logs"
    run(
        tmp_path / "runs",
        "--cfg-options", "visualizer.vis_backends.0.type=TensorboardVisBackend",
        "--cfg-options", f"visualizer.vis_backends.0.save_dir={logs}",
        env=toy_env,
    )  # fmt: skip
    assert list(logs.rglob("events.out.tfevents.*"))


@pytest.mark.gpu  # mmengine's AMP wrapper refuses a CPU
def test_amp_is_mmengines_own(toy_env: dict[str, str], tmp_path: Path) -> None:
    run(tmp_path / "runs", "--cfg-options", "optim_wrapper.type=AmpOptimWrapper", env=toy_env)


def test_json_rows_are_for_programs(finished: tuple[Path, dict[str, str], str]) -> None:
    out, env, _ = finished
    rows = json.loads(run(out, "--json", env=env).stdout)
    assert [row["variant"] for row in rows] == ["", "paper_rule"]
    assert rows[0]["done"] == rows[0]["expected"] == 2


def test_wrong_use_is_said_in_a_line(toy_env: dict[str, str], tmp_path: Path) -> None:
    for more, words in [
        (("--preset", "papr"), "preset 'papr' is unknown"),
        (("--model", "tinny"), "did you mean"),
        (("--dataset", "blob"), "did you mean"),
        (("--devices", "cuda:7"), "is not here"),
        (("--cfg-options", "nonsense"), "takes key=value"),
        (("--weights", "nowhere.pt"), "there is no file"),
    ]:
        done = run(tmp_path / "runs", *more, env=toy_env, check=2)
        assert words in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


def test_a_hook_that_fails_is_said_and_costs_no_result(toy_env: dict[str, str], toy_path: Path, tmp_path: Path) -> None:
    (tmp_path / "tracker.py").write_text(
        "from vidsuite_core import hookimpl\nvidsuite_api = 1\n"
        "@hookimpl\ndef vidsuite_cell_finished(cell):\n    raise OSError('the tracker is down')\n"
    )
    info = tmp_path / "tracker-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tracker\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[vidsuite]\ntracker = tracker\n")
    env = {**toy_env, "PYTHONPATH": f"{tmp_path}{os.pathsep}{toy_env['PYTHONPATH']}"}
    command = [sys.executable, "-P", "-m", "vidsuite_core.cli", "bench", "--benchmark", "toy/direction"]
    done = subprocess.run([*command, "--out", str(tmp_path / "runs")], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the tracker is down" in done.stderr


def test_a_full_disk_costs_the_cell_and_not_what_was_finished(toy_env: dict[str, str], tmp_path: Path) -> None:
    """Where a small file system can be mounted: the run says what failed, and earlier attempts stay whole."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("no file system can be mounted here")
    try:
        out = disk / "runs"
        run(out, "--cfg-options", "default_hooks.checkpoint.save_optimizer=False", env=toy_env, check=None)
        before = {a.path: a.record.status for a in attempts(out)}
        (disk / "ballast").write_bytes(b"0" * max(0, os.statvfs(disk).f_bavail * os.statvfs(disk).f_bsize - 8192))
        done = run(out, "--fresh", env=toy_env, check=1)
        assert "Traceback" not in done.stderr
        assert "o space left" in done.stdout
        (disk / "ballast").unlink()
        kept = {a.path: a.record.status for a in attempts(out) if a.path in before}
        assert kept == before
        assert not any(a.faulty_files() for a in attempts(out))
    finally:
        subprocess.run(["umount", str(disk)], check=True)
