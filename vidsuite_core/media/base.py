"""What video files and folders of frames have in common: the reader's interface and its limits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain
from types import TracebackType
from typing import Literal

import numpy as np

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.media.times import Times

MAX_FRAME_PIXELS = 2**28
"""Frames of more pixels (16384 x 16384) are refused before they are decoded."""

MAX_READ_BYTES = 4 * 2**30
"""What one `read` may take (4 GiB, about 28,000 RGB frames of 224 x 224); iterate over `frames` for more."""


class VideoError(VidsuiteError):
    """A video cannot be opened, is damaged, or was asked for frames that it does not have."""


RateFrom = Literal["container", "stream", "invented", "none"]


@dataclass(frozen=True)
class VideoInfo:
    """What a video's frames look like.

    Attributes:
        frames: their number where it is known for sure without decoding; `count_frames` always tells.
        fps: frames per second, on average, as the file states it; 0.0 where it does not, as for image files.
        width, height: in pixels, upright as players show them; no pixel aspect ratio is applied.
        channels: 1 (grey) or 3 (RGB).
        dtype: "uint8", or "uint16" for grey or RGB stored with more than 8 bits a sample.
        rate: where `fps` comes from: "container" (its header or its frames' time stamps), "stream" (the coded stream's
            own), "invented" (the file says nothing, and FFmpeg would make one up: `fps` is 0.0), or "none".
        constant: whether frames can be counted for seconds; None as long as nobody asked for `Video.times`.
        notes: what whoever brings the file in should be told of its pictures.
    """

    frames: int | None
    fps: float
    width: int
    height: int
    channels: Literal[1, 3]
    dtype: Literal["uint8", "uint16"]
    rate: RateFrom = "none"
    constant: bool | None = None
    notes: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C) of a frame."""
        return self.height, self.width, self.channels

    @property
    def frame_bytes(self) -> int:
        """Bytes of a decoded frame."""
        return self.width * self.height * self.channels * (2 if self.dtype == "uint16" else 1)


View = tuple["np.ndarray", bool]
"""The pixels of a frame (H, W, C), and whether they are fresh: in memory that nothing else refers to."""


class Video(ABC):
    """An open video, a context manager; one thread at a time may use it.

    Frame n is the n-th (from 0) that decoding from the start gives, however it is reached.
    """

    def __init__(self, name: str, info: VideoInfo | None) -> None:
        self.name = name
        self._info = info

    @property
    def info(self) -> VideoInfo:
        """What the frames look like; of image files, the first is decoded where none was yet.

        Raises:
            VideoError: it is missing or damaged.
        """
        if self._info is None:
            self._info = self._look()
        return self._info

    def read(self, start: int, stop: int) -> np.ndarray:
        """The frames [start, stop) as (T, H, W, C), uint8 or uint16.

        Raises:
            VideoError: a frame of the range does not exist or cannot be decoded, or the range needs
                more than `MAX_READ_BYTES`.
        """
        self._check_range(start, stop)
        with closing(self._views(start, stop)) as views:
            first = next(views, None)  # which tells what image files look like without decoding another
            needed = (stop - start) * self.info.frame_bytes
            if needed > MAX_READ_BYTES:
                raise VideoError(
                    f"{self.name}: frames {start} to {stop} need {needed / 2**30:.1f} GiB, more than the "
                    f"{MAX_READ_BYTES / 2**30:g} GiB that one read may take; read fewer frames at a time"
                )
            clip = np.empty((stop - start, *self.info.shape), self.info.dtype)
            for place, (pixels, _) in zip(clip, chain((first,) if first else (), views), strict=True):
                place[...] = pixels
        return clip

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        """The frames [start, stop) one after the other as (H, W, C); to the end where stop is None.

        Only a few frames are in memory at a time; several iterations may be under way at once.

        Raises:
            VideoError: as for `read`, when the iteration gets there.
        """
        self._check_range(start, stop)
        with closing(self._views(start, stop)) as views:
            for pixels, fresh in views:
                yield np.ascontiguousarray(pixels) if fresh else np.array(pixels, order="C")

    def count(self) -> int:
        """The exact number of frames; decodes the whole video where nothing less tells."""
        known = self._known()
        return self._count() if known is None else known

    def times(self, fps: float | None = None) -> Times:
        """When each frame is shown; reads the packets, or decodes the whole video where these do not tell.

        Args:
            fps: counts frames at this rate, whatever the file says.

        Raises:
            VideoError: neither the file nor the caller says how fast frames follow on one another, or it is damaged.
        """
        times = None if fps else self._stamps()
        if times is None:
            rate = fps or self.info.fps
            if not rate > 0:
                raise VideoError(f"{self.name}: does not state its frame rate; give its frames per second")
            counted = f"has no time stamps to go by; frames are counted at {rate:.4g} a second"
            notes = () if fps else (*self._rate_notes(), *([counted] if self.info.rate == "container" else []))
            times = Times.steady(self.count(), rate, "given" if fps else "rate", notes)
        if not fps:
            self._info = replace(self.info, constant=times.constant)
        return times

    def _stamps(self) -> Times | None:
        """The frames' own time stamps; None where there are none, or none to rely on."""
        return None

    def _rate_notes(self) -> tuple[str, ...]:
        """What should be told of the rate that the file states."""
        return ()

    @abstractmethod
    def close(self) -> None:
        """Release the file; the video must not be used any more."""

    @abstractmethod
    def _views(self, start: int, stop: int | None) -> Generator[View]:
        """The frames [start, stop), valid until the next one is asked for."""

    def _known(self) -> int | None:
        """The number of frames where it is known without decoding."""
        return self.info.frames

    def _look(self) -> VideoInfo:
        """What the frames look like, where that was not known at opening."""
        raise NotImplementedError

    @abstractmethod
    def _count(self) -> int:
        """The number of frames where `_known` does not tell."""

    def _check_range(self, start: int, stop: int | None) -> None:
        if start < 0 or (stop is not None and stop < start):
            raise VideoError(f"{self.name}: frames {start} to {stop} are no range; give 0 <= start <= stop")
        known = self._known()
        if known is not None and max(start, stop or 0) > known:
            raise self._too_short(known, start, stop)

    def _too_short(self, count: int, start: int, stop: int | None) -> VideoError:
        asked = f"frames from {start} on" if stop is None else f"frames {start} to {stop}"
        return VideoError(f"{self.name}: asked for {asked}, but it has {count} frames")

    def __enter__(self) -> Video:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
