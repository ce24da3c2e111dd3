"""`core/prior`, the floor of a task: what can be predicted without a look at any video, by training labels alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.model import BaseModel
from mmengine.structures import PixelData
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from vidsuite_core.engine.data import Frame, data_sample
from vidsuite_core.engine.fitting import Items
from vidsuite_core.engine.registry import DATASETS, MODELS, TRANSFORMS
from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.media.labels import read_labels, resize_labels
from vidsuite_core.media.reader import frame_size
from vidsuite_core.samples import VOID


@DATASETS.register_module()
class LabelDataset(TorchDataset[dict[str, Any]]):
    """Samples that have a `label`, without their video.

    Items are `inputs`, which are empty, and `data_samples` with `gt_label` (1,) and, of samples in moments, `counts`
    (T,), a BoolTensor of those that count.
    """

    def __init__(self, samples: Sequence[Any]) -> None:
        self.samples = list(samples)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        sample = self.samples[index]
        moments = {"counts": torch.tensor(sample.counts)} if hasattr(sample, "counts") else {}
        return {"inputs": torch.zeros(0), "data_samples": data_sample(sample, **moments)}


@TRANSFORMS.register_module()
class BlankFrame:
    """As `vidsuite.ReadFrame`, but the frame is black: for what predicts without seeing it. No frame is decoded.

    Args:
        size: (width, height) that frames and labels have elsewhere in the benchmark; None keeps the frame's own.
    """

    def __init__(self, size: tuple[int, int] | None = None) -> None:
        self.size = tuple(size) if size else None

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """See the class."""
        frame: Frame = results["frame"]
        if frame.sample is not None and frame.sample.labelled:
            labels = read_labels(frame.sample)
            labels = resize_labels(labels, self.size) if self.size else labels
        else:
            labels = np.full(self.size[::-1] if self.size else frame_size(frame.footage), VOID, np.uint8)
        results |= {"img_shape": labels.shape, "ori_shape": labels.shape, "gt_seg_map": labels}
        results |= {"img": np.zeros((*labels.shape, 3), np.uint8), "seg_fields": ["gt_seg_map"]}
        return results


class _Prior(BaseModel):
    """What the floors share: they have no loss, and predict only once they are fitted.

    Args:
        num_classes: K.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.register_buffer("fitted", torch.tensor(False))

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = "tensor") -> Any:
        """See mmengine's BaseModel; `mode` is "predict"."""
        if mode != "predict" or not self.fitted:
            raise UsageError("the prior is fitted in one go and then predicts; it has no loss and no tensor form")
        for sample in data_samples:
            self._predict(sample)
        return data_samples

    def _predict(self, sample: Any) -> None:
        raise NotImplementedError


@MODELS.register_module()
class ClassPrior(_Prior):
    """The share of each class among the training samples, for every sample the same.

    The prediction `pred_score` is (K,) for a clip, and for a sample in T moments (T,), the share of class 1 each time.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.register_buffer("share", torch.zeros(num_classes))

    def fit(self, items: Items) -> None:
        """Count the labels of all training samples."""
        labels = torch.cat([item["data_samples"].gt_label for item in items])
        self.share.copy_(torch.bincount(labels.cpu(), minlength=self.num_classes) / len(labels))
        self.fitted.fill_(True)

    def _predict(self, sample: Any) -> None:
        in_moments = "counts" in sample
        sample.pred_score = self.share[1].expand(len(sample.counts)).clone() if in_moments else self.share.clone()


@MODELS.register_module()
class PixelPrior(_Prior):
    """The most frequent class at each pixel of the training frames; where none is labelled, that of all pixels.

    Frames of another size than the first training frame's share its pixels by the nearest one.
    """

    classes: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.register_buffer("classes", torch.zeros((1, 1), dtype=torch.uint8), persistent=True)

    def fit(self, items: Items) -> None:
        """Count the classes of all training frames' pixels.

        Raises:
            VidsuiteError: no pixel is labelled.
        """
        counts: np.ndarray | None = None
        for item in items:
            labels = item["data_samples"].gt_sem_seg.data[0].cpu().numpy().astype(np.uint8)
            if counts is None:
                counts = np.zeros((self.num_classes, *labels.shape), np.int32)
            labels = resize_labels(labels, counts.shape[:0:-1])
            for label in range(self.num_classes):
                counts[label] += labels == label
        if counts is None or not counts.any():
            raise VidsuiteError("no pixel of the training frames has a class, so there is no prior")
        found = np.where(counts.any(axis=0), counts.argmax(axis=0), counts.sum(axis=(1, 2)).argmax())
        self.classes = torch.from_numpy(found.astype(np.uint8)).to(self.classes.device)
        self.fitted.fill_(True)

    def _predict(self, sample: Any) -> None:
        labels = resize_labels(self.classes.cpu().numpy(), sample.metainfo["img_shape"][::-1])
        sample.pred_sem_seg = PixelData(data=torch.from_numpy(labels)[None])
