"""How long a frame takes through FANet, from a decoded uint8 frame in memory to its label map there, part by part.

    python benchmarks/speed/fanet.py [--sizes 512x1024 720x960 1024x2048] [--batches 1 4] [--calls 5] [--threads 2]
                                     [--backends eager channels_last folded onednn compiled cuda_graphs]
                                     [--precisions fp32 bf16] [--depth 18] [--device cuda] [--weights FILE]
                                     [--tca-size 480x640] [--tca-depths 0 1 2 4 6]

"eager" is the network as the reference implementation runs it: float32, batch norm on, then mmseg's enlarging of all
logits and argmax. "channels_last" is the same in that memory format; the others are back ends of `fast_path`. All ways
run in turn in each round, in one process, so that a busy machine slows all of them. In its turn a way runs twice, and
the second is timed: a stream's frames follow on each other, not on another way's, which leaves memory and caches to
itself. Times are medians over the rounds, the ratio is the median of the rounds' ratios of totals to eager's. Untimed
rounds come first, in which buffers are made and graphs captured. "equal" is the share of pixels whose class is eager's.

The second table streams frames with TCA of depth N, a frame a call, beside the notebook's way of computing N + 1 frames
anew for each.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidsuite_core.errors import VidsuiteError
from vidsuite_plugins.driving_fanet.models.fanet import Fanet, build
from vidsuite_plugins.driving_fanet.models.fast import fast_path, multiplies_bf16
from vidsuite_plugins.driving_fanet.models.labels import label_map
from vidsuite_plugins.driving_fanet.models.streaming import Stream

Size = tuple[int, int]
PARTS = ("prepare", "network", "labels", "to host")
WARM_UP = 2
MEAN, SPREAD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


@dataclass
class Way:
    """One way from frames to label maps.

    Attributes:
        prepare: uint8 (B, H, W, 3) on the host -> frames (B, 3, H, W) on the device.
        network: frames -> logits.
        label: logits (B, K, h, w) and the frames' size -> label maps (B, H, W) on the device.
        seconds: of each part, by round.
    """

    name: str
    precision: str
    prepare: Callable[[Tensor], Tensor]
    network: Callable[[Tensor], Tensor]
    label: Callable[[Tensor, Size], Tensor]
    seconds: list[list[float]] = field(default_factory=list)
    labels: Tensor | None = None

    def run(self, frames: Tensor) -> None:
        """One round; `seconds` gains a row and `labels` are kept."""
        size = (frames.shape[1], frames.shape[2])
        clock = [now()]
        x = self.prepare(frames)
        clock.append(now())
        logits = self.network(x)
        clock.append(now())
        labels = self.label(logits, size)
        clock.append(now())
        self.labels = labels.cpu()
        clock.append(now())
        self.seconds.append([b - a for a, b in pairwise(clock)])

    @property
    def totals(self) -> list[float]:
        """Seconds of each round."""
        return [sum(parts) for parts in self.seconds]


def now() -> float:
    """Seconds, after all that the device was given is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


@torch.no_grad()
def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(0)
    device = torch.device(options.device)
    network = prepare_network(options.depth, options.weights, device)
    print_machine(device, options)
    print(f"\n{'size':<11}{'batch':>5}  {'way':<21}", *(f"{part:>9}" for part in PARTS), sep="", end="")
    print(f"{'total ms':>10}{'frames/s':>10}{'ratio':>7}{'equal %':>9}")
    for size in options.sizes:
        for batch in options.batches:
            frames = moving_frames(batch, size)
            ways = list_ways(network, device, options.backends, options.precisions)
            for _ in range(WARM_UP + options.calls):
                for way in ways:
                    way.run(frames)
                    del way.seconds[-1]
                    way.run(frames)
            print_ways(ways, size, batch)
    if options.tca_depths:
        print_depths(network, device, options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    cuda = torch.cuda.is_available()
    parser.add_argument("--sizes", type=size_of, nargs="+", default=[(512, 1024), (720, 960), (1024, 2048)])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--calls", type=int, default=5, help="timed rounds")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--backends",
        nargs="+",
        default=["eager", "channels_last", "folded", "cuda_graphs" if cuda else "onednn"],
        help="eager, channels_last, or one of fast_path; compiled needs a compiler and a minute a size",
    )
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"], help="bf16 only where it is multiplied in")
    parser.add_argument("--depth", type=int, default=18, choices=(18, 34))
    parser.add_argument("--device", default="cuda" if cuda else "cpu")
    parser.add_argument("--weights", type=Path, help="state dict in the reference's layout; random weights without")
    parser.add_argument("--tca-size", type=size_of, default=(480, 640))
    parser.add_argument("--tca-depths", type=int, nargs="*", default=[0, 1, 2, 4, 6], help="none: no second table")
    return parser.parse_args()


def size_of(text: str) -> Size:
    height, width = text.split("x")
    return int(height), int(width)


def prepare_network(depth: int, weights: Path | None, device: torch.device) -> Fanet:
    """The network in eval mode; random weights come with statistics of batch norm that are not the identity."""
    network = build(weights, depth=depth).eval().to(device)
    if weights is None:
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
    return network


def print_machine(device: torch.device, options: argparse.Namespace) -> None:
    name = torch.cuda.get_device_name() if device.type == "cuda" else torch.cpu.get_capabilities()["cpu_name"]
    bf16 = "with" if multiplies_bf16(device) else "without"
    weights = options.weights or "RANDOM, so that label maps, and what they cost, are not a trained network's"
    print(f"{name} ({bf16} bfloat16 products), torch {torch.__version__}, {options.threads} threads")
    print(f"FANet-{options.depth}, 19 classes, {options.calls} rounds; weights: {weights}")


