"""How fast each back end runs the suite's networks on this machine, and how equal: a table and a JSON.

    python benchmarks/speed/backends.py [--model 'driving_fanet/*'] [--size 512x1024] [--frames 60] [--batches 1]
                                        [--backends eager channels_last openvino] [--precisions fp32 bf16]
                                        [--rounds 5] [--threads 2] [--device cpu] [--json FILE] [--list]

Networks alone are timed, from tensors to tensors, with random weights that keep activations lively: of a model with
several parts each by itself. All ways of one network and batch run in turn in each round, in one process, so that a
busy machine slows all of them; in its turn a way runs twice, and the second is timed: what lies in the caches is then
its own. Times are medians over the rounds, `x` is the median of the rounds' ratios to eager float32.
On a GPU the JSON has each way's peak memory, of the allocator and with the weights of all ways.
`off` is the largest difference from eager float32 as a share of its spread, `norm` that in norm, `same` the share of
places with the same largest channel. `cold` are seconds to convert, `warm` to take up what was converted before.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from suite_networks import Subject, subjects_of
from torch import Tensor, nn

import vidsuite_core as vs
from vidsuite_core.inference import Example
from vidsuite_core.inference.choice import native_bf16
from vidsuite_core.inference.equality import difference
from vidsuite_core.inference.flat import FlatNetwork, arguments, flatten
from vidsuite_core.inference.registry import candidates
from vidsuite_core.inference.torch_backends import Eager
from vidsuite_core.support.environment import hardware, software


@dataclass
class Way:
    """A network by one back end in one precision."""

    model: str
    inputs: str
    batch: int
    backend: str
    precision: str
    cold: float
    warm: float | None
    off: float
    norm: float
    same: float | None
    memory: int | None = None
    seconds: list[float] = field(default_factory=list)
    ratio: float = 0.0
    median: float = 0.0


def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = options.tf32
    suite = vs.load()
    names = [name for name in suite.models if any(fnmatchcase(name, glob) for glob in options.model)]
    load = os.getloadavg()[0]
    print_head(options, load)
    ways: list[Way] = []
    seen: set[tuple[str, str]] = set()
    for name in names:
        try:
            for subject in subjects_of(suite.models[name], options.size, options.frames):
                same = (subject.structure, subject.inputs)
                if same in seen:
                    print(f"{name}: a network of this structure is in the table already")
                    continue
                seen.add(same)
                if options.list:
                    print(f"{subject.name:<34}{subject.inputs}")
                else:
                    for batch in options.batches:
                        ways += measure(subject, batch, options)
        except Exception as error:
            print(f"{name} is left out: {type(error).__name__}: {' '.join(str(error).split())[:160]}")
    if options.json:
        machine = {"hardware": hardware(), "software": software(), "threads": options.threads, "device": options.device}
        machine["tf32"] = options.tf32
        content = {**machine, "load": [load, os.getloadavg()[0]], "ways": [asdict(way) for way in ways]}
        options.json.write_text(json.dumps(content, indent=1) + "\n")
    print(f"\nload average {load:.1f} before, {os.getloadavg()[0]:.1f} after")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    cuda = torch.cuda.is_available()
    parser.add_argument("--model", nargs="+", default=["*"], help="globs of full names")
    parser.add_argument(
        "--size", type=size_of, help="height x width; by default 512x1024 for frames, 224x224 for clips"
    )
    parser.add_argument("--frames", type=int, default=60, help="of clips")
    parser.add_argument("--batches", type=int, nargs="+", default=[1])
    parser.add_argument("--backends", nargs="+", help="by default all that are here and convert in seconds")
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"], choices=["fp32", "bf16"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cuda" if cuda else "cpu")
    parser.add_argument(
        "--tf32", action="store_true", help="let a GPU round float32 to TF32 in convolutions and products"
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--list", action="store_true", help="name the networks, and time none")
    return parser.parse_args()


def size_of(text: str) -> tuple[int, int]:
    height, width = text.split("x")
    return int(height), int(width)


def print_head(options: argparse.Namespace, load: float) -> None:
    device = torch.device(options.device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else torch.cpu.get_capabilities()["cpu_name"]
    able = "with" if native_bf16(device) else "WITHOUT"
    print(f"{name} ({able} bfloat16 products), torch {torch.__version__}, {options.threads} threads, load {load:.1f}")
    print(f"{options.rounds} rounds, random weights\n")
    print(f"{'network':<34}{'inputs':<18}{'batch':>5}  {'way':<20}{'ms':>9}{'x':>7}", end="")
    print(f"{'off':>10}{'norm':>10}{'same %':>9}{'cold s':>8}{'warm s':>8}")


@torch.no_grad()
def measure(subject: Subject, batch: int, options: argparse.Namespace) -> list[Way]:
    """All ways of one network and batch, timed in turn; eager float32 is first."""
    example = example_of(subject, batch, torch.device(options.device), options.threads)
    expected = [tensor.clone() for tensor in example.network(*example.tensors)]
    ready = list(ways_of(subject, batch, example, expected, options))
    for _ in range(options.rounds):
        for way, converted in ready:
            converted(example.tensors)
            start = now(example.device)
            converted(example.tensors)
            way.seconds.append(now(example.device) - start)
    eager = ready[0][0].seconds
    for way, _ in ready:
        way.median = statistics.median(way.seconds)
        way.ratio = statistics.median(plain / own for plain, own in zip(eager, way.seconds, strict=True))
        print_way(way)
    return [way for way, _ in ready]


def example_of(subject: Subject, batch: int, device: torch.device, threads: int) -> Example:
    args, kwargs = arguments(subject.make(batch))
    tensors, form = flatten((args, kwargs))
    network = lively(subject.network)
    network.eval()
    network = network.requires_grad_(False).to(device)
    placed = tuple(tensor.to(device) for tensor in tensors)
    return Example(FlatNetwork(network, form), placed, ((),) * len(tensors), device, threads)


def lively(network: nn.Module) -> nn.Module:
    """Batch norms that are not the identity and heads that are not all zero, as trained ones are not."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.Linear) and not module.weight.any():
            module.weight.normal_(0, 0.02)
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None:
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return network


