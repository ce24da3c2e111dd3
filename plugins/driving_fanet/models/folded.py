"""Convolutions for inference: batch norm folded in, the activation applied in place or within the convolution.

A `Folded` is the arithmetic; the classes below are ways to compute it, each on contiguous channels-last maps:
`Convolution` anywhere, `OneDnnConvolution` and `Winograd` (winograd.py) on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_weights

from vidsuite_plugins.driving_fanet.models.attention import ConvBNReLU
from vidsuite_plugins.driving_fanet.models.encoder import SkippedBatchNorm2d


@dataclass(frozen=True)
class Folded:
    """A convolution with bias, and LeakyReLU of `slope` after it; slope 1 is none.

    Attributes:
        weight: (C', C, k, k).
        bias: (C',).
        stride, padding: in rows and columns.
    """

    weight: Tensor
    bias: Tensor
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    slope: float = 1.0


class Layer(Protocol):
    """A way to compute a `Folded`."""

    def __call__(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W'), new memory."""

    def add_relu(self, x: Tensor, other: Tensor) -> Tensor:
        """relu(the convolution of `x`, without its own activation, + `other`); may overwrite `other`."""


MakeLayer = Callable[[Folded], Layer]


def fold(conv: nn.Conv2d, norm: nn.Module | None = None, slope: float = 1.0) -> Folded:
    """`conv` and the batch norm behind it, by its running statistics, as one convolution in their type."""
    weight = conv.weight.detach()
    bias = weight.new_zeros(len(weight)) if conv.bias is None else conv.bias.detach()
    if isinstance(norm, nn.BatchNorm2d) and not isinstance(norm, SkippedBatchNorm2d):
        statistics = (norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias)
        weight, bias = (part.detach() for part in fuse_conv_bn_weights(weight, bias, *statistics))
    return Folded(weight, bias, tuple(conv.stride), tuple(conv.padding), slope)


def fold_block(block: ConvBNReLU) -> Folded:
    """A `ConvBNReLU` as one convolution."""
    return fold(block.conv, block.bn, block.slope)


class Convolution:
    """A folded convolution by torch's public operators.

    Args:
        folded: what to compute.
        dtype: of weights, input and output.
    """

    def __init__(self, folded: Folded, dtype: torch.dtype) -> None:
        self.weight = folded.weight.to(dtype, memory_format=torch.channels_last)
        self.bias = folded.bias.to(dtype)
        self.stride, self.padding, self.slope = folded.stride, folded.padding, folded.slope

    def __call__(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W'), new memory."""
        return leaky_(F.conv2d(x, self.weight, self.bias, self.stride, self.padding), self.slope)

    def add_relu(self, x: Tensor, other: Tensor) -> Tensor:
        """As `Layer.add_relu`."""
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding).add_(other).relu_()


class OneDnnConvolution(Convolution):
    """The same by one call of oneDNN: weights in its own layout once and for all, activation and addition within.

    These are the operators that torch.compile emits for a CPU; torch has no public name for them.
    """

    def __init__(self, folded: Folded, dtype: torch.dtype) -> None:
        super().__init__(folded, dtype)
        self.packed: Tensor | None = None
        self.activation = ("none", []) if self.slope == 1 else ("leaky_relu", [self.slope])

    @staticmethod
    def available(dtype: torch.dtype) -> bool:
        """Whether this torch has the operators, and this processor their arithmetic in `dtype`."""
        if not (
            torch.backends.mkldnn.is_available()
            and hasattr(torch._C._nn, "mkldnn_reorder_conv2d_weight")
            and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
        ):
            return False
        return dtype != torch.bfloat16 or torch.ops.mkldnn._is_mkldnn_bf16_supported()

    def __call__(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W'), new memory."""
        name, scalars = self.activation
        return torch.ops.mkldnn._convolution_pointwise(x, *self._arguments(x), name, scalars, "")

    def add_relu(self, x: Tensor, other: Tensor) -> Tensor:
        """As `Layer.add_relu`."""
        add = torch.ops.mkldnn._convolution_pointwise_.binary
        return add(other, x, *self._arguments(x), "add", 1.0, "relu", [], "")

    def _arguments(self, x: Tensor) -> tuple[object, ...]:
        layout = (self.padding, self.stride, (1, 1), 1)
        if self.packed is None:
            plain = self.weight.contiguous().to_mkldnn()
            self.packed = torch._C._nn.mkldnn_reorder_conv2d_weight(plain, *layout, x.shape)
        return self.packed, self.bias, *layout


def leaky_(x: Tensor, slope: float) -> Tensor:
    """LeakyReLU in place; slope 1 leaves `x` as it is."""
    return x if slope == 1 else F.leaky_relu_(x, slope)
