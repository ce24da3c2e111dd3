"""What a network asks for the contexts of its frames, and its plainest form: no past at all."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

State = dict[str, Tensor]
"""What a stream keeps from call to call."""


def product(a: Tensor, b: Tensor) -> Tensor:
    """Batched matrix product in float32, under autocast too: sums over all pixels overflow half precision."""
    with torch.autocast(a.device.type, enabled=False):
        return torch.bmm(a.float(), b.float())


class Memory(Protocol):
    """What a network asks for the contexts of the frames that it is working on."""

    def see(self, frames: Tensor) -> None:
        """Frames (B, 3, H, W) come next; called once for them, before `recall`."""

    def recall(self, scale: str, keys: Tensor, values: Tensor, size: tuple[int, int]) -> Tensor:
        """Keys (B, 32, n) and values (B, C, n) of maps of `size` -> contexts (B, 32, C), the past included."""


class StreamMemory(Memory, Protocol):
    """The memory of one call of a stream, in which each of the B frames is the next of its own stream.

    Attributes:
        after: the state that follows; complete once all scales were recalled.
    """

    after: State


class Forgetful:
    """The memory of N = 0: each frame by itself."""

    def __init__(self) -> None:
        self.after: State = {}

    def see(self, frames: Tensor) -> None:
        """Nothing to note."""

    def recall(self, scale: str, keys: Tensor, values: Tensor, size: tuple[int, int]) -> Tensor:
        """The frames' own matrices."""
        return product(keys, values.transpose(1, 2))
