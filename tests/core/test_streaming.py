"""Streaming mIoU: the schedule against a clock that is watched event by event, and scores by hand."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from segmentation_frames import arrays_of, frame, random_arrays, random_maps

from vidsuite_core.samples import VOID
from vidsuite_core.tasks.segmentation_reducer import LAGS
from vidsuite_core.tasks.streaming_miou import RATES, schedule, streaming_counts, streaming_miou, typical_latency
from vidsuite_core.tasks.video_segmentation import VideoSegmentation

TASK = VideoSegmentation(["road", "car"])


def watched(count: int, fps: Fraction, latency: Fraction) -> list[int]:
    """Lags of `schedule`, from a device that is followed through time in exact numbers."""
    ready: list[tuple[Fraction, int]] = []  # when, and of which frame
    now, last = Fraction(0), -1
    while last < count - 1:
        arrived = int(now * fps)
        if arrived == last:
            now = (last + 1) / fps
            continue
        now, last = now + latency, arrived
        ready.append((now, arrived))
    newest = [max((of for when, of in ready if when <= i / fps), default=None) for i in range(count)]
    return [-1 if of is None else i - of for i, of in enumerate(newest)]


@pytest.mark.parametrize("fps", [7, 10, 24, 25, 30, 60])
def test_the_schedule_is_that_of_a_watched_clock(fps: int) -> None:
    for whole, part in product(range(1, 40), range(1, 8)):  # in floats, many of these are off by a bit
        latency = Fraction(whole, part) / fps
        assert schedule(np.arange(60), fps, float(latency)).tolist() == watched(60, Fraction(fps), latency)


@pytest.mark.parametrize(
    ("latency", "lags"),
    [
        (0.0, [0, 0, 0, 0, 0, 0, 0, 0]),
        (1e-9, [-1, 1, 1, 1, 1, 1, 1, 1]),
        (0.09, [-1, 1, 1, 1, 1, 1, 1, 1]),  # the device waits for each frame
        (0.1, [-1, 1, 1, 1, 1, 1, 1, 1]),  # ready just as the next one arrives
        (0.15, [-1, -1, 2, 2, 3, 2, 2, 3]),  # frames 0, 1, 3, 4, 6: ready at 1.5, 3, 4.5, 6, 7.5
        (0.3, [-1, -1, -1, 3, 4, 5, 3, 4]),  # three frames exactly, though 0.3 * 10 is above 3 by rounding
        (10.0, [-1] * 8),
        (1e308, [-1] * 8),
    ],
)
def test_the_schedule_by_hand(latency: float, lags: list[int]) -> None:
    assert schedule(np.arange(8), 10, latency).tolist() == lags


@pytest.mark.parametrize("fps", [3, 7, 24, 25, 29.97, 30, 60, 120])
@pytest.mark.parametrize("whole", [1, 2, 3, 7])
def test_what_takes_whole_frames_is_ready_in_time_hours_on(fps: float, whole: int) -> None:
    frames = np.arange(0, 1_000_000 * whole, 9_973 * whole)
    assert (schedule(frames[1:], fps, whole / fps) == whole).all()


def test_frames_may_have_rates_of_their_own() -> None:
    assert schedule(np.array([4, 4]), np.array([10.0, 20.0]), 0.1).tolist() == [1, 2]


def stream(count: int, first: int = 0, **more: Any) -> list[dict[str, Any]]:
    """One row of four pixels, the first of which turn from road to car, one a frame; seen rightly."""
    maps = [[int(place < position) for place in range(4)] for position in range(count)]
    return [frame("a", first + n, true=labels, found=labels, **more) for n, labels in enumerate(maps)]


def one_row(frames: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for one in frames:
        for name in ("pred_sem_seg", "gt_sem_seg"):
            one[name]["data"] = one[name]["data"].reshape(1, 1, -1)
    return frames


def test_streaming_miou_by_hand() -> None:
    arrays = arrays_of(TASK, one_row(stream(4)), fps=10)
    assert streaming_miou(arrays, latency=0) == 1
    # Frame 0 (4 road) is missed, 1 to 3 are scored with the one before: one pixel of car is called road each time.
    assert streaming_miou(arrays, latency=0.1) == pytest.approx((6 / (4 + 3 + 2 + 1 + 3) + 3 / 6) / 2)
    # Frames 0 and 1 are missed, 2 and 3 are scored with frame 0, which is all road; the next prediction is of frame 2.
    assert streaming_miou(arrays, latency=0.2) == pytest.approx((3 / (4 + 3 + 2 + 1 + 5) + 0 / 6) / 2)
    assert streaming_miou(arrays, fps=5, latency=0.2) == streaming_miou(arrays, latency=0.1)
    assert TASK.score(arrays)["streaming_miou"] == streaming_miou(arrays, latency=0.03)


def test_missed_frames_have_true_pixels_and_no_predicted_ones() -> None:
    counts = streaming_counts(arrays_of(TASK, one_row(stream(3)), fps=10), latency=0.2)
    assert counts[:, 0].tolist() == [[0, 0], [0, 0], [2, 0]]
    assert counts[:, 1].tolist() == [[4, 0], [3, 1], [2, 2]]
    assert counts[:, 2].tolist() == [[0, 0], [0, 0], [4, 0]]


def test_a_stream_that_nothing_is_ever_ready_for_scores_zero() -> None:
    assert streaming_miou(arrays_of(TASK, one_row(stream(4)), fps=10), latency=9) == 0


def test_one_labelled_frame_after_others_that_are_context() -> None:
    maps = random_maps(0, 20, classes=2)
    # As in Cityscapes: frame 19 of a sequence is labelled, and the 8 before it are predicted.
    frames = [frame("a", n, true=maps[19], found=maps[n], scored=n == 19) for n in range(11, 20)]
    arrays = arrays_of(TASK, frames, fps=17)
    assert (arrays["position"].tolist(), arrays["lags"].tolist()) == ([19], [8])
    for frames_late, lag in ((0.5, 1), (1, 1), (2, 2), (3, 5), (4, 4)):
        alone = arrays_of(TASK, [frame("a", 0, true=maps[19], found=maps[19 - lag])])
        assert streaming_miou(arrays, latency=frames_late / 17) == TASK.score(alone)["miou"]
    # Nothing of frames 11 to 19 would be ready, but something of those before might.
    assert np.isnan(streaming_miou(arrays, latency=9 / 17))


@pytest.mark.parametrize("position", [0, 19])
def test_single_frames_are_no_streams(position: int) -> None:
    maps = random_maps(0, 3, classes=2)
    arrays = arrays_of(
        TASK, [frame(name, position, true=one, found=one) for name, one in zip("abc", maps, strict=True)]
    )
    scores = TASK.score(arrays)
    assert scores["miou"] == 1
    assert np.isnan(scores["streaming_miou"])
    assert set(TASK.details(arrays)["streaming"]["miou"].values()) == {None}
    assert np.isnan(TASK.leave_one_out(arrays)[1]["streaming_miou"]).all()


@pytest.mark.parametrize("position", [0, 19])
def test_single_frames_beside_streams_are_left_out(position: int) -> None:
    streams = one_row(stream(4))
    single = frame("b", position, true=[[0, 1]], found=[[0, 1]])
    mixed, alone = arrays_of(TASK, [*streams, single], fps=10), arrays_of(TASK, streams, fps=10)
    for latency in (0.0, 0.1, 0.2, 9.0):
        assert streaming_miou(mixed, latency=latency) == streaming_miou(alone, latency=latency)
    assert not streaming_counts(mixed, latency=0.1)[-1].any()


def test_one_labelled_frame_after_context_is_a_stream() -> None:
    frames = [frame("a", n, true=[[0, 1]], found=[[0, 1]], scored=n == 1) for n in range(2)]
    assert streaming_miou(arrays_of(TASK, frames, fps=10), latency=0.1) == 1


def test_streams_of_other_rates_and_lengths_are_kept_apart() -> None:
    arrays = random_arrays(0)
    alone = [{name: column[n::5] for name, column in arrays.items()} for n in range(5)]
    found = streaming_counts(arrays, latency=0.06)
    for sequence, part in enumerate(alone):
        assert (found[sequence::5] == streaming_counts(part, latency=0.06)).all()


def test_it_is_not_known_without_a_latency_or_beyond_what_is_stored() -> None:
    arrays = arrays_of(TASK, one_row(stream(LAGS + 3)), fps=10)
    assert not np.isnan(streaming_miou(arrays, latency=0.1 * LAGS / 2))
    assert np.isnan(streaming_miou(arrays, latency=0.1 * (LAGS + 1)))
    untimed = {**arrays, "latency": np.full(LAGS + 3, np.nan)}
    assert np.isnan(TASK.score(untimed)["streaming_miou"])
    assert TASK.details(untimed)["streaming"] == {"latency": None, "miou": {str(fps): None for fps in RATES}}


def test_frames_that_were_not_all_predicted_leave_it_unknown() -> None:
    frames = one_row(stream(4))
    assert np.isnan(streaming_miou(arrays_of(TASK, [frames[0], frames[2]]), latency=0.01))


def test_the_latency_is_the_median_of_the_frames_that_were_timed() -> None:
    arrays = arrays_of(TASK, one_row(stream(4)))
    arrays["latency"] = np.array([5.0, 0.02, np.nan, 0.03])
    assert typical_latency(arrays) == 0.03


def test_details_show_several_rates() -> None:
    arrays = arrays_of(TASK, one_row(stream(12, latency=0.05)))
    table = TASK.details(arrays)["streaming"]
    assert table["latency"] == 0.05
    assert list(table["miou"]) == ["5", "10", "15", "25", "30", "50", "60"]
    assert table["miou"]["10"] == streaming_miou(arrays, fps=10, latency=0.05)
    assert list(table["miou"].values()) == sorted(table["miou"].values(), reverse=True)


@given(st.integers(0, 5))
def test_without_latency_it_is_the_miou(seed: int) -> None:
    arrays = random_arrays(seed, sequences=2, length=3)
    task = VideoSegmentation(list("abcd"))
    assert streaming_miou(arrays, latency=0) == pytest.approx(task.score(arrays)["miou"])


def test_void_counts_nowhere() -> None:
    frames = [frame("a", n, true=[[0, VOID], [1, VOID]], found=[[0, 1], [1, 0]]) for n in range(2)]
    assert streaming_counts(arrays_of(TASK, frames), latency=0.01)[1].tolist() == [[1, 1], [1, 1], [1, 1]]
