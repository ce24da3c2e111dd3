"""`video_segmentation`: scores by hand and against mmsegmentation, stored arrays from strangers, resampling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from detection_frames import names
from segmentation_frames import arrays_of, frame, random_arrays, random_maps

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.samples import FrameSample, Recording
from vidsuite_core.tasks.base import Task
from vidsuite_core.tasks.segmentation_counts import centres
from vidsuite_core.tasks.segmentation_reducer import LAGS
from vidsuite_core.tasks.video_segmentation import MAX_PIXELS, VideoSegmentation

TASK = VideoSegmentation(["road", "car", "sky"])
NEARLY = 2.0 * 0.9 * 0.8 / (0.9 + 0.8)  # F1 of a precision of 0.9 and a recall of 0.8


def test_overlap_by_hand() -> None:
    first = frame("a", 0, true=[[0, 0, 0], [0, 0, 1], [1, 1, 255]], found=[[0, 0, 0], [0, 1, 1], [1, 0, 2]])
    second = frame("b", 0, true=[[0, 0], [255, 255]], found=[[0, 0], [1, 2]])
    arrays = arrays_of(TASK, [first, second])
    TASK.check(arrays)
    assert arrays["confusion"].tolist() == [[[4, 1, 0], [1, 2, 0], [0, 0, 0]], [[2, 0, 0], [0, 0, 0], [0, 0, 0]]]
    scores = TASK.score(arrays)
    assert scores["miou"] == pytest.approx((6 / 8 + 2 / 4) / 2)
    assert scores["image_miou"] == pytest.approx(((4 / 6 + 2 / 4) / 2 + 1) / 2)  # absent classes are left out
    assert scores["image_micro_iou"] == pytest.approx((6 / (8 + 8 - 6) + 1) / 2)
    assert scores["pixel_accuracy"] == pytest.approx(8 / 10)
    details = TASK.details(arrays)
    assert {name: row["iou"] for name, row in details["per_class"].items()} == {
        "road": 6 / 8,
        "car": 2 / 4,
        "sky": None,
    }
    assert details["confusion"] == arrays["confusion"].sum(0).tolist()


def test_at_an_eighth_labels_are_those_of_the_cells_centres() -> None:
    import torch

    rng = np.random.default_rng(0)
    for shape in ((48, 64), (45, 61), (5, 7), (360, 480)):
        labels = rng.integers(0, 9, shape).astype(np.uint8)
        size = tuple(-(-n // 8) for n in shape)
        expected = torch.nn.functional.interpolate(torch.tensor(labels)[None, None].float(), size, mode="nearest-exact")
        np.testing.assert_array_equal(centres(labels), expected[0, 0].numpy())


def test_the_papers_equations_at_an_eighth_by_hand() -> None:
    true, found = np.zeros((16, 16), np.uint8), np.ones((16, 16), np.uint8)
    true[:8, :8] = 255  # void: one cell of four counts in nothing
    found[:8] = 0  # right above, wrong below
    arrays = arrays_of(TASK, [frame("a", 0, true=true, found=found)])
    TASK.check(arrays)
    assert arrays["eighth"].tolist() == [[[1, 0, 0], [3, 0, 0], [1, 2, 0]]]
    assert TASK.score(arrays)["image_miou_eighth"] == pytest.approx((1 / 3 + 0) / 2)
    before_it_was_counted = {name: value for name, value in arrays.items() if name != "eighth"}
    TASK.check(before_it_was_counted)
    assert np.isnan(TASK.score(before_it_was_counted)["image_miou_eighth"])
    assert TASK.score(before_it_was_counted)["image_miou"] == TASK.score(arrays)["image_miou"]


def test_a_class_that_is_only_predicted_counts_as_zero() -> None:
    arrays = arrays_of(TASK, [frame("a", 0, true=[[0, 0]], found=[[0, 2]])])
    scores = TASK.score(arrays)
    assert scores["miou"] == scores["image_miou"] == pytest.approx((1 / 2 + 0) / 2)


def test_a_perfect_prediction_scores_one_whatever_classes_a_frame_lacks() -> None:
    maps = random_maps(0, frames=4, classes=3)
    arrays = arrays_of(TASK, [frame("a", n, true=map_, found=map_) for n, map_ in enumerate(maps)])
    scores = TASK.score(arrays)
    assert {scores[name] for name in ("miou", "image_miou", "image_micro_iou", "boundary_f1", "pixel_accuracy")} == {1}


def test_boundaries_by_hand() -> None:
    # The diagonal is 5 and the tolerance below 1 pixel, so only boundary pixels in the same place match.
    true = [[0, 0, 1, 1]] * 3
    found = [[0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 1, 1]]
    arrays = arrays_of(TASK, [frame("a", 0, true=true, found=found)])
    assert arrays["boundary"][0].tolist() == [[2, 3, 2, 3], [2, 4, 2, 3], [0, 0, 0, 0]]
    road, car = 2 / 3, 2 * (2 / 4) * (2 / 3) / (2 / 4 + 2 / 3)
    assert TASK.score(arrays)["boundary_f1"] == pytest.approx((road + car) / 2)
    assert TASK.details(arrays)["per_class"]["sky"]["boundary_f1"] is None


def test_boundary_f1_is_the_mean_over_a_frame_s_true_classes_then_over_frames() -> None:
    arrays = arrays_of(TASK, [frame("a", n, true=[[0]], found=[[0]]) for n in range(3)])
    arrays["boundary"] = np.array(
        [
            [[9, 10, 8, 10], [0, 0, 0, 5], [0, 7, 0, 0]],  # nearly, never predicted, only predicted
            [[5, 5, 5, 5], [0, 0, 0, 0], [0, 0, 0, 0]],
            [[0, 0, 0, 0]] * 3,  # no boundary at all
        ]
    )
    assert TASK.score(arrays)["boundary_f1"] == pytest.approx(((NEARLY + 0) / 2 + 1) / 2)
    rows = TASK.details(arrays)["per_class"]
    assert [rows[name]["boundary_f1"] for name in TASK.classes] == [pytest.approx((NEARLY + 1) / 2), 0, None]


def test_temporal_consistency_by_hand() -> None:
    frames = [
        frame("a", 0, true=[[0, 0], [1, 255]], found=[[0, 1], [1, 2]]),
        frame("a", 1, true=[[0, 0], [0, 255]], found=[[0, 1], [1, 0]]),  # two stay, both kept; one is wrong
        frame("a", 2, true=[[0, 0], [0, 1]], found=[[1, 1], [0, 1]]),  # three stay, one of them kept
        frame("b", 0, true=[[0, 0], [0, 1]], found=[[1, 1], [0, 1]]),
        frame("b", 2, true=[[0, 0], [0, 1]], found=[[1, 1], [0, 1]]),  # frame 1 was not seen
    ]
    arrays = arrays_of(TASK, frames)
    assert arrays["stable"].tolist() == [[0, 0], [2, 2], [3, 1], [0, 0], [0, 0]]
    assert TASK.score(arrays)["temporal_consistency"] == pytest.approx(3 / 5)


def test_temporal_consistency_needs_labels_in_both_frames() -> None:
    frames = [frame("a", n, true=[[0, 0]], found=[[0, 1]], scored=n != 1) for n in range(3)]
    arrays = arrays_of(TASK, frames)
    assert arrays["stable"].tolist() == [[0, 0], [0, 0]]
    assert np.isnan(TASK.score(arrays)["temporal_consistency"])


def test_it_agrees_with_mmseg_s_iou_metric() -> None:
    import torch

    from vidsuite_core import openmmlab

    openmmlab.prepare()
    from mmseg.evaluation.metrics import IoUMetric

    metric = IoUMetric(iou_metrics=["mIoU"])
    metric.dataset_meta = {"classes": list("abcde")}
    task = VideoSegmentation(list("abcde"))
    rng = np.random.default_rng(0)
    frames = []
    for number in range(6):
        true = rng.choice([0, 1, 2, 255], (20, 30)).astype(np.uint8)  # d is only predicted, e does not occur
        found = np.where(rng.random(true.shape) < 0.7, np.minimum(true, 2), rng.integers(0, 4, true.shape))
        frames.append(frame("a", number, true=true, found=found))
        pair = {"pred_sem_seg": found, "gt_sem_seg": true.astype(int)}
        metric.process({}, [{name: {"data": torch.tensor(value)[None]} for name, value in pair.items()}])
    areas = [sum(column).double() for column in zip(*metric.results, strict=True)]
    expected = metric.total_area_to_metrics(*areas)
    scores = task.score(arrays_of(task, frames))
    assert scores["miou"] == pytest.approx(np.nanmean(expected["IoU"]), abs=1e-9)
    assert scores["pixel_accuracy"] == pytest.approx(float(expected["aAcc"]), abs=1e-9)


def test_leaving_a_subject_out_is_scoring_the_others() -> None:
    task = VideoSegmentation(list("abcd"))
    arrays = random_arrays(0)
    names, found = task.leave_one_out(arrays)
    expected_names, expected = Task.leave_one_out(task, arrays)
    assert names.tolist() == expected_names.tolist()
    assert set(expected) <= set(found) == {info.name for info in task.scores}
    for name, values in expected.items():
        assert np.ptp(values) > 0
        assert found[name] == pytest.approx(values), name


def test_without_the_only_frame_that_is_not_void_nothing_is_defined() -> None:
    maps = np.diag([0, 1, 2])
    arrays = arrays_of(TASK, [frame("a", 0, true=maps, found=maps), frame("b", 0, true=maps + 255, found=maps)])
    assert TASK.score(arrays)["image_miou"] == 1
    found = TASK.leave_one_out(arrays)[1]
    assert np.isnan(found["miou"]).tolist() == [True, False]
    assert found["image_miou"][1] == 1


def test_true_targets_tell_frames_of_another_size_or_labels_apart() -> None:
    one, other = (np.zeros((2, width), np.uint8) for width in (2, 3))
    sizes = [arrays_of(TASK, [frame("a", 0, true=maps, found=maps)]) for maps in (one, other)]
    assert [TASK.truth(arrays)["pixels"].tolist() for arrays in sizes] == [[[4, 0, 0]], [[6, 0, 0]]]
    assert TASK.class_use(sizes[1]).tolist() == [[6, 0, 0], [6, 0, 0]]


def test_samples_give_position_and_rate_and_outputs_the_rest() -> None:
    drive = Recording(name="drive", subject="s", planes=(Path("drive.mp4"),), frames=30, fps=17, content="")
    targets = TASK.targets([FrameSample(id="x", footage=drive, index=19, labels=Path("x.png"))])
    assert (targets["position"].tolist(), targets["fps"].tolist()) == ([19], [17.0])
    arrays = arrays_of(TASK, [frame("a", 0, true=[[0]], found=[[0]])])
    shapes = {name: (arrays[name].dtype.str[1:], arrays[name].shape) for name in TASK.predictions([])}
    assert shapes == {
        "confusion": ("i4", (1, 3, 3)),
        "boundary": ("i4", (1, 3, 4)),
        "stable": ("i4", (1, 2)),
        "lagged": ("i4", (1, LAGS, 3, 3)),
        "lags": ("i4", (1,)),
        "eighth": ("i4", (1, 3, 3)),
        "latency": ("f8", (1,)),
    }
    assert {name: value.shape[1:] for name, value in TASK.predictions([]).items()} == {
        name: shape[1:] for name, (_, shape) in shapes.items()
    }


def changed(name: str, place: Any, value: Any) -> tuple[str, np.ndarray]:
    """An array of good ones with another value in one place."""
    array = random_arrays(0)[name].copy()
    array[place] = value
    return name, array


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("confusion", np.zeros((20, 4, 4), int)),
        ("confusion", np.ones((20, 4, 4))),
        ("confusion", np.ones((20, 3, 3), int)),
        ("confusion", np.full((20, 4, 4), 2**64 - 1, "u8")),
        changed("confusion", (0, 0, 0), -1),
        ("confusion", random_arrays(0)["confusion"].astype(np.int64) + MAX_PIXELS),
        ("boundary", np.zeros((20, 4), int)),
        changed("boundary", (0, 0), [3, 2, 3, 3]),  # matched more than there are
        changed("boundary", (0, 0), [1, 2, 0, 3]),  # matched on one side alone
        changed("boundary", (0, 0), [1, 1000, 1, 1]),  # more than the class has pixels
        changed("eighth", (0, 0, 0), 1000),  # more hits than cells
        changed("eighth", (0, 1), [7, 7, 7, 7]),  # true cells that nothing was predicted for
        changed("stable", 0, [1, 2]),
        changed("stable", 0, [1000, 2]),
        ("stable", np.zeros((20, 3), int)),
        changed("lagged", (5, 0, 0, 0), 1000),
        changed("lagged", (0, 0, 0, 0), 1),  # of an earlier frame that there is not
        ("lagged", np.zeros((20, LAGS - 1, 4, 4), int)),
        changed("lags", 5, 0),
        changed("lags", 5, LAGS + 1),
        changed("position", 5, 0),
        ("position", np.full(20, 2**40)),
        ("latency", np.zeros(20)),
        ("latency", np.full(20, np.inf)),
        changed("latency", 3, -0.1),
        changed("latency", 3, 5e-324),
        changed("latency", 3, 0.9e-9),
        changed("latency", 3, 1.1e6),
        changed("latency", 3, 1e308),
        ("latency", np.ones(20, int)),
        ("fps", np.full(20, np.nan)),
        ("fps", np.full(20, -1.0)),
        changed("fps", 3, 0),
        changed("fps", 3, 1.1e6),
        changed("fps", 3, np.inf),
    ],
)
def test_arrays_of_another_form_are_refused(name: str, value: np.ndarray) -> None:
    task, good = VideoSegmentation(list("abcd")), random_arrays(0)
    task.check(good)
    task.check({**good, "latency": np.full(20, np.nan)})
    with pytest.raises(VidsuiteError, match=f"predictions' .*({name}|lagged|boundary|stable)") as error:
        task.check({**good, name: value})
    assert "\n" not in str(error.value)


def test_more_lags_than_are_stored_are_refused() -> None:
    arrays = random_arrays(0, sequences=1, length=LAGS + 2)
    arrays["lags"][-1] += 1
    with pytest.raises(VidsuiteError, match="'lagged'"):
        VideoSegmentation(list("abcd")).check(arrays)


@pytest.mark.parametrize(("latency", "fps"), [(1e-9, 5e-324), (1e-9, 1e6), (1e6, 5e-324), (1e6, 1e6)])
@pytest.mark.filterwarnings("error")
def test_the_extremes_that_are_taken_score_without_a_warning(latency: float, fps: float) -> None:
    task = VideoSegmentation(list("abcd"))
    arrays = {**random_arrays(0), "latency": np.full(20, latency), "fps": np.full(20, fps)}
    task.check(arrays)
    assert 0 <= task.score(arrays)["streaming_miou"] <= 1
    assert task.details(arrays)["streaming"]["latency"] == latency


def run_of(places: list[tuple[str, int, bool]]) -> tuple[VideoSegmentation, dict[str, np.ndarray]]:
    """A task and the stored arrays of frames (sequence, position, scored) that are all alike."""
    frames = [frame(name, place, true=[[0]], found=[[0]], scored=scored) for name, place, scored in places]
    return TASK, arrays_of(TASK, frames)


def with_lags(arrays: dict[str, np.ndarray], row: int, lags: int) -> dict[str, np.ndarray]:
    """The arrays with other lags in a row, and `lagged` to match."""
    arrays = {name: column.copy() for name, column in arrays.items()}
    arrays["lags"][row] = lags
    arrays["lagged"][row] = np.where(np.arange(LAGS)[:, None, None] < lags, arrays["confusion"][row], 0)
    return arrays


def test_a_frame_that_stands_twice_is_refused() -> None:
    task, arrays = run_of([("a", 0, True), ("b", 0, True), ("b", 1, True)])
    task.check(arrays)
    arrays["recording"] = np.array(["b", "b", "b"])
    with pytest.raises(VidsuiteError, match="name a frame twice: 'recording' and 'position'"):
        task.check(arrays)


@pytest.mark.parametrize(
    ("row", "lags", "message"),
    [
        (0, 1, "than 'position' leaves"),
        (1, 0, "of an earlier frame"),  # though frame 0 was predicted right before it
        (2, 5, "of an earlier frame"),  # reaches back to frame 1 and beyond, which frame 1 does not
        (2, 4, "of an earlier frame"),  # begins with frame 2, right after one that was predicted
        (4, 2, "of an earlier frame"),  # two above those of its predecessor
        (6, 1, "of an earlier frame"),  # likewise across a frame that is context
        (6, 3, "of an earlier frame"),
    ],
)
def test_lags_that_disagree_with_an_earlier_frame_are_refused(row: int, lags: int, message: str) -> None:
    labelled = [("a", 0), ("a", 1), ("a", 6), ("b", 4), ("b", 5), ("c", 4), ("c", 6)]
    task, arrays = run_of(sorted([*((*place, True) for place in labelled), ("c", 5, False)]))
    task.check(arrays)
    assert arrays["lags"].tolist() == [0, 1, 0, 0, 1, 0, 2]
    with pytest.raises(VidsuiteError, match=message):
        task.check(with_lags(arrays, row, lags))


@pytest.mark.parametrize("gap", range(1, LAGS + 4))
def test_lags_as_the_reducer_counts_them_are_taken(gap: int) -> None:
    for begin in range(gap + 1):  # the run in which the last frame stands begins here
        places = [("a", n, n in (0, gap)) for n in range(gap + 1) if n == 0 or n >= begin]
        task, arrays = run_of(places)
        task.check({name: column[::-1] for name, column in arrays.items()})


@pytest.mark.parametrize("name", ["confusion", "boundary", "stable", "lagged", "lags", "latency", "position", "fps"])
def test_no_array_may_be_missing(name: str) -> None:
    arrays = {key: value for key, value in random_arrays(0).items() if key != name}
    with pytest.raises(VidsuiteError, match=f"lack the array '{name}'"):
        VideoSegmentation(list("abcd")).check(arrays)


def test_no_classes_at_all_are_refused() -> None:
    task = VideoSegmentation([])
    with pytest.raises(VidsuiteError, match="counts no pixel"):
        task.check({**{name: np.zeros(0, str) for name in names(0)}, **task.predictions([]), **task.targets([])})


@pytest.mark.parametrize("name", ["latency", "fps"])
def test_half_precision_is_checked_without_overflow(name: str) -> None:
    arrays = random_arrays(0, sequences=2, length=2)
    arrays[name] = np.zeros(4, np.float16)
    with pytest.raises(VidsuiteError, match=name), np.errstate(all="raise"):
        VideoSegmentation(list("abcd")).check(arrays)
