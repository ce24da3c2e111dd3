"""Which time stamp frame n has: what exact seeks and cheap counts rest on."""

from __future__ import annotations

import threading
from array import array
from bisect import bisect_left, bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av import Packet
    from av.container import InputContainer
    from av.packet import PacketSideData
    from av.video.stream import VideoStream

# fmt: off
ONE_FRAME_PER_PACKET = frozenset((
    "av1", "dnxhd", "ffv1", "ffvhuff", "h264", "hevc", "huffyuv", "mjpeg", "mpeg1video", "mpeg2video", "png", "prores",
    "rawvideo", "utvideo", "vp9",
))
# fmt: on
"""Codecs whose packets each give one frame. Others (MPEG-4 part 2, VP8, ...) know skipped or hidden frames."""

_FIELDS = ("h264", "hevc")
"""Codecs whose packets may hold one of a frame's two fields alone, unless the stream says that it is progressive."""

_PROGRESSIVE = 1
"""AV_FIELD_PROGRESSIVE."""


_LESSONS = frozenset(("palette", "new_extradata", "param_change"))


class IndexContradicted(Exception):
    """Decoding gave another time stamp than the index holds for that frame."""


class FrameIndex:
    """The time stamps of a stream's frames in the order in which they are decoded, and its key frames.

    Either complete from the start, read off the packets (`from_packets`), or empty and grown by
    `record` as frames are decoded from the first on. An index that meets a missing time stamp or
    one out of order cannot lead a seek (`seekable` is False) and its frames are counted instead.
    Where decoding depends on all that came before (`from_start`), it leads no seek either.
    """

    def __init__(self, *, from_start: bool = False) -> None:
        self.pts = array("q")
        self.keys = array("q")
        self.complete = False
        self.seekable = True
        self.served = False
        self.from_start = from_start
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.pts)

    @classmethod
    def from_packets(cls, packets: list[tuple[int, bool]]) -> FrameIndex | None:
        """An index of the packets' (time stamp, key flag) in decoding order; None where it could be wrong.

        It could be wrong where two share a time stamp, or where frames before the first key frame
        may be dropped by a decoder that starts there.
        """
        if not packets or not packets[0][1]:
            return None
        ordered = sorted(packets)
        if ordered[0][0] != packets[0][0] or any(a[0] == b[0] for a, b in pairwise(ordered)):
            return None
        index = cls()
        index.pts.extend(pts for pts, _ in ordered)
        index.keys.extend(number for number, (_, key) in enumerate(ordered) if key)
        index.complete = True
        return index

    def successor(self) -> FrameIndex:
        """What takes the place of an index that turned out wrong: one grown by decoding, then none at all."""
        index = FrameIndex()
        index.seekable = self.complete
        return index

    def key_before(self, number: int) -> int | None:
        """The last known key frame at or before frame `number`; None where none is known."""
        place = bisect_right(self.keys, number)
        return self.keys[place - 1] if self.seekable and not self.from_start and place else None

    def number_of(self, pts: int) -> int | None:
        """The frame with that time stamp."""
        place = bisect_left(self.pts, pts)
        return place if place < len(self.pts) and self.pts[place] == pts else None

    def record(self, number: int, pts: int | None, key: bool) -> None:
        """Compare the decoded frame `number` with the index, or append it where it is the next one.

        Raises:
            IndexContradicted: the index holds something else for that frame.
        """
        if not self.seekable:
            return
        with self._lock:
            known = len(self.pts)
            if number < known or self.complete:
                if number >= known or pts != self.pts[number]:
                    raise IndexContradicted
            elif number == known:
                self._append(number, pts, key)

    def _append(self, number: int, pts: int | None, key: bool) -> None:
        if pts is None or (number and pts <= self.pts[-1]):
            self.seekable = False
            return
        self.pts.append(pts)
        if key:
            self.keys.append(number)


def lessons_of(packet: Packet[VideoStream]) -> list[PacketSideData]:
    """What comes beside a packet and changes how all that follow it are decoded, as a palette does."""
    return [side for side in packet.iter_sidedata() if side.data_type in _LESSONS]


def one_frame_per_packet(stream: VideoStream) -> bool:
    """Whether each packet gives one frame, so that packets can be counted and found for frames."""
    codec = stream.codec_context
    fields = codec.name in _FIELDS and codec.field_order != _PROGRESSIVE
    return codec.name in ONE_FRAME_PER_PACKET and not fields


def index_packets(container: InputContainer, stream: VideoStream) -> FrameIndex | None:
    """The index that the packets give, without decoding; None where it cannot be relied on.

    Reads the file to its end. A file that is cut short gives the index of what is there; one in which time begins anew,
    as where files were joined end to end, an empty one that leads no seek.
    """
    import av

    packets: list[tuple[int, bool]] = []
    lessons, damaged, clock = 0, False, None
    try:
        for packet in container.demux(stream):
            if not packet.size or packet.is_discard:
                continue
            if packet.dts is not None:
                if clock is not None and packet.dts < clock:
                    return FrameIndex(from_start=True)
                clock = packet.dts
            if packet.pts is None:
                return None
            damaged |= packet.is_corrupt
            lessons += bool(packets and lessons_of(packet))
            packets.append((packet.pts, packet.is_keyframe))
    except av.FFmpegError:
        return None
    if damaged:
        return None
    if stream.codec_context.has_b_frames and all(early < late for early, late in pairwise(packets)):
        return None  # the frames change their order but the time stamps do not: AVI has but the order of decoding
    index = FrameIndex.from_packets(packets)
    if index is not None and lessons:
        index.from_start = True
    return index


def restarts(container: InputContainer, stream: VideoStream) -> bool:
    """Whether time begins anew somewhere, as where files were joined end to end; reads the file to its end."""
    import av

    clock = None
    try:
        for packet in container.demux(stream):
            if packet.dts is not None and packet.size:
                if clock is not None and packet.dts < clock:
                    return True
                clock = packet.dts
    except av.FFmpegError:
        pass  # which decoding will meet, and say
    return False


def declared_frames(container: InputContainer, stream: VideoStream) -> int | None:
    """The number of frames where the container's own table can be believed: in whole MP4 and MOV files.

    AVI, Matroska, WebM and MPEG state none, or one that counts dropped frames.
    """
    if "mp4" not in container.format.name or not one_frame_per_packet(stream):
        return None
    entries = stream.index_entries
    if not stream.frames or stream.frames != len(entries) or not entries[0].is_keyframe:
        return None
    if any(entry.is_discard for entry in entries):
        return None
    return stream.frames
