"""Temporal context aggregation (TCA, section 2.1): which past frames' K^T V are added, and with what weight.

For frame i and one scale the context matrix is M_i = k_i^T v_i (32 x C), and the frame attends to

    M_i + sum over t = i-N .. i-1 of w(i - t) M_t,

over frames of its own run only. A subclass of `TemporalContext` is a way to weigh the past. Each has a batched
form for training, without a loop over frames, and a form for streams, whose state is what it needs of N frames.

In the paper's published code the sum over a batch was added to every frame of it, right only for the last frame of
a batch of N + 1; here each frame has its own (tests/driving_fanet/test_tca.py holds both).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vidsuite_core.errors import UsageError
from vidsuite_core.networks.runs import ages
from vidsuite_plugins.driving_fanet.models.attention import KEY_CHANNELS
from vidsuite_plugins.driving_fanet.models.encoder import CHANNELS
from vidsuite_plugins.driving_fanet.models.memory import Forgetful, Memory, State, StreamMemory, product

SCALES = dict(zip(("fam_32", "fam_16", "fam_8", "fam_4"), reversed(CHANNELS), strict=True))
"""The four fast attention modules, coarse to fine, with C of each."""


class TemporalContext(nn.Module, ABC):
    """How past frames are weighed, at each of the four scales.

    Args:
        depth: N, the number of past frames that count.
    """

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.depth = depth

    @abstractmethod
    def batch(self, runs: Sequence[int]) -> Memory:
        """The memory of one batch, of which `runs` are the lengths of its runs, in order."""

    @abstractmethod
    def stream(self, state: State) -> StreamMemory:
        """The memory of a stream's next call."""

    @abstractmethod
    def empty(self, frames: Tensor) -> State:
        """The state of streams that begin with frames like these (B, 3, H, W): zeros, which add nothing."""


class Alone(TemporalContext):
    """N = 0: every frame by itself, FANet without TCA."""

    def __init__(self) -> None:
        super().__init__(0)

    def batch(self, runs: Sequence[int]) -> Memory:
        """No memory."""
        return Forgetful()

    def stream(self, state: State) -> StreamMemory:
        """No memory."""
        return Forgetful()

    def empty(self, frames: Tensor) -> State:
        """Nothing."""
        return {}


class AgeWeighted(TemporalContext):
    """Weights that depend on a frame's age alone; a frame of a stream costs the same for every N."""

    @abstractmethod
    def weights(self, scale: str) -> Tensor:
        """The weights (N,) of the frames 1 .. N steps back."""

    def batch(self, runs: Sequence[int]) -> Memory:
        """All frames' sums as the product of a banded (B, B) matrix with the stacked contexts."""
        return _Banded(self, runs)

    def stream(self, state: State) -> StreamMemory:
        """The matrices of the last N frames, weighed by age: 32 C N multiply-adds a scale, next to nothing."""
        return _Weighed(self, state)

    def empty(self, frames: Tensor) -> State:
        """(N, B, 32, C) for each scale, the newest frame first."""
        return {
            scale: frames.new_zeros(self.depth, len(frames), KEY_CHANNELS, channels)
            for scale, channels in SCALES.items()
        }


class Sum(AgeWeighted):
    """Plain addition, the paper's: every weight is 1."""

    def weights(self, scale: str) -> Tensor:
        """Ones (N,)."""
        return torch.ones(self.depth)


class Decayed(AgeWeighted):
    """w(age) = lambda^age with one learned lambda in (0, 1) a scale, 0.5 at first."""

    def __init__(self, depth: int) -> None:
        super().__init__(depth)
        self.logit = nn.ParameterDict({scale: nn.Parameter(torch.zeros(())) for scale in SCALES})

    def weights(self, scale: str) -> Tensor:
        """lambda, lambda^2, .. lambda^N."""
        logit = self.logit[scale]
        return torch.sigmoid(logit) ** torch.arange(1, self.depth + 1, device=logit.device)


class Learned(AgeWeighted):
    """N free weights a scale, 1 at first, which is plain addition."""

    def __init__(self, depth: int) -> None:
        super().__init__(depth)
        self.weight = nn.ParameterDict({scale: nn.Parameter(torch.ones(depth)) for scale in SCALES})

    def weights(self, scale: str) -> Tensor:
        """The parameters (N,)."""
        return self.weight[scale]


class _Weighed:
    """A stream's memory under `AgeWeighted`."""

    def __init__(self, context: AgeWeighted, state: State) -> None:
        self.context = context
        self.before = state
        self.after: State = {}

    def see(self, frames: Tensor) -> None:
        """Nothing to note."""

    def recall(self, scale: str, keys: Tensor, values: Tensor, size: tuple[int, int]) -> Tensor:
        """The frames' own matrices and the weighted sum of the last N."""
        own, kept = product(keys, values.transpose(1, 2)), self.before[scale]
        weights = self.context.weights(scale).to(own)
        self.after[scale] = torch.cat([own[None], kept[:-1]])
        return own + (weights[:, None, None, None] * kept).sum(dim=0)


class _Banded:
    """A batch's memory under `AgeWeighted`."""

    def __init__(self, context: AgeWeighted, runs: Sequence[int]) -> None:
        self.context = context
        self.age = ages(runs)

    def see(self, frames: Tensor) -> None:
        """Refuse runs that do not add up to the batch."""
        check_runs(self.age, frames)
        self.age = self.age.to(frames.device)

    def recall(self, scale: str, keys: Tensor, values: Tensor, size: tuple[int, int]) -> Tensor:
        """Each frame's own matrix and the weighted sum of the N before it in its run."""
        own = product(keys, values.transpose(1, 2))
        weights = self.context.weights(scale).to(own)
        # By age + 1: frames of no concern have age -1, the frame itself has age 0.
        by_age = torch.cat([own.new_tensor([0.0, 1.0]), weights])
        band = by_age[torch.where(self.age <= self.context.depth, self.age + 1, 0)]
        with torch.autocast(own.device.type, enabled=False):
            return (band @ own.flatten(1)).view_as(own)


def check_runs(age: Tensor, frames: Tensor) -> None:
    """Raise UsageError where the runs behind `ages` do not add up to the batch."""
    if len(age) != len(frames):
        raise UsageError(f"runs add up to {len(age)} frames and the batch has {len(frames)}; give every run's length")
