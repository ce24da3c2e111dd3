"""Which frames are seen, how they are augmented, and the measures of morphokinetics."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vidsuite_core.errors import UsageError
from vidsuite_core.samples import ClipSample, Recording
from vidsuite_plugins.blastocyst_dnn.data import EVENTS, INTERVALS, Augment, PackEvents, ReadTimelapse

HOURS = st.lists(st.floats(0.01, 167), min_size=1, max_size=60, unique=True).map(sorted)


def sample(hours: list[float], start: int = 0, stop: int | None = None, side: int = 8) -> ClipSample:
    frames = np.arange(len(hours), dtype=np.uint8)[:, None, None, None] * np.ones((1, side, side, 1), np.uint8)
    footage = Recording(
        name="e", subject="p", planes=(frames,), frames=len(hours), fps=1e-3, content="c",
        times=tuple(hour * 3600 for hour in hours),
    )  # fmt: skip
    return ClipSample(id="e", footage=footage, label=1, start=start, stop=stop or len(hours))


@given(hours=HOURS, frames=st.integers(1, 40), until=st.none() | st.floats(0.1, 170))
def test_frames_are_even_in_time_and_never_later_than_allowed(hours, frames, until):
    if until is not None and hours[0] >= until:
        with pytest.raises(UsageError, match="no frame before"):
            ReadTimelapse(frames=frames, until=until).indices(sample(hours))
        return
    seen = [hour for hour in hours if until is None or hour < until]
    indices = ReadTimelapse(frames=frames, until=until).indices(sample(hours))
    assert len(indices) == frames
    assert indices == sorted(indices)
    assert indices[-1] == len(seen) - 1
    if frames > 1:
        assert indices[0] == 0
        wanted = np.linspace(seen[0], seen[-1], frames)
        nearest = np.abs(np.array(seen)[None] - wanted[:, None]).min(axis=1)
        np.testing.assert_allclose(np.abs(np.array(hours)[indices] - wanted), nearest, atol=1e-6)


def test_frames_count_within_the_clip():
    read = ReadTimelapse(frames=3)
    assert read.indices(sample([1, 2, 3, 4, 5, 6], start=1, stop=5))[0] == 1
    assert read.indices(sample([1, 2, 3, 4, 5, 6], start=2, stop=5)) == [2, 3, 4]
    assert ReadTimelapse(frames=1).indices(sample([1, 2, 3, 4, 5, 6], start=1, stop=4)) == [3]


def test_dropped_frames_are_made_up_for_by_their_neighbours():
    hours = [0, 10, 20, 22, 24, 40]
    assert ReadTimelapse(frames=5).indices(sample(hours)) == [0, 1, 2, 4, 5]


def test_the_clip_that_is_read():
    read = ReadTimelapse(size=16, frames=4, until=4.5)
    clip = read({"sample": sample([1, 2, 3, 4, 5, 6])})["clip"]
    assert clip.shape == (4, 16, 16, 1)
    assert clip[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert read.key(sample([1, 2, 3, 4, 5, 6])) != ReadTimelapse(size=16, frames=4, until=5.5).key(
        sample([1, 2, 3, 4, 5, 6])
    )
    with pytest.raises(UsageError, match="frames=0"):
        ReadTimelapse(frames=0)


def test_the_middle_of_the_frame_alone():
    hours = [1, 2, 3]
    frames = np.zeros((3, 20, 40, 1), np.uint8)
    frames[:, 5:15, 10:30] = 200
    one = sample(hours)
    one = replace(one, footage=replace(one.footage, planes=(frames,)))
    clip = ReadTimelapse(size=10, frames=2, field=0.5, fit="stretch")({"sample": one})["clip"]
    assert clip.shape == (2, 10, 10, 1)
    assert (clip == 200).all()
    assert not (ReadTimelapse(size=10, frames=2, fit="stretch")({"sample": one})["clip"] == 200).all()
    assert ReadTimelapse(field=0.5).key(one) != ReadTimelapse().key(one)
    with pytest.raises(UsageError, match="no share of the frame"):
        ReadTimelapse(field=0)


# --- augmentation -----------------------------------------------------------------------------------


def test_all_frames_of_a_clip_are_changed_alike():
    rng = np.random.default_rng(0)
    one = rng.integers(0, 255, (1, 24, 24, 1)).astype(np.uint8)
    augment = Augment()
    torch.manual_seed(0)
    seen = set()
    for _ in range(8):
        clip = augment({"clip": np.repeat(one, 5, axis=0)})["clip"]
        assert clip.shape == (5, 24, 24, 1)
        assert clip.dtype == np.uint8
        for frame in clip[1:]:
            np.testing.assert_array_equal(frame, clip[0])
        seen.add(clip.tobytes())
    assert len(seen) == 8  # each clip in its own way


def test_each_kind_of_change_can_be_left_out():
    clip = np.random.default_rng(0).integers(0, 255, (2, 16, 16, 1)).astype(np.uint8)
    still = {"crop": 0, "rotation": 0, "flip": 0, "brightness": 0, "contrast": 0}
    np.testing.assert_array_equal(Augment(**still)({"clip": clip})["clip"], clip)
    np.testing.assert_array_equal(Augment(**{**still, "flip": 1})({"clip": clip})["clip"], clip[:, :, ::-1])
    torch.manual_seed(1)
    for name, value in (("crop", 0.2), ("rotation", 90), ("brightness", 0.5), ("contrast", 0.5)):
        assert (Augment(**{**still, name: value})({"clip": clip})["clip"] != clip).any(), name


# --- morphokinetics ---------------------------------------------------------------------------------


def test_measures_are_hours_and_intervals_up_to_the_cut_off():
    events = {"tPNf": 22.0, "t2": 25.0, "t3": 36.0, "t4": 37.5, "t5": 48.0, "t8": 55.0, "tB": 110.0}
    one = SimpleNamespace(id="e", label=1, labelled=True, events=events)
    item = PackEvents(until=50)({"sample": one})
    found = dict(zip([*EVENTS, *INTERVALS], item["inputs"].tolist(), strict=True))
    assert found["t2"] == 25
    assert found["cc2"] == 11
    assert found["s2"] == 1.5
    assert found["cc3"] == 12
    for name in ("t6", "t8", "tB", "s3"):
        assert math.isnan(found[name]), name
    assert item["data_samples"].gt_label.tolist() == [1]
    whole = dict(zip([*EVENTS, *INTERVALS], PackEvents()({"sample": one})["inputs"].tolist(), strict=True))
    assert whole["tB"] == 110
    assert whole["s3"] == 7


def test_samples_without_division_times_are_refused():
    with pytest.raises(UsageError, match="sample e has no division times"):
        PackEvents()({"sample": sample([1, 2])})
