"""The worker: a process that has the libraries in memory and has each cell run in a fresh copy of itself.

Started as `python -m vidsuite_core.runner.worker READ WRITE PROCESSORS`: orders come in over the descriptor READ,
messages go out over WRITE (see `messages`), and PROCESSORS ("0,1"; "" for all) are what it and its cells may use.

A cell runs in a process forked from the worker, whose own memory no cell ever touches: whatever a model sets, patches
or registers ends with its cell, and the next one finds all as it was. A worker serves cells of one kind alone (see
`Order.kind`), so that what it has loaded beforehand is what each of them would have loaded first. Where forking is not
to be had, is switched off (VIDSUITE_FORK=0), or what was loaded does not bear it, each cell gets a process that starts
from nothing.

The worker writes what a cell prints to its log, ends what a cell leaves behind, and when READ closes (the run is gone,
however it died) ends its cell, what that has started, and itself at once.
"""

from __future__ import annotations

import dataclasses
import gc
import json
import os
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from vidsuite_core.engine.order import Order
from vidsuite_core.runner import cellprocess
from vidsuite_core.runner.attendance import Attendance, Cell
from vidsuite_core.runner.messages import PROTOCOL, Lines, Message, written
from vidsuite_core.runner.processes import adopt_orphans, die_with_parent, divided, end_descendants, processors
from vidsuite_core.support import environment

_TRYING = 60.0
"""Seconds that a forked process may take to show that it works."""
_SLOW = (
    "each cell is started in a process from nothing, which takes seconds more: what its plugin imports does not bear "
    "being forked (it starts threads, or uses the GPU, when it is imported)"
)


def main() -> None:
    """Serve orders until the pipe closes."""
    if sys.argv[1] == "cell":
        cellprocess.run_from(sys.argv[2:])
    orders, messages = (int(text) for text in sys.argv[1:3])
    for descriptor in (orders, messages):
        os.set_inheritable(descriptor, False)
    hardware = environment.hardware()
    if sys.argv[3]:
        os.sched_setaffinity(0, map(int, sys.argv[3].split(",")))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # whoever sends it to all processes leaves us to tell how cells end
    adopt_orphans()
    from vidsuite_core.engine import warm

    warm.libraries()
    worker = _Worker(orders, messages)
    worker.send("ready", protocol=PROTOCOL, hardware=hardware, software=environment.software())
    worker.serve()


class _Worker:
    """Takes orders and has them run, one after another.

    Args:
        orders, messages: descriptors of the pipes from and to the run.
    """

    def __init__(self, orders: int, messages: int) -> None:
        self.orders, self._messages = orders, messages
        self._lines = Lines("order", "stop")
        self._waiting: deque[Message] = deque()
        self._forks: bool | None = None
        self._attendance: Attendance | None = None

    def send(self, kind: str, **fields: Any) -> None:
        """Tell the run."""
        data = written(kind, **fields)
        try:
            while data:
                data = data[os.write(self._messages, data) :]
        except BrokenPipeError:
            _end_all()

    def serve(self) -> None:
        """Run each order that comes."""
        while True:
            while not self._waiting:
                self.listen()
            message = self._waiting.popleft()
            order = Order(**message["order"])
            if self._forks is None:
                self._forks = self._bears_forking(order)
            cell = self._start(order)
            self._attendance = Attendance(cell, order, message["timeout"], self.send)
            outcome = self._attendance.outcome({self.orders: self.listen})
            self._attendance = None
            self.send("outcome", outcome=outcome)

    def listen(self) -> None:
        """Take what comes from the run; ends everything where it is gone."""
        data = os.read(self.orders, 1 << 20)
        if not data:
            _end_all()
        for message in self._lines.feed(data):
            if message["kind"] == "order":
                self._waiting.append(message)
            elif self._attendance is not None:  # else the cell has just ended by itself
                self._attendance.stop(message["grace"])

    def _bears_forking(self, order: Order) -> bool:
        """Load what the order's kind shares, and see whether a process that is forked then still computes."""
        from vidsuite_core.engine import warm

        if sys.platform != "linux" or os.environ.get("VIDSUITE_FORK") == "0":
            return False
        threads = set(threading.enumerate())
        try:
            warm.preload(order)
        except BaseException:  # its cells tell why, each in a process where nothing was half imported before
            return False
        if set(threading.enumerate()) - threads:  # a forked process has none of them, and waits for their work for ever
            self.send("note", text=_SLOW)
            return False
        gc.collect()
        gc.freeze()  # collectors in the cells' processes need not look at, and so copy, what they all share
        pid = _fork()
        if pid == 0:
            _as_child(lambda: warm.try_out(order.device))
        deadline = time.monotonic() + _TRYING
        while (ended := os.waitpid(pid, os.WNOHANG))[0] == 0 and time.monotonic() < deadline:
            time.sleep(0.002)
        if ended[0] == 0:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        if ended == (pid, 0):
            return True
        self.send("note", text=_SLOW)
        return False

    def _start(self, order: Order) -> Cell:
        output, printed = os.pipe()
        messages, told = os.pipe()
        shares = divided(processors(), order.ranks) if order.ranks > 1 else [()]
        port = _free_port() if order.ranks > 1 else 0
        pids = []
        for rank, share in enumerate(shares):
            pids.append(_fork())
            if pids[-1] == 0:
                for descriptor in (output, messages, self.orders, self._messages):
                    os.close(descriptor)
                if order.ranks > 1:
                    _take_rank(rank, order.ranks, port, share)
                _as_child(lambda: _become_cell(order, printed, told, forked=bool(self._forks)))
        os.close(printed)
        os.close(told)
        return Cell(pids[0], output, messages, tuple(pids[1:]))


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _take_rank(rank: int, ranks: int, port: int, share: Sequence[int]) -> None:
    """Make this process one of several that run a cell together, with its share of the processors."""
    os.environ |= {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(ranks),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    if share:
        os.sched_setaffinity(0, share)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(max(1, len(share) or (os.cpu_count() or 1) // ranks))


def _become_cell(order: Order, printed: int, told: int, *, forked: bool) -> None:
    """Turn this process into that of a cell: as it is, or by a fresh start of Python."""
    os.dup2(printed, 1)
    os.dup2(printed, 2)
    os.close(printed)
    if forked:
        cellprocess.run(order, told)
    with tempfile.TemporaryFile("w", encoding="utf-8") as file:
        json.dump(dataclasses.asdict(order), file)
        file.flush()
        for descriptor in (file.fileno(), told):
            os.set_inheritable(descriptor, True)
        spec = sys.modules["__main__"].__spec__
        assert spec is not None
        arguments = ["-P", "-m", spec.name, "cell", str(file.fileno()), str(told)]
        os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606


def _fork() -> int:
    with warnings.catch_warnings():  # Python 3.12 counts the idle threads of OpenBLAS, which bear it
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _as_child(act: Callable[[], Any]) -> None:
    """Do something in a process that was just forked, and end it."""
    code = 1
    try:
        die_with_parent()
        act()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _end_all() -> None:
    """End this process and all that it has started."""
    end_descendants()
    os.killpg(os.getpgid(0), signal.SIGKILL)


if __name__ == "__main__":
    main()
