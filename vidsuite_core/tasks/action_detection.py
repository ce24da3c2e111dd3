"""`action_detection`: boxes and classes in a key frame.

Stored arrays, ragged over the N key frames: `true_frame` (G,), `true_box` (G, 4), `true_class` (G,) and
`frame` (M,), `box` (M, 4), `score` (M,), `class` (M,), where frames are indices into `sample_id` and boxes are
xyxy in pixels. First score: frame-mAP at IoU 0.5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.tasks.base import ScoreInfo, Task, check_samples, require

if TYPE_CHECKING:
    from vidsuite_core.media.overlay import RGB
    from vidsuite_core.samples import KeyFrameSample
    from vidsuite_core.tasks.base import Arrays

IOU = 0.5


class ActionDetection(Task):
    """Frame-mAP: average precision (area under the interpolated curve, all points) of each class, averaged.

    A detection is right if its box overlaps a true box of its class, not yet taken by a more confident one, by
    at least 0.5. Classes without a true box in the set are left out of the mean.
    """

    name = "action_detection"
    version = 1
    first_score = "frame_map"
    streamer = "vidsuite_core.engine.streaming:KeyFrameStreamer"
    scores: ClassVar[tuple[ScoreInfo, ...]] = (ScoreInfo("frame_map", "frame-mAP @0.5"),)

    def targets(self, samples: Sequence[Any]) -> dict[str, np.ndarray]:
        """The true boxes and classes of each sample's `boxes` (n, 4) and `classes` (n,)."""
        boxes, classes = [sample.boxes for sample in samples], [sample.classes for sample in samples]
        return dict(zip(("true_frame", "true_box", "true_class"), _flatten(boxes, classes), strict=True))

    def predictions(self, outputs: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
        """From each output's `pred_instances`: `bboxes` (m, 4), `scores` (m,), `labels` (m,), as mmdet names them."""
        found = [output["pred_instances"] for output in outputs]
        frame, box, label = _flatten([f["bboxes"] for f in found], [f["labels"] for f in found])
        scores = [np.asarray(f["scores"], dtype=np.float32) for f in found]
        score = np.concatenate([*scores, np.zeros(0, np.float32)])
        return {"frame": frame, "box": box, "score": score, "class": label}

    def check(self, arrays: Arrays) -> None:
        """See `Task.check`."""
        count = check_samples(arrays)
        for prefix in ("true_", ""):
            frame = require(arrays, f"{prefix}frame", "iu", None)
            box = require(arrays, f"{prefix}box", "f", len(frame), 4)
            label = require(arrays, f"{prefix}class", "iu", len(frame))
            inside = ((frame >= 0) & (frame < count) & (label >= 0) & (label < len(self.classes))).all()
            if not inside or not np.isfinite(box).all():
                raise VidsuiteError(
                    f"predictions' {prefix}box rows name no frame or class of theirs, or are not finite"
                )
        if not np.isfinite(require(arrays, "score", "f", len(arrays["frame"]))).all() or not len(arrays["true_frame"]):
            raise VidsuiteError("predictions' scores are not finite, or there is no true box at all")

    def score(self, arrays: Arrays) -> dict[str, float]:
        """Frame-mAP at IoU 0.5."""
        return {"frame_map": _mean(self._average_precisions(arrays))}

    def details(self, arrays: Arrays) -> dict[str, Any]:
        """Average precision of each class; None where it has no true box."""
        values = self._average_precisions(arrays)
        named = zip(self.classes, values, strict=True)
        return {"per_class": {label: {"ap": None if np.isnan(ap) else float(ap)} for label, ap in named}}

    def take(self, arrays: Arrays, rows: np.ndarray) -> dict[str, np.ndarray]:
        """See `Task.take`; boxes go with their frames."""
        rows = np.arange(len(arrays["sample_id"]))[rows]
        taken = {name: arrays[name][rows] for name in ("sample_id", "subject", "recording")}
        place = np.full(len(arrays["sample_id"]), -1)
        place[rows] = np.arange(len(rows))
        for frame, columns in (("true_frame", ("true_box", "true_class")), ("frame", ("box", "score", "class"))):
            kept = np.flatnonzero(place[arrays[frame]] >= 0)
            kept = kept[np.argsort(place[arrays[frame][kept]], kind="stable")]
            taken |= {frame: place[arrays[frame][kept]], **{name: arrays[name][kept] for name in columns}}
        return taken

    def class_use(self, arrays: Arrays) -> np.ndarray:
        """See `Task.class_use`."""
        return np.stack([np.bincount(arrays[name], minlength=len(self.classes)) for name in ("class", "true_class")])

    def prediction(self, arrays: Arrays, index: int, output: bytes | None = None) -> dict[str, np.ndarray]:
        """See `Task.prediction`: `box` (m, 4), `score` (m,) and `class` (m,)."""
        one = self.take(arrays, np.array([index]))
        return {name: one[name] for name in ("box", "score", "class")}

    def draw(self, sample: KeyFrameSample, prediction: Mapping[str, np.ndarray], palette: Sequence[RGB]) -> np.ndarray:
        """See `Task.draw`: the key frame with its true boxes, in white, and predicted ones."""
        from vidsuite_core.tasks import drawing

        return drawing.key_frame_picture(sample, prediction, palette, self.classes)

    def draw_on(
        self, frame: np.ndarray, prediction: Mapping[str, np.ndarray], palette: Sequence[RGB], opacity: float
    ) -> np.ndarray:
        """See `Task.draw_on`: boxes with their classes and scores."""
        from vidsuite_core.tasks import drawing

        return drawing.with_detections(frame, prediction, palette, self.classes, frame.shape[1])

    def _average_precisions(self, arrays: Arrays) -> list[float]:
        once = np.ones(len(arrays["sample_id"]))
        return [_average_precision(*_match(arrays, k), once) for k in range(len(self.classes))]


def _mean(values: Sequence[float]) -> float:
    """The mean of the classes that have a true box; NaN where none has."""
    defined = [value for value in values if value == value]
    return sum(defined) / len(defined) if defined else float("nan")


def _flatten(boxes: Sequence[Any], labels: Sequence[Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    sizes = [len(rows) for rows in boxes]
    frame = np.repeat(np.arange(len(boxes)), sizes)
    box = np.concatenate(
        [np.asarray(rows, dtype=np.float32).reshape(-1, 4) for rows in boxes] or [np.zeros((0, 4), "f4")]
    )
    label = np.concatenate([np.asarray(rows, dtype=np.int64) for rows in labels] or [np.zeros(0, np.int64)])
    return frame, box, label


def _match(arrays: Arrays, label: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For one class: detections' frames (m,) by falling score, whether each is right (m,), true boxes' frames (g,)."""
    truth = arrays["true_class"] == label
    true_frame, true_box = arrays["true_frame"][truth], arrays["true_box"][truth]
    rows = np.flatnonzero(arrays["class"] == label)
    rows = rows[np.argsort(-arrays["score"][rows], kind="stable")]
    free = np.ones(len(true_frame), dtype=bool)
    right = np.zeros(len(rows), dtype=bool)
    for place, row in enumerate(rows):
        candidates = np.flatnonzero((true_frame == arrays["frame"][row]) & free)
        if len(candidates) == 0:
            continue
        overlaps = _iou(arrays["box"][row], true_box[candidates])
        best = int(overlaps.argmax())
        if overlaps[best] >= IOU:
            right[place], free[candidates[best]] = True, False
    return arrays["frame"][rows], right, true_frame


def _average_precision(frames: np.ndarray, right: np.ndarray, true_frames: np.ndarray, weight: np.ndarray) -> float:
    """Area under the interpolated precision-recall curve; `weight` (N,) says how often each frame counts."""
    positives = weight[true_frames].sum()
    if positives == 0:
        return float("nan")
    hits, seen = np.cumsum(weight[frames] * right), np.cumsum(weight[frames])
    recall = np.concatenate([[0.0], hits / positives])
    precision = np.concatenate([[0.0], hits / np.maximum(seen, 1e-12)])
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall) * envelope[1:]).sum())


def _iou(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    overlap = np.clip(high - low, 0, None).prod(1)
    area = np.prod(box[2:] - box[:2]) + np.prod(others[:, 2:] - others[:, :2], axis=1) - overlap
    return overlap / np.maximum(area, 1e-12)
