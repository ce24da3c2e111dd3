"""A segmentation network on one stream of frames."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from vidsuite_core.engine.streaming import Prediction, Streamer, StreamOptions
from vidsuite_core.media.labels import resize_labels


class Segmenter(Streamer):
    """Label maps of frames that come one after another: `labels` (H, W) uint8.

    The config's `size`, where it has one, is what frames are resized to, as in training.
    """

    def __init__(self, options: StreamOptions) -> None:
        super().__init__(options)
        size = options.config.get("size")
        self.size = tuple(size) if size else None
        self._position = 0

    def _step(self, seen: np.ndarray) -> Prediction:
        from mmseg.structures import SegDataSample

        image = cv2.resize(seen, self.size, interpolation=cv2.INTER_AREA) if self.size else seen
        size = image.shape[:2]
        meta = {"ori_shape": size, "img_shape": size, "sequence": "stream", "position": self._position}
        self._position += 1
        inputs = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
        (output,) = self.network.test_step({"inputs": [inputs], "data_samples": [SegDataSample(metainfo=meta)]})
        labels = output.pred_sem_seg.data[0].to(torch.uint8).cpu().numpy()
        if self.size:
            labels = resize_labels(labels, seen.shape[1::-1])
        return {"labels": labels}
