"""A cell that is told to stop (SIGTERM): its training is saved after the step that is under way, all else ends at once.

The next try at the cell goes on from what was saved, see `vidsuite_core.results.store`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

REASON = "told to stop while it ran; the same command goes on"


class Stopped(BaseException):
    """Ends a cell that was told to stop; no error, so that what plugins catch does not hold it up."""


class _State:
    requested = False
    held = 0


def listen() -> None:
    """Have SIGTERM stop the cell of this process; its children end by it as they usually do."""
    owner = os.getpid()

    def stop(number: int, frame: Any) -> None:
        if os.getpid() != owner:  # a data loader's process, which inherited this handler
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        _State.requested = True
        if not _State.held:
            raise Stopped(REASON)

    signal.signal(signal.SIGTERM, stop)


def requested() -> bool:
    """Whether the cell was told to stop."""
    return _State.requested


@contextmanager
def put_off() -> Iterator[None]:
    """Let the block go on when the cell is told to stop: it asks `requested` at moments that suit it."""
    _State.held += 1
    try:
        yield
    finally:
        _State.held -= 1
