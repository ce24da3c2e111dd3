"""Winograd's minimal filters F(4x4, 3x3) (Lavin and Gray, CVPR 2016): 3x3 convolutions at a quarter of the products.

oneDNN has none for x86, and its direct convolutions run near a core's peak already, so that in float32 nothing
else makes the large layers faster. Tiles of 6x6 pixels, 4 apart, are transformed (B^T d B), multiplied by the
transformed kernel for each of the 36 positions, and transformed back (A^T m A) to 4x4 outputs. The two-dimensional
transforms are single products with Kronecker squares, 36x36 and 16x36.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from vidsuite_plugins.driving_fanet.models.folded import Folded, leaky_

TILE = 4
"""Outputs of a tile along one axis; it reads two pixels more."""
AT_ONCE = 1 << 20
"""Transformed values, at most, that are held at once: 4 MiB, which stay in the cache."""

# Interpolation points 0, 1, -1, 2, -2 and infinity, in the paper's order.
_INPUT = torch.tensor(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    dtype=torch.float64,
)
_KERNEL = torch.tensor(
    [[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]], dtype=torch.float64
).div_(24)
_OUTPUT = torch.tensor(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], dtype=torch.float64
)


class Winograd:
    """A folded 3x3 convolution of stride 1 and padding 0 or 1 in float32, on a CPU.

    Its rounding differs from a direct convolution's by some 1e-5 of the outputs' spread.
    """

    def __init__(self, folded: Folded) -> None:
        self.padding, self.slope = folded.padding, folded.slope
        self.bias = folded.bias.float()
        kernel = torch.einsum("ai,bj,ocij->abco", _KERNEL, _KERNEL, folded.weight.double().cpu())
        self.kernel = kernel.flatten(0, 1).float().contiguous()
        self.to_tiles = torch.kron(_INPUT, _INPUT).float()
        self.from_tiles = torch.kron(_OUTPUT, _OUTPUT).float()

    @staticmethod
    def suits(folded: Folded) -> bool:
        """Whether the convolution gains (measured).

        With fewer channels the transforms outweigh the products; with more, in FANet on maps of few pixels, the
        36 transformed kernels do not stay in the cache.
        """
        outer, inner, *kernel = folded.weight.shape
        return kernel == [3, 3] and folded.stride == (1, 1) and inner * outer >= 64 * 128 and inner + outer <= 512

    def __call__(self, x: Tensor) -> Tensor:
        """(B, C, H, W), channels-last -> (B, C', H', W'), channels-last in new memory."""
        return leaky_(self._convolve(x), self.slope)

    def add_relu(self, x: Tensor, other: Tensor) -> Tensor:
        """As `Layer.add_relu`."""
        return self._convolve(x).add_(other).relu_()

    def _convolve(self, x: Tensor) -> Tensor:
        height, width = (n + 2 * pad - 2 for n, pad in zip(x.shape[2:], self.padding, strict=True))
        rows, columns = -(-height // TILE), -(-width // TILE)
        padded = F.pad(x, self._pads(rows * TILE - height, columns * TILE - width))
        padded = padded.contiguous(memory_format=torch.channels_last)
        out = x.new_empty(len(x), rows * TILE, columns * TILE, len(self.bias))
        step = max(AT_ONCE // (36 * columns * max(self.kernel.shape[1:])), 1)
        for frame, result in zip(padded.permute(0, 2, 3, 1), out, strict=True):
            for first in range(0, rows, step):
                last = min(first + step, rows)
                self._tiles(frame[first * TILE : last * TILE + 2], result[first * TILE : last * TILE])
        return out[:, :height, :width].permute(0, 3, 1, 2)

    def _pads(self, below: int, right: int) -> tuple[int, int, int, int]:
        y, x = self.padding
        return x, x + right, y, y + below

    def _tiles(self, x: Tensor, out: Tensor) -> None:
        """Whole rows of tiles: `x` (4r + 2, 4c + 2, C) -> `out` (4r, 4c, C')."""
        channels = x.shape[2]
        rows, columns = out.shape[0] // TILE, out.shape[1] // TILE
        below, right, along = x.stride()
        patches = x.as_strided(
            (rows, columns, 6, 6, channels), (TILE * below, TILE * right, below, right, along), x.storage_offset()
        ).reshape(rows * columns, 36, channels)
        # Batches of small products: as one wide product the transforms take twice as long.
        transformed = torch.bmm(self.to_tiles.expand(len(patches), -1, -1), patches)
        products = torch.bmm(transformed.transpose(0, 1), self.kernel)
        tiles = torch.bmm(self.from_tiles.expand(len(patches), -1, -1), products.transpose(0, 1))
        tiles = tiles.view(rows, columns, TILE, TILE, -1)
        target = out.view(rows, TILE, columns, TILE, -1)
        torch.add(tiles.permute(0, 2, 1, 3, 4), self.bias, out=target)
