"""benchmarks/speed/gpu.py, tried without a GPU: its steps, and that none of them can harm the others."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

SPEED = Path(__file__).resolve().parents[1] / "benchmarks" / "speed"


@pytest.fixture(scope="module")
def gpu() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gpu_script", SPEED / "gpu.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["gpu_script"] = module
    spec.loader.exec_module(module)
    return module


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_step_that_fails_hangs_or_dies_is_told_and_over(gpu: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "LEAST", 0.1)
    far = time.monotonic() + 1000

    def outcome(code: str, limit: float = 60, deadline: float = far) -> object:
        return gpu.run(gpu.Step("step", python(code), limit, gpu.last_json), deadline)

    good = outcome("print('words'); print('{\"a\": 1}')")
    assert (good.status, good.found) == ("ok", {"a": 1})
    failed = outcome("print('{}'); raise SystemExit(3)")
    assert (failed.status, failed.found) == ("failed (3)", {})
    assert outcome("import os; os.abort()").status == "failed (-6)"
    assert outcome("print('nothing')").status.startswith("failed (no result")
    broken = outcome("1 / 0")
    assert broken.status == "failed (1)"
    assert broken.said[-1] == "ZeroDivisionError: division by zero"
    child = "import subprocess, sys, time; print('begun', flush=True)\n"
    child += "subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
    start = time.monotonic()
    hung = outcome(child, limit=3)
    assert (hung.status, hung.said) == ("timeout", ["begun"])
    assert time.monotonic() - start < 60
    assert outcome("print('{}')", deadline=time.monotonic()).status == "not begun"


def test_all_steps_of_the_issue_are_there(gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    steps = {step.name: step for step in gpu.steps(gpu.parse(), tmp_path)}
    assert list(steps) == [
        "machine", "tests", "backends:512x1024", "backends:1024x2048", "backends:clips", "backends:512x1024 tf32",
        "backends:1024x2048 tf32", "features:fp32", "features:bf16", "bench:driving_fanet", "bench:seizure_i3d",
    ]  # fmt: skip
    assert "gpu" in steps["tests"].command
    assert "cuda:0" in steps["bench:seizure_i3d"].command


@pytest.mark.slow
def test_it_runs_on_a_cpu(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    small = ["--sizes", "64x96", "--clip", "32x32", "--frames", "16", "--clips", "4", "--rounds", "1"]
    wanted = ["--steps", "machine", "tests", "backends", "features"]
    command = [sys.executable, str(SPEED / "gpu.py"), "--device", "cpu", "--minutes", "20", "--patience", "10"]
    done = subprocess.run([*command, "--out", str(out), *small, *wanted], capture_output=True, text=True, timeout=1200)
    found = json.loads(out.read_text())["steps"]
    assert {name: step["status"] for name, step in found.items() if name != "tests"} == dict.fromkeys(
        ["machine", "backends:64x96", "backends:clips", "features:fp32", "features:bf16"], "ok"
    ), done.stdout
    assert "skipped" in found["tests"]["found"] or "passed" in found["tests"]["found"]
    ways = found["backends:64x96"]["found"]["ways"]
    assert {(way["backend"], way["precision"]) for way in ways} >= {("eager", "fp32"), ("openvino", "bf16")}
    assert all(way["off"] < 1e-4 for way in ways if way["precision"] == "fp32")
    assert found["features:bf16"]["found"]["path"].endswith("-bf16")
    assert found["features:fp32"]["found"]["clips_per_second"] > 0
