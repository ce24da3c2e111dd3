"""A recording kept as image files, one a frame: PNG, JPEG or TIFF, 8 or 16 bit, grey or RGB."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from stat import S_ISREG

import numpy as np

from vidsuite_core.media.base import MAX_FRAME_PIXELS, Video, VideoError, VideoInfo, View
from vidsuite_core.media.formats import HEAD, seen
from vidsuite_core.media.tags import directory, exif_turn
from vidsuite_core.media.turn import Turn
from vidsuite_core.support.litter import entries
from vidsuite_core.support.text import natural

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
"""What frames' files are recognised by in a folder, in lower case."""

_MAX_FILE_BYTES = 8 * MAX_FRAME_PIXELS
"""Enough for the largest frame uncompressed in 16-bit RGB, and its header."""

_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""The start-of-frame markers, which hold the size (ITU-T T.81, table B.1)."""


class ImageVideo(Video):
    """Image files in the order given, all of one size and type; none is read before it is asked for."""

    def __init__(self, files: Sequence[Path]) -> None:
        if not files:
            raise VideoError("the list of image files is empty; a video needs one file a frame")
        self.files = files
        super().__init__(f"{Path(files[0]).parent} ({len(files)} image files)", None)

    def close(self) -> None:
        """Does nothing: no file is kept open."""

    def _known(self) -> int:
        return len(self.files)

    def _count(self) -> int:
        return len(self.files)

    def _look(self) -> VideoInfo:
        return replace(self._described(read_image(Path(self.files[0]))), notes=self._notes())

    def _described(self, image: np.ndarray) -> VideoInfo:
        return VideoInfo(
            frames=len(self.files),
            fps=0.0,
            width=image.shape[1],
            height=image.shape[0],
            channels=1 if image.shape[2] == 1 else 3,
            dtype="uint8" if image.itemsize == 1 else "uint16",
        )

    def _notes(self) -> tuple[str, ...]:
        with Path(self.files[0]).open("rb") as file:
            turn = exif_turn(file.read(2**20))
        return (f"{turn}, as the first image's tags say",) if turn else ()

    def _views(self, start: int, stop: int | None) -> Generator[View]:
        for number in range(start, len(self.files) if stop is None else stop):
            file = Path(self.files[number])
            image = read_image(file)
            found = self._described(image)
            if self._info is None:
                self._info = replace(found, notes=self._notes())
            if (found.shape, found.dtype) != (self._info.shape, self._info.dtype):
                raise VideoError(
                    f"{file}: frame {number} is {_describe(found)}, another one {_describe(self._info)}; all must agree"
                )
            yield image, True


def image_files(folder: Path) -> list[Path]:
    """The frames in a folder: files with one of `SUFFIXES`, in upper or lower case, as people count ("2" before "10").

    What operating systems leave there is passed over.

    Raises:
        OSError: the folder cannot be read.
    """
    found = [path for path in entries(folder) if path.suffix.lower() in SUFFIXES and path.is_file()]
    return sorted(found, key=lambda path: natural(path.name))  # entries are in order, which decides between equals


def read_image(file: Path) -> np.ndarray:
    """An image file as (H, W, C), upright as its tags say: grey (C = 1) or RGB (C = 3), uint8 or uint16, without alpha.

    Raises:
        VideoError: the file is missing, damaged, too large, or no PNG, JPEG or TIFF of 8 or 16 bits.
    """
    import cv2

    data = _read(file)
    width, height = _size(file, data)
    if not 0 < width * height <= MAX_FRAME_PIXELS:
        raise VideoError(f"{file}: {width} x {height} pixels; 1 to {MAX_FRAME_PIXELS} pixels can be read")
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise VideoError(f"{file}: cannot be decoded; it is truncated or corrupt, so copy it again")
    if image.dtype not in (np.uint8, np.uint16):
        raise VideoError(f"{file}: has {image.dtype} pixels; 8 and 16 bit can be read")
    turn = Turn() if data[:2] in (b"II", b"MM") else exif_turn(data)  # OpenCV turns TIFF itself, and nothing else
    if image.ndim == 2:
        return np.ascontiguousarray(turn(image[..., None])) if turn else image[..., None]
    if image.shape[2] not in (3, 4):
        raise VideoError(f"{file}: has {image.shape[2]} channels; grey, RGB and RGB with alpha can be read")
    return np.ascontiguousarray(turn(image[..., 2::-1]))


def _read(file: Path) -> bytes:
    try:
        status = file.stat()
        if not S_ISREG(status.st_mode):
            raise VideoError(f"{file}: is no plain file")  # a pipe would be waited for without end
        if status.st_size > _MAX_FILE_BYTES:
            raise VideoError(f"{file}: is larger than {_MAX_FILE_BYTES} bytes, so no frame that can be read")
        return file.read_bytes()
    except OSError as error:
        raise VideoError(f"{file}: cannot be read ({error.strerror})") from error


def _size(file: Path, data: bytes) -> tuple[int, int]:
    """(width, height) by the header, so that a small file cannot unfold into a huge image."""
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
        if data.startswith(b"\xff\xd8"):
            return _jpeg_size(data)
        if data[:4] in (b"II*\0", b"MM\0*"):
            return _tiff_size(data)
    except (IndexError, KeyError, ValueError) as error:
        raise VideoError(f"{file}: has a broken header; it is truncated or corrupt, so copy it again") from error
    raise VideoError(f"{file}: is not a PNG, JPEG or TIFF image, but {seen(data[:HEAD])}")


def _jpeg_size(data: bytes) -> tuple[int, int]:
    place = 2
    while data[place] != 0xFF or data[place + 1] not in _JPEG_SIZES:
        padding = data[place + 1] == 0xFF
        place += 1 if padding else 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    # Some decoders fill what a cut file lacks with grey, so the end marker must be there.
    data.rindex(b"\xff\xd9", place)
    return int.from_bytes(data[place + 7 : place + 9], "big"), int.from_bytes(data[place + 5 : place + 7], "big")


def _tiff_size(data: bytes) -> tuple[int, int]:
    tags = directory(data)
    return tags[256], tags[257]  # ImageWidth and ImageLength


def _describe(info: VideoInfo) -> str:
    return f"{info.width} x {info.height} pixels of {info.channels} channels {info.dtype}"
