"""3-D MobileNet and ShuffleNet (Köpüklü et al., "Resource efficient 3D convolutional neural networks", ICCVW 2019).

Both up to their last feature map, as YOWO's 3-D branch; no library has them. Parameter names are those of the published
Kinetics checkpoints.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Separable(nn.Module):
    """A 3x3x3 convolution of each channel by itself, then a 1x1x1 convolution; batch norm and ReLU after both."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(channels, channels, 3, stride, 1, groups=channels, bias=False)
        self.bn1 = nn.BatchNorm3d(channels)
        self.conv2 = nn.Conv3d(channels, width, 1, bias=False)
        self.bn2 = nn.BatchNorm3d(width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, width, T/s, H/s, W/s)."""
        return self.bn2(self.conv2(self.bn1(self.conv1(x)).relu())).relu()


class MobileNet3d(nn.Module):
    """Clips (B, 3, T, H, W) -> features (B, 1024 x `width`, T/16, H/32, W/32), rounded up."""

    _STAGES = ((64, 1, 2), (128, 2, 2), (256, 2, 2), (512, 6, 2), (1024, 2, 1))
    """Channels, blocks, and stride of the first of them."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        channels = int(32 * width)
        layers: list[nn.Module] = [_stem(channels)]
        for base, blocks, stride in self._STAGES:
            for place in range(blocks):
                layers.append(Separable(channels, int(base * width), stride if place == 0 else 1))
                channels = int(base * width)
        self.features = nn.Sequential(*layers)
        self.out_channels = channels

    def forward(self, clips: Tensor) -> Tensor:
        """See the class."""
        x: Tensor = self.features(clips)
        return x


class Shuffled(nn.Module):
    """ShuffleNet's unit: grouped 1x1x1, channel shuffle, depthwise 3x3x3, grouped 1x1x1.

    With stride 2 the shortcut is an average pooling whose channels are put beside those of the branch.
    """

    def __init__(self, channels: int, width: int, stride: int, groups: int) -> None:
        super().__init__()
        middle = width // 4
        branch = width - channels if stride == 2 else width
        first = 1 if channels == 24 else groups  # the unit after a stem of 24 channels does without groups
        self.groups, self.stride = groups, stride
        self.conv1 = nn.Conv3d(channels, middle, 1, groups=first, bias=False)
        self.bn1 = nn.BatchNorm3d(middle)
        self.conv2 = nn.Conv3d(middle, middle, 3, stride, 1, groups=middle, bias=False)
        self.bn2 = nn.BatchNorm3d(middle)
        self.conv3 = nn.Conv3d(middle, branch, 1, groups=groups, bias=False)
        self.bn3 = nn.BatchNorm3d(branch)
        self.shortcut = nn.AvgPool3d((2, 3, 3), 2, (0, 1, 1)) if stride == 2 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, width, T/s, H/s, W/s)."""
        out = shuffle(self.bn1(self.conv1(x)).relu(), self.groups)
        out = self.bn3(self.conv3(self.bn2(self.conv2(out))))
        past = self.shortcut(x)
        return (torch.cat([out, past], dim=1) if self.stride == 2 else out + past).relu()


def shuffle(x: Tensor, groups: int) -> Tensor:
    """Channels (B, g n, ...) in the order n g: one of each group in turn."""
    return x.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)


class ShuffleNet3d(nn.Module):
    """Clips (B, 3, T, H, W) -> features (B, 960 x `width`, T/16, H/32, W/32), in 3 groups."""

    _GROUPS = 3
    _STAGES = ((240, 4), (480, 8), (960, 4))
    """Channels and units."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        channels = int(24 * width)
        self.conv1 = _stem(channels)
        self.maxpool = nn.MaxPool3d(3, 2, 1)
        for number, (base, units) in enumerate(self._STAGES, 1):
            stage = nn.Sequential()
            for place in range(units):
                stage.append(Shuffled(channels, int(base * width), 2 if place == 0 else 1, self._GROUPS))
                channels = int(base * width)
            self.add_module(f"layer{number}", stage)
        self.out_channels = channels

    def forward(self, clips: Tensor) -> Tensor:
        """See the class."""
        x = self.maxpool(self.conv1(clips))
        for number in range(1, len(self._STAGES) + 1):
            x = getattr(self, f"layer{number}")(x)
        return x


def _stem(channels: int) -> nn.Sequential:
    convolution = nn.Conv3d(3, channels, 3, (1, 2, 2), 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm3d(channels), nn.ReLU())
