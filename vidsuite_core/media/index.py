"""Which time stamp frame n has: what exact seeks and cheap counts rest on."""

from __future__ import annotations

import threading
from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

# fmt: off
ONE_FRAME_PER_PACKET = frozenset((
    "av1", "dnxhd", "ffv1", "ffvhuff", "h264", "hevc", "huffyuv", "mjpeg", "mpeg1video", "mpeg2video", "png", "prores",
    "rawvideo", "utvideo", "vp9",
))
# fmt: on
"""Codecs whose packets each give one frame. Others (MPEG-4 part 2, VP8, ...) know skipped or hidden frames."""

_KEPT_INDEXES = 64
_FileKey = tuple[str, int, int]


class IndexContradicted(Exception):
    """Decoding gave another time stamp than the index holds for that frame."""


class FrameIndex:
    """The time stamps of a stream's frames in the order in which they are decoded, and its key frames.

    Either complete from the start, read off the packets (`from_packets`), or empty and grown by
    `record` as frames are decoded from the first on. An index that meets a missing time stamp or
    one out of order cannot lead a seek (`seekable` is False) and its frames are counted instead.
    """

    def __init__(self) -> None:
        self.pts = array("q")
        self.keys = array("q")
        self.complete = False
        self.seekable = True
        self.served = False
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
        return self.keys[place - 1] if self.seekable and place else None

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


class IndexMemo:
    """The indexes of the files lately read by this process, so that each is scanned once."""

    def __init__(self) -> None:
        self._kept: OrderedDict[_FileKey, FrameIndex] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, path: Path) -> FrameIndex | None:
        """The index of the file as it is now on the disk."""
        with self._lock:
            key = _file_key(path)
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, path: Path, index: FrameIndex) -> FrameIndex:
        """Keep `index` in place of an earlier one; returns it."""
        with self._lock:
            self._kept[_file_key(path)] = index
            while len(self._kept) > _KEPT_INDEXES:
                self._kept.popitem(last=False)
        return index

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._kept.clear()


MEMO = IndexMemo()


def _file_key(path: Path) -> _FileKey:
    status = path.stat()
    return str(path), status.st_size, status.st_mtime_ns


def index_packets(container: InputContainer, stream: VideoStream) -> FrameIndex | None:
    """The index that the packets give, without decoding; None where it cannot be relied on.

    Reads the file to its end. A file that is cut short gives the index of what is there.
    """
    import av

    packets: list[tuple[int, bool]] = []
    try:
        for packet in container.demux(stream):
            if not packet.size or packet.is_discard:
                continue
            if packet.pts is None or packet.is_corrupt:
                return None
            packets.append((packet.pts, packet.is_keyframe))
    except av.FFmpegError:
        return None
    if stream.codec_context.has_b_frames and all(early < late for early, late in pairwise(packets)):
        return None  # the frames change their order but the time stamps do not: AVI has but the order of decoding
    return FrameIndex.from_packets(packets)


def declared_frames(container: InputContainer, stream: VideoStream) -> int | None:
    """The number of frames where the container's own table can be believed: in whole MP4 and MOV files.

    AVI, Matroska, WebM and MPEG state none, or one that counts dropped frames.
    """
    if "mp4" not in container.format.name or stream.codec_context.name not in ONE_FRAME_PER_PACKET:
        return None
    entries = stream.index_entries
    if not stream.frames or stream.frames != len(entries) or not entries[0].is_keyframe:
        return None
    if any(entry.is_discard for entry in entries):
        return None
    return stream.frames
