"""Processes as the operating system has them: ends, parents, processors, and what the kernel killed for memory."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

_ENDING = 10.0
"""Seconds that killed processes may take to be gone."""
_PARENT_DEATH, _SUBREAPER = 1, 36
"""Linux: prctl's PR_SET_PDEATHSIG and PR_SET_CHILD_SUBREAPER."""


def die_with_parent() -> None:
    """Have the kernel end this process when the one that made it ends, where the kernel does such things."""
    parent = os.getppid()
    _prctl(_PARENT_DEATH, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Become the parent of what this process's descendants leave behind, so that none is lost from sight."""
    _prctl(_SUBREAPER, 1)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        import ctypes

        with suppress(OSError, AttributeError):
            ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def descendants(pid: int | None = None) -> list[psutil.Process]:
    """The processes that a process (by default this one) and its children have started, and that still run."""
    import psutil

    found = []
    with suppress(psutil.Error):
        for child in psutil.Process(pid).children(recursive=True):
            with suppress(psutil.Error):
                if child.status() != psutil.STATUS_ZOMBIE:
                    found.append(child)
    return found


def tell(processes: Sequence[psutil.Process], number: int | None) -> None:
    """Send a signal to processes, of which some may have ended."""
    import psutil

    for process in processes if number is not None else ():
        with suppress(psutil.Error):
            process.send_signal(number)


def end_descendants(pid: int | None = None) -> None:
    """Kill all that a process (by default this one) and its children have started, also what is started meanwhile."""
    deadline = time.monotonic() + _ENDING
    while (left := descendants(pid)) and time.monotonic() < deadline:
        tell(left, signal.SIGKILL)
        time.sleep(0.002)


def reap() -> None:
    """Take note of the ends of adopted processes."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def end_handle(pid: int) -> int | None:
    """A descriptor that can be read once a child has ended; None where the system has none."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


def signal_name(number: int) -> str:
    """SIGKILL for 9."""
    try:
        return signal.Signals(number).name
    except ValueError:  # the real-time signals have none
        return str(number)


def oom_kills() -> int:
    """How often the kernel has killed in this control group for want of memory."""
    for path in (Path("/sys/fs/cgroup/memory.events"), Path("/proc/vmstat")):
        try:
            for line in path.read_text().splitlines():
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
        except OSError:
            continue
    return 0


def processors() -> list[int]:
    """The processors that this process may use, those of one core beside each other; none where that is not told."""
    if not hasattr(os, "sched_getaffinity"):
        return []
    return sorted(os.sched_getaffinity(0), key=lambda number: (*_core(number), number))


def _core(number: int) -> tuple[int, int]:
    folder = Path(f"/sys/devices/system/cpu/cpu{number}/topology")
    try:
        return int((folder / "physical_package_id").read_text()), int((folder / "core_id").read_text())
    except (OSError, ValueError):
        return 0, number


def divided(numbers: Sequence[int], parts: int) -> list[tuple[int, ...]]:
    """Processors for each of `parts` workers: all of them for one, else shares as even as they can be, none empty."""
    count = len(numbers)
    if parts == 1 or not count:
        return [()] * parts
    if parts >= count:
        return [(numbers[part % count],) for part in range(parts)]
    ends = [round(part * count / parts) for part in range(parts + 1)]
    return [tuple(numbers[start:end]) for start, end in pairwise(ends)]
