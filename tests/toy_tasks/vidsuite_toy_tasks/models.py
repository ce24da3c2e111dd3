"""A tiny network for each of the tasks, as mmengine's loops call it."""

import torch
from mmengine.model import BaseModel
from mmengine.structures import InstanceData, PixelData
from torch import nn
from torch.nn import functional as F


class TinySegmentor(BaseModel):
    """Labels of frames uint8 (3, H, W)."""

    def __init__(self, num_classes):
        super().__init__()
        self.net = nn.Conv2d(3, num_classes, 3, padding=1)

    def forward(self, inputs, data_samples=None, mode="tensor"):
        logits = self.net(torch.stack(list(inputs)).float() / 127.5 - 1)
        if mode == "tensor":
            return logits
        if mode == "loss":
            labels = torch.cat([sample.gt_sem_seg.data for sample in data_samples])
            return {"loss": F.cross_entropy(logits, labels, ignore_index=255)}
        for sample, one in zip(data_samples, logits):
            sample.pred_sem_seg = PixelData(data=one.argmax(0, keepdim=True))
        return data_samples


class TinyMoments(BaseModel):
    """The chance of class 1 at each of T moments (T, m, C, H, W), from how the light has changed since the first."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(1, 1)

    def forward(self, inputs, data_samples=None, mode="tensor"):
        light = torch.stack(list(inputs)).mean((2, 3, 4, 5))
        logits = self.head((light - light[:, :1])[..., None] * 10)[..., 0]
        if mode == "tensor":
            return logits
        if mode == "loss":
            counts = torch.stack([sample.counts for sample in data_samples])
            labels = torch.cat([sample.gt_label for sample in data_samples])[:, None].expand_as(logits)
            return {"loss": F.binary_cross_entropy_with_logits(logits[counts], labels[counts].float())}
        for sample, one in zip(data_samples, logits.sigmoid()):
            sample.pred_score = one
        return data_samples


class TinyDetector(BaseModel):
    """The light square in the last frame of a clip (C, T, H, W), and which way it has gone."""

    def __init__(self, num_classes):
        super().__init__()
        self.head = nn.Linear(1, num_classes)

    def forward(self, inputs, data_samples=None, mode="tensor"):
        clips = torch.stack(list(inputs))[:, 0]
        across = torch.arange(clips.shape[-1], dtype=clips.dtype)
        light = (clips > 0.5).float()
        centre = (light.sum(2) * across).sum(-1) / light.sum((2, 3)).clamp(min=1)
        seen = (light.sum((2, 3)) > 0).float()
        way = (centre[:, -1] - (centre * seen).sum(1) / seen.sum(1).clamp(min=1)) / 4
        logits = self.head(way[:, None])
        if mode == "tensor":
            return logits
        if mode == "loss":
            labelled = [i for i, sample in enumerate(data_samples) if len(sample.gt_instances.labels)]
            labels = torch.stack([data_samples[i].gt_instances.labels[0] for i in labelled] or [torch.tensor(0)])
            return {"loss": F.cross_entropy(logits[labelled or [0]], labels)}
        for sample, mask, scores in zip(data_samples, light[:, -1] > 0, logits.softmax(1)):
            rows, columns = torch.nonzero(mask.any(1)).flatten(), torch.nonzero(mask.any(0)).flatten()
            there = bool(len(rows))
            edges = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1] if there else []
            scale = torch.tensor([*sample.scale_factor, *sample.scale_factor])
            sample.pred_instances = InstanceData(
                bboxes=torch.tensor(edges, dtype=torch.float32).reshape(-1, 4) / scale,
                scores=scores.max()[None][: int(there)],
                labels=scores.argmax()[None][: int(there)],
            )
        return data_samples
