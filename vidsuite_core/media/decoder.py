"""One open video file and its decoder, and the way from decoded frames to arrays."""

from __future__ import annotations

import zlib
from collections.abc import Generator, Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vidsuite_core.media.base import MAX_FRAME_PIXELS, VideoError, View
from vidsuite_core.media.formats import CONTAINERS, coded_as, seen_in
from vidsuite_core.media.index import FrameIndex, lessons_of, one_frame_per_packet

if TYPE_CHECKING:
    from av import Packet
    from av.container import InputContainer
    from av.packet import PacketSideData
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# Files come from strangers: no play lists, scripts or image patterns that would open other files or addresses.
_OPEN_OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": "apng,asf,av1,avi,dv,flv,gif,h264,hevc,ivf,m4v,matroska,mjpeg,mov,mpeg,mpegts,"
    "mpegvideo,mxf,nut,obu,ogg,rm,webm,wtv,yuv4mpegpipe",
}
_LIMITS = {"max_pixels": str(MAX_FRAME_PIXELS)}
# FFmpeg conceals damage by default, with grey or repeated blocks.
_STRICT = _LIMITS | {"err_detect": "crccheck+bitstream+buffer+explode"}
# These mark the frames that they conceal, and must bear the references that lack where decoding begins.
_MARKING = ("h264", "hevc")

_SMALL_PIXELS = 2**16
"""Frames below this (256 x 256) are decoded by one thread: a second one costs more than it gives."""


_JOINT = 4
"""A joint of two transport streams lies within so many packets of the one that is marked as damaged there."""


class Suspicious(VideoError):
    """Damage that several decoder threads report; one thread may find none, as is known of field-coded H.264."""


