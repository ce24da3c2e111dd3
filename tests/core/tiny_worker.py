"""The real worker without its heavy libraries: a cell does what the order's option `do` says."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
import time
import types
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from vidsuite_core.engine.order import Order
from vidsuite_core.errors import Note

Report = Callable[[str, int, int], None]


def run_cell(order: Order, report: Report) -> dict[str, Any]:
    """What `vidsuite_core.engine.cell.run_cell` is for cells of these tests."""
    report(order.options["do"], 0, 1)
    extra = DEEDS[order.options["do"]](order, report)
    own: dict[str, Any] = {
        "pid": os.getpid(),
        "worker": os.getppid(),
        "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
    }
    own["processors"] = sorted(os.sched_getaffinity(0))
    return {"status": "ok", "reason": "", "details": {**own, **(extra or {})}}


def hang(order: Order, report: Report) -> None:
    child = subprocess.Popen(["sleep", "300"])
    Path(order.root).write_text(f"{os.getpid()} {child.pid}")
    time.sleep(300)


def save(order: Order, report: Report) -> None:
    """As training does: what it is told to stop it does once it has saved what it has, which takes a while."""
    from vidsuite_core.engine import stopping

    with stopping.put_off():
        Path(order.root).write_text(str(os.getpid()))
        while not stopping.requested():
            time.sleep(0.01)
        time.sleep(order.options.get("saving", 0.5))
        Path(order.folder, "saved").write_text("all")
        raise stopping.Stopped("saved")


def finish_when_told(order: Order, report: Report) -> None:
    from vidsuite_core.engine import stopping

    with stopping.put_off():
        Path(order.root).write_text(str(os.getpid()))
        while not stopping.requested():
            time.sleep(0.01)


def fail_when_told(order: Order, report: Report) -> None:
    """As where a data loader's process, which is told as well, ends first."""
    finish_when_told(order, report)
    raise RuntimeError("a data loader's process exited unexpectedly")


