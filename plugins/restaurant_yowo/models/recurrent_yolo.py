"""Recurrent YOLO (sections 4.1 to 4.4): mmdet's YOLOv3 with ConvLSTMs at its three scales.

Everything but the recurrence sees a sequence as one batch of frames. Where frames of a batch follow on each other, or
on frames of an earlier batch of the same clip, the recurrence goes on with their state; else it begins anew.
Gradients end at the batch (truncated back-propagation through time).

The authors' network did not learn. What they suspected, and had no time to try, is here: the recurrence may sit earlier
(`place`), several clips may run side by side in a batch, and it may begin as the YOLOv3 whose weights it is given: it
adds to its input through a gate that is 0 at first (`gated`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from mmdet.models.dense_heads import YOLOV3Head
from mmdet.models.detectors import YOLOV3
from torch import Tensor, nn

from vidsuite_core.engine.accelerated import Part
from vidsuite_core.errors import UsageError
from vidsuite_core.networks.runs import runs_of as lengths_of_runs
from vidsuite_plugins.restaurant_yowo.models.conv_lstm import ConvLstm, State
from vidsuite_plugins.restaurant_yowo.registry import MODELS

Place = Literal["head", "neck", "backbone"]
"""Where the recurrence sits: before the last convolution of each scale (the paper's), after the neck, before it."""


@dataclass(frozen=True)
class Run:
    """Frames of a batch that follow on each other: where they begin, how many, and the (clip, position) of the
    first."""

    start: int
    length: int
    clip: str
    position: int


def runs_of(clips: Sequence[str], positions: Sequence[int]) -> list[Run]:
    """The runs of a batch, in its order.

    Args:
        clips: each frame's clip.
        positions: each frame's place in its clip, in steps of one.
    """
    runs: list[Run] = []
    start = 0
    for length in lengths_of_runs(clips, positions):
        runs.append(Run(start, length, clips[start], positions[start]))
        start += length
    return runs


class ScaleRecurrence(nn.Module):
    """A `ConvLstm` over the runs of a batch of maps of one scale.

    Args:
        channels: of the maps, in and out.
        hidden: of the ConvLSTM; None for as many as `channels`, whose output then needs no projection.
        gated: the output is x + g * (projected H), with one g a channel, 0 at first; else it is the projected H
            alone, as in the paper.
        options: further ones of `ConvLstm`.
    """

    def __init__(self, channels: int, hidden: int | None = None, gated: bool = False, **options: Any) -> None:
        super().__init__()
        self.lstm = ConvLstm(channels, hidden or channels, **options)
        same = self.lstm.out_channels == channels
        self.projection = nn.Identity() if same else nn.Conv2d(self.lstm.out_channels, channels, 1)
        self.gate = nn.Parameter(torch.zeros(channels, 1, 1)) if gated else None

    def forward(self, maps: Tensor, runs: Sequence[Run], states: Sequence[State | None]) -> tuple[Tensor, list[State]]:
        """Maps (B, C, h, w) with their runs and the state before each -> maps, and the state after each run.

        Runs of the same length that both have a state, or both have none, are worked on side by side.
        """
        out = torch.empty_like(maps)
        after: list[State] = [[] for _ in runs]
        groups: dict[tuple[int, bool], list[int]] = {}
        for number, run in enumerate(runs):
            groups.setdefault((run.length, states[number] is None), []).append(number)
        for (length, fresh), members in groups.items():
            frames = torch.stack([maps[runs[n].start : runs[n].start + length] for n in members], dim=1)
            shown, last = self.lstm(frames, None if fresh else _joined([states[n] for n in members]))
            found = self.projection(shown.flatten(0, 1)).unflatten(0, shown.shape[:2])
            if self.gate is not None:
                found = frames + self.gate * found
            for place, n in enumerate(members):
                out[runs[n].start : runs[n].start + length] = found[:, place]
                after[n] = [(h[place : place + 1].detach(), c[place : place + 1].detach()) for h, c in last]
        return out, after


def _joined(states: Sequence[State | None]) -> State:
    """States of several runs as one of a batch."""
    layers = zip(*[state for state in states if state is not None], strict=True)
    return [(torch.cat([h for h, _ in layer]), torch.cat([c for _, c in layer])) for layer in layers]


class Recurrence(nn.Module):
    """The recurrences of all scales, and what they remember between batches.

    `see` is to be called with each batch's data samples before its maps come; a clip's state is kept until a batch
    comes that it is not part of.

    Args:
        channels: of each scale's maps.
        options: of `ScaleRecurrence`.
    """

    def __init__(self, channels: Sequence[int], **options: Any) -> None:
        super().__init__()
        self.scales = nn.ModuleList(ScaleRecurrence(width, **options) for width in channels)
        self._runs: list[Run] = []
        self._kept: dict[tuple[str, int], list[State]] = {}

    def see(self, data_samples: Sequence[Any]) -> None:
        """Note which frames come next, by `sequence` and `position` in their metainfo."""
        metas = [sample.metainfo for sample in data_samples]
        if any("sequence" not in meta or "position" not in meta for meta in metas):
            raise UsageError("a recurrent detector needs the sequence and position of each frame in its data samples")
        self._runs = runs_of([meta["sequence"] for meta in metas], [meta["position"] for meta in metas])

    def reset(self) -> None:
        """Forget all clips."""
        self._kept = {}

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """The maps (B, C_s, h_s, w_s) of each scale -> as many of the same shapes."""
        before = [self._kept.get((run.clip, run.position)) for run in self._runs]
        outputs, after = [], []
        for scale, (module, batch) in enumerate(zip(self.scales, maps, strict=True)):
            states = [kept[scale] if kept else None for kept in before]
            found, left = module(batch, self._runs, states)
            outputs.append(found)
            after.append(left)
        ends = [(run.clip, run.position + run.length) for run in self._runs]
        self._kept = {end: [scale[n] for scale in after] for n, end in enumerate(ends) if after[0][n]}
        return outputs


@MODELS.register_module()
class RecurrentYoloHead(YOLOV3Head):
    """mmdet's YOLOv3 head, which hands its maps to `between` before the last convolutions, if that is set."""

    between: Recurrence | None = None

    def forward(self, x: Sequence[Tensor]) -> tuple[tuple[Tensor, ...]]:
        """Maps of the neck -> raw predictions (B, 3 (K + 5), h, w) of each scale."""
        maps: Sequence[Tensor] = [bridge(one) for bridge, one in zip(self.convs_bridge, x, strict=True)]
        if self.between is not None:
            maps = self.between(maps)
        return (tuple(predict(one) for predict, one in zip(self.convs_pred, maps, strict=True)),)


@MODELS.register_module()
class RecurrentYolo(YOLOV3):
    """YOLOv3 with a recurrence.

    Args:
        recurrence: options of `Recurrence`; `place`, see `Place`, is "head" unless given.
        frozen: leave YOLOv3's own weights as they are.
        options: of mmdet's YOLOV3, its head a `RecurrentYoloHead`.
    """

    def __init__(self, recurrence: dict[str, Any], frozen: bool = False, **options: Any) -> None:
        super().__init__(**options)
        settings = dict(recurrence)
        self.place: Place = settings.pop("place", "head")
        channels = {
            "head": self.bbox_head.out_channels,
            "neck": self.bbox_head.in_channels,
            "backbone": (256, 512, 1024),  # Darknet-53's last three stages, fine to coarse
        }
        if self.place not in channels:
            raise UsageError(f"a recurrence sits at the {', '.join(channels)}, not at {self.place!r}")
        self.recurrence = Recurrence(channels[self.place], **settings)
        if frozen:
            for part in (self.backbone, self.neck, self.bbox_head):
                part.requires_grad_(False)
        if self.place == "head":
            object.__setattr__(self.bbox_head, "between", self.recurrence)  # its parameters stay this module's
        self._frozen = frozen

    def train(self, mode: bool = True) -> RecurrentYolo:
        """As ever; what is frozen keeps its batch statistics, and a change of mode forgets all clips."""
        super().train(mode)
        self.recurrence.reset()
        if self._frozen:
            for part in (self.backbone, self.neck, self.bbox_head):
                part.eval()
        return self

    def loss(self, batch_inputs: Tensor, batch_data_samples: Sequence[Any]) -> Any:
        """See mmdet's detectors."""
        self.recurrence.see(batch_data_samples)
        return super().loss(batch_inputs, batch_data_samples)

    def predict(self, batch_inputs: Tensor, batch_data_samples: Sequence[Any], rescale: bool = True) -> Any:
        """See mmdet's detectors."""
        self.recurrence.see(batch_data_samples)
        return super().predict(batch_inputs, batch_data_samples, rescale=rescale)

    def extract_feat(self, batch_inputs: Tensor) -> tuple[Tensor, ...]:
        """Maps of the neck, coarse to fine."""
        maps = self.backbone(batch_inputs)
        if self.place == "backbone":
            maps = self.recurrence(maps)
        maps = self.neck(tuple(maps))
        return tuple(self.recurrence(maps)) if self.place == "neck" else tuple(maps)

    def inference_parts(self) -> list[Part]:
        """See `vidsuite_core.engine.accelerated`: what sees frames one by one, and each scale's state in and out."""
        stateless = [self.backbone, self.neck, *self.bbox_head.convs_bridge]
        return [Part(module) for module in [*stateless, *(scale.lstm for scale in self.recurrence.scales)]]
