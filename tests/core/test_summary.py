"""Leaderboard rows from stored predictions: spreads, intervals, order, and what is left out and why."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from helpers import CODE, SOFTWARE, clip_arrays, core_suite, keep, make_cell
from summed import EFFICIENCY, change, everything, put, rows, score

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.results import summary
from vidsuite_core.results.store import Store
from vidsuite_core.results.summary import Row, first_mean, measured_rows, reported_rows
from vidsuite_core.specs import BenchmarkSpec, TaskSpec
from vidsuite_core.suite import BenchmarkHandle, Catalogue, Suite, TaskHandle
from vidsuite_core.tasks.base import ScoreInfo
from vidsuite_core.tasks.clip_classification import ClipClassification


@pytest.fixture(scope="module")
def suite() -> Suite:
    return core_suite()


@pytest.fixture
def runs(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


class TestRows:
    def test_a_row_is_the_mean_and_spread_over_folds(self, suite: Suite, runs: Store) -> None:
        put(runs, folds=3, efficiency=EFFICIENCY, warnings=["random weights"])
        (row,) = rows(suite, runs)
        values = [ClipClassification("ab").score(clip_arrays(str(n)))["macro_f1"] for n in range(3)]
        assert score(row).values == pytest.approx(values)
        assert score(row).mean == pytest.approx(np.mean(values))
        assert score(row).sd == pytest.approx(statistics.stdev(values))
        assert (row.done, row.expected, row.problems) == (3, 3, ())
        assert (row.model, row.status, row.dataset, row.preset) == ("paper/lstm", "measured", "paper/ward", "quick")
        assert (row.parameters, row.flops, row.throughput, row.path) == (1000, 2e9, 10.0, "fp32")
        assert row.notes == ("random weights",)
        low, high = score(row).interval or (0, 0)
        assert low < score(row).mean < high
        assert score(row, "accuracy").interval is None

    def test_one_cell_has_no_spread(self, suite: Suite, runs: Store) -> None:
        put(runs, folds=1)
        assert score(rows(suite, runs)[0]).sd is None

    def test_seeds_multiply_the_cells_that_are_expected(self, suite: Suite, runs: Store) -> None:
        put(runs, seed=0)
        put(runs, seed=1)
        (row,) = rows(suite, runs)
        assert (row.done, row.expected, len(score(row).values)) == (4, 4, 4)

    def test_a_missing_fold_makes_a_row_incomplete(self, suite: Suite, runs: Store) -> None:
        keep(runs, make_cell(fold="0", folds=5), clip_arrays())
        (row,) = rows(suite, runs)
        assert (row.done, row.expected) == (1, 5)

    def test_a_failed_fold_is_named_with_its_reason(self, suite: Suite, runs: Store) -> None:
        keep(runs, make_cell(fold="0"), clip_arrays())
        keep(runs, make_cell(fold="1"), status="timeout", reason="not finished after 9 s")
        (row,) = rows(suite, runs)
        assert row.problems == ("fold 1, seed 0: timeout: not finished after 9 s",)
        assert (row.done, row.expected) == (1, 2)

    def test_a_model_of_which_every_cell_failed_is_a_row_without_scores(self, suite: Suite, runs: Store) -> None:
        keep(runs, make_cell(fold="0"), status="failed", reason="r")
        (row,) = rows(suite, runs)
        assert (row.scores, row.done, row.expected) == ({}, 0, 2)
        assert first_mean(row, "macro_f1") == float("-inf")

    def test_the_newest_good_attempt_counts_and_the_newest_if_none_is_good(self, suite: Suite, runs: Store) -> None:
        cell = make_cell(folds=1)
        keep(runs, cell, clip_arrays(skill=0.5))
        keep(runs, cell, clip_arrays(skill=1.0))
        keep(runs, cell, status="failed", reason="later, and no good")
        (row,) = rows(suite, runs)
        assert (score(row).mean, row.problems) == (1.0, ())
        other = make_cell("paper/other", folds=1)
        for reason in ("first", "second"):
            keep(runs, other, status="failed", reason=reason)
        assert rows(suite, runs)[1].problems == ("fold 0, seed 0: failed: second",)

    @pytest.mark.parametrize(
        "other", [{"config": {"lr": 0.2}}, {"device": "cuda: H200"}, {"count": 2}, {"dataset": "paper/other"}]
    )
    def test_what_differs_in_config_device_or_data_is_not_averaged(
        self, suite: Suite, runs: Store, other: dict[str, Any]
    ) -> None:
        put(runs)
        put(runs, **other)
        found = rows(suite, runs)
        assert [(row.done, row.expected) for row in found] == [(2, 2), (2, 2)]
        assert len({(row.config, row.device, row.dataset) for row in found}) == 2

    def test_two_gpus_are_named_as_two(self, suite: Suite, runs: Store) -> None:
        put(runs, device="cuda: H200", count=2)
        assert rows(suite, runs)[0].device == "2 x cuda: H200"

    def test_variants_follow_their_row_with_counts_of_their_own(self, suite: Suite, runs: Store) -> None:
        for fold, variant in (("0", True), ("1", False)):
            arrays = clip_arrays(fold, skill=0.5)
            if variant:
                arrays["prob@last"] = clip_arrays(fold, skill=1.0)["prob"]
            keep(runs, make_cell(fold=fold), arrays)
        put(runs, "paper/better", skill=1.0)
        best, main, last = rows(suite, runs)
        assert [row.model for row in (best, main, last)] == ["paper/better", "paper/lstm", "paper/lstm"]
        assert [row.variant for row in (best, main, last)] == ["", "", "last"]
        assert (main.done, last.done, score(last).mean) == (2, 1, 1.0)

    def test_a_score_that_is_not_defined_in_some_folds_says_so(self, suite: Suite, runs: Store) -> None:
        keep(runs, make_cell(fold="0"), clip_arrays("0"))
        one_class = {name: value[:3] for name, value in clip_arrays("1").items()}
        keep(runs, make_cell(fold="1"), one_class)
        (row,) = rows(suite, runs)
        assert len(score(row, "auc").values) == 1
        assert row.notes == ("auc is the mean of the 1 cells of 2 where it is defined",)
        assert row.done == 2

    def test_cells_run_by_different_code_or_libraries_are_noted(self, suite: Suite, runs: Store) -> None:
        note = "its cells were run by different versions of the code or libraries"
        for number, other in enumerate(
            ({}, {"software": {**SOFTWARE, "torch": "3"}}, {"code": {"core": {"sources": "x"}}})
        ):
            model = f"paper/m{number}"
            keep(runs, make_cell(model, "0"), clip_arrays("0"))
            keep(runs, make_cell(model, "1"), clip_arrays("1"), **other)
        found = {row.model: row.notes for row in rows(suite, runs)}
        assert found == {"paper/m0": (), "paper/m1": (note,), "paper/m2": (note,)}
        moved = {"core": {**CODE["core"], "commit": "another checkout of the same sources"}}
        keep(runs, make_cell("paper/m0", "1"), clip_arrays("1"), code=moved)
        assert {row.model: row.notes for row in rows(suite, runs)}["paper/m0"] == ()


class TestOrder:
    def test_the_best_comes_first_and_what_cannot_be_told_from_it_is_marked(self, suite: Suite, runs: Store) -> None:
        put(runs, "paper/bad", skill=0.2)
        put(runs, "paper/best", skill=0.95)
        put(runs, "paper/alike", skill=0.9, draw=1)  # wrong about other clips
        found = rows(suite, runs)
        assert [row.model for row in found] == ["paper/best", "paper/alike", "paper/bad"]
        assert [row.indistinct for row in found] == [False, True, False]

    def test_the_same_predictions_cannot_be_told_apart(self, suite: Suite, runs: Store) -> None:
        put(runs, "paper/one")
        put(runs, "paper/two")
        assert [row.indistinct for row in rows(suite, runs)] == [False, True]

    def test_an_incomplete_row_comes_after_complete_ones_however_good(self, suite: Suite, runs: Store) -> None:
        put(runs, "paper/whole", skill=0.5)
        keep(runs, make_cell("paper/lucky", "0"), clip_arrays("0", skill=1.0))
        keep(runs, make_cell("paper/hopeless", "0"), status="failed", reason="r")
        assert [row.model for row in rows(suite, runs)] == ["paper/whole", "paper/lucky", "paper/hopeless"]

    def test_rows_of_other_folds_or_subjects_are_not_compared(self, suite: Suite, runs: Store) -> None:
        keep(runs, make_cell("paper/a", "0"), clip_arrays("0"))
        keep(runs, make_cell("paper/b", "1"), clip_arrays("1"))
        assert [row.indistinct for row in rows(suite, runs)] == [False, False]

    def test_tables_are_kept_apart(self, suite: Suite, runs: Store) -> None:
        put(runs, "paper/a", skill=0.5)
        put(runs, "paper/a", skill=0.9, dataset="paper/other")
        put(runs, "paper/b", skill=0.9)
        found = [(row.dataset, row.model, row.indistinct) for row in rows(suite, runs)]
        assert found == [
            ("paper/other", "paper/a", False),
            ("paper/ward", "paper/b", False),
            ("paper/ward", "paper/a", False),
        ]

    def test_a_first_score_of_which_less_is_better_turns_the_order(self, suite: Suite, runs: Store) -> None:
        put(runs, "paper/small", skill=0.3)
        put(runs, "paper/large", skill=0.9)
        spec = TaskSpec(name="clip_classification", summary="", builder=f"{__name__}:LessIsBetter")
        turned = core_suite()
        turned.tasks = Catalogue("task", [TaskHandle("core", spec)])
        assert [row.model for row in rows(turned, runs)] == ["paper/small", "paper/large"]

    def test_the_order_of_attempts_does_not_matter(self, suite: Suite, runs: Store) -> None:
        for number in range(4):
            put(runs, f"paper/m{number}", skill=0.3 + number / 5)
        found = measured_rows(suite, everything(runs))
        assert measured_rows(suite, everything(runs)[::-1]) == found


class LessIsBetter(ClipClassification):
    """The same scores, to be small."""

    scores = tuple(ScoreInfo(s.name, s.title, direction="lower") for s in ClipClassification.scores)


class TestReported:
    def of(self, tmp_path: Path, text: str) -> list[Row]:
        reported = tmp_path / "paper.yaml"
        reported.write_text(text)
        spec = BenchmarkSpec(name="bench", summary="", task="t", definition=tmp_path, reported=reported)
        suite = core_suite()
        suite.benchmarks = Catalogue("benchmark", [BenchmarkHandle("paper", spec)])
        return reported_rows(suite, "bench")

    def test_rows_are_as_printed(self, tmp_path: Path) -> None:
        text = "rows: [{model: LSTM, source: Table 2, note: '-', scores: {macro_f1: 0.76 ± 0.06, auc: 0.80}}]"
        (row,) = self.of(tmp_path, text)
        assert (row.model, row.status, row.benchmark, row.notes) == ("LSTM", "reported", "paper/bench", ("Table 2",))
        assert row.scores == {"macro_f1": "0.76 ± 0.06", "auc": "0.8"}

    @pytest.mark.parametrize("text", ["rows: [5]", "rows: [{model: x}]", "rows: [{scores: {a: 1}}]", "rows: 5", "[]"])
    def test_rows_of_another_form_are_an_error_that_names_the_file(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(VidsuiteError, match=r"paper\.yaml"):
            self.of(tmp_path, text)

    def test_a_benchmark_without_a_paper_reports_nothing(self, tmp_path: Path) -> None:
        suite = core_suite()
        spec = BenchmarkSpec(name="bench", summary="", task="t", definition=tmp_path)
        suite.benchmarks = Catalogue("benchmark", [BenchmarkHandle("paper", spec)])
        assert reported_rows(suite, "paper/bench") == []


class TestIncomplete:
    def test_one_fold_of_one_seed_and_few_subjects_make_an_incomplete_row(self, suite: Suite, runs: Store) -> None:
        """Seed 0 has two folds, seed 1 one, and folds have one to three subjects."""
        for fold, seed, subjects in (("0", 0, 3), ("1", 0, 1), ("0", 1, 3)):
            keep(runs, make_cell(fold=fold, seed=seed), clip_arrays(fold, seed=seed, subjects=subjects))
        keep(runs, make_cell(fold="1", seed=1), status="failed", reason="r")
        (row,) = rows(suite, runs)
        assert (row.done, row.expected, row.subjects, row.seeds) == (3, 4, 4, 2)
        assert {"macro_f1", "precision", "recall"} <= row.scores.keys()

    def test_leaving_one_subject_out_at_a_time_has_an_interval(self, suite: Suite, runs: Store) -> None:
        for fold in "abcdef":
            keep(runs, make_cell(fold=fold, folds=6), one_subject(fold, skill=0.7))
        (row,) = rows(suite, runs)
        low, high = score(row).interval or (0, 0)
        assert low < score(row).mean < high
        assert (row.rank, row.subjects) == (1, 6)


def one_subject(name: str, skill: float = 0.8) -> dict[str, np.ndarray]:
    arrays = clip_arrays(name, skill)
    return {**arrays, "subject": np.full(len(arrays["subject"]), name)}


class TestPlaces:
    def test_few_subjects_have_no_rank_and_say_why(self, suite: Suite, runs: Store) -> None:
        for model, skill in (("paper/a", 0.9), ("paper/b", 0.5)):
            keep(runs, make_cell(model, folds=1), clip_arrays(skill=skill, subjects=4))
        found = rows(suite, runs)
        assert [(row.model, row.rank, row.indistinct) for row in found] == [
            ("paper/a", None, False),
            ("paper/b", None, False),
        ]
        assert {row.reason for row in found} == {"no ranks: 4 subjects scored, and a test needs 5"}

    def test_rows_are_ranked_where_a_test_can_be_made(self, suite: Suite, runs: Store) -> None:
        put(runs, "paper/bad", skill=0.2)
        put(runs, "paper/best", skill=0.95)
        put(runs, "paper/alike", skill=0.9, draw=1)
        assert [(row.rank, row.tied) for row in rows(suite, runs)] == [(1, True), (1, True), (3, False)]

    def test_a_row_that_is_not_above_the_floor_says_so(self, suite: Suite, runs: Store) -> None:
        put(runs, "core/prior", skill=0.5)
        put(runs, "paper/good", skill=1.0)
        put(runs, "paper/guess", skill=0.55, draw=1)
        found = {row.model: (row.above_floor, row.floor) for row in rows(suite, runs)}
        assert found == {"core/prior": (None, True), "paper/good": (True, False), "paper/guess": (False, False)}

    @pytest.mark.parametrize(
        "other",
        [
            lambda arrays: {**arrays, "target": 1 - arrays["target"]},
            lambda arrays: {**arrays, "subject": np.roll(arrays["subject"], 1)},
            lambda arrays: {name: value[:-3] for name, value in arrays.items()},
        ],
    )
    def test_rows_of_other_targets_or_samples_hold_no_rank(
        self, suite: Suite, runs: Store, other: Callable[[Any], Any]
    ) -> None:
        for model in ("paper/a", "paper/b"):
            keep(runs, make_cell(model, folds=1), clip_arrays(skill=0.5))
        keep(runs, make_cell("paper/other", folds=1), other(clip_arrays(skill=0.9)))
        found = {row.model: (row.rank, row.reason) for row in rows(suite, runs)}
        assert (found["paper/a"][0], found["paper/b"][0]) == (1, 1)
        assert found["paper/other"][0] is None
        assert "its frame size, classes, folds or true targets are not those" in found["paper/other"][1]

    def test_rows_of_other_classes_hold_no_rank(self, suite: Suite, runs: Store) -> None:
        for model in ("paper/a", "paper/b"):
            keep(runs, make_cell(model, folds=1), clip_arrays(skill=0.5))
        keep(runs, make_cell("paper/other", folds=1), clip_arrays(skill=0.9), classes=["temporal", "other"])
        assert {row.model: row.rank for row in rows(suite, runs)}["paper/other"] is None

    def test_the_order_of_samples_and_the_types_of_numbers_make_no_difference(self, suite: Suite, runs: Store) -> None:
        arrays = clip_arrays(skill=0.7)
        turned = {name: value[::-1] for name, value in arrays.items()}
        keep(runs, make_cell("paper/a", folds=1), arrays)
        keep(runs, make_cell("paper/b", folds=1), {**turned, "target": turned["target"].astype("u1")})
        assert [row.rank for row in rows(suite, runs)] == [1, 1]

    def test_a_row_that_uses_hardly_any_class_says_so(self, suite: Suite, runs: Store) -> None:
        arrays = clip_arrays(skill=0.9)
        keep(runs, make_cell("paper/a", folds=1), arrays)
        keep(runs, make_cell("paper/one", folds=1), {**arrays, "prob": np.tile([0.8, 0.2], (len(arrays["prob"]), 1))})
        assert {row.model: (row.used, row.few_classes) for row in rows(suite, runs)} == {
            "paper/a": ((2, 2), False),
            "paper/one": ((1, 2), True),
        }


class TestPaperRule:
    """Records of older versions keep the epoch chosen on the scored samples under no name."""

    CHOSEN: ClassVar = {"selection": "best_on_test"}

    def test_the_last_epoch_counts_and_the_chosen_one_stands_beside(self, suite: Suite, runs: Store) -> None:
        for fold in "01":
            arrays = clip_arrays(fold, skill=1.0) | {"prob@last": clip_arrays(fold, skill=0.7)["prob"]}
            keep(runs, make_cell(fold=fold, config=self.CHOSEN), arrays, details={"chosen_epoch": 3})
        put(runs, "paper/other", skill=0.9)
        other, main, rule = rows(suite, runs)
        assert (other.model, main.variant, rule.variant) == ("paper/other", "", "paper_rule")
        assert score(rule).mean == 1.0 > score(main).mean
        assert (main.selection, rule.rank, main.rank is not None) == ("last", None, True)

    def test_without_the_last_epoch_there_is_no_rank(self, suite: Suite, runs: Store) -> None:
        put(runs, config=self.CHOSEN, details={"chosen_epoch": 3})
        (row,) = rows(suite, runs)
        assert (row.rank, row.reason) == (None, summary.CHOSEN_ON_TEST)

    def test_a_method_without_epochs_had_no_choice(self, suite: Suite, runs: Store) -> None:
        put(runs, config=self.CHOSEN, details={"chosen_epoch": None})
        (row,) = rows(suite, runs)
        assert (row.rank, row.reason, row.selection) == (1, "", "")

    def test_newer_records_name_the_papers_choice(self, suite: Suite, runs: Store) -> None:
        for fold in "01":
            arrays = clip_arrays(fold, skill=0.7) | {"prob@paper_rule": clip_arrays(fold, skill=1.0)["prob"]}
            keep(runs, make_cell(fold=fold, config={"selection": "inner"}), arrays)
        main, rule = rows(suite, runs)
        assert (main.variant, rule.variant, rule.rank) == ("", "paper_rule", None)
        assert score(rule).mean > score(main).mean


def test_an_older_attempt_counts_where_the_newest_does_not_hold(suite: Suite, runs: Store) -> None:
    cell = make_cell(folds=1)
    keep(runs, cell, clip_arrays(skill=0.7))
    (whole,) = rows(suite, runs)
    broken = keep(runs, cell, clip_arrays(skill=1.0))
    change(broken, scores={})
    (row,) = rows(suite, runs)
    assert (score(row).mean, row.problems) == (score(whole).mean, ())
