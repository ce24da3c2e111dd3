"""MFNet-3D: multi-fiber networks for video (Chen et al., ECCV 2018; reference [21] of the paper).

Convolutions are cut into 16 groups (fibers), and a pair of 1x1x1 convolutions before them (the multiplexer) lets the
fibers exchange what they found. Parameter names and order are those of cypw/PyTorch-MFNet.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

FIBERS = 16
STAGES = {"conv2": (3, 96), "conv3": (4, 192), "conv4": (6, 384), "conv5": (3, 768)}
"""Units and channels of each stage (the paper's Table 4)."""

Size3 = tuple[int, int, int]
ONE: Size3 = (1, 1, 1)


class PreConv(nn.Module):
    """Batch norm, ReLU, then a convolution without bias that keeps the size (up to its stride)."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: Size3 = ONE, stride: Size3 = ONE, groups: int = 1
    ) -> None:
        super().__init__()
        t, h, w = kernel
        self.bn = nn.BatchNorm3d(in_channels)
        self.conv = nn.Conv3d(
            in_channels, out_channels, kernel, stride, padding=(t // 2, h // 2, w // 2), groups=groups, bias=False
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, C', ceil(T/s), ceil(H/s), ceil(W/s))."""
        return self.conv(F.relu(self.bn(x), inplace=True))


class MultiFiberUnit(nn.Module):
    """A multi-fiber unit with its multiplexer (Figure 2 e of Chen et al.).

    The stage's first unit (`stride` given) changes size and channels: its second convolution mixes all fibers, and its
    shortcut is a convolution of the unit's input.
    """

    def __init__(self, in_channels: int, channels: int, stride: Size3 | None = None) -> None:
        super().__init__()
        self.conv_i1 = PreConv(in_channels, channels // 4)
        self.conv_i2 = PreConv(channels // 4, in_channels)
        self.conv_m1 = PreConv(in_channels, channels, (3, 3, 3), stride or ONE, groups=FIBERS)
        if stride:
            self.conv_m2 = PreConv(channels, channels)
            self.conv_w1 = PreConv(in_channels, channels, stride=stride)
        else:
            self.conv_m2 = PreConv(channels, channels, (1, 3, 3), groups=FIBERS)
            self.conv_w1 = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, C', ceil(T/s), ceil(H/s), ceil(W/s))."""
        exchanged = x + self.conv_i2(self.conv_i1(x))
        return self.conv_m2(self.conv_m1(exchanged)) + self.conv_w1(x)


class MFNet(nn.Module):
    """MFNet-3D on clips of any length and size: 7,687,906 parameters with one channel and two classes.

    The last map is averaged over all of its time, height and width. At 16 frames of 224x224 that is the reference's
    pool of (8, 7, 7); the reference takes no other length, the paper's 32 frames among them.
    """

    def __init__(self, num_classes: int = 2, in_channels: int = 1) -> None:
        super().__init__()
        width = 16
        self.conv1 = nn.Sequential()
        self.conv1.conv = nn.Conv3d(in_channels, width, (3, 5, 5), (1, 2, 2), padding=(1, 2, 2), bias=False)
        self.conv1.bn = nn.BatchNorm3d(width)
        self.conv1.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool3d((1, 3, 3), (1, 2, 2), padding=(0, 1, 1))
        for name, (units, channels) in STAGES.items():
            stage = nn.Sequential()
            stride = (2, 1, 1) if name == "conv2" else (1, 2, 2)
            stage.B01 = MultiFiberUnit(width, channels, stride)
            for number in range(2, units + 1):
                stage.add_module(f"B{number:02d}", MultiFiberUnit(channels, channels))
            self.add_module(name, stage)
            width = channels
        self.tail = nn.Sequential()
        self.tail.bn = nn.BatchNorm3d(width)
        self.tail.relu = nn.ReLU(inplace=True)
        self.classifier = nn.Linear(width, num_classes)
        self._initialise()

    def _initialise(self) -> None:
        """Xavier-uniform, as the reference begins."""
        for module in self.modules():
            if isinstance(module, nn.Conv3d | nn.Linear):
                nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> logits (B, K)."""
        x = self.maxpool(self.conv1(x))
        for name in STAGES:
            x = self.get_submodule(name)(x)
        return self.classifier(self.tail(x).mean(dim=(2, 3, 4)))
