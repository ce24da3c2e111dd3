"""The real worker without its heavy libraries: a cell does what the order's option `do` says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vidsuite_core.engine.order import Order

Report = Callable[[str, int, int], None]


def run_cell(order: Order, report: Report) -> dict[str, Any]:
    """What `vidsuite_core.engine.cell.run_cell` is for cells of these tests."""
    report(order.options["do"], 0, 1)
    extra = DEEDS[order.options["do"]](order, report)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return {"status": "ok", "reason": "", "details": {"pid": os.getpid(), "visible": visible, **(extra or {})}}


def hang(order: Order, report: Report) -> None:
    child = subprocess.Popen(["sleep", "300"])
    Path(order.root).write_text(f"{os.getpid()} {child.pid}")
    time.sleep(300)


def talk(order: Order, report: Report) -> None:
    for number in range(1000):
        report("step", number, 1000)


def say(order: Order, report: Report) -> None:
    print("hello from python")
    subprocess.run(["echo", "hello from a child"], check=True)
    sys.stderr.write("hello from stderr\n")


def kill_self_leaving_a_child(order: Order, report: Report) -> None:
    child = os.fork()  # as a data loader's: it holds every pipe open
    if child == 0:
        time.sleep(300)
        os._exit(0)
    Path(order.root).write_text(f"{os.getpid()} {child}")
    os.kill(os.getpid(), signal.SIGKILL)


def close_pipes_and_hang(order: Order, report: Report) -> None:
    os.closerange(3, 256)
    time.sleep(300)


def die_later(order: Order, report: Report) -> None:
    threading.Timer(0.3, os._exit, (0,)).start()


DEEDS: dict[str, Callable[[Order, Report], Any]] = {
    "work": lambda order, report: None,
    "hang": hang,
    "talk": talk,
    "say": say,
    "measure": lambda order, report: {"length": len(order.options["load"])},
    "exit": lambda order, report: os._exit(3),
    "kill": lambda order, report: os.kill(os.getpid(), signal.SIGKILL),
    "signal": lambda order, report: os.kill(os.getpid(), signal.SIGRTMIN + 6),
    "no_json": lambda order, report: {"set": {1, 2}},
    "kill_self_leaving_a_child": kill_self_leaving_a_child,
    "close_pipes_and_hang": close_pipes_and_hang,
    "die_later": die_later,
}

if __name__ == "__main__":
    start = os.environ.get("TINY_START", "")
    if start in ("raise", f"raise on {os.environ['CUDA_VISIBLE_DEVICES']}"):
        raise RuntimeError("no driver for this device")
    if start == "exit":
        sys.exit(7)
    if start == "hang":
        time.sleep(300)
    engine = types.ModuleType("vidsuite_core.engine.cell")
    engine.run_cell = run_cell  # type: ignore[attr-defined]
    sys.modules[engine.__name__] = engine

    from vidsuite_core.runner.worker import main

    main()
