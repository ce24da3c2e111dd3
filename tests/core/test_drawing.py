"""What tasks draw of samples and streams."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.samples import ClipSample, KeyFrameSample, MomentsSample, Recording
from vidsuite_core.tasks.action_detection import ActionDetection
from vidsuite_core.tasks.clip_classification import ClipClassification
from vidsuite_core.tasks.drawing import WIDTH, chances
from vidsuite_core.tasks.early_prediction import EarlyPrediction
from vidsuite_core.tasks.video_segmentation import VideoSegmentation

RED, BLUE = (200, 20, 20), (20, 20, 200)
PALETTE = (RED, BLUE)


def recording(**more: Any) -> Recording:
    """Dark frames of 120 x 80 pixels."""
    pixels = np.full((20, 80, 120, 1), 40, np.uint8)
    return Recording(name="r", subject="s", planes=(pixels,), frames=20, fps=10, content="c", **more)


def share(picture: np.ndarray, colour: tuple[int, int, int]) -> float:
    return float((np.abs(picture.astype(int) - colour).max(axis=2) < 30).mean())


def test_a_bar_is_divided_by_chances_with_the_true_class_marked() -> None:
    bar = chances(np.array([0.25, 0.75]), PALETTE, 200, true=1)
    assert (bar[-1, :50] == RED).all()
    assert (bar[-1, 50:] == BLUE).all()
    assert (bar[0, 50:] == 255).all()
    assert (bar[0, :50] == RED).all()


def test_a_clip_is_frames_with_regions_over_the_chances() -> None:
    task = ClipClassification(["a", "b"])
    arrays = {"sample_id": np.array(["x"]), "prob": np.array([[0.25, 0.75]])}
    sample = ClipSample(id="x", footage=recording(regions={"bed": (20, 20, 100, 60)}), label=1, start=0, stop=20)
    picture = task.draw(sample, task.prediction(arrays, 0), PALETTE)
    assert picture.shape[1] <= WIDTH
    assert share(picture[:-10], (240, 228, 66)) > 0.005
    assert share(picture[-2:], RED) == pytest.approx(0.25, abs=0.01)


def test_moments_show_their_hours_and_chances() -> None:
    task = EarlyPrediction(["a", "b"])
    arrays = {"sample_id": np.array(["x"]), "target": np.array([1]), "prob": np.array([[0.1, 0.5, 0.9]])}
    sample = MomentsSample(id="x", footage=recording(), label=1, moments=((0, 5), (5, 20), (20, 20)))
    picture = task.draw(sample, task.prediction(arrays, 0), PALETTE)
    left, right = picture[-2:, : picture.shape[1] // 2], picture[-2:, picture.shape[1] // 2 :]
    assert share(left, BLUE) == pytest.approx(0.1, abs=0.03)
    assert share(right, BLUE) == pytest.approx(0.5, abs=0.03)  # the padded moment is not drawn


def test_boxes_are_drawn_where_they_are_and_only_confident_ones() -> None:
    task = ActionDetection(["walk", "run"])
    arrays = {
        "sample_id": np.array(["w", "x"]), "subject": np.array(["s", "s"]), "recording": np.array(["r", "r"]),
        "position": np.array([18, 19]), "size": np.zeros((2, 2), int), "true_offset": np.array([0, 0, 1]),
        "true_box": np.array([[10, 10, 50, 70]]), "true_class": np.array([0]), "offset": np.array([0, 1, 3]),
        "box": np.array([[0, 0, 9, 9], [60, 20, 110, 70], [5, 5, 9, 9]]),
        "score": np.array([0.9, 0.8, 0.1]), "class": np.array([0, 1, 0]),
    }  # fmt: skip
    prediction = task.prediction(arrays, 1)
    assert prediction["class"].tolist() == [1, 0]
    sample = KeyFrameSample(id="x", footage=recording(), index=19, boxes=((10, 10, 50, 70),), classes=(0,))
    picture = task.draw(sample, prediction, PALETTE)
    assert picture.shape == (320, 480, 3)
    assert share(picture[40:41, 44:196], (255, 255, 255)) == 1  # four times as large
    assert share(picture[84:276, 240:241], BLUE) == 1
    assert share(picture, RED) == 0
    frame = np.full((80, 120, 3), 40, np.uint8)
    drawn = task.draw_on(frame, prediction, PALETTE, 0.5)
    assert drawn.shape == frame.shape
    assert share(drawn[20:70, 60:61], BLUE) == 1
    assert (frame == 40).all()


@pytest.mark.parametrize(
    ("task", "prediction"),
    [
        (ClipClassification(["a", "b"]), {"prob": np.array([0.5, 0.5])}),
        (EarlyPrediction(["a", "b"]), {"prob": np.array([0.2, 0.5])}),
        (
            VideoSegmentation(["a", "b"]),
            {"labels": np.repeat([[0, 1]], 60, axis=1).repeat(80, axis=0).astype(np.uint8)},
        ),
    ],
)
def test_a_frame_of_a_stream_keeps_its_size_and_shows_both_classes(task: Any, prediction: Any) -> None:
    frame = np.full((80, 120, 3), 40, np.uint8)
    drawn = task.draw_on(frame, prediction, PALETTE, 1.0)
    assert drawn.shape == frame.shape
    assert (frame == 40).all()
    assert share(drawn[-3:], RED) == pytest.approx(0.5, abs=0.02)
    assert share(drawn[-3:], BLUE) == pytest.approx(0.5, abs=0.02)


def test_label_maps_that_were_not_kept_are_asked_for() -> None:
    with pytest.raises(VidsuiteError, match="run with --keep outputs"):
        VideoSegmentation(["a"]).prediction({"sample_id": np.array(["x"])}, 0)
