"""A stream whose work on a frame is one CUDA graph: no launch of a kernel waits for Python."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from vidsuite_plugins.driving_fanet.models.memory import Memory
from vidsuite_plugins.driving_fanet.models.streaming import Stream, Streamed

WARM_UP = 3
"""Passes before the capture, in which libraries choose their kernels and buffers are made."""


class Capturable(Streamed, Protocol):
    """A network whose work is split into what a graph can replay and what it cannot (`memory.see`)."""

    def compute(self, frames: Tensor, memory: Memory) -> Tensor:
        """As `decode`, without `see`."""


class GraphStream(Stream):
    """`Stream` on a GPU, captured with a stream's first frame and replayed for all of its size.

    A frame of another size within a stream is computed without the graph; one at the beginning of a stream
    makes a new graph.

    Args:
        network: on a GPU, with a memory that is capturable.
    """

    network: Capturable

    def __init__(self, network: Capturable) -> None:
        super().__init__(network)
        self.fresh = True
        self.graph: torch.cuda.CUDAGraph | None = None
        self.frames = self.logits = torch.empty(0)

    @torch.no_grad()
    def step(self, frames: Tensor) -> Tensor:
        """As `Stream.step`, for frames on the GPU."""
        known = self.graph is not None and frames.shape == self.frames.shape and frames.dtype == self.frames.dtype
        if not known and self.fresh:
            self._capture(frames)
            known = True
        self.fresh = False
        self.memory.see(frames)
        if not known:
            return self.network.compute(frames, self.memory)
        self.frames.copy_(frames)
        self.graph.replay()
        return self.logits.clone()

    def reset(self) -> None:
        """Forget all frames: call it where a new sequence begins."""
        super().reset()
        self.fresh = True

    def _capture(self, frames: Tensor) -> None:
        """Record the graph on an empty memory, and leave the memory empty."""
        self.graph = None
        self.frames = frames.clone()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                self.memory.see(self.frames)
                self.network.compute(self.frames, self.memory)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.logits = self.network.compute(self.frames, self.memory)
        self.graph = graph
        self.memory.reset()
