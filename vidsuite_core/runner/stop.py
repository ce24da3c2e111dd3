"""How cells under way are told to end: with time to save what they have, and then at once."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

GRACE = 20.0
"""Seconds that a cell may take to save its state; Slurm gives 30 between its SIGTERM and its SIGKILL."""
_POLL = 0.1


@dataclass(frozen=True)
class Why:
    """Why cells were told to end, as their records say: the status, and the reason."""

    status: str
    reason: str


BY_USER = Why("interrupted", "stopped by the user; the same command goes on")


def interrupted(error: KeyboardInterrupt) -> Why:
    """Why a run ends by an interrupt, which may name the signal that it stands for."""
    name = str(error)
    return Why("interrupted", f"the run was told to end by {name}; the same command goes on") if name else BY_USER


class Stop:
    """Whether a cell, or all of a run, is to end; safe to be used from several threads.

    Args:
        parent: where that is set, so is this.
        grace: seconds that cells may take to save what they have.
    """

    def __init__(self, parent: Stop | None = None, grace: float = GRACE) -> None:
        self._parent = parent
        self.grace: float = parent.grace if parent is not None else grace
        self._why: Why | None = None
        self._hurry = threading.Event()

    def set(self, why: Why = BY_USER) -> None:
        """Have it end, with time to save what it has; the first reason counts."""
        self._why = self._why or why

    def hurry(self) -> None:
        """Have it end at once."""
        self.set()
        self._hurry.set()

    @property
    def why(self) -> Why | None:
        """Why it is to end; None where it is not."""
        return self._why or (self._parent.why if self._parent is not None else None)

    def is_set(self) -> bool:
        """Whether it is to end."""
        return self.why is not None

    @property
    def at_once(self) -> bool:
        """Whether there is no time left to save anything."""
        return self._hurry.is_set() or (self._parent is not None and self._parent.at_once)

    def wait(self, seconds: float) -> bool:
        """Wait until it is set, at most so long; whether it is."""
        deadline = time.monotonic() + seconds
        while not self.is_set() and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, _POLL))
        return self.is_set()
