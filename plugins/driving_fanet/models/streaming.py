"""Streaming: frames one at a time, with what TCA needs of the last N kept instead of recomputed.

What is kept goes into the network and comes out of it as a state, so that whatever runs the network (see
`vidsuite_core.inference`) runs its memory, too.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vidsuite_core.errors import UsageError
from vidsuite_plugins.driving_fanet.models.fanet import Fanet
from vidsuite_plugins.driving_fanet.models.memory import State

StepFunction = Callable[[Tensor, State], tuple[Tensor, State]]


class Step(nn.Module):
    """One step of a stream as a network of its own, which back ends can take: `Fanet.step`."""

    def __init__(self, network: Fanet) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Fanet.step`."""
        return self.network.step(frames, state)


class Stream:
    """A network on one stream, or on B streams in lock-step.

    Equal to the batched computation with the stream as one run, to 1e-5 of the logits' spread.

    Args:
        network: in eval mode: batch statistics would depend on how frames are put together.
        step: what computes `network.step`, as `accelerate(Step(network), ...)`; None is the network itself.
    """

    def __init__(self, network: Fanet, step: StepFunction | None = None) -> None:
        self.network = network
        self.advance: StepFunction = step or network.step
        self.state: State | None = None
        self._shape: torch.Size | None = None

    @torch.no_grad()
    def step(self, frames: Tensor) -> Tensor:
        """The streams' next frames (B, 3, H, W) -> logits (B, K, ceil(H/8), ceil(W/8)).

        Raises:
            UsageError: the network is in training mode, or what a state depends on has changed without `reset`: B,
                or the frames' size where contexts are aligned.
        """
        if self.network.training:
            raise UsageError("a stream needs the network in eval mode; call eval() first")
        if frames.shape != self._shape:
            self._begin_or_refuse(frames)
        assert self.state is not None
        logits, self.state = self.advance(frames, self.state)
        return logits

    def reset(self) -> None:
        """Forget all frames: call it where a new sequence begins."""
        self.state = self._shape = None

    def _begin_or_refuse(self, frames: Tensor) -> None:
        empty = self.network.empty_state(frames)
        if self.state is None:
            self.state = empty
        elif any(tensor.shape != self.state[name].shape for name, tensor in empty.items()):
            raise UsageError("the frames' number or size changed within a stream; call reset first")
        self._shape = frames.shape
