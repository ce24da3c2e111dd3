"""How speed is measured: warm-up until stable, enough calls, fresh samples, and outputs that are held against others.

The protocol of DESIGN: calls are synchronised and timed one by one, on inputs that were never seen before, with others
between them that come again and again; which outputs are looked at afterwards is drawn after the last call.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

Call = Callable[[], Any]


@dataclass(frozen=True)
class Protocol:
    """How long is measured.

    Attributes:
        calls, seconds: a series ends with so many fresh calls, or after so many seconds.
        processes: in how many processes; the medians of several tell what one hides.
        warm: seconds that the warm-up may take at most.
        batches: sizes that are tried for the best throughput, as long as it grows.
        whole: calls from the file to the prediction.
    """

    name: str
    calls: int
    seconds: float
    processes: int
    warm: float
    batches: tuple[int, ...]
    whole: int


SHORT = Protocol("short", calls=20, seconds=2.0, processes=1, warm=2.0, batches=(), whole=2)
"""What each benchmark takes along; a first look."""
FULL = Protocol("full", calls=50, seconds=10.0, processes=3, warm=20.0, batches=(2, 4, 8, 16, 32), whole=10)
"""What speeds are compared by: `bench --only efficiency`."""
PROTOCOLS: Mapping[str, Protocol] = {protocol.name: protocol for protocol in (SHORT, FULL)}
VERSION = 2
"""Version of the way; 1 were five calls."""
LEAST = 5
"""Fresh calls at least, however long they take."""
STEADY, WINDOW = 0.05, 5
"""A warm-up ends once the median of so many calls differs by no more than this share from that of as many before."""
REPEATED = 0.8
"""Repeated samples that take less than this share of fresh ones are answered from a memory."""
GROWS = 1.05
"""A larger batch has to be so much better to be tried on from."""


@dataclass(frozen=True)
class Timed:
    """A call of a series: its seconds, what it gave, and the `seed` of its fresh input (None: a repeated sample)."""

    seconds: float
    output: Any
    place: int
    seed: int | None


def synchronised(call: Call, device: str) -> tuple[float, Any]:
    """Seconds of a call with all that it starts on the device, and its result."""
    if device != "cpu":
        torch.cuda.synchronize()
    start = time.perf_counter()
    result = call()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - start, result


def warm_up(call: Callable[[int], Any], device: str, most: float) -> tuple[int, bool]:
    """Call until the time that it takes is steady, or for `most` seconds; how often, and whether it became steady."""
    taken: list[float] = []
    end = time.perf_counter() + most
    while True:
        taken.append(synchronised(lambda: call(len(taken)), device)[0])
        if len(taken) >= 2 * WINDOW:
            before, now = statistics.median(taken[-2 * WINDOW : -WINDOW]), statistics.median(taken[-WINDOW:])
            if abs(now - before) <= STEADY * before:
                return len(taken), True
        if time.perf_counter() >= end and len(taken) >= 2:
            return len(taken), False


def altered(value: Any, seed: int) -> Any:
    """Nested inputs of the same shapes, types and look that were never seen: a hundredth of the numbers is another."""
    generator = torch.Generator().manual_seed(seed)

    def one(item: Any) -> Any:
        if isinstance(item, torch.Tensor) and item.numel():
            changed = (torch.rand(item.shape, generator=generator) < 0.01).to(item.device)
            changed.view(-1)[0] = True
            if item.dtype == torch.uint8:
                return item ^ changed.to(torch.uint8)
            if item.is_floating_point():
                step = 1e-3 * float(item.float().std(unbiased=False)) or 1e-3
                return item + changed.to(item.dtype) * step
            return item
        if isinstance(item, np.ndarray) and item.size and item.dtype == np.uint8:
            changed_numpy = (torch.rand(item.shape, generator=generator) < 0.01).numpy()
            changed_numpy.flat[0] = True
            return item ^ changed_numpy.astype(np.uint8)
        if isinstance(item, Mapping):
            return type(item)({key: one(part) for key, part in item.items()})  # type: ignore[call-arg]
        if isinstance(item, list | tuple):
            return type(item)(one(part) for part in item)
        return item

    return one(value)


def away(found: Any, expected: Any) -> float:
    """How far an output is from another of the same call, from 0 (equal): the worst of its fields.

    Of numbers the largest difference as a share of the largest expected one; of labels the share that differs; 1 where
    shapes do, as where more boxes are found.
    """
    worst = 0.0
    for a, b in pairs(found, expected):
        if a.shape != b.shape:
            return 1.0
        if not b.size:
            continue
        if np.issubdtype(b.dtype, np.floating):
            scale = max(float(np.abs(b).max()), 1e-6)
            worst = max(worst, float(np.nan_to_num(np.abs(a - b), nan=scale).max()) / scale)
        else:
            worst = max(worst, float((a != b).mean()))
    return worst


def pairs(found: Any, expected: Any) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The arrays of two nested values of one form; what the one lacks is compared with nothing, and so is unequal."""
    if isinstance(expected, np.ndarray):
        yield np.asarray(found if found is not None else []), expected
    elif isinstance(expected, Mapping):
        for key in expected:
            yield from pairs(found.get(key) if isinstance(found, Mapping) else None, expected[key])
    elif isinstance(expected, list | tuple):
        others = found if isinstance(found, list | tuple) else []
        for place, part in enumerate(expected):
            yield from pairs(others[place] if place < len(others) else None, part)


def remembers(timed: Sequence[Timed]) -> tuple[float, bool]:
    """Median of repeated calls over that of fresh ones, and whether that is less than chance makes it."""
    fresh = [one.seconds for one in timed if one.seed is not None]
    again = [one.seconds for one in timed if one.seed is None]
    share = statistics.median(again) / statistics.median(fresh)
    apart = len(again) >= 4 and statistics.quantiles(again, n=4)[2] < statistics.quantiles(fresh, n=4)[0]
    return share, share < REPEATED and apart


def percentile_95(values: Sequence[float]) -> float:
    """The 95th percentile, between neighbours as numpy's default takes it."""
    return float(np.percentile(np.asarray(values), 95))
