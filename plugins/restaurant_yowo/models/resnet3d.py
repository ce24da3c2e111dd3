"""3-D ResNets and ResNeXts (Hara, Kataoka & Satoh, CVPR 2018) up to their last feature map, as YOWO's 3-D branch.

mmaction2's ResNet3d pools (1, 3, 3) after its stem, has no groups and no parameter-free shortcut; torchvision's
VideoResNets have another stem: hence these. Parameter names are those of the published Kinetics checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

Block = Callable[[int, int, int, nn.Module | None], nn.Module]
"""(channels in, channels out, stride, shortcut or None) -> a residual block."""


class BasicBlock(nn.Module):
    """Two 3x3x3 convolutions beside a shortcut."""

    def __init__(self, channels: int, width: int, stride: int, shortcut: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm3d(width)
        self.conv2 = nn.Conv3d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm3d(width)
        if shortcut is not None:
            self.downsample = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, width, T/s, H/s, W/s)."""
        out = self.bn1(self.conv1(x)).relu()
        out = self.bn2(self.conv2(out))
        return (out + (self.downsample(x) if hasattr(self, "downsample") else x)).relu()


class Bottleneck(nn.Module):
    """1x1x1, 3x3x3 in `groups`, 1x1x1 beside a shortcut; the middle is `width / expansion` channels wide."""

    def __init__(
        self, channels: int, width: int, stride: int, shortcut: nn.Module | None, expansion: int = 4, groups: int = 1
    ) -> None:
        super().__init__()
        middle = width // expansion
        self.conv1 = nn.Conv3d(channels, middle, 1, bias=False)
        self.bn1 = nn.BatchNorm3d(middle)
        self.conv2 = nn.Conv3d(middle, middle, 3, stride, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm3d(middle)
        self.conv3 = nn.Conv3d(middle, width, 1, bias=False)
        self.bn3 = nn.BatchNorm3d(width)
        if shortcut is not None:
            self.downsample = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, width, T/s, H/s, W/s)."""
        out = self.bn1(self.conv1(x)).relu()
        out = self.bn2(self.conv2(out)).relu()
        out = self.bn3(self.conv3(out))
        return (out + (self.downsample(x) if hasattr(self, "downsample") else x)).relu()


class PaddedShortcut(nn.Module):
    """Shortcut "A": every `stride`-th position, and zeros for the channels that are new; no parameters.

    The reference cuts the gradient here (it works on `out.data`), so that the down-sampling blocks of its ResNet-18
    learn through the residual branch alone; here the gradient flows. Outputs are the same.
    """

    def __init__(self, stride: int, new: int) -> None:
        super().__init__()
        self.stride, self.new = stride, new

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, C + new, T/s, H/s, W/s)."""
        kept = x[:, :, :: self.stride, :: self.stride, :: self.stride]
        return torch.cat([kept, kept.new_zeros(len(kept), self.new, *kept.shape[2:])], dim=1)


class ResNet3d(nn.Module):
    """Clips (B, 3, T, H, W) -> features (B, `out_channels`, T/16, H/32, W/32), rounded up.

    Args:
        block: the residual block.
        depths: blocks in each of the four stages.
        widths: channels of each stage's output.
        padded: shortcuts "A" (padding) in place of "B" (1x1x1 convolutions with batch norm).
    """

    def __init__(self, block: Block, depths: Sequence[int], widths: Sequence[int], padded: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(3, 64, 7, (1, 2, 2), 3, bias=False)
        self.bn1 = nn.BatchNorm3d(64)
        self.maxpool = nn.MaxPool3d(3, 2, 1)
        channels = 64
        for number, (depth, width) in enumerate(zip(depths, widths, strict=True), 1):
            stride = 1 if number == 1 else 2
            shortcut = None if stride == 1 and channels == width else _shortcut(channels, width, stride, padded)
            blocks = [block(channels, width, stride, shortcut)]
            blocks += [block(width, width, 1, None) for _ in range(depth - 1)]
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
            channels = width
        self.out_channels = channels

    def forward(self, clips: Tensor) -> Tensor:
        """See the class."""
        x = self.maxpool(self.bn1(self.conv1(clips)).relu())
        for number in range(1, 5):
            x = getattr(self, f"layer{number}")(x)
        return x


def _shortcut(channels: int, width: int, stride: int, padded: bool) -> nn.Module:
    if padded:
        return PaddedShortcut(stride, width - channels)
    return nn.Sequential(nn.Conv3d(channels, width, 1, stride, bias=False), nn.BatchNorm3d(width))


def resnet18() -> ResNet3d:
    """3-D ResNet-18 with padded shortcuts: 512 channels."""
    return ResNet3d(BasicBlock, (2, 2, 2, 2), (64, 128, 256, 512), padded=True)


def resnet50() -> ResNet3d:
    """3-D ResNet-50: 2048 channels."""
    return ResNet3d(Bottleneck, (3, 4, 6, 3), (256, 512, 1024, 2048))


def resnet101() -> ResNet3d:
    """3-D ResNet-101: 2048 channels."""
    return ResNet3d(Bottleneck, (3, 4, 23, 3), (256, 512, 1024, 2048))


def resnext101() -> ResNet3d:
    """3-D ResNeXt-101 of 32 groups: 2048 channels."""
    return ResNet3d(partial(Bottleneck, expansion=2, groups=32), (3, 4, 23, 3), (256, 512, 1024, 2048))
