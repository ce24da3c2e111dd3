"""What a device can do at best, measured beside a network, and in what state it was meanwhile.

A product of matrices and a copy of memory: a network's arithmetic as a share of the one tells how well it uses a
device, and lets figures of different machines be read against each other.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any

import torch

from vidsuite_core.support import gpus

SIDE = {"cpu": 1024, "cuda": 4096}
"""Rows and columns of the matrices."""
BYTES = {"cpu": 2**26, "cuda": 2**28}
_EVERY = 0.25
"""Seconds between two looks at the device's state."""


def peaks(device: str, precision: str, seconds: float = 0.3) -> dict[str, Any]:
    """FLOP/s of a product of matrices in "fp32" or "bf16", and bytes/s of a copy (read and written), at their best."""
    kind = "cpu" if device == "cpu" else "cuda"
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    with torch.no_grad():
        a, b = (torch.randn(SIDE[kind], SIDE[kind], device=device, dtype=dtype) for _ in range(2))
        product = _best(lambda: torch.mm(a, b), kind, seconds)
        source = torch.empty(BYTES[kind], dtype=torch.uint8, device=device)
        target = torch.empty_like(source)
        copy = _best(lambda: target.copy_(source), kind, seconds)
    return {
        "gemm_flops": 2.0 * SIDE[kind] ** 3 / product,
        "copy_bytes": 2.0 * BYTES[kind] / copy,
        "precision": precision,
    }


def _best(call: Callable[[], Any], kind: str, seconds: float) -> float:
    best, end = float("inf"), time.perf_counter() + seconds
    call()
    while time.perf_counter() < end or best == float("inf"):
        if kind != "cpu":
            torch.cuda.synchronize()
        start = time.perf_counter()
        call()
        if kind != "cpu":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return best


class Watched:
    """Looks at the device's clock, and at what holds it down, as long as the block lasts.

    Attributes:
        state: `clock_mhz` (lowest and highest), `throttling` (all reasons seen, a bit mask in hexadecimal),
            `temperature` (highest, degrees Celsius) and `power` (highest, watts); what cannot be read is absent. On a
            CPU the clock alone is told.
    """

    def __init__(self, device: str) -> None:
        self._ask = _processor if device == "cpu" else lambda: gpus.state(_uuid())
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.state: dict[str, Any] = {}

    def __enter__(self) -> Watched:
        self._note()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._note()
        if "throttling" in self.state:
            self.state["throttling"] = f"0x{self.state['throttling']:016X}"

    def _look(self) -> None:
        while not self._stop.wait(_EVERY):
            self._note()

    def _note(self) -> None:
        found = self._ask()
        if (clock := found.get("clock_mhz")) is not None:
            low, high = self.state.get("clock_mhz", (clock, clock))
            self.state["clock_mhz"] = [min(low, clock), max(high, clock)]
        if (held := found.get("throttling")) is not None:
            self.state["throttling"] = self.state.get("throttling", 0) | held
        for name in ("temperature", "power"):
            if (value := found.get(name)) is not None:
                self.state[name] = max(self.state.get(name, value), value)


def _processor() -> dict[str, Any]:
    import psutil

    with suppress(Exception):  # psutil raises what each system's files hold
        frequency = psutil.cpu_freq()
        if frequency and frequency.current:
            return {"clock_mhz": round(frequency.current)}
    return {}


def _uuid() -> str:
    found = str(torch.cuda.get_device_properties(0).uuid)
    return found if found.startswith(("GPU-", "MIG-")) else f"GPU-{found}"
