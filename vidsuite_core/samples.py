"""What datasets hand to models: recordings, and samples that are parts of them. Paths and numbers only, never pixels.

A sample refers to its `Recording` and counts that recording's frames from 0; what is known of the whole recording
(files, subject, times) is held once, however many samples are cut from it.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Self, TypeAlias, overload

import numpy as np

from vidsuite_core.errors import VidsuiteError

VOID = 255
"""In label maps: a pixel that belongs to no class, trains nothing and is not scored."""

Box = tuple[float, float, float, float]
"""x1, y1, x2, y2 in pixels of the frame, x2 and y2 exclusive."""


@dataclass(frozen=True, slots=True)
class ImageFiles(Sequence[Path]):
    """A recording's frames in order as image files: names below one folder, in a twentieth of the memory of paths."""

    folder: Path
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Path(self.folder))
        object.__setattr__(self, "names", tuple(self.names))

    @overload
    def __getitem__(self, index: int) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> ImageFiles: ...
    def __getitem__(self, index: int | slice) -> Path | ImageFiles:
        if isinstance(index, slice):
            return ImageFiles(self.folder, self.names[index])
        return self.folder / self.names[index]

    def __len__(self) -> int:
        return len(self.names)


Frames: TypeAlias = "Path | Sequence[Path] | np.ndarray"
"""Where frames lie: a video file, image files, or memory: uint8 or uint16 (T, H, W, C) with C = 1 or 3."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Recording:
    """Frames of one subject, or of one place, that follow on one another.

    Attributes:
        name: unique within the dataset.
        subject: the group that no split may divide (the patient, the drive, the place).
        planes: the frames of each focal plane, in order of depth; one for ordinary video. Frame n of all planes was
            taken at the same time.
        frames: how many there are.
        fps: frames per second; where `times` are given, on average.
        times: seconds of each frame, rising; None for frames at a steady rate, the first at 0.
        content: differs wherever the frames do: their sha256, or for large sets a hash of names and sizes. What caches
            are keyed by.
        first: the planes' frame with which the recording begins: its frame n is number `first` + n of a plane.
        value_range: (low, high) that pixels are scaled from to 8 bit; None leaves 8-bit pixels as they are, and takes
            the first frame's 0.5 and 99.5 percentiles for 16 bit.
        regions: boxes by name ("bed", "well") that hold for the whole recording, in pixels of its first frame.
        seek: False for video files whose frames must be reached by decoding all before them, as `media.examine` says.

    Raises:
        VidsuiteError: no plane or frame, or times and rate that cannot be.
    """

    name: str
    subject: str
    planes: tuple[Frames, ...]
    frames: int
    fps: float
    content: str
    times: tuple[float, ...] | None = None
    first: int = 0
    value_range: tuple[float, float] | None = None
    regions: Mapping[str, Box] = field(default_factory=dict)
    seek: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.planes, tuple) or not self.planes or self.frames < 1 or self.first < 0:
            raise VidsuiteError(f"recording {self.name!r} needs a tuple of planes, frames, and first of 0 or more")
        if not 0 < self.fps < math.inf:
            raise VidsuiteError(f"recording {self.name!r} has {self.fps} frames a second; give its rate, above 0")
        if self.times is None:
            return
        times = tuple(map(float, self.times))
        object.__setattr__(self, "times", times)
        if len(times) != self.frames:
            raise VidsuiteError(f"recording {self.name!r} has {len(times)} times for {self.frames} frames")
        if not all(before < after for before, after in pairwise((-math.inf, *times, math.inf))):
            raise VidsuiteError(f"recording {self.name!r} has times that do not rise, or are not finite")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recording) and self._compared() == other._compared()

    def __hash__(self) -> int:  # that of all fields would go through all frames' names
        return hash((self.name, self.content, self.frames))

    def _compared(self) -> tuple[object, ...]:
        """What makes two recordings the same one; frames in memory are the same only where they are one array."""
        planes = tuple(id(plane) if hasattr(plane, "dtype") else plane for plane in self.planes)
        return planes, *(getattr(self, each.name) for each in fields(self) if each.name != "planes")

    def time(self, index: int) -> float:
        """Seconds of frame `index`."""
        return index / self.fps if self.times is None else self.times[index]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """What all samples have.

    Attributes:
        id: unique within the dataset; stored with the prediction.
        footage: the recording that the sample is a part of.
        split: "train", "val" or "test" where the dataset brings a split of its own.
        truth: the fields that say what is to be predicted; all of them are None in a sample whose labels are kept back.
    """

    truth: ClassVar[tuple[str, ...]] = ()

    id: str
    footage: Recording
    split: str = ""

    @property
    def subject(self) -> str:
        """The recording's."""
        return self.footage.subject

    @property
    def recording(self) -> str:
        """The recording's name."""
        return self.footage.name

    @property
    def labelled(self) -> bool:
        """Whether it says what is to be predicted."""
        return all(getattr(self, name) is not None for name in self.truth)

    def unlabelled(self) -> Self:
        """The sample without its labels."""
        nothing: dict[str, Any] = dict.fromkeys(self.truth)
        return replace(self, **nothing)

    def _check(self, *places: int) -> None:
        """Refuse places among frames that the recording does not have."""
        if min(places, default=0) < 0 or max(places, default=0) > self.footage.frames:
            raise VidsuiteError(f"sample {self.id!r} names frames beyond its recording's {self.footage.frames}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipSample(Sample):
    """A clip of a recording and its class (task `clip_classification`).

    Attributes:
        label: index into the dataset's `classes`; None where it is kept back.
        start, stop: the recording's frames [start, stop).
        seconds: from when to when, by the recording's times, a clip that is resampled is shown; None is as long as its
            frames are.
    """

    truth: ClassVar[tuple[str, ...]] = ("label",)

    label: int | None
    start: int
    stop: int
    seconds: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        self._check(self.start, self.stop)
        if self.start >= self.stop:
            raise VidsuiteError(f"sample {self.id!r} is a clip of no frames, {self.start} to {self.stop}")
        if self.seconds is not None and not self.seconds[0] < self.seconds[1]:
            raise VidsuiteError(
                f"sample {self.id!r} is shown from {self.seconds[0]} to {self.seconds[1]} s; end it later"
            )

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameSample(Sample):
    """A labelled frame in its recording (task `video_segmentation`).

    Frames before it may serve as context, labelled or not.

    Attributes:
        index: which of the recording's frames it is.
        labels: 8 or 16 bit PNG (H, W) of the frame's size; None where it is kept back.
        label_of: class of each value in `labels`, for files that hold other numbers than classes;
            a value that is missing is void. Without it, 255 is.
    """

    truth: ClassVar[tuple[str, ...]] = ("labels",)

    index: int
    labels: Path | None
    label_of: Mapping[int, int] | None = None

    def __post_init__(self) -> None:
        self._check(self.index, self.index + 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class MomentsSample(Sample):
    """A recording that is seen in moments, and its class (task `early_prediction`).

    Attributes:
        label: 0 or 1; None where it is kept back.
        moments: for each of T moments the frames [start, stop) of which one stands for it, in order; an empty range is
            a padded moment: the recording has ended, or has no frame there.
    """

    truth: ClassVar[tuple[str, ...]] = ("label",)

    label: int | None
    moments: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        self._check(*(place for start, stop in self.moments if start < stop for place in (start, stop)))
        if not any(self.counts):
            raise VidsuiteError(f"sample {self.id!r} has no moment with a frame")

    def __len__(self) -> int:
        return len(self.moments)

    @property
    def counts(self) -> tuple[bool, ...]:
        """Which moments count: all that are not padded."""
        return tuple(start < stop for start, stop in self.moments)


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyFrameSample(Sample):
    """A key frame and what is done in it (task `action_detection`); the clip that a model sees ends with it.

    Attributes:
        index: which of the recording's frames it is.
        boxes: of each action, none or several; None where they are kept back.
        classes: of each action, an index into the dataset's `classes`; None likewise.
    """

    truth: ClassVar[tuple[str, ...]] = ("boxes", "classes")

    index: int
    boxes: tuple[Box, ...] | None = ()
    classes: tuple[int, ...] | None = ()

    def __post_init__(self) -> None:
        self._check(self.index, self.index + 1)
        boxes, classes = (-1 if value is None else len(value) for value in (self.boxes, self.classes))
        if boxes != classes:
            raise VidsuiteError(f"sample {self.id!r} has {max(boxes, 0)} boxes and {max(classes, 0)} classes")


def split_by_time(recording: Recording, edges: Iterable[float]) -> tuple[tuple[int, int], ...]:
    """The frames [start, stop) within each of the intervals that rising `edges` (seconds) bound: [a, b), [b, c), ...

    An interval without a frame gives an empty range, as `MomentsSample.moments` takes it.
    """
    return tuple(pairwise(bisect_left(range(recording.frames), edge, key=recording.time) for edge in edges))
