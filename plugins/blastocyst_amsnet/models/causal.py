"""ResNet-50 with a causal residual temporal shift (section 3.2): each block sees a part of the moment before.

The reference's residual shift (mit-han-lab/temporal-shift-module, `blockres`) moves channels of the input of a block's
first convolution and leaves the shortcut as it is; its offline form moves one eighth from the past and one from the
future. Here, as in its online form, the first eighth comes from the moment before, and nothing from later.

What is shifted is never copied into a whole input: the convolution is 1x1 and linear, so its first eighth of weights
meets the past's channels, the rest the present's, and the results are added.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.resnet import Bottleneck, ResNet

SHARE = 8
"""One channel in so many is taken from the moment before (1/8, as the reference's online form)."""

Memory = tuple[Tensor, ...]
"""What a causal network keeps from moment to moment: for each shifted block, (B, planes, C/8, h, w)."""


class Shifts:
    """One pass over the moments of a clip: hands each shifted block its past, and keeps what the next pass needs.

    Args:
        batch, moments: B and T; maps come as (B * T * planes, C, h, w).
        memory: of the moments before, or empty at the beginning, whose past is zero.
    """

    def __init__(self, batch: int, moments: int, memory: Memory = ()) -> None:
        self.batch, self.moments = batch, moments
        self._past: Iterator[Tensor] | None = iter(memory) if memory else None
        self.kept: list[Tensor] = []

    def before(self, x: Tensor) -> Tensor:
        """Maps (B * T * planes, F, h, w) of all moments -> those of each moment's predecessor, in the same form."""
        now = x.unflatten(0, (self.batch, self.moments, -1))
        past = torch.zeros_like(now[:, 0]) if self._past is None else next(self._past)
        self.kept.append(now[:, -1].clone())  # a view would keep all of x
        return torch.cat([past[:, None], now[:, :-1]], dim=1).flatten(0, 2)


class CausalBottleneck(Bottleneck):
    """torchvision's bottleneck block, whose residual branch begins with the shift where there is one."""

    def branch(self, x: Tensor, shifts: Shifts | None) -> Tensor:
        """The first convolution of (N, C, h, w), with an eighth of its input from the moment before."""
        if shifts is None:
            return self.conv1(x)
        share = x.shape[1] // SHARE
        of_past, of_present = self.conv1.weight[:, :share], self.conv1.weight[:, share:]
        present = F.conv2d(x, F.pad(of_present, (0, 0, 0, 0, share, 0)))  # no slice of x, which would be a copy
        return present + F.conv2d(shifts.before(x[:, :share]), of_past)

    def run(self, x: Tensor, shifts: Shifts | None) -> Tensor:
        """(N, C, h, w) -> (N, C', h / stride, w / stride)."""
        out = self.relu(self.bn1(self.branch(x, shifts)))
        out = self.bn3(self.conv3(self.relu(self.bn2(self.conv2(out)))))
        return self.relu(out + (x if self.downsample is None else self.downsample(x)))


class CausalResNet50(ResNet):
    """ResNet-50 in parts, under torchvision's names; Res-1 of the paper is stem and `layer1`, Res-k is `layer<k>`.

    Args:
        in_channels: of the stem.
        num_outputs: of `fc`.
    """

    def __init__(self, in_channels: int, num_outputs: int = 1) -> None:
        super().__init__(CausalBottleneck, [3, 4, 6, 3], num_outputs)
        if in_channels != 3:
            self.conv1 = nn.Conv2d(in_channels, 64, 7, 2, 3, bias=False)
            nn.init.kaiming_normal_(self.conv1.weight, mode="fan_out", nonlinearity="relu")

    def res1(self, x: Tensor, shifts: Shifts | None) -> Tensor:
        """Images (N, C, H, W) -> (N, 256, H / 4, W / 4)."""
        return _stage(self.layer1, self.maxpool(self.relu(self.bn1(self.conv1(x)))), shifts)

    def rest(self, x: Tensor, shifts: Shifts | None) -> Tensor:
        """Maps of Res-1 (N, 256, h, w) -> outputs (N, num_outputs)."""
        for stage in (self.layer2, self.layer3, self.layer4):
            x = _stage(stage, x, shifts)
        return self.fc(self.avgpool(x).flatten(1))


def _stage(stage: nn.Module, x: Tensor, shifts: Shifts | None) -> Tensor:
    for block in stage.children():
        x = block.run(x, shifts)
    return x
