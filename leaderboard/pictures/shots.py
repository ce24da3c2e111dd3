"""Pictures of samples that a model got right or wrong: which of them a site may show.

`<folder>/<attempt id>/pictures.json` is a list of `{"file", "caption", "right"}`; the files lie beside it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.support.files import read_regular
from vidsuite_core.support.ids import digest
from vidsuite_leaderboard.remarks import clean

if TYPE_CHECKING:
    from vidsuite_leaderboard.board import Board

LIST = "pictures.json"
MAX_LIST = 2**18
MAX_PICTURE = 2**20
MAX_PICTURES = 200
MAX_SIDE = 4096
"""Pixels: a small file may unpack to a picture that no browser can hold."""
_MAGIC = {".jpg": b"\xff\xd8\xff", ".png": b"\x89PNG\r\n\x1a\n"}
_NO_FRAME = (0xC4, 0xC8, 0xCC)
"""JPEG markers among 0xC0 to 0xCF that begin no frame."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}\.(jpg|png)\Z")
_ATTEMPT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}\Z")


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str = Field(max_length=160)
    caption: str = Field(default="", max_length=400)
    right: bool | None = None


_LINES = TypeAdapter(list[_Line])


@dataclass(frozen=True)
class Shot:
    """A picture that may be shown: where it lies, below `pictures/` of the site, and the file that it comes from.

    `size` is its width and height in pixels.
    """

    place: str
    caption: str
    right: bool | None
    size: tuple[int, int]
    path: Path
    key: str

    def read(self) -> bytes:
        """Its bytes; raises `VidsuiteError` where it is no longer the picture that was looked at."""
        data = read_regular(self.path, MAX_PICTURE)
        if _size(data, self.path.suffix) != self.size:
            raise VidsuiteError(f"{self.path} is no picture any more; build again")
        return data


@dataclass(frozen=True)
class Shots:
    """Pictures of one entry, and the ones that were left out: (name, reason)."""

    shown: Sequence[Shot] = ()
    left_out: Sequence[tuple[str, str]] = ()

    @property
    def key(self) -> list:
        """All that a page with them depends on, in JSON's own types."""
        return [
            [[shot.place, shot.caption, shot.right, shot.size, shot.key] for shot in self.shown],
            list(self.left_out),
        ]


@dataclass
class _Found:
    shown: list[Shot] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)


def shots_of(board: Board) -> Mapping[str, Shots]:
    """Pictures by slug of the entry that has their attempt among its cells; an attempt's go to one entry alone."""
    if board.pictures is None or not board.pictures.is_dir():
        return {}
    attempts = {path.name: path for path in sorted(board.pictures.iterdir()) if _holds_list(path)}
    return {slug: _shots([attempts[name] for name in names]) for slug, names in _entries_of(board, attempts)}


def _holds_list(folder: Path) -> bool:
    return bool(_ATTEMPT.match(folder.name)) and not folder.is_symlink() and (folder / LIST).is_file()


def _entries_of(board: Board, attempts: Mapping[str, Path]) -> Iterator[tuple[str, list[str]]]:
    """Entries and their attempts among `attempts`; one's own come first, as a submission may copy an attempt's id."""
    left = set(attempts)
    for entry in sorted(board.entries, key=lambda entry: bool(entry.owner)):
        if not left:
            return
        key = board.keys[entry.slug]
        text, _ = board.known.get("details", [key])[key]
        if not any(f'"{name}"' in text for name in left):  # much faster than reading every detail
            continue
        names = [cell.attempt for cell in board.detail(entry).cells if cell.attempt in left]
        left -= set(names)
        if names:
            yield entry.slug, names


def _shots(folders: Sequence[Path]) -> Shots:
    found = _Found()
    for folder in folders:
        _read(folder, found)
    return Shots(found.shown, found.left_out)


def _read(folder: Path, into: _Found) -> None:
    try:
        lines = _LINES.validate_python(json.loads(read_regular(folder / LIST, MAX_LIST)))
    except (OSError, ValueError, RecursionError, VidsuiteError) as error:
        why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else type(error).__name__
        into.left_out.append((f"{folder.name}/{LIST}", f"cannot be read: {why}"))
        return
    seen: set[str] = set()
    for line in lines[:MAX_PICTURES]:
        try:
            if line.file.lower() in seen:
                raise VidsuiteError("stands twice")
            seen.add(line.file.lower())
            into.shown.append(_shot(folder, line))
        except VidsuiteError as error:
            into.left_out.append((clean(f"{folder.name}/{line.file}"), str(error)))
    if len(lines) > MAX_PICTURES:
        into.left_out.append((f"{folder.name}/{LIST}", f"has more than {MAX_PICTURES} pictures"))


def _shot(folder: Path, line: _Line) -> Shot:
    """A listed picture; raises `VidsuiteError` with why it cannot be shown."""
    if not _NAME.match(line.file):
        raise VidsuiteError("is no plain name that ends in .jpg or .png")
    path = folder / line.file
    try:
        stat = path.lstat()
        data = read_regular(path, MAX_PICTURE) if stat.st_size <= MAX_PICTURE else b""
    except FileNotFoundError as error:
        raise VidsuiteError("is missing") from error
    except (OSError, VidsuiteError) as error:  # whose text would name this machine's folders
        raise VidsuiteError("is no plain file that can be read") from error
    if stat.st_size > MAX_PICTURE:
        raise VidsuiteError(f"is larger than {MAX_PICTURE >> 20} MiB")
    size = _size(data, path.suffix)
    if size is None:
        raise VidsuiteError("is no picture of the kind that its name says")
    if max(size) > MAX_SIDE:
        raise VidsuiteError(f"has more than {MAX_SIDE} pixels on a side")
    key = digest([line.file, stat.st_size, stat.st_mtime_ns])
    return Shot(f"{folder.name}/{line.file}", clean(line.caption), line.right, size, path, key)


def _size(data: bytes, suffix: str) -> tuple[int, int] | None:
    """Width and height as the head of a picture says them; None where it has none."""
    if not data.startswith(_MAGIC[suffix]):
        return None
    if suffix == ".png":
        sides = data[16:20], data[20:24]
        return (int.from_bytes(sides[0]), int.from_bytes(sides[1])) if data[12:16] == b"IHDR" else None
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        kind = data[at + 1]
        if 0xC0 <= kind <= 0xCF and kind not in _NO_FRAME:
            return int.from_bytes(data[at + 7 : at + 9]), int.from_bytes(data[at + 5 : at + 7])
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
    return None
