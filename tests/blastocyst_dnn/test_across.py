"""Models of other plugins on embryos, and networks of this plugin on others' recordings: whole cells, very small."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

PLUGIN = """
from pathlib import Path

from vidsuite_core import BenchmarkSpec, hookimpl

vidsuite_api = 1


@hookimpl
def vidsuite_benchmarks():
    task, here = "clip_classification", Path(__file__).parent
    return [
        BenchmarkSpec(name=name, summary=name, task=task, definition=here / f"{name}.yaml")
        for name in ("embryos", "ward")
    ]
"""
EMBRYOS = """
protocol: {type: grouped_kfold, folds: 2, seed: 0}
datasets:
  embryo_timelapse/synthetic:
    default: true
    cfg: {crop: null}
    presets:
      quick: {embryos: 8, blastocysts: 4, patients: 4, size: 32, interval: 480}
models: [seizure_i3d/i3d_pool_logreg, seizure_i3d/single_frame, core/prior]
presets:
  quick: {cfg: {train_cfg: {max_iters: 2}}}
"""
WARD = """
protocol: {type: grouped_kfold, folds: 2, seed: 0}
datasets:
  seizure_i3d/synthetic:
    default: true
    presets:
      quick: {patients: 4, seizures: 6, seconds: 40, size: [64, 52]}
models: [blastocyst_dnn/mobilenet_v3, blastocyst_dnn/mfnet]
presets:
  quick: {cfg: {size: 32, frames: 9, param_scheduler: [], train_cfg: {by_epoch: false, max_iters: 2}}}
"""


@pytest.fixture(scope="module")
def env(tmp_path_factory) -> dict[str, str]:
    """An environment in which a plugin with the two benchmarks is installed."""
    site = tmp_path_factory.mktemp("site")
    package = site / "vidsuite_across"
    package.mkdir()
    (package / "__init__.py").write_text(PLUGIN)
    (package / "embryos.yaml").write_text(EMBRYOS)
    (package / "ward.yaml").write_text(WARD)
    info = site / "vidsuite_across-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vidsuite-across\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[vidsuite]\nacross = vidsuite_across\n")
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH", "")]))
    return {
        **os.environ, "PYTHONPATH": path, "VIDSUITE_CACHE": str(site / "cache"), "VIDSUITE_DATA": str(site / "data"),
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("benchmark", "models"),
    [
        ("embryos", {"seizure_i3d/i3d_pool_logreg", "seizure_i3d/single_frame", "core/prior"}),
        ("ward", {"blastocyst_dnn/mobilenet_v3", "blastocyst_dnn/mfnet"}),
    ],
)
def test_models_of_one_paper_run_on_anothers_data(benchmark, models, env, tmp_path):
    words = ["bench", "--plugin", "across", "--benchmark", benchmark, "--offline", "--devices", "cpu"]
    command = [sys.executable, "-P", "-m", "vidsuite_core.cli", *words, "--out", str(tmp_path / "runs")]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    records = [json.loads(path.read_text()) for path in (tmp_path / "runs").glob("*/*/*/result.json")]
    assert {record["cell"]["model"] for record in records} == models
    assert len(records) == 2 * len(models)
    for record in records:
        assert record["status"] == "ok"
        assert 0 <= record["scores"]["macro_f1"]["value"] <= 1
