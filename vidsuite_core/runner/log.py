"""A cell's log of bounded size: the beginning of what a cell prints, its end, and how much lies between."""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from pathlib import Path

HEAD = 4 * 2**20
"""Bytes of the beginning that are kept."""
TAIL = 2**20
"""Bytes of the end that are kept, at least."""


class BoundedLog:
    """Writes to `path` as it comes, up to `HEAD` bytes; of what follows the last `TAIL` bytes are written at the end.

    A disk that takes no more costs the log, not the cell.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._room = HEAD
        self._end: deque[bytes] = deque()
        self._held = self._left_out = 0

    def write(self, data: bytes) -> None:
        """Take what was printed."""
        head, rest = data[: self._room], data[self._room :]
        self._room -= len(head)
        self._write(head)
        if rest:
            self._end.append(rest)
            self._held += len(rest)
        while self._held - len(self._end[0] if self._end else b"") >= TAIL:
            self._held -= len(self._end[0])
            self._left_out += len(self._end.popleft())

    def close(self) -> None:
        """Write the end."""
        if self._left_out:
            self._write(f"\n[{self._left_out} bytes are left out here]\n".encode())
        self._write(b"".join(self._end))
        self._end.clear()
        os.close(self._file)

    def _write(self, data: bytes) -> None:
        with suppress(OSError):
            while data:
                data = data[os.write(self._file, data) :]
