"""A model that only predicts: somebody's trained network, scored on a dataset's test side, without a recipe."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cells import Reports, toy_config, toy_order

import vidsuite_core as vs
from vidsuite_core.engine.cell import run_cell
from vidsuite_core.errors import UsageError, WeightsUnavailable
from vidsuite_core.results.store import PREDICTIONS, Attempt, Store
from vidsuite_core.runner.initial_weights import InitialWeights
from vidsuite_core.support.files import read_predictions
from vidsuite_core.weights import content_sha256

CONFIG = """
custom_imports = dict(imports=['vidsuite_toy.model'])
model = dict(type='vidsuite_toy.model.Tiny', num_classes='dataset')
test_dataloader = dict(batch_size=4, dataset=dict(
    type='vidsuite.ClipDataset',
    pipeline=[dict(type='vidsuite.ReadClip', size=32), dict(type='vidsuite.PackClip')]))
"""
PLUGIN = """
from dataclasses import replace
from pathlib import Path
from vidsuite_core import BenchmarkSpec, DatasetSpec, ModelSpec, hookimpl
from vidsuite_toy.data import Blobs

vidsuite_api = 1
HERE = Path(__file__).parent
TASK = "clip_classification"

class TestOnly(Blobs):
    def samples(self):
        return [replace(sample, split="test") for sample in super().samples()[:4]]

@hookimpl
def vidsuite_datasets():
    return [DatasetSpec(name="exam", summary="test alone", task=TASK, builder="elsewhere:TestOnly", licence="CC0")]

@hookimpl
def vidsuite_models():
    return [ModelSpec(name="ready", summary="trained elsewhere", task=TASK, config=HERE / "ready.py")]

@hookimpl
def vidsuite_benchmarks():
    return [BenchmarkSpec(name="mixed", summary="of two plugins", task=TASK, definition=HERE / "mixed.yaml")]
"""
BENCHMARK = """
protocol: {type: fixed}
datasets:
  exam: {default: true, cfg: {train_cfg: {max_epochs: 2}}}
  toy/blobs: {protocol: {type: grouped_kfold, folds: 2}, presets: {quick: {subjects: 4}}}
models: [ready, toy/tiny]
presets: {quick: {models: [ready]}, paper: {}}
"""


@pytest.fixture
def trained(toy_env: dict[str, str], tmp_path: Path) -> Path:
    """Weights of the toy's network."""
    torch.manual_seed(3)
    torch.save(vs.load("toy").models["tiny"].build(num_classes=2).state_dict(), tmp_path / "trained.pth")
    return tmp_path / "trained.pth"


