"""Frames that are in memory already, as a stream hands them over."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np

from vidsuite_core.media.base import Video, VideoError, VideoInfo, View


class MemoryVideo(Video):
    """An array (T, H, W, C) of uint8 or uint16 with C = 1 or 3, T at least 1."""

    def __init__(self, frames: np.ndarray) -> None:
        if (
            frames.ndim != 4
            or frames.shape[3] not in (1, 3)
            or frames.dtype not in (np.uint8, np.uint16)
            or not frames.size
        ):
            raise VideoError(
                f"frames in memory are {frames.dtype} {frames.shape}, not 8 or 16 bit of (T, H, W, 1 or 3)"
            )
        self.array = frames
        count, height, width, channels = frames.shape
        info = VideoInfo(
            frames=count,
            fps=0.0,
            width=width,
            height=height,
            channels=1 if channels == 1 else 3,
            dtype="uint8" if frames.itemsize == 1 else "uint16",
        )
        super().__init__(f"{count} frames in memory", info)

    def close(self) -> None:
        """Does nothing."""

    def _count(self) -> int:
        return len(self.array)

    def _views(self, start: int, stop: int | None) -> Generator[View]:
        for frame in self.array[start:stop]:
            yield frame, False
