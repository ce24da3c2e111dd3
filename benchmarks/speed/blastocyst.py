"""How fast blastocyst_dnn's networks are beside torchvision's own: forward and training step, in one process.

    python benchmarks/speed/blastocyst.py [--model 'resnet*'] [--size 64] [--frames 16] [--batch 2] [--rounds 5]
                                          [--threads 2] [--json FILE]

Ours take one grey channel, torchvision's RGB; MFNet, I3D and the recurrent ones have no counterpart there, and stand
alone. Both of a pair run in turn in each round, so that a busy machine slows both; in
its turn each runs twice, and the second is timed. Times are medians over rounds with the smallest and largest, ratios
medians of the rounds' own. A training step is forward, cross entropy, backward and AdamW.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision import models as library

from vidsuite_core.support.environment import hardware, software
from vidsuite_plugins.blastocyst_dnn.models import NETWORKS, build

TWINS = {
    "mobilenet_v3": "mobilenet_v3_large", "inception_v3": "inception_v3", "resnet18": "resnet18",
    "resnet50": "resnet50", "resnet101": "resnet101", "resnet152": "resnet152", "resnext50": "resnext50_32x4d",
    "resnext101": "resnext101_32x8d", "wide_resnet50": "wide_resnet50_2", "wide_resnet101": "wide_resnet101_2",
    "densenet121": "densenet121", "densenet169": "densenet169", "vit_base": "vit_b_16", "vit_large": "vit_l_16",
    "resnet3d": "r3d_18", "resnet_mc": "mc3_18", "r2plus1d": "r2plus1d_18",
}  # fmt: skip
"""What a network is called in torchvision."""
SIDES = {"vit_base": 224, "vit_large": 224, "inception_v3": 80}
"""Sides that these need, or need at the least."""


def step_of(network: nn.Module, seen: Tensor) -> Callable[[], None]:
    """A training step on a batch."""
    labels = torch.arange(len(seen)) % 2
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-5)

    def step() -> None:
        found = network(seen)
        logits = found if isinstance(found, Tensor) else found.logits
        nn.functional.cross_entropy(logits, labels).backward()
        optimiser.step()
        optimiser.zero_grad()

    return step


def forward_of(network: nn.Module, seen: Tensor) -> Callable[[], None]:
    """A prediction of a batch."""

    def forward() -> None:
        with torch.inference_mode():
            network(seen)

    return forward


def timed(calls: dict[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each call in each round; the calls take turns."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            call()
            begun = time.perf_counter()
            call()
            found[name].append(1000 * (time.perf_counter() - begun))
    return found


def measure(name: str, options: argparse.Namespace) -> dict[str, dict[str, list[float]]]:
    """Milliseconds of "forward" and "train", each of "ours" and, where there is one, of "torchvision"."""
    side = max(options.size, SIDES.get(name, 0)) if not name.startswith("vit") else SIDES[name]
    shape = (options.frames, side, side) if NETWORKS[name].clips else (side, side)
    networks = {"ours": (build(name), torch.randn(options.batch, 1, *shape))}
    if name in TWINS:
        extra = {"init_weights": True, "aux_logits": False} if name == "inception_v3" else {}
        twin = library.get_model_builder(TWINS[name])(num_classes=2, **extra)
        networks["torchvision"] = (twin, torch.randn(options.batch, 3, *shape))
    rows = {}
    for what, made in (("forward", forward_of), ("train", step_of)):
        for network, _ in networks.values():
            network.train(what == "train")
        rows[what] = timed({whose: made(*one) for whose, one in networks.items()}, options.rounds)
    return rows


def shown(times: list[float]) -> str:
    """Median with the smallest and largest."""
    return f"{statistics.median(times):8.1f} ({min(times):.1f}-{max(times):.1f})"


def main() -> None:
    """Measure, print a table, and write all times where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="*")
    for name, value in (("size", 64), ("frames", 16), ("batch", 2), ("rounds", 5), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.batch < 2:
        parser.error("--batch must be 2 or more: batch norm cannot be trained on one small image")
    torch.set_num_threads(options.threads)
    found = {}
    print(f"{'network':18} {'pass':8} {'ours, ms':>24} {'torchvision, ms':>24} ratio")
    for name in (name for name in NETWORKS if fnmatchcase(name, options.model)):
        torch.manual_seed(0)
        found[name] = measure(name, options)
        for what, times in found[name].items():
            other = times.get("torchvision")
            ratio = statistics.median(a / b for a, b in zip(times["ours"], other, strict=True)) if other else None
            beside = f"{shown(other):>24} {ratio:.2f}" if other and ratio else f"{'-':>24}"
            print(f"{name:18} {what:8} {shown(times['ours']):>24} {beside}", flush=True)
    if options.json:
        told = {"options": {**vars(options), "json": None}, "hardware": hardware(), "software": software(), "ms": found}
        options.json.write_text(json.dumps(told, indent=1, default=str), encoding="utf-8")


if __name__ == "__main__":
    main()