@pytest.fixture
def elsewhere(toy_env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment in which a second plugin is installed, whose benchmark names the toy's dataset and model."""
    site = tmp_path / "site"
    info = site / "elsewhere-1.dist-info"
    info.mkdir(parents=True)
    for name, text in (("elsewhere.py", PLUGIN), ("ready.py", CONFIG), ("mixed.yaml", BENCHMARK)):
        (site / name).write_text(text)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[vidsuite]\nelsewhere = elsewhere\n")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, "elsewhere", raising=False)
    return {**toy_env, "PYTHONPATH": f"{site}{os.pathsep}{toy_env['PYTHONPATH']}"}


def ready(tmp_path: Path, **more: Any) -> dict[str, Any]:
    """The resolved config of the model that only predicts."""
    from vidsuite_core.engine.config import cell_config
    from vidsuite_core.engine.recipe import settle_recipe

    (tmp_path / "ready.py").write_text(CONFIG)
    config = cell_config(tmp_path / "ready.py", "quick", [], more, "fp32")
    settle_recipe(config, "elsewhere/ready")
    return config


def order(tmp_path: Path, config: dict[str, Any], weights: Path) -> Any:
    found = toy_order(tmp_path, config, weights={"ready": str(weights)}, cost=True)
    sha256 = content_sha256(torch.load(weights, weights_only=True))
    return type(found)(**{**vars(found), "score_key": {**found.score_key, "weights": {"ready": sha256}}})


def test_the_given_weights_predict_and_nothing_is_trained(trained: Path, tmp_path: Path) -> None:
    outcome = run_cell(order(tmp_path, ready(tmp_path), trained), Reports())
    assert outcome["status"] == "ok", outcome["reason"]
    assert "train" not in outcome["phases"]
    assert outcome["efficiency"]["parameters"] > 0
    network = vs.load("toy").models["tiny"].build(weights=trained, num_classes=2).eval()
    arrays = read_predictions(tmp_path / "attempt" / PREDICTIONS)
    from mmengine.registry import DATASETS

    dataset = vs.load("toy").datasets["blobs"].open(tmp_path / "data", subjects=4)
    samples = [sample for sample in dataset.samples() if sample.id in set(arrays["sample_id"])]
    items = DATASETS.build({**toy_config()["data"], "samples": samples})
    with torch.no_grad():
        expected = network([items[place]["inputs"] for place in range(len(items))]).softmax(1)
    np.testing.assert_allclose(arrays["prob"], expected, atol=1e-6)


def test_weights_that_do_not_fit_fail_the_cell(trained: Path, tmp_path: Path) -> None:
    state = torch.load(trained, weights_only=True)
    torch.save({name: value for name, value in state.items() if name != "head.bias"}, trained)
    outcome = run_cell(order(tmp_path, ready(tmp_path), trained), Reports())
    assert outcome["status"] == "failed"
    assert "1 missing (head.bias)" in outcome["reason"]


def test_training_may_begin_from_weights_of_another_head_and_says_so(trained: Path, tmp_path: Path) -> None:
    state = torch.load(trained, weights_only=True)
    torch.save({**state, "head.weight": torch.zeros(5, 16), "head.bias": torch.zeros(5)}, trained)
    config = toy_config("load_from=weights://ready", "optim_wrapper.optimizer.lr=0", "paper_rule=None")
    outcome = run_cell(type(o := order(tmp_path, config, trained))(**{**vars(o), "keep": ("weights",)}), Reports())
    assert outcome["status"] == "ok", outcome["reason"]
    assert "2 tensors of load_from and the model do not fit each other: head.bias, head.weight" in outcome["warnings"]
    kept = torch.load(tmp_path / "attempt" / "weights.pth", weights_only=True)
    assert torch.equal(kept["net.0.weight"], state["net.0.weight"])
    torch.save({"other": torch.zeros(2)}, trained)
    (tmp_path / "anew").mkdir()  # what was interrupted would go on from its own checkpoint
    outcome = run_cell(order(tmp_path / "anew", config, trained), Reports())
    assert outcome["status"] == "failed"
    assert "none of the weights" in outcome["reason"]


class TestWeights:
    def finder(self, *given: str) -> InitialWeights:
        return InitialWeights(vs.load(), given, True, lambda line: None, lambda what, done, total: None)

    def test_a_file_is_taken_under_the_models_name_or_none(self, elsewhere: Any, trained: Path, tmp_path: Path) -> None:
        for text in (str(trained), f"ready={trained}", f"elsewhere/ready={trained}"):
            weights = self.finder(text)
            found = weights.find("elsewhere/ready", ready(tmp_path))
            weights.refuse_unused()
            assert found.files == {"ready": str(trained)}
            assert found.warnings == [
                "not trained here, but by weights that were given; what these were trained on is not known"
            ]

    def test_without_weights_even_the_quick_preset_stops(self, elsewhere: Any, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="elsewhere/ready only predicts, and names no weights; give trained ones"):
            self.finder().find("elsewhere/ready", ready(tmp_path))
        named = ready(tmp_path, load_from="weights://i3d_rgb_kinetics400")
        with pytest.raises(WeightsUnavailable, match="only predicts, so it needs i3d_rgb_kinetics400"):
            self.finder().find("elsewhere/ready", named)


def bench(env: dict[str, str], out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-P",
        "-m",
        "vidsuite_core.cli",
        "bench",
        "--plugin",
        "elsewhere",
        "--out",
        str(out),
        *more,
    ]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)


def test_a_benchmark_may_name_what_other_plugins_bring(
    elsewhere: dict[str, str], trained: Path, tmp_path: Path
) -> None:
    done = bench(elsewhere, tmp_path / "runs", "--weights", str(trained))
    assert done.returncode == 0, done.stdout + done.stderr
    (attempt,) = Store(tmp_path / "runs").everything()
    assert isinstance(attempt, Attempt)
    assert (attempt.record.cell.dataset, attempt.record.cell.model) == ("elsewhere/exam", "elsewhere/ready")
    assert len(attempt.predictions()["sample_id"]) == 4
    dry = bench(elsewhere, tmp_path / "runs", "--dry-run", "--dataset", "toy/blobs", "--model", "toy/tiny")
    assert dry.returncode == 0, dry.stderr
    assert len(dry.stdout.strip().splitlines()) >= 2
    untrained = bench(elsewhere, tmp_path / "runs", "--dry-run", "--model", "toy/tiny")
    assert untrained.returncode == 2
    assert "elsewhere/exam has no training side" in untrained.stderr