def ways_of(
    subject: Subject, batch: int, example: Example, expected: Sequence[Tensor], options: argparse.Namespace
) -> Iterator[tuple[Way, Any]]:
    """Each way with its converted network; what a back end cannot take is told in a line."""
    for candidate in candidates(example.device.type):
        wanted = candidate.automatic if options.backends is None else candidate.name in options.backends
        if not wanted and candidate.name != "eager":
            continue
        for precision in dict.fromkeys([*["fp32"] * (candidate.name == "eager"), *options.precisions]):
            if candidate.backend is None:
                print(f"{subject.name}: {candidate.name} is not here: {candidate.missing}")
                break
            try:
                yield timed_conversion(subject, batch, candidate, precision, example, expected)
            except Exception as error:
                print(f"{subject.name}: {candidate.name} {precision}: {' '.join(str(error).split())[:120]}")


def timed_conversion(
    subject: Subject, batch: int, candidate: Any, precision: Any, example: Example, expected: Sequence[Tensor]
) -> tuple[Way, Any]:
    start = now(example.device)
    converted = candidate.backend.convert(example, precision)
    cold, warm = now(example.device) - start, None
    if (blob := converted.blob()) is not None:
        start = now(example.device)
        candidate.backend.restore(blob, example, precision)
        warm = now(example.device) - start
    if example.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    found = converted(example.tensors)
    memory = torch.cuda.max_memory_allocated() if example.device.type == "cuda" else None
    off = difference(found, expected)
    same = None
    if isinstance(candidate.backend, Eager) and precision == "fp32":
        cold = 0.0
    if expected[0].ndim > 1 and expected[0].is_floating_point():
        same = (found[0].argmax(1) == expected[0].argmax(1)).float().mean().item()
    shape = (subject.name, subject.inputs, batch, candidate.name, precision)
    return Way(*shape, cold, warm, off.largest, off.norm, same, memory), converted


def now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def print_way(way: Way) -> None:
    same = "" if way.same is None else f"{100 * way.same:.3f}"
    warm = "" if way.warm is None else f"{way.warm:.1f}"
    print(f"{way.model:<34}{way.inputs:<18}{way.batch:>5}  {way.backend + ' ' + way.precision:<20}", end="")
    print(f"{1e3 * way.median:>9.1f}{way.ratio:>7.2f}{way.off:>10.1e}{way.norm:>10.1e}{same:>9}", end="")
    print(f"{way.cold:>8.1f}{warm:>8}", flush=True)


if __name__ == "__main__":
    main()
