"""A segmentation network on one stream of frames: label maps and the time that each takes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from vidsuite_core.engine import frames  # noqa: F401 (registers what configs name)
from vidsuite_core.engine.build import build_network
from vidsuite_core.engine.frames import VOID, PackFrame

if TYPE_CHECKING:
    from vidsuite_core.specs import ModelSpec


class Segmenter:
    """Label maps of frames that come one after another.

    Args:
        model: of task video_segmentation.
        classes: number of classes.
        weights: a state dict of the model, or None for random weights.
        device: "cpu" or torch's name of a GPU.
        precision: what "auto" stands for in the model's config.

    Raises:
        VidsuiteError: the weights do not fit the model and the number of classes.
    """

    def __init__(self, model: ModelSpec, classes: int, weights: Path | None, device: str, precision: str) -> None:
        torch.set_flush_denormal(True)  # as in a cell
        self.network: Any = build_network(model, weights, precision, num_classes=classes).to(device).eval()
        self._pack = PackFrame()
        self._position = 0

    def __call__(self, image: np.ndarray) -> tuple[np.ndarray, float]:
        """The next frame, uint8 RGB (H, W, 3): its label map (H, W) on the host, and the seconds that it took."""
        void = np.full(image.shape[:2], VOID, np.uint8)
        size = image.shape[:2]
        item = self._pack(
            {"img": image, "gt_seg_map": void, "img_shape": size, "ori_shape": size, "sample_id": "stream",
             "scored": False, "sequence": "stream", "position": self._position}
        )  # fmt: skip
        self._position += 1
        start = time.perf_counter()
        with torch.inference_mode():
            (output,) = self.network.test_step({"inputs": [item["inputs"]], "data_samples": [item["data_samples"]]})
            labels = output.pred_sem_seg.data[0].to(torch.uint8).cpu().numpy()
        return labels, time.perf_counter() - start
