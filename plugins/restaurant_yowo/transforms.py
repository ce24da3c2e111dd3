"""Augmentation of clips with boxes: one draw for all frames of a clip (REFERENCES of YOWO: shift, flip, colour)."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from vidsuite_core.errors import UsageError
from vidsuite_plugins.restaurant_yowo.registry import TRANSFORMS


@TRANSFORMS.register_module()
class Augment:
    """Crops and shifts, flips and colours a clip, its key frame and its boxes alike, after `vidsuite.ReadKeyFrame`.

    Boxes whose centre leaves the picture go; the others are cut off at its border.

    Args:
        shift: each side of the crop lies up to this share of the picture inside or outside of it, drawn by itself.
        flip: probability of a mirror image.
        hue: most that hues turn, as a share of the circle.
        strength: saturation and brightness are multiplied by up to this, or divided.
    """

    def __init__(self, shift: float = 0.2, flip: float = 0.5, hue: float = 0.1, strength: float = 1.5) -> None:
        if not 0 <= shift < 0.5 or not 0 <= flip <= 1 or not 0 <= hue <= 0.5 or strength < 1:
            raise UsageError("Augment takes shift below 0.5, flip up to 1, hue up to 0.5 and strength of 1 or more")
        self.shift, self.flip, self.hue, self.strength = shift, flip, hue, strength

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """See the class; `clip` uint8 (T, H, W, 3), `gt_bboxes` (n, 4) in its pixels, `gt_bboxes_labels` (n,)."""
        clip = results["clip"]
        height, width = clip.shape[1:3]
        left, top, right, bottom = np.random.uniform(-self.shift, self.shift, 4) * (width, height, width, height)
        scale = np.array([width / (width - left - right), height / (height - top - bottom)])
        matrix = np.array([[scale[0], 0, -left * scale[0]], [0, scale[1], -top * scale[1]]], np.float64)
        boxes = results["gt_bboxes"].reshape(-1, 2, 2) * scale - np.array([left, top]) * scale
        if np.random.random() < self.flip:
            matrix = np.array([[-1, 0, width], [0, 1, 0]]) @ np.vstack([matrix, [0, 0, 1]])
            boxes[..., 0] = width - boxes[:, ::-1, 0]
        matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5  # OpenCV counts pixels' centres, boxes count their edges
        coloured = self._colours()
        shown = [
            coloured(cv2.warpAffine(np.ascontiguousarray(frame), matrix, (width, height), flags=cv2.INTER_LINEAR))
            for frame in clip
        ]
        kept, labels = _inside(boxes, results["gt_bboxes_labels"], width, height)
        stacked = np.stack(shown)
        return {**results, "clip": stacked, "img": stacked[-1], "gt_bboxes": kept, "gt_bboxes_labels": labels}

    def _colours(self) -> Any:
        """A function of RGB frames by one draw of hue, saturation and brightness."""
        turn = np.random.uniform(-self.hue, self.hue) * 180
        richer, lighter = (
            factor if np.random.random() < 0.5 else 1 / factor for factor in np.random.uniform(1, self.strength, 2)
        )

        def change(frame: np.ndarray) -> np.ndarray:
            hsv = cv2.cvtColor(frame, cv2.COLOR_RGB2HSV).astype(np.float32)
            hsv[..., 0] = (hsv[..., 0] + turn) % 180
            hsv[..., 1:] = np.clip(hsv[..., 1:] * (richer, lighter), 0, 255)
            return cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB)

        return change


def _inside(corners: np.ndarray, labels: np.ndarray, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (n, 2, 2) whose centres lie in the picture, cut off at its border: (m, 4) float32, and their labels."""
    centre = corners.mean(axis=1)
    kept = ((centre > 0) & (centre < (width, height))).all(axis=1)
    cut = np.clip(corners[kept], 0, (width, height)).reshape(-1, 4).astype(np.float32)
    return cut, labels[kept]
