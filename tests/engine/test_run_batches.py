"""Batches of runs of consecutive frames: equally many labels in each, and the same whatever a network looks back on."""

from __future__ import annotations

from itertools import islice, pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidsuite_core.engine.data import SequenceBatches, runs
from vidsuite_core.errors import UsageError


class Frames:
    """As much of a dataset as batches need."""

    def __init__(self, frames: list[Any]) -> None:
        self.frames = frames

    def __len__(self) -> int:
        return len(self.frames)

    def at(self, place: int) -> Any:
        return self.frames[place]


def sampler(lengths: list[int], seed: int = 0, unlabelled: int = 1, **more: Any) -> Any:
    """Of sequences of such lengths, of which every `unlabelled`th frame alone is labelled; endless unless `epoch`."""
    frames = [
        SimpleNamespace(
            footage=SimpleNamespace(name=f"s{number}"),
            index=index,
            sample="labels" if index % unlabelled == unlabelled - 1 else None,
        )
        for number, length in enumerate(lengths)
        for index in range(length)
    ]
    return SimpleNamespace(dataset=Frames(frames), seed=seed, **more)


def spelt(batch: list[tuple[int, int]], source: Any) -> list[tuple[str, int, int]]:
    """(sequence, index, draw) of a batch's frames."""
    frames = source.dataset.frames
    return [(frames[place].footage.name, frames[place].index, draw) for place, draw in batch]


def runs_of(batch: list[tuple[int, int]], source: Any) -> list[list[tuple[str, int, int]]]:
    """The batch's frames, run by run: one ends where the draw changes."""
    found: list[list[tuple[str, int, int]]] = []
    for frame in spelt(batch, source):
        if found and found[-1][-1][2] == frame[2]:
            found[-1].append(frame)
        else:
            found.append([frame])
    return found


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    run=st.sampled_from([1, 2, 4, 8, 16]),
    context=st.integers(0, 6),
    skip=st.integers(0, 6),
)
def test_every_batch_has_as_many_frames_that_train_with_all_before_them(
    lengths: list[int], run: int, context: int, skip: int
) -> None:
    source = sampler(lengths)
    if max(lengths) < max(skip, context) + run:
        with pytest.raises(UsageError):
            SequenceBatches(source, 16, run, context, skip)
        return
    for batch in islice(SequenceBatches(source, 16, run, context, skip), 5):
        found = runs_of(batch, source)
        assert [len(one) for one in found] == [context + run] * (16 // run)
        for one in found:
            assert all(a[0] == b[0] and a[1] + 1 == b[1] for a, b in pairwise(one))
            assert one[context][1] >= max(skip, context)


@pytest.mark.parametrize("run", [1, 4, 16])
def test_what_trains_does_not_depend_on_the_context(run: int) -> None:
    source = sampler([40, 30, 24])
    trained = []
    for context in (0, 2, 6):
        batches = islice(SequenceBatches(source, 16, run, context, skip=6), 20)
        trained.append([[frame for one in runs_of(b, source) for frame in one[context:]] for b in batches])
    assert trained[0] == trained[1] == trained[2]
    seen = {frame[1] for batch in trained[0] for frame in batch}
    assert min(seen) == 6 and len(seen) > 30


def test_a_pass_takes_every_frame_once_where_runs_are_of_one() -> None:
    source = sampler([20, 12], epoch=0)
    made = SequenceBatches(source, 4, run=1, context=2)
    places = [place for place, _ in made.one_pass(0) for place in place]
    assert sorted(places) == [*range(2, 20), *range(22, 32)]
    assert len(list(made)) == len(made) == 7


def test_homogeneous_batches_are_of_one_sequence_and_mixed_ones_are_not() -> None:
    source = sampler([24, 30, 64, 64])
    for batch in islice(SequenceBatches(source, 16, run=16), 20):
        assert len({frame[0] for frame in spelt(batch, source)}) == 1
    mixed = list(islice(SequenceBatches(source, 16, run=1), 20))
    assert all(len({frame[0] for frame in spelt(batch, source)}) > 1 for batch in mixed)


def test_frames_without_labels_are_context_alone() -> None:
    source = sampler([30, 30], unlabelled=5)
    for batch in islice(SequenceBatches(source, 4, run=1, context=3), 5):
        for one in runs_of(batch, source):
            assert [frame[1] % 5 for frame in one] == [1, 2, 3, 4]
    with pytest.raises(UsageError, match="no 2 labelled frames in a row"):
        SequenceBatches(source, 4, run=2)


def test_frames_that_do_not_follow_are_not_joined() -> None:
    source = sampler([10])
    del source.dataset.frames[5]  # a gap
    assert [len(found) for found in SequenceBatches(source, 1).stretches] == [5, 4]
    assert [len(found) for found in SequenceBatches(source, 1, context=2).stretches] == [3, 2]


def test_passes_differ_and_repeat_and_end_where_epochs_do() -> None:
    endless, epochs = sampler([64] * 4), sampler([64] * 4, epoch=1)
    made = SequenceBatches(endless, 16, run=8)
    assert made.one_pass(0) == made.one_pass(0) != made.one_pass(1)
    assert list(islice(made, 9)) == list(islice(made, 9))
    assert len(list(islice(made, 3 * len(made)))) == 3 * len(made)
    finite = SequenceBatches(epochs, 16, run=8)
    first = list(finite)
    assert len(first) == len(finite)
    assert [draw for batch in first for _, draw in batch[::8]] == [d for _, d in finite.one_pass(1)][: 2 * len(finite)]


def test_ranks_share_the_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    source = sampler([40, 40])
    whole = [
        frame for batch in islice(SequenceBatches(source, 4, context=1), 6) for frame in spelt(batch, source)[1::2]
    ]
    monkeypatch.setattr(runs, "get_world_size", lambda: 2)
    parts = []
    for rank in (0, 1):
        monkeypatch.setattr(runs, "get_rank", lambda rank=rank: rank)
        batches = islice(SequenceBatches(source, 2, context=1), 6)
        parts.append([frame for batch in batches for frame in spelt(batch, source)[1::2]])
    assert [frame for pair in zip(*parts, strict=True) for frame in pair] == whole


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"run": 3}, "must divide the batch size 16"),
        ({"run": 0}, "must divide"),
        ({"skip": 63, "run": 2}, "no 2 labelled frames in a row after 63 others"),
    ],
)
def test_impossible_options_are_refused_in_one_line(options: dict[str, int], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        SequenceBatches(sampler([64]), 16, **options)


def test_an_epoch_without_a_whole_batch_is_refused() -> None:
    with pytest.raises(UsageError, match="count iterations instead"):
        SequenceBatches(sampler([10], epoch=0), 16)
    assert len(next(iter(SequenceBatches(sampler([10]), 16)))) == 16
