"""Stored arrays of `action_detection`, by hand and by chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vidsuite_core.tasks.detection_boxes import offsets

Arrays = dict[str, np.ndarray]


def names(count: int, subjects: int | None = None) -> Arrays:
    """The columns that all tasks share."""
    ids = np.array([f"sample {n}" for n in range(count)])
    subject = np.array([f"s{n % (subjects or count)}" for n in range(count)])
    return {"sample_id": ids, "subject": subject, "recording": subject}


def detections(true: Sequence[tuple[int, int, Sequence[float]]], found: Sequence[tuple[Any, ...]], n: int) -> Arrays:
    """Stored arrays of n frames: `true` are (frame, class, box), `found` are (frame, class, score, box)."""
    true, found = (sorted(rows, key=lambda row: row[0]) for rows in (true, found))
    return {
        **names(n),
        "position": np.arange(n),
        "size": np.full((n, 2), 640),
        "true_offset": offsets([sum(t[0] == frame for t in true) for frame in range(n)]),
        "true_class": np.array([t[1] for t in true], int),
        "true_box": np.array([t[2] for t in true], "f4").reshape(-1, 4),
        "offset": offsets([sum(f[0] == frame for f in found) for frame in range(n)]),
        "class": np.array([f[1] for f in found], int),
        "score": np.array([f[2] for f in found], "f4"),
        "box": np.array([f[3] for f in found], "f4").reshape(-1, 4),
    }


def random_detections(
    seed: int, frames: int = 12, classes: int = 3, spread: float = 40, apart: float = 100, most: int = 3
) -> Arrays:
    """Up to three true boxes in a row, less `apart` the more they overlap, in most frames, and up to `most` detections
    that hit each, some of another class."""
    rng = np.random.default_rng(seed)
    true, found = [], []
    for frame in range(frames):
        for place in range(rng.integers(0, 4)):
            corner = np.array([apart * place, rng.uniform(0, spread)])
            box = np.concatenate([corner, corner + rng.uniform(20, 60, 2)])
            true.append((frame, int(rng.integers(classes)), box))
            for _ in range(rng.integers(0, most)):
                moved = box + rng.normal(0, 6, 4)
                moved[2:] = np.maximum(moved[2:], moved[:2] + 1)
                label = true[-1][1] if rng.random() < 0.8 else int(rng.integers(classes))
                found.append((frame, label, rng.random(), moved))
        if rng.random() < 0.3:
            stray = np.concatenate([rng.uniform(0, 50, 2), rng.uniform(60, 110, 2)])
            found.append((frame, int(rng.integers(classes)), rng.random(), stray))
    return detections(true, found, frames)


def in_recordings(arrays: Arrays, length: int) -> Arrays:
    """The same, every `length` frames a recording of their own."""
    place = np.arange(len(arrays["sample_id"]))
    recording = np.array([f"video {n // length}" for n in place])
    return {**arrays, "recording": recording, "subject": recording, "position": place % length}


def of_frame(arrays: Arrays, frame: int, prefix: str = "") -> slice:
    """The rows of a frame's detections, or with the prefix "true_" of its true boxes."""
    offset = arrays[f"{prefix}offset"]
    return slice(int(offset[frame]), int(offset[frame + 1]))
