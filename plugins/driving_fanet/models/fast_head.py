"""The output head for inference, without enlarging and concatenating its input.

The head's 3x3 convolution reads [enlarge(coarse), fine]. Both halves are linear, and enlarging acts on rows and
columns while the convolution's kernel acts on channels once its nine taps are taken apart:

    conv(enlarge(x)) = sum over dy, dx of S_dy U_y (W_dy,dx x) U_x^T S_dx^T

with U the matrices of bilinear interpolation and S those that shift by a row or column and bring in zeros from
outside. So the products with W are done on the coarse map, which has a sixteenth of the pixels, and what is left
are products with two sparse matrices, [S_dx U_x] (W x 3w) and [S_dy U_y] (H x 3h).
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from vidsuite_plugins.driving_fanet.models.attention import SMOOTH_CHANNELS, enlarge
from vidsuite_plugins.driving_fanet.models.fanet import OutputHead
from vidsuite_plugins.driving_fanet.models.fast_stem import rows_of
from vidsuite_plugins.driving_fanet.models.folded import Folded, MakeLayer, fold, fold_block, leaky_
from vidsuite_plugins.driving_fanet.models.winograd import TILE


class FastHead:
    """`OutputHead` and the enlargement and concatenation before it.

    Args:
        head: the trained one.
        layer: makes the convolutions.
        dtype: of the maps.
        band: values of the widest map held at once, rows being done band by band.
    """

    def __init__(self, head: OutputHead, layer: MakeLayer, dtype: torch.dtype, band: int) -> None:
        whole = fold_block(head.conv)
        coarse, fine = whole.weight.split(SMOOTH_CHANNELS, dim=1)
        # (dy, C, dx C'): for each row of the kernel one product gives its three columns.
        self.taps = coarse.permute(2, 1, 3, 0).flatten(2).contiguous().to(dtype)
        self.fine = layer(Folded(fine, whole.bias, padding=(0, 1)))
        self.out = layer(fold(head.conv_out))
        self.slope = whole.slope
        self.channels = len(whole.bias)
        self.band = band

    def __call__(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """Maps (B, 128, h, w) and (B, 128, H, W) -> logits (B, K, H, W), float32."""
        batch, _, height, width = fine.shape
        across = self._across(coarse, width)
        down = shifted_enlargement(coarse.shape[2], height, fine.dtype, fine.device).expand(batch, -1, -1)
        step = max(self.band // (batch * width * self.channels) // TILE, 1) * TILE
        logits = []
        for first in range(0, height, step):
            last = min(first + step, height)
            x = self.fine(rows_of(fine, first - 1, last + 1))
            touched = _touched(coarse.shape[2], height, first, last)
            flat = x.permute(0, 2, 3, 1).view(batch, last - first, -1)
            flat.baddbmm_(down[:, first:last, touched], across[:, touched])
            logits.append(self.out(leaky_(x, self.slope)))
        return torch.cat(logits, dim=2).float()

    def _across(self, coarse: Tensor, width: int) -> Tensor:
        """The nine products on the coarse map, enlarged along its rows: (B, h 3, W C')."""
        batch, channels, h, w = coarse.shape
        pixels = coarse.permute(0, 2, 3, 1).reshape(-1, channels)
        along = shifted_enlargement(w, width, coarse.dtype, coarse.device).expand(batch * h, -1, -1)
        across = coarse.new_empty(batch * h, 3, width, self.channels)
        for row, taps in enumerate(self.taps):
            products = torch.mm(pixels, taps).view(batch * h, w * 3, self.channels)
            torch.bmm(along, products, out=across[:, row])
        return across.view(batch, h * 3, -1)


@lru_cache(maxsize=64)
def shifted_enlargement(small: int, large: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """[S_-1 U, S_0 U, S_1 U] for one axis, the three columns of a coarse place beside each other: (large, small 3)."""
    matrix = enlarge(torch.eye(small)[None, :, :, None], (large, 1))[0, :, :, 0].T
    padded = F.pad(matrix, (0, 0, 1, 1))
    return torch.stack([padded[shift : shift + large] for shift in range(3)], dim=2).flatten(1).to(device, dtype)


def _touched(small: int, large: int, first: int, last: int) -> slice:
    """The columns of `shifted_enlargement` that are not all 0 in its rows [first, last)."""
    ratio = (small - 1) / max(large - 1, 1)
    return slice(3 * int(max(first - 1, 0) * ratio), 3 * min(int(last * ratio) + 2, small))