class Decoder:
    """An open file, decoded from its start; `position` is the number of the frame that `next` gives.

    Attributes:
        threads: how many decode it.
        sought: whether `seek` brought it where it is, so that `position` rests on an index.
        relearns: whether a packet after the first one has changed how those after it are decoded, as a palette does,
            so that nothing that is sought behind it would be right.
    """

    def __init__(self, path: Path, name: str, threads: int) -> None:
        self.name = name
        self.position = 0
        self.sought = False
        self.relearns = False
        self.closed = False
        self.container = _open(path, name)
        self.stream = _video_stream(self.container, path, name)
        self.codec = self.stream.codec_context.name
        self.stream.codec_context.options = _LIMITS if self.codec in _MARKING else _STRICT
        small = self.stream.codec_context.width * self.stream.codec_context.height < _SMALL_PIXELS
        self.threads = 1 if small else threads
        self.stream.codec_context.thread_count = self.threads
        self.stream.codec_context.thread_type = "AUTO"
        self._lessons: list[PacketSideData] | None = None
        self._first: VideoFrame | None = None
        self._frames = self._from_start()

    def close(self) -> None:
        """Release the file; to be called again does no harm."""
        self.closed = True
        self._frames.close()
        self.container.close()

    def next(self) -> VideoFrame | None:
        """The next frame; None at the end of the stream."""
        frame, self._first = self._first or next(self._frames, None), None
        if frame is not None:
            self.position += 1
        return frame

    def pixel_format(self) -> str | None:
        """FFmpeg's name of the pixel format, by the first frame where the header does not tell; None without frames."""
        stated = self.stream.codec_context.pix_fmt
        if stated:
            return stated
        first = self.first()
        return first.format.name if first else None

    def first(self) -> VideoFrame | None:
        """The first frame, which `next` will give all the same; None without frames."""
        self._first = self._first or next(self._frames, None)
        return self._first

    def seek(self, index: FrameIndex, key: int) -> bool:
        """Go to key frame `key` or an earlier one; False, and of no more use, where that fails."""
        self._first = None
        self._frames.close()
        if self._lessons is None:
            next(self._packets(), None)  # what the first one teaches is needed anywhere
        # Containers that seek by decoding time may land just behind the key frame, so aim before it then.
        for aim in (key, index.key_before(key - 1)):
            landed = None if aim is None else self._key_packet_from(index.pts[aim])
            if landed is None or landed.pts is None:
                continue
            number = index.number_of(landed.pts)
            if number is not None and number <= key:
                known = {lesson.data_type for lesson in lessons_of(landed)}
                for lesson in self._lessons or ():
                    if lesson.data_type not in known:
                        landed.set_sidedata(lesson)
                self.position, self.sought = number, True
                self._frames = self._from_key(landed)
                return True
        return False

    def _key_packet_from(self, pts: int) -> Packet[VideoStream] | None:
        import av

        try:
            self.container.seek(pts, stream=self.stream)
            return next((packet for packet in self._packets() if packet.is_keyframe), None)
        except (av.FFmpegError, VideoError):
            return None

    def _from_start(self) -> Generator[VideoFrame]:
        sent, first_pts, countable = 0, None, one_frame_per_packet(self.stream)
        for packet in self._packets():
            if not sent:
                first_pts, countable = packet.pts, countable and packet.is_keyframe
            # A decoder may drop pictures that are shown before the first key frame.
            if packet.pts is None or first_pts is None or packet.pts < first_pts:
                countable = False
            sent += not packet.is_discard
            yield from self._decode(packet)
        yield from self._decode(None)
        if countable and self.position < sent:
            raise self._suspicion(f"{sent} packets gave {self.position} frames")

    def _from_key(self, landed: Packet[VideoStream]) -> Generator[VideoFrame]:
        yield from self._decode(landed)
        for packet in self._packets():
            # Pictures that are shown before the key frame refer to frames that were not decoded.
            if packet.pts is None or landed.pts is None or packet.pts >= landed.pts:
                yield from self._decode(packet)
        yield from self._decode(None)

    def _packets(self) -> Iterator[Packet[VideoStream]]:
        demuxed, checked = self._demuxed(), self.codec == "ffv1"
        joined: list[Packet[VideoStream]] = []
        while packet := joined.pop(0) if joined else next(demuxed, None):
            if packet.is_corrupt:
                joined = list(islice(demuxed, _JOINT))
                if not self._is_joint([packet, *joined]):
                    raise self._fault("a packet is damaged or cut short")
            elif checked and _has_wrong_checksum(bytes(packet)):
                raise self._fault("a packet is damaged or cut short")
            self._learn(packet)
            yield packet

    def _demuxed(self) -> Iterator[Packet[VideoStream]]:
        import av

        packets = self.container.demux(self.stream)
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError as error:
                raise self._fault(str(error.strerror).lower()) from error
            if packet is None:
                return
            if packet.size:
                yield packet

    def _is_joint(self, packets: Sequence[Packet[VideoStream]]) -> bool:
        """Whether two transport streams were joined end to end here, which their demuxer takes for damage.

        Then time begins anew, with a key frame, and no other packet is marked.
        """
        if self.container.format.name != "mpegts" or any(packet.is_corrupt for packet in packets[1:]):
            return False
        return any(
            late.is_keyframe and late.dts is not None and early.dts is not None and late.dts < early.dts
            for early, late in pairwise(packets)
        )

    def _learn(self, packet: Packet[VideoStream]) -> None:
        lessons = lessons_of(packet)
        if self._lessons is None:
            self._lessons = lessons
        elif lessons and not self.sought:
            self.relearns = True

    def _decode(self, packet: Packet[VideoStream] | None) -> Iterator[VideoFrame]:
        """The frames that the decoder gives for a packet; its last ones for None."""
        import av

        try:
            frames = self.stream.decode(packet)
        except av.FFmpegError as error:
            raise self._suspicion(str(error.strerror).lower()) from error
        for frame in frames:
            if self._is_damaged(frame):
                raise self._suspicion("the decoder reports damage")
            yield frame

    def _is_damaged(self, frame: VideoFrame) -> bool:
        return frame.is_corrupt

    def _suspicion(self, reason: str) -> VideoError:
        """Damage by the decoder's word, which is to be taken only where one thread decodes."""
        fault = self._fault(reason)
        return Suspicious(str(fault)) if self.threads > 1 else fault

    def _fault(self, reason: str) -> VideoError:
        return VideoError(
            f"{self.name}: cannot be decoded from about frame {self.position} on ({reason}); "
            "it is truncated or corrupt, so copy or re-encode it"
        )


_REVERSED_BITS = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


