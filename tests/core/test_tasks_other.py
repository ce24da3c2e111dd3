"""`early_prediction` by hand and against references, and hostile arrays for every task."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from detection_frames import names, random_detections
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from segmentation_frames import random_arrays

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.tasks.action_detection import ActionDetection
from vidsuite_core.tasks.base import Task
from vidsuite_core.tasks.clip_classification import ClipClassification
from vidsuite_core.tasks.early_prediction import EarlyPrediction
from vidsuite_core.tasks.video_segmentation import VideoSegmentation

Arrays = dict[str, np.ndarray]


def early(target: Any, counts: Any, prob: Any, subjects: int | None = None) -> Arrays:
    columns = {"target": np.array(target), "counts": np.array(counts, bool), "prob": np.array(prob, float)}
    return {**names(len(target), subjects), **columns}


class TestEarlyPrediction:
    TASK = EarlyPrediction(["poor", "good"])

    def test_by_hand(self) -> None:
        arrays = early(
            target=[1, 0, 1, 0],
            counts=[[1, 1, 1], [1, 1, 1], [1, 1, 0], [0, 1, 1]],
            prob=[[0.9, 0.4, 0.6], [0.6, 0.2, 0.1], [0.7, 0.8, 0.0], [0.9, 0.3, 0.5]],
        )
        self.TASK.check(arrays)
        curve = [2 / 3, 3 / 4, 3 / 3]  # right of those that count; 0.5 is not above the threshold
        assert self.TASK.details(arrays)["curve"] == pytest.approx(curve)
        area = ((curve[0] + curve[1]) / 2 + (curve[1] + curve[2]) / 2) / 3
        assert self.TASK.score(arrays) == pytest.approx({"accuracy_auc": area, "final_accuracy": 1.0})

    def test_perfect_predictions_score_one_moment_less_than_all(self) -> None:
        arrays = early([1, 0], np.ones((2, 14)), [[0.9] * 14, [0.1] * 14])
        assert self.TASK.score(arrays)["accuracy_auc"] == pytest.approx(13 / 14)

    def test_it_reproduces_the_published_areas_from_the_published_accuracies(self, shared: Path) -> None:
        text = (shared / "papers" / "blastocyst_amsnet.txt").read_text()
        rows = [[float(n) for n in re.findall(r"\d+\.\d+", line)] for line in text.splitlines()]
        table = [row for row in rows if len(row) == 15 and row[13] == 100 and row[14] < 1]
        assert len(table) == 11
        for *accuracies, area in table:
            right = np.arange(10_000)[:, None] < np.round(np.array(accuracies) * 100)  # of 10,000 embryos
            arrays = early(np.ones(10_000, int), np.ones((10_000, 14)), np.where(right, 0.9, 0.1))
            assert self.TASK.score(arrays)["accuracy_auc"] == pytest.approx(area, abs=1e-4)

    def test_a_moment_at_which_no_sample_counts_leaves_the_area_undefined(self) -> None:
        arrays = early([1, 0], [[1, 0, 1], [1, 0, 1]], [[0.9, 0.9, 0.9], [0.1, 0.1, 0.9]])
        found = self.TASK.score(arrays)
        assert np.isnan(found["accuracy_auc"])
        assert found["final_accuracy"] == 0.5
        assert self.TASK.details(arrays)["curve"] == [1.0, None, 0.5]
        last = early([1, 0], [[1, 1, 0], [1, 1, 0]], [[0.9, 0.9, 0.9]] * 2)
        assert np.isnan(self.TASK.score(last)["final_accuracy"])
        assert np.isnan(self.TASK.leave_one_out(last)[1]["accuracy_auc"]).all()

    def test_leaving_a_subject_out_is_scoring_the_others(self) -> None:
        rng = np.random.default_rng(0)
        arrays = early(np.arange(24) % 2, rng.random((24, 5)) < 0.9, rng.random((24, 5)), subjects=8)
        names, found = self.TASK.leave_one_out(arrays)
        expected_names, expected = Task.leave_one_out(self.TASK, arrays)
        assert names.tolist() == expected_names.tolist()
        for name, values in expected.items():
            assert found[name] == pytest.approx(values), name

    def test_samples_and_outputs(self) -> None:
        samples = [SimpleNamespace(label=1, counts=[True, False]), SimpleNamespace(label=0, counts=[True, True])]
        assert self.TASK.targets(samples)["counts"].tolist() == [[True, False], [True, True]]
        assert self.TASK.predictions([{"pred_score": [0.5, 1]}])["prob"].tolist() == [[0.5, 1.0]]

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
        ],
    )
    def test_arrays_of_another_form_are_refused(self, name: str, value: np.ndarray) -> None:
        good = early([1, 0], np.ones((2, 2)), [[0.9, 0.9]] * 2)
        self.TASK.check(good)
        with pytest.raises(VidsuiteError, match="predictions"):
            self.TASK.check({**good, name: value})


CASES: dict[str, tuple[Task, Arrays]] = {
    "clip_classification": (
        ClipClassification(["a", "b"]),
        {**names(4), "target": np.arange(4) % 2, "prob": np.full((4, 2), 0.5)},
    ),
    "early_prediction": (
        EarlyPrediction(["a", "b"]),
        early([0, 1, 0, 1], np.ones((4, 3)), np.full((4, 3), 0.5), subjects=2),
    ),
    "action_detection": (ActionDetection(["a", "b", "c"]), random_detections(0, frames=4)),
    "video_segmentation": (VideoSegmentation(list("abcd")), random_arrays(0, sequences=2, length=2)),
}
DTYPES = npst.boolean_dtypes() | npst.integer_dtypes() | npst.unsigned_integer_dtypes() | npst.floating_dtypes()
ANY_DTYPE = DTYPES | npst.unicode_string_dtypes(max_len=3) | npst.byte_string_dtypes(max_len=3)


@pytest.mark.parametrize("case", CASES)
@settings(max_examples=60)
@given(st.data())
def test_a_hostile_array_is_refused_or_can_be_scored(case: str, data: st.DataObject) -> None:
    task, good = CASES[case]
    name = data.draw(st.sampled_from(sorted(good)))
    shapes = st.just(good[name].shape) | npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)
    dtype = data.draw(ANY_DTYPE | st.just(good[name].dtype))
    arrays = {**good, name: data.draw(npst.arrays(dtype, data.draw(shapes)))}
    try:
        task.check(arrays)
    except VidsuiteError:
        return
    with np.errstate(over="ignore", invalid="ignore"):  # boxes of 1e38 pixels
        assert all(isinstance(value, float) for value in task.score(arrays).values())
        names, found = task.leave_one_out(arrays)
        assert all(values.shape == names.shape for values in found.values())
        assert task.select(arrays, arrays["subject"][:1].tolist())["sample_id"].size
        task.truth(arrays)
        task.class_use(arrays)
