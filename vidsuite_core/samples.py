"""Samples: what a task's datasets hand to its models. Paths and numbers only, never pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

VOID = 255
"""In label maps: a pixel that belongs to no class, trains nothing and is not scored."""

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


@dataclass(frozen=True, kw_only=True)
class FrameSequence:
    """Consecutive frames at a steady rate, labelled or not (task `video_segmentation`).

    Attributes:
        name: unique within the dataset.
        frames: a video file, or the frames in order as image files.
        length: number of frames.
        fps: frames per second.
        content: differs wherever the frames do: their sha256, or for large sets a hash of names and sizes.
            What caches are keyed by.
    """

    name: str
    frames: Path | tuple[Path, ...]
    length: int
    fps: float
    content: str


@dataclass(frozen=True, kw_only=True)
class FrameSample:
    """A labelled frame in its sequence (task `video_segmentation`).

    Attributes:
        id: unique within the dataset; stored with the prediction.
        subject: the group that no split may divide (the drive, the place).
        sequence: the frames among which it stands; those before it may serve as context, labelled or not.
        index: which of the sequence's frames it is, from 0.
        labels: 8 or 16 bit PNG (H, W) of the frame's size.
        label_of: class of each value in `labels`, for files that hold other numbers than classes;
            a value that is missing is void. Without it, 255 is.
        split: "train", "val" or "test" where the dataset brings a split of its own.
    """

    id: str
    subject: str
    sequence: FrameSequence
    index: int
    labels: Path
    label_of: Mapping[int, int] | None = None
    split: str = ""

    @property
    def recording(self) -> str:
        """The sequence's name."""
        return self.sequence.name
