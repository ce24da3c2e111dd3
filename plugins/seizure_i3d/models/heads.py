"""The paper's dense layers (section 3.5)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from vidsuite_core.networks.classifier import sum_of_squares


class NormDropout(nn.Module):
    """Batch norm, then dropout: in this order, so that no variance shift arises (section 3.5, reference [28]).

    The statistics of a sequence are taken over all of its steps, masked ones too, as Keras 2 does.

    Args:
        channels: C.
        dropout: probability of dropping an element.
        bn_momentum: torch's momentum, which is 1 - Keras's.
        bn_eps: added to the variance.
    """

    def __init__(self, channels: int, dropout: float, bn_momentum: float, bn_eps: float) -> None:
        super().__init__()
        self.bn = nn.BatchNorm1d(channels, eps=bn_eps, momentum=bn_momentum)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C)."""
        rows = x.flatten(0, -2)
        if self.training and len(rows) == 1:
            # torch refuses one row; in Keras it is its own mean, which leaves the shift. Statistics stay as they are.
            normed = (rows - rows.mean(dim=0)) * self.bn.weight + self.bn.bias
        else:
            normed = self.bn(rows)
        return self.dropout(normed).view_as(x)


def he_uniform(in_channels: int, out_channels: int) -> nn.Linear:
    """A dense layer with He-uniform kernel and zero bias (section 3.5, reference [29])."""
    layer = nn.Linear(in_channels, out_channels)
    nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias)
    return layer


class FcHead(nn.Module):
    """The paper's dense layers (section 3.5): FC 64 and FC 32, each with ReLU, batch norm and dropout, then the output.

    Args:
        in_channels: C.
        num_classes: K; two classes take one output unit, more take K.
        units: widths of the hidden layers.
        dropout, bn_momentum, bn_eps: as `NormDropout`.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int = 2,
        units: Sequence[int] = (64, 32),
        dropout: float = 0.5,
        bn_momentum: float = 0.01,
        bn_eps: float = 1e-3,
    ) -> None:
        super().__init__()
        widths = [in_channels, *units]
        self.fcs = nn.ModuleList(he_uniform(a, b) for a, b in pairwise(widths))
        self.norms = nn.ModuleList(NormDropout(width, dropout, bn_momentum, bn_eps) for width in units)
        self.output = he_uniform(widths[-1], 1 if num_classes == 2 else num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C) -> logits (B, 1) for two classes, else (B, K)."""
        for fc, norm in zip(self.fcs, self.norms, strict=True):
            x = norm(F.relu(fc(x)))
        return self.output(x)

    def penalty(self, kernel: float, bias: float) -> Tensor:
        """L2 on the kernels of all dense layers and on the biases of the hidden ones."""
        kernels = [*(fc.weight for fc in self.fcs), self.output.weight]
        return kernel * sum_of_squares(kernels) + bias * sum_of_squares(fc.bias for fc in self.fcs)
