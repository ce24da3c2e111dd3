"""What a prediction costs, measured in one way for every model.

The path measured starts at one decoded sample in memory and ends at its prediction on the host: pixel scaling,
feature extraction, network, and the transfers between. Decoding is left out: it depends on the disk.
One call warms up, then `CALLS` calls are timed one by one at batch 1; throughput is that of samples one
after another. A dataset with a method `cost_items` gives consecutive frames of a stream, of which all but the last
warm up, so that a network with a memory has it filled. FLOPs are 2 x multiply-adds as counted by torch's flop counter,
so operators that it does not know (element-wise work, recurrences written step by step are counted by their matrix
products) add nothing. A model whose inference form takes other operators has a method `plain(batch)`, the network as it
is described, and is counted by that.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from vidsuite_core.engine.data import FeatureDataset
from vidsuite_core.engine.metric import predicted

CALLS = 5
WARM_UP = 8
"""Frames of a stream before the timed ones: more than the memory of any network here."""


def measure(model: Any, dataset: Any, device: str, path: str) -> dict[str, Any]:
    """The fields of `vidsuite_core.results.record.Efficiency` for the dataset's longest sample."""
    lengths = [getattr(sample, "__len__", lambda: 1)() for sample in dataset.samples]
    index = lengths.index(max(lengths))
    described, warm_up = f"{lengths[index]} frames", 1
    networks = [model]
    call: Callable[[], Any]
    items = [dataset[index]]
    if isinstance(dataset, FeatureDataset):
        networks.append(dataset.extractor)
        clip = dataset.clip(index)
        dataset.extractor.to(device)

        def call() -> Any:
            return _predict(model, dataset.pack(index, dataset.extractor.extract([clip])[0]))
    else:
        if hasattr(dataset, "cost_items"):
            items, described = dataset.cost_items(WARM_UP + CALLS + 1)
            warm_up = max(1, len(items) - CALLS - 1)
        feed = cycle(items)

        def call() -> Any:
            return _predict(model, next(feed))

    plain = partial(model.plain, _batch(items[-1])) if hasattr(model, "plain") else call
    model.eval()
    _reset_peak(device)
    for _ in range(warm_up):
        call()
    latencies = [_timed(call, device) for _ in range(CALLS)]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        plain()
    return {
        "parameters": sum(p.numel() for network in networks for p in network.parameters()),
        "flops": float(counter.get_total_flops()) or None,
        "latency_p50": statistics.median(latencies),
        "latency_p95": sorted(latencies)[-1] if len(latencies) < 20 else statistics.quantiles(latencies, n=20)[-1],
        "latencies": latencies,
        "throughput": len(latencies) / sum(latencies),
        "peak_memory": torch.cuda.max_memory_allocated() if device != "cpu" else _peak_resident(),
        "sample": described,
        "path": path,
    }


def _predict(model: Any, item: Mapping[str, Any]) -> Any:
    with torch.no_grad():
        return [predicted(output.to_dict()) for output in model.test_step(_batch(item))]


def _batch(item: Mapping[str, Any]) -> dict[str, Any]:
    return {"inputs": [item["inputs"]], "data_samples": [item["data_samples"]]}


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
