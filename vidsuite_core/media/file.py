"""Video files: exact seeks where the time stamps allow them, counting from the start where not."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidsuite_core.media.base import MAX_FRAME_PIXELS, Video, VideoError, VideoInfo, View
from vidsuite_core.media.containers import missing_bytes
from vidsuite_core.media.decoder import Converter, Decoder, Suspicious, layout
from vidsuite_core.media.index import (
    FrameIndex,
    IndexContradicted,
    declared_frames,
    index_packets,
    one_frame_per_packet,
    restarts,
)
from vidsuite_core.media.known import KNOWN, Known
from vidsuite_core.media.rate import stated_rate
from vidsuite_core.media.times import Times
from vidsuite_core.media.turn import Turn, turn_of

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_FORWARD_FRAMES = 16
"""Gaps up to this are decoded through: cheaper than a seek, and than the scan that a first seek needs."""

_UPRIGHT = frozenset(("apng", "asf", "avi", "dv", "flv", "gif", "ivf", "mpeg", "mpegvideo", "nut", "yuv4mpegpipe"))
"""FFmpeg's names of containers that cannot say how their pictures are turned."""

_TURNING = ("h264", "hevc", "mjpeg")
"""Codecs whose own streams can say it."""

_JOINABLE = ("mpegts", "mpeg")
"""Containers that people join end to end, so that a time stamp may stand for two places."""

_GLIBC_LARGEST = 31 * 2**20
"""Freed blocks of up to this raise glibc's thresholds (it stops at 32 MiB)."""


