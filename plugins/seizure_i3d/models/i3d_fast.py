"""A faster form of the trained I3D for feature extraction: the same features at several times the speed.

What differs from `InceptionI3d` (benchmarks/speed/i3d.py prints what it is worth on a machine):

- batch norm is folded into the convolutions;
- memory is channels-last, so oneDNN reorders nothing between layers;
- symmetric "SAME" padding is left to the convolutions, and pools read no padding at all;
- max pools are maxima along one axis at a time, without the indices that `max_pool3d` computes;
- ReLU follows a max pool instead of preceding it, on a quarter of the values (the two commute);
- weights and activations are bfloat16 where the processor multiplies in it.

Merging the three 1x1x1 convolutions that read one input gained nothing: what the larger product
saves, the copies of its slices cost.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from vidsuite_core.errors import UsageError
from vidsuite_plugins.seizure_i3d.models.i3d import (
    InceptionI3d,
    InceptionModule,
    SameMaxPool3d,
    Unit3D,
    check_clip,
    pool_features,
    same_padding,
)

Precision = Literal["auto", "fp32", "bf16"]


def fast_extractor(model: InceptionI3d, precision: Precision = "auto") -> FastI3d:
    """A frozen copy of `model` for inference; later changes of `model` do not reach it.

    Args:
        model: the trained network; its batch norms' running statistics are used, whatever its mode.
        precision: "fp32" equals the plain network up to float32 rounding, "bf16" up to bfloat16's
            (tests/seizure_i3d/test_i3d.py states both tolerances); "auto" is bf16 where
            `multiplies_bf16` and fp32 elsewhere.

    Raises:
        UsageError: an unknown precision.
    """
    if precision not in get_args(Precision):
        raise UsageError(f"precision {precision!r} is none of {', '.join(get_args(Precision))}")
    if precision == "auto":
        precision = "bf16" if multiplies_bf16(next(model.parameters()).device) else "fp32"
    return FastI3d(model, torch.bfloat16 if precision == "bf16" else torch.float32)


def multiplies_bf16(device: torch.device) -> bool:
    """Whether `device` is a CPU with bfloat16 products; one without is slower in bfloat16 than in float32."""
    if device.type != "cpu":
        return False
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


class FastI3d(nn.Module):
    """The inference form of an `InceptionI3d`; see `fast_extractor`.

    Attributes:
        path: how features are computed, "fp32-folded" or "bf16-folded"; record it with them.
    """

    def __init__(self, model: InceptionI3d, dtype: torch.dtype) -> None:
        super().__init__()
        self.path = "bf16-folded" if dtype == torch.bfloat16 else "fp32-folded"
        self.conv_1a = _folded(model.Conv3d_1a_7x7, dtype)
        self.pool_2a = SeparableMaxPool3d(model.MaxPool3d_2a_3x3)
        self.conv_2b = _folded(model.Conv3d_2b_1x1, dtype)
        self.conv_2c = _folded(model.Conv3d_2c_3x3, dtype)
        self.pool_3a = SeparableMaxPool3d(model.MaxPool3d_3a_3x3)
        self.mixed = nn.Sequential(
            _FoldedInception(model.Mixed_3b, dtype),
            _FoldedInception(model.Mixed_3c, dtype),
            SeparableMaxPool3d(model.MaxPool3d_4a_3x3),
            _FoldedInception(model.Mixed_4b, dtype),
            _FoldedInception(model.Mixed_4c, dtype),
            _FoldedInception(model.Mixed_4d, dtype),
            _FoldedInception(model.Mixed_4e, dtype),
            _FoldedInception(model.Mixed_4f, dtype),
            SeparableMaxPool3d(model.MaxPool3d_5a_2x2),
            _FoldedInception(model.Mixed_5b, dtype),
            _FoldedInception(model.Mixed_5c, dtype),
        )
        self.requires_grad_(False)

    @torch.no_grad()  # not inference_mode, whose tensors no classifier could be trained on
    def extract_features(self, x: Tensor) -> Tensor:
        """(B, 3, T, H, W) with RGB in [-1, 1] -> (B, ceil(T/8) - 1, 1024) float32.

        On a CPU clips go through one by one, which its caches prefer to a batch.

        Raises:
            VidsuiteError: fewer than 9 frames.
        """
        check_clip(x)
        if x.device.type == "cpu":
            return torch.cat([pool_features(self._last_map(clip)) for clip in x.split(1)])
        return pool_features(self._last_map(x))

    def _last_map(self, x: Tensor) -> Tensor:
        """(B, 3, T, H, W) -> (B, 1024, ceil(T/8), ceil(H/32), ceil(W/32))."""
        x = self.conv_1a(_padded_input(x, self.conv_1a))
        x = self.pool_2a(x).relu_()
        x = self.conv_2b(x).relu_()
        x = self.pool_3a(self.conv_2c(x)).relu_()
        return self.mixed(x)


class SeparableMaxPool3d(nn.Module):
    """`SameMaxPool3d` as maxima along one axis at a time; what lies outside the input never counts."""

    def __init__(self, pool: SameMaxPool3d) -> None:
        super().__init__()
        self.kernel = pool.kernel
        self.stride = pool.stride

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, C, ceil(T/s), ceil(H/s), ceil(W/s)), new memory."""
        for axis, kernel, stride in zip((2, 3, 4), self.kernel, self.stride, strict=True):
            if kernel > 1:
                x = _max_along(x, axis, kernel, stride)
        return x


