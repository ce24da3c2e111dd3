"""A recording's frames looked at once, when it is brought in: are they whole, does seeking find them, what are they.

Another version of a decoder may give other pixels, and has cost published results points. So a few frames' hashes are
kept with a recording and compared later (`differing_frames`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vidsuite_core.media.base import Video, VideoError
from vidsuite_core.media.file import FileVideo

if TYPE_CHECKING:
    from vidsuite_core.media import Source
    from vidsuite_core.samples import Recording

HASHED = 5
"""So many frames' hashes are kept."""

Hashes = Mapping[int, str]
"""sha256 (hex) of the pixels of frames, by number."""


@dataclass(frozen=True)
class Examined:
    """What decoding a recording from start to end has shown.

    Attributes:
        hashes: of `HASHED` of its frames, first and last among them.
        seeks: whether seeks find the frames that decoding in order gives; else open it with `seek=False`.
    """

    hashes: Hashes
    seeks: bool


def examine(video: Video, start: int, stop: int, decoded: Callable[[int], object] = lambda _: None) -> Examined:
    """Decode the frames [start, stop) in order, each of which must be whole, and look for some of them by seeks.

    Args:
        decoded: called with the number of each frame that is done.

    Raises:
        VideoError: a frame is missing or damaged.
    """
    chosen, hashes = set(_spread(start, stop)), {}
    for number, frame in enumerate(video.frames(start, stop), start):
        if number in chosen:
            hashes[number] = _hash(frame)
        decoded(number)
    return Examined(hashes, not isinstance(video, FileVideo) or _seeks_find(video, hashes))


def frame_hashes(source: Source, start: int = 0, stop: int | None = None) -> dict[int, str]:
    """The hashes of `HASHED` frames of [start, stop), spread evenly.

    Raises:
        VideoError: one of them is missing or damaged.
    """
    from vidsuite_core.media import open_video

    with open_video(source) as video:
        return _hashes(video, _spread(start, video.count() if stop is None else stop))


def differing_frames(source: Source, recorded: Hashes, *, seek: bool = True) -> list[int]:
    """The numbers of the frames whose pixels are not those that were recorded.

    Raises:
        VideoError: one of them is missing or damaged.
    """
    from vidsuite_core.media import open_video

    with open_video(source, seek=seek) as video:
        return [number for number, found in _hashes(video, sorted(recorded)).items() if found != recorded[number]]


def decoding_change(source: Source, recorded: Hashes, decoder: str, *, seek: bool = True) -> str | None:
    """What to tell where frames decode to other pixels than when they were recorded by `decoder`; None where not."""
    try:
        changed = differing_frames(source, recorded, seek=seek)
    except VideoError as error:
        return str(error)
    if not changed:
        return None
    here = decoder_version()
    cause = f"it was {decoder}, here it is {here}" if decoder != here else "by the same software, on another processor"
    return (
        f"{len(changed)} of {len(recorded)} frames decode to other pixels than when they were recorded, so scores may "
        f"differ; {cause}"
    )


def decoder_version() -> str:
    """What decodes here, as "PyAV 18.1.0, libavcodec 62.28.102, libswscale 9.5.102, OpenCV 5.0.0"."""
    import av
    import cv2

    libraries = {name: ".".join(map(str, av.library_versions[name])) for name in ("libavcodec", "libswscale")}
    versions = {"PyAV": av.__version__, **libraries, "OpenCV": cv2.__version__}
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def decoded_frames(recordings: Sequence[Recording]) -> dict[str, Any]:
    """What decoded a few recordings here and to what: `decoder`, and in `frames` hashes by "recording#frame".

    The first, the middle and the last recording of those that are given stand for all, two frames of each.
    """
    from vidsuite_core.media import open_video

    distinct = list(dict.fromkeys(recordings))
    frames = {}
    for recording in dict.fromkeys((distinct[0], distinct[len(distinct) // 2], distinct[-1])):
        numbers = [recording.first + n for n in sorted({0, recording.frames - 1})]
        # A frame that no sample shows may be damaged.
        with (
            suppress(VideoError),
            open_video(recording.planes[len(recording.planes) // 2], seek=recording.seek) as video,
        ):
            for number, found in _hashes(video, numbers).items():
                frames[f"{recording.name}#{number - recording.first}"] = found
    return {"decoder": decoder_version(), "frames": frames}


def _spread(start: int, stop: int) -> list[int]:
    """Up to `HASHED` different numbers of [start, stop), both ends among them."""
    last = stop - 1
    if last < start:
        return []
    return sorted({start + round(place * (last - start) / (HASHED - 1)) for place in range(HASHED)})


def _hashes(video: Video, numbers: Iterable[int]) -> dict[int, str]:
    return {number: _hash(next(iter(video.frames(number, number + 1)))) for number in numbers}


def _hash(frame: np.ndarray) -> str:
    return hashlib.sha256(f"{frame.dtype.name} {frame.shape}".encode() + frame.tobytes()).hexdigest()


def _seeks_find(video: FileVideo, hashes: Hashes) -> bool:
    """Whether a video that is opened anew, and its frames sought last first, gives the same."""
    try:
        with FileVideo(Path(video.path), video.threads) as again:
            return all(_hash(again.read(number, number + 1)[0]) == hashes[number] for number in sorted(hashes)[::-1])
    except VideoError:  # in order, all of it was decoded
        return False
