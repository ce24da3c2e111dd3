"""How fast a file's frames follow on one another, and who says so."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from vidsuite_core.media.base import RateFrom

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

_BARE = frozenset(("av1", "h264", "hevc", "m4v", "mjpeg", "mpegvideo", "obu"))
"""FFmpeg's names of streams without a container: for these it invents 25 frames/s, and time stamps to match."""

_FASTEST = 240
"""Streams that state more are not believed: some state the ticks of a clock."""

_OWN_RATE_IN_AVI = ("h264", "hevc")
"""Codecs whose stream's own rate is believed rather than that of an AVI, which whoever wrapped the stream made up."""


@dataclass(frozen=True)
class Rate:
    """A file's frame rate.

    Attributes:
        fps: 0.0 where nobody states it.
        source: see `VideoInfo.rate`.
        stamped: whether the frames' time stamps mean anything.
        scale: what time stamps are multiplied with.
        notes: what a user should be told.
    """

    fps: float
    source: RateFrom
    stamped: bool = True
    scale: Fraction = Fraction(1)
    notes: tuple[str, ...] = ()


def stated_rate(container: InputContainer, stream: VideoStream) -> Rate:
    """The rate by the container, or by the stream itself where the container states none or makes one up."""
    coded = stream.codec_context.framerate
    own = coded if coded and 0 < coded <= _FASTEST else None
    if container.format.name in _BARE:
        return Rate(float(own), "stream", stamped=False) if own else Rate(0.0, "invented", stamped=False)
    # Of raw DV the average is nonsense.
    stated = stream.guessed_rate if container.format.name == "dv" else stream.average_rate or stream.guessed_rate
    if not stated:
        return Rate(float(own), "stream") if own else Rate(0.0, "none")
    if own and container.format.name == "avi" and stream.codec_context.name in _OWN_RATE_IN_AVI and own != stated:
        if abs(own / stated - 1) < Fraction(1, 100):
            return Rate(float(stated), "container")
        note = (
            f"the AVI says {float(stated):g} frames/s and the stream in it {float(own):g}, which is taken; "
            "give fps where that is wrong"
        )
        return Rate(float(own), "stream", scale=stated / own, notes=(note,))
    return Rate(float(stated), "container")
