"""From frames of a recording to 8-bit pixels at the size that a model sees: the one reader of all tasks.

Each frame is scaled and framed as it is decoded, so that a clip takes the memory of what is shown of it, however large
its frames are.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import av
import cv2
import numpy as np

from vidsuite_core.errors import UsageError
from vidsuite_core.media import open_video, probe
from vidsuite_core.media.framing import AS_STORED, Framing
from vidsuite_core.samples import Frames, Recording

READER = [3, av.__version__, cv2.__version__]
"""Version of this reader and of what decodes and resizes for it: FFmpeg's releases differ in colour conversion."""
PERCENTILES = (0.5, 99.5)
"""Of the recording's first frame: the range that 16-bit pixels are scaled from, where none is given."""
CHUNK = 16
"""Frames that are decoded at once where single ones are asked for: they come in runs, and seeking is what costs."""

_Key = tuple[str, str, int, Framing, int]


class Reader:
    """Reads frames of recordings.

    Args:
        memory: bytes of frames to keep for later reads, the newest; 0 keeps none. Where there is some, a few frames of
            a video file bring those around them along. Recordings in memory are not kept again.
    """

    def __init__(self, memory: int = 0) -> None:
        self.memory = memory
        self._kept: OrderedDict[_Key, np.ndarray] = OrderedDict()
        self._bytes = 0

    def read(
        self, recording: Recording, indices: Sequence[int], framing: Framing = AS_STORED, plane: int | None = None
    ) -> np.ndarray:
        """Frames of one focal plane, uint8 (T, h, w, c) in the order of `indices`, which may repeat.

        Args:
            recording: where they are from.
            indices: numbers of the recording's frames, from 0, at least one.
            framing: how they are shown.
            plane: index into the recording's planes; None is the middle one.

        Raises:
            UsageError: there is no such plane or frame.
            VideoError: a frame is missing or cannot be decoded.
        """
        plane = middle_plane(recording) if plane is None else plane
        if not 0 <= plane < len(recording.planes):
            raise UsageError(f"recording {recording.name!r} has {len(recording.planes)} focal planes, no plane {plane}")
        wanted = sorted(set(indices))
        if not wanted or wanted[0] < 0 or wanted[-1] >= recording.frames:
            asked = f"{wanted[0]} to {wanted[-1]}" if wanted else "none"
            raise UsageError(f"recording {recording.name!r} has frames 0 to {recording.frames - 1}; asked for {asked}")
        places: dict[int, list[int]] = {}
        for place, index in enumerate(indices):
            places.setdefault(index, []).append(place)
        clip: np.ndarray | None = None
        for index, frame in self._frames(recording, wanted, framing, plane):
            if clip is None:
                clip = np.empty((len(indices), *frame.shape), np.uint8)
            clip[places[index]] = frame
        assert clip is not None
        return clip

    def frame(
        self, recording: Recording, index: int, framing: Framing = AS_STORED, plane: int | None = None
    ) -> np.ndarray:
        """One frame, uint8 (h, w, c), the caller's own; see `read`."""
        one: np.ndarray = self.read(recording, [index], framing, plane)[0]
        return one

    def _frames(
        self, recording: Recording, wanted: list[int], framing: Framing, plane: int
    ) -> Iterator[tuple[int, np.ndarray]]:
        """(index, frame) of each of the rising numbers `wanted`, in any order."""
        missing = []
        for index in wanted:
            key = (recording.content, recording.name, plane, framing, index)
            if key in self._kept:
                self._kept.move_to_end(key)
                yield index, self._kept[key]
            else:
                missing.append(index)
        asked = set(missing)
        for index, frame in _decoded(recording, self._runs(recording, missing, plane), framing, plane):
            if index in asked:
                yield index, frame
            if self.memory and not isinstance(recording.planes[plane], np.ndarray):
                self._keep((recording.content, recording.name, plane, framing, index), frame)

    def _runs(self, recording: Recording, missing: list[int], plane: int) -> list[range]:
        """What to decode so as to have the frames `missing`."""
        runs: list[range] = []
        for index in missing:
            start, stop = index, index + 1
            if runs and index < runs[-1].stop:
                continue
            if runs and index == runs[-1].stop:
                runs[-1] = range(runs[-1].start, stop)
                continue
            if self.memory and isinstance(recording.planes[plane], Path):
                start -= start % CHUNK
                stop = min(start + CHUNK, recording.frames)
            runs.append(range(start, stop))
        return runs

    def _keep(self, key: _Key, frame: np.ndarray) -> None:
        if key in self._kept:
            self._bytes -= self._kept.pop(key).nbytes
        self._kept[key] = frame
        self._bytes += frame.nbytes
        while self._bytes > self.memory and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1].nbytes


@lru_cache(maxsize=1)
def shared_reader() -> Reader:
    """The reader with a memory that all pipelines of a process share: those of training and of validation, too."""
    return Reader(memory=256 * 2**20)


def middle_plane(recording: Recording) -> int:
    """The plane that stands for all where one is asked for."""
    return len(recording.planes) // 2


def frame_size(recording: Recording) -> tuple[int, int]:
    """(height, width) of the recording's frames as they are decoded."""
    plane = recording.planes[middle_plane(recording)]
    return (plane.shape[1], plane.shape[2]) if isinstance(plane, np.ndarray) else _probed_size(recording)


@lru_cache(maxsize=4096)
def _probed_size(recording: Recording) -> tuple[int, int]:
    info = probe(recording.planes[middle_plane(recording)])
    return info.height, info.width


def first_frame(recording: Recording) -> np.ndarray:
    """The recording's first frame as uint8 RGB (H, W, 3)."""
    return Reader().frame(recording, 0, Framing(channels=3))


def to_uint8(frames: np.ndarray, recording: Recording) -> np.ndarray:
    """Frames of any integer type and shape -> uint8, scaled from the recording's `value_range`, which see."""
    if frames.dtype == np.uint8 and recording.value_range is None:
        return frames
    low, high = recording.value_range or first_frame_range(recording)
    scaled = (frames.astype(np.float32) - low) * (255 / max(high - low, 1e-6))
    return np.clip(scaled, 0, 255).round().astype(np.uint8)


def first_frame_range(recording: Recording) -> tuple[float, float]:
    """`PERCENTILES` of a recording's first frame, on its middle plane: one range for all planes."""
    plane = recording.planes[middle_plane(recording)]
    # What remembers a recording in memory would keep it there.
    return (_read_range.__wrapped__ if isinstance(plane, np.ndarray) else _read_range)(recording)


@lru_cache(maxsize=4096)
def _read_range(recording: Recording) -> tuple[float, float]:
    with open_video(recording.planes[middle_plane(recording)], seek=recording.seek) as video:
        low, high = np.percentile(video.read(recording.first, recording.first + 1), PERCENTILES)
    return float(low), float(high)


def _decoded(recording: Recording, runs: list[range], framing: Framing, plane: int) -> Iterator[tuple[int, np.ndarray]]:
    """(index, frame as it is shown) of the frames of rising runs."""
    if not runs:
        return
    source: Frames = recording.planes[plane]
    with open_video(source, seek=recording.seek) as video:
        for run in runs:
            frames = video.frames(recording.first + run.start, recording.first + run.stop)
            for index, frame in zip(run, frames, strict=True):
                yield index, framing.apply(to_uint8(frame, recording))
