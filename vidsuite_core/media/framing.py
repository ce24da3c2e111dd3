"""How a decoded frame is shown to a model: which part of it, at what size, in how many channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np

from vidsuite_core.errors import UsageError

Fit = Literal["pad", "stretch"]
Interpolation = Literal["bilinear", "area"]

_INTERPOLATIONS = {"bilinear": cv2.INTER_LINEAR, "area": cv2.INTER_AREA}


@dataclass(frozen=True, kw_only=True)
class Framing:
    """From a frame uint8 (H, W, C) to what a model is shown (h, w, c).

    Attributes:
        size: (width, height) to bring the frame to; None keeps its own.
        fit: "pad" keeps the aspect: the frame becomes as large as `size` allows, and what is left is black, evenly on
            both sides. "stretch" brings either side to its size.
        interpolation: "bilinear", or "area", which averages over what a pixel covers.
        channels: 1 (grey, by ITU-R BT.601 luma) or 3 (RGB, grey repeated); None keeps the frame's own.
        box: x1, y1, x2, y2 in whole pixels: the part of the frame that is shown; None is all of it.

    Raises:
        UsageError: a field that is none of these.
    """

    size: tuple[int, int] | None = None
    fit: Fit = "stretch"
    interpolation: Interpolation = "bilinear"
    channels: int | None = None
    box: tuple[int, int, int, int] | None = None

    def __post_init__(self) -> None:
        if self.size is not None:
            object.__setattr__(self, "size", tuple(self.size))
            if len(self.size) != 2 or min(self.size) < 1:
                raise UsageError(f"frames cannot be brought to the size {self.size}; give (width, height)")
        if self.fit not in ("pad", "stretch") or self.interpolation not in _INTERPOLATIONS:
            raise UsageError(f"fit is 'pad' or 'stretch', not {self.fit!r}; interpolation 'bilinear' or 'area', not "
                             f"{self.interpolation!r}")  # fmt: skip
        if self.channels not in (None, 1, 3):
            raise UsageError(f"channels is 1 (grey), 3 (RGB) or None (as stored), not {self.channels!r}")

    def key(self) -> dict[str, Any]:
        """All that it does, as JSON values, for cache keys."""
        return {
            "size": list(self.size) if self.size else None,
            "fit": self.fit,
            "interpolation": self.interpolation,
            "box": list(self.box) if self.box else None,
            "channels": self.channels,
        }

    def apply(self, frame: np.ndarray) -> np.ndarray:
        """The frame as it is shown."""
        if self.box:
            x1, y1, x2, y2 = self.box
            frame = frame[y1:y2, x1:x2].copy()
        if self.channels == 1 and frame.shape[2] == 3:
            frame = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[..., None]
        if self.size:
            frame = self._resized(frame, self.size)
        if self.channels == 3 and frame.shape[2] == 1:
            frame = np.repeat(frame, 3, axis=2)
        return frame

    def _resized(self, frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        height, width, channels = frame.shape
        (inner_width, inner_height), (left, top) = self.placed(width, height)
        resized = cv2.resize(
            frame, (inner_width, inner_height), interpolation=_INTERPOLATIONS[self.interpolation]
        ).reshape(inner_height, inner_width, channels)
        if (inner_width, inner_height) == size:
            return resized
        shown = np.zeros((size[1], size[0], channels), np.uint8)
        shown[top : top + inner_height, left : left + inner_width] = resized
        return shown

    def placed(self, width: int, height: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Of a part of `width` x `height` pixels: its size when shown, and where its corner is (x, y)."""
        if self.size is None:
            return (width, height), (0, 0)
        if self.fit == "stretch":
            return self.size, (0, 0)
        scale = min(self.size[0] / width, self.size[1] / height)
        inner = max(1, round(width * scale)), max(1, round(height * scale))
        return inner, ((self.size[0] - inner[0]) // 2, (self.size[1] - inner[1]) // 2)

    def boxes(self, boxes: np.ndarray, width: int, height: int) -> np.ndarray:
        """Boxes (n, 4) xyxy of a frame of `width` x `height` pixels as they lie when shown, float32, not clipped."""
        x1, y1, x2, y2 = self.box or (0, 0, width, height)
        inner, corner = self.placed(x2 - x1, y2 - y1)
        scale = np.array([inner[0] / (x2 - x1), inner[1] / (y2 - y1)] * 2)
        moved = (np.asarray(boxes, np.float64).reshape(-1, 4) - (x1, y1, x1, y1)) * scale + (*corner, *corner)
        return moved.astype(np.float32)


AS_STORED = Framing()
"""The whole frame as it is."""
