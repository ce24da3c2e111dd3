"""`action_detection`: boxes with an action in key frames, any number of them in each.

Stored arrays, for N key frames with G true boxes and M detections; boxes are xyxy in pixels of the frame:

- `position` (N,) the key frame's index in its recording, `size` (N, 2) its width and height, 0 where not known.
- `true_offset` (N + 1,), `true_box` (G, 4), `true_class` (G,): frame i has the true boxes [offset[i], offset[i + 1]).
- `offset` (N + 1,), `box` (M, 4), `score` (M,), `class` (M,): its detections likewise.

First score: frame-mAP at IoU 0.5, by VOC's convention.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.tasks.base import ScoreInfo, Task, check_samples, require
from vidsuite_core.tasks.detection_boxes import flattened, frames, taken
from vidsuite_core.tasks.detection_errors import CONFIDENCE, KINDS, Judged, judged
from vidsuite_core.tasks.detection_export import exported
from vidsuite_core.tasks.detection_matching import (
    CONVENTIONS,
    SIZES,
    STRICT,
    Scene,
    average_precisions,
    mean_of,
    means_without,
    ranked,
)
from vidsuite_core.tasks.detection_shown import conventions, curves, errors
from vidsuite_core.tasks.detection_tubes import Runs, Tubes, fits, link, ranked_tubes, runs_of, true_tubes
from vidsuite_core.tasks.shown import Shown

if TYPE_CHECKING:
    from vidsuite_core.media.overlay import RGB
    from vidsuite_core.samples import KeyFrameSample
    from vidsuite_core.tasks.base import Arrays

TOP = (5, 24)
"""How many of the most frequent classes there are means over, beside that over all."""
_RAGGED = {"true_offset": ("true_box", "true_class"), "offset": ("box", "score", "class")}


class ActionDetection(Task):
    """Average precision of boxes and of tubes, and what a detector does at a stated confidence.

    - `frame_map`: average precision of each class at IoU 0.5, averaged over the classes that have a true box, by VOC's
      convention (`voc`): a detection is right if the true box of its class that it overlaps most is not taken yet by a
      more confident one. `frame_map_75` and `frame_map_50_95` are at 0.75, and the mean of 0.5, 0.55, ... 0.95;
      `top5/frame_map` and `top24/frame_map` are means over the most frequent classes alone.
    - `coco/...`, `yowo/...`, `multisports/...`, `ava/...`: the same predictions by other evaluators' conventions, see
      `vidsuite_core.tasks.detection_matching`; `coco/small`, `medium` and `large` by the area of true boxes.
    - `video_map`: average precision of tubes at overlap 0.5, `video_map_20` at 0.2; see `detection_tubes`. Not defined
      where no two key frames follow on one another.
    - `precision`, `recall`: of detections with a confidence of at least 0.25, at IoU 0.5.
    - `localisation_recall`: true boxes that such a detection of whatever class overlaps by more than 0.5;
      `classification_accuracy`: of these, those where the class of the one that overlaps most is right, as YOWO's
      evaluation has both.
    """

    name = "action_detection"
    version = 2
    first_score = "frame_map"
    streamer = "vidsuite_core.engine.streaming:KeyFrameStreamer"
    unit = "recording"
    forms = ("coco", "ava", "tubes")
    answers = ("position", "size", "offset", "box", "score", "class")
    scores: ClassVar[tuple[ScoreInfo, ...]] = (
        ScoreInfo("frame_map", "frame-mAP @0.5"),
        ScoreInfo("video_map", "video-mAP @0.5"),
        ScoreInfo("precision", f"precision @{CONFIDENCE}"),
        ScoreInfo("recall", f"recall @{CONFIDENCE}"),
        ScoreInfo("localisation_recall", "localisation recall"),
        ScoreInfo("classification_accuracy", "classification accuracy"),
        ScoreInfo("frame_map_75", "frame-mAP @0.75", in_tables=False),
        ScoreInfo("frame_map_50_95", "frame-mAP @0.5:0.95", in_tables=False),
        ScoreInfo("video_map_20", "video-mAP @0.2", in_tables=False),
        *(ScoreInfo(f"top{k}/frame_map", f"frame-mAP @0.5, top {k} classes", in_tables=False) for k in TOP),
        *(
            ScoreInfo(f"{name}/frame_map", f"frame-mAP @0.5 ({name})", in_tables=False)
            for name in CONVENTIONS
            if name != "voc"
        ),
        ScoreInfo("coco/frame_map_50_95", "frame-mAP @0.5:0.95 (coco)", in_tables=False),
        *(ScoreInfo(f"coco/{size}", f"frame-mAP @0.5 (coco), {size} boxes", in_tables=False) for size in SIZES),
    )

    def targets(self, samples: Sequence[KeyFrameSample]) -> dict[str, np.ndarray]:
        """`position`, and each sample's `boxes` (n, 4) and `classes` (n,)."""
        offset, box, label = flattened([sample.boxes for sample in samples], [sample.classes for sample in samples])
        return {**self.places(samples), "true_offset": offset, "true_box": box, "true_class": label}

    def places(self, samples: Sequence[KeyFrameSample]) -> dict[str, np.ndarray]:
        """`position`."""
        return {"position": np.array([sample.index for sample in samples], np.int64)}

    def predictions(self, outputs: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
        """From each output's `pred_instances`: `bboxes` (m, 4), `scores` (m,), `labels` (m,), as mmdet names them.

        `size` comes from `ori_shape` (height, width), where an output has it.
        """
        found = [output["pred_instances"] for output in outputs]
        offset, box, label = flattened([one["bboxes"] for one in found], [one["labels"] for one in found])
        scores = [np.asarray(one["scores"], np.float32).reshape(-1) for one in found]
        sizes = [tuple(output.get("ori_shape", (0, 0)))[1::-1] for output in outputs]
        return {
            "size": np.array(sizes, np.int32).reshape(-1, 2),
            "offset": offset,
            "box": box,
            "score": np.concatenate([np.zeros(0, np.float32), *scores]),
            "class": label,
        }

    def check(self, arrays: Arrays) -> None:
        """See `Task.check`."""
        self.check_answers(arrays)
        self._check_boxes(arrays, "true_offset")
        if not len(arrays["true_class"]):
            raise VidsuiteError("predictions have no true box at all")

    def check_answers(self, arrays: Arrays) -> None:
        """See `Task.check_answers`."""
        count = check_samples(arrays)
        position = require(arrays, "position", "iu", count)
        size = require(arrays, "size", "iu", count, 2)
        if count == 0 or (position < 0).any() or (size < 0).any() or max(position.max(), size.max()) >= 2**31:
            raise VidsuiteError("predictions hold no key frame, or a position or size that cannot be")
        places = np.stack(
            [np.unique(arrays["recording"], return_inverse=True)[1].reshape(-1), position.astype(np.int64)]
        )
        if len(np.unique(places, axis=1).T) != count:
            raise VidsuiteError(
                "predictions name a frame twice: 'recording' and 'position' of two samples are the same"
            )
        self._check_boxes(arrays, "offset")
        if not np.isfinite(arrays["score"]).all():
            raise VidsuiteError("predictions' scores are not finite")

    def _check_boxes(self, arrays: Arrays, offset: str) -> None:
        """Check the boxes that `offset` divides among the frames."""
        box, *columns = _RAGGED[offset]
        rows = require(arrays, box, "f", None, 4).astype(np.float64)
        places = require(arrays, offset, "iu", len(arrays["sample_id"]) + 1)
        _check_offset(places.astype(np.int64), len(rows), offset)
        if not np.isfinite(rows).all() or np.abs(rows).max(initial=0) > 2**31:
            raise VidsuiteError(f"predictions' {box!r} holds boxes that are not finite, or beyond any frame")
        for column in columns:
            require(arrays, column, "f" if column == "score" else "iu", len(rows))
        label = arrays[columns[-1]].astype(np.int64)
        if ((label < 0) | (label >= len(self.classes))).any():
            raise VidsuiteError(f"predictions have a class outside the {len(self.classes)} classes")

    def take(self, arrays: Arrays, rows: np.ndarray) -> dict[str, np.ndarray]:
        """See `Task.take`; boxes go with their frames."""
        rows = np.arange(len(arrays["sample_id"]))[rows]
        found = {name: arrays[name][rows] for name in ("sample_id", "subject", "recording", "position", "size")}
        for name, columns in _RAGGED.items():
            found[name], boxes = taken(arrays[name].astype(np.int64), rows)
            found |= {column: arrays[column][boxes] for column in columns}
        return found

    def truth(self, arrays: Arrays) -> Arrays:
        """See `Task.truth`: frames' places and sizes, true boxes and classes."""
        return {name: arrays[name] for name in ("position", "size", "true_offset", "true_box", "true_class")}

    def score(self, arrays: Arrays) -> dict[str, float]:
        """See the class."""
        scene, runs = self.scene(arrays), _runs(arrays)
        voc, coco = CONVENTIONS["voc"], CONVENTIONS["coco"]
        at = {iou: average_precisions(ranked(scene, voc, iou)) for iou in STRICT}
        most = np.argsort(-scene.positives, kind="stable")
        others = {
            f"{name}/frame_map": mean_of(average_precisions(ranked(scene, one), one.average))
            for name, one in CONVENTIONS.items()
            if name != "voc"
        }
        strict = [average_precisions(ranked(scene, coco, iou), coco.average) for iou in STRICT]
        return {
            "frame_map": mean_of(at[0.5]),
            "frame_map_75": mean_of(at[0.75]),
            "frame_map_50_95": mean_of(np.mean(list(at.values()), axis=0)),
            **_of_tubes(scene, runs),
            **_shares(_judgement_counts(scene, judged(scene)).sum(0)),
            **{f"top{k}/frame_map": mean_of(at[0.5][most[:k]]) for k in TOP},
            **others,
            "coco/frame_map_50_95": mean_of(np.mean(strict, axis=0)),
            **{
                f"coco/{name}": mean_of(average_precisions(ranked(scene, coco, size=size), coco.average))
                for name, size in SIZES.items()
            },
        }

    def details(self, arrays: Arrays) -> dict[str, Any]:
        """Of each class average precision (None where it has no true box), and how many true boxes it has."""
        scene = self.scene(arrays)
        values = average_precisions(ranked(scene, CONVENTIONS["voc"])).tolist()
        return {
            "per_class": {
                label: {"ap": None if ap != ap else ap, "support": float(count)}
                for label, ap, count in zip(self.classes, values, scene.positives.tolist(), strict=True)
            }
        }

    def leave_one_out(self, arrays: Arrays) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """See `Task.leave_one_out`; recordings are the units. What is right does not depend on who is left out."""
        scene = self.scene(arrays)
        names, unit = np.unique(arrays[self.unit], return_inverse=True)
        unit = unit.reshape(-1)
        counts = np.zeros((len(names), 6))
        np.add.at(counts, unit, _judgement_counts(scene, judged(scene)))
        order = ranked(scene, CONVENTIONS["voc"])
        positives = _by_unit(scene.true_label, unit[frames(scene.true_offset)], (scene.classes, len(names)))
        return names, {
            "frame_map": means_without(order, unit[scene.frame[order.rows]], positives),
            "video_map": _tubes_without(scene, _runs(arrays), unit, len(names)),
            **_shares((counts.sum(0) - counts).T),
        }

    def class_use(self, arrays: Arrays) -> np.ndarray:
        """See `Task.class_use`: detections of at least the stated confidence, and true boxes."""
        confident = arrays["score"] >= CONFIDENCE
        counted = (arrays["class"][confident], arrays["true_class"])
        return np.stack([np.bincount(label.astype(np.int64), minlength=len(self.classes)) for label in counted])

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

    def shown(self, cells: Sequence[Arrays]) -> list[Shown]:
        """See `Task.shown`: errors by kind, the conventions side by side, and curves of precision over recall."""
        scenes = [self.scene(arrays) for arrays in cells]
        return [errors(scenes), conventions(scenes), *curves(scenes, self.classes)]

    def export(self, arrays: Arrays, form: str) -> dict[str, str]:
        """See `Task.export` and `detection_export`; "tubes" are those of `detection_tubes`, with the true ones."""
        return exported(self, arrays, form)

    def scene(self, arrays: Arrays) -> Scene:
        """The boxes of stored arrays."""
        label, true_label = (arrays[name].astype(np.int64) for name in ("class", "true_class"))
        offset, true_offset = (arrays[name].astype(np.int64) for name in ("offset", "true_offset"))
        columns = arrays["box"].astype(np.float64), arrays["score"].astype(np.float64), label
        return Scene(
            len(self.classes), true_offset, arrays["true_box"].astype(np.float64), true_label, offset, *columns
        )

    def tubes(self, arrays: Arrays) -> tuple[Tubes, Tubes]:
        """The tubes that the detections of stored arrays are linked to, and the true ones; frames as indices of
        samples."""
        scene, runs = self.scene(arrays), _runs(arrays)
        return link(scene, runs), true_tubes(scene, runs)


def _check_offset(offset: np.ndarray, rows: int, name: str) -> None:
    if offset[0] != 0 or offset[-1] != rows or (np.diff(offset) < 0).any():
        raise VidsuiteError(f"predictions' {name!r} must rise from 0 to the number of boxes, {rows}")


def _runs(arrays: Arrays) -> Runs:
    return runs_of(arrays["recording"], arrays["position"].astype(np.int64))


def _by_unit(label: np.ndarray, unit: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(K, U) how often each label has each unit."""
    return np.bincount(label * shape[1] + unit, minlength=shape[0] * shape[1]).reshape(shape)


def _judgement_counts(scene: Scene, found: Judged) -> np.ndarray:
    """(N, 6) of each frame: right and all confident detections; true boxes found, located, named, and all."""
    count = len(scene.offset) - 1
    of_rows, of_true = scene.frame[found.rows], frames(scene.true_offset)
    columns = [(of_rows, found.kind == KINDS.index("right")), (of_rows, None)]
    columns += [(of_true, found.found), (of_true, found.located), (of_true, found.named), (of_true, None)]
    return np.stack([np.bincount(frame, weights, count) for frame, weights in columns], axis=1).astype(float)


def _shares(counts: np.ndarray) -> Any:
    """Scores (...) of judgement counts (6, ...); NaN of nothing."""
    right, confident, found, located, named, true = counts

    def share(part: np.ndarray, whole: np.ndarray) -> Any:
        with np.errstate(invalid="ignore", divide="ignore"):
            value = np.asarray(part, float) / whole
        return float(value) if value.ndim == 0 else value

    return {
        "precision": share(right, confident),
        "recall": share(found, true),
        "localisation_recall": share(located, true),
        "classification_accuracy": share(named, located),
    }


def _of_tubes(scene: Scene, runs: Runs) -> dict[str, float]:
    if (np.diff(runs.starts) < 2).all():
        return dict.fromkeys(("video_map", "video_map_20"), float("nan"))
    found, true = link(scene, runs), true_tubes(scene, runs)
    best, overlap = fits(found, true, runs)
    positives = np.bincount(true.label, minlength=scene.classes)
    at = {iou: ranked_tubes(found, best, overlap, positives, iou) for iou in (0.5, 0.2)}
    means = [mean_of(average_precisions(order)) for order in at.values()]
    return dict(zip(("video_map", "video_map_20"), means, strict=True))


def _tubes_without(scene: Scene, runs: Runs, unit: np.ndarray, units: int) -> np.ndarray:
    """(U,) video-mAP without each unit; a run is of one recording."""
    if (np.diff(runs.starts) < 2).all():
        return np.full(units, np.nan)
    found, true = link(scene, runs), true_tubes(scene, runs)
    of_run = unit[runs.order[runs.starts[:-1]]]
    positives = _by_unit(true.label, of_run[true.run], (scene.classes, units))
    order = ranked_tubes(found, *fits(found, true, runs), positives.sum(1), 0.5)
    return means_without(order, of_run[found.run[order.rows]], positives)
