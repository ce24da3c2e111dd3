"""Work shared among processes of their own, as rendering a synthetic dataset is.

    def render(job):  # in my_plugin/synthetic.py
        ...
        yield {"done": job["name"]}

    for report in in_processes("my_plugin.synthetic:render", jobs, workers=4, what="rendering wards"):
        progress("render", ...)

Not multiprocessing: its workers would import the user's main module again, which a script must guard against.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import IO, Any

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.specs import resolve
from vidsuite_core.support.paths import stale_temporaries

TAIL = 4096
"""Bytes at the end of what a process wrote among which its last line is looked for."""


def in_processes(work: str, jobs: Sequence[Any], workers: int, what: str = "rendering") -> Iterator[Any]:
    """What `work` yields for each of `jobs`, as it is made; jobs are dealt to the processes in turn.

    With one worker, or one job, the work is done in this process. Where the caller stops early, the processes are
    killed; where it dies, they end at their next report.

    Args:
        work: "module:function" of one job, which yields reports. Jobs and reports are JSON values.
        workers: how many processes, at most.
        what: is done, for the error's text.

    Raises:
        VidsuiteError: a process failed; its last line says why.
    """
    workers = min(workers, len(jobs))
    if workers <= 1:
        for job in jobs:
            yield from resolve(work)(job)
        return
    with ExitStack() as stack:
        reports: SimpleQueue[Any] = SimpleQueue()
        running = []
        for worker in range(workers):
            # A file, for nobody reads it before the end: warnings would fill a pipe, and stop the process.
            messages = stack.enter_context(tempfile.TemporaryFile())
            process = _start({"work": work, "jobs": list(jobs[worker::workers])}, messages)
            stack.enter_context(process)
            stack.callback(process.kill)
            running.append((process, messages))
            Thread(target=_read, args=(process.stdout, reports), daemon=True).start()
        for _ in running:
            while (report := reports.get()) is not _END:
                yield report
        for process, messages in running:
            if process.wait() != 0:
                reason = _last_line(messages) or "the process was killed"
                raise VidsuiteError(f"{what} failed with code {process.returncode}: {reason}")


def processors() -> int:
    """How many of them this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def clear_left_behind(folder: Path) -> None:
    """Make `folder` where it is missing, and remove from it what dead processes were making there."""
    folder.mkdir(parents=True, exist_ok=True)
    for left_behind in stale_temporaries(folder):
        if left_behind.is_dir():
            shutil.rmtree(left_behind, ignore_errors=True)
        else:
            left_behind.unlink(missing_ok=True)


_END = object()
"""Of one process's reports."""


def _start(order: dict[str, Any], messages: IO[bytes]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=messages,
        env=environment,
    )
    assert process.stdin
    with suppress(BrokenPipeError), process.stdin as pipe:  # one that ended early is found by its code
        pipe.write(json.dumps(order).encode())
    return process


def _read(pipe: IO[bytes], reports: SimpleQueue[Any]) -> None:
    with suppress(ValueError):  # the pipe of a killed process may be closed, or end within a line
        for line in pipe:
            reports.put(json.loads(line))
    reports.put(_END)


def _last_line(messages: IO[bytes]) -> str:
    messages.seek(max(messages.seek(0, os.SEEK_END) - TAIL, 0))
    lines = messages.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else ""


def _work() -> None:
    """Do the jobs that come in on the standard input; a line of JSON goes out for each report."""
    import cv2

    cv2.setNumThreads(1)
    order = json.load(sys.stdin)
    work = resolve(order["work"])
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what the work prints is no report
    for job in order["jobs"]:
        for report in work(job):
            out.write(json.dumps(report).encode() + b"\n")


if __name__ == "__main__":
    _work()
