"""I3D without time: Inception-v1 on one frame, with I3D's kernels summed over their temporal axis.

Carreira and Zisserman (CVPR 2017, section 2.4) inflate a 2-D network so that it answers to a still ("boring")
video as it did to the image. Read backwards, the sums over time of I3D's kernels make the 2-D network that
sees one frame as I3D sees that frame held still: the same pretraining and the same blocks, but no motion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.networks.i3d import BN_EPS, MIXED, same_padding

Branches = tuple[int, int, int, int, int, int]


def pad_same(x: Tensor, kernel: Sequence[int], stride: Sequence[int]) -> Tensor:
    """`x` (B, C, H, W) with the zeros around H and W that TensorFlow's "SAME" asks for."""
    (top, bottom), (left, right) = same_padding(x.shape[2:], kernel, stride)
    return F.pad(x, (left, right, top, bottom))


class SameMaxPool2d(nn.Module):
    """3x3 max pooling of zero-padded, non-negative input."""

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel = (kernel, kernel)
        self.stride = (stride, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, ceil(H/s), ceil(W/s))."""
        return F.max_pool2d(pad_same(x, self.kernel, self.stride), self.kernel, self.stride)


class Unit2D(nn.Module):
    """Convolution with "SAME" padding, batch norm, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(in_channels, out_channels, kernel, stride, bias=False)
        self.bn = nn.BatchNorm2d(out_channels, eps=BN_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', ceil(H/s), ceil(W/s))."""
        return F.relu(self.bn(self.conv2d(pad_same(x, self.conv2d.kernel_size, self.conv2d.stride))), inplace=True)


class InceptionModule2d(nn.Module):
    """An Inception block: 1x1 | 1x1, 3x3 | 1x1, 3x3 | max pool, 1x1, concatenated (3x3 in place of 5x5, as in I3D)."""

    def __init__(self, in_channels: int, channels: Branches) -> None:
        super().__init__()
        b0, b1a, b1b, b2a, b2b, b3b = channels
        self.b0 = Unit2D(in_channels, b0)
        self.b1a = Unit2D(in_channels, b1a)
        self.b1b = Unit2D(b1a, b1b, 3)
        self.b2a = Unit2D(in_channels, b2a)
        self.b2b = Unit2D(b2a, b2b, 3)
        self.b3a = SameMaxPool2d(3, 1)
        self.b3b = Unit2D(in_channels, b3b)
        self.out_channels = b0 + b1b + b2b + b3b

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H, W)."""
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x))], dim=1)


class Inception2d(nn.Sequential):
    """The 2-D counterpart of `InceptionI3d` up to its features; layer names are I3D's with 3d read as 2d.

    The last map is averaged over all of its height and width: 7x7 at 224x224.
    """

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_7x7 = Unit2D(3, 64, 7, 2)
        self.MaxPool2d_2a_3x3 = SameMaxPool2d(3, 2)
        self.Conv2d_2b_1x1 = Unit2D(64, 64)
        self.Conv2d_2c_3x3 = Unit2D(64, 192, 3)
        self.MaxPool2d_3a_3x3 = SameMaxPool2d(3, 2)
        width = self._add_mixed(192, ("Mixed_3b", "Mixed_3c"))
        self.MaxPool2d_4a_3x3 = SameMaxPool2d(3, 2)
        width = self._add_mixed(width, ("Mixed_4b", "Mixed_4c", "Mixed_4d", "Mixed_4e", "Mixed_4f"))
        self.MaxPool2d_5a_2x2 = SameMaxPool2d(2, 2)
        self._add_mixed(width, ("Mixed_5b", "Mixed_5c"))

    def _add_mixed(self, width: int, names: tuple[str, ...]) -> int:
        for name in names:
            module = InceptionModule2d(width, MIXED[name])
            self.add_module(name, module)
            width = module.out_channels
        return width

    def forward(self, x: Tensor) -> Tensor:
        """Frames (B, 3, H, W), RGB in [-1, 1] -> features (B, 1024)."""
        return super().forward(x).mean(dim=(2, 3))


def collapse_to_2d(i3d_state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`InceptionI3d`'s state dict -> `Inception2d`'s: kernels (O, I, T, H, W) summed over T, the classifier left out.

    Raises:
        VidsuiteError: a convolution's kernel has not five axes.
    """
    collapsed = {}
    for name, tensor in i3d_state_dict.items():
        if name.startswith("logits."):
            continue
        if name.endswith("conv3d.weight"):
            if tensor.ndim != 5:
                raise VidsuiteError(
                    f"{name} has shape {tuple(tensor.shape)}, not (O, I, T, H, W); give I3D's state dict"
                )
            tensor = tensor.sum(dim=2)
        collapsed[name.replace("onv3d", "onv2d")] = tensor
    return collapsed


def build(weights: Path | str | None = None) -> Inception2d:
    """The network with random weights, or with those of an I3D state dict's file, collapsed.

    Raises:
        VidsuiteError: the file cannot be read, or its names or shapes are not I3D's.
    """
    network = Inception2d()
    if weights is not None:
        from vidsuite_core.weights import load, load_strictly

        load_strictly(network, collapse_to_2d(load(Path(weights))), str(weights))
    return network
