"""Training batches made of runs of consecutive frames: homogeneous and mixed batching (paper, section 2.3.2).

A batch of one run of 16 frames is *homogeneous*; one of several shorter runs, from different sequences as a rule, is
*mixed*. Of each run the first N frames are context for those after them and receive no loss.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Protocol

from mmengine.registry import DATA_SAMPLERS as ROOT
from mmengine.registry import Registry
from torch.utils.data import Sampler

from vidsuite_core.errors import UsageError

DATA_SAMPLERS = Registry("data sampler", parent=ROOT, scope="driving_fanet")

Run = range
"""Places in the dataset of consecutive frames of one sequence."""


class Shuffled(Protocol):
    """The sampler that mmengine builds and tells the epoch: its dataset, seed and epoch are all that is used."""

    dataset: Any
    seed: int
    epoch: int


@DATA_SAMPLERS.register_module()
class SequenceBatches(Sampler[list[tuple[int, int]]]):
    """Batches of (place in the dataset, draw), the draw being the same for the frames of a run.

    Every epoch cuts each sequence into runs anew, from a random first frame on, and shuffles the runs; where the
    first N frames of a run go without loss in one epoch they receive it in others. A frame is in one batch an epoch
    at most, as in the paper, so that the greater N is, the fewer frames of a batch receive a loss: (run - N) / run.

    Args:
        sampler: mmengine's, see `Shuffled`; its dataset is a `vidsuite.FrameDataset`.
        batch_size: frames a batch; 16 in the paper.
        run: frames a run, at most `batch_size`, which is homogeneous batching. A shorter sequence is one run.
        context: N, the depth of the temporal context; runs too short for it are left out.
        step: frames from one run's beginning to the next one's in a sequence; by default `run`. With `run - context`
            every frame but a sequence's first N receives a loss once an epoch, at the price of longer epochs.

    Raises:
        UsageError: no sequence has a run of N + 1 frames, or runs do not fit into batches.
    """

    def __init__(
        self, sampler: Shuffled, batch_size: int, run: int = 8, context: int = 0, step: int | None = None
    ) -> None:
        if not context < run <= batch_size:
            raise UsageError(f"run={run} must be above context={context} and at most the batch size {batch_size}")
        if step is not None and not 1 <= step <= run:
            raise UsageError(f"step={step} must be from 1 to run={run}")
        self.sampler, self.batch_size, self.run, self.context = sampler, batch_size, run, context
        self.step = step or run
        self.sequences = [part for part in _consecutive(sampler.dataset.frames) if len(part) > context]
        if not self.sequences:
            raise UsageError(
                f"the training data has no {context + 1} consecutive frames, which context={context} needs"
            )

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        yield from self.batches(self.sampler.epoch)

    def __len__(self) -> int:
        """Batches of the present epoch; a few more or less than in another one."""
        return len(self.batches(self.sampler.epoch))

    def batches(self, epoch: int) -> list[list[tuple[int, int]]]:
        """All batches of an epoch, the same whenever they are asked for."""
        rng = random.Random(f"{self.sampler.seed} {epoch}")  # noqa: S311
        runs = [run for sequence in self.sequences for run in self._cut(sequence, rng)]
        rng.shuffle(runs)
        batches: list[list[tuple[int, int]]] = []
        for run in runs:
            if not batches or len(batches[-1]) + len(run) > self.batch_size:
                batches.append([])
            draw = rng.getrandbits(32)
            batches[-1] += [(place, draw) for place in run]
        return batches

    def _cut(self, sequence: Run, rng: random.Random) -> Iterator[Run]:
        """The runs of a sequence; what is left over at either end is a run where it is long enough."""
        if len(sequence) <= self.run:
            yield sequence
            return
        first = rng.randrange(self.step)
        if first > self.context:
            yield sequence[:first]
        for start in range(first, len(sequence), self.step):
            run = sequence[start : start + self.run]
            if len(run) > self.context:
                yield run
            if start + self.run >= len(sequence):
                return


def _consecutive(frames: Any) -> list[Run]:
    """The longest runs of a list of `vidsuite_core.engine.frames.Frame`, each following on the one before."""
    borders = [
        place
        for place in range(1, len(frames))
        if (frames[place].sequence.name, frames[place].index)
        != (frames[place - 1].sequence.name, frames[place - 1].index + 1)
    ]
    edges = [0, *borders, len(frames)]
    return [range(start, stop) for start, stop in pairwise(edges)]
