"""The multi-focus feature selection module, MFS (section 3.1, Figure 3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

RATIO = 16
"""The shared MLP's reduction, which the paper leaves open: that of CBAM [14]."""


class ChannelAttention(nn.Module):
    """A weight for each channel of all planes, from its mean and its maximum through one shared MLP.

    Args:
        channels: m * c.
    """

    def __init__(self, channels: int, ratio: int = RATIO) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(channels, channels // ratio), nn.ReLU(inplace=True), nn.Linear(channels // ratio, channels)
        )

    def forward(self, u: Tensor) -> Tensor:
        """Maps U (N, m * c, h, w) -> weights W in 0 to 1 (N, m * c)."""
        return torch.sigmoid(self.mlp(u.mean(dim=(2, 3))) + self.mlp(u.amax(dim=(2, 3))))


class NonLocal(nn.Module):
    """A 2-D Gaussian non-local block (Wang et al. 2018 [13]) with a residual connection.

    Position i takes from all j by softmax over j of x_i . x_j. The weights of a position sum to 1, so the embedding g,
    a 1x1 convolution, is applied after the average in place of before: the same result, and all three inputs of the
    attention are x, for which torch has kernels that never hold the (hw x hw) matrix.

    Args:
        channels: c; the embedding has half of them. The last batch norm begins at zero, so the block begins as nothing.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.g = nn.Conv2d(channels, channels // 2, 1)
        self.out = nn.Conv2d(channels // 2, channels, 1)
        self.bn = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.bn.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(N, c, h, w) -> (N, c, h, w)."""
        positions = x.flatten(2).transpose(1, 2).contiguous()[:, None]  # as those kernels need it
        averaged = F.scaled_dot_product_attention(positions, positions, positions, scale=1.0)
        averaged = averaged[:, 0].transpose(1, 2).reshape(x.shape)
        return x + self.bn(self.out(self.g(averaged)))

    @staticmethod
    def weights_at(x: Tensor, position: Tensor) -> Tensor:
        """Of maps (N, c, h, w), what position (N,) (row-major) takes from each: (N, h, w), summing to 1."""
        flat = x.flatten(2)
        at = flat.gather(2, position[:, None, None].expand(-1, flat.shape[1], 1))
        return torch.einsum("nck,ncp->np", at, flat).softmax(dim=1).view(len(x), *x.shape[2:])


class MultiFocusSelection(nn.Module):
    """Maps of m planes to one: channel attention, reduction to c channels, and, where asked for, spatial attention.

    The reduction is a 1x1 convolution that begins as the mean over the planes, so that what follows begins with maps
    such as it was trained on.

    Args:
        planes: m.
        channels: c.
        spatial: whether the non-local block follows (rows 9 to 11 of Table 1) or not (rows 6 to 8).
    """

    def __init__(self, planes: int, channels: int, spatial: bool) -> None:
        super().__init__()
        self.attention = ChannelAttention(planes * channels)
        self.reduce = nn.Conv2d(planes * channels, channels, 1, bias=False)
        self.spatial = NonLocal(channels) if spatial else nn.Identity()
        with torch.no_grad():
            self.reduce.weight.copy_((torch.eye(channels) / planes).repeat(1, planes)[..., None, None])

    def merge(self, u: Tensor) -> Tensor:
        """U (N, m * c, h, w) -> the channel-wise enhanced F (N, c, h, w)."""
        return self.reduce(u * self.attention(u)[..., None, None])

    def forward(self, u: Tensor) -> Tensor:
        """U (N, m * c, h, w) -> (N, c, h, w)."""
        return self.spatial(self.merge(u))
