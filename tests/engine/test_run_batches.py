"""Batches of runs of consecutive frames."""

from types import SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vidsuite_core.engine.data import SequenceBatches
from vidsuite_core.errors import UsageError


class Frames:
    """As much of a dataset as batches need."""

    def __init__(self, frames):
        self.frames = frames

    def __len__(self):
        return len(self.frames)

    def at(self, place):
        return self.frames[place]


def sampler(lengths, seed=0, epoch=0):
    frames = [
        SimpleNamespace(footage=SimpleNamespace(name=f"s{number}"), index=index)
        for number, length in enumerate(lengths)
        for index in range(length)
    ]
    return SimpleNamespace(dataset=Frames(frames), seed=seed, epoch=epoch)


def runs_of(batch, frames):
    """The batch as lists of (sequence, index), one a run."""
    runs = []
    for place, draw in batch:
        frame = frames[place]
        if runs and runs[-1][-1][2] == draw and runs[-1][-1][:2] == (frame.footage.name, frame.index - 1):
            runs[-1].append((frame.footage.name, frame.index, draw))
        else:
            runs.append([(frame.footage.name, frame.index, draw)])
    return runs


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    run=st.integers(1, 16),
    context=st.integers(0, 6),
    epoch=st.integers(0, 3),
)
@example(lengths=[8], run=7, context=6, epoch=0)
def test_runs_are_consecutive_and_no_frame_comes_twice(lengths, run, context, epoch):
    if context >= run or max(lengths) <= context:
        with pytest.raises(UsageError):
            SequenceBatches(sampler(lengths), 16, run, context)
        return
    source = sampler(lengths, epoch=epoch)
    batches = SequenceBatches(source, 16, run, context).batches(epoch)
    places = [place for batch in batches for place, _ in batch]
    assert batches
    assert len(places) == len(set(places))
    assert len(batches) == 1 or min(map(len, batches)) >= 8
    for batch in batches:
        assert len(batch) <= 16
        for found in runs_of(batch, source.dataset.frames):
            assert context < len(found) <= run


def test_homogeneous_batches_are_of_one_sequence_and_mixed_ones_are_not():
    source = sampler([24, 30, 64, 64])
    for epoch in range(10):
        homogeneous = SequenceBatches(source, 16, run=16).batches(epoch)
        assert all(len(runs_of(b, source.dataset.frames)) == 1 for b in homogeneous)
    mixed = SequenceBatches(source, 16, run=4).batches(0)
    assert any(len({frame[0] for run in runs_of(b, source.dataset.frames) for frame in run}) > 2 for b in mixed)


@pytest.mark.parametrize("context", [0, 2, 4, 6])
def test_mixed_batches_are_full_for_the_greater_part(context):
    made = SequenceBatches(sampler([24] * 12), 16, run=8, context=context)
    sizes = [len(batch) for epoch in range(10) for batch in made.batches(epoch)]
    assert sum(sizes) / len(sizes) > 15


def test_every_frame_that_can_receives_a_loss_in_some_epoch():
    source = sampler([24, 24])
    made = SequenceBatches(source, 16, run=8, context=6)
    counted = set()
    for epoch in range(40):
        for batch in made.batches(epoch):
            for run in runs_of(batch, source.dataset.frames):
                counted |= {frame[:2] for frame in run[6:]}
    assert counted == {(f"s{n}", index) for n in range(2) for index in range(6, 24)}


def test_with_a_smaller_step_each_frame_receives_a_loss_in_nearly_every_epoch():
    source = sampler([40])
    made = SequenceBatches(source, 16, run=8, context=6, step=2)
    losses = [
        frame[1] for batch in made.batches(0) for run in runs_of(batch, source.dataset.frames) for frame in run[6:]
    ]
    assert len(losses) == len(set(losses))
    assert len(losses) >= 40 - 6 - 2


def test_epochs_differ_and_repeat():
    source = sampler([64] * 4)
    made = SequenceBatches(source, 16)
    assert made.batches(0) == made.batches(0)
    assert made.batches(0) != made.batches(1)
    source.epoch = 1
    assert list(made) == made.batches(1)
    assert len(made) == len(made.batches(1))


def test_frames_that_do_not_follow_are_not_joined():
    source = sampler([10])
    del source.dataset.frames[5]  # a gap
    made = SequenceBatches(source, 16, run=16)
    assert sorted(len(sequence) for sequence in made.sequences) == [4, 5]


@pytest.mark.parametrize("options", [{"run": 17}, {"run": 4, "context": 4}, {"step": 9}, {"step": 0}])
def test_impossible_options_are_refused_in_one_line(options):
    with pytest.raises(UsageError, match="must be"):
        SequenceBatches(sampler([64]), 16, **options)