def moving_frames(count: int, size: Size, seed: int = 0) -> Tensor:
    """uint8 (count, H, W, 3): patches an eighth of the frame wide, which move by 3 pixels a frame."""
    grain = size[1] // 8
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(1, 3, size[0] // grain + 2, (size[1] + 3 * count) // grain + 2, generator=generator)
    world = F.interpolate(coarse, scale_factor=grain, mode="bicubic")[0]
    world = (world * 50 + 128).clamp(0, 255).byte().permute(1, 2, 0)
    return torch.stack([world[: size[0], 3 * i : 3 * i + size[1]] for i in range(count)]).contiguous()


# --- the ways -------------------------------------------------------------------------------------------------


def list_ways(network: Fanet, device: torch.device, backends: Sequence[str], precisions: Sequence[str]) -> list[Way]:
    """Eager first, whether asked for or not; then each back end in each precision that the device has."""
    able = [precision for precision in precisions if precision != "bf16" or multiplies_bf16(device)]
    rows = partial(normalised, device=device, memory_format=torch.contiguous_format)
    pixels = partial(normalised, device=device, memory_format=torch.channels_last)
    ways = [Way("eager", "fp32", rows, Stream(network).step, enlarged_argmax)]
    for backend in backends:
        if backend == "channels_last":
            other = copy.deepcopy(network).to(memory_format=torch.channels_last)
            ways.append(Way(backend, "fp32", pixels, Stream(other).step, enlarged_argmax))
        elif backend != "eager":
            for precision in able:
                try:
                    stream = fast_path(network, device, precision, backend)
                except VidsuiteError as error:
                    print(f"left out: {error}")
                    continue
                ways.append(Way(backend, precision, pixels, stream.step, label_maps))
    return ways


def normalised(frames: Tensor, device: torch.device, memory_format: torch.memory_format) -> Tensor:
    """uint8 (B, H, W, 3) on the host -> float32 (B, 3, H, W) on `device`, by ImageNet's mean and spread."""
    spread = torch.tensor(SPREAD, device=device)
    scale, offset = (part.repeat(frames.shape[2]) for part in (1 / spread, -torch.tensor(MEAN, device=device) / spread))
    rows = torch.addcmul(offset, frames.to(device).flatten(2).float(), scale)
    return rows.view(frames.shape).permute(0, 3, 1, 2).contiguous(memory_format=memory_format)


def enlarged_argmax(logits: Tensor, size: Size) -> Tensor:
    """mmseg's way: all classes at full size, then the largest."""
    return F.interpolate(logits, size, mode="bilinear", align_corners=False).argmax(dim=1)


def label_maps(logits: Tensor, size: Size) -> Tensor:
    return torch.stack([label_map(frame[None], size) for frame in logits])


def print_ways(ways: Sequence[Way], size: Size, batch: int) -> None:
    eager = ways[0]
    for way in ways:
        rounds = way.seconds[WARM_UP:]
        parts = [statistics.median(part) * 1e3 for part in zip(*rounds, strict=True)]
        total = statistics.median(way.totals[WARM_UP:])
        ratio = statistics.median(a / b for a, b in zip(eager.totals[WARM_UP:], way.totals[WARM_UP:], strict=True))
        equal = (way.labels == eager.labels).float().mean().item() * 100
        name = f"{way.name} {way.precision}"
        print(f"{size[0]}x{size[1]:<{10 - len(str(size[0]))}}{batch:>5}  {name:<21}", end="")
        print(*(f"{part:>9.1f}" for part in parts), sep="", end="")
        print(f"{total * 1e3:>10.1f}{batch / total:>10.1f}{ratio:>7.2f}{equal:>9.3f}")


# --- depths of TCA --------------------------------------------------------------------------------------------


def print_depths(network: Fanet, device: torch.device, options: argparse.Namespace) -> None:
    """Milliseconds of network a frame against N: streamed plainly, streamed fast, and all N + 1 frames anew."""
    size = options.tca_size
    print(f"\nTCA at {size[0]}x{size[1]}, network only, ms a frame (median over {options.calls} rounds of all N)\n")
    print(f"{'N':>3}{'stream, eager':>16}{'stream, fast':>15}{'N + 1 anew':>13}")
    calls: dict[int, list[Callable[[Tensor], object]]] = {}
    for depth in options.tca_depths:
        deep = Fanet(options.depth, tca_depth=depth).eval().to(device)
        deep.load_reference(network.state_dict(), "of the first table")
        fast = fast_path(deep, device)
        calls[depth] = [Stream(deep).step, fast.step, partial(recomputed, deep)]
    frames = normalised(moving_frames(max(calls) + 1, size), device, torch.contiguous_format)
    seconds: dict[int, list[list[float]]] = {depth: [[] for _ in ways] for depth, ways in calls.items()}
    for _ in range(WARM_UP + options.calls):
        for depth, ways in calls.items():
            for times, call in zip(seconds[depth], ways, strict=True):
                window = frames[: depth + 1] if call is ways[-1] else frames[-1:]
                start = now()
                call(window)
                times.append(now() - start)
    for depth, ways in seconds.items():
        eager, fast, anew = (statistics.median(times[WARM_UP:]) * 1e3 for times in ways)
        print(f"{depth:>3}{eager:>16.1f}{fast:>15.1f}{anew:>13.1f}")


def recomputed(network: Fanet, frames: Tensor) -> Tensor:
    """The logits of the last of N + 1 frames, nothing kept from the frame before."""
    return network(frames, [len(frames)])[-1:]


if __name__ == "__main__":
    main()
