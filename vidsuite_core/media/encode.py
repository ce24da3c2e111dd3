"""Writing frames as a video file that is the same, byte for byte, whenever the frames are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, cast

import numpy as np

from vidsuite_core.media.base import MAX_FRAME_PIXELS, VideoError
from vidsuite_core.support.paths import atomic_write

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

MAX_RATE = 10_000
"""Frames per second: no camera that writes video files is faster."""
_BT601 = 6
"""AVCOL_SPC_SMPTE170M: the matrix that the conversion from RGB uses, stated so that players do not guess another."""

_CONTAINERS = {".mp4": "mp4", ".mkv": "matroska"}


@dataclass(frozen=True)
class _Coding:
    """How frames of one kind are stored: FFmpeg's encoder, its options, and the pixel formats."""

    encoder: str
    stored: str
    given: str
    options: dict[str, str]
    suffixes: tuple[str, ...]


def write_video(
    path: Path, frames: Iterable[np.ndarray], fps: float, codec: Literal["h264", "ffv1"] = "h264", crf: int = 18
) -> None:
    """Write frames to `path`, which appears when all are written; the same frames give the same bytes.

    Args:
        path: `.mp4` or `.mkv` for h264, `.mkv` for ffv1; replaced where it exists.
        frames: (H, W), (H, W, 1) or (H, W, 3) RGB, all alike: uint8, or uint16 grey for ffv1.
        fps: frames per second.
        codec: "h264" (lossy, colour halved in size; grey is read back as RGB; even sizes only) or
            "ffv1" (lossless; grey is read back as grey).
        crf: quality of h264, 0 (best) to 51; unused for ffv1.

    Raises:
        VideoError: there are no frames, they differ in size or type, or the codec cannot hold them.
    """
    path = Path(path)
    if not 0 < fps <= MAX_RATE:
        raise VideoError(f"{path}: {fps} frames per second; give a positive rate, up to {MAX_RATE}")
    upcoming = iter(frames)
    first = next(upcoming, None)
    if first is None:
        raise VideoError(f"{path}: there are no frames to write")
    coding = _coding(path, first, codec, crf)
    images = _alike(path, chain([first], upcoming))
    atomic_write(path, lambda file: _encode(file, images, Fraction(fps).limit_denominator(100_000), coding, path))


def _coding(path: Path, first: np.ndarray, codec: str, crf: int) -> _Coding:
    kind = (str(first.dtype), first.shape[2] if first.ndim == 3 else 1)
    height, width = first.shape[:2] if first.ndim in (2, 3) else (0, 0)
    if not 0 < height * width <= MAX_FRAME_PIXELS:
        raise VideoError(f"{path}: frames of shape {first.shape}; give (H, W), (H, W, 1) or (H, W, 3)")
    given = {("uint8", 1): "gray", ("uint8", 3): "rgb24", ("uint16", 1): "gray16le"}.get(kind)
    if codec == "h264" and given in ("gray", "rgb24"):
        if height % 2 or width % 2:
            raise VideoError(f"{path}: h264 needs even sizes, not {width} x {height}; crop the frames or use ffv1")
        # Without mbtree, whose vector code reads uninitialised memory and so gives other bytes now and then.
        options = {"crf": str(crf), "preset": "medium", "mbtree": "0"}
        coding = _Coding("libx264", "yuv420p", given, options, (".mp4", ".mkv"))
    elif codec == "ffv1" and given:
        # Every frame a key frame, with a checksum a slice: exact seeks, and damage is noticed.
        options = {"level": "3", "slicecrc": "1", "g": "1"}
        coding = _Coding("ffv1", "bgr0" if given == "rgb24" else given, given, options, (".mkv",))
    else:
        raise VideoError(f"{path}: {codec} cannot hold frames of {kind[0]} with {kind[1]} channels; see write_video")
    if path.suffix.lower() not in coding.suffixes:
        raise VideoError(f"{path}: {codec} is written to {' or '.join(coding.suffixes)}; change the file's name")
    return coding


def _alike(path: Path, frames: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """The frames as contiguous (H, W) or (H, W, 3), checked to be of one shape and type."""
    shape, dtype = None, None
    for number, frame in enumerate(frames):
        shape, dtype = shape or frame.shape, dtype or frame.dtype
        if (frame.shape, frame.dtype) != (shape, dtype):
            raise VideoError(
                f"{path}: frame {number} is {frame.shape} {frame.dtype}, the first {shape} {dtype}; all must agree"
            )
        squeezed = frame[..., 0] if frame.ndim == 3 and frame.shape[2] == 1 else frame
        yield np.ascontiguousarray(squeezed)


def _encode(file: BinaryIO, images: Iterator[np.ndarray], fps: Fraction, coding: _Coding, path: Path) -> None:
    import av

    with av.open(file, "w", format=_CONTAINERS[path.suffix.lower()], options={"fflags": "bitexact"}) as container:
        stream = cast("VideoStream", container.add_stream(coding.encoder, rate=fps, options=coding.options))
        for number, frame in enumerate(_converted(images, coding)):
            if not number:
                _configure(stream, frame, fps)
            frame.pts, frame.time_base = number, 1 / fps
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _configure(stream: VideoStream, frame: VideoFrame, fps: Fraction) -> None:
    from av.codec.context import Flags
    from av.video.reformatter import ColorRange

    context = stream.codec_context
    context.width, context.height, context.pix_fmt = frame.width, frame.height, frame.format.name
    context.time_base = 1 / fps
    context.flags |= Flags.bitexact
    # What is written depends on the number of threads.
    context.thread_count = 1
    if frame.format.name == "yuv420p":
        context.colorspace, context.color_range = _BT601, ColorRange.MPEG


def _converted(images: Iterator[np.ndarray], coding: _Coding) -> Iterator[VideoFrame]:
    """The images in the encoder's pixel format, rounded alike on all processors."""
    from av import VideoFrame
    from av.video.reformatter import Interpolation, VideoReformatter

    reformatter = VideoReformatter()
    exact = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
    for image in images:
        frame = VideoFrame.from_ndarray(image, format=coding.given)
        yield reformatter.reformat(frame, format=coding.stored, interpolation=exact, threads=1)
