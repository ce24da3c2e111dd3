"""The plugin as a whole: what it brings, and its models on a small synthetic dataset."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import yaml

import vidsuite_core as vs
from vidsuite_core.benchmark import read_definition
from vidsuite_core.engine.config import cell_config, named_weights, runtime_config
from vidsuite_core.results.record import Record

PAPER = Path(__file__).parents[2] / "plugins" / "seizure_i3d" / "paper.yaml"


@pytest.fixture(scope="module")
def suite() -> vs.Suite:
    return vs.load("seizure_i3d")


def test_the_plugin_loads_without_faults(suite: vs.Suite) -> None:
    assert suite.faults == []
    assert set(suite.benchmarks) == {"seizure_i3d/seizure_i3d"}


def test_specs_name_the_weights_that_configs_name(suite: vs.Suite) -> None:
    for model in suite.models.values():
        if model.spec.config is not None:
            for preset in ("quick", "paper"):
                assert named_weights(cell_config(model.spec.config, preset, [], {}, "fp32")) == set(model.spec.weights)
        assert all(name in {w.spec.name for w in suite.weights.values()} for name in model.spec.weights)


def test_the_paper_preset_has_the_papers_numbers(suite: vs.Suite) -> None:
    spec = suite.models["i3d_lstm_fc"].spec
    assert spec.config is not None
    config = cell_config(spec.config, "paper", [], {}, "fp32")
    assert config["train_dataloader"]["batch_size"] == 500
    assert config["train_cfg"]["max_iters"] * 500 == 2000 * 2250  # epochs of four of five folds
    assert config.get("param_scheduler") is None
    assert config["optim_wrapper"]["optimizer"] == {"type": "Adam", "lr": 1e-3, "betas": [0.9, 0.999]}
    model = config["model"]
    assert (model["lstm_units"], model["fc_units"]) == ([128, 64], [64, 32])
    assert (model["dropout"], model["recurrent_dropout"], model["loss"]) == (0.5, 0.3, "mse")
    assert config["crop"]["expand"] == 0.2
    assert config["crop"]["labels"] == ["bed", "person"]
    assert (config["selection"], config["paper_rule"]) == ("last", "best_on_test")


def test_models_of_a_dataset_are_shown_the_same_clips(suite: vs.Suite) -> None:
    """Rows of a table differ in their model alone: rate, size, crop and views are the dataset's, for all networks."""
    definition = read_definition(suite.benchmarks["seizure_i3d"])
    cfg = definition.dataset("seizure_i3d/fir16").cfg
    read = []
    for model in ("i3d_lstm_fc", "i3d_pool_logreg", "single_frame"):
        spec = suite.models[model].spec
        assert spec.config is not None
        built = runtime_config(
            cell_config(spec.config, "quick", [cfg], {}, "fp32"), {"i3d_rgb_kinetics400": None}, 2, []
        )
        (reader,) = built.data.pipeline
        read.append((reader, built.data.extractor.views))
    assert all(one == read[0] for one in read)
    assert (reader.fps, reader.between, reader.size, reader.crop.source) == (30, "linear", 64, "warm")
    longest = 47
    assert cfg["steps"] == math.ceil(((longest - 1) * 3 + 1) / 8) - 1


def test_reported_rows_are_as_printed(shared: Path) -> None:
    text = (shared / "papers" / "seizure_i3d.txt").read_text(encoding="utf-8").replace(" ", "")
    for row in yaml.safe_load(PAPER.read_text(encoding="utf-8"))["rows"]:
        for score in row["scores"].values():
            assert score.replace(" ", "") in text
        assert row["model"].split("[")[0].strip().replace(" ", "") in text


def test_random_search_draws_from_the_papers_ranges() -> None:
    import random

    from vidsuite_plugins.seizure_i3d.search import draw

    rng = random.Random(0)
    points = [draw(rng) for _ in range(300)]
    for name, low, high in [
        ("model.dropout", 0, 0.5),
        ("model.recurrent_dropout", 0, 0.5),
        ("train_cfg.max_epochs", 50, 2000),
        ("train_dataloader.batch_size", 50, 2000),
    ]:
        values = [point[name] for point in points]
        assert low <= min(values) < low + (high - low) / 10
        assert high - (high - low) / 10 < max(values) <= high
    assert {point["model.loss"] for point in points} == {"mse", "cross_entropy"}
    assert all(32 <= units <= 256 for point in points for units in point["model.lstm_units"])
    assert all(16 <= units <= 128 for point in points for units in point["model.fc_units"])


