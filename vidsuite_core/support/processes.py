"""Work shared among processes: a function of some module, called with JSON, as rendering a dataset wants it.

Not multiprocessing: its workers would import the user's main module again, which a script must guard against.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from typing import IO, Any

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.specs import resolve

_TAIL = 4096
"""Bytes at the end of what a process wrote among which its last line is looked for."""


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_processes(function: str, jobs: Sequence[Any], workers: int) -> Iterator[Any]:
    """Call `function` with each of `jobs` in `workers` processes; yields what the calls yield, as it comes.

    Args:
        function: `"module:attribute"` of a generator function of one argument.
        jobs: its arguments, in JSON's types; the longest first share the work best.
        workers: at most one a job is started.

    Yields:
        what the calls yield, in JSON's types. In this process, where one worker is enough.

    Raises:
        VidsuiteError: a process failed; its last line is the reason.
    """
    workers = min(workers, len(jobs))
    if workers <= 1:
        for job in jobs:
            yield from resolve(function)(job)
        return
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    lines: queue.Queue[str | None] = queue.Queue()
    with ExitStack() as stack:
        running = []
        for worker in range(workers):
            # Not a pipe: nobody reads it before the end, so warnings would fill it and stop the process.
            messages = stack.enter_context(tempfile.TemporaryFile())
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=messages,
                env=environment,
                text=True,
                encoding="utf-8",
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            running.append((process, messages))
            threading.Thread(target=_pass_on, args=(process.stdout, lines), daemon=True).start()
            assert process.stdin
            with suppress(BrokenPipeError), process.stdin as pipe:  # one that ended early is found below
                json.dump({"function": function, "jobs": list(jobs[worker::workers])}, pipe)
        open_pipes = workers
        while open_pipes:
            line = lines.get()
            if line is None:
                open_pipes -= 1
            else:
                yield json.loads(line)
        for process, messages in running:
            if process.wait() != 0:
                reason = _last_line(messages) or "the process was killed"
                raise VidsuiteError(f"{function} failed with code {process.returncode}: {reason}")


def _pass_on(pipe: IO[str] | None, lines: queue.Queue[str | None]) -> None:
    assert pipe
    with suppress(ValueError):  # closed, since the caller has had enough
        for line in pipe:
            lines.put(line)
    lines.put(None)


def _last_line(messages: IO[bytes]) -> str:
    messages.seek(max(messages.seek(0, os.SEEK_END) - _TAIL, 0))
    lines = messages.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else ""


def work() -> None:
    """Do the jobs that come in on the standard input; a line of JSON goes out for all that they yield."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no result
    order = json.load(sys.stdin)
    function = resolve(order["function"])
    for job in order["jobs"]:
        for result in function(job):
            print(json.dumps(result), file=out, flush=True)


if __name__ == "__main__":
    work()
