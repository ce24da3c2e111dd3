"""Streaming mIoU: speed and accuracy in one number.

After Li, Wang and Ramanan, "Towards Streaming Perception", ECCV 2020: the world does not wait, so a frame is scored,
when it arrives, with the newest prediction that is ready by then, which is that of an earlier frame.

Predictions are taken as if each had the context it was made with: all frames were predicted, one by one, whereas a
device with a latency above 1 / fps skips some. To a network that sees single frames that is the same. For a network
with a memory and a latency above 1 / fps it is optimistic: its memory holds frames which that device had not computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vidsuite_core.tasks.segmentation_counts import class_counts, mean_iou

if TYPE_CHECKING:
    from vidsuite_core.tasks.base import Arrays

RATES = (5, 10, 15, 25, 30, 50, 60)
"""Frame rates of the table that details show, in Hz."""

_SLACK = 1e-6
"""Frames by which an event may seem late: what takes exactly k frames is ready at the k-th, whatever the rounding."""
_ENDLESS = 2.0**53


def schedule(frames: np.ndarray, fps: np.ndarray | float, latency: float) -> np.ndarray:
    """How many frames the newest prediction is old when a frame arrives: -1 before any is ready.

    Frame i arrives at i / fps. One device starts with frame 0 and, whenever it is free, takes the newest frame that
    has arrived, unless it had it already: then it waits for the next. So its k-th start is at k * max(latency, 1 / fps)
    and its result is ready `latency` later. Only a latency of 0 makes a frame's own prediction ready in time.

    Args:
        frames: (...) integers, i, counted from the stream's first frame.
        fps: frames per second, one for all or one for each of `frames`.
        latency: seconds that one prediction takes, finite.

    Returns:
        (...) int64 lags.
    """
    frames = np.asarray(frames, np.int64)
    if latency <= 0:
        return np.zeros_like(frames)
    with np.errstate(over="ignore"):
        # From one start to the next, in frames. A result that is ready within a frame is first of use to the next one.
        period = np.clip(latency * np.asarray(fps, float), 1, _ENDLESS)
    start = np.floor(frames / period + _SLACK) - 1
    source = np.floor(np.maximum(start, 0) * period + _SLACK)
    return np.where(start < 0, -1, frames - source.astype(np.int64))


def typical_latency(arrays: Arrays) -> float:
    """The median of the stored latencies in seconds; NaN where no frame was timed."""
    timed = arrays["latency"][~np.isnan(arrays["latency"])]
    return float(np.median(timed)) if len(timed) else float("nan")


def streaming_counts(arrays: Arrays, fps: float | None = None, latency: float | None = None) -> np.ndarray:
    """(N, 3, K) pixels hit, true and predicted of each class when frames are scored as they arrive.

    A stream begins with the first of its sequence's frames that was predicted, scored or not; see `schedule`. While
    nothing is ready all pixels of a frame are missed. NaN for a frame of which that is not known: the lag is beyond
    what is stored, or nothing would be ready but the sequence's first frames were not predicted.

    A single predicted frame is no stream: where no other of its sequence was, a frame counts as 0 pixels at whatever
    latency and so is left out. It would be missed however fast the network is.

    Args:
        arrays: `recording`, `position`, `lags`, `lagged`, `confusion`, and `fps` and `latency` unless given.
        fps: as if the frames had come at this rate.
        latency: as if a prediction took so many seconds; `typical_latency` where None.
    """
    counts = class_counts(arrays["confusion"])
    latency = typical_latency(arrays) if latency is None else latency
    if not np.isfinite(latency):
        return np.full_like(counts, np.nan)
    position, stored = arrays["position"].astype(np.int64), arrays["lags"].astype(np.int64)
    sequences, sequence = np.unique(arrays["recording"], return_inverse=True)
    first = np.full(len(sequences), np.iinfo(np.int64).max)
    np.minimum.at(first, sequence, position - stored)
    last = np.zeros_like(first)
    np.maximum.at(last, sequence, position)
    begin = first[sequence]
    lag = schedule(position - begin, arrays["fps"] if fps is None else fps, latency)
    known = np.where(lag < 0, begin == 0, lag <= stored)
    old = known & (lag > 0)
    counts[old] = class_counts(arrays["lagged"][old, lag[old] - 1])
    counts[lag < 0, ::2] = 0
    counts[~known] = np.nan
    counts[(first == last)[sequence]] = 0
    return counts


def streaming_miou(arrays: Arrays, fps: float | None = None, latency: float | None = None) -> float:
    """mIoU over the set of `streaming_counts`, which see.

    Sequences of a single predicted frame are left out. NaN where that leaves none, or where it is not known for some
    frame. Predictions are taken as if each had the context it was made with; for a network with a memory and a latency
    above 1 / fps that is optimistic.
    """
    return float(mean_iou(streaming_counts(arrays, fps, latency).sum(0)))
