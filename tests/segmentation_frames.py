"""Frames and stored arrays of `video_segmentation` for tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vidsuite_core.samples import VOID
from vidsuite_core.tasks.video_segmentation import VideoSegmentation

Arrays = dict[str, np.ndarray]


def frame(sequence: str, position: int, *, true: Any, found: Any, **more: Any) -> dict[str, Any]:
    """What the engine tells of a predicted frame; labels beyond 255 are void."""
    maps = {"pred_sem_seg": np.asarray(found, np.int64), "gt_sem_seg": np.minimum(true, VOID).astype(np.uint8)}
    return {
        "sample_id": f"{sequence}/{position}",
        "sequence": sequence,
        "position": position,
        "scored": True,
        "latency": 0.03,
        **{name: {"data": labels[None]} for name, labels in maps.items()},
        **more,
    }


def arrays_of(task: VideoSegmentation, frames: Sequence[dict[str, Any]], fps: float = 20) -> Arrays:
    """Stored arrays of frames, each sequence a subject."""
    reducer = task.reducer([])
    reduced = [reducer.add(one) for one in frames]
    scored = [one for one in frames if one["scored"]]
    subject = np.array([one["sequence"] for one in scored], str)
    return {
        "sample_id": np.array([one["sample_id"] for one in scored], str),
        "subject": subject,
        "recording": subject,
        "position": np.array([one["position"] for one in scored], np.int32),
        "fps": np.full(len(scored), float(fps)),
        **task.predictions([one for one in reduced if one is not None]),
    }


def random_maps(seed: int, frames: int, classes: int, shape: tuple[int, int] = (12, 16)) -> np.ndarray:
    """Label maps (frames, H, W) of blocks that drift by a pixel a frame."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, classes, (shape[0] // 4, shape[1] // 4)).astype(np.uint8)
    still = blocks.repeat(4, axis=0).repeat(4, axis=1)
    return np.stack([np.roll(still, n, axis=1) for n in range(frames)])


def random_arrays(seed: int, sequences: int = 5, length: int = 4, classes: int = 4) -> Arrays:
    """Stored arrays of sequences in turn: frame 0 of each, frame 1 of each, and so on."""
    rng = np.random.default_rng(seed)
    frames = []
    for sequence in range(sequences):
        for position, true in enumerate(random_maps(100 * seed + sequence, length, classes)):
            wrong = rng.random(true.shape) < 0.05 * (sequence + 1)
            found = np.where(wrong, rng.integers(0, classes, true.shape), true)
            void = np.where(rng.random(true.shape) < 0.1, VOID, true)
            frames.append(frame(f"s{sequence}", position, true=void, found=found))
    arrays = arrays_of(VideoSegmentation([str(k) for k in range(classes)]), frames)
    order = np.argsort(arrays["position"], kind="stable")
    return {name: column[order] for name, column in arrays.items()}
