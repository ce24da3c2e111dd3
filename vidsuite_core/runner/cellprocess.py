"""What runs in a cell's own process: the cell, with messages to the worker and stacks in the log."""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable
from typing import Any, NoReturn, TextIO

from vidsuite_core.engine import stopping
from vidsuite_core.engine.order import Order
from vidsuite_core.errors import Note
from vidsuite_core.runner.messages import written

DUMP = getattr(signal, "SIGUSR2", None)
"""The signal upon which a cell's process writes the stacks of its threads to its log."""


def run(order: Order, messages: int) -> NoReturn:
    """Run a cell, tell what it comes to over the descriptor `messages`, and end the process."""
    code = 1
    try:
        faulthandler.enable()
        if DUMP is not None:
            faulthandler.register(DUMP)
        _give_way()
        stopping.listen()
        _run(order, _silent if int(os.environ.get("RANK", "0")) else _Sender(messages))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)  # what a plugin left running must not keep the process


def run_from(arguments: list[str]) -> NoReturn:
    """Run a cell in a process that was started for it alone; `arguments` are descriptors of its order and messages."""
    orders, messages = map(int, arguments)
    with os.fdopen(orders) as file:
        file.seek(0)
        order = Order(**json.load(file))
    from vidsuite_core.engine import warm

    warm.libraries()
    os.set_inheritable(messages, False)
    run(order, messages)


def _silent(kind: str, **fields: Any) -> None:
    """What further ranks of a cell tell: nothing, as rank 0 speaks for all."""


class _Sender:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def __call__(self, kind: str, **fields: Any) -> None:
        data = written(kind, **fields)
        with self._lock:
            while data:
                data = data[os.write(self._descriptor, data) :]


def _run(order: Order, send: Callable[..., None]) -> None:
    from vidsuite_core.engine.cell import run_cell

    shown = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, Note):
            send("note", text=str(message))
        shown(message, category, filename, lineno, file, line)

    warnings.showwarning = show
    try:
        outcome = run_cell(order, lambda what, done, total: send("progress", what=what, done=done, total=total))
    except stopping.Stopped as stop:
        outcome = {"status": "interrupted", "reason": str(stop)}
    if int(os.environ.get("RANK", "0")):  # what rank 0 tells is the cell's
        if outcome["status"] != "ok":
            sys.exit(f"process {os.environ['RANK']}: {outcome['status']}: {outcome.get('reason', '')}")
        return
    try:
        send("outcome", outcome=outcome)
    except (TypeError, ValueError) as error:
        traceback.print_exc()
        reason = f"what it handed back cannot be passed on: {type(error).__name__}: {error}"
        send("outcome", outcome={"status": "failed", "reason": reason})


def _give_way() -> None:
    """Let the kernel, where it runs out of memory, end the cell before its worker or the run."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123
            file.write("500")
    except OSError:
        pass
