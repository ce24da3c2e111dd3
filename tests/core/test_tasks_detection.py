"""`action_detection` by hand, against slow ones written out, and against pycocotools, mmdet and mmaction2."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from detection_frames import Arrays, detections, in_recordings, names, of_frame, random_detections

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.tasks.action_detection import ActionDetection
from vidsuite_core.tasks.base import Task
from vidsuite_core.tasks.detection_errors import KINDS, judged
from vidsuite_core.tasks.detection_export import coco_results, coco_truth
from vidsuite_core.tasks.detection_matching import CONVENTIONS, SIZES, average_precisions, mean_of, ranked

CLASSES = ("run", "sit", "fall")
TASK = ActionDetection(CLASSES)
BOX = (0, 0, 10, 10)


def frame_map(arrays: Arrays, convention: str = "voc", threshold: float = 0.5, size: Any = None) -> float:
    one = CONVENTIONS[convention]
    return mean_of(average_precisions(ranked(TASK.scene(arrays), one, threshold, size), one.average))


def slow_iou(a: Sequence[float], b: Sequence[float], pixel: float = 0) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0]) + pixel
    height = min(a[3], b[3]) - max(a[1], b[1]) + pixel
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0] + pixel) * (box[3] - box[1] + pixel) for box in (a, b)]
    return float(width * height / (sum(areas) - width * height))


def slow_frame_map(arrays: Arrays, convention: str, threshold: float = 0.5) -> float:
    """Frame-mAP written out: each class by itself, detections one by one."""
    one, aps = CONVENTIONS[convention], []
    boxes = arrays["box"].astype(float), arrays["true_box"].astype(float)
    for label in range(len(CLASSES)):
        true, rows = [], []
        for frame in range(len(arrays["sample_id"])):
            of_true, found = of_frame(arrays, frame, "true_"), of_frame(arrays, frame)
            true += [
                (frame, boxes[1][g]) for g in range(of_true.start, of_true.stop) if arrays["true_class"][g] == label
            ]
            if one.empty or of_true.stop > of_true.start:
                rows += [(frame, d) for d in range(found.start, found.stop) if arrays["class"][d] == label]
        if not true:
            continue
        taken, hits, curve = set(), 0, []
        for seen, (frame, row) in enumerate(sorted(rows, key=lambda r: -arrays["score"][r[1]]), start=1):
            overlaps = [
                (slow_iou(box, boxes[0][row], one.pixel), -place)
                for place, (of, box) in enumerate(true)
                if of == frame and (one.second == "false" or place not in taken)
            ]
            best, place = max(overlaps, default=(0.0, 0))
            if best >= threshold and -place not in taken:
                taken.add(-place)
                hits += 1
            curve.append((hits / len(true), hits / seen))
        if one.average == "trapezoids":
            points = [(0.0, 1.0), *curve]
            aps.append(sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(points)))
        else:
            highest = [max(p for _, p in curve[place:]) for place in range(len(curve))]
            recalls = [recall for recall, _ in curve]
            if one.average == "area":
                steps = np.diff([0.0, *recalls])
                aps.append(float((steps * highest).sum()) if curve else 0.0)
            else:
                at = [
                    next((h for r, h in zip(recalls, highest, strict=True) if r >= t), 0.0)
                    for t in np.linspace(0, 1, 101)
                ]
                aps.append(float(np.mean(at)))
    return float(np.mean(aps))


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("seed", range(6))
def test_each_convention_agrees_with_a_slow_one_written_out(convention: str, seed: int) -> None:
    for apart in (100, 15):
        arrays = random_detections(seed, apart=apart, most=5)
        TASK.check(arrays)
        for threshold in (0.5, 0.75):
            expected = slow_frame_map(arrays, convention, threshold)
            assert frame_map(arrays, convention, threshold) == pytest.approx(expected, abs=1e-9)


class TestEvaluators:
    """The same boxes as others' evaluators see them."""

    @pytest.mark.parametrize("seed", range(4))
    def test_coco_is_pycocotools(self, seed: int) -> None:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        arrays = random_detections(seed, frames=60, apart=12, most=6, spread=90)
        grown = arrays["true_box"].copy()
        grown[::3, 2:] += 90  # of all sizes
        arrays["true_box"] = grown
        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO()
            truth.dataset = coco_truth(TASK, arrays)
            truth.createIndex()
            evaluation = COCOeval(truth, truth.loadRes(coco_results(arrays)), "bbox")
            evaluation.evaluate()
            evaluation.accumulate()
        precision = evaluation.eval["precision"]  # threshold, recall, class, area, most detections

        def expected(area: int, thresholds: slice) -> float:
            of_area = precision[thresholds, :, :, area, 2]
            return float(of_area[of_area > -1].mean())

        scores = TASK.score(arrays)
        assert scores["coco/frame_map"] == pytest.approx(expected(0, slice(0, 1)), abs=1e-6)
        assert scores["coco/frame_map_50_95"] == pytest.approx(expected(0, slice(None)), abs=1e-6)
        for place, size in enumerate(SIZES, start=1):
            assert scores[f"coco/{size}"] == pytest.approx(expected(place, slice(0, 1)), abs=1e-6), size

    @pytest.mark.parametrize(("convention", "legacy"), [("voc", False), ("yowo", True)])
    def test_voc_and_yowo_are_mmdets_eval_map(self, convention: str, legacy: bool) -> None:
        from vidsuite_core import openmmlab

        openmmlab.prepare()
        from mmdet.evaluation.functional import eval_map

        for seed in range(3):
            arrays = random_detections(seed, frames=40, apart=15, most=5)
            shown = [
                f
                for f in range(40)
                if CONVENTIONS[convention].empty or arrays["true_offset"][f + 1] > arrays["true_offset"][f]
            ]
            scored = np.concatenate([arrays["box"], arrays["score"][:, None]], axis=1)
            rows = [of_frame(arrays, f) for f in shown]
            truth = [of_frame(arrays, f, "true_") for f in shown]
            found = [[scored[r][arrays["class"][r] == k] for k in range(3)] for r in rows]
            true = [{"bboxes": arrays["true_box"][r], "labels": arrays["true_class"][r]} for r in truth]
            options = {"use_legacy_coordinate": legacy, "eval_mode": "area", "logger": "silent", "nproc": 1}
            for iou in (0.5, 0.75):
                expected, _ = eval_map(found, true, iou_thr=iou, **options)
                assert frame_map(arrays, convention, iou) == pytest.approx(expected, abs=1e-6)

    def test_voc_is_mmaction2s_frame_ap(self) -> None:
        from vidsuite_core import openmmlab

        openmmlab.prepare()
        from mmaction.evaluation import frameAP

        arrays = random_detections(3, frames=40, apart=15, most=5)
        frame = np.repeat(np.arange(40), np.diff(arrays["offset"]))
        columns = [np.zeros(len(frame)), frame, arrays["class"], arrays["score"], *arrays["box"].T]
        tubes: dict[int, list[np.ndarray]] = {}
        for f in range(40):
            rows = of_frame(arrays, f, "true_")
            for box, label in zip(arrays["true_box"][rows], arrays["true_class"][rows], strict=True):
                tubes.setdefault(int(label), []).append(np.array([[f, *box]]))
        truth = {"test_videos": [["v"]], "labels": list(CLASSES), "gttubes": {"v": tubes}}
        expected = frameAP(truth, np.stack(columns, axis=1), 0.5, print_info=False) / 100
        assert frame_map(arrays) == pytest.approx(expected, abs=1e-6)