@pytest.mark.parametrize(
    "model",
    [
        "i3d_lstm_fc",
        "single_frame",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("i3d_pool_logreg", "i3d_finetuned")),
    ],
)
def test_each_model_runs_end_to_end(
    suite: vs.Suite, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two folds of eight short clips with random weights: the path, not the scores."""
    options = [] if model == "i3d_pool_logreg" else ["train_cfg.max_iters=2", "train_cfg.val_interval=1"]
    options += (
        ["train_dataloader.num_workers=0", "train_dataloader.persistent_workers=False"]
        if model == "i3d_finetuned"
        else []
    )
    options += (
        ["val_dataloader.num_workers=0", "val_dataloader.persistent_workers=False"] if model == "i3d_finetuned" else []
    )
    for record in run_small(suite, model, tmp_path, monkeypatch, options):
        assert any("random weights were used in place of i3d_rgb_kinetics400" in line for line in record.warnings)
        assert record.score_key["config"]["inference"] == {"precision": "fp32", "backend": "auto"}
        assert record.details["path"].endswith("-fp32")
        assert record.details["inference"]["scored"]["path"] == record.details["path"]
        if record.efficiency:
            speed = record.details["inference"]["speed"]
            assert speed["path"] == record.efficiency.path
            assert speed["difference"]["pred_score"]["largest"] < 0.1
        crops = record.details["crops"].values()
        assert crops
        assert {crop["source"] for crop in crops} == {"given"}


@pytest.mark.parametrize("model", ["motion_energy", "blob_forest"])  # blob_forest_first differs in its measure
def test_measures_run_end_to_end(suite: vs.Suite, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a network there are no weights to miss."""
    for record in run_small(suite, model, tmp_path, monkeypatch, []):
        assert not any("random weights" in line for line in record.warnings)
        assert 0 <= record.scores["macro_f1"].value <= 1
        assert ("crops" in record.details) is (model == "motion_energy")


def test_the_moment_may_be_chosen_on_training_subjects(
    suite: vs.Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`selection=inner`: the paper's rule is kept beside it, and neither looks at what the other scores."""
    options = ["train_cfg.max_iters=4", "train_cfg.val_interval=1", "selection=inner"]
    for record in run_small(suite, "single_frame", tmp_path, monkeypatch, options, people=12):
        assert set(record.variants) == {"paper_rule"}
        assert 1 <= record.details["chosen"]["inner"]["iteration"] <= 4


def run_small(
    suite: vs.Suite, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], people: int = 4
) -> list[Record]:
    """The records of a model's two cells on two short clips of each of some people, or more."""
    monkeypatch.setenv("VIDSUITE_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "small"
    folder.mkdir()
    definition = folder / "small.yaml"
    definition.write_text(
        """
protocol: {type: grouped_kfold, folds: 2}
datasets:
  synthetic:
    default: true
    cfg: {crop: {source: given, detector: null}}
    presets:
      quick:
        {seconds: SECONDS, seizures: SEIZURES, patients: PEOPLE, size: [64, 48], fps: 10, clip: 10, shortest: 10}
models: [i3d_lstm_fc, i3d_pool_logreg, single_frame, motion_energy, blob_forest, i3d_finetuned]
presets: {quick: {timeout: 300, cfg: {}}}
""".replace("SECONDS", str(3 * people))
        .replace("SEIZURES", str(people + 2))
        .replace("PEOPLE", str(people))
    )
    spec = vs.BenchmarkSpec(name="small", summary="small", task="clip_classification", definition=definition)
    row = next(iter(suite.benchmarks.values()))
    monkeypatch.setitem(suite.benchmarks._rows, "seizure_i3d/small", type(row)("seizure_i3d", spec))
    results = suite.run("", benchmark="small", model=model, out=tmp_path / "runs", cfg_options=options, devices="cpu")
    assert results.ok, [o.attempt.record.reason if o.attempt else o.problem for o in results.outcomes.values()]
    attempts = [outcome.attempt for outcome in results.outcomes.values()]
    assert len(attempts) == 2
    return [attempt.record for attempt in attempts if attempt is not None]


@pytest.mark.slow
def test_random_search_runs_ranks_and_is_reused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    from vidsuite_plugins.seizure_i3d.search import search

    monkeypatch.setenv("VIDSUITE_CACHE", str(tmp_path / "cache"))
    words = ["--trials", "2", "--max-epochs", "2", "--out", str(tmp_path / "runs")]
    done = CliRunner().invoke(search, words, catch_exceptions=False, standalone_mode=False)
    assert done.return_value == 0
    assert done.output.count("macro F1 ") == 2
    again = CliRunner().invoke(search, words, catch_exceptions=False, standalone_mode=False)
    assert again.output.count("(reused)") == 10
