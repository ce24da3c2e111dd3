"""Streaming: frames one at a time, with the context matrices of the last N kept instead of recomputed.

Every memory here splits its work in two: `see` does what depends on Python's state, `recall` only what a CUDA
graph can replay, on tensors that stay where they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from vidsuite_core.errors import UsageError
from vidsuite_plugins.driving_fanet.models.memory import Memory, StreamMemory, product


class Ring:
    """The context matrices of the last N frames at each scale, (N, B, 32, C); `slot` is the oldest's place."""

    capturable = True

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.seen = 0
        self.slot: Tensor | None = None
        self.kept: dict[str, Tensor] = {}

    def see(self, frames: Tensor) -> None:
        """Turn the ring by one place."""
        if self.slot is None:
            self.slot = torch.zeros(1, dtype=torch.long, device=frames.device)
        if self.seen and any(len(frames) != ring.shape[1] for ring in self.kept.values()):
            raise UsageError(f"{len(frames)} frames follow on another number of streams; call reset first")
        self.slot.fill_(self.seen % self.depth)
        self.seen += 1

    def ring(self, scale: str, own: Tensor) -> Tensor:
        """The kept matrices of `scale`; zeros, which add nothing, before there are N."""
        if scale not in self.kept or self.kept[scale].shape[1:] != own.shape:
            self.kept[scale] = own.new_zeros(self.depth, *own.shape)
        return self.kept[scale]

    def reset(self) -> None:
        """Forget all frames."""
        self.seen = 0
        for ring in self.kept.values():
            ring.zero_()


class RunningSum(Ring):
    """Plain addition: a frame adds its matrix to the sum and takes that of N frames ago away.

    Each time that the ring has gone round, the sum is computed anew from what is kept, so that rounding does not
    add up over a long stream.
    """

    def __init__(self, depth: int) -> None:
        super().__init__(depth)
        self.sums: dict[str, Tensor] = {}

    def see(self, frames: Tensor) -> None:
        """Turn the ring by one place; after a whole turn, sum anew."""
        super().see(frames)
        if (self.seen - 1) % self.depth == 0:
            for scale, ring in self.kept.items():
                torch.sum(ring, dim=0, out=self.sums[scale])

    def recall(self, scale: str, keys: Tensor, values: Tensor, size: tuple[int, int]) -> Tensor:
        """The frames' own matrices and the sum of the last N."""
        own = product(keys, values.transpose(1, 2))
        ring = self.ring(scale, own)
        if scale not in self.sums or self.sums[scale].shape != own.shape:
            self.sums[scale] = torch.zeros_like(own)
        past = self.sums[scale]
        context = own + past
        past.add_(own).sub_(ring.index_select(0, self.slot)[0])
        ring.index_copy_(0, self.slot, own[None])
        return context


class WeightedRing(Ring):
    """Weights by age: one product of N weights with the kept matrices (N x 32C multiply-adds, next to nothing).

    Args:
        depth: N.
        weights: the weights (N,) of the frames 1 .. N steps back at a scale.
    """

    def __init__(self, depth: int, weights: Callable[[str], Tensor]) -> None:
        super().__init__(depth)
        self.weights = weights
        self.order: Tensor | None = None

    def see(self, frames: Tensor) -> None:
        """Turn the ring by one place, and note the age of what is in each place."""
        super().see(frames)
        if self.order is None:
            self.order = torch.zeros(self.depth, dtype=torch.long, device=frames.device)
        places = torch.arange(self.depth, device=frames.device)
        self.order.copy_((self.slot - 1 - places) % self.depth)

    def recall(self, scale: str, keys: Tensor, values: Tensor, size: tuple[int, int]) -> Tensor:
        """The frames' own matrices and the weighted sum of the last N."""
        own = product(keys, values.transpose(1, 2))
        ring = self.ring(scale, own)
        weights = self.weights(scale).to(own)[self.order]
        context = own + torch.tensordot(weights, ring, dims=1)
        ring.index_copy_(0, self.slot, own[None])
        return context


class Streamed(Protocol):
    """A network that can be streamed: `Fanet` and its fast form."""

    training: bool

    def stream_memory(self) -> StreamMemory:
        """A new, empty memory."""

    def decode(self, frames: Tensor, memory: Memory) -> Tensor:
        """Frames (B, 3, H, W) -> logits (B, K, ceil(H/8), ceil(W/8)) with the contexts of `memory`."""


class Stream:
    """A network on one stream, or on B streams in lock-step.

    Equal to the batched computation with the stream as one run, to 1e-5 of the logits' spread.

    Args:
        network: in eval mode: batch statistics would depend on how frames are put together.
        memory: a memory of another depth or kind than the network's own; None takes the network's.
    """

    def __init__(self, network: Streamed, memory: StreamMemory | None = None) -> None:
        self.network = network
        self.memory = memory or network.stream_memory()

    @torch.no_grad()
    def step(self, frames: Tensor) -> Tensor:
        """The streams' next frames (B, 3, H, W) -> logits (B, K, ceil(H/8), ceil(W/8)).

        Raises:
            UsageError: the network is in training mode, or B has changed without `reset`.
        """
        if self.network.training:
            raise UsageError("a stream needs the network in eval mode; call eval() first")
        return self.network.decode(frames, self.memory)

    def reset(self) -> None:
        """Forget all frames: call it where a new sequence begins."""
        self.memory.reset()