class TestByHand:
    def test_a_second_detection_of_a_box_is_false(self) -> None:
        arrays = detections(
            true=[(0, 0, BOX), (1, 0, BOX)],
            found=[
                (0, 0, 0.9, (0, 0, 10, 10)),  # right
                (0, 0, 0.8, (0, 0, 10, 9)),  # the same box again: wrong
                (1, 1, 0.7, (0, 0, 10, 10)),  # of another class: that class has no true box and does not count
                (1, 0, 0.6, (0, 0, 10, 5)),  # overlap exactly 0.5: right
            ],
            n=2,
        )
        TASK.check(arrays)
        scores = TASK.score(arrays)
        assert scores["frame_map"] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
        assert TASK.details(arrays)["per_class"] == {
            "run": {"ap": pytest.approx(5 / 6), "support": 2},
            "sit": {"ap": None, "support": 0},
            "fall": {"ap": None, "support": 0},
        }
        assert (scores["precision"], scores["recall"]) == (2 / 4, 1)
        assert scores["frame_map_75"] == pytest.approx(1 / 2)
        assert scores["localisation_recall"] == pytest.approx(1)  # by the one of another class, in the second frame
        assert scores["classification_accuracy"] == pytest.approx(1 / 2)

    def test_conventions_differ_where_two_true_boxes_overlap(self) -> None:
        """Both detections overlap the first true box most; the second one would do for the other, too."""
        true = [(0, 0, (0, 0, 10, 10)), (0, 0, (0, 0, 10, 14))]
        arrays = detections(true, [(0, 0, 0.9, (0, 0, 10, 10)), (0, 0, 0.8, (0, 0, 10, 11))], n=1)
        assert frame_map(arrays, "voc") == 0.5
        assert frame_map(arrays, "coco") == 1.0

    def test_conventions_differ_in_frames_without_a_true_box(self) -> None:
        arrays = detections([(0, 0, BOX)], [(0, 0, 0.5, BOX), (1, 0, 0.9, BOX)], n=2)
        found = {name: frame_map(arrays, name) for name in CONVENTIONS}
        assert found["voc"] == found["ava"] == found["coco"] == pytest.approx(0.5)
        assert found["yowo"] == 1

    def test_a_pixel_more_may_decide(self) -> None:
        arrays = detections([(0, 0, BOX)], [(0, 0, 0.9, (0, 0, 10, 4.7))], n=1)
        assert (frame_map(arrays, "voc"), frame_map(arrays, "yowo")) == (0, 1)

    def test_errors_by_kind(self) -> None:
        true = [(0, 0, BOX), (0, 1, (100, 0, 110, 10)), (0, 2, (300, 0, 310, 10))]
        found = [
            (0, 0, 0.9, BOX),
            (0, 0, 0.8, (0, 0, 10, 9)),  # twice
            (0, 0, 0.8, (100, 0, 110, 10)),  # wrong class
            (0, 1, 0.8, (100, 0, 110, 30)),  # wrong place
            (0, 2, 0.8, (100, 0, 110, 30)),  # both
            (0, 1, 0.8, (200, 0, 210, 10)),  # background
            (0, 1, 0.2, (100, 0, 110, 10)),  # not confident
        ]
        arrays = detections(true, found, n=1)
        one = judged(TASK.scene(arrays))
        assert [KINDS[kind] for kind in one.kind] == [
            "right", "twice", "wrong class", "wrong place", "wrong class and place", "background",
        ]  # fmt: skip
        assert one.found.tolist() == [True, False, False]
        (table,) = [shown for shown in TASK.shown([arrays, arrays]) if shown.name == "errors"]
        assert [row[1] for row in table.rows] == ["2", "2", "2", "2", "2", "2", "4"]

    def test_means_over_the_most_frequent_classes(self) -> None:
        task = ActionDetection([f"c{k}" for k in range(8)])
        true = [(n, k, BOX) for k in range(8) for n in range(9 - k)]
        arrays = detections(true, [(n, k, 0.9, BOX) for n, k, _ in true if k < 4], n=9)
        scores = task.score(arrays)
        assert (scores["frame_map"], scores["top5/frame_map"]) == (4 / 8, 4 / 5)
        assert scores["top24/frame_map"] == scores["frame_map"]
        assert task.class_use(arrays).tolist()[0] == [9, 8, 7, 6, 0, 0, 0, 0]

    def test_frames_without_a_true_box_or_a_detection(self) -> None:
        arrays = detections([(0, 0, BOX)], [(2, 0, 0.9, BOX)], n=3)
        TASK.check(arrays)
        assert TASK.score(arrays)["frame_map"] == 0
        nothing = detections([(0, 0, BOX)], [], n=2)
        TASK.check(nothing)
        scores = TASK.score(nothing)
        assert (scores["frame_map"], scores["recall"]) == (0, 0)
        assert np.isnan(scores["precision"])
        assert all(0 <= value <= 1 or value != value for value in scores.values())

    def test_boxes_turned_inside_out_overlap_nothing(self) -> None:
        inverted = (10, 10, 0, 0)
        for true, found in ((inverted, inverted), (BOX, inverted), (inverted, BOX), (BOX, (5, 5, 5, 5))):
            arrays = detections([(0, 0, true)], [(0, 0, 0.9, found)], n=1)
            assert TASK.score(arrays)["frame_map"] == 0