def with_a_loader(order: Order, report: Report) -> None:
    """A child that inherits the handler ends by the signal as children do."""
    begun, begins = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(begins, b"!")
        time.sleep(300)
        os._exit(0)
    os.read(begun, 1)
    os.kill(child, signal.SIGTERM)
    report("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM, 1)


def hang_in_a_forked_child(order: Order, report: Report) -> None:
    """As a data loader does: its stack is wanted, too."""
    child = os.fork()
    if child == 0:
        in_the_loader()
    Path(order.root).write_text(f"{os.getpid()} {child}")
    os.waitpid(child, 0)


def in_the_loader() -> None:
    time.sleep(300)


def talk(order: Order, report: Report) -> None:
    for number in range(1000):
        report("step", number, 1000)


def linger(order: Order, report: Report) -> None:
    for number in range(20):
        time.sleep(0.05)
        report("step", number, 20)


def meet(order: Order, report: Report) -> None:
    """Waits for another cell to begin, and then two seconds; says how often it was begun."""
    with Path(order.root).open("a") as file:
        file.write(f"{os.getpid()} ")
    while len(list(Path(order.root).parent.glob("*.pids"))) < 2:
        time.sleep(0.05)
    time.sleep(2)


def say(order: Order, report: Report) -> None:
    print("hello from python")
    subprocess.run(["echo", "hello from a child"], check=True)
    sys.stderr.write("hello from stderr\n")


def kill_self_leaving_a_child(order: Order, report: Report) -> None:
    child = os.fork()  # as a data loader's: it holds every pipe open
    if child == 0:
        os.setsid()
        time.sleep(300)
        os._exit(0)
    Path(order.root).write_text(f"{os.getpid()} {child}")
    os.kill(os.getpid(), signal.SIGKILL)


def leave_a_child(order: Order, report: Report) -> None:
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        Path(order.root).write_text(str(os.getpid()))
        time.sleep(300)
    os.waitpid(child, 0)
    while not Path(order.root).exists():
        time.sleep(0.01)


def close_pipes_and_hang(order: Order, report: Report) -> None:
    os.closerange(3, 256)
    time.sleep(300)


def segfault(order: Order, report: Report) -> None:
    import ctypes

    ctypes.string_at(0)


def garbage(order: Order, report: Report) -> None:
    """Writes to every descriptor that it can find."""
    for descriptor in range(3, 64):
        with contextlib.suppress(OSError):
            os.write(descriptor, order.options["garbage"].encode() * order.options.get("times", 1))
    time.sleep(300)


def flood(order: Order, report: Report) -> None:
    print("the beginning")
    sys.stdout.flush()
    line = b"x" * 999 + b"\n"
    for _ in range(order.options["megabytes"]):
        os.write(1, line * 1000)
    print("the end")


def note(order: Order, report: Report) -> None:
    warnings.warn("the cache cannot be written", Note, stacklevel=2)


def kill_worker(order: Order, report: Report) -> None:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(300)


def leak(order: Order, report: Report) -> dict[str, Any]:
    """Leaves the process in another state than it found it in, and tells what it found."""
    found = state()
    os.chdir("/")
    os.environ["LEAKED"] = "yes"
    sys.path.insert(0, "/leaked")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    logging.getLogger().setLevel(1)
    logging.getLogger("vidsuite").handlers.append(logging.NullHandler())
    warnings.simplefilter("error")
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    json.loads = None  # type: ignore[assignment]
    os.umask(0o777)
    os.nice(1)
    return found


def state() -> dict[str, Any]:
    umask = os.umask(0)
    os.umask(umask)
    return {
        "folder": str(Path.cwd()), "environment": os.environ.get("LEAKED"), "path": sys.path[:2],
        "signal": getattr(signal.getsignal(signal.SIGTERM), "__name__", "none"), "umask": umask,
        "level": logging.getLogger().level,
        "handlers": len(logging.getLogger("vidsuite").handlers), "warnings": len(warnings.filters),
        "limits": resource.getrlimit(resource.RLIMIT_NOFILE),
        "patched": json.loads is None, "nice": os.nice(0), "threads": threading.active_count(),
    }  # fmt: skip


def leave_to_a_thread(order: Order, report: Report) -> None:
    """As a plugin with a pool of threads from its import on: a thread of it is thought to be idle."""
    POOL.submit(int).result()


POOL = ThreadPoolExecutor(1)
DEEDS: dict[str, Callable[[Order, Report], Any]] = {
    "work": lambda order, report: None,
    "pool": leave_to_a_thread,
    "measure": lambda order, report: {"length": len(order.options["load"])},
    "exit": lambda order, report: os._exit(3),
    "kill": lambda order, report: os.kill(os.getpid(), signal.SIGKILL),
    "signal": lambda order, report: os.kill(os.getpid(), signal.SIGRTMIN + 6),
    "no_json": lambda order, report: {"set": {1, 2}},
    "too_long": lambda order, report: {"text": "x" * (17 * 2**20)},
    **{deed.__name__: deed for deed in (
        hang, hang_in_a_forked_child, meet, linger, talk, say, kill_self_leaving_a_child, leave_a_child,
        close_pipes_and_hang, save, finish_when_told, fail_when_told, with_a_loader, segfault, garbage, flood, note,
        kill_worker, leak,
    )},
}  # fmt: skip


def start_badly(way: str) -> None:
    """Fail to start in some way; "once: WAY" does so at the first try alone."""
    if way.startswith("once: "):
        mark = Path(os.environ["TINY_MARK"])
        if mark.exists():
            return
        mark.touch()
        way = way.removeprefix("once: ")
    if way in ("raise", f"raise on {os.environ['CUDA_VISIBLE_DEVICES']}"):
        raise RuntimeError("no driver for this device")
    if way == "exit":
        sys.exit(7)
    if way == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if way == "hang":
        time.sleep(300)
    if way == "garbage":
        os.write(int(sys.argv[2]), b"hello\n")


def preload(order: Order) -> None:
    if os.environ.get("TINY_PRELOAD") == "raise":
        raise RuntimeError("half imported")
    if os.environ.get("TINY_PRELOAD") == "thread":
        leave_to_a_thread(order, lambda *_: None)


def try_out(device: str) -> None:
    if os.environ.get("TINY_FORK") == "fails":
        sys.exit(1)


if __name__ == "__main__":
    engine = types.ModuleType("vidsuite_core.engine.cell")
    engine.run_cell = run_cell  # type: ignore[attr-defined]
    warm = types.ModuleType("vidsuite_core.engine.warm")
    warm.libraries = lambda: None  # type: ignore[attr-defined]
    warm.preload, warm.try_out = preload, try_out  # type: ignore[attr-defined]
    sys.modules.update({module.__name__: module for module in (engine, warm)})
    if sys.argv[1] != "cell":
        start_badly(os.environ.get("TINY_START", ""))
    from vidsuite_core.runner import attendance
    from vidsuite_core.runner.worker import main

    attendance.GRACE = float(os.environ.get("TINY_GRACE", attendance.GRACE))
    main()
