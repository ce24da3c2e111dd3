"""The fast attention module of FANet with temporal context (figure 2b) and what it is built of.

Ours, and not a library's: mmseg's attention heads take a softmax over pixels, which keeps K^T V from being
multiplied first; mmcv's `ConvModule` names its parts otherwise and knows no norm that is skipped.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from vidsuite_plugins.driving_fanet.models.encoder import SLOPE, Norm, norm_layer
from vidsuite_plugins.driving_fanet.models.memory import Memory, product

KEY_CHANNELS = 32
"""Of queries and keys, at every scale."""
SMOOTH_CHANNELS = 128
"""Of the maps that are fused into the output."""


class ConvBNReLU(nn.Module):
    """The reference's block of this name: convolution without bias, batch norm, and LeakyReLU or nothing."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 1,
        padding: int = 0,
        norm: Norm = "batch",
        activation: Literal["leaky_relu", "none"] = "leaky_relu",
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, padding=padding, bias=False)
        self.bn = norm_layer(norm)(out_channels)
        self.slope = SLOPE if activation == "leaky_relu" else 1.0
        nn.init.kaiming_normal_(self.conv.weight, a=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W')."""
        x = self.bn(self.conv(x))
        return x if self.slope == 1 else F.leaky_relu(x, self.slope)


class FastAttentionModule(nn.Module):
    """One scale's fast attention module ("FAM"): spatial and temporal context, then fusion with the coarser scale.

    Names are the reference's: `w_qs`, `w_ks`, `w_vs` make queries, keys and values, `latlayer3` the lateral map,
    `up` what the next finer scale adds to its own, `smooth` what goes into the output. Every scale has both `up`
    and `smooth` in published weights; the network uses those that figure 2 draws.

    Args:
        scale: the module's name, by which a memory tells the scales apart.
        channels: C of the encoder's map.
        norm: as `Encoder`.
    """

    def __init__(self, scale: str, channels: int, norm: Norm = "batch") -> None:
        super().__init__()
        self.scale = scale
        self.w_qs = ConvBNReLU(channels, KEY_CHANNELS, norm=norm, activation="none")
        self.w_ks = ConvBNReLU(channels, KEY_CHANNELS, norm=norm, activation="none")
        self.w_vs = ConvBNReLU(channels, channels, norm=norm)
        self.latlayer3 = ConvBNReLU(channels, channels, norm=norm)
        # A 1x1 convolution with padding 1 is the reference's: the map grows by a border of act(bn(0)).
        self.up = ConvBNReLU(channels, channels // 2, padding=1, norm=norm)
        self.smooth = ConvBNReLU(channels, SMOOTH_CHANNELS, kernel=3, padding=1, norm=norm)

    def forward(self, feat: Tensor, coarser: Tensor | None, memory: Memory) -> Tensor:
        """Attend, and add the coarser scale.

        Query and key of each pixel have l2 norm 1 over their 32 channels. There is neither a softmax nor a
        division by the number of pixels: with f = sum of K^T V over the frames that count, a pixel's answer is q f.

        Args:
            feat: the encoder's map (B, C, h, w).
            coarser: the next coarser scale's `up` (B, C, h', w'), or None at the coarsest.
            memory: gives each frame's f.

        Returns:
            (B, C, h, w).
        """
        query = F.normalize(self.w_qs(feat).flatten(2), dim=1, eps=1e-12)
        keys = F.normalize(self.w_ks(feat).flatten(2), dim=1, eps=1e-12)
        values = self.w_vs(feat).flatten(2)
        size = (feat.shape[2], feat.shape[3])
        context = memory.recall(self.scale, keys, values, size)
        fused = self.latlayer3(product(context.transpose(1, 2), query).unflatten(2, size).to(feat.dtype)) + feat
        return fused if coarser is None else fused + enlarge(coarser, size)


def enlarge(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, C, h, w) -> (B, C, *size), bilinear, corners on corners, as everywhere inside FANet."""
    return F.interpolate(x, size, mode="bilinear", align_corners=True)
