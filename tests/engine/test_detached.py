"""`bench --detach`: a run in the background that is looked at, steered and ended from other commands."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from test_bench import attempts

SLOW = ("--cfg-options", "model.fault=slow", "train_cfg._delete_=True", "train_cfg.by_epoch=False",
        "train_cfg.max_iters=16", "paper_rule=None")  # fmt: skip


def vidsuite(*words: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "vidsuite_core.cli", *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)


def state(out: Path, env: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(vidsuite("runs", "show", "--out", str(out), "--json", env=env).stdout)
    return found


def until(out: Path, env: dict[str, str], condition: Any) -> dict[str, Any]:
    end = time.monotonic() + 200
    while not condition(found := state(out, env)):
        assert time.monotonic() < end, found
        time.sleep(0.3)
    return found


def test_a_run_in_the_background_is_steered_and_ends(toy_env: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "runs"
    begun = vidsuite("bench", "--plugin", "toy", "--out", str(out), "--seeds", "3", *SLOW, "--detach", env=toy_env)
    assert begun.returncode == 0, begun.stderr
    assert "goes on in the background" in begun.stdout
    name = begun.stdout.split()[1]
    end = time.monotonic() + 60
    while not (out / ".runs" / name / "state.json").exists():
        assert time.monotonic() < end, (out / ".runs" / name / "output.txt").read_text()
        time.sleep(0.1)
    (under,) = until(out, toy_env, lambda now: now["running"] and now["running"][0]["what"] == "train")["running"]
    place = ("--out", str(out))
    assert vidsuite("runs", "pause", *place, env=toy_env).returncode == 0
    assert vidsuite("runs", "stop", "--cell", under["cell"], *place, env=toy_env).returncode == 0
    paused = until(out, toy_env, lambda now: not now["running"] and now["done"] + now["failed"])
    assert (paused["id"], paused["state"], paused["failed"]) == (name, "paused", 1)
    assert vidsuite("runs", "show", *place, env=toy_env).returncode == 1
    assert vidsuite("runs", "retry", *place, env=toy_env).returncode == 0
    assert vidsuite("runs", "resume", *place, env=toy_env).returncode == 0
    until(out, toy_env, lambda now: now["done"] >= 1)
    assert vidsuite("runs", "stop", *place, env=toy_env).returncode == 0
    last = until(out, toy_env, lambda now: now["state"] not in ("running", "stopping"))
    assert last["state"] == "stopped"
    assert last["done"] + last["failed"] == 6
    statuses = [attempt.record.status for attempt in attempts(out)]
    assert statuses.count("ok") == last["done"]
    assert set(statuses) <= {"ok", "interrupted", "skipped"}
    end = time.monotonic() + 60
    while "cells have scores" not in (out / ".runs" / name / "output.txt").read_text():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_wrong_use_is_told_where_it_was_used(toy_env: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "runs"
    done = vidsuite("bench", "--plugin", "toi", "--out", str(out), "--detach", env=toy_env)
    assert done.returncode == 2
    assert "did you mean 'toy'?" in done.stderr
