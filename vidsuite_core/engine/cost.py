"""What a prediction costs, measured in one way for every model.

The path measured starts at one decoded sample in memory and ends at its prediction on the host: pixel scaling,
feature extraction, network, and the transfers between. Decoding is left out: it depends on the disk. Networks run as
`vidsuite_core.inference` runs them fastest, in bfloat16 where the device multiplies in it, unless the order says
otherwise; how far those predictions are from the scored ones is told beside.
One call warms up, then `CALLS` calls are timed one by one at batch 1; throughput is that of samples one
after another. A dataset with a method `cost_items` gives consecutive frames of a stream, of which all but the last
warm up, so that a network with a memory has it filled. FLOPs are 2 x multiply-adds of the plain network as torch's flop
counter counts them, so operators that it does not know (element-wise work, recurrences written step by step are counted
by their matrix products) add nothing.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from vidsuite_core.engine.accelerated import accelerated
from vidsuite_core.engine.data import FeatureDataset
from vidsuite_core.engine.metric import predicted
from vidsuite_core.inference import Inference

CALLS = 5
WARM_UP = 8
"""Frames of a stream before the timed ones: more than the memory of any network here."""
_EAGER = Inference("fp32", "eager")


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


def measure(model: Any, dataset: Any, device: str, scored: Inference, speed: Inference) -> Cost:
    """The cost of the dataset's longest sample, or of frames of a stream.

    Args:
        scored: how predictions are computed that count.
        speed: how those are whose speed is measured.
    """
    model.eval()
    path = _Path(model, dataset, device)
    with path.runs(scored):
        of_scores = [path.call(place) for place in range(path.warm_up)]
    with path.runs(speed) as used:
        of_speed = [path.call(place) for place in range(path.warm_up)]
        _reset_peak(device)
        latencies = [_timed(partial(path.call, place), device) for place in range(path.warm_up, path.calls)]
        peak = torch.cuda.max_memory_allocated() if device != "cpu" else _peak_resident()
    with path.runs(_EAGER), FlopCounterMode(display=False) as counter:
        path.call(path.calls)
    efficiency = {
        "parameters": sum(p.numel() for network in path.networks for p in network.parameters()),
        "flops": float(counter.get_total_flops()) or None,
        "latency_p50": statistics.median(latencies),
        "latency_p95": sorted(latencies)[-1] if len(latencies) < 20 else statistics.quantiles(latencies, n=20)[-1],
        "latencies": latencies,
        "throughput": len(latencies) / sum(latencies),
        "peak_memory": peak,
        "sample": path.described,
        "path": used.path,
    }
    return Cost(efficiency, {"path": used.path, "falls": used.falls, "difference": differences(of_speed, of_scores)})


class _Path:
    """The path from a decoded sample to its prediction: of one sample again and again, or of frames of a stream."""

    def __init__(self, model: Any, dataset: Any, device: str) -> None:
        self.model, self.dataset, self.device = model, dataset, device
        lengths = [getattr(sample, "__len__", lambda: 1)() for sample in dataset.samples]
        self.index = lengths.index(max(lengths))
        self.described, self.warm_up = f"{lengths[self.index]} frames", 1
        self.networks = [model]
        self.extractor = dataset.extractor if isinstance(dataset, FeatureDataset) else None
        self.items: list[Any] = []
        if self.extractor is not None:
            self.networks.append(self.extractor)
            self.clip = dataset.clip(self.index)
        elif hasattr(dataset, "cost_items"):
            self.items, self.described = dataset.cost_items(WARM_UP + CALLS + 1)
            self.warm_up = max(1, len(self.items) - CALLS - 1)
        else:
            self.items = [dataset[self.index]]
        self.calls = self.warm_up + CALLS

    @contextmanager
    def runs(self, inference: Inference) -> Iterator[Any]:
        """Within, networks run so."""
        if self.extractor is None:
            with accelerated(self.model, self.device, inference) as used:
                yield used
            return
        before = self.extractor
        self.extractor = before.running(inference)
        self.extractor.to(self.device)
        try:
            yield self.extractor
        finally:
            self.extractor = before

    def call(self, place: int) -> list[dict[str, Any]]:
        """Predict the sample, or the frame at a place of the stream, from its beginning again after the last."""
        if self.extractor is None:
            item = self.items[place % len(self.items)]
        else:
            item = self.dataset.pack(self.index, self.extractor.extract([self.clip])[0])
        with torch.no_grad():
            outputs = self.model.test_step({"inputs": [item["inputs"]], "data_samples": [item["data_samples"]]})
        return [predicted(output.to_dict()) for output in outputs]


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


def _timed(call: Callable[[], Any], device: str) -> float:
    if device != "cpu":
        torch.cuda.synchronize()
    start = time.perf_counter()
    call()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - start


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
