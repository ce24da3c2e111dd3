"""Whether a video file is whole by its own header: demuxers take a cut at a packet's end for the end."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

_TS_PACKETS = ((0, 188), (4, 192))
"""Offset of the sync byte and size of MPEG-TS packets, without and with time codes."""

_ISO_BOXES = frozenset(b"ftyp styp pdin moov moof sidx mfra mdat meta udta uuid free skip wide".split())
"""What lies at the top level of MP4 and MOV files (ISO/IEC 14496-12); some devices append what is no box."""


def missing_bytes(path: Path) -> int | None:
    """How many bytes the file lacks at least, 0 where it is whole; None where its format does not say."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(4096)
        if head[4:8] in _ISO_BOXES:
            return max(0, _iso_end(file, size) - size)
        if head[:4] == b"RIFF":
            return _riff_lacks(file, size)
    if head[:4] == b"\x1a\x45\xdf\xa3":
        end = _matroska_end(head)
        return None if end is None else max(0, end - size)
    for offset, length in _TS_PACKETS:
        if head[offset : offset + length + 1 : length] == b"GG":
            return -size % length or None
    return None


def _iso_end(file: BinaryIO, size: int) -> int:
    """Where the last of the boxes at the top level ends."""
    place = 0
    while place < size:
        file.seek(place)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        if length < 8 or header[4:8] not in _ISO_BOXES:  # 0 stands for "to the end"
            return size
        place += length
    return place


def _riff_lacks(file: BinaryIO, size: int) -> int | None:
    """How many bytes an AVI lacks, which is a chain of RIFF chunks; None where its writer could not go back to say.

    Pipes and programs that were stopped leave 0xFFFFFFFF or 0 as a chunk's size. Then those of the chunks in it count.
    """
    place, names = 0, [b"RIFF"]
    while place < size:
        file.seek(place)
        header = file.read(8)
        length = int.from_bytes(header[4:8], "little")
        if header[:4] not in names:  # something that was appended
            return 0
        if length in (0, 2**32 - 1):
            if header[:4] != b"RIFF":
                return None
            names, length = [b"LIST", b"JUNK", b"idx1"], 4
        place += 8 + length + length % 2
    return max(0, place - size - 1)  # one byte of padding is often left out


def _matroska_end(head: bytes) -> int | None:
    """Where the segment of a Matroska file ends; None where that is left open, as in live streams."""
    place = 4
    for _ in range(8):  # the EBML header, perhaps Void elements, then the segment
        length, place = _ebml_size(head, place)
        if length is None:
            return None
        place += length
        if head[place : place + 4] == b"\x18\x53\x80\x67":
            length, place = _ebml_size(head, place + 4)
            return None if length is None else place + length
        place += 1  # the id of a Void or CRC-32 element
    return None


def _ebml_size(head: bytes, place: int) -> tuple[int | None, int]:
    """The element size that is written at `place`, None where unknown, and where its content begins."""
    if place >= len(head) or not head[place]:
        return None, place
    width = 9 - head[place].bit_length()
    value = int.from_bytes(head[place : place + width], "big") & ((1 << 7 * width) - 1)
    unknown = value == (1 << 7 * width) - 1
    return (None if unknown else value), place + width
