"""Predictions and true boxes of `action_detection` for others' tools: COCO's JSON and AVA's CSV.

COCO: key frames are images, numbered from 1 as they are stored, classes are categories from 1; boxes are x, y, width,
height. AVA: a row a box with the recording, a time, x1, y1, x2, y2 as shares of the frame, the class from 1, and for
predictions the score. AVA's times are whole seconds; here they are key frames' indices, so that each has its own.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.tasks.detection_boxes import frames

if TYPE_CHECKING:
    from vidsuite_core.tasks.action_detection import ActionDetection
    from vidsuite_core.tasks.base import Arrays, Task
    from vidsuite_core.tasks.detection_tubes import Tubes


def exported(task: ActionDetection, arrays: Arrays, form: str) -> dict[str, str]:
    """Files by name, as text, in the form "coco", "ava" or "tubes".

    Raises:
        VidsuiteError: the form is another, or sizes of frames that AVA's needs are not recorded.
    """
    if form == "coco":
        truth, results = coco_truth(task, arrays), coco_results(arrays)
        return {"truth.json": json.dumps(truth), "results.json": json.dumps(results)}
    if form == "ava":
        labels = "".join(f'label {{\n  name: "{name}"\n  id: {n}\n}}\n' for n, name in enumerate(task.classes, 1))
        return {"truth.csv": ava_truth(arrays), "results.csv": ava_results(arrays), "labels.pbtxt": labels}
    if form == "tubes":
        names = ("results.json", "truth.json")
        found = zip(names, task.tubes(arrays), strict=True)
        return {name: json.dumps(tubes_as_json(task, arrays, tubes)) for name, tubes in found}
    raise VidsuiteError(f"task {task.name} has no form {form!r} to export; there are {', '.join(task.forms)}")


def tubes_as_json(task: Task, arrays: Arrays, tubes: Tubes) -> list[dict[str, Any]]:
    """Each tube with its recording, class, score, frames (indices in the recording) and boxes, xyxy in pixels."""
    found = []
    for tube, (label, score) in enumerate(zip(tubes.label.tolist(), tubes.score.tolist(), strict=True)):
        frame, box = tubes.of(tube)
        video = str(arrays["recording"][frame[0]])
        places, boxes = arrays["position"][frame].tolist(), box.astype(float).tolist()
        found.append({"video": video, "class": task.classes[label], "score": score, "frames": places, "boxes": boxes})
    return found


def coco_truth(task: Task, arrays: Arrays) -> dict[str, Any]:
    """The true boxes as COCO's annotation file has them."""
    boxes = _coco_boxes(arrays["true_box"])
    names = zip(arrays["sample_id"].tolist(), arrays["recording"].tolist(), strict=True)
    positions, sizes = arrays["position"].tolist(), arrays["size"].tolist()
    image = (frames(arrays["true_offset"].astype(np.int64)) + 1).tolist()
    return {
        "images": [
            {"id": n, "file_name": name, "video": video, "frame_id": place, "width": size[0], "height": size[1]}
            for n, ((name, video), place, size) in enumerate(zip(names, positions, sizes, strict=True), 1)
        ],
        "annotations": [
            {"id": n, "image_id": i, "category_id": label + 1, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
            for n, (i, label, box) in enumerate(zip(image, arrays["true_class"].tolist(), boxes, strict=True), 1)
        ],
        "categories": [{"id": n, "name": name} for n, name in enumerate(task.classes, 1)],
    }


def coco_results(arrays: Arrays) -> list[dict[str, Any]]:
    """The detections as COCO's result file has them."""
    image = (frames(arrays["offset"].astype(np.int64)) + 1).tolist()
    rows = zip(image, arrays["class"].tolist(), _coco_boxes(arrays["box"]), arrays["score"].tolist(), strict=True)
    return [{"image_id": i, "category_id": label + 1, "bbox": box, "score": score} for i, label, box, score in rows]


def _coco_boxes(box: np.ndarray) -> list[list[float]]:
    wide = box.astype(np.float64)
    return np.concatenate([wide[:, :2], wide[:, 2:] - wide[:, :2]], axis=1).tolist()


def ava_truth(arrays: Arrays) -> str:
    """The true boxes as AVA's annotation file has them."""
    return _ava(arrays, "true_", [])


def ava_results(arrays: Arrays) -> str:
    """The detections as AVA's result file has them."""
    return _ava(arrays, "", arrays["score"].tolist())


def _ava(arrays: Arrays, prefix: str, scores: Sequence[float]) -> str:
    size = arrays["size"].astype(np.float64)
    if (size <= 0).any():
        raise VidsuiteError("AVA's boxes are shares of the frame, and sizes of frames are not recorded; run it again")
    frame = frames(arrays[f"{prefix}offset"].astype(np.int64))
    share = arrays[f"{prefix}box"].astype(np.float64) / np.tile(size, 2)[frame]
    columns = [arrays["recording"][frame].tolist(), [f"{n:04d}" for n in arrays["position"][frame].tolist()]]
    columns += [[f"{value:.6f}" for value in share[:, i].tolist()] for i in range(4)]
    columns.append([label + 1 for label in arrays[f"{prefix}class"].tolist()])
    columns += [[f"{score:.6f}" for score in scores]] if scores or not prefix else []
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(zip(*columns, strict=True))
    return text.getvalue()
