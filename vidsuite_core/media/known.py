"""What this process has found out about the video files that it read lately, so that each is looked at once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vidsuite_core.media.index import FrameIndex
    from vidsuite_core.media.turn import Turn

_KEPT = 64
_FileKey = tuple[str, int, int]


@dataclass
class Known:
    """What is known of a file; each field is None or False until it was found out.

    Attributes:
        index: its frames' time stamps.
        turn: how its pictures are turned to stand upright.
        looked: whether its packets were looked at.
        alone: whether one thread must decode it, since several reported damage that one did not.
    """

    index: FrameIndex | None = None
    turn: Turn | None = None
    looked: bool = False
    alone: bool = False


class KnownFiles:
    """`Known` of the files that were opened last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[_FileKey, Known] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, path: Path) -> Known:
        """What is known of the file as it is now on the disk."""
        key = _file_key(path)
        with self._lock:
            known = self._kept.setdefault(key, Known())
            self._kept.move_to_end(key)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return known

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._kept.clear()


KNOWN = KnownFiles()


def _file_key(path: Path) -> _FileKey:
    status = path.stat()
    return str(path), status.st_size, status.st_mtime_ns