def _has_wrong_checksum(packet: bytes) -> bool:
    """Whether an FFV1 packet has slice checksums and one is wrong; FFmpeg would conceal the slice.

    A slice ends in its size (24 bits), a status (8) and a checksum (32) that makes the CRC of the
    whole slice 0 (RFC 9043, section 4.9). Without checksums the chain of sizes does not fit.
    """
    end, slices = len(packet), []
    while end > 0:
        start = end - 8 - int.from_bytes(packet[end - 8 : end - 5], "big")
        if start < 0:
            return False
        slices.append(packet[start:end])
        end = start
    # zlib's CRC runs from the low bit and inverts at both ends.
    return any(zlib.crc32(part.translate(_REVERSED_BITS), 0xFFFFFFFF) != 0xFFFFFFFF for part in slices)


def _open(path: Path, name: str) -> InputContainer:
    import av

    if path.is_dir():
        raise VideoError(f"{name}: is a folder; give the list of its image files")
    if not path.exists():
        raise VideoError(f"{name}: no such file")
    if not path.is_file():
        raise VideoError(f"{name}: is no plain file")  # a pipe would be waited for without end
    try:
        bare = "mjpeg" if _begins_as_jpeg(path) else None  # FFmpeg would look for a sequence of files
        return av.open(str(path), format=bare, options=_OPEN_OPTIONS, metadata_errors="replace")
    except (av.error.InvalidDataError, av.error.ArgumentError) as error:
        raise VideoError(f"{name}: {_unreadable(path)}") from error
    except EOFError as error:
        known = seen_in(path) in CONTAINERS  # small files of any kind end before FFmpeg has made up its mind
        raise VideoError(f"{name}: {'holds no frames, only a header' if known else _unreadable(path)}") from error
    except (av.FFmpegError, OSError) as error:
        raise VideoError(f"{name}: cannot be opened ({error.strerror})") from error


def _begins_as_jpeg(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(3) == b"\xff\xd8\xff"


def _unreadable(path: Path) -> str:
    """Why a file that FFmpeg takes for no video cannot be read, by what its first bytes say."""
    found = seen_in(path)
    if found in CONTAINERS:
        return f"is {found} by its first bytes, but its header is damaged or lost to a cut; copy it again"
    return f"is not a video that can be read: it is {found}; give an MP4, AVI, MKV, MPEG, ... file"


def _video_stream(container: InputContainer, path: Path, name: str) -> VideoStream:
    from av.stream import Disposition

    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            if stream.codec_context is None:
                coding = coded_as(path) or "something"
                raise VideoError(f"{name}: is coded as {coding}, for which FFmpeg has no decoder here; re-encode it")
            return stream
    raise VideoError(f"{name}: has no video stream")


Layout = tuple[str, Literal[1, 3], Literal["uint8", "uint16"]]


def layout(pixel_format: str, name: str) -> Layout:
    """What frames of FFmpeg's `pixel_format` become: (pixel format to convert to, channels, dtype).

    Grey stays grey with the stored values; RGB of more than 8 bits becomes 16 bits a sample; all
    else, YUV of any depth included, becomes 8-bit RGB by the colour space that the stream states.
    """
    from av import VideoFormat

    described = VideoFormat(pixel_format)
    bits = max(component.bits for component in described.components)
    if bits > 16 or "f16" in pixel_format:
        raise VideoError(f"{name}: stores {pixel_format} samples, which are not integers of up to 16 bits")
    if pixel_format.startswith("gray"):
        return pixel_format, 1, "uint8" if bits == 8 else "uint16"
    if pixel_format.startswith(("ya8", "ya16", "mono")):
        return ("gray", 1, "uint8") if bits <= 8 else ("gray16le", 1, "uint16")
    if described.is_rgb and bits > 8:
        return "rgb48le", 3, "uint16"
    return "rgb24", 3, "uint8"


class Converter:
    """From decoded frames to arrays (H, W, C); one conversion context for a run of frames."""

    def __init__(self, pixel_format: str) -> None:
        from av.video.reformatter import VideoReformatter

        self.pixel_format = pixel_format
        self._reformatter = VideoReformatter()

    def __call__(self, frame: VideoFrame) -> View:
        """The frame's pixels, and whether they are a copy: else they lie in the decoder's memory."""
        converted = frame.format.name != self.pixel_format
        if converted:
            frame = self._reformatter.reformat(frame, format=self.pixel_format, threads=1)
        pixels = frame.to_ndarray()
        return pixels if pixels.ndim == 3 else pixels[..., None], converted
