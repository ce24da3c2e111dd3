"""ResNets with a recurrence over their frames' features (section 4.2): the table's construction, and the text's.

The parameter counts of Table 4 are reached by a ResNet-18 whose 1000-way classifier is left on but not used, and two
bidirectional layers of LSTM or GRU over its pooled features (`RecurrentResNet`). The text describes a ResNet-50 whose
feature *maps* are propagated in both directions by a convolutional recurrence [17] (`ConvRecurrentResNet`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn
from torchvision.models import ResNet, resnet18, resnet50

HIDDEN = 512
LAYERS = 2


def encode(encoder: ResNet, x: Tensor) -> Tensor:
    """Frames (N, C, H, W) -> the last feature maps (N, D, ceil(H/32), ceil(W/32))."""
    x = encoder.maxpool(encoder.relu(encoder.bn1(encoder.conv1(x))))
    return encoder.layer4(encoder.layer3(encoder.layer2(encoder.layer1(x))))


def encode_clip(encoder: ResNet, clip: Tensor) -> Tensor:
    """Clips (B, C, T, H, W) -> the frames' feature maps (B, T, D, h, w)."""
    batch, channels, frames, height, width = clip.shape
    maps = encode(encoder, clip.transpose(1, 2).reshape(batch * frames, channels, height, width))
    return maps.unflatten(0, (batch, frames))


class RecurrentResNet(nn.Module):
    """ResNet-18, pooled, then two bidirectional layers of a recurrence: 22.19 M (LSTM) and 19.56 M (GRU) parameters.

    The encoder's own classifier (`encoder.fc`, 1000 ways) is part of the printed count, though nothing passes through
    it; it takes no gradient.

    Args:
        recurrence: `nn.LSTM` or `nn.GRU`.
    """

    def __init__(self, recurrence: type[nn.LSTM] | type[nn.GRU], num_classes: int = 2) -> None:
        super().__init__()
        self.encoder = resnet18()
        self.encoder.fc.requires_grad_(False)
        self.recurrence = recurrence(HIDDEN, HIDDEN, LAYERS, batch_first=True, bidirectional=True)
        self.classifier = nn.Linear(2 * HIDDEN, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Clips (B, C, T, H, W) -> logits (B, K), from the forward pass's last and the backward pass's first step."""
        steps, _ = self.recurrence(encode_clip(self.encoder, x).mean(dim=(3, 4)))
        return self.classifier(torch.cat([steps[:, -1, :HIDDEN], steps[:, 0, HIDDEN:]], dim=1))


class ConvLSTM(nn.Module):
    """One direction of a ConvLSTM (Shi et al. 2015, without the peepholes): gates i, f, g, o.

    Args:
        channels, hidden: of the input's and the state's maps.
        kernel: side of both convolutions, odd.
    """

    gates: ClassVar[int] = 4

    def __init__(self, channels: int, hidden: int, kernel: int = 1) -> None:
        super().__init__()
        self.of_input = nn.Conv2d(channels, self.gates * hidden, kernel, padding=kernel // 2)
        self.of_state = nn.Conv2d(hidden, self.gates * hidden, kernel, padding=kernel // 2, bias=False)
        self.hidden = hidden

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, T, C, h, w), from the first to the last -> states (B, T, hidden, h, w), zero before the first."""
        gates = self.of_input(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        state = memory = x.new_zeros(x.shape[0], self.hidden, *x.shape[3:])
        states = []
        for step in gates.unbind(1):
            write, keep, content, read = (step + self.of_state(state)).chunk(4, dim=1)
            memory = torch.sigmoid(keep) * memory + torch.sigmoid(write) * torch.tanh(content)
            state = torch.sigmoid(read) * torch.tanh(memory)
            states.append(state)
        return torch.stack(states, dim=1)


class ConvGRU(nn.Module):
    """One direction of a ConvGRU (Cho et al. 2014 with convolutions): gates r, z and the candidate n.

    Args: as `ConvLSTM`.
    """

    def __init__(self, channels: int, hidden: int, kernel: int = 1) -> None:
        super().__init__()
        self.of_input = nn.Conv2d(channels, 3 * hidden, kernel, padding=kernel // 2)
        self.of_state = nn.Conv2d(hidden, 2 * hidden, kernel, padding=kernel // 2, bias=False)
        self.of_reset = nn.Conv2d(hidden, hidden, kernel, padding=kernel // 2, bias=False)
        self.hidden = hidden

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, T, C, h, w), from the first to the last -> states (B, T, hidden, h, w), zero before the first."""
        gates = self.of_input(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        state = x.new_zeros(x.shape[0], self.hidden, *x.shape[3:])
        states = []
        for step in gates.unbind(1):
            of_gates, of_candidate = step.split([2 * self.hidden, self.hidden], dim=1)
            reset, keep = torch.sigmoid(of_gates + self.of_state(state)).chunk(2, dim=1)
            candidate = torch.tanh(of_candidate + self.of_reset(reset * state))
            state = keep * state + (1 - keep) * candidate
            states.append(state)
        return torch.stack(states, dim=1)


class Bidirectional(nn.Module):
    """Layers of a convolutional recurrence, each run from the first map to the last and reversely."""

    def __init__(self, recurrence: Callable[[int, int], nn.Module], channels: int, hidden: int, layers: int) -> None:
        super().__init__()
        widths = [channels, *[2 * hidden] * (layers - 1)]
        self.onward = nn.ModuleList(recurrence(width, hidden) for width in widths)
        self.backward_ = nn.ModuleList(recurrence(width, hidden) for width in widths)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, T, C, h, w) -> the last maps of both directions (B, 2 hidden, h, w)."""
        for onward, backward in zip(self.onward, self.backward_, strict=True):
            there, back = onward(x), backward(x.flip(1))
            x = torch.cat([there, back.flip(1)], dim=2)
        return torch.cat([there[:, -1], back[:, -1]], dim=1)


class ConvRecurrentResNet(nn.Module):
    """ResNet-50's feature maps, propagated in both directions by a convolutional recurrence, pooled, classified.

    Kernel, width and number of layers are not given in the text. Two layers of 512 channels and 1x1 kernels are taken:
    with ResNet-18 in place of the text's ResNet-50 (and three input channels) they come within 0.02 % of the table.

    Args:
        recurrence: `ConvLSTM` or `ConvGRU`.
    """

    def __init__(self, recurrence: type[ConvLSTM] | type[ConvGRU], num_classes: int = 2) -> None:
        super().__init__()
        self.encoder = resnet50()
        channels = self.encoder.fc.in_features
        self.encoder.fc = nn.Identity()
        self.recurrence = Bidirectional(recurrence, channels, HIDDEN, LAYERS)
        self.classifier = nn.Linear(2 * HIDDEN, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Clips (B, C, T, H, W) -> logits (B, K)."""
        return self.classifier(self.recurrence(encode_clip(self.encoder, x)).mean(dim=(2, 3)))
