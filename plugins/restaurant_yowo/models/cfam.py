"""The channel fusion and attention mechanism, CFAM (YOWO's figure 2; section 2.5 of the restaurant paper)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

WIDTH = 1024


class ChannelAttention(nn.Module):
    """Each channel gains a mixture of all, by their Gram matrix: gamma softmax(max E - E) X + X with E = X X^T (DANet).

    The softmax runs over each row's maximum less its entries, so that it is the *unlike* channels that are mixed in.
    `gamma` is 0 at first.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        rows = x.flatten(2)
        gram = rows @ rows.transpose(1, 2)
        attention = torch.softmax(gram.amax(dim=-1, keepdim=True) - gram, dim=-1)
        return self.gamma * (attention @ rows).view_as(x) + x


class Cfam(nn.Module):
    """Features of both branches, side by side (B, `channels`, H, W) -> fused (B, 1024, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_bn_relu1 = _convolution(channels, 1)
        self.conv_bn_relu2 = _convolution(WIDTH, 3)
        self.sc = ChannelAttention()
        self.conv_bn_relu3 = _convolution(WIDTH, 3)
        self.conv_out = nn.Sequential(nn.Dropout2d(0.1), nn.Conv2d(WIDTH, WIDTH, 1))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        x = self.conv_bn_relu2(self.conv_bn_relu1(x))
        fused: Tensor = self.conv_out(self.conv_bn_relu3(self.sc(x)))
        return fused


def _convolution(channels: int, size: int) -> nn.Sequential:
    convolution = nn.Conv2d(channels, WIDTH, size, padding=size // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(WIDTH), nn.ReLU())
