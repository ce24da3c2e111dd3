"""The encoder's first layers for inference: 7x7 convolution, max pool, LeakyReLU.

LeakyReLU grows with its argument, so that it and the max pool change places: a quarter of the values is left.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from vidsuite_plugins.driving_fanet.models.folded import Folded, MakeLayer, leaky_

BAND = 1 << 21
"""Values of the convolution's output, at most, that `BandedStem` holds at once: 8 MiB in float32."""


class Stem:
    """The whole map at once.

    Args:
        folded: the convolution and its norm.
        layer: makes the convolution.
    """

    def __init__(self, folded: Folded, layer: MakeLayer) -> None:
        self.slope = folded.slope
        self.conv = layer(replace(folded, slope=1.0))

    def __call__(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 64, ceil(H/4), ceil(W/4))."""
        return leaky_(F.max_pool2d(self.conv(x), 3, 2, 1), self.slope)


class BandedStem(Stem):
    """Band by band of rows, on a CPU: the convolution's output, the network's largest map, stays in the cache.

    As one piece at 512x1024 it has 32 MiB, which the allocator takes fresh from the system for every frame.
    """

    def __init__(self, folded: Folded, layer: MakeLayer) -> None:
        super().__init__(replace(folded, padding=(0, folded.padding[1])), layer)
        self.channels = len(folded.bias)

    def __call__(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 64, ceil(H/4), ceil(W/4))."""
        height, width = (-(-n // 2) for n in x.shape[2:])
        rows = -(-height // 2)
        out = x.new_empty(len(x), rows, -(-width // 2), self.channels).permute(0, 3, 1, 2)
        step = max(BAND // (2 * width * self.channels * len(x)), 1)
        for first in range(0, rows, step):
            last = min(first + step, rows)
            out[:, :, first:last] = self._pooled(x, first, last, height)
        return leaky_(out, self.slope)

    def _pooled(self, x: Tensor, first: int, last: int, height: int) -> Tensor:
        """Rows [first, last) of the pooled map of a convolution that has `height` rows."""
        # Row r of the pool reads rows 2r - 1 .. 2r + 1 of the convolution; row c of that, rows 2c - 3 .. 2c + 3 of x.
        start, stop = max(2 * first - 1, 0), min(2 * last, height)
        convolved = self.conv(rows_of(x, 2 * start - 3, 2 * stop + 2))
        if first == 0:
            return F.max_pool2d(convolved, 3, 2, 1)[:, :, :last]
        if 2 * last > stop:
            convolved = F.pad(convolved, (0, 0, 0, 1), value=-torch.inf)
        return F.max_pool2d(convolved, 3, 2, (0, 1))


def rows_of(x: Tensor, start: int, stop: int) -> Tensor:
    """Rows [start, stop) of `x` (B, C, H, W), with zeros for those outside of it."""
    part = x[:, :, max(start, 0) : min(stop, x.shape[2])]
    above, below = max(-start, 0), max(stop - x.shape[2], 0)
    return F.pad(part, (0, 0, above, below)) if above or below else part