class FileVideo(Video):
    """A video file; the decoder takes up to `threads` threads of its own, and reads from the start without `seek`."""

    def __init__(self, path: Path, threads: int = 2, *, seek: bool = True) -> None:
        # FFmpeg cannot take an absolute path for an address ("http:...").
        self.path = Path(path).absolute()
        self.name = str(path)
        self.threads = threads
        self._seek = seek
        self._facts = KNOWN.of(self.path) if self.path.is_file() else Known()  # what is no file is refused below
        decoder = self._fresh()
        try:
            try:
                info = self._describe(decoder)
            except Suspicious:
                decoder.close()
                decoder = self._alone(0)
                info = self._describe(decoder)
        except BaseException:
            decoder.close()
            raise
        super().__init__(self.name, info)
        self._codec = decoder.codec
        self._idle: Decoder | None = decoder
        self._closed = False
        self._joinable = decoder.container.format.name in _JOINABLE
        self._by_packets = one_frame_per_packet(decoder.stream)
        self._index = self._facts.index
        if self._index is None and not self._by_packets:
            self._index = self._facts.index = FrameIndex()

    def close(self) -> None:
        """Release the file."""
        self._closed = True
        if self._idle:
            self._idle.close()
        self._idle = None

    def _describe(self, decoder: Decoder) -> VideoInfo:
        pixel_format, stream = decoder.pixel_format(), decoder.stream
        if pixel_format is None:
            self._refuse_cut(0)
            raise VideoError(f"{self.name}: holds no frames")
        self._pixel_format, channels, dtype = layout(pixel_format, self.name)
        self._stored = stream.codec_context.width, stream.codec_context.height
        if self._facts.turn is None:
            self._facts.turn = self._turn(decoder)
        width, height = self._facts.turn.size(*self._stored)
        if not 0 < width * height <= MAX_FRAME_PIXELS:
            raise VideoError(
                f"{self.name}: frames of {width} x {height} pixels; 1 to {MAX_FRAME_PIXELS} pixels can be read"
            )
        self._rate = stated_rate(decoder.container, stream)
        turned = f"{self._facts.turn}, as the file says, from the {self._stored[0]} x {self._stored[1]} that it stores"
        return VideoInfo(
            frames=declared_frames(decoder.container, stream) if missing_bytes(self.path) == 0 else None,
            fps=self._rate.fps,
            width=width,
            height=height,
            channels=channels,
            dtype=dtype,
            rate=self._rate.source,
            notes=(turned,) if self._facts.turn else (),
        )

    def _rate_notes(self) -> tuple[str, ...]:
        return self._rate.notes

    def _turn(self, decoder: Decoder) -> Turn:
        if decoder.container.format.name in _UPRIGHT and decoder.codec not in _TURNING:
            return Turn()
        first = decoder.first()
        return Turn() if first is None else turn_of(first, self.name)

    def _views(self, start: int, stop: int | None) -> Generator[View]:
        if start == stop:
            return
        _prepare_allocator(self.info.frame_bytes)
        convert, turn = Converter(self._pixel_format), self._facts.turn
        for number, frame in self._decoded(start, stop):
            if (frame.width, frame.height) != self._stored:
                raise VideoError(
                    f"{self.name}: frame {number} has {frame.width} x {frame.height} pixels, the first "
                    f"{self._stored[0]} x {self._stored[1]}; re-encode the video at one size"
                )
            pixels, fresh = convert(frame)
            yield (turn(pixels), fresh) if turn else (pixels, fresh)

    def _stamps(self) -> Times | None:
        if not self._rate.stamped:
            return None
        count = self.count()  # which a file that is cut short does not survive
        if self._scan().seekable and not self._scan().complete:
            count = self._count_frames()
        index = self._scan()
        return self._times_of(index) if index.seekable and index.complete and len(index) == count else None

    def _times_of(self, index: FrameIndex) -> Times:
        """The index's time stamps, from what players show as 0 on."""
        decoder = self._idle or self._fresh()
        stream, begin = decoder.stream, decoder.container.start_time
        ticks = np.array(index.pts, np.int64)
        unit = Fraction(stream.time_base or 1) * self._rate.scale
        last = int(ticks[-1] - ticks[-2]) if len(ticks) > 1 else round(1 / (unit * Fraction(self.info.fps or 1)))
        end = int(ticks[-1]) + last
        if "mp4" in decoder.container.format.name and stream.start_time is not None and stream.duration is not None:
            end = max(end, stream.start_time + stream.duration)
        # Sound may begin well before the picture, and players then count from there.
        zero = int(ticks[0]) if begin is None else round(Fraction(begin, 1_000_000) / unit)
        zero = zero if ticks[0] - zero > last else int(ticks[0])
        if decoder is not self._idle:
            decoder.close()
        return Times(ticks - zero, unit, end - zero, "stamps", self._rate.notes)

    def _count(self) -> int:
        if self._by_packets and missing_bytes(self.path) == 0 and self._scan().complete:
            return len(self._scan())
        return self._count_frames()

    def _count_frames(self) -> int:
        count = 0
        for number, _ in self._decoded(0, None):
            count = number + 1
        return count

    def _decoded(self, start: int, stop: int | None) -> Iterator[tuple[int, VideoFrame]]:
        """(number, frame) of the frames [start, stop)."""
        decoder = self._decoder_before(start)
        try:
            while stop is None or decoder.position < stop:
                number = decoder.position
                try:
                    frame = self._next(decoder, start)
                except Suspicious:
                    decoder.close()
                    decoder = self._alone(number)
                    continue
                except IndexContradicted:
                    # Nothing was handed out on the index's word, so the frames can still be counted.
                    decoder.close()
                    decoder = self._fresh()
                    continue
                if frame is None:
                    self._check_end(number, start, stop)
                    return
                if number >= start:
                    if decoder.sought and self._index is not None:
                        self._index.served = True
                    yield number, frame
        except BaseException as error:
            if not isinstance(error, GeneratorExit):
                decoder.close()
            raise
        finally:
            self._keep(decoder)

    def _next(self, decoder: Decoder, start: int) -> VideoFrame | None:
        """The decoder's next frame, compared with the index; None at the end of the stream."""
        number = decoder.position
        try:
            frame = decoder.next()
        except VideoError:
            if decoder.sought and number <= start:
                raise IndexContradicted from None  # the key frame may have been no place to begin at
            raise
        if decoder.relearns and self._index is not None:
            self._index.from_start = True
        if frame is not None:
            self._record(decoder, number, frame)
        return frame

    def _alone(self, number: int) -> Decoder:
        """A decoder of one thread at frame `number`, from the start: what several report as damage may be none.

        Raises:
            VideoError: before frame `number` one thread finds damage, too.
        """
        self._facts.alone = True
        decoder = self._fresh()
        try:
            while decoder.position < number and decoder.next() is not None:
                pass
        except BaseException:
            decoder.close()
            raise
        return decoder

    def _record(self, decoder: Decoder, number: int, frame: VideoFrame) -> None:
        """Compare the frame with the index, or add it.

        Raises:
            IndexContradicted: the decoder came here by an index that is wrong, and is replaced now.
        """
        if self._index is None:
            return
        try:
            self._index.record(number, frame.pts, bool(frame.key_frame))
        except IndexContradicted:
            if self._index.served:
                raise VideoError(
                    f"{self.name}: frame {number} has another time stamp than its packets announce, so that "
                    "frames cannot be told apart; re-encode the video"
                ) from None
            self._index = self._facts.index = self._index.successor()
            if decoder.sought:
                raise

    def _check_end(self, count: int, start: int, stop: int | None) -> None:
        """The stream has ended after `count` frames: is it whole, and was more asked for?"""
        self._refuse_cut(count)
        expected = self.info.frames
        if expected is None and self._index is not None and self._index.complete:
            expected = len(self._index)
        if expected is not None and count < expected:
            raise VideoError(f"{self.name}: is truncated or corrupt, frame {count} of {expected} is missing")
        if not count:
            raise VideoError(f"{self.name}: holds no frames")
        if self._index is not None and self._index.seekable and len(self._index) == count:
            self._index.complete = True
        if start > count or (stop is not None and stop > count):
            raise self._too_short(count, start, stop)

    def _refuse_cut(self, count: int) -> None:
        if lacking := missing_bytes(self.path):
            raise VideoError(
                f"{self.name}: is truncated, {lacking} bytes or more are missing at its end and the frames from "
                f"{count} on with them; copy it again"
            )

    def _decoder_before(self, start: int) -> Decoder:
        """A decoder at frame `start` or before it: the idle one, moved where that pays, or a new one."""
        if self._closed:
            raise VideoError(f"{self.name}: was closed; open it again")
        decoder, self._idle = self._idle or self._fresh(), None
        if 0 <= start - decoder.position <= _FORWARD_FRAMES:
            return decoder
        key = self._scan().key_before(start) if self._seek and start > _FORWARD_FRAMES else None
        if decoder.position <= start and (key is None or key <= decoder.position):
            return decoder
        if key and decoder.seek(self._scan(), key):
            return decoder
        decoder.close()
        return self._fresh()

    def _scan(self) -> FrameIndex:
        """The index: read off the packets where the codec allows, else what has been decoded so far."""
        if self._index is None:
            self._index = self._facts.index
        if self._index is None:
            with closing(self._fresh()) as scanner:
                index = index_packets(scanner.container, scanner.stream)
            self._index = self._facts.index = FrameIndex() if index is None else index
        elif self._joinable and not self._by_packets and not self._facts.looked:
            with closing(self._fresh()) as scanner:
                self._index.from_start |= restarts(scanner.container, scanner.stream)
        self._facts.looked = True
        return self._index

    def _fresh(self) -> Decoder:
        return Decoder(self.path, self.name, 1 if self._facts.alone else self.threads)

    def _keep(self, decoder: Decoder) -> None:
        """Let the next read go on from there."""
        if decoder.closed or self._closed or self._idle:
            decoder.close()
        else:
            self._idle = decoder


def _prepare_allocator(frame_bytes: int) -> None:
    """Let freed frames be used again: glibc maps and unmaps each until a larger block was freed once.

    Measured on 1280 x 720: 1.8 instead of 2.7 ms a frame. Programs that ever freed such a block gain nothing.
    """
    np.empty(min(4 * frame_bytes, _GLIBC_LARGEST), np.uint8)
