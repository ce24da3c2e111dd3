"""Models of the task `embryo_phases`: two networks, and two floors that see no picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import resnet18

from vidsuite_core.engine.accelerated import Part
from vidsuite_core.engine.fitting import Items
from vidsuite_core.errors import UsageError
from vidsuite_core.networks.initial import bare, load_initial, take_channels
from vidsuite_core.weights import load
from vidsuite_plugins.embryo_timelapse.registry import MODELS

Samples = Sequence[BaseDataElement]
STEP, LONGEST = 0.25, 400.0
"""Hours: of the bins that the floor counts in, and how far they go."""
CHUNK = 64
"""Frames that the encoder sees at a time, so that memory does not grow with a recording's length."""


class PhaseNetwork(nn.Module):
    """ResNet-18 on each frame, and where it has a memory, an LSTM over the recording's frames from the first.

    Args:
        num_classes: K.
        memory: width of the LSTM's state; None judges each frame by itself.
    """

    def __init__(self, num_classes: int, memory: int | None = None) -> None:
        super().__init__()
        self.encoder = resnet18()
        width = self.encoder.fc.in_features
        self.encoder.fc = nn.Identity()
        take_channels(self.encoder, "conv1", 1)
        self.memory = nn.LSTM(width, memory, batch_first=True) if memory else None
        self.head = nn.Linear(memory or width, num_classes)

    def forward(self, frames: Tensor, lengths: Sequence[int]) -> Tensor:
        """Frames (N, 1, H, W) of recordings of `lengths` frames, one after the other -> logits (N, K)."""
        parts = [frames] if self.training else frames.split(CHUNK)  # batch norm of training wants all at once
        features = torch.cat([self.encoder(part) for part in parts])
        if self.memory is not None:
            features = torch.cat([self.memory(one[None])[0][0] for one in features.split(list(lengths))])
        return self.head(features)


@MODELS.register_module()
class PhaseNet(BaseModel):
    """`PhaseNetwork` as mmengine's loops call it.

    Args:
        num_classes, memory: as `PhaseNetwork`.
        pretrained: a file of torchvision's weights of ResNet-18; None is random.
    """

    def __init__(self, num_classes: int, memory: int | None = None, pretrained: str | Path | None = None) -> None:
        super().__init__()
        self.network = PhaseNetwork(num_classes, memory)
        if pretrained is not None:
            state = bare(load(Path(pretrained)))
            load_initial(self.network.encoder, state, str(pretrained), first="conv1", fresh=("fc.",))

    def inference_parts(self) -> list[Part]:
        """See `vidsuite_core.engine.accelerated`: the encoder, in which nearly all the work is."""
        return [Part(self.network.encoder, {0: (0,)})]

    def forward(self, inputs: Sequence[Tensor], data_samples: Samples | None = None, mode: str = "tensor") -> Any:
        """See mmengine's BaseModel: `inputs` are recordings (T, 1, H, W); "predict" sets `pred_score` (T, K)."""
        lengths = [len(clip) for clip in inputs]
        logits = self.network(torch.cat(list(inputs)).float(), lengths)
        if mode == "tensor":
            return logits.split(lengths)
        if data_samples is None or mode not in ("loss", "predict"):
            raise UsageError(f"mode {mode!r} is unknown, or needs data_samples; use 'tensor', 'loss' or 'predict'")
        if mode == "loss":
            labels = torch.cat([sample.gt_label for sample in data_samples]).to(logits.device)
            return {"loss_phase": F.cross_entropy(logits.float(), labels)}
        for sample, found in zip(data_samples, logits.float().softmax(dim=1).split(lengths), strict=True):
            sample.pred_score = found.clone()
        return data_samples


@MODELS.register_module()
class PhaseClock(BaseModel):
    """The floor: how often each phase was seen at an hour among the training recordings; no picture is looked at.

    Args:
        num_classes: K.
        width: hours; standard deviation of the window that is counted in. None counts all hours alike.
    """

    counts: Tensor

    def __init__(self, num_classes: int, width: float | None = 2.0) -> None:
        super().__init__()
        self.width = width
        self.register_buffer("counts", torch.zeros(round(LONGEST / STEP), num_classes, dtype=torch.float64))

    def fit(self, items: Items) -> None:
        """Count the phases of all training frames by their hour."""
        for item in items:
            sample = item["data_samples"]
            at = torch.tensor(sample.hours).div(STEP).long().clamp(0, len(self.counts) - 1)
            one = torch.ones(len(at), dtype=torch.float64)
            self.counts.index_put_((at, sample.gt_label), one.to(self.counts.device), accumulate=True)

    def chances(self, hours: Tensor) -> Tensor:
        """Hours (T,) -> shares of each phase (T, K); a millionth of each phase is added."""
        seen = self.counts.cpu().sum(dim=1) > 0
        middle = (torch.arange(len(seen)) + 0.5)[seen] * STEP
        apart = torch.zeros(len(hours), len(middle), dtype=torch.float64)
        if self.width is not None:
            apart = -0.5 * ((hours[:, None] - middle[None]) / self.width) ** 2
        weight = (apart - apart.max(dim=1, keepdim=True).values).exp()
        share = weight @ self.counts.cpu()[seen]
        share = share / share.sum(dim=1, keepdim=True) + 1e-6
        return (share / share.sum(dim=1, keepdim=True)).float()

    def forward(self, inputs: Any, data_samples: Samples | None = None, mode: str = "tensor") -> Any:
        """See mmengine's BaseModel; `mode` is "predict"."""
        if mode != "predict" or not self.counts.any() or data_samples is None:
            raise UsageError("the clock is fitted in one go and then predicts; it has no loss and no tensor form")
        for sample in data_samples:
            sample.pred_score = self.chances(torch.tensor(sample.hours, dtype=torch.float64))
        return data_samples
