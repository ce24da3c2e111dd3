"""YOWO as mmengine trains and asks it: clips in, boxes of the key frame out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.model import BaseModel
from mmengine.structures import InstanceData
from torch import Tensor

from vidsuite_core.engine.accelerated import Part
from vidsuite_core.errors import UsageError
from vidsuite_plugins.restaurant_yowo.models.branches import branch_2d, branch_3d
from vidsuite_plugins.restaurant_yowo.models.region import UCF24_ANCHORS, found_boxes, region_loss
from vidsuite_plugins.restaurant_yowo.models.yowo import ANCHORS, Yowo
from vidsuite_plugins.restaurant_yowo.registry import MODELS

CELLS = 7
"""Cells on a side of the map that anchors are given in: that of 224 x 224 pixels."""


@MODELS.register_module()
class YowoDetector(BaseModel):
    """YOWO with its loss and its reading of the map.

    Args:
        num_classes: K.
        backbone_2d, backbone_3d, width: see `vidsuite_plugins.restaurant_yowo.models.branches`.
        anchors: five (width, height), as shares of the frame; None takes YOWO's own for UCF101-24, which are what the
            paper calls "without custom anchors".
        pretrained_2d, pretrained_3d: weights of the branches, in their own layouts; None is random.
        frozen: "backbone_2d", "backbone_3d", both or none. What is frozen learns nothing and keeps its batch
            statistics. (The reference sets a learning rate of 0 that is overwritten at the next epoch, so nothing
            stays frozen.)
        class_weights: of each class in the loss; None weighs all alike.
        least, overlap, most: see `found_boxes`.
        data_preprocessor: as mmengine's BaseModel.
    """

    class_weights: Tensor | None
    anchors: Tensor

    def __init__(
        self,
        num_classes: int,
        backbone_2d: str = "darknet19",
        backbone_3d: str = "resnext101",
        width: float | None = None,
        anchors: Sequence[Sequence[float]] | None = None,
        pretrained_2d: str | Path | None = None,
        pretrained_3d: str | Path | None = None,
        frozen: Sequence[str] = (),
        class_weights: Sequence[float] | None = None,
        least: float = 0.005,
        overlap: float = 0.4,
        most: int = 100,
        data_preprocessor: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data_preprocessor)
        self.network = Yowo(num_classes, branch_2d(backbone_2d), branch_3d(backbone_3d, width))
        for name, path in (("backbone_2d", pretrained_2d), ("backbone_3d", pretrained_3d)):
            if path is not None:
                _load(getattr(self.network, name), Path(path), name)
        self.frozen = tuple(frozen)
        if unknown := set(frozen) - {"backbone_2d", "backbone_3d"}:
            raise UsageError(f"frozen names {min(unknown)!r}; it takes backbone_2d and backbone_3d")
        for name in self.frozen:
            getattr(self.network, name).requires_grad_(False)
        self.register_buffer("anchors", _checked_anchors(anchors))
        weights = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float32)
        self.register_buffer("class_weights", weights, persistent=False)
        self.least, self.overlap, self.most = least, overlap, most

    def train(self, mode: bool = True) -> YowoDetector:
        """As ever, but what is frozen keeps its batch statistics."""
        super().train(mode)
        for name in self.frozen:
            getattr(self.network, name).eval()
        return self

    def forward(
        self, inputs: Tensor | Sequence[Tensor], data_samples: Sequence[Any] | None = None, mode: str = "tensor"
    ) -> Any:
        """See mmengine's BaseModel.

        Args:
            inputs: clips (B, 3, T, H, W), RGB in [0, 1], or a sequence of (3, T, H, W).
            data_samples: mmdet's; `gt_instances` ("loss") with `bboxes` xyxy in pixels of the inputs and `labels`.
            mode: "tensor" gives the map; "loss" the losses' mean over the batch; "predict" the data samples with
                `pred_instances`, in pixels of the frames as they were (`ori_shape`).
        """
        clips = inputs if isinstance(inputs, Tensor) else torch.stack(list(inputs))
        output = self.network(clips)
        if mode == "tensor":
            return output
        if data_samples is None:
            raise UsageError(f"mode {mode!r} needs data samples, one for each clip")
        height, width = clips.shape[-2:]
        anchors = self.anchors * self.anchors.new_tensor([output.shape[3], output.shape[2]])
        if mode == "loss":
            size = output.new_tensor([width, height, width, height])
            boxes = [sample.gt_instances.bboxes.to(output) / size for sample in data_samples]
            labels = [sample.gt_instances.labels.to(output.device) for sample in data_samples]
            losses = region_loss(output.float(), boxes, labels, anchors, self.class_weights)
            return {name: value / len(clips) for name, value in losses.items()}
        if mode != "predict":
            raise UsageError(f"mode {mode!r} is unknown; use 'tensor', 'loss' or 'predict'")
        found = found_boxes(output.float(), anchors, self.least, self.overlap, self.most)
        for sample, one in zip(data_samples, found, strict=True):
            height, width = sample.metainfo["ori_shape"]
            boxes = one.boxes * one.boxes.new_tensor([width, height, width, height])
            sample.pred_instances = InstanceData(bboxes=boxes, scores=one.scores, labels=one.labels)
        return list(data_samples)

    def inference_parts(self) -> list[Part]:
        """See `vidsuite_core.engine.accelerated`: from clips to the map, before boxes are read from it."""
        return [Part(self.network)]


def _load(branch: Any, path: Path, name: str) -> None:
    if hasattr(branch, "load_pretrained"):
        branch.load_pretrained(path)
        return
    from vidsuite_core.weights import load, load_strictly

    state = {key.removeprefix("module."): value for key, value in load(path).items()}
    part = {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}
    load_strictly(branch, part or state, str(path))


def _checked_anchors(anchors: Sequence[Sequence[float]] | None) -> Tensor:
    values = torch.tensor(UCF24_ANCHORS) / CELLS if anchors is None else torch.tensor(anchors, dtype=torch.float32)
    if values.shape != (ANCHORS, 2) or not (values > 0).all():
        raise UsageError(f"YOWO takes {ANCHORS} anchors of a width and a height, as shares of the frame, all above 0")
    return values
