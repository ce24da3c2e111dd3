"""Networks that tests of inference accelerate."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Small(nn.Module):
    """Images -> logits; of any size."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.out = nn.Conv2d(8, classes, 1)
        nn.init.uniform_(self.bn.running_mean, -0.2, 0.2)
        nn.init.uniform_(self.bn.running_var, 0.5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(self.bn(self.conv(x))))


class Pair(NamedTuple):
    small: Tensor
    large: Tensor


class Nested(Small):
    """Takes and gives nested values, one of them by name."""

    def forward(self, x: Tensor, more: dict[str, list[Tensor]], *, scale: float = 1.0) -> dict[str, object]:
        y = super().forward(x) * scale
        low = F.avg_pool2d(y, 2) + more["bias"][0]
        return {"maps": Pair(low, y), "classes": [y.argmax(dim=1), None], "scale": scale, "more": (more["bias"][1],)}


class Recurrent(nn.Module):
    """A convolution that remembers: its state goes in and out."""

    def __init__(self) -> None:
        super().__init__()
        self.update = nn.Conv2d(3 + 4, 4, 3, padding=1)

    def forward(self, frame: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        memory = torch.tanh(self.update(torch.cat([frame, state["memory"]], dim=1)))
        return memory.mean(dim=1), {"memory": memory}


class OfItsLength(nn.Module):
    """Video -> as many numbers; what it computes depends on the length by Python's arithmetic, so is traced for one."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        return x.cumsum(dim=0) * self.scale * (2.0 if int(x.shape[0]) > 5 else 1.0)


class Remembering(Small):
    """Keeps what it saw by itself."""

    def forward(self, x: Tensor) -> Tensor:
        self.seen = getattr(self, "seen", 0) + x
        return super().forward(self.seen)


class Overwriting(Small):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.add_(1))
