"""What a prediction costs, measured in one way for every model.

The path measured starts at one decoded sample in memory and ends at its prediction on the host: pixel scaling,
feature extraction, network, and the transfers between; beside it stand the network alone, and the whole way from the
file. Networks run as `vidsuite_core.inference` runs them fastest, in bfloat16 where the device multiplies in it, unless
the order says otherwise; how far those predictions are from the scored ones is told beside. How long is measured, and
what is checked, `vidsuite_core.engine.speed` says: what looks wrong stands in `doubts`, and no table ranks it.

A dataset with a method `cost_items` gives consecutive frames of a stream, of which the first warm up each time, so that
a network with a memory has it filled. FLOPs are 2 x multiply-adds of the plain network as torch's flop counter counts
them, so operators that it does not know (element-wise work, recurrences written step by step are counted by their
matrix products) add nothing.
"""

from __future__ import annotations

import random
import resource
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from vidsuite_core.engine import probes
from vidsuite_core.engine.costed import Samples
from vidsuite_core.engine.speed import (
    GROWS,
    LEAST,
    VERSION,
    Protocol,
    Timed,
    away,
    percentile_95,
    remembers,
    synchronised,
    warm_up,
)
from vidsuite_core.inference import Inference

_EAGER = Inference("fp32", "eager")
SAME, LIKE = 1e-2, {"fp32": 2e-2, "bf16": 1e-1}
"""How far (see `speed.away`) a timed output may be from the same call untimed, and from the one that was scored."""
PEAK = 1.1
"""Times the device's measured peak that no network can reach by computing what it is said to compute."""


@dataclass(frozen=True)
class Cost:
    """What was measured.

    Attributes:
        efficiency: the fields of `vidsuite_core.results.record.Efficiency`.
        inference: how predictions were computed whose speed was measured (`path`, and back ends that could not take a
            network, with their reasons, as `falls`), and how far they are from the scored ones (`difference`).
    """

    efficiency: dict[str, Any]
    inference: dict[str, Any]


def measure(
    model: Any,
    dataset: Any,
    device: str,
    scored: Inference,
    speed: Inference,
    protocol: Protocol,
    witnessed: Mapping[str, Any] | None = None,
) -> Cost:
    """The cost of the dataset's longest samples, or of frames of a stream.

    Args:
        scored: how predictions are computed that count.
        speed: how those are whose speed is measured.
        witnessed: outputs that were scored, by sample id, as far as they were kept.
    """
    model.eval()
    path = Samples(model, dataset, device)
    with torch.no_grad():
        with path.runs(scored):
            path.fit(protocol.seconds)
            of_scores = path.run()
        doubts = []
        with path.runs(speed) as used:
            calls, steady = warm_up(path.call, device, protocol.warm)
            _reset_peak(device)
            with probes.Watched(device) as watched:
                timed = series(path, protocol)
            peaks = {"peak_host_memory": _peak_resident()}
            if device != "cpu":
                peaks["peak_device_memory"] = torch.cuda.max_memory_allocated()
            of_speed = path.run()
            doubts += untrue(path, timed)
            network = path.network_alone(used)
            whole = path.whole(protocol.whole)
            batch = best_batch(path, protocol)
            used_path, falls = used.path, used.falls
        with path.runs(_EAGER), FlopCounterMode(display=False) as counter:
            path.call(path.lead)
        precision = "bf16" if "bf16" in used_path else "fp32"
        doubts += unlike(of_speed, path.scored(witnessed or {}, of_scores), LIKE[precision])
    fresh = [one.seconds for one in timed if one.seed is not None]
    share, remembered = remembers(timed)
    if remembered:
        doubts.append(f"a sample that comes again takes {share:.0%} of the time of a fresh one: it is remembered")
    flops = float(counter.get_total_flops()) or None
    best = probes.peaks(device, precision)
    latency = statistics.median(fresh)
    of_peak = flops / latency / best["gemm_flops"] if flops else None
    if of_peak and of_peak > PEAK:
        doubts.append(f"it would do {of_peak:.1f} times the arithmetic that the device was measured to do at best")
    efficiency = {
        "parameters": sum(p.numel() for one in path.networks for p in one.parameters()),
        "flops": flops,
        "latency_p50": latency,
        "latency_p95": percentile_95(fresh),
        "latencies": fresh,
        "throughput": len(fresh) / sum(fresh),
        "peak_memory": peaks.get("peak_device_memory", peaks["peak_host_memory"]),
        "sample": path.described,
        "path": used_path,
        "protocol": f"{protocol.name}-{VERSION}",
        "warm_up": {"calls": calls, "steady": steady},
        "processes": [latency],
        "repeated_share": share,
        "network_p50": network,
        "whole_p50": statistics.median(whole),
        "batches": batch,
        **peaks,
        "device_state": watched.state,
        "device_peaks": best,
        "share_of_peak": of_peak,
        "doubts": doubts,
    }
    told = {"path": used_path, "falls": falls, "difference": differences(of_speed, of_scores)}
    return Cost(efficiency, told)


