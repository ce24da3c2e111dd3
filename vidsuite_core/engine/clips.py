"""From a clip sample to pixels: decode, scale to 8 bit, crop, fit into a square."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import cv2
import numpy as np

from vidsuite_core.engine.registry import TRANSFORMS
from vidsuite_core.media import open_video
from vidsuite_core.support.cache import cache_key, frame_cache

if TYPE_CHECKING:
    from vidsuite_core.samples import ClipSample

READER = [1, av.__version__, cv2.__version__]
"""Version of this reader and of what decodes and resizes for it: FFmpeg's releases differ in colour conversion."""
PERCENTILES = (0.5, 99.5)
"""Of the recording's first frame: the range that 16-bit pixels are scaled from, where none is given."""


@TRANSFORMS.register_module()
class ReadClip:
    """Adds `clip`, uint8 (T, size, size, 3) RGB, to a dict that has `sample` (a `ClipSample`).

    The longest side becomes `size` by bilinear interpolation with the aspect kept, and the rest is padded with
    black, evenly on both sides (seizure paper, section 3.3.2, which leaves the padding's place open).

    Args:
        size: side of the square, in pixels.
        cached: keep the result in the frame cache, for recipes that read each clip many times.
    """

    def __init__(self, size: int = 224, cached: bool = False) -> None:
        self.size = size
        self.cached = cached

    def key(self, sample: ClipSample) -> dict[str, Any]:
        """All that decides `clip`, for cache keys."""
        return {
            "content": sample.content,
            "range": [sample.start, sample.stop],
            "values": list(sample.value_range) if sample.value_range else None,
            "size": self.size,
            "box": self.box(sample),
            "reader": READER,
        }

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """See the class."""
        sample = results["sample"]
        if self.cached:
            arrays = frame_cache().get_or_compute(cache_key(**self.key(sample)), lambda: {"clip": self._read(sample)})
            grey = arrays["clip"]
        else:
            grey = self._read(sample)
        results["clip"] = np.repeat(grey, 3, axis=3) if grey.shape[3] == 1 else np.asarray(grey)
        return results

    def _read(self, sample: ClipSample) -> np.ndarray:
        with open_video(sample.video) as video:
            frames = video.read(sample.start, sample.stop)
        frames = to_uint8(frames, sample)
        if (box := self.box(sample)) is not None:
            x1, y1, x2, y2 = box
            frames = frames[:, y1:y2, x1:x2]
        return fit_square(frames, self.size)

    def box(self, sample: ClipSample) -> tuple[int, int, int, int] | None:
        """The part of the frame that is kept, x1, y1, x2, y2 in whole pixels; None for all of it. For subclasses."""
        return None


def fit_square(frames: np.ndarray, size: int) -> np.ndarray:
    """Frames (T, H, W, C) uint8 -> (T, size, size, C): longest side to `size`, bilinear, padded with 0."""
    count, height, width, channels = frames.shape
    scale = size / max(height, width)
    inner = max(1, round(height * scale)), max(1, round(width * scale))
    top, left = (size - inner[0]) // 2, (size - inner[1]) // 2
    out = np.zeros((count, size, size, channels), dtype=np.uint8)
    for source, target in zip(frames, out, strict=True):
        resized = cv2.resize(np.ascontiguousarray(source), inner[::-1], interpolation=cv2.INTER_LINEAR)
        target[top : top + inner[0], left : left + inner[1]] = resized.reshape(*inner, channels)
    return out


def to_uint8(frames: np.ndarray, sample: ClipSample) -> np.ndarray:
    """Frames of any integer type -> uint8, scaled from the sample's value range (see `ClipSample`)."""
    if frames.dtype == np.uint8 and sample.value_range is None:
        return frames
    low, high = sample.value_range or first_frame_range(sample.video, sample.first)
    scaled = (frames.astype(np.float32) - low) * (255 / max(high - low, 1e-6))
    return np.clip(scaled, 0, 255).round().astype(np.uint8)


def first_frame(sample: ClipSample) -> np.ndarray:
    """The recording's first frame as uint8 RGB (H, W, 3)."""
    with open_video(sample.video) as video:
        frame = to_uint8(video.read(sample.first, sample.first + 1), sample)[0]
    return np.repeat(frame, 3, axis=2) if frame.shape[2] == 1 else frame


@lru_cache(maxsize=4096)
def first_frame_range(video: Path | tuple[Path, ...], first: int) -> tuple[float, float]:
    """`PERCENTILES` of a recording's first frame, number `first` of its video."""
    with open_video(video) as opened:
        low, high = np.percentile(opened.read(first, first + 1), PERCENTILES)
    return float(low), float(high)