@pytest.mark.parametrize("seed", range(4))
def test_leaving_a_recording_out_is_scoring_the_others(seed: int) -> None:
    arrays = in_recordings(random_detections(seed, frames=24, most=4, spread=4), 4)
    TASK.check(arrays)
    names_, found = TASK.leave_one_out(arrays)
    expected_names, expected = Task.leave_one_out(TASK, arrays)
    assert names_.tolist() == expected_names.tolist()
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-9, err_msg=name)


class TestForm:
    def test_a_part_of_the_frames_is_taken_with_its_boxes(self) -> None:
        arrays = random_detections(0, frames=8)
        part = TASK.take(arrays, np.array([5, 2]))
        TASK.check(part)
        for place, frame in enumerate((5, 2)):
            for prefix in ("", "true_"):
                ours, theirs = of_frame(part, place, prefix), of_frame(arrays, frame, prefix)
                assert (part[f"{prefix}box"][ours] == arrays[f"{prefix}box"][theirs]).all()
        assert len(TASK.score_by_subject(arrays)) == 8
        assert TASK.select(arrays, ["s3"])["sample_id"].tolist() == ["sample 3"]

    def test_samples_and_outputs(self) -> None:
        samples = [SimpleNamespace(boxes=[], classes=[], index=3), SimpleNamespace(boxes=[BOX], classes=[2], index=4)]
        targets = TASK.targets(samples)
        assert (targets["true_offset"].tolist(), targets["position"].tolist()) == ([0, 0, 1], [3, 4])
        empty = {"bboxes": np.zeros((0, 4)), "scores": [], "labels": []}
        full = {"bboxes": [BOX], "scores": [0.5], "labels": [1]}
        outputs = [{"pred_instances": empty}, {"pred_instances": full, "ori_shape": (480, 640)}]
        arrays = {**names(2), **targets, **TASK.predictions(outputs)}
        TASK.check(arrays)
        assert (arrays["offset"].tolist(), arrays["class"].tolist()) == ([0, 0, 1], [1])
        assert arrays["size"].tolist() == [[0, 0], [640, 480]]
        assert TASK.predictions([])["box"].shape == (0, 4)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("offset", np.array([0, 2])),
            ("offset", np.array([1, 1])),
            ("offset", np.array([0, 1, 1])),
            ("true_offset", np.array([0.0, 1.0])),
            ("true_class", np.array([3])),
            ("class", np.array([1.0])),
            ("box", np.array([[0, 0, np.inf, 1]], "f4")),
            ("true_box", np.array([[0, 0, np.nan, 1]], "f4")),
            ("box", np.array([[0, 0, 1e12, 1]], "f4")),
            ("score", np.array([np.nan], "f4")),
            ("score", np.array([0.1, 0.2], "f4")),
            ("box", np.zeros((1, 5), "f4")),
            ("position", np.array([-1])),
            ("size", np.array([[1, -1]])),
        ],
    )
    def test_arrays_of_another_form_are_refused(self, name: str, value: np.ndarray) -> None:
        good = detections([(0, 0, BOX)], [(0, 0, 0.9, BOX)], n=1)
        TASK.check(good)
        with pytest.raises(VidsuiteError, match="predictions"):
            TASK.check({**good, name: value})

    def test_a_set_without_any_true_box_is_refused(self) -> None:
        with pytest.raises(VidsuiteError, match="no true box at all"):
            TASK.check(detections([], [(0, 0, 0.9, BOX)], n=1))

    def test_a_frame_that_stands_twice_is_refused(self) -> None:
        arrays = in_recordings(random_detections(0, frames=4), 4)
        with pytest.raises(VidsuiteError, match="name a frame twice"):
            TASK.check({**arrays, "position": np.array([0, 1, 1, 2])})
