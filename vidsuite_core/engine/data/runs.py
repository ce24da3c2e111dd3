"""Training batches made of runs of consecutive frames, for networks that carry something from frame to frame.

A batch of one run of 16 frames is *homogeneous*; one of several shorter runs, from different sequences as a rule, is
*mixed* (Torgesen, Elatov and Howard, "Temporal Context Aggregation with FANet", section 2.3.2). Of each run the first
N frames are context for those after them and receive no loss.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Protocol

from torch.utils.data import Sampler

from vidsuite_core.engine.registry import DATA_SAMPLERS
from vidsuite_core.errors import UsageError

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

    Every epoch cuts each sequence into runs anew, from a random first frame on, so that a frame that is context alone
    in one epoch receives a loss in others, unless it is one of a sequence's first N. Runs are shuffled; batches are
    filled with runs of full length first, and the shorter ones, from a sequence's ends, take the places left. A batch
    under half of the size is left out for the epoch, if it is not the only one: statistics of a few frames would
    mislead batch norm. The greater N is, the fewer frames of a batch receive a loss: (run - N) / run.

    Args:
        sampler: mmengine's, see `Shuffled`; its dataset is a `vidsuite.FrameDataset` or `KeyFrameDataset`.
        batch_size: frames a batch, at most; 16 in the paper.
        run: frames a run. With `batch_size`, each batch is one run (homogeneous). A shorter sequence is one run.
        context: N, the depth of the temporal context; runs too short for it are left out.
        step: frames from one run's beginning to the next one's in a sequence; by default `run`, and a frame comes once
            an epoch at most, as in the paper. With `run - context` every frame but a sequence's first N receives a loss
            about once an epoch, and epochs are longer.

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
        self.sequences = [part for part in _consecutive(sampler.dataset) if len(part) > context]
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
        batches = self._pack(sorted(runs, key=len, reverse=True))  # stable: runs of one length stay shuffled
        large = [batch for batch in batches if 2 * sum(map(len, batch)) >= self.batch_size] or batches[:1]
        rng.shuffle(large)
        return [[(place, draw) for run in batch for draw in [rng.getrandbits(32)] for place in run] for batch in large]

    def _pack(self, runs: list[Run]) -> list[list[Run]]:
        """Each run in the first batch that has room for it; where a batch is one run, in one of its own."""
        if self.run == self.batch_size:
            return [[run] for run in runs]
        batches: list[list[Run]] = []
        rooms: dict[int, int] = {}  # of batches that are not full
        for run in runs:
            place = next((place for place, room in rooms.items() if room >= len(run)), None)
            if place is None:
                place = len(batches)
                batches.append([])
                rooms[place] = self.batch_size
            batches[place].append(run)
            rooms[place] -= len(run)
            if not rooms[place]:
                del rooms[place]
        return batches

    def _cut(self, sequence: Run, rng: random.Random) -> Iterator[Run]:
        """The runs of a sequence; what is left over at either end is a run where it is long enough."""
        if len(sequence) <= self.run:
            yield sequence
            return
        first = rng.randrange(min(self.step, len(sequence) - self.context))  # leaves room for one run at least
        if first > self.context:
            yield sequence[:first]
        for start in range(first, len(sequence), self.step):
            run = sequence[start : start + self.run]
            if len(run) > self.context:
                yield run
            if start + self.run >= len(sequence):
                return


def _consecutive(dataset: Any) -> list[Run]:
    """The longest runs of a dataset's frames, each following on the one before."""
    frames = [dataset.at(place) for place in range(len(dataset))]
    borders = [
        place
        for place in range(1, len(frames))
        if (frames[place].footage.name, frames[place].index)
        != (frames[place - 1].footage.name, frames[place - 1].index + 1)
    ]
    edges = [0, *borders, len(frames)]
    return [range(start, stop) for start, stop in pairwise(edges)]
