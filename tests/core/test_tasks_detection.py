"""`action_detection` by hand, against a slow one written out, and against mmdet."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.tasks.action_detection import ActionDetection

Arrays = dict[str, np.ndarray]


def names(count: int, subjects: int | None = None) -> Arrays:
    """The columns that all tasks share."""
    ids = np.array([f"sample {n}" for n in range(count)])
    subject = np.array([f"s{n % (subjects or count)}" for n in range(count)])
    return {"sample_id": ids, "subject": subject, "recording": subject}


def detections(true: Sequence[tuple[int, int, Sequence[float]]], found: Sequence[tuple[Any, ...]], n: int) -> Arrays:
    """Stored arrays of n frames: `true` are (frame, class, box), `found` are (frame, class, score, box)."""
    return {
        **names(n),
        "true_frame": np.array([t[0] for t in true], int),
        "true_class": np.array([t[1] for t in true], int),
        "true_box": np.array([t[2] for t in true], "f4").reshape(-1, 4),
        "frame": np.array([f[0] for f in found], int),
        "class": np.array([f[1] for f in found], int),
        "score": np.array([f[2] for f in found], "f4"),
        "box": np.array([f[3] for f in found], "f4").reshape(-1, 4),
    }


def random_detections(seed: int, frames: int = 12, classes: int = 3, spread: float = 40) -> Arrays:
    """True boxes in a row, apart from each other, and detections that hit some of them."""
    rng = np.random.default_rng(seed)
    true, found = [], []
    for frame in range(frames):
        for place in range(rng.integers(1, 4)):
            corner = np.array([100 * place, rng.uniform(0, spread)])
            box = np.concatenate([corner, corner + rng.uniform(20, 60, 2)])
            true.append((frame, int(rng.integers(classes)), box))
            for _ in range(rng.integers(0, 3)):
                moved = box + rng.normal(0, 6, 4)
                label = true[-1][1] if rng.random() < 0.8 else int(rng.integers(classes))
                found.append((frame, label, rng.random(), moved))
    return detections(true, found, frames)


def slow_frame_map(arrays: Arrays, classes: int) -> float:
    """Frame-mAP written out: each class by itself, detections one by one, the area under the envelope as a sum."""
    found = []
    for label in range(classes):
        of_class = arrays["true_class"] == label
        true = list(zip(arrays["true_frame"][of_class], arrays["true_box"][of_class], strict=True))
        if not true:
            continue
        rows = [row for row in range(len(arrays["score"])) if arrays["class"][row] == label]
        taken, hits, curve = set(), 0, []
        for seen, row in enumerate(sorted(rows, key=lambda row: -arrays["score"][row]), start=1):
            best, which = 0.0, -1
            for place, (frame, box) in enumerate(true):
                if frame == arrays["frame"][row] and place not in taken and slow_iou(box, arrays["box"][row]) > best:
                    best, which = slow_iou(box, arrays["box"][row]), place
            if best >= 0.5:
                taken.add(which)
                hits += 1
            curve.append((hits / len(true), hits / seen))
        area, last = 0.0, 0.0
        for place, (recall, _) in enumerate(curve):
            area += (recall - last) * max(precision for _, precision in curve[place:])
            last = recall
        found.append(area)
    return sum(found) / len(found)


def slow_iou(a: Sequence[float], b: Sequence[float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    overlap = float(width * height)
    return overlap / (float((a[2] - a[0]) * (a[3] - a[1])) + float((b[2] - b[0]) * (b[3] - b[1])) - overlap)


class TestActionDetection:
    TASK = ActionDetection(["run", "sit", "fall"])
    BOX = (0, 0, 10, 10)

    def test_by_hand(self) -> None:
        arrays = detections(
            true=[(0, 0, self.BOX), (1, 0, self.BOX)],
            found=[
                (0, 0, 0.9, (0, 0, 10, 10)),  # right
                (0, 0, 0.8, (0, 0, 10, 9)),  # the same box again: wrong
                (1, 1, 0.7, (0, 0, 10, 10)),  # of another class: that class has no true box and does not count
                (1, 0, 0.6, (0, 0, 10, 5)),  # overlap exactly 0.5: right
            ],
            n=2,
        )
        self.TASK.check(arrays)
        assert self.TASK.score(arrays)["frame_map"] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
        assert self.TASK.details(arrays)["per_class"] == {
            "run": {"ap": pytest.approx(5 / 6)},
            "sit": {"ap": None},
            "fall": {"ap": None},
        }

    @pytest.mark.parametrize("seed", range(20))
    def test_it_agrees_with_a_slow_one_written_out(self, seed: int) -> None:
        arrays = random_detections(seed)
        self.TASK.check(arrays)
        assert self.TASK.score(arrays)["frame_map"] == pytest.approx(slow_frame_map(arrays, 3), abs=1e-6)

    @pytest.mark.slow
    def test_it_agrees_with_mmdet(self) -> None:
        from vidsuite_core import openmmlab

        openmmlab.prepare()
        from mmdet.evaluation.functional import eval_map

        for seed in range(5):
            arrays = random_detections(seed)
            of_frame = [arrays["frame"] == n for n in range(12)]
            of_truth = [arrays["true_frame"] == n for n in range(12)]
            scored = np.concatenate([arrays["box"], arrays["score"][:, None]], axis=1)
            found = [[scored[rows & (arrays["class"] == k)] for k in range(3)] for rows in of_frame]
            true = [{"bboxes": arrays["true_box"][rows], "labels": arrays["true_class"][rows]} for rows in of_truth]
            expected, _ = eval_map(found, true, iou_thr=0.5, eval_mode="area", logger="silent", nproc=1)
            assert self.TASK.score(arrays)["frame_map"] == pytest.approx(expected, abs=1e-6)

    def test_frames_without_a_true_box_or_a_detection(self) -> None:
        arrays = detections([(0, 0, self.BOX)], [(2, 0, 0.9, self.BOX)], n=3)
        self.TASK.check(arrays)
        assert self.TASK.score(arrays)["frame_map"] == 0
        nothing = detections([(0, 0, self.BOX)], [], n=2)
        self.TASK.check(nothing)
        assert self.TASK.score(nothing)["frame_map"] == 0

    def test_boxes_turned_inside_out_overlap_nothing(self) -> None:
        inverted = (10, 10, 0, 0)
        for true, found in ((inverted, inverted), (self.BOX, inverted), (inverted, self.BOX), (self.BOX, (5, 5, 5, 5))):
            arrays = detections([(0, 0, true)], [(0, 0, 0.9, found)], n=1)
            assert self.TASK.score(arrays)["frame_map"] == 0

    def test_a_part_of_the_frames_is_taken_with_its_boxes(self) -> None:
        arrays = random_detections(0, frames=8)
        part = self.TASK.take(arrays, np.array([5, 2]))
        self.TASK.check(part)
        for place, frame in enumerate((5, 2)):
            for prefix in ("", "true_"):
                ours, theirs = part[f"{prefix}frame"] == place, arrays[f"{prefix}frame"] == frame
                assert (part[f"{prefix}box"][ours] == arrays[f"{prefix}box"][theirs]).all()
        assert len(self.TASK.score_by_subject(arrays)) == 8

    def test_samples_and_outputs(self) -> None:
        samples = [SimpleNamespace(boxes=[], classes=[]), SimpleNamespace(boxes=[self.BOX], classes=[2])]
        assert self.TASK.targets(samples)["true_frame"].tolist() == [1]
        empty = {"bboxes": np.zeros((0, 4)), "scores": [], "labels": []}
        full = {"bboxes": [self.BOX], "scores": [0.5], "labels": [1]}
        arrays = {
            **names(2),
            **self.TASK.targets(samples),
            **self.TASK.predictions([{"pred_instances": empty}, {"pred_instances": full}]),
        }
        self.TASK.check(arrays)
        assert (arrays["frame"].tolist(), arrays["class"].tolist()) == ([1], [1])

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("frame", np.array([5])),
            ("frame", np.array([-1])),
            ("true_class", np.array([3])),
            ("class", np.array([1.0])),
            ("box", np.array([[0, 0, np.inf, 1]], "f4")),
            ("true_box", np.array([[0, 0, np.nan, 1]], "f4")),
            ("score", np.array([np.nan], "f4")),
            ("score", np.array([0.1, 0.2], "f4")),
            ("box", np.zeros((1, 5), "f4")),
        ],
    )
    def test_arrays_of_another_form_are_refused(self, name: str, value: np.ndarray) -> None:
        good = detections([(0, 0, self.BOX)], [(0, 0, 0.9, self.BOX)], n=1)
        self.TASK.check(good)
        with pytest.raises(VidsuiteError, match="predictions"):
            self.TASK.check({**good, name: value})

    def test_a_set_without_any_true_box_is_refused(self) -> None:
        with pytest.raises(VidsuiteError, match="no true box at all"):
            self.TASK.check(detections([], [(0, 0, 0.9, self.BOX)], n=1))
