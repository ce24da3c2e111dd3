"""Signals that end a run as Ctrl-C does."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_ENDING = ("SIGTERM", "SIGHUP")
"""What Slurm, service managers and closed terminals send."""


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Have the signals that end a process raise KeyboardInterrupt, with their name, within the block.

    Those that are ignored, as under nohup, stay so; elsewhere than in the main thread nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt(signal.Signals(number).name)

    known = [getattr(signal, name) for name in _ENDING if hasattr(signal, name)]
    taken = [number for number in known if signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)
