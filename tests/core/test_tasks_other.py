"""`early_prediction` by hand and against references, and hostile arrays for every task."""

from __future__ import annotations

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


def early(target: Any, counts: Any, prob: Any, subjects: int | None = None, step: float = 12.0) -> Arrays:
    """Stored arrays of `early_prediction`; moments `step` hours apart."""
    counts = np.array(counts, bool)
    time = np.where(counts, step * np.arange(1, counts.shape[1] + 1), np.nan)
    columns = {"target": np.array(target), "counts": counts, "prob": np.array(prob, float)}
    return {**names(len(target), subjects), **columns, "time": time, "whole": np.nanmax(time, axis=1)}


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
