"""What image files say in tags: the directory of TIFF 6.0, which Exif puts into JPEG and PNG as well."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from vidsuite_core.media.turn import Turn, turn_of_tags

_SHORT, _LONG = 3, 4


def directory(data: bytes) -> dict[int, int]:
    """The SHORT and LONG values of a TIFF's first directory, by tag; of several values the first.

    Raises:
        IndexError, ValueError: it is broken or cut short.
    """
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
    begin = int.from_bytes(data[4:8], order)
    entries = int.from_bytes(data[begin : begin + 2], order)
    if begin + 2 + 12 * entries > len(data):
        raise ValueError("the directory is cut short")
    values = {}
    for place in range(begin + 2, begin + 2 + 12 * entries, 12):
        tag, kind = (int.from_bytes(data[at : at + 2], order) for at in (place, place + 2))
        if kind in (_SHORT, _LONG):
            values[tag] = int.from_bytes(data[place + 8 : place + (10 if kind == _SHORT else 12)], order)
    return values


def exif_turn(data: bytes) -> Turn:
    """How the picture in a JPEG or PNG file is to be turned by its Exif tags; broken tags turn nothing."""
    found = next(_exif_of_png(data) if data.startswith(b"\x89PNG") else _exif_of_jpeg(data), None)
    try:
        return Turn() if found is None else turn_of_tags(directory(found))
    except (IndexError, ValueError):
        return Turn()


def _exif_of_jpeg(data: bytes) -> Iterator[bytes]:
    """The TIFF structure in the segments before the picture (ITU-T T.81; Exif 2.32, section 4.7)."""
    place = 2
    while data[place : place + 1] == b"\xff" and data[place + 1 : place + 2] not in (b"\xda", b""):
        if data[place + 1] == 0xFF:
            place += 1
            continue
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        if data[place + 1] == 0xE1 and data[place + 4 : place + 10] == b"Exif\0\0":
            yield data[place + 10 : place + 2 + length]
        place += 2 + length


def _exif_of_png(data: bytes) -> Iterator[bytes]:
    """The content of its eXIf chunk, before or after the picture."""
    place = 8
    while place + 12 <= len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        if data[place + 4 : place + 8] == b"eXIf":
            yield data[place + 8 : place + 8 + length]
        place += 12 + length