def latencies(model: Any, dataset: Any, device: str, speed: Inference, protocol: Protocol) -> list[float]:
    """Seconds of fresh calls alone: what a further process adds to a measurement."""
    model.eval()
    path = Samples(model, dataset, device)
    with torch.no_grad(), path.runs(speed):
        path.fit(protocol.seconds)
        warm_up(path.call, device, protocol.warm)
        return [one.seconds for one in series(path, protocol) if one.seed is not None]


def series(path: Samples, protocol: Protocol) -> list[Timed]:
    """Time passes over fresh samples and over repeated ones in turn, until there are enough calls."""
    found: list[Timed] = []
    end, number, calls = time.perf_counter() + protocol.seconds, 0, 0
    while calls < LEAST or (calls < protocol.calls and time.perf_counter() < end):
        for seed in (number, None):
            for place in range(path.length):
                call = path.ready(place, seed)
                seconds, output = synchronised(call, path.device)
                if place >= path.lead:
                    found.append(Timed(seconds, output, place, seed))
        calls += path.length - path.lead
        number += 1
    return found


def untrue(path: Samples, timed: Sequence[Timed]) -> list[str]:
    """Whether outputs of the timed run are those of the same calls untimed; which are looked at is drawn afterwards."""
    drawn = random.SystemRandom().choice([one.seed for one in timed if one.seed is not None])
    for seed in (drawn, None):
        again = [path.ready(place, seed)() for place in range(path.length)]
        taken = [one for one in timed if one.seed == seed]
        worst = max(away(one.output, again[one.place]) for one in taken)
        if worst > SAME:
            what = "repeated" if seed is None else "fresh"
            return [f"outputs while it is timed are not those of the same {what} samples when it is not ({worst:.2g})"]
    return []


def unlike(found: Sequence[Any], expected: Sequence[Any], allowed: float) -> list[str]:
    """Whether outputs of the path that is timed are, but for rounding, those that were scored."""
    apart = [away(one, other) for one, other in zip(found, expected, strict=True) if other is not None]
    worst = statistics.median(apart) if apart else 0.0
    return [f"what is timed predicts otherwise than what was scored ({worst:.2g})"] if worst > allowed else []


def best_batch(path: Samples, protocol: Protocol) -> list[dict[str, float]]:
    """Samples a second by batch size, from 1 up as long as it grows; none of a stream, whose frames come one by one."""
    if not path.batches:
        return []
    rows: list[dict[str, float]] = []
    for size in (1, *protocol.batches) if protocol.batches else ():
        taken: list[float] = []
        end = time.perf_counter() + protocol.seconds / 4
        try:
            for number in range(protocol.calls):
                call = path.batch(size, number)
                taken.append(synchronised(call, path.device)[0])
                if len(taken) >= 3 and time.perf_counter() >= end:
                    break
        except (torch.cuda.OutOfMemoryError, MemoryError):
            break
        rows.append({"size": size, "throughput": size / statistics.median(taken[1:] or taken)})
        if len(rows) > 1 and rows[-1]["throughput"] < GROWS * rows[-2]["throughput"]:
            break
    return rows


def differences(found: Sequence[Any], expected: Sequence[Any]) -> dict[str, dict[str, float]]:
    """How far predictions are from others: by field, the largest difference, or the share of labels that differ.

    Args:
        found, expected: as many calls' outputs, each a list of mappings of predicted fields.
    """
    worst: dict[str, dict[str, float]] = {}
    for one, other in zip(found, expected, strict=True):
        for name, a, b in _arrays("", one, other):
            row = worst.setdefault(name, {})
            if a.shape != b.shape:  # as with detections, of which there may be more or fewer
                row["shapes"] = row.get("shapes", 0) + 1
            elif np.issubdtype(b.dtype, np.floating):
                off = float(np.abs(a - b).max(initial=0))
                row["largest"] = max(row.get("largest", 0.0), off)
            else:
                row["labels"] = max(row.get("labels", 0.0), float((a != b).mean()) if b.size else 0.0)
    return worst


def _arrays(name: str, found: Any, expected: Any) -> Iterator[tuple[str, Any, Any]]:
    """The arrays of two nested values of one form, side by side with their names."""
    if isinstance(expected, np.ndarray):
        yield name, np.asarray(found), expected
    elif isinstance(expected, Mapping):
        for key in expected.keys() & found.keys():
            yield from _arrays(f"{name}.{key}".strip("."), found[key], expected[key])
    elif isinstance(expected, list | tuple):
        for a, b in zip(found, expected, strict=False):
            yield from _arrays(name, a, b)


def _reset_peak(device: str) -> None:
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError):  # Linux: a warm worker's peak would be that of earlier cells
        Path("/proc/self/clear_refs").write_text("5")


def _peak_resident() -> int:
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
