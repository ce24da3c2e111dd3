"""The one place that decodes: video files (PyAV), lists of image files and frames in memory behind one reader.

    with open_video(path) as video:
        clip = video.read(10, 70)  # (60, H, W, C)

Files come from strangers, so sizes are bounded (`MAX_FRAME_PIXELS`, `MAX_READ_BYTES`), a file can
make no other be opened, and damage raises `VideoError` instead of giving concealed or missing
frames. What still decodes after a bit flip cannot be told; `content_hash` can.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from vidsuite_core.media.base import MAX_FRAME_PIXELS, MAX_READ_BYTES, Video, VideoError, VideoInfo
from vidsuite_core.media.encode import write_video
from vidsuite_core.media.examine import (
    Examined,
    decoded_frames,
    decoder_version,
    decoding_change,
    differing_frames,
    examine,
    frame_hashes,
)
from vidsuite_core.media.file import FileVideo
from vidsuite_core.media.images import ImageVideo
from vidsuite_core.media.times import Times, frames_between, last_second, resample

__all__ = [
    "MAX_FRAME_PIXELS",
    "MAX_READ_BYTES",
    "Examined",
    "Times",
    "Video",
    "VideoError",
    "VideoInfo",
    "content_hash",
    "count_frames",
    "decoded_frames",
    "decoder_version",
    "decoding_change",
    "differing_frames",
    "examine",
    "frame_hashes",
    "frames_between",
    "last_second",
    "open_video",
    "probe",
    "resample",
    "write_video",
]

Source: TypeAlias = "Path | str | Sequence[Path] | np.ndarray"
"""A video file, a recording's frames in order as image files, or frames in memory (T, H, W, C)."""


def open_video(source: Source, threads: int = 2, *, seek: bool = True) -> Video:
    """Open a video file, or image files or an array as a video; use it in a `with` statement.

    Args:
        source: a video file, the image files (PNG, JPEG, TIFF) of its frames in order, of which none is read yet, or
            an array of frames, uint8 or uint16 (T, H, W, 1 or 3).
        threads: how many threads of its own the decoder of a video file may use.
        seek: False reaches every frame of a video file by decoding all before it; for the rare ones of which `examine`
            says that seeks find other frames.

    Raises:
        VideoError: the file is missing, no video, or its first frame is damaged; a list without files; another array.
    """
    if not isinstance(source, str | Path | Sequence):
        from vidsuite_core.media.memory import MemoryVideo

        return MemoryVideo(source)
    if isinstance(source, str | Path):
        return FileVideo(Path(source), threads, seek=seek)
    return ImageVideo(source)


def probe(source: Source) -> VideoInfo:
    """What the frames look like, from the header or at most the first frame."""
    with open_video(source) as video:
        return video.info


def count_frames(source: Source) -> int:
    """The exact number of frames, as decoding gives them.

    From the container's table where that is right, else from the packets, else by decoding all.

    Raises:
        VideoError: the file is truncated or corrupt as far as the way of counting shows.
    """
    with open_video(source) as video:
        return video.count()


def content_hash(source: Path | str | Sequence[Path]) -> str:
    """sha256 (hex) of a file's bytes; of a list, of the files' names in order and their bytes."""
    if isinstance(source, str | Path):
        return _hash_file(Path(source)).hexdigest()
    whole = hashlib.sha256()
    for file in source:
        whole.update(Path(file).name.encode() + b"\0" + _hash_file(Path(file)).digest())
    return whole.hexdigest()


def _hash_file(file: Path) -> hashlib._Hash:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256")
    except OSError as error:
        raise VideoError(f"{file}: cannot be read ({error.strerror})") from error
