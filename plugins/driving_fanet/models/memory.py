"""What a network asks for the contexts of its frames, and its plainest form: no past at all."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


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
    """A memory that goes on from call to call; the B frames of a call are the next of B streams.

    Attributes:
        capturable: whether a CUDA graph can replay `recall`.
    """

    capturable: bool

    def reset(self) -> None:
        """Forget all frames: new sequences begin."""


class Forgetful:
    """The memory of N = 0: each frame by itself."""

    capturable = True

    def see(self, frames: Tensor) -> None:
        """Nothing to note."""

    def recall(self, scale: str, keys: Tensor, values: Tensor, size: tuple[int, int]) -> Tensor:
        """The frames' own matrices."""
        return product(keys, values.transpose(1, 2))

    def reset(self) -> None:
        """Nothing to forget."""
