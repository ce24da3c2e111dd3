"""A segmentation network on one stream of frames: label maps and the time that each takes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from vidsuite_core.engine.build import network_of
from vidsuite_core.engine.subnormals import flushed_subnormals
from vidsuite_core.media.labels import resize_labels


class Segmenter:
    """Label maps of frames that come one after another.

    Args:
        config: a resolved config (see `vidsuite_core.engine.config.cell_config`); its `size`, where it has one, is what
            frames are resized to, as in training.
        classes: number of classes.
        weights: a state dict of the model, or None for random weights.
        device: "cpu" or torch's name of a GPU.
        name: what an error calls the model.

    Raises:
        VidsuiteError: the weights do not fit the model and the number of classes.
    """

    def __init__(self, config: Mapping[str, Any], classes: int, weights: Path | None, device: str, name: str) -> None:
        self.network: Any = network_of(config, classes, weights, name).to(device).eval()
        self.size = tuple(config["size"]) if config.get("size") else None
        self._position = 0

    def __call__(self, image: np.ndarray) -> tuple[np.ndarray, float]:
        """The next frame, uint8 RGB (H, W, 3): its label map (H, W) on the host, and the seconds that it took.

        The time is all that lies between the decoded frame and the label map.
        """
        from mmseg.structures import SegDataSample

        start = time.perf_counter()
        seen = cv2.resize(image, self.size, interpolation=cv2.INTER_AREA) if self.size else image
        size = seen.shape[:2]
        meta = {"ori_shape": size, "img_shape": size, "sequence": "stream", "position": self._position}
        self._position += 1
        inputs = torch.from_numpy(np.ascontiguousarray(seen.transpose(2, 0, 1)))
        with torch.inference_mode(), flushed_subnormals():  # as in a cell
            (output,) = self.network.test_step({"inputs": [inputs], "data_samples": [SegDataSample(metainfo=meta)]})
            labels = output.pred_sem_seg.data[0].to(torch.uint8).cpu().numpy()
        if self.size:
            labels = resize_labels(labels, image.shape[1::-1])
        return labels, time.perf_counter() - start
