"""Batches for the recurrence: hybrid shuffling (section 4.4), with several clips side by side and over several ranks.

Clips of continuous action are shuffled, their frames are not. Each of a batch's *lanes* goes through one clip after
another in sub-sequences, so that the state that the recurrence keeps of a clip finds its continuation in the next
batch. What the
authors lacked: several lanes, and clips shared out among ranks, each of which carries the states of its own.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import count
from typing import Any

import numpy as np
from mmengine.dist import get_dist_info
from torch.utils.data import Sampler

from vidsuite_core.errors import UsageError
from vidsuite_plugins.restaurant_yowo.annotations.splits import PADDING, clips
from vidsuite_plugins.restaurant_yowo.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class ClipLanes(Sampler[list[int]]):
    """Batches of places in a `vidsuite.KeyFrameDataset`: of each lane `length` key frames that follow on each other.

    Args:
        sampler: mmengine's, whose dataset, seed and epoch are used.
        batch_size: key frames of a batch; a multiple of `length`.
        length: key frames of a lane's sub-sequence: gradients go back so far.
        padding: frames that a clip begins before its action, and ends after it.

    Raises:
        UsageError: the batch does not hold whole sub-sequences, or there is no clip for each rank.
    """

    def __init__(self, sampler: Any, batch_size: int, length: int = 8, padding: int = PADDING) -> None:
        if length < 1 or batch_size % length:
            raise UsageError(f"batch_size={batch_size} is no multiple of length={length}, a lane's frames in a batch")
        self.sampler, self.lanes, self.length = sampler, batch_size // length, length
        self.rank, self.ranks = get_dist_info()
        self.clips = _clips(sampler.dataset, padding)
        if len(self.clips) < self.ranks:
            raise UsageError(f"the training data has {len(self.clips)} clips of actions for {self.ranks} ranks")

    def __iter__(self) -> Iterator[list[int]]:
        """Batches of the sampler's epoch; epoch after epoch without end where it counts none (mmengine's
        InfiniteSampler)."""
        epochs = count() if not hasattr(self.sampler, "epoch") else [self.sampler.epoch]
        for epoch in epochs:
            yield from self.batches(epoch)

    def __len__(self) -> int:
        """Batches of the present epoch."""
        return len(self.batches(getattr(self.sampler, "epoch", 0)))

    def batches(self, epoch: int) -> list[list[int]]:
        """All batches of an epoch on this rank, the same whenever they are asked for; every rank has as many."""
        order = list(self.clips)
        random.Random(f"{self.sampler.seed} {epoch}").shuffle(order)  # noqa: S311
        whole = len(order) - len(order) % self.ranks
        shares = [order[rank : whole : self.ranks] for rank in range(self.ranks)]
        return self._batches(shares[self.rank])[: min(len(self._batches(share)) for share in shares)]

    def _batches(self, waiting: list[range]) -> list[list[int]]:
        waiting = list(waiting)
        lanes: list[range] = [range(0)] * self.lanes
        batches = []
        while True:
            batch: list[int] = []
            for place in range(self.lanes):
                if not lanes[place] and waiting:
                    lanes[place] = waiting.pop(0)
                batch += lanes[place][: self.length]
                lanes[place] = lanes[place][self.length :]
            if not batch:
                return batches
            batches.append(batch)


def _clips(dataset: Any, padding: int) -> list[range]:
    """Clips of continuous action as places in the dataset, whose samples of a recording follow on each other."""
    by_recording: dict[str, list[int]] = {}
    for place, sample in enumerate(dataset.samples):
        by_recording.setdefault(sample.recording, []).append(place)
    found = []
    for places in by_recording.values():
        busy = np.array([bool(dataset.samples[place].boxes) for place in places])
        step = max(1, dataset.step)
        spread = np.repeat(busy, step)
        for clip in clips(spread, gap=padding):
            start, stop = clip.start // step, -(-clip.stop // step)
            found.append(range(places[start], places[min(stop, len(places)) - 1] + 1))
    return found
