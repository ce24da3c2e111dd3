"""The files of an entry's attempts as one zip, in the layout of a run folder, so that `vidsuite verify` reads it."""

from __future__ import annotations

import io
import os
import re
import zipfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.results.store import CONFIG, KEPT, LOG, PREDICTIONS, RESULT
from vidsuite_core.support.files import read_regular

if TYPE_CHECKING:
    from vidsuite_leaderboard.board import Board
    from vidsuite_leaderboard.entries import Detail, Entry

LIMITS = {RESULT: 16 * 2**20, PREDICTIONS: 64 * 2**20, CONFIG: 2**20, LOG: 8 * 2**20}
"""The files of an attempt that are packed, and the bytes that each may have."""
MAX_BYTES = 256 * 2**20
"""Bytes of one archive; what comes after is left out."""
_PART = "[A-Za-z0-9][A-Za-z0-9._-]{0,200}"
_FOLDER = re.compile(rf"{_PART}/{_PART}/{_PART}\Z")
_NAMES = {*LIMITS, *KEPT.values()}
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Contents:
    """What an entry's archive holds: (name in it, path, bytes) of each file, and what was left out, with the reason."""

    files: Sequence[tuple[str, str, int]]
    left_out: Sequence[tuple[str, str]]

    @property
    def size(self) -> int:
        """Bytes of all files, unpacked."""
        return sum(size for _, _, size in self.files)

    @cached_property
    def by_folder(self) -> Mapping[str, Sequence[str]]:
        """Names of the files that it holds of each attempt, by the attempt's folder."""
        names: dict[str, list[str]] = defaultdict(list)
        for name, _, _ in self.files:
            folder, _, file = name.rpartition("/")
            names[folder].append(file)
        return names


def contents(board: Board, entry: Entry, detail: Detail) -> Contents:
    """The files of the attempts that count, as they lie on the disk now."""
    roots = [str(source.root) for source in board.sources if source.by == entry.owner]
    files: list[tuple[str, str, int]] = []
    left_out: list[tuple[str, str]] = []
    room = MAX_BYTES
    for cell in detail.cells:
        folder = _find(roots, cell.folder)
        if folder is None:
            left_out.append((cell.folder, "its folder was not found, is a link, or has an unusual name"))
            continue
        for file, size in _plain_files(folder):
            name = f"{cell.folder}/{file}"
            if size > min(LIMITS.get(file, 0), room):
                left_out.append((name, "is too large for a web page"))
            else:
                files.append((name, f"{folder}/{file}", size))
                room -= size
    return Contents(files, left_out)


def archive(board: Board, entry: Entry) -> bytes:
    """The zip of `contents`: the same bytes for the same files."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as packed:
        for name, path, _ in contents(board, entry, board.detail(entry)).files:
            file = name.rpartition("/")[2]
            try:
                data = read_regular(Path(path), LIMITS[file])
            except (OSError, VidsuiteError):  # gone or exchanged since it was listed
                continue
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type = zipfile.ZIP_STORED if file == PREDICTIONS else zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            packed.writestr(info, data, compresslevel=1)
    return held.getvalue()


def _find(roots: Sequence[str], folder: str) -> str | None:
    """An attempt's folder below the first of `roots` that has it; no link on the way is followed."""
    if not _FOLDER.match(folder):
        return None
    plugin, cell, _ = folder.split("/")
    for root in roots:
        path = f"{root}/{folder}"
        ways = (path, f"{root}/{plugin}/{cell}", f"{root}/{plugin}")
        if os.path.isfile(f"{path}/{RESULT}") and not any(map(os.path.islink, ways)):  # noqa: PTH113 - of 100,000
            return path
    return None


def _plain_files(folder: str) -> list[tuple[str, int]]:
    """The files of an attempt by name, with their bytes; links and what no attempt has are passed over."""
    with os.scandir(folder) as entries:
        found = [e for e in entries if e.name in _NAMES and e.is_file(follow_symlinks=False)]
        return sorted((e.name, e.stat(follow_symlinks=False).st_size) for e in found)
