"""What `action_detection` costs: scores, intervals and tubes of many frames, beside pycocotools on the same boxes.

    python benchmarks/speed/detection.py                       # 100,000 frames of 1,000 recordings, 24 classes
    python benchmarks/speed/detection.py --frames 20000 --json found.json

pycocotools needs `pip install vidsuite[test]`; where it is not there, only its column is missing.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from vidsuite_core.tasks.action_detection import ActionDetection
from vidsuite_core.tasks.detection_boxes import offsets
from vidsuite_core.tasks.detection_export import coco_results, coco_truth

Arrays = dict[str, np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--recording", type=int, default=100, help="frames of a recording")
    parser.add_argument("--detections", type=float, default=10, help="detections of a frame, on average")
    parser.add_argument("--classes", type=int, default=24)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    arrays = made(options.frames, options.recording, options.detections, options.classes)
    task = ActionDetection([f"class {k}" for k in range(options.classes)])
    print(f"{options.frames} frames, {len(arrays['true_class'])} true boxes, {len(arrays['score'])} detections")
    steps: dict[str, Callable[[], Any]] = {
        "check": lambda: task.check(arrays),
        "every score": lambda: task.score(arrays),
        "of which tubes": lambda: task.tubes(arrays),
        "intervals (leave one out)": lambda: task.leave_one_out(arrays),
        "tables and curves": lambda: task.shown([arrays]),
    }
    found = {name: timed(name, step) for name, step in steps.items()}
    found |= pycocotools_times(task, arrays)
    if options.json:
        options.json.write_text(
            json.dumps({"options": {**vars(options), "json": None}, "processor_seconds": found}, indent=1)
        )


def timed(name: str, step: Callable[[], Any]) -> float:
    start, cpu = time.perf_counter(), time.process_time()
    step()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    print(f"{name:28} {seconds:8.2f} s, {cpu:8.2f} s of a processor", flush=True)
    return cpu


def made(frames: int, length: int, detections: float, classes: int) -> Arrays:
    """Predictions of recordings in each of which one or two things move; half of the detections are near them."""
    rng = np.random.default_rng(0)
    recording = np.arange(frames) // length
    count = rng.integers(0, 3, frames)
    frame = np.repeat(np.arange(frames), count)
    corner = 60 * rng.random((len(frame), 2)) + 20 * (np.arange(len(frame))[:, None] % 7)
    true = np.concatenate([corner, corner + rng.uniform(20, 200, (len(frame), 2))], axis=1)
    label = (recording[frame] + rng.integers(0, 2, len(frame))) % classes
    near = np.repeat(np.arange(len(frame)), rng.poisson(detections / 2, len(frame)))
    far = np.repeat(np.arange(frames), rng.poisson(detections / 2, frames))
    stray = rng.uniform(0, 200, (len(far), 2))
    box = np.concatenate([true[near] + rng.normal(0, 8, (len(near), 4)), np.hstack([stray, stray + 60])])
    of_frame = np.concatenate([frame[near], far])
    named = np.where(rng.random(len(near)) < 0.7, label[near], rng.integers(0, classes, len(near)))
    of_class = np.concatenate([named, rng.integers(0, classes, len(far))])
    order = np.argsort(of_frame, kind="stable")
    box[:, 2:] = np.maximum(box[:, 2:], box[:, :2] + 1)
    names = np.array([f"video {n}" for n in range(recording[-1] + 1)])[recording]
    return {
        "sample_id": np.array([f"frame {n}" for n in range(frames)]),
        "subject": names,
        "recording": names,
        "position": np.arange(frames) % length,
        "size": np.full((frames, 2), 640, np.int32),
        "true_offset": offsets(np.bincount(frame, minlength=frames)),
        "true_box": true.astype(np.float32),
        "true_class": label.astype(np.int32),
        "offset": offsets(np.bincount(of_frame, minlength=frames)),
        "box": box[order].astype(np.float32),
        "score": rng.random(len(order)).astype(np.float32),
        "class": of_class[order].astype(np.int32),
    }


def pycocotools_times(task: ActionDetection, arrays: Arrays) -> dict[str, float]:
    """What pycocotools takes for AP at ten thresholds and four ranges of areas, and whether both agree."""
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError:
        print("pycocotools is not installed")
        return {}
    truth, results = coco_truth(task, arrays), coco_results(arrays)
    with contextlib.redirect_stdout(io.StringIO()):
        loaded = COCO()
        loaded.dataset = truth
        loaded.createIndex()
        found = loaded.loadRes(results)
        evaluation = COCOeval(loaded, found, "bbox")
    seconds = timed("pycocotools", lambda: (quietly(evaluation.evaluate), quietly(evaluation.accumulate)))
    precision = evaluation.eval["precision"][0, :, :, 0, 2]
    apart = abs(float(precision[precision > -1].mean()) - task.score(arrays)["coco/frame_map"])
    print(f"frame-mAP @0.5 of both is the same to {apart:.1e}")
    return {"pycocotools": seconds}


def quietly(step: Callable[[], Any]) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        step()


if __name__ == "__main__":
    main()
