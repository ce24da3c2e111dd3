"""Training batches made of runs of consecutive frames, for networks that carry something from frame to frame.

A batch of one long run is *homogeneous*; one of several short runs, from different sequences as a rule, is *mixed*
(Torgesen, Elatov and Howard, "Temporal Context Aggregation with FANet", section 2.3.2). Before each run come the N
frames that its first frame looks back on; they train nothing themselves.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import chain, count, islice
from typing import Any, Protocol

from mmengine.dist import get_rank, get_world_size
from torch.utils.data import Sampler

from vidsuite_core.engine.registry import DATA_SAMPLERS
from vidsuite_core.errors import UsageError

Run = range
"""Places in the dataset of consecutive frames of one sequence."""


class Shuffled(Protocol):
    """The sampler that mmengine builds, of which the dataset and the seed are used.

    One that has an `epoch`, as mmengine's DefaultSampler, asks for the batches of that epoch; one that has none, as its
    InfiniteSampler, for batches without end.
    """

    dataset: Any
    seed: int


@DATA_SAMPLERS.register_module()
class SequenceBatches(Sampler[list[tuple[int, int]]]):
    """Batches of (place in the dataset, draw), the draw being the same for the frames of a run.

    Every batch has `batch_size` frames that train: `batch_size / run` runs of `run`, each after `context` other frames.
    Which frames train in which batch does not depend on `context`: networks that look back by different depths learn
    from the very same labels in the same order.

    Each pass over the data cuts the sequences into runs anew, from a random first frame on, and shuffles these; what is
    left over at a sequence's ends waits for another pass. Several ranks share the runs.

    Args:
        sampler: see `Shuffled`; its dataset is a `vidsuite.FrameDataset` or `KeyFrameDataset`.
        batch_size: frames a batch, on each rank, that train.
        run: of these, frames that follow on one another: 1 takes each by itself, and with `batch_size` all are one run.
        context: N, the frames before each run.
        skip: so many frames of a sequence's beginning train nothing, `context` at least. Give the largest depth that is
            to be compared.

    Raises:
        UsageError: these numbers contradict one another, or no sequence has such a run.
    """

    def __init__(self, sampler: Shuffled, batch_size: int, run: int = 1, context: int = 0, skip: int = 0) -> None:
        self.skip = max(skip, context)
        if run < 1 or batch_size % run:
            raise UsageError(f"run={run} must divide the batch size {batch_size}, so that all batches are equally full")
        self.sampler, self.run, self.context, self.runs = sampler, run, context, batch_size // run
        self.stretches = [found for found in self._stretches() if len(found) >= run]
        needed = f"{run} labelled frames in a row after {self.skip} others, as run={run} and skip={self.skip} need"
        if not self.stretches:
            raise UsageError(f"the training data has no {needed}; lower them")
        if not self._endless and len(self) < 1:
            raise UsageError(f"the training data has too few runs of {needed} for one batch; count iterations instead")

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        passes = count() if self._endless else [self.sampler.epoch]  # type: ignore[attr-defined]
        every = chain.from_iterable(map(self.one_pass, passes))
        own = islice(every, get_rank(), None, get_world_size())
        for _ in count() if self._endless else range(len(self)):
            batch = list(islice(own, self.runs))
            yield [(place, draw) for run, draw in batch for place in range(run.start - self.context, run.stop)]

    def __len__(self) -> int:
        """Batches of a pass, at least; incomplete ones are none."""
        fewest = sum((len(stretch) - self._offsets(stretch) + 1) // self.run for stretch in self.stretches)
        return max(fewest // (self.runs * get_world_size()), 1 if self._endless else 0)

    @property
    def _endless(self) -> bool:
        return not hasattr(self.sampler, "epoch")

    def one_pass(self, number: int) -> list[tuple[Run, int]]:
        """All runs of a pass over the data, of the frames that train, each with its draw; the same whenever asked."""
        rng = random.Random(f"{self.sampler.seed} {number}")  # noqa: S311
        runs = []
        for stretch in self.stretches:
            first = rng.randrange(self._offsets(stretch))
            runs += [stretch[n : n + self.run] for n in range(first, len(stretch) - self.run + 1, self.run)]
        rng.shuffle(runs)
        return [(run, rng.getrandbits(32)) for run in runs]

    def _offsets(self, stretch: Run) -> int:
        """From how many of its first frames on a stretch may be cut, so that it has one run at least."""
        return min(self.run, len(stretch) - self.run + 1)

    def _stretches(self) -> Iterator[Run]:
        """The longest stretches of consecutive frames that may train."""
        dataset = self.sampler.dataset
        start, before, behind = 0, None, 0  # `behind` counts the frames that lead up to this one
        for place in range(len(dataset)):
            frame = dataset.at(place)
            here = frame.footage.name, frame.index
            behind = behind + 1 if before == (here[0], here[1] - 1) else 0
            labelled = getattr(frame, "sample", frame) is not None
            if not labelled or frame.index < self.skip or behind < self.context or not behind:
                if start < place:
                    yield range(start, place)
                ready = labelled and frame.index >= self.skip and behind >= self.context
                start = place if ready else place + 1
            before = here
        if start < len(dataset):
            yield range(start, len(dataset))
