"""When frames are shown, and which frames seconds mean.

Frames and seconds are no multiples of one another: phones, webcams and screen recorders vary their rate, and AVI drops
frames. So seconds are compared with the times at which frames are shown, and a network that counts frames is given them
at a stated rate (`resample`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from vidsuite_core.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

TimesFrom = Literal["stamps", "rate", "given"]

DRIFT = 0.5
"""A rate is constant where no frame is further than this, in frames, from where a steady rate would put it."""

BEYOND = 1
"""So many frames after the last one an end may lie: containers shorten the last frame, and people round up."""


@dataclass(frozen=True, eq=False)
class Times:
    """When each of T frames is shown.

    Attributes:
        ticks: int64 (T,), rising: after what players show as 0, in units of `unit`.
        unit: seconds a tick, exact.
        end: tick at which the last frame's display ends.
        source: "stamps" (the frames' own), "rate" (counted at the rate that the file states) or "given" (counted at
            the caller's rate).
        notes: what whoever brings the file in should be told of its rate.
    """

    ticks: NDArray[np.int64]
    unit: Fraction
    end: int
    source: TimesFrom
    notes: tuple[str, ...] = ()

    @classmethod
    def steady(cls, count: int, fps: float, source: TimesFrom, notes: tuple[str, ...] = ()) -> Times:
        """Frames that follow on one another at `fps` frames a second, the first at 0."""
        rate = Fraction(fps).limit_denominator(1_000_000)
        return cls(np.arange(count, dtype=np.int64), 1 / rate, count, source, notes)

    def __len__(self) -> int:
        return len(self.ticks)

    @cached_property
    def seconds(self) -> NDArray[np.float64]:
        """Seconds at which each frame is shown, (T,); `exact` gives the fraction."""
        seconds: NDArray[np.float64] = self.ticks * self.unit.numerator / self.unit.denominator
        return seconds

    def exact(self, frame: int) -> Fraction:
        """Seconds of frame number `frame`, exactly as the container has them."""
        return int(self.ticks[frame]) * self.unit

    @property
    def duration(self) -> float:
        """Seconds at which the last frame's display ends."""
        return float(self.end * self.unit)

    @property
    def fps(self) -> float:
        """Frames a second, on average."""
        if len(self) < 2:
            return 1 / self.duration if self.duration > 0 else 0.0
        return float((len(self) - 1) / (self.unit * int(self.ticks[-1] - self.ticks[0])))

    @cached_property
    def constant(self) -> bool:
        """Whether frames can be counted for seconds: see `DRIFT`."""
        if len(self) < 3:
            return True
        even = np.linspace(self.ticks[0], self.ticks[-1], len(self))
        step = (self.ticks[-1] - self.ticks[0]) / (len(self) - 1)
        # A whole tick is what rounding to ticks alone can do.
        return bool(np.ptp(self.ticks - even) <= 2 * max(DRIFT * step, 1))

    def between(self, start: float | None, stop: float | None) -> tuple[int, int]:
        """`frames_between` of these times."""
        return frames_between(self.seconds, start, stop, self.duration)

    def resampled(self, fps: float, start: float | None = None, stop: float | None = None) -> NDArray[np.int64]:
        """`resample` of these times."""
        return resample(self.seconds, fps, start, stop, self.duration)


def frames_between(
    times: Sequence[float] | NDArray[np.float64],
    start: float | None,
    stop: float | None,
    end: float | None = None,
) -> tuple[int, int]:
    """The frames [first, last) of the interval [start, stop) in seconds: those whose display has its middle in it.

    So an edge that was rounded to another digit, or read off a player between two frames, means the change of frames
    nearest to it; at a constant rate that is `round(seconds * fps)`.

    Args:
        times: seconds at which each of T frames is shown, rising.
        start, stop: seconds; None stands for the first frame and the end.
        end: seconds at which the last frame's display ends; by default it lasts as long as the one before.

    Returns:
        0 <= first <= last <= T, equal where no frame is in the interval. A stop within `BEYOND` frames after the end
        means the end; a later one is the caller's to refuse (`last_second`).
    """
    edges = _edges(times, end)
    middles = (edges[:-1] + edges[1:]) / 2
    first = 0 if start is None else int(np.searchsorted(middles, start))
    last = len(middles) if stop is None else int(np.searchsorted(middles, stop))
    return first, max(first, last)


def last_second(times: Sequence[float] | NDArray[np.float64], end: float | None = None) -> float:
    """The latest second that can be meant as the end of a recording whose frames have these times."""
    edges = _edges(times, end)
    step = min(edges[-1] - edges[-2], (edges[-1] - edges[0]) / (len(edges) - 1))
    # Half a frame more, since edges mean the nearest change of frames.
    return float(edges[-1] + (BEYOND + 0.5) * step)


def resample(
    times: Sequence[float] | NDArray[np.float64],
    fps: float,
    start: float | None = None,
    stop: float | None = None,
    end: float | None = None,
) -> NDArray[np.int64]:
    """The frame to show at each of the instants start, start + 1/fps, ... before stop: int64 (n,), not falling, n >= 1.

    It is the frame that is nearest in time, but none that appears more than half a step (1 / (2 fps) seconds) after
    the instant: a picture that stood still for long stays until the next one is due.

    Args:
        times: seconds at which each of T frames is shown, rising.
        fps: instants a second.
        start, stop: seconds; None stands for the first frame and the end.
        end: as for `frames_between`.

    Raises:
        UsageError: fps is not positive, or the interval is empty or begins after the last frame.
    """
    edges = _edges(times, end)
    shown = edges[:-1]
    start, stop = float(edges[0] if start is None else start), float(edges[-1] if stop is None else stop)
    if not fps > 0 or not start < stop or start >= edges[-1]:
        raise UsageError(f"no frames from {start:g} to {stop:g} s at {fps:g} frames/s; the last ends at {edges[-1]:g}")
    count = max(1, round((stop - start) * fps))
    instants = start + np.arange(count) / fps
    current = np.searchsorted(shown, instants, side="right") - 1
    upcoming = np.minimum(current + 1, len(shown) - 1)
    wait, age = shown[upcoming] - instants, instants - shown[np.maximum(current, 0)]
    chosen = np.where((wait < age) & (wait < 0.5 / fps), upcoming, current)
    result: NDArray[np.int64] = np.maximum(chosen, 0)
    return result


def _edges(times: Sequence[float] | NDArray[np.float64], end: float | None) -> NDArray[np.float64]:
    """The T times and the last frame's end, (T + 1,)."""
    shown = np.asarray(times, np.float64)
    if shown.ndim != 1 or not len(shown) or not (np.diff(shown) > 0).all():
        raise UsageError(f"times of shape {shown.shape} that do not rise, or none; give the seconds of each frame")
    last = shown[-1] - shown[-2] if len(shown) > 1 else 0.0
    edges: NDArray[np.float64] = np.append(shown, max(shown[-1] + last if end is None else end, shown[-1]))
    return edges
