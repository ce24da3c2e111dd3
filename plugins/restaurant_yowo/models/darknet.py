"""Darknet-19 as YOWO uses it: the whole YOLOv2 network for COCO, its head kept as 425 feature channels.

The layers are those of YOLOv2's published configuration, numbered as there, since checkpoints bear the numbers: with M
for a 2x2 max pooling, "512" for a 3x3 and "256/1" for a 1x1 convolution,

    32 M 64 M 128 64/1 128 M 256 128/1 256 M 512 256/1 512 256/1 512 M 1024 512/1 1024 512/1 1024, 1024 1024,
    route to layer 16, 64/1, space to depth, route to both, 1024, 425/1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_LAYERS = tuple(
    """
    32 M 64 M 128 64/1 128 M 256 128/1 256 M 512 256/1 512 256/1 512 M 1024 512/1 1024 512/1 1024 1024 1024
    skip 64/1 reorg join 1024 425/1
    """.split()  # noqa: SIM905 (a line for the eye)
)
_SKIP = 16
"""The layer, of 512 channels at twice the last map's size, that the pass-through begins at."""


class Darknet19(nn.Module):
    """Frames (B, 3, H, W) in [0, 1] -> features (B, 425, H/32, W/32); H and W are multiples of 32."""

    out_channels = 425
    """5 anchors of 85 numbers: COCO's head, which YOWO keeps as features."""

    def __init__(self) -> None:
        super().__init__()
        self.models = nn.ModuleList()
        channels, number = 3, 0
        for layer in _LAYERS:
            if layer[0].isdigit():
                number += 1
                width, _, size = layer.partition("/")
                self.models.append(_convolution(number, channels, int(width), int(size or 3), layer != _LAYERS[-1]))
                channels = int(width)
            else:
                self.models.append(nn.MaxPool2d(2) if layer == "M" else nn.Identity())
                channels = {"skip": 512, "reorg": 256, "join": 1280}.get(layer, channels)

    def forward(self, frames: Tensor) -> Tensor:
        """See the class."""
        x = frames
        skip = deep = x
        for place, (layer, module) in enumerate(zip(_LAYERS, self.models, strict=True)):
            if layer == "skip":
                deep, x = x, skip
            elif layer == "reorg":
                x = space_to_depth(x)
            elif layer == "join":
                x = torch.cat([x, deep], dim=1)
            else:
                x = module(x)
            if place == _SKIP:
                skip = x
        return x


def space_to_depth(x: Tensor) -> Tensor:
    """(B, C, 2h, 2w) -> (B, 4C, h, w): channel (2 i + j) C + c holds x[c, 2y + i, 2x + j], the reorg of YOWO's code."""
    batch, channels, height, width = x.shape
    cells = x.view(batch, channels, height // 2, 2, width // 2, 2)
    return cells.permute(0, 3, 5, 1, 2, 4).reshape(batch, 4 * channels, height // 2, width // 2)


def _convolution(number: int, channels: int, width: int, size: int, normed: bool) -> nn.Sequential:
    """A convolution, with batch norm and leaky ReLU unless it is the last; its parts bear its number."""
    block = nn.Sequential()
    block.add_module(f"conv{number}", nn.Conv2d(channels, width, size, padding=size // 2, bias=not normed))
    if normed:
        block.add_module(f"bn{number}", nn.BatchNorm2d(width))
        block.add_module(f"leaky{number}", nn.LeakyReLU(0.1))
    return block
