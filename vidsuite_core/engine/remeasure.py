"""A measurement of speed in further processes: what one process does by chance, as where its memory lies, shows.

Started as `python -m vidsuite_core.engine.remeasure` with what to do on standard input; the network is built from the
cell's order as the cell built it, and takes its weights.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from vidsuite_core.engine.course import Report
from vidsuite_core.engine.order import Order
from vidsuite_core.engine.speed import PROTOCOLS, Protocol, percentile_95
from vidsuite_core.results.store import WORK

APART = 1.25
"""Times the lowest median of a process that the highest may be."""
_RANKS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def further(
    order: Order, network: torch.nn.Module, measured: Mapping[str, Any], protocol: Protocol, report: Report
) -> dict[str, Any]:
    """A measurement, with as many processes more as the protocol has; one that fails is a doubt."""
    found: dict[str, Any] = {
        name: list(value) if isinstance(value, list) else value for name, value in measured.items()
    }
    folder = Path(order.folder) / WORK / "again"
    for number in range(1, protocol.processes):
        report("measure speed again", number, protocol.processes - 1)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            latencies = _measured(order, network, protocol, folder)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            reason = " ".join(str(error).split())[:200]
            found["doubts"].append(f"only {number} of {protocol.processes} processes could measure it: {reason}")
            break
        found["latencies"] += latencies
        found["processes"].append(statistics.median(latencies))
    shutil.rmtree(folder, ignore_errors=True)
    if len(found["processes"]) > 1:
        found["latency_p50"] = statistics.median(found["latencies"])
        found["latency_p95"] = percentile_95(found["latencies"])
        found["throughput"] = len(found["latencies"]) / sum(found["latencies"])
        if found["flops"]:
            found["share_of_peak"] = found["flops"] / found["latency_p50"] / found["device_peaks"]["gemm_flops"]
    if max(found["processes"]) > APART * min(found["processes"]):
        low, high = (f"{1000 * one:.3g}" for one in (min(found["processes"]), max(found["processes"])))
        found["doubts"].append(f"its processes' medians lie between {low} and {high} ms: the machine was not idle")
    return found


def _measured(order: Order, network: torch.nn.Module, protocol: Protocol, folder: Path) -> list[float]:
    weights, answer = folder / "weights.pth", folder / "latencies.json"
    torch.save(network.state_dict(), weights)
    asked = {
        "order": dataclasses.asdict(dataclasses.replace(order, folder=str(folder))),
        "weights": str(weights),
        "protocol": protocol.name,
        "threads": torch.get_num_threads(),
        "answer": str(answer),
    }
    env = {name: value for name, value in os.environ.items() if name not in _RANKS}
    command = [sys.executable, "-P", "-m", "vidsuite_core.engine.remeasure"]
    subprocess.run(command, input=json.dumps(asked), env=env, text=True, check=True)
    found = json.loads(answer.read_text())
    if not isinstance(found, list) or not found or not all(isinstance(one, float) and one > 0 for one in found):
        raise ValueError("it answered no latencies")
    return found


def main() -> None:
    """Measure what is asked for on standard input."""
    asked = json.load(sys.stdin)
    from vidsuite_core.engine import cost
    from vidsuite_core.engine.cell import initial, opened
    from vidsuite_core.engine.course import Course
    from vidsuite_core.engine.subnormals import flushed_subnormals
    from vidsuite_core.inference import Inference
    from vidsuite_core.weights import pinned

    order = Order(**asked["order"])
    torch.set_num_threads(asked["threads"])
    with flushed_subnormals(), pinned(initial(order)):
        made = opened(order, Course(lambda what, done, total: None))
        network = made.runner.model
        network.load_state_dict(torch.load(asked["weights"], weights_only=True))
        protocol = PROTOCOLS[asked["protocol"]]
        latencies = cost.latencies(network, made.sets["test"], order.device, Inference(**order.speed), protocol)
    Path(asked["answer"]).write_text(json.dumps(latencies))


if __name__ == "__main__":
    main()