def _max_along(x: Tensor, axis: int, kernel: int, stride: int) -> Tensor:
    """ "SAME" max pooling of one axis: the strided input, raised by its neighbours at each offset."""
    ((before, _),) = same_padding(x.shape[axis : axis + 1], (kernel,), (stride,))
    out = _from(x, axis, 0, stride).clone(memory_format=torch.channels_last_3d)
    for offset in range(-before, kernel - before):
        if offset == 0:
            continue
        first = max(-(offset // stride), 0)  # the first output whose neighbour at this offset is inside
        source = _from(x, axis, first * stride + offset, stride)
        target = out.narrow(axis, first, min(source.shape[axis], out.shape[axis] - first))
        torch.maximum(target, source.narrow(axis, 0, target.shape[axis]), out=target)
    return out


def _from(x: Tensor, axis: int, start: int, stride: int) -> Tensor:
    """A view of every `stride`-th element of one axis, beginning at `start`; empty where that is outside."""
    return x[(slice(None),) * axis + (slice(start, None, stride),)]


class _FoldedInception(nn.Module):
    """`InceptionModule` with folded convolutions."""

    def __init__(self, module: InceptionModule, dtype: torch.dtype) -> None:
        super().__init__()
        self.b0 = _folded(module.b0, dtype)
        self.b1a = _folded(module.b1a, dtype)
        self.b1b = _folded(module.b1b, dtype)
        self.b2a = _folded(module.b2a, dtype)
        self.b2b = _folded(module.b2b, dtype)
        self.b3a = SeparableMaxPool3d(module.b3a)
        self.b3b = _folded(module.b3b, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, C', T, H, W)."""
        branches = [
            self.b0(x),
            self.b1b(self.b1a(x).relu_()),
            self.b2b(self.b2a(x).relu_()),
            self.b3b(self.b3a(x)),
        ]
        return torch.cat(branches, dim=1).relu_()


def _folded(unit: Unit3D, dtype: torch.dtype) -> nn.Conv3d:
    """The convolution and batch norm of `unit` as one convolution, without its ReLU.

    With stride 1 it pads by itself, an odd kernel's "SAME" padding being symmetric; with a larger
    stride its input comes padded (`_padded_input`).
    """
    conv, bn = unit.conv3d, unit.bn
    padding = tuple((k - 1) // 2 if s == 1 else 0 for k, s in zip(conv.kernel_size, conv.stride, strict=True))
    folded = nn.Conv3d(conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, padding, dtype=dtype)
    folded.weight, folded.bias = fuse_conv_bn_weights(
        conv.weight, None, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    )
    return folded.to(dtype=dtype, memory_format=torch.channels_last_3d)


def _padded_input(x: Tensor, conv: nn.Conv3d) -> Tensor:
    """`x` with "SAME" padding for `conv`, in its type and channels-last: one copy for all three."""
    size = x.shape[2:]
    pads = same_padding(size, conv.kernel_size, conv.stride)
    padded = [before + n + after for n, (before, after) in zip(size, pads, strict=True)]
    out = x.new_zeros((len(x), *padded, x.shape[1]), dtype=conv.weight.dtype).permute(0, 4, 1, 2, 3)
    inner = tuple(slice(before, before + n) for n, (before, _) in zip(size, pads, strict=True))
    out[(..., *inner)].copy_(x)
    return out
