"""The worker process: imports the heavy libraries once, then runs cell after cell.

Started as `python -m vidsuite_core.runner.worker READ WRITE` with two pipe ends: orders come in on READ as JSON
lines, messages go out on WRITE. While a cell runs, all that it prints goes to its log. When READ closes (the main
process is gone, however it died) the worker ends itself and its children at once.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from vidsuite_core.engine.order import Order
from vidsuite_core.results.store import LOG


def main() -> None:
    """Serve orders until the pipe closes."""
    incoming, outgoing = (int(text) for text in sys.argv[1:3])
    messages = os.fdopen(outgoing, "w", buffering=1, encoding="utf-8")

    def send(kind: str, **fields: Any) -> None:
        messages.write(json.dumps({"kind": kind, **fields}) + "\n")

    orders: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(incoming, orders), daemon=True).start()
    from vidsuite_core.engine.cell import run_cell

    send("ready")
    while True:
        order = Order(**orders.get())
        with _output_to(Path(order.folder) / LOG):
            outcome = run_cell(order, lambda what, done, total: send("progress", what=what, done=done, total=total))
        send("outcome", outcome=outcome)


def _listen(incoming: int, orders: queue.SimpleQueue[dict[str, Any]]) -> None:
    try:
        with os.fdopen(incoming, encoding="utf-8") as lines:
            for line in lines:
                orders.put(json.loads(line))
    finally:  # also where the main process died in the middle of a line
        os.killpg(os.getpgid(0), signal.SIGKILL)  # the worker leads its own group: data loaders die with it


class _output_to:  # noqa: N801
    """Sends standard output and error, of this process and its children, to a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        self.kept = os.dup(1), os.dup(2)
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        os.close(handle)

    def __exit__(self, *_: object) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, kept in zip((1, 2), self.kept, strict=True):
            os.dup2(kept, number)
            os.close(kept)


if __name__ == "__main__":
    main()
