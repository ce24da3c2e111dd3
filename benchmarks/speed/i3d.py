"""How much faster than the plain network I3D's fast paths extract features on this machine, and how equal they are.

    python benchmarks/speed/i3d.py [--weights FILE] [--frames 60] [--size 224] [--threads 2] [--rounds 5]

All paths run in turn in each round, in one process, so that a busy machine slows all of them; the ratio
is the median over the rounds. One untimed round comes first. Differences are those of the features of
one random clip to the plain network's; without --weights they are those of random weights.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from vidsuite_core.networks.i3d import InceptionI3d, build
from vidsuite_plugins.seizure_i3d.models.i3d_fast import fast_extractor, multiplies_bf16

PLAIN = "fp32-exact"


def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = build(options.weights).eval()
    clip = torch.rand(1, 3, options.frames, options.size, options.size) * 2 - 1
    paths = extractors(model)
    features = {name: extract(clip) for name, extract in paths.items()}
    seconds = time_in_turn(paths, clip, options.rounds)
    shape = "x".join(map(str, clip.shape))
    bf16 = "with" if multiplies_bf16(clip.device) else "without"
    print(f"{torch.cpu.get_capabilities()['cpu_name']} ({bf16} bfloat16 products), torch {torch.__version__}")
    print(f"{shape}, {options.threads} threads, {options.rounds} rounds, weights: {options.weights or 'random'}\n")
    print(f"{'path':<14}{'median s':>10}{'min s':>9}{'frames/s':>10}{'ratio':>8}{'max diff':>11}{'rel diff':>11}")
    for name, times in seconds.items():
        middle = statistics.median(times)
        ratio = statistics.median(plain / own for plain, own in zip(seconds[PLAIN], times, strict=True))
        worst, relative = difference(features[name], features[PLAIN])
        print(
            f"{name:<14}{middle:>10.3f}{min(times):>9.3f}{options.frames / middle:>10.1f}{ratio:>8.2f}"
            f"{worst:>11.2e}{relative:>11.2e}"
        )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--weights", type=Path, help="state dict of I3D; random weights without")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


def extractors(model: InceptionI3d) -> dict[str, Callable[[Tensor], Tensor]]:
    """The plain network and each fast path, by name."""
    fast = [fast_extractor(model, "fp32"), fast_extractor(model, "bf16")]
    return {PLAIN: torch.no_grad()(model.extract_features)} | {one.path: one.extract_features for one in fast}


def time_in_turn(paths: dict[str, Callable[[Tensor], Tensor]], clip: Tensor, rounds: int) -> dict[str, list[float]]:
    """Seconds of each path in each round."""
    seconds: dict[str, list[float]] = {name: [] for name in paths}
    for _ in range(rounds):
        for name, extract in paths.items():
            start = time.perf_counter()
            extract(clip)
            seconds[name].append(time.perf_counter() - start)
    return seconds


def difference(a: Tensor, b: Tensor) -> tuple[float, float]:
    """Largest absolute difference, and the norm of the difference relative to that of `b`."""
    return (a - b).abs().max().item(), ((a - b).norm() / b.norm()).item()


if __name__ == "__main__":
    main()
