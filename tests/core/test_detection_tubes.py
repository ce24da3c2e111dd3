"""Tubes: linking against a search of every path, true tubes, overlap, and video-mAP by hand."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from detection_frames import Arrays, detections, in_recordings, of_frame, random_detections

from vidsuite_core.tasks.action_detection import ActionDetection
from vidsuite_core.tasks.detection_boxes import iou
from vidsuite_core.tasks.detection_tubes import fits, runs_of, true_tubes

TASK = ActionDetection(["run", "sit", "fall"])
BOX = np.array([0.0, 0.0, 10.0, 10.0])


def moving(count: int, step: float = 1.0, start: float = 0.0) -> list[np.ndarray]:
    """A box on its way to the right."""
    return [BOX + (start + step * n) * np.array([1, 0, 1, 0]) for n in range(count)]


def one_video(true: list, found: list, n: int) -> Arrays:
    """Frames of one recording."""
    return in_recordings(detections(true, found, n), n)


def best_path(arrays: Arrays, label: int) -> list[int]:
    """The rows of the path with the highest energy, by looking at all; every frame has a detection of the class."""
    frames = []
    for frame in range(len(arrays["sample_id"])):
        rows = of_frame(arrays, frame)
        frames.append([row for row in range(rows.start, rows.stop) if arrays["class"][row] == label])
    box, score = arrays["box"].astype(float), arrays["score"].astype(float)

    def energy(path: tuple[int, ...]) -> float:
        return sum(iou(box[a], box[b]) + score[a] + score[b] + 0.5 * score[a] * score[b] for a, b in pairwise(path))

    return list(max(product(*frames), key=energy))


@pytest.mark.parametrize("seed", range(5))
def test_the_first_tube_is_the_best_path_of_all(seed: int) -> None:
    rng = np.random.default_rng(seed)
    far = np.array([0, 0, 15, 15])
    found = [(n, 1, rng.random(), rng.uniform(0, 12, 4) + far) for n in range(6) for _ in range(3)]
    arrays = one_video([(0, 1, BOX)], found, 6)
    tubes, _ = TASK.tubes(arrays)
    path = best_path(arrays, 1)
    every = [tubes.of(tube) for tube in range(len(tubes.run))]
    assert 1 <= len(every) <= 3
    assert all(frame.tolist() == list(range(6)) for frame, _ in every)
    assert any(np.allclose(boxes, arrays["box"][path]) for _, boxes in every)


def test_two_people_are_two_tubes_and_scores_are_means() -> None:
    left, right = moving(5), moving(5, start=100)
    found = [(n, 0, 0.9 - n / 10, left[n]) for n in range(5)] + [(n, 0, 0.4, right[n]) for n in range(5)]
    tubes, _ = TASK.tubes(one_video([(0, 0, BOX)], found, 5))
    assert sorted(tubes.score.tolist()) == pytest.approx([0.4, 0.7])
    for tube in range(2):
        expected = left if tubes.score[tube] > 0.5 else right
        assert tubes.of(tube)[1] == pytest.approx(np.array(expected))


def test_frames_without_a_detection_take_the_nearest() -> None:
    boxes = moving(6, step=3)
    found = [(n, 2, 0.5, boxes[n]) for n in (1, 4)]
    tubes, _ = TASK.tubes(one_video([(0, 2, BOX)], found, 6))
    assert len(tubes.run) == 1
    assert tubes.of(0)[1] == pytest.approx(np.array([boxes[n] for n in (1, 1, 1, 4, 4, 4)]))


def test_tubes_that_overlap_leave_the_better_one() -> None:
    boxes = moving(4)
    found = [(n, 0, 0.9, boxes[n]) for n in range(4)] + [(n, 0, 0.5, boxes[n] + [0, 1, 0, 1]) for n in range(4)]
    tubes, _ = TASK.tubes(one_video([(0, 0, BOX)], found, 4))
    assert tubes.score.tolist() == pytest.approx([0.9])


def test_runs_end_where_frames_are_missing_and_at_recordings() -> None:
    recording = np.array(["b", "a", "a", "a", "a", "b"])
    runs = runs_of(recording, np.array([0, 7, 2, 4, 0, 2]))
    assert [runs.order[a:b].tolist() for a, b in pairwise(runs.starts.tolist())] == [[4, 2, 3], [1], [0, 5]]
    assert runs.place.tolist() == [2, 1, 0, 0, 0, 2]


def test_true_boxes_are_linked_to_their_own() -> None:
    left, right = moving(4), moving(4, step=-1, start=40)
    true = [(n, 0, left[n]) for n in range(4)] + [(n, 0, right[n]) for n in (0, 1, 3)] + [(2, 1, right[2])]
    arrays = one_video(true, [], 4)
    runs = runs_of(arrays["recording"], arrays["position"])
    tubes = true_tubes(TASK.scene(arrays), runs)
    found = sorted((int(tubes.label[t]), tubes.of(t)[0].tolist()) for t in range(len(tubes.run)))
    assert found == [(0, [0, 1]), (0, [0, 1, 2, 3]), (0, [3]), (1, [2])]


def test_overlap_is_of_time_and_space() -> None:
    """A tube has its whole run; it is compared with the true tubes of its run and class alone."""
    boxes = moving(4)
    true = [(n, 0, boxes[n] + [0, 0, 0, 10]) for n in (1, 2)] + [(n, 1, boxes[n]) for n in range(4)]
    arrays = one_video(true, [(n, 0, 0.5, boxes[n]) for n in range(4)], 4)
    runs = runs_of(arrays["recording"], arrays["position"])
    tubes, truth = TASK.tubes(arrays)
    best, overlap = fits(tubes, truth, runs)
    assert (truth.label[best].tolist(), overlap.tolist()) == ([0], [pytest.approx(0.5 * 2 / 4)])
    nothing, _ = TASK.tubes(one_video(true, [(0, 2, 0.5, BOX)], 4))
    assert [value.tolist() for value in fits(nothing, truth, runs)] == [[-1], [0]]


def test_video_map_by_hand() -> None:
    """Two recordings: in one the tube fits, in the other it fits half of the true one's time."""
    boxes = moving(4)
    true = [(n, 0, boxes[n]) for n in range(4)] + [(4 + n, 0, boxes[n]) for n in range(2)]
    found = [(n, 0, 0.6, boxes[n]) for n in range(4)] + [(4 + n, 0, 0.9, boxes[n]) for n in range(4)]
    arrays = in_recordings(detections(true, found, 8), 4)
    TASK.check(arrays)
    scores = TASK.score(arrays)
    assert scores["video_map_20"] == 1
    assert scores["video_map"] == 1  # half of the time is just enough
    shorter = in_recordings(detections([t for t in true if t[0] != 5], found, 8), 4)
    assert TASK.score(shorter)["video_map"] == pytest.approx(0.5 * 1 / 2)  # the wrong one has the higher score
    assert TASK.score(shorter)["video_map_20"] == 1


def test_frames_apart_make_no_tubes() -> None:
    arrays = random_detections(0)
    assert np.isnan(TASK.score(arrays)["video_map"])
    assert np.isnan(TASK.leave_one_out(arrays)[1]["video_map"]).all()


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_samples_does_not_matter(seed: int) -> None:
    arrays = in_recordings(random_detections(seed, frames=24, spread=4), 6)
    turned = TASK.take(arrays, np.random.default_rng(seed).permutation(24))
    TASK.check(turned)
    found, expected = TASK.score(turned), TASK.score(arrays)
    assert found == pytest.approx(expected, nan_ok=True)
