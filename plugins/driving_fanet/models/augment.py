"""Views of frames to train on: other scales, parts and colours."""

from __future__ import annotations

import random
from typing import Any

import cv2
import numpy as np

from vidsuite_core.media.labels import resize_labels
from vidsuite_core.samples import VOID
from vidsuite_plugins.driving_fanet.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomView:
    """A part of a frame at a random scale, mirrored or not; where the frame ends before the view, the rest is void.

    Args:
        size: (width, height) of what comes out.
        scales: least and largest factor of the frame's size; drawn evenly in the logarithm.
        flip: chance of a mirror image.
        jitter: brightness, contrast and saturation are multiplied by up to 1 + jitter or divided by it; 0 leaves them.
    """

    def __init__(
        self, size: tuple[int, int], scales: tuple[float, float] = (0.5, 2.0), flip: float = 0.5, jitter: float = 0.4
    ) -> None:
        self.size, self.scales, self.flip, self.jitter = tuple(size), scales, flip, jitter

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Changes mmseg's `img` (H, W, 3) uint8 and `gt_seg_map` (H, W) uint8."""
        image, labels = results["img"], results["gt_seg_map"]
        scale = float(np.exp(random.uniform(*np.log(self.scales))))  # noqa: S311
        image, labels = self._part(image, labels, scale)
        if random.random() < self.flip:  # noqa: S311
            image, labels = image[:, ::-1], labels[:, ::-1]
        results["img"], results["gt_seg_map"] = self._coloured(image), np.ascontiguousarray(labels)
        results["img_shape"] = results["pad_shape"] = results["img"].shape[:2]
        return results

    def _part(self, image: np.ndarray, labels: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
        """What a view of `size` shows of the frame at `scale`, cut out before it is resized."""
        spans, sizes = [], []
        for side, full in zip(self.size, image.shape[1::-1], strict=True):
            seen = min(full, max(1, round(side / scale)))
            start = random.randint(0, full - seen)  # noqa: S311
            spans.append(slice(start, start + seen))
            sizes.append(min(side, max(1, round(seen * scale))))
        interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        part = cv2.resize(np.ascontiguousarray(image[spans[1], spans[0]]), sizes, interpolation=interpolation)
        classes = resize_labels(np.ascontiguousarray(labels[spans[1], spans[0]]), sizes)
        below, beside = self.size[1] - sizes[1], self.size[0] - sizes[0]
        above, left = random.randint(0, below), random.randint(0, beside)  # noqa: S311
        sides = (above, below - above, left, beside - left, cv2.BORDER_CONSTANT)
        return cv2.copyMakeBorder(part, *sides, value=(124, 116, 104)), cv2.copyMakeBorder(classes, *sides, value=VOID)

    def _coloured(self, image: np.ndarray) -> np.ndarray:
        if not self.jitter:
            return np.ascontiguousarray(image)
        most = np.log(1 + self.jitter)
        bright, contrast, colour = (float(np.exp(random.uniform(-most, most))) for _ in range(3))  # noqa: S311
        values = image.astype(np.float32)
        mean = float(values.mean())
        values = (values - mean) * (bright * contrast) + mean * bright
        grey = values.mean(2, keepdims=True)
        return np.clip(grey + (values - grey) * colour, 0, 255).astype(np.uint8)
