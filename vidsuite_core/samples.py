"""Samples: what a task's datasets hand to its models. Paths and numbers only, never pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

Box = tuple[float, float, float, float]
"""x1, y1, x2, y2 in pixels of the frame, x2 and y2 exclusive."""


@dataclass(frozen=True, kw_only=True)
class ClipSample:
    """A clip of a recording and its class (task `clip_classification`).

    Attributes:
        id: unique within the dataset; stored with the prediction.
        subject: the group that no split may divide.
        recording: the recording that the clip is cut from.
        label: index into the dataset's `classes`.
        video: a video file, or the recording's frames in order as image files.
        start, stop: frame range [start, stop) within the video.
        first: the video's frame with which the recording begins.
        fps: frames per second of the recording.
        content: sha256 of the recording's content; what caches are keyed by.
        boxes: regions known beforehand, by label ("bed", "person"), on the recording's first frame.
        value_range: (low, high) that 16-bit or float pixels are scaled from; None means the type's own
            range for 8 bit and the first frame's 0.5 and 99.5 percentiles for 16 bit.
    """

    id: str
    subject: str
    recording: str
    label: int
    video: Path | tuple[Path, ...]
    start: int
    stop: int
    fps: float
    content: str
    first: int = 0
    boxes: Mapping[str, Box] = field(default_factory=dict)
    value_range: tuple[float, float] | None = None

    def __len__(self) -> int:
        return self.stop - self.start
