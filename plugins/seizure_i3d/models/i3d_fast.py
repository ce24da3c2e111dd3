"""A faster form of the trained I3D for feature extraction: the same features at several times the speed.

What differs from `InceptionI3d` (benchmarks/speed/i3d.py prints what it is worth on a machine):

- batch norm is folded into the convolutions;
- memory is channels-last, so oneDNN reorders nothing between layers;
- symmetric "SAME" padding is left to the convolutions, and pools read no padding at all;
- max pools are maxima along one axis at a time, without the indices that `max_pool3d` computes;
- ReLU follows a max pool instead of preceding it, on a quarter of the values (the two commute);
- weights and activations are bfloat16 where the processor multiplies in it, with a first layer to suit.

Tried, and worth nothing here: merging the three 1x1x1 convolutions that read one input (what the
larger product saves, the copies of its slices cost), and fusing ReLU into the convolutions.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_weights

from vidsuite_core.errors import UsageError
from vidsuite_core.networks.i3d import (
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
    """Whether `device` is an x86 CPU with bfloat16 products; one without is slower in bfloat16 than in float32."""
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
        self.conv_1a = _FoldedStem(model.Conv3d_1a_7x7, dtype)
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
        x = self.pool_2a(self.conv_1a(x)).relu_()
        x = self.conv_2b(x).relu_()
        x = self.pool_3a(self.conv_2c(x)).relu_()
        return self.mixed(x)


class _FoldedStem(nn.Module):
    """`Conv3d_1a_7x7` with folded batch norm, without its ReLU.

    In bfloat16 each two neighbouring columns count as one of twice the channels, which is a view of
    channels-last memory: 7x7x7 with stride 2 over 3 channels becomes 7x7x4 with stride (2, 2, 1) over 6.
    oneDNN runs that 13 % faster; in float32 it would be 12 % slower.
    """

    def __init__(self, unit: Unit3D, dtype: torch.dtype) -> None:
        super().__init__()
        self.kernel = unit.conv3d.kernel_size
        self.stride = unit.conv3d.stride
        self.columns = 2 if dtype == torch.bfloat16 else 1
        weight, bias = _folded_weights(unit)
        weight = F.pad(weight, (0, -self.kernel[2] % self.columns)).unflatten(4, (-1, self.columns))
        weight = weight.permute(0, 5, 1, 2, 3, 4).flatten(1, 2)
        self.weight = nn.Parameter(weight.to(dtype=dtype, memory_format=torch.channels_last_3d))
        self.bias = nn.Parameter(bias.to(dtype))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, T, H, W) of any type and layout -> (B, 64, ceil(T/2), ceil(H/2), ceil(W/2))."""
        t, h, w = self.stride
        return F.conv3d(self._padded(x), self.weight, self.bias, (t, h, w // self.columns))

    def _padded(self, x: Tensor) -> Tensor:
        """`x` with "SAME" padding, in this layer's type and form: one copy for all three."""
        size = x.shape[2:]
        pads = same_padding(size, self.kernel, self.stride)
        t, h, w = (before + n + after for n, (before, after) in zip(size, pads, strict=True))
        out = self.weight.new_zeros((len(x), t, h, w + -w % self.columns, x.shape[1]))
        inner = tuple(slice(before, before + n) for n, (before, _) in zip(size, pads, strict=True))
        out[(slice(None), *inner)].copy_(x.permute(0, 2, 3, 4, 1))
        return out.unflatten(3, (-1, self.columns)).flatten(4).permute(0, 4, 1, 2, 3)


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
    """Max pooling of one axis with "SAME" padding and a kernel of 2 or 3, as maxima of strided views."""
    ((before, _),) = same_padding(x.shape[axis : axis + 1], (kernel,), (stride,))
    here, after = _from(x, axis, 0, stride), _from(x, axis, 1, stride)
    out = torch.empty_like(here, memory_format=torch.channels_last_3d)
    inside = after.shape[axis]
    rest = out.shape[axis] - inside
    torch.maximum(here.narrow(axis, 0, inside), after, out=out.narrow(axis, 0, inside))
    out.narrow(axis, inside, rest).copy_(here.narrow(axis, inside, rest))
    for offset in set(range(-before, kernel - before)) - {0, 1}:
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
    """The convolution (of stride 1) and batch norm of `unit` as one convolution, without its ReLU."""
    conv = unit.conv3d
    padding = tuple((k - 1) // 2 for k in conv.kernel_size)  # "SAME" is symmetric for odd kernels of stride 1
    folded = nn.Conv3d(conv.in_channels, conv.out_channels, conv.kernel_size, padding=padding)
    folded.weight, folded.bias = _folded_weights(unit)
    return folded.to(dtype=dtype, memory_format=torch.channels_last_3d)


def _folded_weights(unit: Unit3D) -> tuple[nn.Parameter, nn.Parameter]:
    bn = unit.bn
    return fuse_conv_bn_weights(unit.conv3d.weight, None, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias)
