"""Runs: which frames of a batch follow on which (mini-batches of Torgesen, Elatov & Howard, section 2.3.2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vidsuite_core.errors import UsageError


def runs_of(sequences: Sequence[str], positions: Sequence[int]) -> list[int]:
    """Lengths of a batch's runs: a frame goes on with its predecessor's run if it is the next of its sequence.

    Args:
        sequences: each frame's sequence.
        positions: each frame's index in its sequence.
    """
    runs: list[int] = []
    before: tuple[str, int] | None = None
    for name, position in zip(sequences, positions, strict=True):
        if before == (name, position - 1):
            runs[-1] += 1
        else:
            runs.append(1)
        before = (name, position)
    return runs


def ages(runs: Sequence[int]) -> Tensor:
    """LongTensor (B, B): i - j where frame j is frame i or precedes it in the same run, else -1.

    Args:
        runs: lengths of the runs of consecutive frames that make up the batch, in its order.

    Raises:
        UsageError: a run without frames.
    """
    if any(length < 1 for length in runs):
        raise UsageError(f"runs {list(runs)} has a run without frames; leave it out")
    run = torch.repeat_interleave(torch.arange(len(runs)), torch.tensor(runs, dtype=torch.long))
    index = torch.arange(len(run))
    age = index[:, None] - index
    return torch.where((run[:, None] == run) & (age >= 0), age, -1)


def counted(runs: Sequence[int], depth: int) -> Tensor:
    """Bool (B,): the frames that have their N = `depth` predecessors in their run, and so receive loss."""
    return (ages(runs) >= 0).sum(dim=1) > depth
