"""Recipes: what they lack is said in a line, iterations count as epochs do, and no score rests on its own samples."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cells import Reports, toy_config, toy_order

from vidsuite_core.engine import training
from vidsuite_core.engine.cell import run_cell
from vidsuite_core.engine.recipe import counts_epochs, settle_recipe, way_of
from vidsuite_core.errors import UsageError
from vidsuite_core.results.store import LOG, PREDICTIONS, WORK
from vidsuite_core.support.files import read_predictions
from vidsuite_leaderboard.curves import curves

ITERATIONS = (
    "train_cfg._delete_=True",
    "train_cfg.by_epoch=False",
    "train_cfg.max_iters=7",
    "train_cfg.val_interval=2",
    "default_hooks.checkpoint.interval=3",
)
LOADER = {"batch_size": 2, "dataset": {"type": "x"}}
TRAINS = {
    "model": {"type": "x"},
    "train_dataloader": LOADER,
    "test_dataloader": LOADER,
    "optim_wrapper": {"type": "OptimWrapper"},
    "train_cfg": {"by_epoch": False, "max_iters": 3},
}


def without(*names: str, **more: Any) -> dict[str, Any]:
    return {name: value for name, value in TRAINS.items() if name not in names} | more


class TestCheck:
    def test_a_config_says_by_what_it_has_how_it_comes_to_predictions(self) -> None:
        assert way_of(TRAINS) == "trains"
        assert way_of(without("train_cfg")) == "fits"
        assert way_of(without("train_cfg", "train_dataloader")) == "predicts"
        for config in (TRAINS, without("train_cfg"), without("train_cfg", "train_dataloader", "optim_wrapper")):
            settle_recipe(dict(config), "toy/it")

    @pytest.mark.parametrize(
        ("config", "words"),
        [
            (
                {"train_cfg": {"by_epoch": False}},
                "lacks model, train_dataloader, optim_wrapper, test_dataloader: it has",
            ),
            ({}, "lacks model, test_dataloader: it has neither train_cfg nor train_dataloader, so it only predicts"),
            (
                without("train_cfg", "model"),
                "lacks model: it has train_dataloader and no train_cfg, so its model is fitted",
            ),
            (without(test_dataloader={"batch_size": 1}), "lacks test_dataloader.dataset"),
            (without(train_cfg={"max_iters": 3}), "train_cfg lacks by_epoch"),
            (without(train_cfg={"by_epoch": False, "max_epochs": 3}), "has max_epochs, and counts iterations"),
            (without(train_cfg={"by_epoch": True, "val_interval": 3}), "lacks max_epochs"),
            (without(param_scheduler=[{"type": "PolyLR"}]), "param_scheduler 0 counts epochs"),
            (without(param_scheduler={"head": [{"type": "PolyLR"}]}), "param_scheduler 0 counts epochs"),
        ],
    )
    def test_what_is_missing_or_contradicts_is_said_in_a_line(self, config: dict[str, Any], words: str) -> None:
        with pytest.raises(UsageError) as caught:
            settle_recipe(config, "toy/it")
        assert words in str(caught.value)
        assert str(caught.value).startswith("config of toy/it")
        assert len(str(caught.value).splitlines()) == 1

    def test_a_scheduler_may_count_epochs_where_the_recipe_does(self) -> None:
        epochs = without(train_cfg={"by_epoch": True, "max_epochs": 3}, param_scheduler={"type": "PolyLR"})
        settle_recipe(epochs, "toy/it")
        assert counts_epochs(epochs)
        assert not counts_epochs(without(train_cfg={"type": "IterBasedTrainLoop", "max_iters": 3}))


class TestSelection:
    def test_what_was_chosen_on_the_scored_samples_can_not_be_the_main_predictions(self, toy_env: Any) -> None:
        with pytest.raises(UsageError, match="write selection='last' or 'inner', and paper_rule='best_on_test'"):
            toy_config("selection=best_on_test")
        with pytest.raises(UsageError, match="paper_rule 'best' is none of"):
            toy_config("paper_rule=best")
        with pytest.raises(UsageError, match="selection 'first' is none of last, inner"):
            toy_config("selection=first")

    def test_a_benchmarks_fields_of_training_leave_a_model_without_training_alone(self, tmp_path: Path) -> None:
        from vidsuite_core.engine.config import cell_config

        path = tmp_path / "fitted.py"
        path.write_text("model = dict(type='x')\ntrain_dataloader = dict(dataset=dict(type='x'))\n")
        layer = {"train_cfg": {"max_iters": 9}, "selection": "inner", "size": [4, 4]}
        config = cell_config(path, "quick", [layer], {"train_cfg.max_iters": 3}, "fp32")
        assert way_of(config) == "fits"
        assert config["selection"] == "last"
        assert config["size"] == [4, 4]

    def test_the_papers_rule_and_an_inner_choice_stand_beside_each_other(self, toy_env: Any, tmp_path: Path) -> None:
        outcome = run_cell(toy_order(tmp_path, toy_config("selection=inner"), subjects=8), Reports())
        assert outcome["status"] == "ok", outcome["reason"]
        assert set(outcome["details"]["chosen"]) == {"inner", "paper_rule"}
        assert set(outcome["variants"]) == {"paper_rule"}
        best = [path.name for path in (tmp_path / "attempt" / WORK).glob("best_*.pth")]
        assert sorted(name.rpartition("_epoch_")[0] for name in best) == [
            "best_inner_macro_f1",
            "best_paper_rule_macro_f1",
        ]

    def test_the_last_weights_are_scored_and_not_those_that_the_papers_rule_chose(
        self, toy_env: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scores = iter((0.9, 0.5, 0.1))  # the first epoch is best by the paper's rule
        metrics: dict[str, Any] = {}
        real = training.build_runner

        def spied(*args: Any, **more: Any) -> Any:
            metrics["paper"] = args[2].paper_rule
            compute = metrics["paper"].compute_metrics
            metrics["paper"].compute_metrics = lambda found: compute(found) | {"macro_f1": next(scores)}
            return real(*args, **more)

        with monkeypatch.context() as patched:
            patched.setattr("vidsuite_core.engine.cell.build_runner", spied)
            outcome = run_cell(toy_order(tmp_path, toy_config()), Reports())
        assert outcome["details"]["chosen"] == {"paper_rule": {"epoch": 1}}
        arrays = read_predictions(tmp_path / "attempt" / PREDICTIONS)
        assert not np.array_equal(arrays["prob"], arrays["prob@paper_rule"])
        plain = toy_config("paper_rule=None")
        (tmp_path / "again").mkdir()
        assert run_cell(toy_order(tmp_path / "again", plain), Reports())["status"] == "ok"
        again = read_predictions(tmp_path / "again" / "attempt" / PREDICTIONS)
        np.testing.assert_array_equal(again["sample_id"], arrays["sample_id"])
        assert not any("@" in name for name in again)
        np.testing.assert_allclose(again["prob"], arrays["prob"], atol=1e-6)

    def test_curves_of_a_validation_side_take_no_sample_from_training(self) -> None:
        from types import SimpleNamespace

        from vidsuite_core.engine.cell import _divide

        samples = [
            SimpleNamespace(id=s, subject=s, split=s.rstrip("0123")) for s in ("train0", "train1", "val0", "test0")
        ]
        key = {"protocol": {"type": "fixed", "version": 1}, "fold": "fixed", "seed": 0}
        found = [
            _divide(samples, {**key, "config": {"selection": "last", **more}}) for more in ({}, {"validate": True})
        ]
        assert [[sample.id for sample in part.inner] for part in found] == [[], ["val0"]]
        assert [[sample.id for sample in part.train] for part in found] == [["train0", "train1"]] * 2

    def test_a_rule_that_can_choose_nothing_fails_with_what_to_do(
        self, toy_env: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from vidsuite_core.tasks.clip_classification import ClipClassification

        score = ClipClassification.score
        monkeypatch.setattr(ClipClassification, "score", lambda *a: score(*a) | {"macro_f1": float("nan")})
        outcome = run_cell(toy_order(tmp_path, toy_config("selection=inner"), subjects=8), Reports())
        assert outcome["status"] == "failed"
        assert "no checkpoint was chosen by inner" in outcome["reason"]
        assert "use selection=last" in outcome["reason"]


class TestIterations:
    def test_checkpoints_choice_and_progress_count_iterations(self, toy_env: Any, tmp_path: Path, capfd: Any) -> None:
        reports = Reports()
        outcome = run_cell(toy_order(tmp_path, toy_config(*ITERATIONS)), reports)
        assert outcome["status"] == "ok", outcome["reason"]
        assert ("train", 7, 7) in reports
        work = tmp_path / "attempt" / WORK
        assert [path.name for path in work.glob("iter_*.pth")] == ["iter_6.pth"]
        (best,) = work.glob("best_paper_rule_macro_f1_iter_*.pth")
        assert outcome["details"]["chosen"] == {"paper_rule": {"iteration": int(best.stem.rpartition("_")[2])}}
        (tmp_path / LOG).write_text("".join(capfd.readouterr()))
        cell = SimpleNamespace(fold="0", seed=0)
        told = curves(SimpleNamespace(path=tmp_path, record=SimpleNamespace(cell=cell)))  # type: ignore[arg-type]
        (score,) = [curve for curve in told if curve.name == "val paper_rule/macro_f1"]
        assert [when for when, _ in score.points] == [2, 4, 6, 7]
        assert {curve.unit for curve in told} == {"iteration"}

    def test_an_interrupted_cell_goes_on_from_its_last_iteration(self, toy_env: Any, tmp_path: Path) -> None:
        short = [option.replace("max_iters=7", "max_iters=3") for option in ITERATIONS]
        assert run_cell(toy_order(tmp_path, toy_config(*short)), Reports())["status"] == "ok"
        assert (tmp_path / "attempt" / WORK / "iter_3.pth").is_file()
        reports = Reports()
        outcome = run_cell(toy_order(tmp_path, toy_config(*ITERATIONS)), reports)
        assert outcome["status"] == "ok", outcome["reason"]
        assert any("resumed from a checkpoint" in warning for warning in outcome["warnings"])
        assert min(done for what, done, total in reports if what == "train" and total) > 3

    def test_small_data_is_gone_through_again_and_again_without_a_pause(
        self, toy_env: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def sleep(seconds: float) -> None:
            raise AssertionError("mmengine waits where a loader ends")

        monkeypatch.setattr("mmengine.runner.loops.time.sleep", sleep)
        outcome = run_cell(toy_order(tmp_path, toy_config(*ITERATIONS)), Reports())
        assert outcome["status"] == "ok", outcome["reason"]
