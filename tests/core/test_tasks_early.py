"""`early_prediction`: points in time, curves, calibration, stopping, by hand and against the paper's own table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from sklearn import metrics
from test_tasks_other import early

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.samples import MomentsSample, Recording
from vidsuite_core.tasks.base import Task
from vidsuite_core.tasks.early_prediction import EarlyPrediction
from vidsuite_core.tasks.early_stopping import ALPHAS, RULES, costs, savings, stops
from vidsuite_core.tasks.early_times import timeline

TASK = EarlyPrediction(["poor", "good"])
PAPER = Path(__file__).parents[2] / "plugins" / "blastocyst_amsnet" / "paper.yaml"


def random_early(seed: int, count: int = 24, moments: int = 14, subjects: int = 8) -> dict[str, np.ndarray]:
    """Recordings that end one after another; some of each subject run to the end."""
    rng = np.random.default_rng(seed)
    length = np.where(np.arange(count) < subjects, moments, rng.integers(moments // 2, moments + 1, count))
    counts = np.arange(moments) < length[:, None]
    target = np.arange(count) // subjects % 2
    prob = np.clip(
        0.5 + (target[:, None] - 0.5) * np.linspace(0, 1, moments) + rng.normal(0, 0.3, (count, moments)), 0, 1
    )
    return early(target, counts, prob, subjects)


class TestPaper:
    @pytest.mark.parametrize("row", yaml.safe_load(PAPER.read_text())["rows"], ids=lambda row: row["ours"])
    def test_the_published_areas_follow_from_the_published_accuracies(self, row: dict[str, Any]) -> None:
        accuracies = [float(row["scores"][f"day_{day / 2:g}"]) for day in range(1, 15)]
        right = np.arange(10_000)[:, None] < np.round(np.array(accuracies) * 100)  # of 10,000 embryos
        arrays = early(np.ones(10_000, int), np.ones((10_000, 14)), np.where(right, 0.9, 0.1))
        assert TASK.details(arrays)["points"] == [12.0 * n for n in range(1, 15)]
        assert TASK.score(arrays)["accuracy_auc"] == pytest.approx(float(row["scores"]["accuracy_auc"]), abs=1e-4)

    def test_it_has_all_eleven_rows_as_the_paper_prints_them(self, shared: Path) -> None:
        text = (shared / "papers" / "blastocyst_amsnet.txt").read_text().split()
        rows = yaml.safe_load(PAPER.read_text())["rows"]
        assert len(rows) == 11
        for row in rows:
            printed = [row["scores"][f"day_{day / 2:g}"] for day in range(1, 15)] + [row["scores"]["accuracy_auc"]]
            assert any(text[place : place + 15] == printed for place in range(len(text)))

    def test_moments_of_six_hours_are_scored_at_half_days(self) -> None:
        """T = 28: the second moment of each half day stands for it."""
        right = np.zeros((10, 28), bool)
        right[:, 1::2] = True
        arrays = early(np.ones(10, int), np.ones((10, 28)), np.where(right, 0.9, 0.1), step=6)
        found = TASK.details(arrays)
        assert (found["points"][0], found["points"][-1], len(found["points"])) == (12, 168, 14)
        assert found["curve"] == [1] * 14
        assert TASK.score(arrays)["accuracy_auc"] == pytest.approx(13 / 14)


class TestPoints:
    def test_ended_recordings_leave_one_curve_and_stay_in_the_other(self) -> None:
        arrays = early(
            target=[1, 0, 1],
            counts=[[1, 1, 1], [1, 1, 0], [1, 0, 0]],
            prob=[[0.9, 0.4, 0.6], [0.6, 0.2, 0.9], [0.7, 0.0, 0.0]],
        )
        TASK.check(arrays)
        found = TASK.details(arrays)
        assert found["scored"] == [3, 2, 1]
        assert found["curve"] == pytest.approx([2 / 3, 1 / 2, 1])
        assert found["kept_curve"] == pytest.approx([2 / 3, 2 / 3, 1])  # the padded chances count nowhere
        scores = TASK.score(arrays)
        assert scores["accuracy_auc"] == pytest.approx(((2 / 3 + 1 / 2) / 2 + (1 / 2 + 1) / 2) / 3)
        assert scores["kept_accuracy"] == 1
        assert scores["brier"] == pytest.approx(np.mean([0.1**2, 0.6**2, 0.3**2, 0.6**2, 0.2**2, 0.4**2]))

    def test_short_clips_are_scored_in_shares(self) -> None:
        arrays = early([1, 0], np.ones((2, 4)), [[0.9] * 4, [0.6, 0.6, 0.1, 0.1]], step=1 / 3600)
        TASK.check(arrays)
        found = TASK.details(arrays)
        assert (found["unit"], found["points"]) == ("share of the clip", pytest.approx([0.25, 0.5, 0.75, 1]))
        scores = TASK.score(arrays)
        assert scores["time_to_accuracy"] == pytest.approx(0.75)
        assert (scores["roc_auc_1"], scores["roc_auc_3"]) == (1, 1)

    def test_hours_below_a_day_are_scored_at_each_moment(self) -> None:
        arrays = early([1, 0], np.ones((2, 3)), [[0.9] * 3] * 2, step=2)
        assert timeline(arrays).at.tolist() == [2, 4, 6]
        assert timeline(arrays).unit == "hours"

    @pytest.mark.parametrize("seed", range(3))
    def test_roc_and_calibration_are_those_of_others(self, seed: int) -> None:
        arrays = random_early(seed, count=200, subjects=40)
        scores, times = TASK.score(arrays), timeline(arrays)
        for name, hours in (("roc_auc_1", 72), ("roc_auc_2", 96), ("roc_auc_3", 120)):
            slot = times.slot[times.nearest(hours)]
            runs = arrays["counts"][:, slot]
            assert scores[name] == pytest.approx(
                metrics.roc_auc_score(arrays["target"][runs], arrays["prob"][runs, slot])
            )
        runs = arrays["counts"][:, times.slot]
        prob = arrays["prob"][:, times.slot][runs]
        target = np.broadcast_to(arrays["target"][:, None], runs.shape)[runs]
        assert scores["brier"] == pytest.approx(metrics.brier_score_loss(target, prob))
        bins = np.minimum((prob * 10).astype(int), 9)
        apart = [abs(prob[bins == b].mean() - target[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins)]
        assert scores["calibration_error"] == pytest.approx(sum(apart))

    @pytest.mark.parametrize("seed", range(3))
    def test_leaving_a_subject_out_is_scoring_the_others(self, seed: int) -> None:
        arrays = random_early(seed)
        TASK.check(arrays)
        names, found = TASK.leave_one_out(arrays)
        expected_names, expected = Task.leave_one_out(TASK, arrays)
        assert names.tolist() == expected_names.tolist()
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            assert found[name] == pytest.approx(values), name


class TestStopping:
    SURE = early([1, 0, 1, 0], np.ones((4, 4)), [[0.6, 0.9, 0.9, 0.9], [0.6, 0.6, 0.1, 0.1], [0.2] * 4, [0.1] * 4])

    def test_rules_stop_where_they_say(self) -> None:
        times = timeline(self.SURE)
        assert stops(self.SURE, times, "at a fixed time", 1).point.tolist() == [1, 1, 1, 1]
        confident = stops(self.SURE, times, "once confident", 0.85)
        assert confident.point.tolist() == [1, 2, 3, 0]
        assert confident.right.tolist() == [True, True, False, True]
        assert confident.spent.tolist() == [0.5, 0.75, 1, 0.25]
        assert stops(self.SURE, times, "once steady", 2).point.tolist() == [1, 1, 1, 1]
        assert confident.cost(0.4, np.ones(4, bool)) == pytest.approx(0.25 + 0.4 * 0.625)

    def test_a_recording_that_ends_stops_there(self) -> None:
        arrays = early([1, 0], [[1, 1, 1], [1, 0, 0]], [[0.6, 0.6, 0.9], [0.4, 0.0, 0.0]])
        found = stops(arrays, timeline(arrays), "once confident", 0.8)
        assert (found.point.tolist(), found.spent.tolist()) == ([2, 0], [1, 1])

    def test_costs_rise_with_alpha_from_the_error_on(self) -> None:
        found = costs(random_early(0, count=80, subjects=20), timeline(random_early(0, count=80, subjects=20)))
        assert set(found) == set(RULES)
        for values in found.values():
            assert len(values) == len(ALPHAS)
            assert values[0] < values[-1]

    def test_a_parameter_is_never_chosen_on_those_that_it_stops(self) -> None:
        """Where the halves want opposite parameters, both do badly."""
        early_half, late_half = [0.9, 0.1, 0.1, 0.1], [0.1, 0.9, 0.9, 0.9]
        arrays = early([1] * 8, np.ones((8, 4)), [early_half, late_half] * 4)
        found = costs(arrays, timeline(arrays))["at a fixed time"]
        assert found[0] == 1  # nobody is right at the other half's best time

    def test_what_giving_up_early_saves_and_loses(self) -> None:
        found = savings(self.SURE, timeline(self.SURE))
        assert found.given_up.tolist() == [0.5, 0.5, 0.75, 0.75]
        assert found.hours.tolist() == [0.5 * 36, 0.5 * 24, 0.75 * 12, 0]
        assert found.lost.tolist() == [0.5, 0.5, 0.5, 0.5]
        assert found.recall.tolist() == [0.5, 0.5, 0.5, 0.5]


class TestForm:
    def test_samples_and_outputs(self) -> None:
        footage = Recording(name="r", subject="s", planes=(Path("r.mp4"),), frames=24, fps=1 / 3600, content="")
        sample = MomentsSample(id="x", footage=footage, label=1, moments=((0, 6), (6, 12), (24, 24)))
        found = TASK.targets([sample])
        assert found["counts"].tolist() == [[True, True, False]]
        assert found["time"].tolist()[0][:2] == [5, 11]
        assert np.isnan(found["time"][0, 2])
        assert found["whole"].tolist() == [23]
        assert TASK.predictions([{"pred_score": [0.5, 1]}])["prob"].tolist() == [[0.5, 1.0]]

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("target", np.array([0, 2])),
            ("target", np.array([0, -1])),
            ("prob", np.array([[0.5, 1.1]] * 2)),
            ("prob", np.array([[np.nan, 1]] * 2)),
            ("prob", np.array([[0.5]] * 2)),
            ("prob", np.full((2, 3), 0.5)),
            ("counts", np.ones((2, 2), int)),
            ("counts", np.ones((3, 2), bool)),
            ("counts", np.array([[True, True], [False, False]])),
            ("time", np.array([[12.0, np.nan]] * 2)),
            ("time", np.array([[24.0, 12.0]] * 2)),
            ("time", np.array([[-1.0, 12.0]] * 2)),
            ("time", np.array([[12.0, 50.0]] * 2)),
            ("whole", np.array([24.0, 0.0])),
            ("whole", np.array([24.0, np.inf])),
        ],
    )
    def test_arrays_of_another_form_are_refused(self, name: str, value: np.ndarray) -> None:
        good = early([1, 0], np.ones((2, 2)), [[0.9, 0.9]] * 2)
        TASK.check(good)
        with pytest.raises(VidsuiteError, match="predictions"):
            TASK.check({**good, name: value})

    def test_what_is_shown(self) -> None:
        found = {one.name: one for one in TASK.shown([random_early(0), random_early(1)])}
        assert set(found) == {"over-time", "stopping", "roc", "points"}
        assert [name for name, _ in found["over-time"].lines] == ["those that run", "ended ones kept"]
        assert [name for name, _ in found["roc"].lines] == ["day 3", "day 4", "day 5"]
        assert len(found["points"].rows) == 14
        assert all(len(row) == len(found["points"].columns) for row in found["points"].rows)
